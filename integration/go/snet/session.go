package snet

import (
	"crypto/rc4"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// Options of both sides. Zero values are the defaults of section 1.
type Options struct {
	Encrypt    bool
	Ring       int
	Wait       time.Duration
	Handshake  time.Duration
	PeerBuffer uint64
}

func (o Options) filled() Options {
	if o.Ring == 0 {
		o.Ring = 64 << 10
	}
	if o.Wait == 0 {
		o.Wait = 60 * time.Second
	}
	if o.Handshake == 0 {
		o.Handshake = 10 * time.Second
	}
	if o.PeerBuffer == 0 {
		o.PeerBuffer = 64 << 20
	}
	return o
}

const (
	readSize = 16 << 10
	// What waits for our reader. The connection is not read while it is full.
	inboxMost = 64 << 10
	// A write goes down in pieces of at most this much, and of a quarter of the ring.
	pieceMost = 16 << 10
)

var (
	errRefused = errors.New("snet: the server refused the reconnect")
	errWaited  = errors.New("snet: nobody resumed the session in time")
)

// session is the stream of either side; it is a net.Conn. A generation is the life of one connection: whatever still runs for
// an older one finds that it is no longer meant.
type session struct {
	options Options
	id      uint64
	key     key
	lost    func() // tells the owner that the connection broke; called without the lock
	gone    func() // tells the owner that the session is over; called without the lock

	writers sync.Mutex // one Write at a time, in one piece

	mutex      sync.Mutex
	changed    *sync.Cond
	conn       net.Conn // nil between two
	generation int
	sending    bool // somebody is in conn.Write, and nobody else may be
	sent       ring
	received   uint64
	inbox      []byte
	encrypt    *rc4.Cipher // nil: plain
	decrypt    *rc4.Cipher
	err        error
	reading    deadline
	writing    deadline
	local      net.Addr
	remote     net.Addr
}

func newSession(options Options, id uint64, shared key, isServer bool) *session {
	s := &session{options: options, id: id, key: shared, sent: ring{size: options.Ring}}
	s.changed = sync.NewCond(&s.mutex)
	if options.Encrypt {
		s.encrypt, s.decrypt = shared.stream(), shared.stream()
		// The server's direction began with the hidden id.
		skipped := s.decrypt
		if isServer {
			skipped = s.encrypt
		}
		var id [8]byte
		skipped.XORKeyStream(id[:], id[:])
	}
	return s
}

// attach goes on with conn: what the peer lacks first, then new bytes. skip bytes come again and are dropped. It closes conn if
// it cannot be used.
func (s *session) attach(conn net.Conn, peerReceived, skip uint64) error {
	s.mutex.Lock()
	s.detach()
	generation := s.generation
	for s.sending && s.err == nil && generation == s.generation {
		s.changed.Wait()
	}
	lacking, there := s.sent.since(peerReceived)
	switch {
	case s.err != nil:
		s.mutex.Unlock()
		conn.Close()
		return s.err
	case generation != s.generation:
		s.mutex.Unlock()
		conn.Close()
		return errors.New("snet: overtaken by another connection")
	case !there:
		begin, end := s.sent.begin(), s.sent.end
		s.mutex.Unlock()
		conn.Close()
		return fmt.Errorf("snet: the peer has %d bytes, the ring holds %d to %d", peerReceived, begin, end)
	}
	s.conn, s.local, s.remote = conn, conn.LocalAddr(), conn.RemoteAddr()
	s.sending = true
	s.mutex.Unlock()

	go s.pump(conn, generation, skip)
	s.send(conn, generation, lacking)
	return nil
}

// detach makes the current connection an old one. The lock is held.
func (s *session) detach() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
	s.generation++
	s.changed.Broadcast()
}

// broken is called by whoever saw the connection of generation fail.
func (s *session) broken(generation int) {
	s.mutex.Lock()
	if generation != s.generation || s.err != nil {
		s.mutex.Unlock()
		return
	}
	s.detach()
	s.mutex.Unlock()
	s.lost()
}

// send writes with the right to send, which it gives back.
func (s *session) send(conn net.Conn, generation int, bytes []byte) {
	_, err := conn.Write(bytes)
	s.mutex.Lock()
	s.sending = false
	s.changed.Broadcast()
	s.mutex.Unlock()
	if err != nil {
		s.broken(generation)
	}
}

func (s *session) pump(conn net.Conn, generation int, skip uint64) {
	buffer := make([]byte, readSize)
	for {
		count, err := conn.Read(buffer)
		bytes := buffer[:count]
		if uint64(len(bytes)) <= skip {
			skip -= uint64(len(bytes))
			bytes = nil
		} else {
			bytes = bytes[skip:]
			skip = 0
		}
		if !s.deliver(generation, bytes) {
			return
		}
		if err != nil {
			s.broken(generation)
			return
		}
	}
}

// deliver waits for room. What is not delivered was not received, and comes again.
func (s *session) deliver(generation int, bytes []byte) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for generation == s.generation && s.err == nil && len(s.inbox) >= inboxMost {
		s.changed.Wait()
	}
	if generation != s.generation || s.err != nil {
		return false
	}
	s.received += uint64(len(bytes))
	if s.decrypt != nil {
		s.decrypt.XORKeyStream(bytes, bytes)
	}
	s.inbox = append(s.inbox, bytes...)
	s.changed.Broadcast()
	return true
}

// end finishes the session; reads get what is here first.
func (s *session) end(reason error) {
	s.mutex.Lock()
	if s.err != nil {
		s.mutex.Unlock()
		return
	}
	s.err = reason
	s.detach()
	s.mutex.Unlock()
	s.gone()
}

func (s *session) Read(out []byte) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for len(s.inbox) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		if s.reading.passed() {
			return 0, os.ErrDeadlineExceeded
		}
		s.changed.Wait()
	}
	count := copy(out, s.inbox)
	s.inbox = s.inbox[count:]
	s.changed.Broadcast()
	return count, nil
}

func (s *session) Write(data []byte) (int, error) {
	s.writers.Lock()
	defer s.writers.Unlock()
	most := s.options.Ring / 4
	if most > pieceMost {
		most = pieceMost
	}
	if most == 0 {
		most = 1
	}
	written := 0
	for written < len(data) {
		piece := data[written:]
		if len(piece) > most {
			piece = piece[:most]
		}
		if err := s.writePiece(piece); err != nil {
			return written, err
		}
		written += len(piece)
	}
	return written, nil
}

// writePiece waits outside the ring for a connection, and for whoever sends.
func (s *session) writePiece(piece []byte) error {
	s.mutex.Lock()
	for s.conn == nil || s.sending || s.err != nil || s.writing.passed() {
		if s.err != nil {
			defer s.mutex.Unlock()
			return s.err
		}
		if s.writing.passed() {
			s.mutex.Unlock()
			return os.ErrDeadlineExceeded
		}
		s.changed.Wait()
	}
	bytes := append([]byte(nil), piece...)
	if s.encrypt != nil {
		s.encrypt.XORKeyStream(bytes, bytes)
	}
	s.sent.append(bytes)
	s.sending = true
	conn, generation := s.conn, s.generation
	s.mutex.Unlock()
	s.send(conn, generation, bytes)
	return nil
}

// Close ends this side; the protocol has no message for it.
func (s *session) Close() error {
	s.end(net.ErrClosed)
	return nil
}

func (s *session) LocalAddr() net.Addr  { return s.address(func() net.Addr { return s.local }) }
func (s *session) RemoteAddr() net.Addr { return s.address(func() net.Addr { return s.remote }) }

func (s *session) address(which func() net.Addr) net.Addr {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return which()
}

func (s *session) SetDeadline(at time.Time) error {
	s.setDeadline(&s.reading, at)
	s.setDeadline(&s.writing, at)
	return nil
}

func (s *session) SetReadDeadline(at time.Time) error {
	s.setDeadline(&s.reading, at)
	return nil
}

func (s *session) SetWriteDeadline(at time.Time) error {
	s.setDeadline(&s.writing, at)
	return nil
}

func (s *session) setDeadline(which *deadline, at time.Time) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if which.timer != nil {
		which.timer.Stop()
	}
	which.at, which.timer = at, nil
	if !at.IsZero() {
		which.timer = time.AfterFunc(time.Until(at), func() {
			s.mutex.Lock()
			defer s.mutex.Unlock()
			s.changed.Broadcast()
		})
	}
	s.changed.Broadcast()
}

type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

package snet

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Listener accepts new sessions, and gives connections that resume one to it.
type Listener struct {
	below   net.Listener
	options Options
	opened  chan net.Conn
	closed  chan struct{}
	once    sync.Once

	mutex    sync.Mutex
	sessions map[uint64]*served
}

type served struct {
	*session
	mutex sync.Mutex
	timer *time.Timer // runs while there is no connection
}

// Listen takes over below.
func Listen(below net.Listener, options Options) *Listener {
	l := &Listener{
		below: below, options: options.filled(),
		opened: make(chan net.Conn), closed: make(chan struct{}),
		sessions: map[uint64]*served{},
	}
	go l.run()
	return l
}

func (l *Listener) run() {
	for {
		conn, err := l.below.Accept()
		if err != nil {
			l.Close()
			return
		}
		go l.greet(conn)
	}
}

// Accept gives the next new session.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.opened:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends listening; sessions go on until their connection is lost.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.below.Close()
}

// Addr is that of the listener below.
func (l *Listener) Addr() net.Addr { return l.below.Addr() }

// greet is the server's part of sections 3 and 5; one time is for all of it.
func (l *Listener) greet(conn net.Conn) {
	conn.SetDeadline(time.Now().Add(l.options.Handshake))
	var first [1]byte
	_, err := io.ReadFull(conn, first[:])
	switch {
	case err == nil && first[0] == firstByteNew:
		err = l.open(conn)
	case err == nil && first[0] == firstByteReconnect:
		err = l.resume(conn)
	case err == nil:
		err = errors.New("snet: unknown first byte")
	}
	if err != nil {
		conn.Close()
	}
}

func (l *Listener) open(conn net.Conn) error {
	var public [8]byte
	if _, err := io.ReadFull(conn, public[:]); err != nil {
		return err
	}
	private, ours, err := newPrivate()
	if err != nil {
		return err
	}
	shared, err := sharedKey(private, binary.LittleEndian.Uint64(public[:]))
	if err != nil {
		return err
	}
	id, err := l.newID()
	if err != nil {
		return err
	}
	challenge, err := randomNumber()
	if err != nil {
		return err
	}
	var answer [8 + 8 + challengeSize]byte
	binary.LittleEndian.PutUint64(answer[:], ours)
	binary.LittleEndian.PutUint64(answer[8:], id)
	copy(answer[8:16], shared.hide(answer[8:16]))
	binary.LittleEndian.PutUint64(answer[16:], challenge)
	if _, err = conn.Write(answer[:]); err != nil {
		return err
	}
	if err = expectProof(conn, shared, answer[16:]); err != nil {
		return err
	}
	conn.SetDeadline(time.Time{})

	s := &served{session: newSession(l.options, id, shared, true)}
	s.session.lost = s.startWaiting
	s.session.gone = func() { l.forget(s) }
	l.mutex.Lock()
	l.sessions[id] = s
	l.mutex.Unlock()
	if err = s.attach(conn, 0, 0); err != nil {
		return err
	}
	select {
	case l.opened <- s:
	case <-l.closed:
		s.Close()
	}
	return nil
}

func (l *Listener) newID() (uint64, error) {
	for {
		id, err := randomNumber()
		if err != nil {
			return 0, err
		}
		l.mutex.Lock()
		_, taken := l.sessions[id]
		l.mutex.Unlock()
		if !taken {
			return id, nil
		}
	}
}

func (l *Listener) forget(s *served) {
	l.mutex.Lock()
	delete(l.sessions, s.id)
	l.mutex.Unlock()
	s.stopWaiting()
}

func expectProof(conn net.Conn, shared key, challenge []byte) error {
	var proof [proofSize]byte
	if _, err := io.ReadFull(conn, proof[:]); err != nil {
		return err
	}
	if !shared.proves(proof[:], challenge) {
		return errors.New("snet: wrong proof")
	}
	return nil
}

func (l *Listener) resume(conn net.Conn) error {
	var request [24 + proofSize]byte
	if _, err := io.ReadFull(conn, request[:]); err != nil {
		return err
	}
	id := binary.LittleEndian.Uint64(request[:])
	peerWritten := binary.LittleEndian.Uint64(request[8:])
	peerReceived := binary.LittleEndian.Uint64(request[16:])
	l.mutex.Lock()
	s := l.sessions[id]
	l.mutex.Unlock()

	var ours counters
	err := errors.New("snet: unknown session")
	if s != nil {
		s.session.mutex.Lock()
		ours = counters{s.sent.end, s.received, s.sent.begin()}
		s.session.mutex.Unlock()
		err = judge(ours, peerWritten, peerReceived, l.options.PeerBuffer)
		if !s.key.proves(request[24:], request[:24]) {
			err = errors.New("snet: wrong proof")
		}
	}
	if err != nil {
		conn.Write(make([]byte, 16+challengeSize)) // all refusals look alike
		return err
	}
	challenge, err := randomNumber()
	if err != nil {
		return err
	}
	var answer [16 + challengeSize]byte
	binary.LittleEndian.PutUint64(answer[:], ours.written)
	binary.LittleEndian.PutUint64(answer[8:], ours.received)
	binary.LittleEndian.PutUint64(answer[16:], challenge)
	if _, err = conn.Write(answer[:]); err != nil {
		return err
	}
	if err = expectProof(conn, s.key, answer[16:]); err != nil {
		return err
	}
	conn.SetDeadline(time.Time{})
	if err = s.takeOver(conn, peerReceived, ours.received); err != nil {
		s.startWaiting()
	}
	return err
}

// takeOver moves the session to conn, whose client sends from the number on that our answer said.
func (s *served) takeOver(conn net.Conn, peerReceived, told uint64) error {
	s.session.mutex.Lock()
	s.detach() // nothing comes from the old connection any more, so the difference is final
	skip := s.received - told
	s.session.mutex.Unlock()
	return s.attach(conn, peerReceived, skip)
}

// startWaiting gives the client its time to come back. A session that somebody has resumed meanwhile is not meant any more.
func (s *served) startWaiting() {
	s.session.mutex.Lock()
	generation, attached := s.generation, s.conn != nil
	s.session.mutex.Unlock()
	if attached {
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
	s.timer = time.AfterFunc(s.options.Wait, func() {
		s.session.mutex.Lock()
		waiting := generation == s.generation && s.conn == nil
		s.session.mutex.Unlock()
		if waiting {
			s.end(errWaited)
		}
	})
}

func (s *served) stopWaiting() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

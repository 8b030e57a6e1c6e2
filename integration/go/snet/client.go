package snet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"time"
)

const (
	pauseLeast = 100 * time.Millisecond
	pauseMost  = 3 * time.Second
	// A connection that lasted this long is made again at once.
	lasting = time.Second
)

// Dialer makes one connection below.
type Dialer func(ctx context.Context) (net.Conn, error)

type client struct {
	*session
	dial     Dialer
	attached time.Time
	pause    time.Duration
	stop     context.CancelFunc
	stopped  context.Context
}

// Dial opens a session over connections that dial makes.
func Dial(ctx context.Context, dial Dialer, options Options) (net.Conn, error) {
	options = options.filled()
	conn, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(options.Handshake))
	id, shared, err := openSession(conn)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("snet: handshake: %w", err)
	}
	conn.SetDeadline(time.Time{})
	c := &client{session: newSession(options, id, shared, false), dial: dial, attached: time.Now()}
	c.stopped, c.stop = context.WithCancel(context.Background())
	c.session.lost = func() { go c.resume(time.Now()) }
	c.session.gone = c.stop
	return c, c.attach(conn, 0, 0)
}

// openSession is section 3, the client's part.
func openSession(conn net.Conn) (id uint64, shared key, err error) {
	private, public, err := newPrivate()
	if err != nil {
		return 0, shared, err
	}
	request := make([]byte, 1+8)
	request[0] = firstByteNew
	binary.LittleEndian.PutUint64(request[1:], public)
	if _, err = conn.Write(request); err != nil {
		return 0, shared, err
	}
	var answer [8 + 8 + challengeSize]byte
	if _, err = io.ReadFull(conn, answer[:]); err != nil {
		return 0, shared, err
	}
	if shared, err = sharedKey(private, binary.LittleEndian.Uint64(answer[:8])); err != nil {
		return 0, shared, err
	}
	id = binary.LittleEndian.Uint64(shared.hide(answer[8:16]))
	proof := shared.proof(answer[16:])
	_, err = conn.Write(proof[:])
	return id, shared, err
}

// resume makes one attempt after the other, until one carries the session or its time is over.
func (c *client) resume(lostAt time.Time) {
	giveUp := lostAt.Add(c.options.Wait)
	if lostAt.Sub(c.attached) >= lasting {
		c.pause = 0
	} else {
		c.pause = nextPause(c.pause)
	}
	last := error(nil)
	for {
		delay := c.pause/2 + time.Duration(rand.Int63n(int64(c.pause/2)+1))
		if time.Now().Add(delay).After(giveUp) {
			c.end(fmt.Errorf("%w: %v", errWaited, last))
			return
		}
		select {
		case <-time.After(delay):
		case <-c.stopped.Done():
			return
		}
		var fatal bool
		if fatal, last = c.attempt(giveUp); last == nil {
			return
		} else if fatal {
			c.end(last)
			return
		}
		c.pause = nextPause(c.pause)
	}
}

func nextPause(pause time.Duration) time.Duration {
	if pause *= 2; pause < pauseLeast {
		return pauseLeast
	} else if pause > pauseMost {
		return pauseMost
	}
	return pause
}

// attempt is section 5, the client's part. fatal says that another attempt is of no use.
func (c *client) attempt(giveUp time.Time) (fatal bool, err error) {
	until := time.Now().Add(c.options.Handshake)
	if giveUp.Before(until) {
		until = giveUp
	}
	ctx, cancel := context.WithDeadline(c.stopped, until)
	defer cancel()
	conn, err := c.dial(ctx)
	if err != nil {
		return false, err
	}
	conn.SetDeadline(until)
	peerReceived, fatal, err := c.ask(conn)
	if err != nil {
		conn.Close()
		return fatal, err
	}
	conn.SetDeadline(time.Time{})
	c.attached = time.Now()
	return true, c.attach(conn, peerReceived, 0)
}

func (c *client) ask(conn net.Conn) (peerReceived uint64, fatal bool, err error) {
	c.mutex.Lock()
	written, received, begin := c.sent.end, c.received, c.sent.begin()
	c.mutex.Unlock()

	var request [1 + 24 + proofSize]byte
	request[0] = firstByteReconnect
	binary.LittleEndian.PutUint64(request[1:], c.id)
	binary.LittleEndian.PutUint64(request[9:], written)
	binary.LittleEndian.PutUint64(request[17:], received)
	proof := c.key.proof(request[1:25])
	copy(request[25:], proof[:])
	if _, err = conn.Write(request[:]); err != nil {
		return 0, false, err
	}
	var answer [16 + challengeSize]byte
	if _, err = io.ReadFull(conn, answer[:]); err != nil {
		return 0, false, err
	}
	if answer == [len(answer)]byte{} {
		return 0, true, errRefused
	}
	peerWritten := binary.LittleEndian.Uint64(answer[:])
	peerReceived = binary.LittleEndian.Uint64(answer[8:])
	if err = judge(counters{written, received, begin}, peerWritten, peerReceived, c.options.PeerBuffer); err != nil {
		return 0, true, err
	}
	proof = c.key.proof(answer[16:])
	_, err = conn.Write(proof[:])
	return peerReceived, false, err
}

type counters struct {
	written, received, begin uint64
}

// judge holds what a peer says of itself against what we know (section 5).
func judge(ours counters, peerWritten, peerReceived, peerBuffer uint64) error {
	switch {
	case peerReceived > ours.written || peerWritten < ours.received:
		return errors.New("snet: the peer's counters cannot be")
	case peerReceived < ours.begin:
		return fmt.Errorf("snet: unread bytes exceeded the ring: the peer has %d, it begins at %d", peerReceived, ours.begin)
	case peerWritten-ours.received > peerBuffer:
		return fmt.Errorf("snet: the peer claims %d bytes beyond what came", peerWritten-ours.received)
	}
	return nil
}

package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// How often an endpoint pings; gateways give up after 30 s (section 6).
const pingEvery = 10 * time.Second

var (
	// ErrRefused is what a dial gets that the gateway refused.
	ErrRefused = errors.New("link: refused")
	// ErrClosed is what a closed virtual connection gives, behind its last message.
	ErrClosed = errors.New("link: the virtual connection is closed")
	// ErrEnded is wrapped when the physical connection is over.
	ErrEnded = errors.New("link: the connection to the gateway ended")
)

// Endpoint is one physical connection to a gateway. Any goroutine may use it.
type Endpoint struct {
	conn      net.Conn
	maxPacket uint32
	accept    func(*Conn)

	writing sync.Mutex

	mutex   sync.Mutex
	conns   map[uint32]*Conn
	closing map[uint32]bool         // closed here, and the gateway's Close has not come yet
	dials   map[uint32][]chan *Conn // by remote id, in the order of the dials; nil is a refusal
	pings   []chan struct{}
	err     error
	ended   chan struct{}
}

// NewClient takes over conn. accept gets the connections that servers open, each on a goroutine of its own.
func NewClient(conn net.Conn, maxPacket uint32, accept func(*Conn)) *Endpoint {
	e := &Endpoint{
		conn: conn, maxPacket: maxPacket, accept: accept,
		conns: map[uint32]*Conn{}, closing: map[uint32]bool{}, dials: map[uint32][]chan *Conn{},
		ended: make(chan struct{}),
	}
	go e.read()
	go e.keepAlive()
	return e
}

// NewServer answers the challenge first. That it was taken is told by nothing but a later answer: see Ping.
func NewServer(conn net.Conn, key string, id, maxPacket uint32, accept func(*Conn)) (*Endpoint, error) {
	var challenge [challengeSize]byte
	if _, err := io.ReadFull(conn, challenge[:]); err != nil {
		return nil, fmt.Errorf("link: challenge: %w", err)
	}
	if _, err := conn.Write(Proof(challenge[:], key, id)); err != nil {
		return nil, fmt.Errorf("link: answer to the challenge: %w", err)
	}
	return NewClient(conn, maxPacket, accept), nil
}

// Ended is closed when the physical connection is over.
func (e *Endpoint) Ended() <-chan struct{} { return e.ended }

// Err says why it is over.
func (e *Endpoint) Err() error {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return e.err
}

// Close ends the physical connection.
func (e *Endpoint) Close() { e.end(net.ErrClosed) }

func (e *Endpoint) end(reason error) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if e.err != nil {
		return
	}
	e.err = &endError{reason}
	close(e.ended)
	e.conn.Close()
	for _, conn := range e.conns {
		conn.finish()
	}
}

func (e *Endpoint) write(frame *Frame) error {
	e.writing.Lock()
	defer e.writing.Unlock()
	if _, err := e.conn.Write(frame.Append(nil)); err != nil {
		return fmt.Errorf("%w: %v", ErrEnded, err)
	}
	return nil
}

func (e *Endpoint) keepAlive() {
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			ctx, cancel := context.WithTimeout(context.Background(), pingEvery)
			if err := e.Ping(ctx); err != nil {
				e.end(err)
			}
			cancel()
		case <-e.ended:
			return
		}
	}
}

// Ping waits for the gateway's answer.
func (e *Endpoint) Ping(ctx context.Context) error {
	answered := make(chan struct{})
	e.mutex.Lock()
	e.pings = append(e.pings, answered)
	e.mutex.Unlock()
	if err := e.write(Command(Ping)); err != nil {
		return err
	}
	select {
	case <-answered:
		return nil
	case <-e.ended:
		return e.Err()
	case <-ctx.Done():
		return fmt.Errorf("link: ping: %w", ctx.Err())
	}
}

// Dial opens a virtual connection to remote, or gives ErrRefused.
func (e *Endpoint) Dial(ctx context.Context, remote uint32) (*Conn, error) {
	answer := make(chan *Conn, 1)
	// Queued and sent in one step: answers are told apart by their order only.
	e.writing.Lock()
	e.mutex.Lock()
	e.dials[remote] = append(e.dials[remote], answer)
	e.mutex.Unlock()
	_, err := e.conn.Write(Command(Dial, remote).Append(nil))
	e.writing.Unlock()
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrEnded, err)
	}
	select {
	case conn := <-answer:
		if conn == nil {
			return nil, ErrRefused
		}
		return conn, nil
	case <-e.ended:
		return nil, e.Err()
	case <-ctx.Done():
		go e.closeLate(answer)
		return nil, fmt.Errorf("link: dial of %d: %w", remote, ctx.Err())
	}
}

func (e *Endpoint) closeLate(answer chan *Conn) {
	select {
	case conn := <-answer:
		if conn != nil {
			conn.Close()
		}
	case <-e.ended:
	}
}

func (e *Endpoint) read() {
	reader := NewReader(e.conn, e.maxPacket)
	for {
		frame, err := reader.Read()
		if err == nil && frame.ID == 0 {
			err = e.command(frame)
		} else if err == nil {
			e.data(frame)
		}
		if err != nil {
			e.end(err)
			return
		}
	}
}

func (e *Endpoint) data(frame *Frame) {
	e.mutex.Lock()
	conn, closing := e.conns[frame.ID], e.closing[frame.ID]
	e.mutex.Unlock()
	switch {
	case conn != nil:
		conn.deliver(frame.Message)
	case !closing:
		// On a goroutine of its own: the reader must not wait for the writer.
		go e.write(Command(Close, frame.ID))
	}
}

func (e *Endpoint) command(frame *Frame) error {
	kind, arguments, err := frame.Arguments()
	if err != nil {
		return err
	}
	switch kind {
	case Accept:
		return e.answered(arguments[1], arguments[0], false)
	case Refuse:
		return e.answered(arguments[0], 0, true)
	case Connect:
		conn, err := e.open(arguments[0], arguments[1])
		if err == nil {
			go e.accept(conn)
		}
		return err
	case Close:
		e.closed(arguments[0])
	case Ping:
		e.pinged()
	default:
		return fmt.Errorf("%w: command %d from a gateway", ErrMalformed, kind)
	}
	return nil
}

func (e *Endpoint) answered(remote, id uint32, refused bool) error {
	e.mutex.Lock()
	waiting := e.dials[remote]
	if len(waiting) > 0 {
		e.dials[remote] = waiting[1:]
	}
	e.mutex.Unlock()
	if len(waiting) == 0 {
		return fmt.Errorf("%w: an answer to a dial of %d, which nobody made", ErrMalformed, remote)
	}
	if refused {
		waiting[0] <- nil
		return nil
	}
	conn, err := e.open(id, remote)
	if err == nil {
		waiting[0] <- conn
	}
	return err
}

func (e *Endpoint) open(id, remote uint32) (*Conn, error) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if id == 0 || e.conns[id] != nil || e.closing[id] {
		return nil, fmt.Errorf("%w: connection %d is opened twice", ErrMalformed, id)
	}
	conn := &Conn{endpoint: e, id: id, remote: remote, changed: make(chan struct{}, 1), over: make(chan struct{})}
	e.conns[id] = conn
	return conn, nil
}

// closed ignores what it does not know: the gateway's Close crosses ours.
func (e *Endpoint) closed(id uint32) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	delete(e.closing, id)
	if conn := e.conns[id]; conn != nil {
		delete(e.conns, id)
		conn.finish()
	}
}

func (e *Endpoint) pinged() {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if len(e.pings) > 0 {
		close(e.pings[0])
		e.pings = e.pings[1:]
	}
}

// Conn is a virtual connection.
type Conn struct {
	endpoint *Endpoint
	id       uint32
	remote   uint32

	mutex    sync.Mutex
	messages [][]byte
	changed  chan struct{} // has one token when there may be messages
	over     chan struct{}
	finished sync.Once
}

// Remote is the id of the other end.
func (c *Conn) Remote() uint32 { return c.remote }

// Send gives a message to the gateway.
func (c *Conn) Send(message []byte) error {
	select {
	case <-c.over:
		return ErrClosed
	default:
	}
	if uint64(len(message))+idSize > uint64(c.endpoint.maxPacket) {
		return fmt.Errorf("link: message of %d bytes, MaxPacket is %d", len(message), c.endpoint.maxPacket)
	}
	return c.endpoint.write(&Frame{ID: c.id, Message: message})
}

// Receive gives the next message; ErrClosed behind the last one.
func (c *Conn) Receive(ctx context.Context) ([]byte, error) {
	for {
		if message, there := c.next(); there {
			return message, nil
		}
		select {
		case <-c.changed:
		case <-c.over:
			// What came before the Close is still to be had.
			if message, there := c.next(); there {
				return message, nil
			}
			return nil, ErrClosed
		case <-ctx.Done():
			return nil, fmt.Errorf("link: receive: %w", ctx.Err())
		}
	}
}

func (c *Conn) next() ([]byte, bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if len(c.messages) == 0 {
		return nil, false
	}
	message := c.messages[0]
	c.messages = c.messages[1:]
	return message, true
}

func (c *Conn) deliver(message []byte) {
	c.mutex.Lock()
	c.messages = append(c.messages, message)
	c.mutex.Unlock()
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func (c *Conn) finish() { c.finished.Do(func() { close(c.over) }) }

// Close tells the gateway, and drops what still comes.
func (c *Conn) Close() {
	e := c.endpoint
	e.mutex.Lock()
	mine := e.conns[c.id] == c
	if mine {
		delete(e.conns, c.id)
		e.closing[c.id] = true
	}
	e.mutex.Unlock()
	c.finish()
	if mine {
		e.write(Command(Close, c.id))
	}
}

// endError is ErrEnded with the reason, which may be ErrMalformed.
type endError struct {
	reason error
}

func (e *endError) Error() string        { return fmt.Sprintf("%v: %v", ErrEnded, e.reason) }
func (e *endError) Is(target error) bool { return target == ErrEnded }
func (e *endError) Unwrap() error        { return e.reason }

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"interop-go/contract"
	"interop-go/link"
	"interop-go/transport"
)

const (
	messageClose  = "close"
	messageDial   = "dial"
	messageDialed = "dialed"

	registerPause   = time.Second
	refusalTime     = 5 * time.Second
	dialedMessages  = 10
	dialedBytes     = 1000
	messagesOfMany  = 10
	bytesOfMany     = 256
	linkHeaderBytes = 4
)

// linkServer registers at the gateway, and answers each message with the same one. It registers anew when its connection ends.
func (e *endpoint) linkServer(ctx context.Context, stack *transport.Stack) error {
	var broken firstError
	report := func(err error) {
		if err != nil {
			e.logf("broken promise: %v", err)
			broken.set(err)
		}
	}
	server, err := e.register(ctx, stack, report)
	if e.Case == "link-key" {
		return expectRefusedKey(err)
	}
	if err != nil {
		return err
	}
	e.ready(nil)
	for {
		select {
		case <-ctx.Done():
			server.Close()
			return broken.get()
		case <-server.Ended():
		}
		e.logf("%v", server.Err())
		if errors.Is(server.Err(), link.ErrMalformed) {
			report(server.Err())
		}
		for err = errNotYet; err != nil; {
			select {
			case <-ctx.Done():
				return broken.get()
			case <-time.After(registerPause):
			}
			var again *link.Endpoint
			if again, err = e.register(ctx, stack, report); err == nil {
				server = again
			}
		}
	}
}

var errNotYet = errors.New("not registered yet")

// register is over when the gateway has taken the server.
func (e *endpoint) register(ctx context.Context, stack *transport.Stack, report func(error)) (*link.Endpoint, error) {
	key := e.Key
	if e.Case == "link-key" {
		key += "-wrong" // whichever key the runner gave, this is another one
	}
	starting, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	conn, err := stack.Dial(starting)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	var server *link.Endpoint
	made := make(chan struct{})
	server, err = link.NewServer(conn, key, e.ID, e.MaxPacket, func(conn *link.Conn) {
		<-made
		report(e.serveLink(ctx, server, conn))
	})
	close(made)
	if err != nil {
		conn.Close()
		return nil, err
	}
	// A gateway says nothing when it takes a server, but it answers a ping only then.
	if err = server.Ping(starting); err != nil {
		server.Close()
		return nil, fmt.Errorf("expected to be taken, got: %w", err)
	}
	if e.Case == "link-key" {
		server.Close()
	}
	return server, nil
}

func expectRefusedKey(err error) error {
	switch {
	case err == nil:
		return errors.New("expected a server with a wrong key to be refused, but it was taken")
	case errors.Is(err, link.ErrEnded):
		return nil
	default:
		return fmt.Errorf("expected the end of the connection, got: %w", err)
	}
}

// serveLink is one virtual connection that a client opened. Its end is no broken promise.
func (e *endpoint) serveLink(ctx context.Context, server *link.Endpoint, conn *link.Conn) error {
	defer conn.Close()
	for {
		message, err := conn.Receive(ctx)
		if err != nil {
			return nil
		}
		answer := message
		switch {
		case e.Case == "link-close" && string(message) == messageClose:
			return nil
		case e.Case == "link-dialed" && string(message) == messageDial:
			if err = e.dialBack(ctx, server, conn.Remote()); err != nil {
				return fmt.Errorf("dial of client %d: %w", conn.Remote(), err)
			}
			answer = []byte(messageDialed)
		}
		if err = conn.Send(answer); err != nil {
			return nil
		}
	}
}

func (e *endpoint) dialBack(ctx context.Context, server *link.Endpoint, client uint32) error {
	conn, err := server.Dial(ctx, client)
	if err != nil {
		return err
	}
	defer conn.Close()
	random := contract.NewRandom(e.Seed)
	for i := 0; i < dialedMessages; i++ {
		if err = linkEcho(ctx, conn, randomMessage(random, dialedBytes)); err != nil {
			return err
		}
	}
	return nil
}

// randomMessage has 1 to most bytes.
func randomMessage(random *contract.Random, most int) []byte {
	if most < 1 {
		most = 1
	}
	message := make([]byte, 1+random.Length(most-1))
	random.Fill(message)
	return message
}

func linkEcho(ctx context.Context, conn *link.Conn, message []byte) error {
	if err := conn.Send(message); err != nil {
		return err
	}
	came, err := conn.Receive(ctx)
	if err != nil {
		return err
	}
	if !bytes.Equal(came, message) {
		return fmt.Errorf("expected the message of %d bytes back, got another one of %d", len(message), len(came))
	}
	return nil
}

// linkCaller is a client behind the gateway.
type linkCaller struct {
	*endpoint
	ctx      context.Context
	client   *link.Endpoint
	random   *contract.Random
	accepted chan *link.Conn
}

func (e *endpoint) linkClient(ctx context.Context, stack *transport.Stack) error {
	return e.runAsClient(ctx, func(ctx context.Context) error {
		conn, err := stack.Dial(ctx)
		if err != nil {
			return fmt.Errorf("dial: %w", err)
		}
		c := &linkCaller{endpoint: e, ctx: ctx, random: contract.NewRandom(e.Seed), accepted: make(chan *link.Conn, 1)}
		c.client = link.NewClient(conn, e.MaxPacket, func(conn *link.Conn) { c.accepted <- conn })
		defer c.client.Close()
		return map[string]func() error{
			"link-echo":    c.echo,
			"link-max":     c.max,
			"link-many":    c.many,
			"link-unknown": c.unknown,
			"link-close":   c.close,
			"link-dialed":  c.dialed,
		}[e.Case]()
	})
}

func (c *linkCaller) dial() (*link.Conn, error) {
	conn, err := c.client.Dial(c.ctx, c.ID)
	if err != nil {
		return nil, fmt.Errorf("dial of server %d: %w", c.ID, err)
	}
	if conn.Remote() != c.ID {
		return nil, fmt.Errorf("expected a connection to %d, got one to %d", c.ID, conn.Remote())
	}
	return conn, nil
}

func (c *linkCaller) echo() error {
	conn, err := c.dial()
	for i := 0; i < c.Count && err == nil; i++ {
		if err = linkEcho(c.ctx, conn, randomMessage(c.random, c.Bytes)); err != nil {
			err = fmt.Errorf("message %d: %w", i, err)
		}
	}
	return err
}

func (c *linkCaller) max() error {
	conn, err := c.dial()
	if err != nil {
		return err
	}
	message := make([]byte, c.MaxPacket-linkHeaderBytes)
	c.random.Fill(message)
	return linkEcho(c.ctx, conn, message)
}

// many begins each message with the number of its connection, so that a message for a stranger shows.
func (c *linkCaller) many() error {
	failures := make(chan error, c.Count)
	for i := 0; i < c.Count; i++ {
		var messages [][]byte
		for k := 0; k < messagesOfMany; k++ {
			messages = append(messages, append([]byte(fmt.Sprintf("%d/%d:", i, k)), randomMessage(c.random, bytesOfMany)...))
		}
		go func(number int) {
			conn, err := c.dial()
			for k := 0; k < len(messages) && err == nil; k++ {
				err = linkEcho(c.ctx, conn, messages[k])
			}
			if err != nil {
				err = fmt.Errorf("connection %d: %w", number, err)
			}
			failures <- err
		}(i)
	}
	for i := 0; i < c.Count; i++ {
		if err := <-failures; err != nil {
			return err
		}
	}
	return nil
}

func (c *linkCaller) unknown() error {
	ctx, cancel := context.WithTimeout(c.ctx, refusalTime)
	defer cancel()
	if _, err := c.client.Dial(ctx, c.ID+1); !errors.Is(err, link.ErrRefused) {
		return fmt.Errorf("dial of %d: expected a refusal within %v, got: %v", c.ID+1, refusalTime, err)
	}
	conn, err := c.dial()
	if err != nil {
		return err
	}
	return linkEcho(c.ctx, conn, []byte("and on it goes"))
}

func (c *linkCaller) close() error {
	first, err := c.dial()
	if err != nil {
		return err
	}
	second, err := c.dial()
	if err != nil {
		return err
	}
	for _, conn := range []*link.Conn{first, second} {
		if err = linkEcho(c.ctx, conn, []byte("before")); err != nil {
			return err
		}
	}
	if err = first.Send([]byte(messageClose)); err != nil {
		return err
	}
	if message, err := first.Receive(c.ctx); !errors.Is(err, link.ErrClosed) {
		return fmt.Errorf("expected the end of the virtual connection, got %q, %v", message, err)
	}
	if err = c.client.Err(); err != nil {
		return fmt.Errorf("expected the end of the virtual connection, got that of all: %w", err)
	}
	return linkEcho(c.ctx, second, []byte("after"))
}

func (c *linkCaller) dialed() error {
	conn, err := c.dial()
	if err != nil {
		return err
	}
	go func() {
		select {
		case back := <-c.accepted:
			for {
				message, err := back.Receive(c.ctx)
				if err != nil || back.Send(message) != nil {
					return
				}
			}
		case <-c.ctx.Done():
		}
	}()
	if err = conn.Send([]byte(messageDial)); err != nil {
		return err
	}
	message, err := conn.Receive(c.ctx)
	if err == nil && string(message) != messageDialed {
		err = fmt.Errorf("expected %q, got %q", messageDialed, message)
	}
	return err
}

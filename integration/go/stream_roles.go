package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"interop-go/contract"
	"interop-go/transport"
)

const (
	chunk    = 16 << 10
	slowRate = 64 << 10 // bytes in a second
	slowStep = 8 << 10
	slowTime = 2 * time.Second
	halfRest = 64 << 10
	// Bytes that are lost at a cut and are more than the ring of snet end the session (spec/snet.md 6), so no more than half of
	// the default ring is ever without its echo.
	cutAhead  = 32 << 10
	quietTime = 200 * time.Millisecond
)

type halfCloser interface {
	CloseWrite() error
}

// streamServer echoes each connection until its end.
func (e *endpoint) streamServer(ctx context.Context, stack *transport.Stack) error {
	return e.serve(ctx, stack, func(conn net.Conn) error {
		count, err := io.CopyBuffer(struct{ io.Writer }{conn}, struct{ io.Reader }{conn}, make([]byte, chunk))
		e.logf("stream of %d bytes ended: %v", count, err)
		return nil
	})
}

// sentBytes makes what is written: the seed's bytes in chunks.
type sentBytes struct {
	random *contract.Random
	left   int
}

func (s *sentBytes) next() []byte {
	count := chunk
	if count > s.left {
		count = s.left
	}
	s.left -= count
	bytes := make([]byte, count)
	s.random.Fill(bytes)
	return bytes
}

func (e *endpoint) streamClient(ctx context.Context, stack *transport.Stack) error {
	if e.Case == "stream-half" && !stack.HalfCloses() {
		return contract.Unknown("stream-half over %s", e.Address)
	}
	return e.runAsClient(ctx, func(ctx context.Context) error {
		conn, err := stack.Dial(ctx)
		if e.Case == "route-refused" {
			return expectRefusal(conn, err)
		}
		if err != nil {
			return fmt.Errorf("dial: %w", err)
		}
		defer conn.Close()
		return e.exchange(conn, stack)
	})
}

func expectRefusal(conn net.Conn, err error) error {
	if err == nil {
		conn.Close()
		return errors.New("expected the gateway's refusal, got its success")
	}
	if !errors.Is(err, transport.ErrRefused) {
		return fmt.Errorf("expected the gateway's refusal, got: %w", err)
	}
	return nil
}

func (e *endpoint) exchange(conn net.Conn, stack *transport.Stack) error {
	written := make(chan error, 1)
	finished := make(chan struct{})
	var ahead chan struct{}
	if e.Case == "stream-cut" {
		ahead = make(chan struct{}, cutAhead/chunk)
	}
	go func() {
		defer close(finished)
		err := e.writeAll(conn, ahead)
		if err == nil && e.Case == "stream-half" {
			err = conn.(halfCloser).CloseWrite()
		}
		written <- err
	}()
	if err := e.readAll(conn, stack.Messages(), finished, ahead); err != nil {
		select {
		case wrote := <-written:
			if wrote != nil {
				return fmt.Errorf("%w; and: %v", err, wrote)
			}
		default:
		}
		return err
	}
	if err := <-written; err != nil {
		return err
	}
	return e.expectNoMore(conn)
}

// writeAll is never more than the room in ahead, one for each chunk, in front of the reader, if there is such a bound.
func (e *endpoint) writeAll(conn net.Conn, ahead chan<- struct{}) error {
	bytes := &sentBytes{contract.NewRandom(e.Seed), e.Bytes}
	for bytes.left > 0 {
		if ahead != nil {
			ahead <- struct{}{}
		}
		if _, err := conn.Write(bytes.next()); err != nil {
			return fmt.Errorf("write with %d of %d bytes left: %w", bytes.left, e.Bytes, err)
		}
	}
	return nil
}

// readAll compares with what was written; behind a route gateway, a message's bytes come with the length that the backend saw.
// In stream-half the rest, which has room in sockets, is not read before the end of writing.
func (e *endpoint) readAll(conn net.Conn, messages bool, finished, ahead <-chan struct{}) error {
	wanted := &sentBytes{contract.NewRandom(e.Seed), e.Bytes}
	var reader io.Reader = conn
	if e.Case == "stream-slow" {
		reader = &slowReader{conn, time.Now()}
	}
	for wanted.left > 0 {
		if e.Case == "stream-half" && wanted.left <= halfRest {
			<-finished
		}
		at := e.Bytes - wanted.left
		piece := wanted.next()
		if messages {
			var word [4]byte
			binary.LittleEndian.PutUint32(word[:], uint32(len(piece)))
			piece = append(word[:], piece...)
		}
		came := make([]byte, len(piece))
		count, err := io.ReadFull(reader, came)
		if !bytes.Equal(came[:count], piece[:count]) {
			return fmt.Errorf("expected the bytes from %d on as they were sent, got others", at)
		}
		if err != nil {
			return fmt.Errorf("expected %d bytes, got %d: %w", e.Bytes, at+count, err)
		}
		if ahead != nil {
			<-ahead
		}
	}
	return nil
}

// expectNoMore finds bytes that came twice at the end.
func (e *endpoint) expectNoMore(conn net.Conn) error {
	if e.Case != "stream-half" {
		conn.SetReadDeadline(time.Now().Add(quietTime))
	}
	var more [1]byte
	var timeout net.Error
	count, err := conn.Read(more[:])
	switch {
	case count > 0:
		return fmt.Errorf("expected %d bytes, got more", e.Bytes)
	case e.Case == "stream-half" && !errors.Is(err, io.EOF):
		return fmt.Errorf("expected the end of the stream, got: %w", err)
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, io.EOF):
		return nil
	default:
		return fmt.Errorf("expected silence, got: %w", err)
	}
}

// slowReader takes slowRate for slowTime, then all it can.
type slowReader struct {
	conn  io.Reader
	began time.Time
}

func (s *slowReader) Read(out []byte) (int, error) {
	if time.Since(s.began) < slowTime {
		time.Sleep(time.Second * slowStep / slowRate)
		if len(out) > slowStep {
			out = out[:slowStep]
		}
	}
	return s.conn.Read(out)
}

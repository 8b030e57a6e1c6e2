package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"time"

	"interop-go/teleport"
	"interop-go/transport"
)

const (
	routeEcho   = "/interop/echo"
	routeLength = "/interop/length"
	routeFail   = "/interop/fail"
	routeQuery  = "/interop/query"
	routeSlow   = "/interop/slow"
	routeNote   = "/interop/note"
	routeNotes  = "/interop/notes"
	routeBack   = "/interop/back"

	failText     = "interop"
	limitOfCase  = 65536
	slowestReply = time.Minute
)

func answerText(call *teleport.Call, text string) teleport.Answer {
	return teleport.Answer{Code: teleport.StatusOK, Status: "OK", Body: teleport.TextBody(replyCodec(call.Body), text)}
}

func answerNumber(call *teleport.Call, number int64) teleport.Answer {
	return teleport.Answer{Code: teleport.StatusOK, Status: "OK", Body: teleport.NumberBody(replyCodec(call.Body), number)}
}

// replyCodec is the request's, else JSON (spec/teleport.md 5).
func replyCodec(request teleport.Body) byte {
	switch request.Codec {
	case teleport.CodecProtobuf, teleport.CodecPlain:
		return request.Codec
	default:
		return teleport.CodecJSON
	}
}

// pulls are what both sides of every session offer.
func (e *endpoint) pulls() map[string]teleport.Pull {
	return map[string]teleport.Pull{
		routeEcho: {Takes: teleport.TakesAny, Handle: func(_ context.Context, call *teleport.Call) teleport.Answer {
			return teleport.Answer{Code: teleport.StatusOK, Status: "OK", Body: call.Body}
		}},
		routeLength: {Takes: teleport.TakesText, Handle: func(_ context.Context, call *teleport.Call) teleport.Answer {
			return answerNumber(call, int64(len(call.Text)))
		}},
		routeFail: {Takes: teleport.TakesNumber, Handle: func(_ context.Context, call *teleport.Call) teleport.Answer {
			if call.Number < math.MinInt32 || call.Number > math.MaxInt32 {
				return teleport.Answer{Code: teleport.StatusBadRequest, Status: "no status code"}
			}
			return teleport.Answer{Code: int32(call.Number), Status: failText}
		}},
		routeQuery: {Takes: teleport.TakesAny, Handle: func(_ context.Context, call *teleport.Call) teleport.Answer {
			return answerText(call, call.Query.Get("q"))
		}},
		routeSlow: {Takes: teleport.TakesNumber, Handle: func(ctx context.Context, call *teleport.Call) teleport.Answer {
			if call.Number < 0 || call.Number > slowestReply.Milliseconds() {
				return teleport.Answer{Code: teleport.StatusBadRequest, Status: "too slow"}
			}
			select {
			case <-time.After(time.Duration(call.Number) * time.Millisecond):
			case <-ctx.Done():
			}
			return answerNumber(call, call.Number)
		}},
		routeNotes: {Takes: teleport.TakesAny, Handle: func(_ context.Context, call *teleport.Call) teleport.Answer {
			return answerNumber(call, int64(call.Session.Notes.Count()))
		}},
		routeBack: {Takes: teleport.TakesAny, Handle: func(ctx context.Context, call *teleport.Call) teleport.Answer {
			answer, err := call.Session.Pull(ctx, routeEcho, call.Body)
			if err != nil {
				return teleport.Answer{Code: 1, Status: err.Error()}
			}
			return answer
		}},
	}
}

func (e *endpoint) sessionOptions() teleport.Options {
	options := teleport.Options{
		Version:     e.Version,
		HeaderCodec: teleport.CodecJSON,
		Gzip:        int32(e.Gzip),
		Pulls:       e.pulls(),
		Pushes: map[string]teleport.Push{
			routeNote: {Takes: teleport.TakesText, Handle: func(call *teleport.Call) { call.Session.Notes.Add(call.Text) }},
		},
	}
	if e.Header == "protobuf" {
		options.HeaderCodec = teleport.CodecProtobuf
	}
	return options
}

func (e *endpoint) bodyCodec() byte {
	switch e.Codec {
	case "protobuf":
		return teleport.CodecProtobuf
	case "plain":
		return teleport.CodecPlain
	default:
		return teleport.CodecJSON
	}
}

// teleportServer answers until ctx ends. Bytes that are no packets are a broken promise, unless the case is about them.
func (e *endpoint) teleportServer(ctx context.Context, stack *transport.Stack) error {
	options := e.sessionOptions()
	expectsBadBytes := e.Case == "bad-body" || e.Case == "limit"
	if e.Case == "limit" {
		options.Limit = limitOfCase
	}
	return e.serve(ctx, stack, func(conn net.Conn) error {
		err := teleport.NewSession(conn, options).Run(ctx)
		if errors.Is(err, teleport.ErrMalformed) && !expectsBadBytes {
			return fmt.Errorf("expected packets, got: %w", err)
		}
		if err != nil {
			e.logf("session ended: %v", err)
		}
		return nil
	})
}

// serve accepts until ctx ends, which closes what is open. The first error of a handler is what the server ends with.
func (e *endpoint) serve(ctx context.Context, stack *transport.Stack, handle func(net.Conn) error) error {
	listener, err := stack.Listen()
	if err != nil {
		return err
	}
	go func() {
		<-ctx.Done()
		listener.Close()
	}()
	e.ready(listener.Addr())

	var broken firstError
	var handlers sync.WaitGroup
	for {
		conn, err := listener.Accept()
		if err != nil {
			handlers.Wait()
			if ctx.Err() != nil {
				return broken.get()
			}
			return err
		}
		handlers.Add(1)
		done := make(chan struct{})
		go func() {
			select {
			case <-ctx.Done():
				conn.Close()
			case <-done:
			}
		}()
		go func() {
			defer handlers.Done()
			defer conn.Close()
			defer close(done)
			if err := handle(conn); err != nil {
				e.logf("broken promise: %v", err)
				broken.set(err)
			}
		}()
	}
}

// firstError is what a server ends with.
type firstError struct {
	mutex sync.Mutex
	err   error
}

func (f *firstError) set(err error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *firstError) get() error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.err
}

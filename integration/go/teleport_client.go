package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"net/url"
	"sync"
	"time"

	"interop-go/contract"
	"interop-go/teleport"
	"interop-go/transport"
)

const (
	passesLimit  = 60000
	exceedsLimit = 70000
	badBodyTime  = 5 * time.Second
)

var queryValues = []string{
	"plain",
	"",
	"100% & a=b é世界",
	"a+b/c?d#e;f",
	"\"<>'\\",
}

// caller is the client's side of one session.
type caller struct {
	*endpoint
	ctx     context.Context
	session *teleport.Session
	random  *contract.Random
}

func (e *endpoint) teleportClient(ctx context.Context, stack *transport.Stack) error {
	return e.runAsClient(ctx, func(ctx context.Context) error {
		random := contract.NewRandom(e.Seed)
		c, err := e.call(ctx, stack, random)
		if err != nil {
			return err
		}
		defer c.session.Close()
		if e.Case == "limit" {
			return c.limit(stack)
		}
		return map[string]func() error{
			"echo":       c.echo,
			"large":      func() error { return c.echoText(routeEcho, random.Text(e.Bytes)) },
			"concurrent": c.concurrent,
			"order":      c.order,
			"push":       c.push,
			"status":     c.status,
			"not-found":  c.notFound,
			"bad-body":   c.badBody,
			"query":      c.query,
			"back":       c.back,
		}[e.Case]()
	})
}

func (e *endpoint) call(ctx context.Context, stack *transport.Stack, random *contract.Random) (*caller, error) {
	conn, err := stack.Dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	c := &caller{endpoint: e, ctx: ctx, session: teleport.NewSession(conn, e.sessionOptions()), random: random}
	go func() {
		if err := c.session.Run(ctx); err != nil {
			e.logf("session ended: %v", err)
		}
	}()
	return c, nil
}

func (c *caller) text(text string) teleport.Body { return teleport.TextBody(c.bodyCodec(), text) }
func (c *caller) number(number int64) teleport.Body {
	return teleport.NumberBody(c.bodyCodec(), number)
}

// pull expects success.
func (c *caller) pull(uri string, body teleport.Body) (teleport.Body, error) {
	answer, err := c.session.Pull(c.ctx, uri, body)
	return c.success(uri, answer, err)
}

func (c *caller) success(uri string, answer teleport.Answer, err error) (teleport.Body, error) {
	if err == nil && (answer.Code != teleport.StatusOK || answer.Status != "OK") {
		err = fmt.Errorf("expected status 200 OK, got %d %q", answer.Code, answer.Status)
	}
	if err == nil && answer.Body.There && len(answer.Body.Data) > 0 && answer.Body.Codec != c.bodyCodec() {
		err = fmt.Errorf("expected a body in codec %q, got %q", c.bodyCodec(), answer.Body.Codec)
	}
	if err != nil {
		return teleport.Body{}, fmt.Errorf("pull of %s: %w", uri, err)
	}
	return answer.Body, nil
}

func (c *caller) echoText(route, text string) error {
	body, err := c.pull(route, c.text(text))
	if err != nil {
		return err
	}
	came, err := body.Text()
	if err == nil && came != text {
		err = fmt.Errorf("expected the text of %d bytes back, got another one of %d", len(text), len(came))
	}
	return err
}

func (c *caller) expectNumber(route string, body teleport.Body, wanted int64) error {
	body, err := c.pull(route, body)
	if err != nil {
		return err
	}
	came, err := body.Number()
	if err == nil && came != wanted {
		err = fmt.Errorf("pull of %s: expected %d, got %d", route, wanted, came)
	}
	return err
}

func (c *caller) echo() error {
	for i := 0; i < c.Count; i++ {
		if err := c.echoText(routeEcho, c.random.Text(c.random.Length(c.Bytes))); err != nil {
			return fmt.Errorf("echo %d: %w", i, err)
		}
	}
	return nil
}

// concurrent sends the lengths in an order of their own, so that an answer given to its neighbour shows.
func (c *caller) concurrent() error {
	lengths := rand.New(rand.NewSource(int64(c.Seed))).Perm(c.Count)
	failures := make(chan error, c.Count)
	var started sync.WaitGroup
	started.Add(c.Count)
	for _, length := range lengths {
		body := c.text(c.random.Text(length))
		go func(length int) {
			started.Done()
			started.Wait()
			failures <- c.expectNumber(routeLength, body, int64(length))
		}(length)
	}
	for range lengths {
		if err := <-failures; err != nil {
			return err
		}
	}
	return nil
}

func (c *caller) order() error {
	slow, err := c.session.Begin(routeSlow, c.number(300))
	if err != nil {
		return err
	}
	fast, err := c.session.Begin(routeSlow, c.number(0))
	if err != nil {
		return err
	}
	// The one that comes first finds the channel empty.
	first := make(chan int64, 1)
	failures := make(chan error, 2)
	wait := func(pending *teleport.Pending, wanted int64) {
		answer, err := pending.Wait(c.ctx)
		select {
		case first <- wanted:
		default:
		}
		body, err := c.success(routeSlow, answer, err)
		var came int64
		if err == nil {
			came, err = body.Number()
		}
		if err == nil && came != wanted {
			err = fmt.Errorf("pull of %s: expected %d, got %d", routeSlow, wanted, came)
		}
		failures <- err
	}
	go wait(slow, 300)
	go wait(fast, 0)
	for i := 0; i < 2; i++ {
		if err := <-failures; err != nil {
			return err
		}
	}
	if <-first != 0 {
		return errors.New("expected the answer to the second pull first, got that to the first")
	}
	return nil
}

func (c *caller) push() error {
	for i := 0; i < c.Count; i++ {
		if err := c.session.Push(routeNote, c.text(c.random.Text(c.random.Length(c.Bytes)))); err != nil {
			return fmt.Errorf("push %d: %w", i, err)
		}
	}
	return c.expectNumber(routeNotes, c.text(""), int64(c.Count))
}

// expectStatus also expects the session to go on.
func (c *caller) expectStatus(uri string, body teleport.Body, code int32, text string) error {
	answer, err := c.session.Pull(c.ctx, uri, body)
	if err != nil {
		return fmt.Errorf("pull of %s: %w", uri, err)
	}
	if answer.Code != code || (text != "" && answer.Status != text) {
		return fmt.Errorf("pull of %s: expected status %d %q, got %d %q", uri, code, text, answer.Code, answer.Status)
	}
	return c.echoText(routeEcho, "and on it goes")
}

func (c *caller) status() error {
	for _, code := range []int32{1001, 599, -7} {
		if err := c.expectStatus(routeFail, c.number(int64(code)), code, failText); err != nil {
			return err
		}
	}
	return nil
}

func (c *caller) notFound() error {
	return c.expectStatus("/interop/absent", c.text("nobody is there"), teleport.StatusNotFound, "")
}

// badBody breaks the body in the codec. Plain text cannot be broken: there the header says gzip, and the body is none.
func (c *caller) badBody() error {
	ctx, cancel := context.WithTimeout(c.ctx, badBodyTime)
	defer cancel()
	level := int32(0)
	bytes := map[byte]string{
		teleport.CodecJSON:     `"no end`,
		teleport.CodecProtobuf: "\x0a\x7f" + "short",
		teleport.CodecPlain:    "this is no gzip",
	}[c.bodyCodec()]
	if c.bodyCodec() == teleport.CodecPlain {
		level = 1
	}
	answer, err := c.pullRaw(ctx, routeLength, level, teleport.Body{There: true, Codec: c.bodyCodec(), Data: []byte(bytes)})
	switch {
	case errors.Is(err, teleport.ErrEnded):
		return nil
	case err != nil:
		return fmt.Errorf("expected an error status or the end of the session within %v, got: %w", badBodyTime, err)
	case answer.Code == teleport.StatusOK:
		return errors.New("expected an error status or the end of the session, got success")
	default:
		return nil
	}
}

// pullRaw sends the body's bytes as they are, whatever the level says.
func (c *caller) pullRaw(ctx context.Context, uri string, level int32, body teleport.Body) (teleport.Answer, error) {
	pending, err := c.session.BeginWith(uri, level, func(packet *teleport.Packet) error {
		packet.HasBody, packet.BodyCodec, packet.Raw = body.There, body.Codec, body.Data
		return nil
	})
	if err != nil {
		return teleport.Answer{}, err
	}
	return pending.Wait(ctx)
}

func (c *caller) query() error {
	for _, value := range queryValues {
		body, err := c.pull(routeQuery+"?q="+url.QueryEscape(value), c.text(""))
		if err != nil {
			return err
		}
		came, err := body.Text()
		if err == nil && came != value {
			err = fmt.Errorf("query: expected %q, got %q", value, came)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *caller) back() error {
	for i := 0; i < c.Count; i++ {
		if err := c.echoText(routeBack, c.random.Text(c.random.Length(c.Bytes))); err != nil {
			return fmt.Errorf("back %d: %w", i, err)
		}
	}
	return nil
}

// limit sends without compression: the limit counts what travels, and letters compress below it.
func (c *caller) limit(stack *transport.Stack) error {
	if err := c.echoText(routeEcho, c.random.Text(passesLimit)); err != nil {
		return err
	}
	beside, err := c.endpoint.call(c.ctx, stack, c.random)
	if err != nil {
		return err
	}
	defer beside.session.Close()
	if err = beside.echoText(routeEcho, "before"); err != nil {
		return err
	}
	large := c.text(c.random.Text(exceedsLimit))
	answer, err := c.pullRaw(c.ctx, routeEcho, 0, large)
	if !errors.Is(err, teleport.ErrEnded) {
		return fmt.Errorf("expected the end of the session for %d bytes, got status %d, %v", exceedsLimit, answer.Code, err)
	}
	if err = beside.echoText(routeEcho, "after"); err != nil {
		return fmt.Errorf("a session beside: %w", err)
	}
	later, err := c.endpoint.call(c.ctx, stack, c.random)
	if err != nil {
		return err
	}
	defer later.session.Close()
	return later.echoText(routeEcho, "second")
}

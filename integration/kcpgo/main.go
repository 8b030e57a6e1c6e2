// Command interop-kcp-go plays the stream roles of CONTRACT.md on kcp-go itself, so that wayport's KCP meets the original.
// It reads addresses as spec/address.md says: kcp://HOST:PORT?..., and dialing route+kcp://GATEWAY:PORT/HOST:PORT?...
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/xtaci/kcp-go"
)

const (
	pass         = 0
	fail         = 1
	notSupported = 127

	chunk          = 16 << 10
	slowRate       = 64 << 10 // bytes in a second
	slowStep       = 8 << 10
	slowTime       = 2 * time.Second
	quietTime      = 200 * time.Millisecond
	largestSuccess = 64 << 10
	refusal        = "error"
)

var errRefused = errors.New("refused by the gateway")

// unsupported is what this program does not have.
type unsupported string

func (u unsupported) Error() string { return "not supported: " + string(u) }

// random is the generator of the contract.
type random uint32

func newRandom(seed uint32) *random {
	if seed == 0 {
		seed = 1
	}
	r := random(seed)
	return &r
}

func (r *random) fill(bytes []byte) {
	x := uint32(*r)
	for i := range bytes {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		bytes[i] = byte(x)
	}
	*r = random(x)
}

type settings struct {
	role, name string
	seed       uint32
	timeout    time.Duration
	bytes      int
}

func number(name string, otherwise, most uint64) (uint64, error) {
	text := os.Getenv(name)
	if text == "" {
		return otherwise, nil
	}
	value, err := strconv.ParseUint(text, 10, 64)
	if err == nil && value > most {
		err = fmt.Errorf("above %d", most)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %v", name, err)
	}
	return value, nil
}

func readSettings() (settings, error) {
	s := settings{role: os.Getenv("INTEROP_ROLE"), name: os.Getenv("INTEROP_CASE")}
	seed, err := number("INTEROP_SEED", 1, 1<<32-1)
	if err != nil {
		return s, err
	}
	timeout, err := number("INTEROP_TIMEOUT", 30, 24*60*60)
	if err != nil {
		return s, err
	}
	count, err := number("INTEROP_BYTES", 1000, 1<<40)
	s.seed, s.timeout, s.bytes = uint32(seed), time.Duration(timeout)*time.Second, int(count)
	return s, err
}

func run(ctx context.Context) error {
	s, err := readSettings()
	if err != nil {
		return err
	}
	isServer := s.role == "stream-server"
	if !isServer && s.role != "stream-client" {
		return unsupported("role " + s.role)
	}
	if s.name != "stream" && s.name != "stream-slow" && s.name != "route-refused" {
		return unsupported("case " + s.name)
	}
	a, err := parseAddress(os.Getenv("INTEROP_ADDRESS"))
	if err != nil {
		return err
	}
	if isServer {
		return serve(ctx, a)
	}
	return dialAndExchange(ctx, s, a)
}

// serve echoes every session; there is no end of a stream in KCP, so sessions stay until the program ends.
func serve(ctx context.Context, a *address) error {
	if a.backend != "" {
		return unsupported("listening on route")
	}
	listener, err := kcp.ListenWithOptions(net.JoinHostPort(a.host, a.port), a.block, a.data, a.parity)
	if err != nil {
		return err
	}
	if err = a.buffers(listener); err != nil {
		return err
	}
	go func() {
		<-ctx.Done()
		listener.Close()
	}()
	fmt.Println("READY")
	for {
		session, err := listener.AcceptKCP()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		a.tune(session)
		go func() {
			count, err := io.CopyBuffer(struct{ io.Writer }{session}, struct{ io.Reader }{session}, make([]byte, chunk))
			fmt.Fprintf(os.Stderr, "session of %d bytes ended: %v\n", count, err)
			session.Close()
		}()
	}
}

func dialAndExchange(ctx context.Context, s settings, a *address) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	started := time.Now()
	session, err := kcp.DialWithOptions(net.JoinHostPort(a.host, a.port), a.block, a.data, a.parity)
	if err != nil {
		return fmt.Errorf("dial: %v", err)
	}
	defer session.Close()
	if err = a.buffers(session); err != nil {
		return err
	}
	a.tune(session)
	deadline, _ := ctx.Deadline()
	if err = session.SetDeadline(deadline); err != nil {
		return err
	}
	if a.backend != "" {
		err = ask(session, a.backend)
	}
	switch {
	case s.name == "route-refused" && err == nil:
		return errors.New("expected the gateway's refusal, got its success")
	case s.name == "route-refused" && errors.Is(err, errRefused):
		return nil
	case err != nil:
		return err
	}
	if err = exchange(session, s); err != nil {
		return err
	}
	fmt.Printf("RESULT {\"bytes\":%d,\"case\":\"%s\",\"milliseconds\":%d}\n", s.bytes, s.name, time.Since(started).Milliseconds())
	return nil
}

// ask names the backend at a route gateway (spec/route.md 1), and reads its answer and not a byte more.
func ask(conn io.ReadWriter, backend string) error {
	frame := make([]byte, 4, 4+len(backend))
	binary.LittleEndian.PutUint32(frame, uint32(len(backend)))
	if _, err := conn.Write(append(frame, backend...)); err != nil {
		return err
	}
	var word [4]byte
	if _, err := io.ReadFull(conn, word[:]); err != nil {
		return fmt.Errorf("no answer: %v", err) // plain KCP has no end, so silence may be anything
	}
	if string(word[:]) == refusal[:4] {
		return errRefused
	}
	length := binary.LittleEndian.Uint32(word[:])
	if length > largestSuccess {
		return fmt.Errorf("success message of %d bytes", length)
	}
	_, err := io.ReadFull(conn, make([]byte, length))
	return err
}

// exchange sends the seed's bytes while it reads them back, and compares each.
func exchange(session *kcp.UDPSession, s settings) error {
	written := make(chan error, 1)
	go func() {
		source, buffer := newRandom(s.seed), make([]byte, chunk)
		for left := s.bytes; left > 0; {
			piece := buffer[:least(chunk, left)]
			source.fill(piece)
			if _, err := session.Write(piece); err != nil {
				written <- fmt.Errorf("write with %d of %d bytes left: %v", left, s.bytes, err)
				return
			}
			left -= len(piece)
		}
		written <- nil
	}()

	wanted, buffer, came := newRandom(s.seed), make([]byte, chunk), make([]byte, chunk)
	began := time.Now()
	for at := 0; at < s.bytes; {
		size := least(chunk, s.bytes-at)
		if s.name == "stream-slow" && time.Since(began) < slowTime {
			time.Sleep(time.Second * slowStep / slowRate)
			size = least(slowStep, size)
		}
		wanted.fill(buffer[:size])
		count, err := io.ReadFull(session, came[:size])
		if !bytes.Equal(came[:count], buffer[:count]) {
			return fmt.Errorf("expected the bytes from %d on as they were sent, got others", at)
		}
		if err != nil {
			return fmt.Errorf("expected %d bytes, got %d: %v", s.bytes, at+count, err)
		}
		at += size
	}
	if err := <-written; err != nil {
		return err
	}
	if err := session.SetReadDeadline(time.Now().Add(quietTime)); err != nil {
		return err
	}
	if count, _ := session.Read(came[:1]); count > 0 {
		return fmt.Errorf("expected %d bytes, got more", s.bytes)
	}
	return nil
}

func least(a, b int) int {
	if a < b {
		return a
	}
	return b
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	err := run(ctx)
	if err == nil {
		os.Exit(pass)
	}
	fmt.Fprintln(os.Stderr, err)
	var missing unsupported
	if errors.As(err, &missing) {
		os.Exit(notSupported)
	}
	os.Exit(fail)
}

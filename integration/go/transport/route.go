package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	identifyHeader  = "server-identify"
	largestIdentify = 4096
	largestSuccess  = 64 << 10
	refusal         = "error"
)

// ErrRefused is wrapped by the errors of a route gateway that answered, but not with success.
var ErrRefused = errors.New("refused by the gateway")

// dialRoute is the client of spec/route.md.
func (s *Stack) dialRoute(ctx context.Context, layers []string) (net.Conn, error) {
	identify, err := s.identify()
	if err != nil {
		return nil, err
	}
	success, err := s.address.Size("success", largestSuccess)
	if err != nil {
		return nil, err
	}
	if layers[0] == "ws" {
		return s.dialRouteOverWebSocket(ctx, layers[1:], identify, success)
	}
	conn, err := s.dial(ctx, layers)
	if err != nil {
		return nil, err
	}
	if until, there := ctx.Deadline(); there {
		conn.SetDeadline(until)
	}
	if err = ask(conn, identify, success); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, conn.SetDeadline(time.Time{})
}

// identify is what names the backend: exactly one of the path and the parameters.
func (s *Stack) identify() (string, error) {
	var named []string
	if path := s.address.Path; path != "" && path != "/" && !s.Has("unix") {
		named = append(named, strings.TrimPrefix(path, "/"))
	}
	for _, key := range []string{"identify", "token"} {
		if text := s.address.Text(key, ""); text != "" {
			named = append(named, text)
		}
	}
	if file := s.address.Text("token_file", ""); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		named = append(named, strings.TrimSpace(string(text)))
	}
	if len(named) != 1 {
		return "", fmt.Errorf("address: the backend is named %d times", len(named))
	}
	if len(named[0]) > largestIdentify {
		return "", fmt.Errorf("address: identify of %d bytes", len(named[0]))
	}
	return named[0], nil
}

// Identify is the frame that names the backend.
func Identify(text string) []byte {
	frame := make([]byte, 4, 4+len(text))
	binary.LittleEndian.PutUint32(frame, uint32(len(text)))
	return append(frame, text...)
}

// ask does not read a byte more than the answer has.
func ask(conn io.ReadWriter, identify string, success int64) error {
	if _, err := conn.Write(Identify(identify)); err != nil {
		return err
	}
	var word [4]byte
	if _, err := io.ReadFull(conn, word[:]); err != nil {
		return ended("before an answer", err)
	}
	if string(word[:]) == refusal[:4] {
		return fmt.Errorf("%w: %s", ErrRefused, refusal)
	}
	length := int64(binary.LittleEndian.Uint32(word[:]))
	if length > success {
		return fmt.Errorf("route: success message of %d bytes", length)
	}
	if _, err := io.CopyN(io.Discard, conn, length); err != nil {
		return ended("inside the answer", err)
	}
	return nil
}

// ended is a refusal, unless it was only that time was over.
func ended(where string, err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("route: no answer in time: %w", err)
	}
	return fmt.Errorf("%w: end %s: %v", ErrRefused, where, err)
}

func (s *Stack) dialRouteOverWebSocket(ctx context.Context, layers []string, identify string, success int64) (net.Conn, error) {
	reached := false
	below := func(ctx context.Context) (net.Conn, error) {
		conn, err := s.dial(ctx, layers)
		reached = err == nil
		return conn, err
	}
	conn, err := s.dialWebSocket(ctx, below, http.Header{identifyHeader: []string{identify}})
	if err != nil && reached {
		err = ended("before the upgrade", err)
	}
	if err != nil {
		return nil, err
	}
	stream := conn.(*webSocket)
	if until, there := ctx.Deadline(); there {
		stream.SetReadDeadline(until)
	}
	_, first, err := stream.NextReader()
	var message []byte
	if err == nil {
		message, err = io.ReadAll(io.LimitReader(first, success+1))
	}
	switch {
	case err != nil:
		err = ended("before the first message", err)
	case string(message) == refusal:
		err = fmt.Errorf("%w: %s", ErrRefused, refusal)
	case int64(len(message)) > success:
		err = fmt.Errorf("route: success message of more than %d bytes", success)
	}
	if err != nil {
		stream.Close()
		return nil, err
	}
	return stream, stream.SetReadDeadline(time.Time{})
}

package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"interop-go/contract"
)

const (
	largestMessage = 1 << 20
	writtenMessage = 64 << 10
	closeWait      = time.Second
	largestHead    = 16 << 10
)

// webSocket is a byte stream over messages (spec/ws.md 3): borders mean nothing, empty messages vanish.
type webSocket struct {
	*websocket.Conn
	takesText bool

	reading sync.Mutex
	message io.Reader

	writing sync.Mutex
	once    sync.Once
}

func (s *Stack) newWebSocket(conn *websocket.Conn) (*webSocket, error) {
	most, err := s.address.Size("message", largestMessage)
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(most)
	takesText, err := s.address.Flag("text", false)
	return &webSocket{Conn: conn, takesText: takesText}, err
}

func (w *webSocket) Read(out []byte) (int, error) {
	w.reading.Lock()
	defer w.reading.Unlock()
	for {
		if w.message == nil {
			if err := w.next(); err != nil {
				return 0, err
			}
		}
		count, err := w.message.Read(out)
		if errors.Is(err, io.EOF) {
			w.message, err = nil, nil
		}
		if count > 0 || err != nil || len(out) == 0 {
			return count, err
		}
	}
}

func (w *webSocket) next() error {
	kind, message, err := w.NextReader()
	if websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseNoStatusReceived) {
		return io.EOF
	}
	if err != nil {
		return err
	}
	if kind == websocket.TextMessage && !w.takesText {
		w.sendClose(websocket.CloseUnsupportedData)
		return errors.New("websocket: text where only binary is taken")
	}
	w.message = message
	return nil
}

func (w *webSocket) Write(data []byte) (int, error) {
	w.writing.Lock()
	defer w.writing.Unlock()
	written := 0
	for written < len(data) {
		piece := data[written:]
		if len(piece) > writtenMessage {
			piece = piece[:writtenMessage]
		}
		if err := w.WriteMessage(websocket.BinaryMessage, piece); err != nil {
			return written, err
		}
		written += len(piece)
	}
	return written, nil
}

func (w *webSocket) sendClose(code int) {
	w.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(closeWait))
}

// Close says goodbye, and gives the peer a moment to do so too.
func (w *webSocket) Close() error {
	var err error
	w.once.Do(func() {
		w.sendClose(websocket.CloseNormalClosure)
		w.Conn.SetReadDeadline(time.Now().Add(closeWait))
		if w.reading.TryLock() {
			for ended := error(nil); ended == nil; {
				_, _, ended = w.NextReader()
			}
			w.reading.Unlock()
		}
		err = w.Conn.Close()
	})
	return err
}

func (w *webSocket) SetDeadline(at time.Time) error {
	if err := w.SetReadDeadline(at); err != nil {
		return err
	}
	return w.SetWriteDeadline(at)
}

// errStatus is a handshake that was answered with another status than 101.
type errStatus struct {
	status string
}

func (e *errStatus) Error() string { return "websocket: answered with " + e.status }

// dialWebSocket adds header to the request, which is how a route gateway is told the backend.
func (s *Stack) dialWebSocket(ctx context.Context, below func(context.Context) (net.Conn, error), header http.Header) (net.Conn, error) {
	if header == nil {
		header = http.Header{}
	}
	for _, line := range s.address.All("header") {
		at := strings.IndexByte(line, ':')
		if at < 1 {
			return nil, fmt.Errorf("address: header=%s has no colon", line)
		}
		header.Add(line[:at], strings.TrimSpace(line[at+1:]))
	}
	target := s.address.Path
	if s.Has("unix") || s.layers[0] == "route" {
		target = ""
	}
	target = s.address.Text("target", target)
	if target == "" {
		target = "/"
	}
	asked, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("address: target: %w", err)
	}
	asked.Scheme, asked.Host = "ws", s.webHost()
	if query := s.address.Text("query", ""); query != "" {
		asked.RawQuery = query
	}
	if host := s.address.Text("host", ""); host != "" {
		header.Set("Host", host)
	}
	dialer := websocket.Dialer{
		NetDialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return below(ctx) },
		Subprotocols:   s.address.All("protocol"),
	}
	conn, response, err := dialer.DialContext(ctx, asked.String(), header)
	if err != nil {
		if errors.Is(err, websocket.ErrBadHandshake) && response != nil {
			return nil, &errStatus{response.Status}
		}
		return nil, err
	}
	return s.newWebSocket(conn)
}

func (s *Stack) webHost() string {
	switch {
	case s.Has("unix"):
		return "localhost"
	case s.address.Port == "" && strings.Contains(s.address.Host, ":"):
		return "[" + s.address.Host + "]"
	case s.address.Port == "":
		return s.address.Host
	default:
		return s.address.HostPort("")
	}
}

// webListener upgrades what an HTTP server accepts.
type webListener struct {
	below  net.Listener
	server *http.Server
	opened chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (s *Stack) listenWebSocket(below net.Listener) (net.Listener, error) {
	for _, key := range []string{"header", "query", "host"} {
		if s.address.Text(key, "") != "" {
			return nil, contract.Unknown("parameter %s of a listener", key)
		}
	}
	listener := &webListener{below: below, opened: make(chan net.Conn), closed: make(chan struct{})}
	path := s.address.Path
	if s.Has("unix") {
		path = ""
	}
	path = s.address.Text("target", path)
	upgrader := websocket.Upgrader{Subprotocols: s.address.All("protocol")}
	upgrade := func(answer http.ResponseWriter, request *http.Request) {
		if path != "" && request.URL.Path != path {
			http.NotFound(answer, request)
			return
		}
		conn, err := upgrader.Upgrade(answer, request, nil)
		if err != nil {
			return // the client was told
		}
		stream, err := s.newWebSocket(conn)
		if err != nil {
			conn.Close()
			return
		}
		select {
		case listener.opened <- stream:
		case <-listener.closed:
			stream.Close()
		}
	}
	listener.server = &http.Server{
		Handler:           http.HandlerFunc(upgrade),
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    largestHead,
	}
	go func() {
		listener.server.Serve(below)
		listener.Close()
	}()
	return listener, nil
}

func (l *webListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.opened:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *webListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.server.Close()
}

func (l *webListener) Addr() net.Addr { return l.below.Addr() }

// Package transport dials and listens on stacks of layers: tcp, unix, tls, snet, ws, wss and, dialing, route.
package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"interop-go/address"
	"interop-go/contract"
	"interop-go/snet"
)

// Where the runner puts certificates; `cert`, `key` and `ca` of an address say otherwise.
const (
	certificateFile = "/certs/cert.pem"
	keyFile         = "/certs/key.pem"
	authorityFile   = "/certs/ca.pem"
)

// Stack is an address whose layers are all known here, the implied ones written out.
type Stack struct {
	address *address.Address
	layers  []string // outermost first; the last one is tcp or unix
}

var parameters = map[string][]string{
	"tcp":   {"nodelay", "keepalive", "sndbuf", "rcvbuf"},
	"unix":  {"mode"},
	"tls":   {"cert", "key", "ca", "alpn", "name", "insecure"},
	"snet":  {"encrypt", "buffer", "wait", "peer_buffer"},
	"ws":    {"message", "text", "ping", "ping_timeout", "close_wait", "protocol", "target", "header", "query", "host"},
	"route": {"identify", "token", "token_file", "success", "target"},
}

var repeated = map[string]bool{"protocol": true, "header": true}

// Parse refuses what this implementation does not have as not supported.
func Parse(text string) (*Stack, error) {
	parsed, err := address.Parse(text)
	if err != nil {
		return nil, err
	}
	var layers []string
	for index, layer := range parsed.Layers {
		if layer == "wss" {
			if index != len(parsed.Layers)-1 {
				return nil, fmt.Errorf("address: wss has no layers below")
			}
			layers = append(layers, "ws", "tls")
			continue
		}
		layers = append(layers, layer)
	}
	if last := layers[len(layers)-1]; last != "tcp" && last != "unix" {
		layers = append(layers, "tcp")
	}
	known := map[string]bool{}
	for index, layer := range layers {
		names, there := parameters[layer]
		isLast := index == len(layers)-1
		if !there || isLast != (layer == "tcp" || layer == "unix") {
			return nil, contract.Unknown("layer %s in %s", layer, strings.Join(layers, "+"))
		}
		if layer == "route" && index != 0 {
			return nil, contract.Unknown("route below another layer")
		}
		for _, name := range names {
			known[name] = true
		}
	}
	for _, key := range parsed.Keys() {
		if !known[key] {
			return nil, contract.Unknown("parameter %s of %s", key, strings.Join(layers, "+"))
		}
		if !repeated[key] && len(parsed.All(key)) > 1 {
			return nil, fmt.Errorf("address: parameter %s is repeated", key)
		}
	}
	return &Stack{parsed, layers}, nil
}

// Has says whether a layer is part of the stack.
func (s *Stack) Has(layer string) bool {
	for _, one := range s.layers {
		if one == layer {
			return true
		}
	}
	return false
}

// Messages says whether the peer behind a route gateway sees a length in front of each message (spec/route.md 1).
func (s *Stack) Messages() bool {
	return s.layers[0] == "route" && s.layers[1] == "ws"
}

// HalfCloses says whether the end of writing can be told while reading goes on.
func (s *Stack) HalfCloses() bool {
	return !s.Has("snet") && !s.Has("ws")
}

// Dial connects all layers; ctx bounds it.
func (s *Stack) Dial(ctx context.Context) (net.Conn, error) {
	return s.dial(ctx, s.layers)
}

func (s *Stack) dial(ctx context.Context, layers []string) (net.Conn, error) {
	below := func(ctx context.Context) (net.Conn, error) { return s.dial(ctx, layers[1:]) }
	switch layers[0] {
	case "tcp":
		return s.dialTCP(ctx)
	case "unix":
		return (&net.Dialer{}).DialContext(ctx, "unix", s.address.Path)
	case "snet":
		options, err := s.snetOptions()
		if err != nil {
			return nil, err
		}
		return snet.Dial(ctx, below, options)
	case "tls":
		return s.dialTLS(ctx, below)
	case "ws":
		return s.dialWebSocket(ctx, below, nil)
	default:
		return s.dialRoute(ctx, layers[1:])
	}
}

// Listen opens the listener; routes are dialed only.
func (s *Stack) Listen() (net.Listener, error) {
	return s.listen(s.layers)
}

func (s *Stack) listen(layers []string) (net.Listener, error) {
	switch layers[0] {
	case "tcp":
		return s.listenTCP()
	case "unix":
		return net.Listen("unix", s.address.Path)
	case "route":
		return nil, contract.Unknown("listening on route")
	}
	below, err := s.listen(layers[1:])
	if err != nil {
		return nil, err
	}
	var made net.Listener
	switch layers[0] {
	case "snet":
		var options snet.Options
		if options, err = s.snetOptions(); err == nil {
			made = snet.Listen(below, options)
		}
	case "tls":
		made, err = s.listenTLS(below)
	case "ws":
		made, err = s.listenWebSocket(below)
	}
	if err != nil {
		below.Close()
		return nil, err
	}
	return made, nil
}

func (s *Stack) snetOptions() (options snet.Options, err error) {
	if options.Encrypt, err = s.address.Flag("encrypt", false); err != nil {
		return options, err
	}
	if options.Wait, err = s.address.Duration("wait", 0); err != nil {
		return options, err
	}
	ring, err := s.address.Size("buffer", 0)
	if err != nil {
		return options, err
	}
	options.Ring = int(ring)
	peer, err := s.address.Size("peer_buffer", 0)
	options.PeerBuffer = uint64(peer)
	return options, err
}

func (s *Stack) dialTCP(ctx context.Context) (net.Conn, error) {
	port := "80"
	if s.Has("tls") {
		port = "443"
	}
	if !s.Has("ws") && s.address.Port == "" {
		return nil, fmt.Errorf("address: no port")
	}
	conn, err := (&net.Dialer{Control: s.buffers}).DialContext(ctx, "tcp", s.address.HostPort(port))
	if err != nil {
		return nil, err
	}
	return conn, s.tune(conn)
}

type tunedListener struct {
	net.Listener
	stack *Stack
}

func (l tunedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.stack.tune(conn) // fails only if the peer is gone already, which its reader will find
	return conn, nil
}

func (s *Stack) listenTCP() (net.Listener, error) {
	listener, err := (&net.ListenConfig{Control: s.buffers}).Listen(context.Background(), "tcp", s.address.HostPort("0"))
	if err != nil {
		return nil, err
	}
	return tunedListener{listener, s}, nil
}

// buffers sets the sizes before the connection is there, since the window is told with its first packet.
func (s *Stack) buffers(_, _ string, raw syscall.RawConn) error {
	for key, option := range map[string]int{"sndbuf": syscall.SO_SNDBUF, "rcvbuf": syscall.SO_RCVBUF} {
		size, err := s.address.Size(key, 0)
		if err == nil && size > 0 {
			err = setOption(raw, syscall.SOL_SOCKET, option, int(size))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

const (
	tcpUserTimeout = 18 // Linux: how long sent bytes may stay unacknowledged, in milliseconds
	// Below snet a path that takes nothing for this long is given up for a new connection.
	silence = 20 * time.Second
)

func (s *Stack) tune(conn net.Conn) error {
	tcp := conn.(*net.TCPConn)
	noDelay, err := s.address.Flag("nodelay", true)
	if err == nil {
		err = tcp.SetNoDelay(noDelay)
	}
	keepAlive, wrong := s.address.Duration("keepalive", 30*time.Second)
	if err == nil {
		err = wrong
	}
	if err == nil && keepAlive > 0 {
		err = tcp.SetKeepAlivePeriod(keepAlive)
	}
	if err == nil && s.Has("snet") {
		var raw syscall.RawConn
		if raw, err = tcp.SyscallConn(); err == nil {
			err = setOption(raw, syscall.IPPROTO_TCP, tcpUserTimeout, int(silence/time.Millisecond))
		}
	}
	return err
}

func setOption(raw syscall.RawConn, level, option, value int) error {
	var failure error
	err := raw.Control(func(fd uintptr) { failure = syscall.SetsockoptInt(int(fd), level, option, value) })
	if err != nil {
		return err
	}
	return failure
}

func (s *Stack) dialTLS(ctx context.Context, below func(context.Context) (net.Conn, error)) (net.Conn, error) {
	insecure, err := s.address.Flag("insecure", false)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         s.address.Text("name", s.address.Host),
		InsecureSkipVerify: insecure,
		NextProtos:         s.protocols(),
	}
	if !insecure {
		if config.RootCAs, err = authorities(s.address.Text("ca", authorityFile)); err != nil {
			return nil, err
		}
	}
	conn, err := below(ctx)
	if err != nil {
		return nil, err
	}
	secured := tls.Client(conn, config)
	if err = secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}

func (s *Stack) listenTLS(below net.Listener) (net.Listener, error) {
	if s.address.Text("ca", "") != "" {
		return nil, contract.Unknown("client certificates")
	}
	certificate, err := tls.LoadX509KeyPair(s.address.Text("cert", certificateFile), s.address.Text("key", keyFile))
	if err != nil {
		return nil, err
	}
	return tls.NewListener(below, &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{certificate},
		NextProtos:   s.protocols(),
	}), nil
}

func (s *Stack) protocols() []string {
	if text := s.address.Text("alpn", ""); text != "" {
		return strings.Split(text, ",")
	}
	return nil
}

func authorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("no certificate in %s", file)
	}
	return pool, nil
}

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"interop-go/contract"
)

// certificates writes one that signs itself, and gives the parameters of a listener and of who dials it.
func certificates(t *testing.T) (listening, dialing string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	write := func(name, kind string, bytes []byte) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert, key := write("cert.pem", "CERTIFICATE", certificate), write("key.pem", "EC PRIVATE KEY", text)
	return "cert=" + cert + "&key=" + key, "ca=" + cert
}

func settings(role, name, address string) contract.Settings {
	return contract.Settings{
		Role: role, Case: name, Address: address, Seed: 5, Timeout: 20 * time.Second,
		Version: "2.6", Codec: "json", Header: "json", Count: 20, Bytes: 3000, ID: 77, Key: "123", MaxPacket: 524288,
	}
}

// logger writes to the test's log while there is one: sessions may end behind it.
func logger(t *testing.T) func(string, ...interface{}) {
	var mutex sync.Mutex
	over := false
	t.Cleanup(func() {
		mutex.Lock()
		defer mutex.Unlock()
		over = true
	})
	return func(format string, arguments ...interface{}) {
		mutex.Lock()
		defer mutex.Unlock()
		if !over {
			t.Logf(format, arguments...)
		}
	}
}

// started is a server that runs; stop gives what it ended with.
type started struct {
	address net.Addr
	stop    func() error
}

func start(t *testing.T, s contract.Settings) started {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan net.Addr, 1)
	done := make(chan error, 1)
	server := &endpoint{Settings: s, ready: func(at net.Addr) { ready <- at }, logf: logger(t)}
	go func() { done <- server.run(ctx) }()
	select {
	case at := <-ready:
		return started{at, func() error { cancel(); return <-done }}
	case err := <-done:
		cancel()
		t.Fatalf("%s ended at once: %v", s.Role, err)
	}
	return started{}
}

func runClient(t *testing.T, s contract.Settings) error {
	client := &endpoint{Settings: s, result: func(map[string]interface{}) {}, logf: logger(t)}
	return client.run(context.Background())
}

// with names the listener that came of an address with port 0.
func dialingAt(address string, at net.Addr, parameters string) string {
	address = strings.SplitN(address, "?", 2)[0]
	address = strings.Replace(address, "127.0.0.1:0", at.String(), 1)
	if parameters != "" {
		address += "?" + parameters
	}
	return address
}

func expectPass(t *testing.T, server started, client contract.Settings) {
	t.Helper()
	if err := runClient(t, client); err != nil {
		t.Errorf("client: %v", err)
	}
	if err := server.stop(); err != nil {
		t.Errorf("server: %v", err)
	}
}

func TestEveryTeleportCasePassesInEveryCodec(t *testing.T) {
	for _, codec := range []string{"json", "protobuf", "plain"} {
		for name := range teleportCases {
			for _, header := range []string{"json", "protobuf"} {
				for _, gzip := range []int{0, 6} {
					codec, name, header, gzip := codec, name, header, gzip
					t.Run(fmt.Sprintf("%s/%s/%s/gzip%d", name, codec, header, gzip), func(t *testing.T) {
						t.Parallel()
						server := settings("server", name, "127.0.0.1:0")
						server.Codec, server.Header, server.Gzip = codec, header, gzip
						running := start(t, server)
						client := server
						client.Role, client.Address = "client", running.address.String()
						expectPass(t, running, client)
					})
				}
			}
		}
	}
}

func TestEveryReleaseUnderstandsItself(t *testing.T) {
	for _, version := range []string{"2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6"} {
		for _, name := range []string{"echo", "push", "back"} {
			server := settings("server", name, "127.0.0.1:0")
			server.Version = version
			running := start(t, server)
			client := server
			client.Role, client.Address = "client", running.address.String()
			expectPass(t, running, client)
		}
	}
}

func TestAPushOfAnotherReleaseDoesNotCount(t *testing.T) {
	server := settings("server", "push", "127.0.0.1:0")
	server.Version = "2.0"
	running := start(t, server)
	client := settings("client", "push", running.address.String())
	if err := runClient(t, client); contract.ExitStatus(err) != contract.Fail {
		t.Errorf("client: %v", err)
	}
	running.stop()
}

func TestStreamsAndTeleportPassOverEveryStack(t *testing.T) {
	listening, dialing := certificates(t)
	stacks := []struct{ name, address, listening, dialing string }{
		{"tcp", "tcp://127.0.0.1:0", "", "nodelay=0"},
		{"tls", "tls://127.0.0.1:0", listening, dialing},
		{"ws", "ws://127.0.0.1:0/interop", "", ""},
		{"wss", "wss://127.0.0.1:0/interop", listening, dialing},
		{"snet", "snet+tcp://127.0.0.1:0", "", ""},
		{"snet encrypted", "snet+tcp://127.0.0.1:0", "encrypt=1", "encrypt=1"},
		{"snet tls", "snet+tls://127.0.0.1:0", listening, dialing},
		{"ws snet", "ws+snet+tcp://127.0.0.1:0", "", ""},
	}
	for _, stack := range stacks {
		for _, name := range []string{"stream", "stream-half", "stream-slow", "echo"} {
			stack, name := stack, name
			t.Run(name+" "+stack.name, func(t *testing.T) {
				t.Parallel()
				server := settings("stream-server", name, stack.address)
				if name == "echo" {
					server.Role = "server"
				} else {
					server.Bytes = 300000
				}
				if stack.listening != "" {
					server.Address += "?" + stack.listening
				}
				running := start(t, server)
				client := server
				client.Role = strings.Replace(server.Role, "server", "client", 1)
				client.Address = dialingAt(stack.address, running.address, stack.dialing)
				if halves := stack.name == "tcp" || stack.name == "tls"; name == "stream-half" && !halves {
					if err := runClient(t, client); contract.ExitStatus(err) != contract.NotSupported {
						t.Errorf("client: %v", err)
					}
					running.stop()
					return
				}
				expectPass(t, running, client)
			})
		}
	}
}

func TestUnknownRolesCasesAndTransportsAreNotSupported(t *testing.T) {
	for _, s := range []contract.Settings{
		settings("gateway", "link-echo", "127.0.0.1:0"),
		settings("client", "stream", "127.0.0.1:1"),
		settings("link-client", "link-key", "127.0.0.1:1"),
		settings("stream-client", "stream", "kcp://127.0.0.1:1"),
		settings("stream-server", "stream", "route+tcp://127.0.0.1:0/a:1"),
		settings("client", "echo", "tcp://127.0.0.1:1?congestion=reno"),
	} {
		if err := runClient(t, s); contract.ExitStatus(err) != contract.NotSupported {
			t.Errorf("%s %s %s: %v", s.Role, s.Case, s.Address, err)
		}
	}
}

func TestAClientWhoseServerIsWrongFails(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			// Echoes all but the first byte, and says what no peer says.
			go func() {
				defer conn.Close()
				buffer := make([]byte, 4096)
				count, err := conn.Read(buffer)
				if err == nil && count > 0 {
					buffer[0] ^= 1
					conn.Write(buffer[:count])
				}
			}()
		}
	}()
	for role, name := range map[string]string{"client": "echo", "stream-client": "stream", "link-client": "link-echo"} {
		s := settings(role, name, listener.Addr().String())
		s.Timeout = 5 * time.Second
		if err := runClient(t, s); contract.ExitStatus(err) != contract.Fail {
			t.Errorf("%s: %v", role, err)
		}
	}
}

package snet

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"interop-go/vectors"
)

type agreement struct {
	Private, Public string
	PeerPublic      string `json:"peer_public"`
	Secret          string
}

type step struct {
	TCP  int
	Dir  string
	What string
	Hex  string
}

type scenario struct {
	Name   string
	Config struct {
		Encrypt bool
		Ring    int `json:"rewriter_buffer"`
	}
	Keys struct {
		ClientPrivate string `json:"client_private"`
		ServerPublic  string `json:"server_public"`
		ID            uint64 `json:"conn_id"`
		Key           string `json:"rc4_and_mac_key_hex"`
	}
	Steps []step
}

type file struct {
	DH64      struct{ Vectors []agreement }
	Scenarios []scenario
}

func number(t *testing.T, text string) uint64 {
	value, err := strconv.ParseUint(text, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestKeysAreAgreedOnAsRecordedAndWeakOnesRefused(t *testing.T) {
	var all file
	vectors.Read(t, "snet.json", &all)
	if len(all.DH64.Vectors) != 31 {
		t.Fatalf("%d agreements", len(all.DH64.Vectors))
	}
	for _, v := range all.DH64.Vectors {
		private := number(t, v.Private)
		if private == 0 {
			continue // the original's errors: such a key is never drawn
		}
		if !strings.HasPrefix(v.Public, "error") && power(generator, private) != number(t, v.Public) {
			t.Errorf("%+v: public %x", v, power(generator, private))
		}
		peer := number(t, v.PeerPublic)
		shared, err := sharedKey(private, peer)
		if weak(peer) {
			if !errors.Is(err, errWeakKey) {
				t.Errorf("%+v: weak, but taken", v)
			}
			continue
		}
		if got := binary.LittleEndian.Uint64(shared[:]); err != nil || got != number(t, v.Secret) {
			t.Errorf("%+v: %x, %v", v, got, err)
		}
	}
}

// A client with the recorded keys says, byte for byte, what the recorded one said, and reads what its server said.
func TestClientRepliesAsRecordedThroughReconnects(t *testing.T) {
	var all file
	vectors.Read(t, "snet.json", &all)
	played := 0
	for _, v := range all.Scenarios {
		if strings.Contains(v.Name, "overrun") || strings.Contains(v.Name, "refused") {
			continue // these end in errors, below
		}
		played++
		v := v
		t.Run(v.Name, func(t *testing.T) { play(t, v) })
	}
	if played != 9 {
		t.Errorf("%d played", played)
	}
}

type player struct {
	t     *testing.T
	s     *session
	conn  net.Conn // the server's end of the current connection
	asked chan error
	under chan net.Conn
}

func play(t *testing.T, v scenario) {
	var shared key
	copy(shared[:], vectors.Bytes(t, v.Keys.Key))
	if agreed, err := sharedKey(number(t, v.Keys.ClientPrivate), number(t, v.Keys.ServerPublic)); err != nil || agreed != shared {
		t.Fatalf("key %x, %v", agreed, err)
	}
	options := Options{Encrypt: v.Config.Encrypt, Ring: v.Config.Ring}.filled()
	p := &player{t: t, s: newSession(options, v.Keys.ID, shared, false), asked: make(chan error, 1)}
	p.s.lost, p.s.gone = func() {}, func() {}
	defer p.s.Close()

	for index, one := range v.Steps {
		raw := vectors.Bytes(t, one.Hex)
		switch {
		case one.What == "tcp-broken":
			p.conn.Close()
			p.untilDetached()
		case one.Dir == "server" || strings.HasPrefix(one.What, "app-read-error") || one.What == "app-close":
			// The other side's application, and ends, which are no bytes.
		case one.What == "app-write":
			if p.skipsWrite(v.Steps[index+1:]) {
				p.lose(raw)
			} else if _, err := p.s.Write(raw); err != nil {
				t.Fatal(err)
			}
		case one.What == "app-read":
			got := make([]byte, len(raw))
			if _, err := io.ReadFull(p.s, got); err != nil || !bytes.Equal(got, raw) {
				t.Fatalf("step %d: read %x, want %x, %v", index, got, raw, err)
			}
		case one.What == "LOST":
			// What was written is in the ring already; nothing of it arrives.
		case one.What == "type byte NEW" || one.What == "client public key":
			// A private key cannot be given to a client from outside; the key above says that it would be the same.
		case one.What == "handshake response":
			if id := binary.LittleEndian.Uint64(shared.hide(raw[8:16])); id != v.Keys.ID {
				t.Fatalf("step %d: id %x", index, id)
			}
		case one.What == "handshake md5":
			challenge := vectors.Bytes(t, v.Steps[index-1].Hex)[16:]
			if proof := shared.proof(challenge); !bytes.Equal(proof[:], raw) {
				t.Fatalf("step %d: proof %x", index, proof)
			}
			p.attach(0)
		case one.What == "type byte RECONNECT":
			p.ask()
			p.expect(index, raw)
		case strings.HasPrefix(one.Dir, "client"):
			p.expect(index, raw)
		case one.What == "reconnect response":
			p.give(raw)
		default:
			p.give(raw)
		}
		if one.What == "reconnect md5" {
			if err := <-p.asked; err != nil {
				t.Fatalf("step %d: %v", index, err)
			}
		}
	}
}

func (p *player) pipe() net.Conn {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	defer listener.Close()
	ours, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		p.t.Fatal(err)
	}
	if p.conn, err = listener.Accept(); err != nil {
		p.t.Fatal(err)
	}
	p.conn.SetDeadline(time.Now().Add(10 * time.Second))
	return ours
}

func (p *player) attach(received uint64) {
	if err := p.s.attach(p.pipe(), received, 0); err != nil {
		p.t.Fatal(err)
	}
}

// ask is a reconnect of the client, which goes on beside the steps of the server.
func (p *player) ask() {
	conn := p.pipe()
	c := &client{session: p.s}
	c.stopped = context.Background()
	c.dial = func(context.Context) (net.Conn, error) { return conn, nil }
	go func() {
		_, err := c.attempt(time.Now().Add(10 * time.Second))
		p.asked <- err
	}()
}

func (p *player) expect(index int, raw []byte) {
	got := make([]byte, len(raw))
	if _, err := io.ReadFull(p.conn, got); err != nil || !bytes.Equal(got, raw) {
		p.t.Fatalf("step %d: client sent %x, want %x, %v", index, got, raw, err)
	}
}

func (p *player) give(raw []byte) {
	if _, err := p.conn.Write(raw); err != nil {
		p.t.Fatal(err)
	}
}

// skipsWrite says whether the next thing that happens to these bytes is that they get lost.
func (p *player) skipsWrite(later []step) bool {
	for _, one := range later {
		if one.Dir == "client->server" {
			return one.What == "LOST"
		}
	}
	return false
}

// lose is a write whose bytes go into the ring, and to nobody.
func (p *player) lose(raw []byte) {
	if _, err := p.s.Write(raw); err != nil {
		p.t.Fatal(err)
	}
	if _, err := io.ReadFull(p.conn, make([]byte, len(raw))); err != nil {
		p.t.Fatal(err)
	}
}

func (p *player) untilDetached() {
	p.s.mutex.Lock()
	defer p.s.mutex.Unlock()
	for p.s.conn != nil {
		p.s.changed.Wait()
	}
}

func TestAnswersThatCannotBeAndRingsThatAreTooSmallEndTheSession(t *testing.T) {
	ours := counters{written: 100, received: 50, begin: 36}
	for name, v := range map[string]struct {
		written, received uint64
		good              bool
	}{
		"as far as we":              {50, 100, true},
		"lacks all that we hold":    {50, 36, true},
		"lacks one more":            {50, 35, false},
		"has more than we wrote":    {50, 101, false},
		"wrote less than we have":   {49, 100, false},
		"claims what is allowed":    {50 + 1000, 100, true},
		"claims one byte too much":  {50 + 1001, 100, false},
		"claims what nobody stores": {1 << 62, 100, false},
	} {
		if err := judge(ours, v.written, v.received, 1000); v.good != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"interop-go/vectors"
)

type conversation struct {
	io.Reader
	sent bytes.Buffer
}

func (c *conversation) Write(data []byte) (int, error) { return c.sent.Write(data) }

func TestRecordedIdentifiesAndAnswersAreSentAndRead(t *testing.T) {
	var all struct {
		Vectors []struct {
			Name, Direction, Hex string
			Fields               struct{ Identify *string }
		}
	}
	vectors.Read(t, "route.json", &all)
	identifies, answers := 0, 0
	for _, v := range all.Vectors {
		raw := vectors.Bytes(t, v.Hex)
		if v.Fields.Identify != nil && len(*v.Fields.Identify) <= largestIdentify && v.Direction == "client->gateway" {
			identifies++
			if got := Identify(*v.Fields.Identify); !bytes.Equal(got, raw) {
				t.Errorf("%s: %x", v.Name, got)
			}
		}
		if v.Direction == "gateway->client" {
			answers++
			talk := &conversation{Reader: bytes.NewReader(append(raw, "behind"...))}
			err := ask(talk, "h:1", largestSuccess)
			rest, _ := io.ReadAll(talk)
			if v.Name == "failure" {
				if !errors.Is(err, ErrRefused) {
					t.Errorf("%s: %v", v.Name, err)
				}
			} else if err != nil || string(rest) != "behind" {
				t.Errorf("%s: %v, %q is left", v.Name, err, rest)
			}
		}
	}
	if identifies < 4 || answers < 4 {
		t.Errorf("%d identifies, %d answers", identifies, answers)
	}
}

func TestASuccessMessageHasABoundAndAnEndIsARefusal(t *testing.T) {
	for length, good := range map[int]bool{10: true, 11: false} {
		answer := append(Identify(string(make([]byte, length))), 'x')
		if err := ask(&conversation{Reader: bytes.NewReader(answer)}, "h:1", 10); good != (err == nil) || errors.Is(err, ErrRefused) {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
	for _, short := range []string{"", "\x02\x00", "\x02\x00\x00\x00o"} {
		if err := ask(&conversation{Reader: bytes.NewReader([]byte(short))}, "h:1", 10); !errors.Is(err, ErrRefused) {
			t.Errorf("%q: %v", short, err)
		}
	}
}

func TestASilentGatewayIsNoRefusal(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for _, layers := range []string{"route+tcp", "route+ws"} {
		stack, err := Parse(layers + "://" + listener.Addr().String() + "/h:1")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		if _, err = stack.Dial(ctx); err == nil || errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", layers, err)
		}
		cancel()
	}
}

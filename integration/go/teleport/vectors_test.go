package teleport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"interop-go/vectors"
)

type vector struct {
	Kind, Name, Version, Hex string
	Header                   struct {
		Seq        uint64
		Type       int32
		URI        string
		Gzip       int32
		StatusCode int32 `json:"status_code"`
		Status     string
	}
	HeaderCodec  string `json:"header_codec"`
	HeaderLength int    `json:"header_length"`
	BodyLength   int    `json:"body_length"`
	BodyCodec    string `json:"body_codec"`
	BodyHex      string `json:"body_hex"`
	BodyForm     string `json:"body_form"`

	GoBehaviour     string `json:"go_behaviour"`
	ReplyHex        string `json:"reply_hex"`
	HexTruncated    bool   `json:"hex_truncated"`
	ServerReadLimit uint32 `json:"server_read_limit"`
}

var codecs = map[string]byte{"json": CodecJSON, "protobuf": CodecProtobuf, "string": CodecPlain}

func read(t *testing.T) []vector {
	var all []vector
	vectors.Read(t, "teleport.json", &all)
	return all
}

func TestEveryRecordedPacketDecodesToItsFieldsAndItsHeaderEncodesBack(t *testing.T) {
	seen := 0
	for _, v := range read(t) {
		if v.Kind != "packet" {
			continue
		}
		seen++
		raw := vectors.Bytes(t, v.Hex)
		reader := NewReader(bytes.NewReader(raw), 0)
		packet, err := reader.Read()
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		if _, err = reader.Read(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: bytes are left: %v", v.Name, err)
		}
		want := Header{v.Header.Seq, v.Header.Type, v.Header.URI, v.Header.Gzip, v.Header.StatusCode, v.Header.Status}
		if packet.Header != want || packet.HeaderCodec != codecs[v.HeaderCodec] {
			t.Errorf("%s: header %+v, want %+v", v.Name, packet.Header, want)
		}
		if packet.HasBody != (v.BodyLength > 0) {
			t.Errorf("%s: body there %v with BL %d", v.Name, packet.HasBody, v.BodyLength)
		}
		again, err := packet.Append(nil)
		if err != nil || !bytes.Equal(again, raw) {
			t.Errorf("%s: encodes to %x, %v", v.Name, again, err)
		}
		body := Body{Data: packet.Raw}
		if v.BodyForm == "raw" {
			// The codec id is the first byte of what the application wrote.
			body.Data = append([]byte{packet.BodyCodec}, packet.Raw...)
		} else if body, err = packet.Body(); err != nil {
			t.Errorf("%s: body: %v", v.Name, err)
		}
		if !bytes.Equal(body.Data, vectors.Bytes(t, v.BodyHex)) && v.BodyForm != "raw" {
			t.Errorf("%s: body %x, want %s", v.Name, body.Data, v.BodyHex)
		}
		if v.BodyForm == "raw" && !bytes.HasSuffix(body.Data, vectors.Bytes(t, v.BodyHex)) {
			t.Errorf("%s: body %x, want %s", v.Name, body.Data, v.BodyHex)
		}
	}
	if seen != 349 {
		t.Errorf("%d packets", seen)
	}
}

// The routes of the server that the malformed vectors were sent to.
func recordedRoutes() Options {
	return Options{
		Version:     "2.5",
		HeaderCodec: CodecJSON,
		Pulls: map[string]Pull{
			"/home/str": {Takes: TakesText, Handle: func(_ context.Context, call *Call) Answer {
				codec := call.Body.Codec
				if codec != CodecPlain && codec != CodecProtobuf {
					codec = CodecJSON
				}
				return Answer{Code: StatusOK, Status: "OK", Body: TextBody(codec, "echo:"+call.Text)}
			}},
			"/home/json": {Handle: func(_ context.Context, call *Call) Answer {
				return Answer{Code: StatusOK, Status: "OK", Body: call.Body}
			}},
			"/home/proto": {Handle: func(_ context.Context, call *Call) Answer {
				return Answer{Code: StatusOK, Status: "OK", Body: call.Body}
			}},
		},
		Pushes: map[string]Push{"/push/str": {Takes: TakesText, Handle: func(*Call) {}}},
	}
}

// What the original lets pass or waits for, and section 13 ends; and what only its application can tell.
func outcomeOf(v vector) string {
	closes := []string{
		"header_unknown_codec", "header_len_ffffffff", "/body_len_ffffffff", "/body_len_1GiB",
		"header_json_seq_negative", "header_json_seq_float",
		"body_truncated", "gzip_truncated_mid_block",
		"gzip_header_only", "gzip_trailing_garbage", "http_get_request", "tls_client_hello", "gzip_bomb_200MiB_string",
	}
	for _, one := range closes {
		if strings.Contains(v.Name, one) {
			return "closes"
		}
	}
	switch {
	case strings.Contains(v.GoBehaviour, "connection closed by server"):
		return "closes"
	case strings.Contains(v.GoBehaviour, "reply sent"):
		return "replies"
	default:
		return "stays"
	}
}

func TestMalformedPacketsEndTheSessionOrAreAnsweredAsThePageSays(t *testing.T) {
	// Not about bytes: time-outs, other handlers than ours, and what is too long to be written out.
	skipped := []string{"rt1s_", "slow", "FIN_while", "nilptr", "unknown_handler", "raw_bytes_handler", "type_mismatch", "dup_seq", "_level_"}
	tried := 0
next:
	for _, v := range read(t) {
		if v.Kind != "malformed" || v.HexTruncated {
			continue
		}
		for _, one := range skipped {
			if strings.Contains(v.Name, one) {
				continue next
			}
		}
		tried++
		outcome, reply := play(t, v)
		wanted := outcomeOf(v)
		if outcome == "waits" && wanted == "closes" && v.announcesMore() {
			continue // a length within the limit: more may come
		}
		if outcome == "waits" {
			outcome = "stays"
		}
		if outcome != wanted {
			t.Errorf("%s: %s, want %s: %s", v.Name, outcome, wanted, v.GoBehaviour)
		}
		if wanted == "replies" && len(vectors.Bytes(t, v.ReplyHex)) > 0 && outcome == "replies" {
			compareReplies(t, v, reply)
		}
	}
	if tried < 55 {
		t.Errorf("only %d tried", tried)
	}
}

func (v vector) announcesMore() bool {
	return strings.Contains(v.Name, "idle") || strings.Contains(v.Name, "partial")
}

// compareReplies leaves the form of a compressed body, and who chose the codec of an empty one, aside.
func compareReplies(t *testing.T, v vector, raw []byte) {
	ours, err := NewReader(bytes.NewReader(raw), 0).Read()
	if err != nil {
		t.Errorf("%s: our reply: %v", v.Name, err)
		return
	}
	theirs, err := NewReader(bytes.NewReader(vectors.Bytes(t, v.ReplyHex)), 0).Read()
	if err != nil {
		t.Errorf("%s: their reply: %v", v.Name, err)
		return
	}
	if ours.Header != theirs.Header || ours.HeaderCodec != theirs.HeaderCodec {
		t.Errorf("%s: reply %+v, want %+v", v.Name, ours.Header, theirs.Header)
	}
	if ours.Header.URI != "/home/str" {
		return // other routes answer with what only the recorded server knew
	}
	our, err := ours.Body()
	their, wrong := theirs.Body()
	if err != nil || wrong != nil || (our.Codec == their.Codec && !bytes.Equal(our.Data, their.Data)) {
		t.Errorf("%s: body %q, want %q (%v, %v)", v.Name, our.Data, their.Data, err, wrong)
	}
}

// play sends the bytes to a session, and the end only where the name says so. It tells what became of it.
func play(t *testing.T, v vector) (outcome string, reply []byte) {
	ours, theirs := pair(t)
	defer theirs.Close()
	options := recordedRoutes()
	options.Limit = v.ServerReadLimit
	done := make(chan error, 1)
	go func() { done <- NewSession(ours, options).Run(context.Background()) }()

	if _, err := theirs.Write(vectors.Bytes(t, v.Hex)); err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(v.Name, "_then_FIN") {
		theirs.(*net.TCPConn).CloseWrite()
	}
	theirs.SetReadDeadline(time.Now().Add(150 * time.Millisecond))
	reply, err := io.ReadAll(theirs)
	switch {
	case err == nil && len(reply) == 0, errors.Is(err, io.EOF):
		<-done
		return "closes", nil
	case err != nil && !isTimeout(err):
		<-done
		return "closes", nil
	case len(reply) > 0:
		return "replies", reply
	default:
		return "waits", nil
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func pair(t *testing.T) (net.Conn, net.Conn) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dialed, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return accepted, dialed
}

func TestDefectStreamsAreSurvived(t *testing.T) {
	for _, v := range read(t) {
		if v.Kind != "defect_stream" {
			continue
		}
		reader := NewReader(bytes.NewReader(vectors.Bytes(t, v.Hex)), 1<<20)
		for {
			packet, err := reader.Read()
			if err != nil {
				break
			}
			packet.Body()
		}
	}
}

package link

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"

	"interop-go/vectors"
)

type linkVector struct {
	Name        string
	Hex         *string
	HexPrefix   string `json:"hex_prefix"`
	PayloadRule string `json:"payload_rule"`
	SHA256      string
	Fields      struct {
		Length       uint32
		ConnID       *uint32 `json:"conn_id"`
		Type         *byte
		RemoteID     *uint32 `json:"remote_id"`
		NewConnID    *uint32 `json:"new_conn_id"`
		ClosedConnID *uint32 `json:"closed_conn_id"`
		PayloadHex   *string `json:"payload_hex"`
		ChallengeHex *string `json:"challenge_hex"`
		KeyHex       string  `json:"key_hex"`
		ServerID     uint32  `json:"server_id"`
	}
}

// bytes of a vector; the two long ones are made by their rule, and checked by their sum.
func (v *linkVector) bytes(t *testing.T) []byte {
	if v.Hex != nil {
		return vectors.Bytes(t, *v.Hex)
	}
	head := appendNumber(appendNumber(nil, v.Fields.Length), *v.Fields.ConnID)
	payload := make([]byte, v.Fields.Length-idSize)
	for i := range payload {
		payload[i] = byte((i*7 + 3) % 256)
	}
	made := append(head, payload...)
	if sum := sha256.Sum256(made); hex.EncodeToString(sum[:]) != v.SHA256 {
		t.Fatalf("%s: the rule makes other bytes", v.Name)
	}
	return made
}

func TestRecordedFramesDecodeToTheirFieldsAndEncodeBack(t *testing.T) {
	var all struct{ Vectors []linkVector }
	vectors.Read(t, "fastway.json", &all)
	frames, answers := 0, 0
	for _, v := range all.Vectors {
		if v.Fields.ChallengeHex != nil {
			answers++
			key := vectors.Bytes(t, v.Fields.KeyHex)
			got := Proof(vectors.Bytes(t, *v.Fields.ChallengeHex), string(key), v.Fields.ServerID)
			if !bytes.Equal(got, v.bytes(t)) {
				t.Errorf("%s: %x", v.Name, got)
			}
			continue
		}
		frames++
		raw := v.bytes(t)
		frame, err := NewReader(bytes.NewReader(raw), 1<<24).Read()
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		if uint32(len(frame.Message)+idSize) != v.Fields.Length || frame.ID != *v.Fields.ConnID || !bytes.Equal(frame.Append(nil), raw) {
			t.Errorf("%s: %+v", v.Name, frame)
		}
		if v.Fields.Type != nil {
			expectCommand(t, &v, frame)
		}
	}
	if frames != 24 || answers != 24 {
		t.Errorf("%d frames, %d answers", frames, answers)
	}
}

func expectCommand(t *testing.T, v *linkVector, frame *Frame) {
	kind, arguments, err := frame.Arguments()
	var wanted []uint32
	for _, one := range []*uint32{v.Fields.NewConnID, v.Fields.ClosedConnID, v.Fields.RemoteID} {
		if one != nil {
			wanted = append(wanted, *one)
		}
	}
	if err != nil || kind != *v.Fields.Type || len(wanted) != len(arguments) {
		t.Errorf("%s: type %d %v, %v", v.Name, kind, arguments, err)
		return
	}
	for i := range wanted {
		if wanted[i] != arguments[i] {
			t.Errorf("%s: arguments %v, want %v", v.Name, arguments, wanted)
		}
	}
	if again := Command(kind, arguments...); !bytes.Equal(again.Append(nil), frame.Append(nil)) {
		t.Errorf("%s: encodes to %x", v.Name, again.Append(nil))
	}
}

func TestLengthsAreJudgedByTheLengthWord(t *testing.T) {
	const most = 256
	for length, good := range map[uint32]bool{0: false, 3: false, 4: true, most: true, most + 1: false, 0xffffffff: false} {
		bytesOf := append(appendNumber(nil, length), make([]byte, 4)...)
		if good {
			bytesOf = append(bytesOf, make([]byte, length-4)...)
		}
		_, err := NewReader(bytes.NewReader(bytesOf), most).Read()
		if good != (err == nil) || (!good && !errors.Is(err, ErrMalformed)) {
			t.Errorf("length %d: %v", length, err)
		}
	}
}

func TestCommandsCutShortAreRefusedAndBytesBehindThemIgnored(t *testing.T) {
	for _, kind := range []byte{Dial, Accept, Connect, Refuse, Close} {
		if _, _, err := (&Frame{Message: []byte{kind, 1, 2, 3}}).Arguments(); !errors.Is(err, ErrMalformed) {
			t.Errorf("type %d cut short: %v", kind, err)
		}
	}
	for _, message := range [][]byte{{}, {6}, {255, 1, 0, 0, 0}} {
		if _, _, err := (&Frame{Message: message}).Arguments(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%v: %v", message, err)
		}
	}
	if kind, _, err := (&Frame{Message: []byte{Ping, 9, 9}}).Arguments(); err != nil || kind != Ping {
		t.Errorf("ping with more: %d, %v", kind, err)
	}
}

// Package link is an endpoint of the protocol of spec/link.md: a client or a server, never the gateway.
package link

import (
	"bufio"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Types of commands (section 3).
const (
	Dial    byte = 0
	Accept  byte = 1
	Connect byte = 2
	Refuse  byte = 3
	Close   byte = 4
	Ping    byte = 5
)

const (
	idSize         = 4
	challengeSize  = 8
	smallestLength = idSize
)

// ErrMalformed is wrapped by the errors of bytes that are no frames.
var ErrMalformed = errors.New("malformed frame")

// Frame is one frame. ID 0 is a command.
type Frame struct {
	ID      uint32
	Message []byte
}

// Append writes the frame behind out.
func (f *Frame) Append(out []byte) []byte {
	out = appendNumber(out, uint32(idSize+len(f.Message)))
	out = appendNumber(out, f.ID)
	return append(out, f.Message...)
}

func appendNumber(out []byte, number uint32) []byte {
	var word [4]byte
	binary.LittleEndian.PutUint32(word[:], number)
	return append(out, word[:]...)
}

// Command makes a frame of a type and its arguments.
func Command(kind byte, arguments ...uint32) *Frame {
	frame := &Frame{Message: []byte{kind}}
	for _, argument := range arguments {
		frame.Message = appendNumber(frame.Message, argument)
	}
	return frame
}

// Arguments takes a command apart. Bytes behind the arguments are ignored.
func (f *Frame) Arguments() (kind byte, arguments []uint32, err error) {
	if f.ID != 0 || len(f.Message) == 0 {
		return 0, nil, fmt.Errorf("%w: no command", ErrMalformed)
	}
	kind = f.Message[0]
	count, known := map[byte]int{Dial: 1, Accept: 2, Connect: 2, Refuse: 1, Close: 1, Ping: 0}[kind]
	if !known {
		return kind, nil, fmt.Errorf("%w: command %d", ErrMalformed, kind)
	}
	rest := f.Message[1:]
	if len(rest) < 4*count {
		return kind, nil, fmt.Errorf("%w: command %d is cut short", ErrMalformed, kind)
	}
	for i := 0; i < count; i++ {
		arguments = append(arguments, binary.LittleEndian.Uint32(rest[4*i:]))
	}
	return kind, arguments, nil
}

// Reader takes frames from a byte stream.
type Reader struct {
	stream    *bufio.Reader
	maxPacket uint32
}

// NewReader judges lengths by maxPacket.
func NewReader(stream io.Reader, maxPacket uint32) *Reader {
	return &Reader{bufio.NewReaderSize(stream, 64*1024), maxPacket}
}

// Read gives the next frame, and io.EOF behind the last one.
func (r *Reader) Read() (*Frame, error) {
	var word [4]byte
	if _, err := io.ReadFull(r.stream, word[:]); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint32(word[:])
	if length < smallestLength || length > r.maxPacket {
		return nil, fmt.Errorf("%w: length %d", ErrMalformed, length)
	}
	bytes := make([]byte, length)
	if _, err := io.ReadFull(r.stream, bytes); err != nil {
		return nil, fmt.Errorf("end inside a frame: %w", io.ErrUnexpectedEOF)
	}
	return &Frame{ID: binary.LittleEndian.Uint32(bytes), Message: bytes[idSize:]}, nil
}

// Proof is a server's answer to the challenge (section 4).
func Proof(challenge []byte, key string, id uint32) []byte {
	digest := md5.Sum(append(append([]byte(nil), challenge...), key...))
	return appendNumber(digest[:], id)
}

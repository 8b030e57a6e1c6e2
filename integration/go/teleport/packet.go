package teleport

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Packet is one packet with its body as it travels: compressed if the header says so.
type Packet struct {
	Header      Header
	HeaderCodec byte
	HasBody     bool // false: BL is 0, and there is no codec id either
	BodyCodec   byte
	Raw         []byte // behind the codec id; empty for BL 1
}

const (
	defaultLimit    = 64 << 20
	largestInflated = 64 << 20
	// Without a trailer, compressed data has to end at a flush (section 5).
	flushEnd = "\x00\x00\xff\xff"
)

// ErrMalformed is wrapped by the errors of packets that end a session because of their bytes (section 13).
var ErrMalformed = errors.New("malformed packet")

func malformed(format string, arguments ...interface{}) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, arguments...))
}

// Append writes the packet behind out.
func (p *Packet) Append(out []byte) ([]byte, error) {
	header, err := encodeHeader(p.HeaderCodec, &p.Header)
	if err != nil {
		return out, err
	}
	out = appendUint32(out, uint32(len(header))+1)
	out = append(out, p.HeaderCodec)
	out = append(out, header...)
	if !p.HasBody {
		return appendUint32(out, 0), nil
	}
	out = appendUint32(out, uint32(len(p.Raw))+1)
	out = append(out, p.BodyCodec)
	return append(out, p.Raw...), nil
}

func appendUint32(out []byte, value uint32) []byte {
	var word [4]byte
	binary.BigEndian.PutUint32(word[:], value)
	return append(out, word[:]...)
}

// Reader takes packets from a byte stream.
type Reader struct {
	stream *bufio.Reader
	limit  uint64
}

// NewReader accepts packets of up to limit bytes as section 8 counts them; 0 is the default of 64 MiB.
func NewReader(stream io.Reader, limit uint32) *Reader {
	if limit == 0 {
		limit = defaultLimit
	}
	return &Reader{bufio.NewReaderSize(stream, 64*1024), uint64(limit)}
}

// Read gives the next packet, io.EOF behind the last one, and wraps ErrMalformed if the bytes are none.
func (r *Reader) Read() (*Packet, error) {
	headerLength, err := r.length()
	if err != nil {
		return nil, err
	}
	if headerLength == 0 {
		return nil, malformed("header length 0")
	}
	if headerLength+4 > r.limit {
		return nil, malformed("header of %d bytes is over the limit of %d", headerLength, r.limit)
	}
	packet := &Packet{}
	if packet.HeaderCodec, err = r.stream.ReadByte(); err != nil {
		return nil, inside(err)
	}
	if packet.HeaderCodec != CodecJSON && packet.HeaderCodec != CodecProtobuf {
		return nil, malformed("header codec %#x", packet.HeaderCodec)
	}
	text, err := r.bytes(headerLength - 1)
	if err != nil {
		return nil, err
	}
	header, err := decodeHeader(packet.HeaderCodec, text)
	if err != nil {
		return nil, malformed("%v", err)
	}
	packet.Header = *header

	bodyLength, err := r.length()
	if err != nil {
		return nil, inside(err)
	}
	if bodyLength == 0 {
		return packet, nil
	}
	if headerLength+bodyLength+8 > r.limit {
		return nil, malformed("packet of %d bytes is over the limit of %d", headerLength+bodyLength+8, r.limit)
	}
	packet.HasBody = true
	if packet.BodyCodec, err = r.stream.ReadByte(); err != nil {
		return nil, inside(err)
	}
	packet.Raw, err = r.bytes(bodyLength - 1)
	return packet, err
}

func (r *Reader) length() (uint64, error) {
	var word [4]byte
	if _, err := io.ReadFull(r.stream, word[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, inside(err)
		}
		return 0, err
	}
	return uint64(binary.BigEndian.Uint32(word[:])), nil
}

// bytes keeps what has arrived, and not what was announced.
func (r *Reader) bytes(count uint64) ([]byte, error) {
	var kept bytes.Buffer
	if _, err := io.CopyN(&kept, r.stream, int64(count)); err != nil {
		return nil, inside(err)
	}
	return kept.Bytes(), nil
}

func inside(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return malformed("end of stream inside a packet")
	}
	return err
}

// ValidLevel says whether gzip has this level: the numbers that Go's compressor takes.
func ValidLevel(level int32) bool {
	return level >= gzip.HuffmanOnly && level <= gzip.BestCompression
}

// deflate makes one whole gzip member.
func deflate(data []byte, level int32) ([]byte, error) {
	var out bytes.Buffer
	writer, err := gzip.NewWriterLevel(&out, int(level))
	if err != nil {
		return nil, err
	}
	if _, err = writer.Write(data); err != nil {
		return nil, err
	}
	if err = writer.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// inflate takes whole members, and one at the end that was flushed and not finished, as the originals write it.
func inflate(data []byte) ([]byte, error) {
	in := bytes.NewReader(data)
	var out bytes.Buffer
	for in.Len() > 0 {
		member, err := gzip.NewReader(in)
		if err != nil {
			return nil, malformed("gzip: %v", err)
		}
		member.Multistream(false)
		room := int64(largestInflated - out.Len())
		_, err = io.Copy(&out, io.LimitReader(member, room+1))
		if out.Len() > largestInflated {
			return nil, malformed("gzip: more than %d bytes of output", largestInflated)
		}
		if errors.Is(err, io.ErrUnexpectedEOF) && in.Len() == 0 && bytes.HasSuffix(data, []byte(flushEnd)) {
			break
		}
		if err != nil {
			return nil, malformed("gzip: %v", err)
		}
	}
	return out.Bytes(), nil
}

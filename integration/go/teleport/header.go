// Package teleport speaks the packets of spec/teleport.md. Sections of that page are named in the comments.
package teleport

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

// Ids of codecs (section 1).
const (
	CodecJSON     byte = 'j'
	CodecProtobuf byte = 'p'
	CodecPlain    byte = 's'
)

// Types of packets (section 3). The type of a push depends on the release.
const (
	TypePull  int32 = 1
	TypeReply int32 = 2
)

// Header of a packet (section 2). Zero values are left out in both codecs; JSON keys are in the order of the page.
type Header struct {
	Seq        uint64 `json:"seq,omitempty"`
	Type       int32  `json:"type,omitempty"`
	URI        string `json:"uri,omitempty"`
	Gzip       int32  `json:"gzip,omitempty"`
	StatusCode int32  `json:"status_code,omitempty"`
	Status     string `json:"status,omitempty"`
}

func encodeHeader(codec byte, header *Header) ([]byte, error) {
	switch codec {
	case CodecJSON:
		return json.Marshal(header)
	case CodecProtobuf:
		return encodeProtobufHeader(header), nil
	default:
		return nil, fmt.Errorf("teleport: header codec %#x is unknown", codec)
	}
}

func decodeHeader(codec byte, data []byte) (*Header, error) {
	header := &Header{}
	switch codec {
	case CodecJSON:
		if err := json.Unmarshal(data, header); err != nil {
			return nil, fmt.Errorf("teleport: header: %w", err)
		}
	case CodecProtobuf:
		if err := decodeProtobufHeader(data, header); err != nil {
			return nil, fmt.Errorf("teleport: header: %w", err)
		}
	default:
		return nil, fmt.Errorf("teleport: header codec %#x is unknown", codec)
	}
	return header, nil
}

func encodeProtobufHeader(header *Header) []byte {
	var out []byte
	out = appendVarintField(out, 1, header.Seq)
	out = appendVarintField(out, 2, uint64(int64(header.Type)))
	out = appendTextField(out, 3, header.URI)
	out = appendVarintField(out, 4, uint64(int64(header.Gzip)))
	out = appendVarintField(out, 5, uint64(int64(header.StatusCode)))
	return appendTextField(out, 6, header.Status)
}

func decodeProtobufHeader(data []byte, header *Header) error {
	return eachField(data, func(field int, value fieldValue) error {
		switch field {
		case 1:
			header.Seq = value.number
			return value.wants(wireVarint)
		case 2:
			header.Type = int32(value.number)
			return value.wants(wireVarint)
		case 3:
			header.URI = string(value.bytes)
			return value.wants(wireBytes)
		case 4:
			header.Gzip = int32(value.number)
			return value.wants(wireVarint)
		case 5:
			header.StatusCode = int32(value.number)
			return value.wants(wireVarint)
		case 6:
			header.Status = string(value.bytes)
			return value.wants(wireBytes)
		}
		return nil
	})
}

// What follows is as much of protobuf's wire format as a header and the contract's message need.

const (
	wireVarint     = 0
	wireFixed64    = 1
	wireBytes      = 2
	wireStartGroup = 3
	wireEndGroup   = 4
	wireFixed32    = 5

	largestField = 1<<29 - 1
	deepestGroup = 64
)

var errProtobuf = errors.New("protobuf: malformed")

type fieldValue struct {
	wire   int
	number uint64
	bytes  []byte
}

func (v fieldValue) wants(wire int) error {
	if v.wire != wire {
		return fmt.Errorf("protobuf: wire type %d where %d belongs", v.wire, wire)
	}
	return nil
}

func appendVarint(out []byte, value uint64) []byte {
	var buffer [binary.MaxVarintLen64]byte
	return append(out, buffer[:binary.PutUvarint(buffer[:], value)]...)
}

func appendVarintField(out []byte, field int, value uint64) []byte {
	if value == 0 {
		return out
	}
	return appendVarint(appendVarint(out, uint64(field<<3|wireVarint)), value)
}

func appendTextField(out []byte, field int, text string) []byte {
	if text == "" {
		return out
	}
	out = appendVarint(out, uint64(field<<3|wireBytes))
	return append(appendVarint(out, uint64(len(text))), text...)
}

func takeVarint(data []byte) (uint64, []byte, error) {
	value, size := binary.Uvarint(data)
	if size <= 0 {
		return 0, nil, errProtobuf
	}
	return value, data[size:], nil
}

// eachField calls visit for every field of the outermost message, in the order of the bytes.
func eachField(data []byte, visit func(field int, value fieldValue) error) error {
	for len(data) > 0 {
		tag, rest, err := takeVarint(data)
		if err != nil {
			return err
		}
		field := tag >> 3
		if field == 0 || field > largestField {
			return errProtobuf
		}
		var value fieldValue
		if value, data, err = takeValue(int(tag&7), field, rest, 0); err != nil {
			return err
		}
		if err = visit(int(field), value); err != nil {
			return err
		}
	}
	return nil
}

func takeValue(wire int, field uint64, data []byte, depth int) (fieldValue, []byte, error) {
	value := fieldValue{wire: wire}
	var err error
	switch wire {
	case wireVarint:
		value.number, data, err = takeVarint(data)
		return value, data, err
	case wireFixed64, wireFixed32:
		size := 8
		if wire == wireFixed32 {
			size = 4
		}
		if len(data) < size {
			return value, nil, errProtobuf
		}
		return value, data[size:], nil
	case wireBytes:
		var size uint64
		if size, data, err = takeVarint(data); err != nil || size > uint64(len(data)) {
			return value, nil, errProtobuf
		}
		value.bytes = data[:size]
		return value, data[size:], nil
	case wireStartGroup:
		data, err = skipGroup(field, data, depth+1)
		return value, data, err
	default:
		return value, nil, errProtobuf
	}
}

func skipGroup(field uint64, data []byte, depth int) ([]byte, error) {
	for depth <= deepestGroup {
		tag, rest, err := takeVarint(data)
		if err != nil {
			return nil, err
		}
		if tag&7 == wireEndGroup {
			if tag>>3 != field {
				return nil, errProtobuf
			}
			return rest, nil
		}
		if _, data, err = takeValue(int(tag&7), tag>>3, rest, depth); err != nil {
			return nil, err
		}
	}
	return nil, errProtobuf
}

package teleport

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// Body of a pull, push or reply, inflated. The zero value is "no body".
type Body struct {
	There bool
	Codec byte
	Data  []byte
}

// TextBody is a text in the shape that the contract gives it in each codec.
func TextBody(codec byte, text string) Body {
	body := Body{There: true, Codec: codec}
	switch codec {
	case CodecJSON:
		body.Data, _ = json.Marshal(text) // a string always has a JSON form
	case CodecProtobuf:
		body.Data = appendTextField(nil, 1, text)
	default:
		body.Data = []byte(text)
	}
	return body
}

// NumberBody is a number in the shape that the contract gives it in each codec.
func NumberBody(codec byte, number int64) Body {
	body := Body{There: true, Codec: codec}
	if codec == CodecProtobuf {
		body.Data = appendVarintField(nil, 2, uint64(number))
	} else {
		body.Data = strconv.AppendInt(nil, number, 10)
	}
	return body
}

// Text reads a text. No body, and a codec id alone, are the empty one (section 5).
func (b Body) Text() (string, error) {
	if len(b.Data) == 0 {
		return "", b.check()
	}
	switch b.Codec {
	case CodecJSON:
		var text string
		if err := json.Unmarshal(b.Data, &text); err != nil {
			return "", malformed("body: %v", err)
		}
		return text, nil
	case CodecProtobuf:
		text, _, err := b.message()
		return text, err
	default:
		return string(b.Data), b.check()
	}
}

// Number reads a number. No body, and a codec id alone, are 0.
func (b Body) Number() (int64, error) {
	if len(b.Data) == 0 {
		return 0, b.check()
	}
	switch b.Codec {
	case CodecJSON:
		var number int64
		if err := json.Unmarshal(b.Data, &number); err != nil {
			return 0, malformed("body: %v", err)
		}
		return number, nil
	case CodecProtobuf:
		_, number, err := b.message()
		return number, err
	case CodecPlain:
		number, err := strconv.ParseInt(string(b.Data), 10, 64)
		if err != nil {
			return 0, malformed("body: %v", err)
		}
		return number, nil
	default:
		return 0, b.check()
	}
}

// Check says whether the codec can read the body at all.
func (b Body) Check() error {
	switch {
	case len(b.Data) == 0:
		return b.check()
	case b.Codec == CodecJSON && !json.Valid(b.Data):
		return malformed("body is no JSON")
	case b.Codec == CodecProtobuf:
		_, _, err := b.message()
		return err
	default:
		return b.check()
	}
}

func (b Body) check() error {
	// A lone codec byte may have any id (section 5).
	if !b.There || len(b.Data) == 0 || b.Codec == CodecJSON || b.Codec == CodecProtobuf || b.Codec == CodecPlain {
		return nil
	}
	return malformed("body codec %#x", b.Codec)
}

func (b Body) message() (text string, number int64, err error) {
	err = eachField(b.Data, func(field int, value fieldValue) error {
		switch field {
		case 1:
			text = string(value.bytes)
			if !utf8.Valid(value.bytes) {
				return errProtobuf
			}
			return value.wants(wireBytes)
		case 2:
			number = int64(value.number)
			return value.wants(wireVarint)
		}
		return nil
	})
	if err != nil {
		err = malformed("body: %v", err)
	}
	return text, number, err
}

// put makes body the packet's, compressed with the level of its header. An empty body is not compressed: BL says it all.
func (p *Packet) put(body Body) error {
	p.HasBody, p.BodyCodec, p.Raw = body.There, body.Codec, body.Data
	if p.Header.Gzip == 0 || len(body.Data) == 0 {
		return nil
	}
	var err error
	p.Raw, err = deflate(body.Data, p.Header.Gzip)
	return err
}

// Body is the packet's body, inflated.
func (p *Packet) Body() (Body, error) {
	body := Body{There: p.HasBody, Codec: p.BodyCodec, Data: p.Raw}
	if p.Header.Gzip == 0 || len(p.Raw) == 0 {
		return body, nil
	}
	var err error
	body.Data, err = inflate(p.Raw)
	if err == nil && len(body.Data) == 0 && p.BodyCodec == CodecJSON {
		err = malformed("body: empty JSON text")
	}
	return body, err
}

package teleport

import (
	"bytes"
	"errors"
	"testing"
)

func TestCompressedBodiesEndAtATrailerOrAFlushAndNowhereElse(t *testing.T) {
	member, err := deflate([]byte("some text, some text"), 6)
	if err != nil {
		t.Fatal(err)
	}
	two := append(append([]byte(nil), member...), member...)
	for name, good := range map[string][]byte{"one member": member, "two members": two} {
		if _, err := inflate(good); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := append([]byte(nil), member...)
	broken[len(broken)-8] ^= 1
	for name, bad := range map[string][]byte{
		"no end":            member[:len(member)-9],
		"half a trailer":    member[:len(member)-3],
		"bytes behind it":   append(append([]byte(nil), member...), "garbage"...),
		"a header":          member[:10],
		"a wrong check sum": broken,
	} {
		if out, err := inflate(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
}

func TestInflatingStopsAtItsBound(t *testing.T) {
	for _, size := range []int{largestInflated, largestInflated + 1} {
		bomb, err := deflate(bytes.Repeat([]byte{0}, size), 1)
		if err != nil {
			t.Fatal(err)
		}
		out, err := inflate(bomb)
		if fits := size <= largestInflated; fits != (err == nil) || (fits && len(out) != size) {
			t.Errorf("%d bytes: %d, %v", size, len(out), err)
		}
	}
}

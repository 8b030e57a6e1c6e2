package contract

import (
	"errors"
	"testing"
	"time"
)

func from(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, there := variables[name]
		return value, there
	}
}

func TestVariablesAreReadAndWhatNobodyKnowsIsNotSupported(t *testing.T) {
	good, err := Read(from(map[string]string{
		"INTEROP_ROLE": "client", "INTEROP_CASE": "echo", "INTEROP_ADDRESS": "h:1", "INTEROP_SEED": "4294967295", "INTEROP_TIMEOUT": "7",
		"INTEROP_VERSION": "2.0", "INTEROP_GZIP": "9",
	}))
	if err != nil || good.Seed != 1<<32-1 || good.Timeout != 7*time.Second || good.Version != "2.0" || good.Gzip != 9 {
		t.Errorf("%+v, %v", good, err)
	}
	for name, status := range map[[2]string]int{
		{"INTEROP_VERSION", "2.7"}:           NotSupported,
		{"INTEROP_CODEC", "flatbuffers"}:     NotSupported,
		{"INTEROP_HEADER", "plain"}:          NotSupported,
		{"INTEROP_SEED", "4294967296"}:       Fail,
		{"INTEROP_TIMEOUT", "0"}:             Fail,
		{"INTEROP_COUNT", "many"}:            Fail,
		{"INTEROP_GZIP", "10"}:               Fail,
		{"INTEROP_MAX_PACKET", "4294967295"}: Fail,
	} {
		_, err := Read(from(map[string]string{"INTEROP_ADDRESS": "h:1", name[0]: name[1]}))
		if got := ExitStatus(err); got != status {
			t.Errorf("%v: exit %d (%v), want %d", name, got, err, status)
		}
	}
	if _, err = Read(from(nil)); ExitStatus(err) != Fail {
		t.Errorf("no address: %v", err)
	}
	if ExitStatus(nil) != Pass || ExitStatus(errors.New("x")) != Fail || ExitStatus(Unknown("x")) != NotSupported {
		t.Error("exit statuses")
	}
}

// The contract's generator, by hand: 1 becomes 1 ^ 1<<13 = 0x2001, unchanged by >> 17, and that ^ 0x2001 << 5 is 0x42021.
func TestRandomChoicesAreThoseOfTheContract(t *testing.T) {
	for _, seed := range []uint32{0, 1} {
		random := NewRandom(seed)
		if first := random.Next(); first != 0x42021 {
			t.Errorf("first step %#x", first)
		}
	}
	random, bytes := NewRandom(7), make([]byte, 4)
	random.Fill(bytes)
	again := NewRandom(7)
	for i := range bytes {
		if want := byte(again.Next()); bytes[i] != want {
			t.Errorf("byte %d is %d, want %d", i, bytes[i], want)
		}
	}
	random, again = NewRandom(9), NewRandom(9)
	if got, want := random.Length(99), int(again.Next()%100); got != want {
		t.Errorf("length %d, want %d", got, want)
	}
	if got, want := random.Text(1), string(rune('a'+again.Next()%26)); got != want {
		t.Errorf("letter %s, want %s", got, want)
	}
}

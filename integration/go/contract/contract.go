// Package contract holds what CONTRACT.md says to every implementation: variables, exit statuses, random choices.
package contract

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Exit statuses.
const (
	Pass         = 0
	Fail         = 1
	NotSupported = 127
)

// Unsupported says that this implementation does not know what it was asked for.
type Unsupported struct {
	What string
}

func (u *Unsupported) Error() string { return "not supported: " + u.What }

// Unknown makes an Unsupported error.
func Unknown(format string, arguments ...interface{}) error {
	return &Unsupported{fmt.Sprintf(format, arguments...)}
}

// ExitStatus is the status that tells the runner about err.
func ExitStatus(err error) int {
	var unsupported *Unsupported
	switch {
	case err == nil:
		return Pass
	case errors.As(err, &unsupported):
		return NotSupported
	default:
		return Fail
	}
}

// Settings are the variables, parsed. What the runner always sets has a default too, for runs by hand.
type Settings struct {
	Role      string
	Case      string
	Address   string
	Seed      uint32
	Timeout   time.Duration
	Version   string
	Codec     string
	Header    string
	Gzip      int
	Count     int
	Bytes     int
	Key       string
	ID        uint32
	MaxPacket uint32
}

const (
	largestTimeout   = 24 * 60 * 60
	largestCount     = 10 * 1000 * 1000
	largestBytes     = 1 << 40
	smallestGzip     = -2
	largestGzip      = 9
	smallestPacket   = 13
	defaultMaxPacket = 512 * 1024
)

// Read parses the variables. lookup is os.LookupEnv, or a map in tests.
func Read(lookup func(string) (string, bool)) (Settings, error) {
	var failure error
	text := func(name, otherwise string) string {
		if value, there := lookup(name); there && value != "" {
			return value
		}
		return otherwise
	}
	number := func(name string, otherwise, least, most int64) int64 {
		value, err := strconv.ParseInt(text(name, strconv.FormatInt(otherwise, 10)), 10, 64)
		if err == nil && (value < least || value > most) {
			err = fmt.Errorf("%d is not in %d to %d", value, least, most)
		}
		if err != nil && failure == nil {
			failure = fmt.Errorf("%s: %w", name, err)
		}
		return value
	}
	oneOf := func(name, otherwise string, known ...string) string {
		value := text(name, otherwise)
		for _, one := range known {
			if value == one {
				return value
			}
		}
		if failure == nil {
			failure = Unknown("%s=%s", name, value)
		}
		return value
	}

	settings := Settings{
		Role:      text("INTEROP_ROLE", ""),
		Case:      text("INTEROP_CASE", ""),
		Address:   text("INTEROP_ADDRESS", ""),
		Seed:      uint32(number("INTEROP_SEED", 1, 0, 1<<32-1)),
		Timeout:   time.Duration(number("INTEROP_TIMEOUT", 30, 1, largestTimeout)) * time.Second,
		Version:   oneOf("INTEROP_VERSION", "2.6", "2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6"),
		Codec:     oneOf("INTEROP_CODEC", "json", "json", "protobuf", "plain"),
		Header:    oneOf("INTEROP_HEADER", "json", "json", "protobuf"),
		Gzip:      int(number("INTEROP_GZIP", 0, smallestGzip, largestGzip)),
		Count:     int(number("INTEROP_COUNT", 10, 1, largestCount)),
		Bytes:     int(number("INTEROP_BYTES", 1000, 0, largestBytes)),
		Key:       text("INTEROP_KEY", ""),
		ID:        uint32(number("INTEROP_ID", 1, 0, 1<<32-1)),
		MaxPacket: uint32(number("INTEROP_MAX_PACKET", defaultMaxPacket, smallestPacket, 1<<31-1)),
	}
	if failure == nil && settings.Address == "" {
		failure = errors.New("INTEROP_ADDRESS is not set")
	}
	return settings, failure
}

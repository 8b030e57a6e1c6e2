// Package address reads the strings that name a stack of transports (spec/address.md).
package address

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Address is one parsed string. Layers are as written, outermost first.
type Address struct {
	Layers []string
	Host   string // without brackets; empty is any, or a unix address
	Zone   string
	Port   string // empty if there is none
	Path   string // with its leading slash, or "@name"; empty if there is none
	query  map[string][]string
}

const (
	longest     = 4096
	longestName = 253
)

var (
	layersPattern   = regexp.MustCompile(`^[a-z][a-z0-9]*(\+[a-z][a-z0-9]*)*$`)
	hostPattern     = regexp.MustCompile(`^[A-Za-z0-9._~-]*$`)
	zonePattern     = regexp.MustCompile(`^[A-Za-z0-9._~-]+$`)
	portPattern     = regexp.MustCompile(`^(0|[1-9][0-9]{0,4})$`)
	keyPattern      = regexp.MustCompile(`^[A-Za-z0-9._~-]+$`)
	sizePattern     = regexp.MustCompile(`^[0-9]+(KiB|MiB|GiB|TiB)?$`)
	durationPattern = regexp.MustCompile(`^[+-]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`)
)

// Parse reads text. Errors name the part that is wrong.
func Parse(text string) (*Address, error) {
	if len(text) > longest {
		return nil, errors.New("address: too long")
	}
	parsed := &Address{query: map[string][]string{}}
	rest, query, hasQuery := strings.Cut(text, "?")
	if hasQuery {
		if err := parsed.parseQuery(query); err != nil {
			return nil, err
		}
	}
	layers, behind, layered := strings.Cut(rest, "://")
	if layered = layered && !strings.Contains(layers, "/"); layered {
		if !layersPattern.MatchString(layers) {
			return nil, fmt.Errorf("address: %q are no layers", layers)
		}
		parsed.Layers, rest = strings.Split(layers, "+"), behind
	} else {
		parsed.Layers = []string{"tcp"}
	}
	authority := rest
	if parsed.Layers[len(parsed.Layers)-1] == "unix" {
		authority = ""
		if len(rest) < 1 || (rest[0] != '/' && rest[0] != '@') || rest == "@" {
			return nil, errors.New("address: no path of a unix socket")
		}
	} else if at := strings.IndexByte(rest, '/'); at >= 0 {
		authority, rest = rest[:at], rest[at:]
	} else {
		rest = ""
	}
	var err error
	if parsed.Path, err = unescape(rest, " #"); err != nil {
		return nil, fmt.Errorf("address: path: %w", err)
	}
	if err = parsed.parseAuthority(authority); err != nil {
		return nil, err
	}
	if !layered && parsed.Port == "" {
		return nil, errors.New("address: neither layers nor a port")
	}
	return parsed, nil
}

// unescape decodes percents, and refuses what the grammar leaves out.
func unescape(text, without string) (string, error) {
	if strings.ContainsAny(text, without) {
		return "", fmt.Errorf("a character of %q", without)
	}
	decoded, err := url.PathUnescape(text)
	if err != nil {
		return "", err
	}
	for i := 0; i < len(decoded); i++ {
		if decoded[i] < 0x20 || decoded[i] == 0x7f {
			return "", errors.New("a control character")
		}
	}
	return decoded, nil
}

func (a *Address) parseQuery(text string) error {
	for _, pair := range strings.Split(text, "&") {
		key, value, there := strings.Cut(pair, "=")
		if !there || !keyPattern.MatchString(key) {
			return errors.New("address: a parameter without a name or a value")
		}
		decoded, err := unescape(value, " #")
		if err != nil {
			return fmt.Errorf("address: parameter %s: %w", key, err)
		}
		a.query[key] = append(a.query[key], decoded)
	}
	return nil
}

func (a *Address) parseAuthority(text string) error {
	host, port, hasPort := text, "", false
	if strings.HasPrefix(text, "[") {
		var closed bool
		if host, port, closed = strings.Cut(text[1:], "]"); !closed {
			return errors.New("address: no closing bracket")
		}
		if hasPort = port != ""; hasPort && port[0] != ':' {
			return errors.New("address: no colon behind the bracket")
		}
		port = strings.TrimPrefix(port, ":")
		if err := a.parseIPv6(host); err != nil {
			return err
		}
	} else {
		host, port, hasPort = strings.Cut(text, ":")
		if len(host) > longestName || !hostPattern.MatchString(host) {
			return errors.New("address: no host")
		}
		a.Host = host
	}
	if number, err := strconv.Atoi(port); hasPort && (err != nil || !portPattern.MatchString(port) || number > 65535) {
		return errors.New("address: no port")
	}
	a.Port = port
	return nil
}

func (a *Address) parseIPv6(text string) error {
	host, zone, zoned := strings.Cut(text, "%")
	parsed, err := netip.ParseAddr(host)
	if err != nil || !parsed.Is6() {
		return errors.New("address: no IPv6 address in brackets")
	}
	a.Host = parsed.String()
	if zoned {
		if len(zone) > 2 {
			zone = strings.TrimPrefix(zone, "25")
		}
		if !zonePattern.MatchString(zone) {
			return errors.New("address: no zone")
		}
		a.Zone = zone
	}
	return nil
}

// HostPort is what package net dials, with a port for an address that has none.
func (a *Address) HostPort(otherwise string) string {
	host, port := a.Host, a.Port
	if a.Zone != "" {
		host += "%" + a.Zone
	}
	if port == "" {
		port = otherwise
	}
	return net.JoinHostPort(host, port)
}

// Keys are the names of all parameters.
func (a *Address) Keys() []string {
	var keys []string
	for key := range a.query {
		keys = append(keys, key)
	}
	return keys
}

// All are the values of a parameter that may be repeated.
func (a *Address) All(key string) []string { return a.query[key] }

// Text is the value of a parameter, or otherwise.
func (a *Address) Text(key, otherwise string) string {
	if values := a.query[key]; len(values) > 0 {
		return values[0]
	}
	return otherwise
}

// Flag is a parameter that is 0 or 1.
func (a *Address) Flag(key string, otherwise bool) (bool, error) {
	if len(a.query[key]) == 0 {
		return otherwise, nil
	}
	switch a.query[key][0] {
	case "0", "false":
		return false, nil
	case "1", "true":
		return true, nil
	default:
		return false, fmt.Errorf("address: %s is neither 0 nor 1", key)
	}
}

// Size is a number of bytes: digits, or digits with KiB, MiB, GiB or TiB.
func (a *Address) Size(key string, otherwise int64) (int64, error) {
	if len(a.query[key]) == 0 {
		return otherwise, nil
	}
	text := a.query[key][0]
	digits := strings.TrimRight(text, "KMGTiB")
	shift := map[string]uint{"": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}[text[len(digits):]]
	number, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !sizePattern.MatchString(text) || number > (1<<62)>>shift {
		return 0, fmt.Errorf("address: %s is no size", key)
	}
	return number << shift, nil
}

// Duration is a time: 0, or amounts with ns, us, ms, s, m or h.
func (a *Address) Duration(key string, otherwise time.Duration) (time.Duration, error) {
	if len(a.query[key]) == 0 {
		return otherwise, nil
	}
	value, err := time.ParseDuration(a.query[key][0])
	if err != nil || value < 0 || !durationPattern.MatchString(a.query[key][0]) {
		return 0, fmt.Errorf("address: %s is no time", key)
	}
	return value, nil
}

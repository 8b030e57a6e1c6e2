package main

import (
	"crypto/sha1"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/xtaci/kcp-go"
	"golang.org/x/crypto/pbkdf2"
)

// How kcptun makes a key of a password (spec/kcp.md 7).
const (
	salt       = "kcp-go"
	rounds     = 4096
	derivedKey = 32
)

// address is a kcp or route+kcp address with its parameters, whose defaults are those of the page.
type address struct {
	host, port string
	backend    string // of route: what the gateway is asked for

	block        kcp.BlockCrypt
	data, parity int

	noDelay, interval, resend, noCongestion int
	mtu, sendWindow, receiveWindow          int
	ackNoDelay, stream, writeDelay          bool
	sendBuffer, receiveBuffer               int
}

// What kcptun's modes set: nodelay, interval in milliseconds, resend, no congestion control.
var modes = map[string][4]int{
	"normal": {0, 40, 2, 1},
	"fast":   {0, 30, 2, 1},
	"fast2":  {1, 20, 2, 1},
	"fast3":  {1, 10, 2, 1},
}

func parseAddress(text string) (*address, error) {
	layers, rest := "tcp", text
	if at := strings.Index(text, "://"); at >= 0 {
		layers, rest = text[:at], text[at+len("://"):]
	}
	if layers != "kcp" && layers != "route+kcp" {
		return nil, unsupported("layers " + layers)
	}
	a := &address{interval: 100, mtu: 1400, sendWindow: 32, receiveWindow: 32}
	query := ""
	if at := strings.IndexByte(rest, '?'); at >= 0 {
		rest, query = rest[:at], rest[at+1:]
	}
	path := ""
	if at := strings.IndexByte(rest, '/'); at >= 0 {
		rest, path = rest[:at], rest[at+1:]
	}
	at := strings.LastIndexByte(rest, ':')
	if at < 0 {
		return nil, fmt.Errorf("address: no port")
	}
	a.host, a.port = strings.Trim(rest[:at], "[]"), rest[at+1:]
	if layers == "route+kcp" {
		backend, err := url.PathUnescape(path)
		if err != nil || backend == "" {
			return nil, fmt.Errorf("address: no backend in the path")
		}
		a.backend = backend
	}
	values := map[string]string{}
	for _, pair := range strings.Split(query, "&") {
		if pair == "" {
			continue
		}
		at := strings.IndexByte(pair, '=')
		if at < 1 {
			return nil, fmt.Errorf("address: a parameter without a name or a value")
		}
		value, err := url.PathUnescape(pair[at+1:])
		if err != nil {
			return nil, fmt.Errorf("address: parameter %s: %v", pair[:at], err)
		}
		if _, there := values[pair[:at]]; there {
			return nil, fmt.Errorf("address: parameter %s is repeated", pair[:at])
		}
		values[pair[:at]] = value
	}
	return a, a.apply(values)
}

func (a *address) apply(values map[string]string) error {
	if mode, there := values["mode"]; there {
		set, known := modes[mode]
		if !known {
			return unsupported("mode " + mode)
		}
		a.noDelay, a.interval, a.resend, a.noCongestion = set[0], set[1], set[2], set[3]
	}
	for key, value := range values {
		if err := a.set(key, value); err != nil {
			return err
		}
	}
	return a.cipher(values)
}

func (a *address) set(key, value string) (err error) {
	switch key {
	case "mode", "crypt", "password", "password_file": // read together
	case "fec":
		parts := strings.Split(value, ",")
		if len(parts) != 2 {
			return fmt.Errorf("address: fec is DATA,PARITY")
		}
		if a.data, err = strconv.Atoi(parts[0]); err == nil {
			a.parity, err = strconv.Atoi(parts[1])
		}
	case "nodelay":
		a.noDelay, err = flag(value)
	case "nc":
		a.noCongestion, err = flag(value)
	case "ack_nodelay", "stream", "write_delay", "extension":
		var set int
		set, err = flag(value)
		switch {
		case key == "ack_nodelay":
			a.ackNoDelay = set == 1
		case key == "stream":
			a.stream = set == 1
		case key == "write_delay":
			a.writeDelay = set == 1
		case set == 1:
			return unsupported("extension")
		}
	case "interval":
		var every time.Duration
		every, err = time.ParseDuration(value)
		a.interval = int(every.Milliseconds())
	case "resend":
		a.resend, err = strconv.Atoi(value)
	case "mtu":
		a.mtu, err = strconv.Atoi(value)
	case "sndwnd":
		a.sendWindow, err = strconv.Atoi(value)
	case "rcvwnd":
		a.receiveWindow, err = strconv.Atoi(value)
	case "sndbuf":
		a.sendBuffer, err = size(value)
	case "rcvbuf":
		a.receiveBuffer, err = size(value)
	default:
		return unsupported("parameter " + key)
	}
	if err != nil {
		return fmt.Errorf("address: %s: %v", key, err)
	}
	return nil
}

func flag(text string) (int, error) {
	switch text {
	case "0", "false":
		return 0, nil
	case "1", "true":
		return 1, nil
	}
	return 0, fmt.Errorf("neither 0 nor 1")
}

func size(text string) (int, error) {
	factor := 1
	for suffix, value := range map[string]int{"KiB": 1 << 10, "MiB": 1 << 20} {
		if strings.HasSuffix(text, suffix) {
			text, factor = strings.TrimSuffix(text, suffix), value
		}
	}
	number, err := strconv.Atoi(text)
	return number * factor, err
}

// cipher takes as many bytes of the derived key as its name needs, from the front.
func (a *address) cipher(values map[string]string) error {
	name, there := values["crypt"]
	if !there {
		return nil
	}
	password := values["password"]
	if file, there := values["password_file"]; there {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	key := pbkdf2.Key([]byte(password), []byte(salt), rounds, derivedKey, sha1.New)
	var err error
	switch name {
	case "none":
		a.block, err = kcp.NewNoneBlockCrypt(key)
	case "aes", "aes-256":
		a.block, err = kcp.NewAESBlockCrypt(key)
	case "aes-192":
		a.block, err = kcp.NewAESBlockCrypt(key[:24])
	case "aes-128":
		a.block, err = kcp.NewAESBlockCrypt(key[:16])
	case "sm4":
		a.block, err = kcp.NewSM4BlockCrypt(key[:16])
	case "3des":
		a.block, err = kcp.NewTripleDESBlockCrypt(key[:24])
	case "cast5":
		a.block, err = kcp.NewCast5BlockCrypt(key[:16])
	case "blowfish":
		a.block, err = kcp.NewBlowfishBlockCrypt(key)
	case "xor":
		a.block, err = kcp.NewSimpleXORBlockCrypt(key)
	default:
		return unsupported("crypt " + name)
	}
	return err
}

type buffered interface {
	SetReadBuffer(bytes int) error
	SetWriteBuffer(bytes int) error
}

func (a *address) buffers(socket buffered) error {
	if a.sendBuffer > 0 {
		if err := socket.SetWriteBuffer(a.sendBuffer); err != nil {
			return err
		}
	}
	if a.receiveBuffer > 0 {
		return socket.SetReadBuffer(a.receiveBuffer)
	}
	return nil
}

func (a *address) tune(session *kcp.UDPSession) {
	session.SetNoDelay(a.noDelay, a.interval, a.resend, a.noCongestion)
	session.SetWindowSize(a.sendWindow, a.receiveWindow)
	session.SetMtu(a.mtu)
	session.SetACKNoDelay(a.ackNoDelay)
	session.SetStreamMode(a.stream)
	session.SetWriteDelay(a.writeDelay)
}

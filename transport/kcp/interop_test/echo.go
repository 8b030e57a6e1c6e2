// kcp-go by itself, as the other end of our dialer and of our listener. Nothing of it is linked into wayport.
//
//	echo server CRYPT KEYHEX DATA PARITY            prints "listening PORT", echoes every session
//	echo client ADDRESS CRYPT KEYHEX DATA PARITY N  sends N bytes, reads them back, prints "same" or what differs
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/xtaci/kcp-go"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	must(err)
	return value
}

func block(name, key string) kcp.BlockCrypt {
	bytes, err := hex.DecodeString(key)
	must(err)
	var made kcp.BlockCrypt
	switch name {
	case "":
		return nil
	case "none":
		made, err = kcp.NewNoneBlockCrypt(bytes)
	case "aes":
		made, err = kcp.NewAESBlockCrypt(bytes)
	case "sm4":
		made, err = kcp.NewSM4BlockCrypt(bytes)
	case "blowfish":
		made, err = kcp.NewBlowfishBlockCrypt(bytes)
	case "cast5":
		made, err = kcp.NewCast5BlockCrypt(bytes)
	case "3des":
		made, err = kcp.NewTripleDESBlockCrypt(bytes)
	case "xor":
		made, err = kcp.NewSimpleXORBlockCrypt(bytes)
	default:
		err = fmt.Errorf("no cipher %q", name)
	}
	must(err)
	return made
}

func tune(session *kcp.UDPSession) {
	session.SetNoDelay(1, 10, 2, 1)
	session.SetWindowSize(512, 512)
	session.SetACKNoDelay(true)
}

func serve(args []string) {
	listener, err := kcp.ListenWithOptions("127.0.0.1:0", block(args[0], args[1]), number(args[2]), number(args[3]))
	must(err)
	fmt.Printf("listening %d\n", listener.Addr().(*net.UDPAddr).Port)
	for {
		session, err := listener.AcceptKCP()
		must(err)
		tune(session)
		go io.Copy(session, session)
	}
}

func dial(args []string) {
	session, err := kcp.DialWithOptions(args[0], block(args[1], args[2]), number(args[3]), number(args[4]))
	must(err)
	tune(session)
	must(session.SetDeadline(time.Now().Add(60 * time.Second)))
	sent := make([]byte, number(args[5]))
	rand.New(rand.NewSource(1)).Read(sent)
	go func() {
		_, err := session.Write(sent)
		must(err)
	}()
	got := make([]byte, len(sent))
	_, err = io.ReadFull(session, got)
	must(err)
	if bytes.Equal(sent, got) {
		fmt.Println("same")
	} else {
		fmt.Printf("differs: %x %x\n", sha256.Sum256(sent), sha256.Sum256(got))
	}
}

func main() {
	if os.Args[1] == "server" {
		serve(os.Args[2:])
	} else {
		dial(os.Args[2:])
	}
}

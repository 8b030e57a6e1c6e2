// Package snet makes one byte stream of one connection after the other (spec/snet.md).
package snet

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/rc4"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"math/big"
)

const (
	// 2^64 - 59 and the generator of section 1.
	prime     uint64 = 1<<64 - 59
	generator uint64 = 5

	keySize       = 8
	proofSize     = md5.Size
	challengeSize = 8

	firstByteNew       = 0x00
	firstByteReconnect = 0xff
)

type key [keySize]byte

var errWeakKey = errors.New("snet: weak public key")

// power is base to the power of exponent, modulo the prime.
func power(base, exponent uint64) uint64 {
	p := new(big.Int).SetUint64(prime)
	result := new(big.Int).Exp(new(big.Int).SetUint64(base), new(big.Int).SetUint64(exponent), p)
	return result.Uint64()
}

// weak is true of public keys that make the secret a constant, and of what is no residue (section 2).
func weak(public uint64) bool {
	return public <= 1 || public >= prime-1
}

// sharedKey is the agreed secret in the byte order in which it is used.
func sharedKey(private, peerPublic uint64) (key, error) {
	var shared key
	if weak(peerPublic) {
		return shared, errWeakKey
	}
	binary.LittleEndian.PutUint64(shared[:], power(peerPublic, private))
	return shared, nil
}

// newPrivate draws until the public key is one that a peer takes.
func newPrivate() (private, public uint64, err error) {
	for {
		if private, err = randomNumber(); err != nil {
			return 0, 0, err
		}
		if public = power(generator, private); private != 0 && !weak(public) {
			return private, public, nil
		}
	}
}

// randomNumber is not 0, which is no challenge and no private key.
func randomNumber() (uint64, error) {
	var bytes [8]byte
	for {
		if _, err := rand.Read(bytes[:]); err != nil {
			return 0, err
		}
		if number := binary.LittleEndian.Uint64(bytes[:]); number != 0 {
			return number, nil
		}
	}
}

func (k key) proof(of []byte) [proofSize]byte {
	return md5.Sum(append(append([]byte(nil), of...), k[:]...))
}

func (k key) proves(proof, of []byte) bool {
	wanted := k.proof(of)
	return subtle.ConstantTimeCompare(wanted[:], proof) == 1
}

// stream is a key stream from its beginning.
func (k key) stream() *rc4.Cipher {
	cipher, err := rc4.NewCipher(k[:])
	if err != nil {
		panic(err) // eight bytes are always a key
	}
	return cipher
}

// hide applies the first eight bytes of the key stream to a session's id, both ways.
func (k key) hide(id []byte) []byte {
	out := make([]byte, len(id))
	k.stream().XORKeyStream(out, id)
	return out
}

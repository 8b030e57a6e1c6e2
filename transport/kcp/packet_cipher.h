// PacketCipher: what a datagram is wrapped in, as kcp-go does it (spec/kcp.md 7).
//
//   classic:  nonce 16 | CRC-32 4 | packet           all of it encrypted in CFB, constant IV; CRC over the packet
//   aes-gcm:  nonce 12 clear | ciphertext | tag 16
//
// These modes are obfuscation and a checksum, except for aes-*-gcm; none has forward secrecy, and all sessions and both
// directions share one key. What needs security is tls+kcp://.
//
// One per listener or dialed session; not thread-safe. Nonces are unique and look random; we recognise our own, so that
// a datagram that is thrown back at its sender is refused (Opened::reflected).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/result.h"

namespace wayport::transport::kcp {

struct Opened {
  enum class Status : std::uint8_t { ok, too_short, forged, reflected };
  Status status = Status::ok;
  MutableBytes packet{};       // inside the datagram
  std::uint64_t nonce_id = 0;  // 8 bytes of the nonce, for replay caches
};

class PacketCipher {
 public:
  using Seed = std::array<std::byte, 32>;  // from a good random source, secret

  virtual ~PacketCipher() = default;
  PacketCipher(const PacketCipher&) = delete;
  PacketCipher& operator=(const PacketCipher&) = delete;

  std::size_t head_bytes() const noexcept { return head_; }
  std::size_t tail_bytes() const noexcept { return tail_; }
  // A datagram that opens was made by someone with the key.
  bool authenticates() const noexcept { return tail_ != 0; }

  // The packet stands at head_bytes(), with tail_bytes() behind it.
  void seal(MutableBytes datagram);
  // With a given nonce, for golden vectors.
  void seal_with_nonce(MutableBytes datagram, Bytes nonce);
  // Decrypts in place.
  Opened open(MutableBytes datagram);

 protected:
  PacketCipher(std::size_t head, std::size_t tail, const Seed& seed);
  virtual void encrypt(MutableBytes datagram) = 0;
  virtual bool decrypt(MutableBytes datagram) = 0;  // false: forged

 private:
  class Nonces;
  struct NoncesDeleter {
    void operator()(Nonces* nonces) const noexcept;
  };
  std::size_t nonce_bytes() const noexcept { return tail_ != 0 ? 12 : 16; }

  std::size_t head_;
  std::size_t tail_;
  std::unique_ptr<Nonces, NoncesDeleter> nonces_;
};

struct CipherFacts {
  std::string_view name;
  std::size_t key_bytes;
  // One line for a log if it should not be chosen; empty: nothing to say.
  std::string_view warning;
};
// Those that can be made, kcp-go's names: aes-128, aes-192, aes-256 (also aes), aes-128-gcm, aes-192-gcm, aes-256-gcm,
// sm4, 3des, blowfish, cast5, xor, none. unsupported: twofish, tea, xtea, salsa20; not_found: any other.
Result<CipherFacts> cipher_facts(std::string_view name);
// invalid_argument: the key's length is not key_bytes ("none" takes any).
Result<std::unique_ptr<PacketCipher>> make_cipher(std::string_view name, Bytes key, const PacketCipher::Seed& seed);
// PBKDF2-HMAC-SHA1. kcptun: salt "kcp-go", 4096 rounds, 32 bytes, of which a cipher takes the first key_bytes.
std::string derive_key(std::string_view passphrase, std::string_view salt, int rounds, std::size_t size);

}  // namespace wayport::transport::kcp

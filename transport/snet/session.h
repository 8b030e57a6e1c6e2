// Session: one side of an snet stream, whatever connection carries it at the moment (spec/snet.md, sections 4 and 5).
//
// It counts the bytes of both directions, keeps the last written ones (as they went to the wire) in a ring, encrypts
// and decrypts each byte once. A resumed connection starts with bytes from the ring; what comes twice is skipped, so
// every byte is delivered exactly once. It knows no connection: handshake.h makes it and proves that a new connection
// belongs to it, SnetStream carries it.
//
// Pure; not thread-safe. Memory: the ring (at most its capacity), and 2 KiB of ciphers if encrypted.
#pragma once

#include <cstdint>
#include <optional>

#include "wayport/base/chain.h"
#include "wayport/transport/snet/crypto.h"
#include "wayport/transport/snet/ring.h"

namespace wayport::transport::snet {

enum class Role : std::uint8_t { client, server };

struct SessionOptions {
  bool encrypt = false;  // RC4; both sides are configured alike, nothing on the wire tells
  // Bytes written and not received by the peer that can be sent again. More than 0.
  std::size_t ring_bytes = 64 * 1024;
  // The most that a peer may claim to have written beyond what was received here: the largest ring that it may have.
  // Nothing is allocated for it.
  std::uint64_t peer_ring_bytes_max = 64u << 20;
};

// What a side says of itself in a reconnect.
struct Counters {
  std::uint64_t written = 0;   // bytes taken from its application and put on the wire, or meant to be
  std::uint64_t received = 0;  // bytes taken from the wire; what the application has not consumed included
};

enum class Resumable : std::uint8_t {
  yes,
  impossible,   // one side received more than the other wrote
  overrun,      // the peer lacks more than our ring holds
  implausible,  // the peer claims to have written more than peer_ring_bytes_max beyond what came
};

class Session {
 public:
  Session(Role role, const Key& key, std::uint64_t id, const SessionOptions& options);

  const Key& key() const noexcept { return key_; }
  std::uint64_t id() const noexcept { return id_; }
  const SessionOptions& options() const noexcept { return options_; }

  // Encrypts, counts and remembers `plain`. The result goes to the connection, if there is one. The bytes of `plain`
  // are moved or copied, never changed in the caller's memory.
  Chain write(Chain&& plain);
  // The next bytes of the connection. Returns those that are new, decrypted in place.
  MutableBytes receive(MutableBytes wire) noexcept;

  Counters counters() const noexcept { return {ring_.end(), received_}; }
  Resumable judge(const Counters& peer) const noexcept;
  // A new connection carries the session from now on. `announced` is what the peer was told to be received here, when
  // it asked; more may have come since, and is skipped when it comes again. Returns what the peer lacks; nullopt, and
  // nothing changed, if the ring does not hold it any more.
  std::optional<Chain> resume(std::uint64_t announced, std::uint64_t peer_received);
  // How often resume() succeeded. A proof that was asked for before is void.
  std::uint32_t generation() const noexcept { return generation_; }

  std::size_t memory() const noexcept { return ring_.memory(); }

 private:
  Key key_;
  std::uint64_t id_;
  SessionOptions options_;
  std::uint64_t received_ = 0;
  std::uint64_t skip_ = 0;  // bytes of the connection that came before
  std::uint32_t generation_ = 0;
  Ring ring_;  // end() is what was written
  std::optional<Rc4> write_cipher_;
  std::optional<Rc4> read_cipher_;
};

}  // namespace wayport::transport::snet

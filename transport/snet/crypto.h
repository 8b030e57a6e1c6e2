// What snet computes with: RC4, the MD5 proof, and where random bytes come from (spec/snet.md, sections 2 and 3).
//
// All of it is weak and fixed by the wire format: it keeps old peers working, and protects nothing. RC4 and MD5 are
// OpenSSL's low-level functions, which need no provider and so work in a static binary. Pure; not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "wayport/base/bytes.h"

namespace wayport::transport::snet {

using Key = std::array<std::byte, 8>;  // the shared secret, little-endian
using Challenge = std::array<std::byte, 8>;
using Mac = std::array<std::byte, 16>;

// Keys, connection ids and challenges. The program's is secure (snet_transport.h); tests script theirs.
class RandomSource {
 public:
  virtual ~RandomSource() = default;
  virtual void fill(MutableBytes bytes) = 0;  // thread-safe, if sessions of several loops share it
};
std::uint64_t draw_u64(RandomSource& random);

// MD5(data | key).
Mac mac_of(Bytes data, const Key& key) noexcept;
// In constant time. REQUIRES: received.size() == 16.
bool same_mac(const Mac& expected, Bytes received) noexcept;

// One direction's key stream; it only ever moves forward.
class Rc4 {
 public:
  explicit Rc4(const Key& key);
  Rc4(Rc4&&) noexcept;
  Rc4& operator=(Rc4&&) noexcept;
  ~Rc4();

  // in.size() == out.size(); the two may be the same memory.
  void apply(Bytes in, MutableBytes out) noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;  // 1 KiB
};

}  // namespace wayport::transport::snet

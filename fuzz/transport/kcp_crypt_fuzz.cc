// What opens has the checksum or the tag that whoever has the key would have given it, and lies inside its datagram; what
// is sealed opens again; and with one bit of it turned over it does what its mode says: GCM refuses, a stream of key bytes
// shows that one bit, CFB that bit and the block behind it, and the checksum judges what is seen.
//
// Input: first byte: cipher. The rest: a datagram, which is also the packet that is sealed. Its last two bytes choose the
// bit.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "wayport/base/bytes.h"
#include "wayport/base/result.h"
#include "wayport/transport/kcp/packet_cipher.h"

namespace {

using namespace wayport;
using namespace wayport::transport::kcp;

constexpr std::size_t kNonce = 16, kClassicHead = 20;  // of the classic layout

MutableBytes writable(std::string& text) { return {reinterpret_cast<std::byte*>(text.data()), text.size()}; }

// IEEE 802.3, a byte at a time.
std::uint32_t crc_of(std::string_view bytes) {
  static constexpr auto kTable = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      table[i] = i;
      for (int bit = 0; bit < 8; ++bit) table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320u : 0u);
    }
    return table;
  }();
  std::uint32_t crc = ~0u;
  for (const char byte : bytes) crc = crc >> 8 ^ kTable[(crc ^ static_cast<std::uint8_t>(byte)) & 0xff];
  return ~crc;
}

// Bytes of the blocks whose key stream is the one before; zero: the key stream is the same for all packets.
std::size_t block_bytes(std::string_view name) {
  if (name == "none" || name == "xor") return 0;
  return name == "3des" || name == "blowfish" || name == "cast5" ? 8 : 16;
}

// Opens a datagram and compares the verdict with what sealing what came out would make. Leaves in `bytes` what they were
// decrypted to.
Opened open(PacketCipher& cipher, PacketCipher& other, std::string& bytes) {
  const std::string wire = bytes;
  const Opened opened = cipher.open(writable(bytes));
  const std::size_t head = cipher.head_bytes(), around = head + cipher.tail_bytes();
  const bool fits = bytes.size() > around && bytes.size() <= 1500;
  WAYPORT_ASSERT((opened.status == Opened::Status::too_short) == !fits, "of the size of a datagram, or not");
  if (!fits) return opened;
  const bool taken = opened.status != Opened::Status::forged;
  if (opened.status == Opened::Status::ok)
    WAYPORT_ASSERT(
        opened.packet.data() == writable(bytes).data() + head && opened.packet.size() + around == bytes.size(),
        "outside of the datagram");
  if (!cipher.authenticates())
    WAYPORT_ASSERT(taken == (load_le<std::uint32_t>(as_bytes(bytes).data() + kNonce) ==
                             crc_of(std::string_view(bytes).substr(kClassicHead))),
                   "not what the checksum says");
  std::string again = bytes;
  const std::string nonce = bytes.substr(0, cipher.authenticates() ? head : kNonce);
  other.seal_with_nonce(writable(again), as_bytes(nonce));
  WAYPORT_ASSERT(taken == (again == wire),
                 "opened, but nobody with the key would have sent it; or the other way round");
  return opened;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static constexpr const char* kNames[] = {"aes-128", "aes-192",     "aes-256",  "aes-128-gcm", "aes-256-gcm",
                                           "sm4",     "3des",        "blowfish", "cast5",       "xor",
                                           "none",    "aes-192-gcm", "aes"};
  if (size == 0 || size > 2000) return 0;
  const char* const name = kNames[*data % std::size(kNames)];
  const std::string key(cipher_facts(name)->key_bytes, 'k');
  const auto ours = *make_cipher(name, as_bytes(key), PacketCipher::Seed{std::byte{1}});
  const auto theirs = *make_cipher(name, as_bytes(key), PacketCipher::Seed{std::byte{2}});
  const std::string packet(reinterpret_cast<const char*>(data + 1), size - 1);
  std::string bytes = packet;
  open(*ours, *theirs, bytes);

  const std::size_t head = ours->head_bytes(), tail = ours->tail_bytes();
  if (packet.empty() || packet.size() + head + tail > 1500) return 0;
  std::string sealed = std::string(head, '\0') + packet + std::string(tail, '\0');
  ours->seal(writable(sealed));
  std::string clear = sealed;
  const Opened opened = theirs->open(writable(clear));
  WAYPORT_ASSERT(opened.status == Opened::Status::ok && as_text(opened.packet) == packet, "does not open again");

  const std::size_t bit = (data[size - 2] * 256u + data[size - 1]) % (sealed.size() * 8);
  const std::size_t at = bit / 8;
  const char mask = static_cast<char>(1 << bit % 8);
  std::string damaged = sealed;
  damaged[at] ^= mask;
  const Opened seen = open(*theirs, *ours, damaged);
  if (ours->authenticates()) {
    WAYPORT_ASSERT(seen.status == Opened::Status::forged, "a turned bit went unnoticed");
    return 0;
  }
  std::string expected = clear;
  expected[at] ^= mask;
  const std::size_t block = block_bytes(name);
  const std::size_t next = block == 0 ? clear.size() : std::min(clear.size(), (at / block + 1) * block);
  const std::size_t rest = std::min(clear.size(), next + block);
  WAYPORT_ASSERT(damaged.starts_with(std::string_view(expected).substr(0, next)) &&
                     damaged.ends_with(std::string_view(expected).substr(rest)),
                 "more became of a turned bit than its mode says");
  // A block cipher gives different blocks for different ones.
  if (rest - next == block && block != 0)
    WAYPORT_ASSERT(damaged.substr(next, block) != expected.substr(next, block), "the key stream does not follow");
  // What is garbled may have the right checksum by chance; one bit never has. The nonce is outside of it.
  if (next == rest && at >= kNonce)
    WAYPORT_ASSERT(seen.status == Opened::Status::forged, "a turned bit went unnoticed");
  if (at < kNonce && rest <= kNonce)
    WAYPORT_ASSERT(seen.status == Opened::Status::ok && as_text(seen.packet) == packet, "the nonce says nothing");
  if (block == 0 && at < kNonce) WAYPORT_ASSERT(seen.status == Opened::Status::ok, "the nonce says nothing");
  return 0;
}

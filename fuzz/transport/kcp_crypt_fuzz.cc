// No cipher opens bytes that nobody sealed into anything but a packet inside them, and what is sealed opens again.
//
// Input: first byte: cipher. The rest: a datagram.
#include <cstddef>
#include <cstdint>
#include <string>

#include "wayport/base/result.h"
#include "wayport/transport/kcp/packet_cipher.h"

using namespace wayport;
using namespace wayport::transport::kcp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static constexpr const char* kNames[] = {"aes-128", "aes-192",     "aes-256",  "aes-128-gcm", "aes-256-gcm",
                                           "sm4",     "3des",        "blowfish", "cast5",       "xor",
                                           "none",    "aes-192-gcm", "aes"};
  if (size == 0 || size > 2000) return 0;
  const char* const name = kNames[*data % std::size(kNames)];
  const std::string key(cipher_facts(name)->key_bytes, 'k');
  const auto ours = *make_cipher(name, as_bytes(key), PacketCipher::Seed{std::byte{1}});
  const auto theirs = *make_cipher(name, as_bytes(key), PacketCipher::Seed{std::byte{2}});
  std::string bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  std::string packet = bytes;
  const MutableBytes datagram{reinterpret_cast<std::byte*>(bytes.data()), bytes.size()};
  const Opened opened = ours->open(datagram);
  if (opened.status == Opened::Status::ok)
    WAYPORT_ASSERT(opened.packet.size() + ours->head_bytes() + ours->tail_bytes() == bytes.size(),
                   "outside of the datagram");
  if (packet.empty() || packet.size() + ours->head_bytes() + ours->tail_bytes() > 1500) return 0;
  std::string sealed = std::string(ours->head_bytes(), '\0') + packet + std::string(ours->tail_bytes(), '\0');
  const MutableBytes whole{reinterpret_cast<std::byte*>(sealed.data()), sealed.size()};
  ours->seal(whole);
  const Opened again = theirs->open(whole);
  WAYPORT_ASSERT(again.status == Opened::Status::ok && as_text(again.packet) == packet, "does not open again");
  return 0;
}

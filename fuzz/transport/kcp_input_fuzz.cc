// Whatever datagrams come, a session stays within its memory, parses inside them, and never shows an `internal` error.
// With a cipher it hears what was sealed with its key, and with GCM nothing else.
//
// Input: first byte: options. Then pieces: two bytes of length, and so many bytes, each one datagram. With bits 5 and 6
// of the first they are sealed before they are heard, except where bit 15 of the length is set; with bit 7 by a cipher
// that only has a checksum.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "wayport/base/result.h"
#include "wayport/transport/kcp/testing/kcp_pair.h"

using namespace wayport;
using namespace wayport::transport::kcp;

namespace {

MutableBytes writable(std::string& text) { return {reinterpret_cast<std::byte*>(text.data()), text.size()}; }

// What the peer would make of a packet; false: it has no room for it.
bool seal(PacketCipher& cipher, std::string& packet) {
  if (packet.empty() || packet.size() + cipher.head_bytes() + cipher.tail_bytes() > kDatagramBytesMax) return false;
  packet = std::string(cipher.head_bytes(), '\0') + packet + std::string(cipher.tail_bytes(), '\0');
  cipher.seal(writable(packet));
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 100'000) return 0;
  const unsigned choice = *data++;
  --size;
  KcpOptions options;
  options.stream_mode = (choice & 1) != 0;
  options.extension = (choice & 2) != 0 ? ExtensionWish::ask : ExtensionWish::off;
  if ((choice & 4) != 0) options.fec_data = 3, options.fec_parity = 2;
  testing::KcpWorld world;
  world.links[0].loss = 1;
  testing::KcpEnd end(world);
  std::unique_ptr<PacketCipher> theirs;
  if ((choice & 32) != 0) {
    const char* const name = (choice & 128) != 0 ? "aes-128" : "aes-128-gcm";
    const std::string key(16, 'k');
    end.cipher = *make_cipher(name, as_bytes(key), PacketCipher::Seed{std::byte{1}});
    theirs = *make_cipher(name, as_bytes(key), PacketCipher::Seed{std::byte{2}});
  }
  const bool seals = theirs && (choice & 64) != 0;
  end.start(options, (choice & 8) != 0 ? KcpSession::Role::accepted : KcpSession::Role::dialer, 7);
  end.reading = (choice & 16) == 0;
  end.write("some bytes in flight");
  end.flush();
  while (size >= 2) {
    const std::size_t length = data[0] | data[1] << 8;
    const bool raw = !seals || (length & 0x8000) != 0;
    const std::size_t piece = std::min<std::size_t>(seals ? length & 0x7fff : length, size - 2);
    std::string datagram(reinterpret_cast<const char*>(data + 2), piece);
    data += 2 + piece;
    size -= 2 + piece;
    const bool sealed = !raw && seal(*theirs, datagram);
    const std::uint64_t before = end.counters.in_packets.read();
    end.session->handle_datagram(writable(datagram));
    const std::uint64_t heard = end.counters.in_packets.read() - before;
    if (sealed) WAYPORT_ASSERT(heard == 1, "what was sealed with the key is heard");
    if (!sealed && theirs && theirs->authenticates()) WAYPORT_ASSERT(heard == 0, "nobody sealed that");
    end.flush();
    world.now += std::chrono::milliseconds(3);
    world.wheel.expire(world.now);
    end.flush();
    WAYPORT_ASSERT(end.session->memory_bytes() < 400'000, "memory is bounded by windows");
    if (end.session->closed()) break;
  }
  WAYPORT_ASSERT(!end.closed || end.closed->error.code != ErrorCode::internal, "internal");
  end.session.reset();
  WAYPORT_ASSERT(end.pool.bytes_in_use() == 0, "packets were lost");
  return 0;
}

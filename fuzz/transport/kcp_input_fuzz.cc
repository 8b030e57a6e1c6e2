// Whatever datagrams come, a session stays within its memory, parses inside them, and never shows an `internal` error.
//
// Input: first byte: options. Then pieces: two bytes of length, and so many bytes, each one datagram.
#include <cstddef>
#include <cstdint>
#include <string>

#include "wayport/base/result.h"
#include "wayport/transport/kcp/testing/kcp_pair.h"

using namespace wayport;
using namespace wayport::transport::kcp;

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
  if ((choice & 32) != 0)
    end.cipher = *make_cipher("aes-128-gcm", as_bytes(std::string(16, 'k')), PacketCipher::Seed{std::byte{1}});
  end.start(options, (choice & 8) != 0 ? KcpSession::Role::accepted : KcpSession::Role::dialer, 7);
  end.reading = (choice & 16) == 0;
  end.write("some bytes in flight");
  end.flush();
  while (size >= 2) {
    const std::size_t piece = std::min<std::size_t>(data[0] | data[1] << 8, size - 2);
    std::string datagram(reinterpret_cast<const char*>(data + 2), piece);
    data += 2 + piece;
    size -= 2 + piece;
    end.session->handle_datagram({reinterpret_cast<std::byte*>(datagram.data()), datagram.size()});
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

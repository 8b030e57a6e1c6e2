// FEC packets of any content never make the decoder read past them, hold more than its groups, or rebuild more than a
// datagram.
//
// Input: data and parity counts, then pieces: one byte of length (times 8) and so many bytes.
#include <cstddef>
#include <cstdint>
#include <string>

#include "wayport/base/result.h"
#include "wayport/transport/kcp/fec.h"

using namespace wayport;
using namespace wayport::transport::kcp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 100'000) return 0;
  const auto code = *ReedSolomon::make(1 + data[0] % 12, 1 + data[1] % 6);
  data += 2;
  size -= 2;
  PacketPool pool;
  KcpCounters counters;
  {
    FecDecoder decoder(*code, pool, counters, {});
    TimePoint now(std::chrono::hours(1));
    while (size != 0) {
      const std::size_t piece = std::min<std::size_t>(*data * 8u, size - 1);
      const std::string packet(reinterpret_cast<const char*>(data + 1), piece);
      data += 1 + piece;
      size -= 1 + piece;
      if (decoder.handle_packet(as_bytes(packet), now))
        for (const Bytes rebuilt : decoder.rebuilt()) WAYPORT_ASSERT(rebuilt.size() <= kDatagramBytesMax, "too large");
      WAYPORT_ASSERT(decoder.packets_held() <= 4 * code->shards(), "too many groups");
      now += std::chrono::milliseconds(100);
    }
  }
  WAYPORT_ASSERT(pool.bytes_in_use() == 0, "packets were lost");
  return 0;
}

// FEC packets of any content never make the decoder read past them, hold more than its groups, or rebuild more than a
// datagram. And of groups that were encoded, in whichever order and how often their packets come: as soon as as many came
// as a group has data, those datagrams that did not are rebuilt, once, and with exactly their bytes.
//
// Input: data and parity counts, then pieces: one byte of length (times 8) and so many bytes. If the second byte is 128
// or more: groups that were encoded, before the wrap with bit 6 of it; up to three small ones, or one of up to twelve
// datagrams if the first is 240 or more. Then two bytes for each datagram: its length (254: all there is; 255: after a
// long pause), and what is in it. Then one byte for each packet: which of those left, and whether it is lost (bit 7), or
// comes twice (bit 6).
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/transport/kcp/fec.h"

namespace {

using namespace wayport;
using namespace wayport::transport::kcp;

struct Group {
  std::vector<std::string> datagrams;
  std::set<std::size_t> arrived;
  bool done = false;
};
struct Sent {
  Group* group;
  std::size_t position;
  std::string bytes;
};

MutableBytes writable(std::string& text) { return {reinterpret_cast<std::byte*>(text.data()), text.size()}; }

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}
  bool empty() const { return at_ == end_; }
  std::uint8_t u8() { return empty() ? std::uint8_t{0} : *at_++; }

 private:
  const std::uint8_t* at_;
  const std::uint8_t* end_;
};

std::string datagram_of(std::uint8_t length, std::uint8_t what) {
  std::string datagram(length == 254 ? kDatagramBytesMax - kFecHeaderBytes : 1u + length, '\0');
  std::uint32_t state = what;
  for (char& byte : datagram) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<char>(state >> 24);
  }
  return datagram;
}

// Everything that leaves for one group, parity behind the data.
void encode(FecEncoder& encoder, const ReedSolomon& code, Input& input, TimePoint& now, bool first, Group& group,
            std::vector<Sent>& sent) {
  std::size_t longest = 0;
  for (std::size_t i = 0; i < code.data(); ++i) {
    const std::uint8_t length = input.u8();
    group.datagrams.push_back(datagram_of(length, input.u8()));
    std::string packet = std::string(kFecHeaderBytes, '\0') + group.datagrams.back();
    longest = std::max(longest, packet.size());
    const bool paused = length == 255;
    now += paused ? kFecParityGapMax : std::chrono::milliseconds(10);
    const bool parity = encoder.seal_data(writable(packet), now);
    const bool last = i + 1 == code.data();
    WAYPORT_ASSERT(parity == (last && !paused && !(first && i == 0)), "parity follows a group without a pause");
    sent.push_back({&group, i, packet});
  }
  for (std::size_t i = code.data(); const std::size_t size = encoder.parity_size(); ++i) {
    WAYPORT_ASSERT(i < code.shards() && size == longest, "as many as there are, of the size of the longest");
    std::string packet(size, '\0');
    encoder.write_parity(writable(packet));
    sent.push_back({&group, i, packet});
  }
}

void hear(FecDecoder& decoder, const ReedSolomon& code, const Sent& packet, TimePoint now) {
  Group& group = *packet.group;
  std::vector<std::string> expected;
  if (!group.done && group.arrived.insert(packet.position).second && group.arrived.size() >= code.data()) {
    group.done = true;
    for (std::size_t i = 0; i < code.data(); ++i)
      if (!group.arrived.contains(i)) expected.push_back(group.datagrams[i]);
  }
  const bool rebuilt = decoder.handle_packet(as_bytes(packet.bytes), now);
  WAYPORT_ASSERT(rebuilt == !expected.empty() && decoder.rebuilt().size() == expected.size(),
                 "what is lost is rebuilt as soon as enough is there, and never twice");
  for (std::size_t i = 0; i < expected.size(); ++i)
    WAYPORT_ASSERT(as_text(decoder.rebuilt()[i]) == expected[i], "not what was encoded");
}

void encoded(ReedSolomon& code, PacketPool& pool, unsigned groups, bool wraps, Input input) {
  KcpCounters counters;
  FecEncoder encoder(code, pool, wraps ? fec_wrap(code.shards()) - static_cast<std::uint32_t>(code.shards()) : 0);
  FecDecoder decoder(code, pool, counters, {});
  TimePoint now(std::chrono::hours(1));
  std::vector<Group> all(groups);
  std::vector<Sent> waiting;
  for (Group& group : all)
    if (const bool first = &group == &all.front(); first || !input.empty())
      encode(encoder, code, input, now, first, group, waiting);
  while (!input.empty() && !waiting.empty()) {
    const std::uint8_t how = input.u8();
    const auto chosen = waiting.begin() + (how & 63) % static_cast<std::ptrdiff_t>(waiting.size());
    for (int times = (how & 128) != 0 ? 0 : (how & 64) != 0 ? 2 : 1; times > 0; --times)
      hear(decoder, code, *chosen, now);
    waiting.erase(chosen);
    WAYPORT_ASSERT(decoder.packets_held() <= groups * code.shards(), "too many groups");
  }
  WAYPORT_ASSERT(counters.fec_errors.read() == 0 && counters.fec_far_seqids.read() == 0,
                 "an honest packet was refused");
}

void hostile(ReedSolomon& code, PacketPool& pool, const std::uint8_t* data, std::size_t size) {
  KcpCounters counters;
  FecDecoder decoder(code, pool, counters, {});
  TimePoint now(std::chrono::hours(1));
  while (size != 0) {
    const std::size_t piece = std::min<std::size_t>(*data * 8u, size - 1);
    const std::string packet(reinterpret_cast<const char*>(data + 1), piece);
    data += 1 + piece;
    size -= 1 + piece;
    if (decoder.handle_packet(as_bytes(packet), now))
      for (const Bytes rebuilt : decoder.rebuilt()) WAYPORT_ASSERT(rebuilt.size() <= kDatagramBytesMax, "too large");
    WAYPORT_ASSERT(decoder.packets_held() <= 4 * code.shards(), "too many groups");
    now += std::chrono::milliseconds(100);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 100'000) return 0;
  const bool honest = data[1] >= 128, small = honest && data[0] < 240;
  const auto code = *ReedSolomon::make(1 + data[0] % (small ? 6 : 12), 1 + data[1] % 6);
  PacketPool pool;
  if (honest)
    encoded(*code, pool, small ? 1 + data[0] / 12 % 3 : 1, (data[1] & 64) != 0, Input(data + 2, size - 2));
  else
    hostile(*code, pool, data + 2, size - 2);
  WAYPORT_ASSERT(pool.bytes_in_use() == 0, "packets were lost");
  return 0;
}

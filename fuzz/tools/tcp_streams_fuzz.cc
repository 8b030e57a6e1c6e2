// TCP streams from captured segments, against a slow and obvious model: what comes out is the longest prefix whose
// bytes were all seen, in whatever order, how often, and however overlapping the segments come.
//
// Input: a sequence of segments, three bytes each: two of offset, one of length. Lengths of 250 and more are special: a
// repeated SYN, and the segment that ends the stream.
#include <algorithm>
#include <string>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/tools/wayport/capture/tcp_streams.h"

namespace wayport::tools {
namespace {

constexpr std::size_t kStreamBytes = 4096;
constexpr std::uint32_t kStart = 0xfffffe00;  // the sequence numbers wrap inside the stream

class Collector final : public TcpStreamEvents {
 public:
  void on_stream(StreamIndex stream, const TcpEndpoint&, const TcpEndpoint&) override {
    WAYPORT_ASSERT(stream == 0, "there is one stream");
  }
  void on_stream_bytes(StreamIndex, Bytes bytes) override {
    WAYPORT_ASSERT(!ended, "nothing after the end");
    delivered += as_text(bytes);
  }
  void on_stream_end(StreamIndex, std::uint64_t lacks) override {
    WAYPORT_ASSERT(!ended, "one end");
    ended = true;
    missing = lacks;
  }

  std::string delivered;
  bool ended = false;
  std::uint64_t missing = 0;
};

const std::string& original() {
  static const std::string text = [] {
    std::string made;
    std::uint32_t state = 1;
    while (made.size() < kStreamBytes) made += static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
    return made;
  }();
  return text;
}

TcpSegment segment(std::size_t offset, std::size_t size) {
  TcpSegment made;
  made.from.port = 1;
  made.to.port = 2;
  made.seq = kStart + 1 + static_cast<std::uint32_t>(offset);
  made.payload = as_bytes(original()).subspan(offset, size);
  made.fin = offset + size == kStreamBytes;
  return made;
}
TcpSegment syn() {
  TcpSegment made = segment(0, 0);
  made.seq = kStart;
  made.syn = true;
  return made;
}

}  // namespace
}  // namespace wayport::tools

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport::tools;
  constexpr std::size_t kOperationBytes = 3;
  Collector collector;
  TcpStreams streams(collector);
  std::vector<bool> seen(kStreamBytes, false);
  bool fin_seen = false;
  streams.add(syn());
  for (std::size_t at = 0; at + kOperationBytes <= size; at += kOperationBytes) {
    std::size_t offset = (data[at] * 256u + data[at + 1]) % kStreamBytes;
    std::size_t length = std::min<std::size_t>(data[at + 2], kStreamBytes - offset);
    if (data[at + 2] == 255) {
      streams.add(syn());
      continue;
    }
    if (data[at + 2] >= 250) length = kStreamBytes - offset;
    fin_seen |= offset + length == kStreamBytes;
    std::fill_n(seen.begin() + static_cast<std::ptrdiff_t>(offset), length, true);
    streams.add(segment(offset, length));
    const auto prefix = static_cast<std::size_t>(std::ranges::find(seen, false) - seen.begin());
    WAYPORT_ASSERT(collector.delivered == original().substr(0, prefix), "the longest prefix that was seen");
    WAYPORT_ASSERT(collector.ended == (fin_seen && prefix == kStreamBytes), "the end comes with the last byte");
  }
  const bool whole = collector.ended;
  streams.finish();
  WAYPORT_ASSERT(collector.ended, "every stream ends");
  WAYPORT_ASSERT(!whole || collector.missing == 0, "and has no hole if it was whole");
  WAYPORT_ASSERT(streams.bytes_waiting() == 0, "and keeps nothing");
  return 0;
}

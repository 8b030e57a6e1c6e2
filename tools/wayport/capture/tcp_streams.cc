#include "wayport/tools/wayport/capture/tcp_streams.h"

#include <algorithm>

namespace wayport::tools {
namespace {

// What a waiting segment costs besides its bytes.
constexpr std::size_t kNodeBytes = 128;

}  // namespace

TcpStreams::Stream* TcpStreams::find_or_make(const TcpSegment& segment) {
  const std::pair key(segment.from, segment.to);
  const auto found = streams_.find(key);
  if (found != streams_.end()) {
    Stream& stream = found->second;
    // Another start on the same two endpoints is another connection.
    if (segment.syn && !(stream.saw_syn && segment.seq + 1 == stream.start_seq)) {
      if (!stream.ended) end_stream(stream, 0);
      stream = {};
      begin(stream, segment);
    }
    return &stream;
  }
  if (segment.rst || (segment.payload.empty() && segment.cut_bytes == 0 && !segment.syn)) return nullptr;
  if (streams_.size() >= options_.streams_max) {
    ++segments_refused_;
    return nullptr;
  }
  Stream& stream = streams_[key];
  begin(stream, segment);
  return &stream;
}

void TcpStreams::begin(Stream& stream, const TcpSegment& segment) {
  stream.index = next_index_++;
  stream.saw_syn = segment.syn;
  stream.start_seq = segment.seq + (segment.syn ? 1 : 0);
  events_.on_stream(stream.index, segment.from, segment.to);
}

void TcpStreams::add(const TcpSegment& segment) {
  Stream* const found = find_or_make(segment);
  if (!found || found->ended) return;
  Stream& stream = *found;
  if (segment.rst) {
    if (stream.waiting.empty()) return end_stream(stream, 0);
    return end_at_hole(stream);
  }
  // Sequence numbers are a window of 32 bits on the offset. What is before the first byte that was seen is negative.
  const std::uint32_t seq = segment.seq + (segment.syn ? 1 : 0);
  const auto ahead = static_cast<std::int32_t>(seq - (stream.start_seq + static_cast<std::uint32_t>(stream.next)));
  const auto next = static_cast<std::int64_t>(stream.next);
  const std::int64_t begin = next + ahead;
  const std::int64_t captured_end = begin + static_cast<std::int64_t>(segment.payload.size());
  const std::int64_t end = captured_end + static_cast<std::int64_t>(segment.cut_bytes);
  if (end < next) return;
  if (segment.fin) stream.end = std::min(stream.end, static_cast<std::uint64_t>(end));
  const std::int64_t cut_from = std::max(captured_end, next);
  if (end > cut_from) stream.cut = std::min(stream.cut, static_cast<std::uint64_t>(cut_from));
  if (captured_end > next && !segment.payload.empty()) {
    const std::size_t old = begin < next ? static_cast<std::size_t>(next - begin) : 0;
    const Bytes fresh = segment.payload.subspan(old);
    if (begin <= next) {
      deliver(stream, stream.next, fresh);
      deliver_waiting(stream);
    } else {
      keep(stream, static_cast<std::uint64_t>(begin), fresh);
    }
  }
  if (stream.ended) return;
  if (stream.next >= stream.cut) return end_at_hole(stream);
  if (stream.next >= stream.end) end_stream(stream, 0);
}

void TcpStreams::keep(Stream& stream, std::uint64_t offset, Bytes bytes) {
  const auto [found, is_new] = stream.waiting.try_emplace(offset);
  std::string& slot = found->second;
  if (slot.size() >= bytes.size()) return;
  const std::size_t more = bytes.size() - slot.size() + (is_new ? kNodeBytes : 0);
  slot.assign(as_text(bytes));
  stream.waiting_bytes += more;
  bytes_waiting_ += more;
  if (stream.waiting_bytes > options_.stream_bytes_waiting_max || bytes_waiting_ > options_.bytes_waiting_max) {
    end_at_hole(stream);
  }
}

void TcpStreams::deliver(Stream& stream, std::uint64_t offset, Bytes bytes) {
  const std::uint64_t known = stream.next - offset;  // REQUIRES: offset <= next
  if (known >= bytes.size()) return;
  bytes = bytes.subspan(static_cast<std::size_t>(known));
  stream.next += bytes.size();
  events_.on_stream_bytes(stream.index, bytes);
}

void TcpStreams::deliver_waiting(Stream& stream) {
  while (!stream.waiting.empty() && stream.waiting.begin()->first <= stream.next) {
    const auto first = stream.waiting.extract(stream.waiting.begin());
    const std::size_t freed = first.mapped().size() + kNodeBytes;
    stream.waiting_bytes -= freed;
    bytes_waiting_ -= freed;
    deliver(stream, first.key(), as_bytes(first.mapped()));
  }
}

void TcpStreams::end_stream(Stream& stream, std::uint64_t missing) {
  stream.ended = true;
  bytes_waiting_ -= stream.waiting_bytes;
  stream.waiting_bytes = 0;
  stream.waiting.clear();
  events_.on_stream_end(stream.index, missing);
}

void TcpStreams::end_at_hole(Stream& stream) {
  // A cut by the capture hides at least one byte.
  std::uint64_t missing = 1;
  if (!stream.waiting.empty() && stream.waiting.begin()->first > stream.next) {
    missing = stream.waiting.begin()->first - stream.next;
  }
  end_stream(stream, missing);
}

void TcpStreams::finish() {
  for (auto& [endpoints, stream] : streams_) {
    if (stream.ended) continue;
    if (stream.waiting.empty()) {
      end_stream(stream, 0);
    } else {
      end_at_hole(stream);
    }
  }
}

}  // namespace wayport::tools

// Puts the two byte streams of each TCP connection in a capture back together. Pure.
//
// One stream per direction. Segments may come late, twice, or overlapping; what lies ahead of a hole waits, within
// bounds. A hole that does not close in time ends the stream, since what follows it could not be told apart. A capture
// that begins inside a connection begins its streams with the first segment seen.
//
//   TcpStreams streams(events);
//   for each record: if (find_tcp_segment(...) == FrameKind::tcp) streams.add(segment);
//   streams.finish();
//
// Memory: bytes_waiting_max, and less than 300 bytes per stream ever seen, of which there are at most streams_max.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "wayport/tools/wayport/capture/tcp_segment.h"

namespace wayport::tools {

struct TcpStreamsOptions {
  std::size_t stream_bytes_waiting_max = 1 << 20;  // ahead of a hole, per stream
  std::size_t bytes_waiting_max = 64 << 20;        // of all streams
  std::size_t streams_max = 100'000;               // the segments of more are only counted
};

using StreamIndex = std::size_t;  // counted from 0, in order of appearance

// What is told of the streams. `on_end` comes once per stream, last.
class TcpStreamEvents {
 public:
  virtual void on_stream(StreamIndex stream, const TcpEndpoint& from, const TcpEndpoint& to) = 0;
  virtual void on_stream_bytes(StreamIndex stream, Bytes bytes) = 0;
  // `missing`: bytes of the hole that ended it; 0: FIN, RST, a new connection in its place, or the end of the capture.
  virtual void on_stream_end(StreamIndex stream, std::uint64_t missing) = 0;

 protected:
  ~TcpStreamEvents() = default;
};

class TcpStreams {
 public:
  explicit TcpStreams(TcpStreamEvents& events, TcpStreamsOptions options = {}) : events_(events), options_(options) {}

  void add(const TcpSegment& segment);
  // The capture is over: the streams that have not ended do so now.
  void finish();

  std::uint64_t segments_refused() const noexcept { return segments_refused_; }  // streams_max
  std::size_t bytes_waiting() const noexcept { return bytes_waiting_; }

 private:
  struct Stream {
    StreamIndex index = 0;
    std::uint32_t start_seq = 0;  // of the byte at offset 0
    bool saw_syn = false;
    bool ended = false;
    std::uint64_t next = 0;                        // offset of the next byte
    std::uint64_t end = ~std::uint64_t{0};         // offset of the FIN, once seen
    std::map<std::uint64_t, std::string> waiting;  // by offset; may overlap
    std::size_t waiting_bytes = 0;
    std::uint64_t cut = ~std::uint64_t{0};  // offset of the first byte that the capture cut off
  };

  Stream* find_or_make(const TcpSegment& segment);
  void begin(Stream& stream, const TcpSegment& segment);
  void keep(Stream& stream, std::uint64_t offset, Bytes bytes);
  void deliver(Stream& stream, std::uint64_t offset, Bytes bytes);
  void deliver_waiting(Stream& stream);
  void end_stream(Stream& stream, std::uint64_t missing);
  void end_at_hole(Stream& stream);

  TcpStreamEvents& events_;
  const TcpStreamsOptions options_;
  std::map<std::pair<TcpEndpoint, TcpEndpoint>, Stream> streams_;
  StreamIndex next_index_ = 0;
  std::size_t bytes_waiting_ = 0;
  std::uint64_t segments_refused_ = 0;
};

}  // namespace wayport::tools

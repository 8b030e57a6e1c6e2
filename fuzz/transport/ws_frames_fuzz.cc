// The frames of a websocket give the same events for every split, stay within the message bound, and what we frame
// reads back as it was. First byte: bits 0 side, 1 text, 2-4 message bound; second: the split; the rest is wire bytes.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/transport/ws/frames.h"

namespace {

using namespace wayport;
using namespace wayport::transport::ws;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "ws_frames_fuzz: %s\n", what);
  std::abort();
}

// Everything that came of `input`; pieces of a message put together.
std::string events_of(const FrameReaderOptions& options, const std::string& input, std::size_t split) {
  FrameReader reader(options);
  std::string log, message, kept;
  for (std::size_t at = 0; at < input.size();) {
    const std::size_t take = std::min(split, input.size() - at);
    kept.append(input, at, take);
    at += take;
    for (;;) {
      const FrameEvent event = reader.next(std::as_writable_bytes(std::span(kept.data(), kept.size())));
      require(event.consumed <= kept.size(), "more was consumed than shown");
      const std::string payload(as_text(event.payload));
      const bool over = event.kind == FrameEvent::Kind::close || event.kind == FrameEvent::Kind::failed;
      kept.erase(0, event.consumed);
      if (event.kind == FrameEvent::Kind::more) break;
      if (event.kind == FrameEvent::Kind::data) {
        message += payload;
        require(message.size() <= options.message_bytes_max, "a message is larger than its bound");
        if (event.message_end) log += "data " + std::exchange(message, "") + "\n";
        continue;
      }
      require(payload.size() <= kControlBytesMax, "a control frame is larger than 125 bytes");
      log += std::to_string(static_cast<int>(event.kind)) + " ";
      if (over) log += std::to_string(static_cast<int>(event.code)) + " ";
      if (event.kind != FrameEvent::Kind::failed) log += payload;
      log += "\n";
      // How much of a text was shown before it was found to be none depends on the split.
      if (over) return log;
    }
    require(kept.size() < kFrameHeaderBytesMax + kControlBytesMax, "more waits than a control frame");
  }
  return log + message;
}

void round_trip(const std::string& payload, bool from_client) {
  const MaskKey key{std::byte{0xa5}, std::byte{0}, std::byte{0xff}, std::byte{0x3c}};
  std::string frame(kFrameHeaderBytesMax, '\0');
  frame.resize(write_frame_header(reinterpret_cast<std::byte*>(frame.data()), Opcode::binary, true, payload.size(),
                                  from_client ? &key : nullptr));
  const std::size_t header = frame.size();
  frame += payload;
  const auto body = std::as_writable_bytes(std::span(frame.data() + header, payload.size()));
  if (from_client) apply_mask(body, key, 0);
  FrameReader reader({.from_client = from_client, .message_bytes_max = payload.size()});
  const FrameEvent event = reader.next(std::as_writable_bytes(std::span(frame.data(), frame.size())));
  require(event.kind == FrameEvent::Kind::data && event.message_end, "our own frame is not read");
  require(event.consumed == frame.size() && as_text(event.payload) == payload, "our own frame reads differently");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 64 * 1024) return 0;
  const FrameReaderOptions options{.from_client = (data[0] & 1) != 0,
                                   .text = (data[0] & 2) != 0,
                                   .message_bytes_max = std::uint64_t{1} << (((data[0] >> 2) & 7) * 3)};
  const std::string input(reinterpret_cast<const char*>(data) + 2, size - 2);
  const std::string whole = events_of(options, input, input.size() + 1);
  require(events_of(options, input, 1) == whole, "byte by byte gives other events");
  require(events_of(options, input, 1u + data[1]) == whole, "another split gives other events");
  round_trip(input, options.from_client);
  return 0;
}

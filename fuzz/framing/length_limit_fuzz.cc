// The read limits of the framings whose length stands in front (read_limit_fuzz has Teleport and JSON lines): what is
// within the limit is read, whole; what is one byte over it is refused on its length alone, before any of it is there.
//
// Input: u8 which: link frame, identify of a route client, its answer, PROXY header. i8 gap between limit and message.
// u16 bytes of the message. Then the message's bytes, repeated as needed.
#include <cstddef>
#include <cstdint>
#include <string>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/base/result.h"
#include "wayport/framing/link/frame_reader.h"
#include "wayport/framing/link/packet.h"
#include "wayport/framing/proxy_protocol/proxy_protocol.h"
#include "wayport/framing/route/handshake.h"
#include "wayport/fuzz/framing/stream.h"

namespace {

using namespace wayport;

struct Outcome {
  bool read = false;
  std::string message{};
  bool refused = false;
};

std::string with_length(std::string_view message) {
  std::string text(4, '\0');
  store_le(reinterpret_cast<std::byte*>(text.data()), static_cast<std::uint32_t>(message.size()));
  return text.append(message);
}

Outcome read_link(Bytes stream, std::uint32_t limit) {
  Outcome outcome;
  link::FrameReader reader(limit);
  const auto taken = reader.read(stream, [&outcome](link::Frame& frame) {
    Chain whole;
    frame.move_to(whole);
    outcome.read = true;
    outcome.message = whole.to_string().substr(link::kFrameHeaderBytes);
    return true;
  });
  outcome.refused = !taken && taken.error().code == ErrorCode::too_large;
  WAYPORT_ASSERT(!outcome.refused || reader.buffered() == 0, "nothing is kept of what is refused");
  return outcome;
}

Outcome read_identify(Bytes stream, std::uint32_t limit) {
  route::IdentifyReader reader(limit);
  const auto taken = reader.read(stream);
  Outcome outcome{.read = reader.done(), .refused = !taken && taken.error().code == ErrorCode::too_large};
  if (reader.done()) outcome.message = reader.identify();
  return outcome;
}

Outcome read_answer(Bytes stream, std::uint32_t limit) {
  route::AnswerReader reader(limit);
  const auto taken = reader.read(stream);
  Outcome outcome{.read = reader.verdict() == route::AnswerReader::Verdict::accepted,
                  .refused = !taken && taken.error().code == ErrorCode::too_large};
  if (outcome.read) outcome.message = reader.message();
  return outcome;
}

Outcome read_proxy(Bytes stream, std::uint32_t limit) {
  const auto parsed = proxy_protocol::parse_header(stream, {.header_bytes_max = limit});
  Outcome outcome{.read = parsed && *parsed, .refused = !parsed && parsed.error().code == ErrorCode::too_large};
  if (outcome.read) outcome.message = (*parsed)->header.custom.empty() ? "" : (*parsed)->header.custom[0].value;
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  framing::fuzzing::Input input(data, size);
  const unsigned which = input.u8() % 4;
  const int gap = static_cast<std::int8_t>(input.u8());
  std::string message(std::size_t{input.u16()}, 'm');
  const Bytes pattern = input.rest();
  for (std::size_t i = 0; i < message.size() && !pattern.empty(); ++i) {
    message[i] = static_cast<char>(pattern[i % pattern.size()]);
  }

  std::string stream;
  std::size_t counted = message.size();  // what the limit is about
  std::size_t length_bytes = 4;          // up to here a reader knows too little to refuse
  if (which == 0) {
    counted += link::kFrameLengthMin;
    stream = with_length(std::string("\1\0\0\0", 4) + message);
  } else if (which == 3) {
    if (message.size() > 60'000) message.resize(60'000);
    Chain chain;
    const Result<void> written =
        proxy_protocol::append_v2(chain, {.custom = {{proxy_protocol::kCustomTypeFirst, message}}}, false);
    WAYPORT_ASSERT(written.has_value(), "a header of this size can be written");
    stream = chain.to_string();
    counted = stream.size();
    length_bytes = proxy_protocol::kV2BytesMin;
  } else {
    stream = with_length(message);
  }
  const long long limit = static_cast<long long>(counted) + gap;
  if (limit < 16 || (which == 1 && message.empty())) return 0;

  const auto read = [which, limit](std::string_view bytes) {
    const auto max = static_cast<std::uint32_t>(limit);
    const std::string exact(bytes);
    switch (which) {
      case 0:
        return read_link(as_bytes(exact), max);
      case 1:
        return read_identify(as_bytes(exact), max);
      case 2:
        return read_answer(as_bytes(exact), max);
      default:
        return read_proxy(as_bytes(exact), max);
    }
  };
  const Outcome whole = read(stream);
  const Outcome start = read(std::string_view(stream).substr(0, length_bytes));
  if (gap >= 0) {
    WAYPORT_ASSERT(whole.read && !whole.refused && whole.message == message, "within the limit it is read, whole");
    WAYPORT_ASSERT(!start.refused, "and its length is not refused");
  } else {
    WAYPORT_ASSERT(!whole.read && whole.refused, "one byte over the limit it is refused");
    WAYPORT_ASSERT(start.refused, "on its length alone");
  }
  return 0;
}

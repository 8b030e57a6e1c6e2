// A link stream gives the same frames however it is cut, never more memory than has arrived, and what was decoded
// encodes back to what came.
//
// Input: MaxPacket (two bytes, so at most 65,535 and 4), a count and that many step sizes (0: 256), then the stream.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/base/result.h"
#include "wayport/framing/link/frame_reader.h"
#include "wayport/framing/link/packet.h"

namespace wayport::link {
namespace {

struct Outcome {
  std::vector<std::string> frames{};
  std::optional<ErrorCode> error{};
  std::size_t unfinished = 0;

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

void check_frame(const std::string& frame, std::uint32_t connection, std::uint32_t max) {
  const auto header = decode_frame_header(as_bytes(frame), max);
  WAYPORT_ASSERT(header && *header && (*header)->frame_bytes() == frame.size(), "a frame has the size that it says");
  WAYPORT_ASSERT((*header)->connection == connection, "and the connection");
  const Bytes message = as_bytes(frame).subspan(kFrameHeaderBytes);
  if (connection != kControlConnection) {
    Chain again;
    WAYPORT_ASSERT(append_data(again, connection, message, max).has_value(), "what was let in may be sent");
    WAYPORT_ASSERT(again.to_string() == frame, "data encodes back");
    return;
  }
  const Result<Command> command = decode_command(message);
  if (!command) return;
  const EncodedCommand again(*command);
  WAYPORT_ASSERT(again.bytes().size() <= frame.size(), "only bytes behind the arguments are dropped");
  WAYPORT_ASSERT(std::ranges::equal(again.bytes().subspan(kLengthBytes),
                                    as_bytes(frame).subspan(kLengthBytes, again.bytes().size() - kLengthBytes)),
                 "a command encodes back");
}

Outcome read_stream(Bytes stream, Bytes steps, std::uint32_t max) {
  FrameReader reader(max);
  Outcome outcome;
  std::vector<std::byte> shown;
  std::size_t given = 0;
  for (std::size_t i = 0; given < stream.size(); ++i) {
    std::size_t step = steps.empty() ? stream.size() : static_cast<std::size_t>(steps[i % steps.size()]);
    if (step == 0) step = 256;
    const Bytes piece = stream.subspan(given, std::min(step, stream.size() - given));
    given += piece.size();
    std::vector<std::byte> exact(shown);
    exact.insert(exact.end(), piece.begin(), piece.end());
    const auto consumed = reader.read(exact, [&](Frame& frame) {
      std::array<std::byte, kCommandMessageBytesMax> message;
      const std::size_t size = frame.copy_message(message);
      const std::uint32_t connection = frame.connection;
      Chain whole;
      frame.move_to(whole);
      outcome.frames.push_back(whole.to_string());
      WAYPORT_ASSERT(std::ranges::equal(Bytes(message).first(size),
                                        as_bytes(outcome.frames.back()).subspan(kFrameHeaderBytes, size)),
                     "a message begins as its frame has it");
      check_frame(outcome.frames.back(), connection, max);
      return true;
    });
    if (!consumed) {
      outcome.error = consumed.error().code;
      WAYPORT_ASSERT(!reader.read(exact, [](Frame&) { return true; }), "once failed, stays failed");
      return outcome;
    }
    shown.assign(exact.begin() + static_cast<std::ptrdiff_t>(*consumed), exact.end());
    WAYPORT_ASSERT(shown.size() < FrameReader::kInPlaceBytesMax, "the rest is small");
    WAYPORT_ASSERT(reader.buffered() <= given, "memory only for what has arrived");
  }
  outcome.unfinished = shown.size() + reader.buffered();
  return outcome;
}

}  // namespace
}  // namespace wayport::link

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport;
  Bytes input(reinterpret_cast<const std::byte*>(data), size);
  if (input.size() < 3) return 0;
  const std::uint32_t max = link::kFrameLengthMin + load_be<std::uint16_t>(input.data());
  const std::size_t count = std::min(static_cast<std::size_t>(input[2]), input.size() - 3);
  const Bytes steps = input.subspan(3, count);
  const Bytes stream = input.subspan(3 + count);
  const link::Outcome whole = link::read_stream(stream, {}, max);
  WAYPORT_ASSERT(link::read_stream(stream, steps, max) == whole, "any split gives the same");
  return 0;
}

// Frames of websocket (RFC 6455, section 5) as a core: bytes in, events out, and headers for what is sent.
//
// Payload is unmasked where it lies and given out as it arrives, so a message of any size costs no memory; only headers
// and control frames (at most 131 bytes) wait until they are whole. Not for extensions: a reserved bit is an error.
//
// Not thread-safe.
#pragma once

#include <array>
#include <cstdint>

#include "wayport/base/bytes.h"
#include "wayport/transport/ws/close_code.h"
#include "wayport/transport/ws/utf8_check.h"

namespace wayport::transport::ws {

enum class Opcode : std::uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

inline constexpr std::size_t kFrameHeaderBytesMax = 14;
inline constexpr std::size_t kControlBytesMax = 125;

using MaskKey = std::array<std::byte, 4>;
// `offset`: how many bytes of the payload came before.
void apply_mask(MutableBytes bytes, const MaskKey& key, std::size_t offset) noexcept;
// From one memory to another of the same size.
void copy_masked(Bytes from, std::byte* to, const MaskKey& key, std::size_t offset) noexcept;

// Writes the header of a frame with `size` bytes of payload; returns its size. `key`: nullptr for a server's.
std::size_t write_frame_header(std::byte* to, Opcode opcode, bool final, std::uint64_t size,
                               const MaskKey* key) noexcept;

struct FrameReaderOptions {
  bool from_client = true;                        // frames must be masked; else they must not
  bool text = false;                              // text messages are taken; else 1003
  std::uint64_t message_bytes_max = 1024 * 1024;  // all fragments together; above 1009
};

struct FrameEvent {
  enum class Kind : std::uint8_t {
    more,    // not yet: show the rest again, with more behind it
    data,    // a piece of a message; `message_end`: its last. Empty only at the end of a message.
    ping,    // payload is to be answered
    pong,    // payload
    close,   // code, payload: the peer's text; the last event
    failed,  // code to answer with, why; the last event
  };
  Kind kind = Kind::more;
  std::size_t consumed = 0;  // of the bytes shown, this event's included
  MutableBytes payload{};    // within the bytes shown
  bool message_end = false;
  CloseCode code = CloseCode::normal;
  const char* why = "";  // static text
};

class FrameReader {
 public:
  explicit FrameReader(const FrameReaderOptions& options) noexcept : options_(options) {}

  // The next event at the front of `bytes`. After `close` or `failed`: only `more`, with everything consumed.
  FrameEvent next(MutableBytes bytes) noexcept;
  bool within_message() const noexcept { return in_message_; }

 private:
  struct Header;

  FrameEvent fail(std::size_t consumed, CloseCode code, const char* why) noexcept;
  FrameEvent payload_of(MutableBytes bytes, std::size_t at) noexcept;
  const char* wrong(std::byte first, std::byte second) const noexcept;
  FrameEvent control(Opcode opcode, MutableBytes payload, std::size_t consumed) noexcept;

  const FrameReaderOptions options_;
  std::uint64_t frame_left_ = 0;     // of the data frame under way
  std::uint64_t message_bytes_ = 0;  // announced so far
  std::size_t mask_offset_ = 0;
  MaskKey key_{};
  Utf8Check utf8_;
  bool in_frame_ = false;
  bool final_ = false;
  bool in_message_ = false;
  bool text_ = false;
  bool over_ = false;
};

}  // namespace wayport::transport::ws

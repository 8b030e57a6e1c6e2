// Frames and commands of the link protocol, which the Go gateway "fastway" speaks (spec/link.md 2 and 3).
//
//     0        4        8
//    +--------+--------+---------+
//    | length |   id   | message |      length counts everything after itself: 4 + the message's size
//    +--------+--------+---------+
//     u32      u32                      little endian
//
// Pure functions on views; nothing is copied, kept or allocated but the text of an error. Every byte may be hostile: no
// length is believed before it was compared with the limit. FrameReader (frame_reader.h) cuts a byte stream into
// frames; the functions here are what it and writers of frames are made of.
//
// The namespace wayport::link is shared by all packages of this protocol: //framing/link, //transport/link,
// //gateway/link.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/base/result.h"

namespace wayport::link {

inline constexpr std::size_t kLengthBytes = 4;
inline constexpr std::size_t kFrameHeaderBytes = 8;     // length and connection id
inline constexpr std::uint32_t kFrameLengthMin = 4;     // an empty message
inline constexpr std::uint32_t kControlConnection = 0;  // the connection id of commands; never given to a connection
inline constexpr std::uint32_t kPacketBytesMaxDefault = 512 * 1024;  // MaxPacket of the original

// The largest data message under a MaxPacket of `packet_bytes_max` (which counts the connection id, too).
constexpr std::uint32_t payload_bytes_max(std::uint32_t packet_bytes_max) noexcept {
  return packet_bytes_max < kFrameLengthMin ? 0 : packet_bytes_max - kFrameLengthMin;
}

struct FrameHeader {
  std::uint32_t length = 0;      // as on the wire
  std::uint32_t connection = 0;  // 0: a command

  std::size_t frame_bytes() const noexcept { return kLengthBytes + std::size_t{length}; }
  std::size_t message_bytes() const noexcept { return length - kFrameLengthMin; }
  friend bool operator==(const FrameHeader&, const FrameHeader&) = default;
};

// Judges the length word as soon as it is there, before anything that follows. Errors: `malformed` below 4, `too_large`
// above `packet_bytes_max`; both end the connection. nullopt: more bytes are needed.
Result<std::optional<FrameHeader>> decode_frame_header(Bytes in, std::uint32_t packet_bytes_max);
// The errors of decode_frame_header() for a length that breaks a rule.
Error frame_length_error(std::uint32_t length, std::uint32_t packet_bytes_max);
// `to` has room for kFrameHeaderBytes. REQUIRES: header.length >= kFrameLengthMin.
void encode_frame_header(const FrameHeader& header, std::byte* to) noexcept;

// Appends one data frame. Errors (nothing was appended): `too_large` if `payload` exceeds
// payload_bytes_max(packet_bytes_max), which a receiver would answer by closing; `invalid_argument` for connection 0.
Result<void> append_data(Chain& to, std::uint32_t connection, Bytes payload,
                         std::uint32_t packet_bytes_max = kPacketBytesMaxDefault);

enum class CommandType : std::uint8_t {
  dial = 0,     // endpoint -> gateway: remote
  accept = 1,   // gateway -> dialer: connection, remote (the id that was dialed)
  connect = 2,  // gateway -> dialed: connection, remote (the dialer's id)
  refuse = 3,   // gateway -> dialer: remote (the id that was dialed)
  close = 4,    // anyone: connection
  ping = 5,     // endpoint -> gateway, which answers the same
};
std::string_view to_string(CommandType type) noexcept;

// Fields that a type does not have are 0.
struct Command {
  CommandType type = CommandType::ping;
  std::uint32_t connection = 0;
  std::uint32_t remote = 0;

  static constexpr Command dial(std::uint32_t remote) noexcept { return {CommandType::dial, 0, remote}; }
  static constexpr Command accept(std::uint32_t connection, std::uint32_t remote) noexcept {
    return {CommandType::accept, connection, remote};
  }
  static constexpr Command connect(std::uint32_t connection, std::uint32_t remote) noexcept {
    return {CommandType::connect, connection, remote};
  }
  static constexpr Command refuse(std::uint32_t remote) noexcept { return {CommandType::refuse, 0, remote}; }
  static constexpr Command close(std::uint32_t connection) noexcept { return {CommandType::close, connection, 0}; }
  static constexpr Command ping() noexcept { return {}; }

  friend bool operator==(const Command&, const Command&) = default;
};

// The longest message of a command that means something: type, connection, remote. What follows is ignored.
inline constexpr std::size_t kCommandMessageBytesMax = 9;

// `message` is what follows the connection id 0; a prefix of kCommandMessageBytesMax bytes of it is enough. Bytes after
// the arguments are ignored. Error `malformed`: no type byte, an unknown type, an argument cut off. Which side may send
// which type is not decided here.
Result<Command> decode_command(Bytes message);

// A command as a whole frame, header included.
class EncodedCommand {
 public:
  explicit EncodedCommand(const Command& command) noexcept;
  Bytes bytes() const noexcept { return Bytes(bytes_).first(size_); }
  operator Bytes() const noexcept { return bytes(); }

 private:
  std::array<std::byte, kFrameHeaderBytes + kCommandMessageBytesMax> bytes_;
  std::size_t size_;
};

}  // namespace wayport::link

// A byte stream through a PacketReader, in one piece or cut as an input says: what the split-invariance targets
// compare.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "wayport/framing/protocol.h"

namespace wayport::framing::fuzzing {

// Takes bytes from the front of a fuzz input; zeros when it has run out.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : bytes_(reinterpret_cast<const std::byte*>(data), size) {}

  std::uint8_t u8() {
    if (bytes_.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(bytes_[0]);
    bytes_ = bytes_.subspan(1);
    return value;
  }
  std::uint16_t u16() {
    const unsigned high = u8();
    return static_cast<std::uint16_t>(high << 8 | u8());
  }
  Bytes take(std::size_t size) {
    const Bytes taken = bytes_.first(std::min(size, bytes_.size()));
    bytes_ = bytes_.subspan(taken.size());
    return taken;
  }
  Bytes rest() const { return bytes_; }

 private:
  Bytes bytes_;
};

// A packet that outlives its bytes.
struct PacketCopy {
  std::uint64_t seq;
  std::int32_t type, gzip, status_code;
  std::string uri, status;
  std::uint8_t header_codec;
  bool has_body_codec;
  std::uint8_t body_codec;
  std::string body;
  std::size_t size;

  friend bool operator==(const PacketCopy&, const PacketCopy&) = default;
};
PacketCopy copy_of(const PacketView& packet);
// As it would be passed on: the same header and the body as it is.
OutgoingPacket passed_on(const PacketView& packet);

struct StreamResult {
  std::vector<PacketCopy> packets{};
  std::optional<ErrorCode> error{};
  std::size_t unfinished = 0;  // bytes left over, wherever they are

  friend bool operator==(const StreamResult&, const StreamResult&) = default;
};

// Pushes `stream` in pieces whose sizes repeat `steps` (0 counts as 256; none: all at once). Checks on the way what the
// reader promises: consumption, memory. Copies each piece to the heap, so that the sanitizers see a read past its end.
StreamResult read_stream(Bytes stream, Bytes steps, const Protocol& protocol, std::size_t packet_bytes_max);

}  // namespace wayport::framing::fuzzing

// The 24-byte KCP segment: the unit of which datagrams are rows (spec/kcp.md 2).
//
// Pure functions and a cursor; nothing allocates. Views live as long as the datagram.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "wayport/base/bytes.h"

namespace wayport::transport::kcp {

inline constexpr std::size_t kSegmentHeaderBytes = 24;
// UDP payload. kcp-go reads into buffers of this size and cuts what is longer; we drop it.
inline constexpr std::size_t kDatagramBytesMax = 1500;

// Values of `cmd`.
inline constexpr std::uint8_t kPush = 81;
inline constexpr std::uint8_t kAck = 82;
inline constexpr std::uint8_t kAskWindow = 83;
inline constexpr std::uint8_t kTellWindow = 84;

struct Segment {
  std::uint32_t conv = 0;
  std::uint8_t cmd = kPush;
  std::uint8_t frg = 0;   // fragments of the message still to come
  std::uint16_t wnd = 0;  // free slots in the sender's receive queue
  std::uint32_t ts = 0;   // sender's milliseconds; an ack repeats the push's
  std::uint32_t sn = 0;
  std::uint32_t una = 0;  // everything below has arrived in order
  Bytes payload{};
};

// Numbers and times wrap at 2^32. Negative: `a` comes before `b`.
constexpr std::int32_t difference(std::uint32_t a, std::uint32_t b) noexcept {
  return static_cast<std::int32_t>(a - b);
}

// Writes the header only; `payload_bytes` goes to its length field. `to` has kSegmentHeaderBytes.
void write_segment_header(std::byte* to, const Segment& segment, std::size_t payload_bytes) noexcept;

enum class ParseEnd : std::uint8_t {
  whole,           // up to 23 trailing bytes are ignored
  too_short,       // less than one header: -1 in kcp-go
  wrong_conv,      // -1
  truncated,       // `len` reaches past the datagram: -2
  unknown_command  // -3
};

// Reads the segments of a datagram in order. Those before a faulty one count, as in kcp-go.
class SegmentReader {
 public:
  SegmentReader(Bytes datagram, std::uint32_t conv) noexcept : rest_(datagram), conv_(conv) {
    if (datagram.size() < kSegmentHeaderBytes) end_ = ParseEnd::too_short;
  }
  // nullopt: the end; end() says which.
  std::optional<Segment> next() noexcept;
  ParseEnd end() const noexcept { return end_; }

 private:
  Bytes rest_;
  std::uint32_t conv_;
  ParseEnd end_ = ParseEnd::whole;
};

}  // namespace wayport::transport::kcp

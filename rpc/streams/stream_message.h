// The messages of a stream and how they look as pushes (README.md has the wire). Core: no I/O.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "wayport/base/bytes.h"
#include "wayport/rpc/status.h"

namespace wayport::rpc {

// A stream of one session. Each end numbers those that it opens, upwards from 1.
struct StreamId {
  bool ours = false;  // this end opened it
  std::uint64_t number = 0;

  friend auto operator<=>(const StreamId&, const StreamId&) = default;
};

// Largest offset, credit, size and stream number.
inline constexpr std::uint64_t kStreamNumberMax = std::numeric_limits<std::int64_t>::max();

struct StreamMessage {
  enum class Kind : std::uint8_t {
    data,    // `value`: the offset of the first byte of `body`
    credit,  // `value`: the receiver of this may send bytes below this offset
    end,     // `value`: how many bytes were sent in all
    stop,    // the sender of this reads no more of the stream
    abort,   // both directions are over; `status` says why
  };

  Kind kind = Kind::data;
  StreamId id{};
  std::uint64_t value = 0;
  Bytes body{};     // data; lives as the caller says
  Status status{};  // abort
};
inline constexpr StreamMessage::Kind kStreamMessageKinds[] = {StreamMessage::Kind::data, StreamMessage::Kind::credit,
                                                              StreamMessage::Kind::end, StreamMessage::Kind::stop,
                                                              StreamMessage::Kind::abort};

// "data", "credit", ...: the last element of the route.
std::string_view route_of(StreamMessage::Kind kind) noexcept;

// Appends the uri of a push, "/wayport/stream/data?yours=7&at=16384"; body and status travel beside it.
void append_uri(std::string& to, std::string_view prefix, const StreamMessage& message);

// What a query says; `id` is seen from here, not from the sender.
struct ParsedStreamMessage {
  std::optional<StreamId> id;          // none: no stream can be told
  std::optional<std::uint64_t> value;  // none: missing, no decimal number, or above kStreamNumberMax
};
// Only the exact form counts: two parameters in their order, decimal digits.
ParsedStreamMessage parse_stream_message(StreamMessage::Kind kind, std::string_view raw_query) noexcept;

// The pull that opens a stream: "/wayport/stream/open?mine=7&credit=262144".
struct StreamOpen {
  std::uint64_t number = 0;
  std::uint64_t credit = 0;
};
void append_open_uri(std::string& to, std::string_view prefix, const StreamOpen& open);
std::optional<StreamOpen> parse_stream_open(std::string_view raw_query) noexcept;

// Decimal digits only, at most kStreamNumberMax; also the reply to an open.
std::optional<std::uint64_t> parse_stream_number(std::string_view digits) noexcept;

}  // namespace wayport::rpc

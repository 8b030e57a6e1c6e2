// What the benchmarks send and expect: pulls to /echo with a body of raw bytes, or to /sum with a small protobuf
// message, and their replies. Headers are protobuf. Request `number` differs from its neighbours, so that a wrong reply
// shows.
#pragma once

#include <cstdint>
#include <string>

#include "wayport/framing/body.h"
#include "wayport/framing/packet.h"
#include "wayport/tools/bench/exchange.pb.h"

namespace wayport::tools {

enum class BodyKind : std::uint8_t { raw, protobuf };

inline constexpr const char* kEchoUri = "/echo";
inline constexpr const char* kSumUri = "/sum";
inline constexpr std::size_t kBodyBytesMin = 8;
// Whole frames of the raw echo fit its read buffer.
inline constexpr std::size_t kBodyBytesMax = 64 * 1024;

struct Exchange {
  BodyKind kind = BodyKind::raw;
  std::size_t body_bytes = 40;  // raw

  const char* uri() const noexcept { return kind == BodyKind::raw ? kEchoUri : kSumUri; }

  // --- raw ---
  framing::RawBody raw_request() const;
  static void number_raw(framing::RawBody& body, std::uint64_t number) noexcept;
  // The number that it carries; 0 with a wrong size.
  std::uint64_t raw_number(Bytes body) const noexcept;

  // --- protobuf ---
  static void number_sum(Sum& sum, std::uint64_t number) {
    sum.set_a(first_summand(number));
    sum.set_b(kSecondSummand);
  }
  static std::int32_t expected_sum(std::uint64_t number) noexcept { return first_summand(number) + kSecondSummand; }
  // What a server answers.
  static Sum add(const Sum& request);

  // On the wire, with a sequence number of three bytes.
  std::size_t request_bytes() const;
  std::size_t reply_bytes() const;

 private:
  static constexpr std::int32_t kSecondSummand = 7;
  // Always three bytes as a varint.
  static std::int32_t first_summand(std::uint64_t number) noexcept {
    return 0x10000 | static_cast<std::int32_t>(number & 0xffff);
  }
};

// Header and codec id of a pull, of a reply with status 200; the body is the caller's.
framing::OutgoingPacket pull_packet(const Exchange& exchange, std::uint64_t seq) noexcept;
framing::OutgoingPacket reply_packet(const framing::PacketHeader& request) noexcept;

}  // namespace wayport::tools

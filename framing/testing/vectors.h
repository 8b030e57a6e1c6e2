// The golden packets of spec/vectors/teleport.json (format: the README.md beside it), for the tests of any package.
//
//     for (const PacketVector& vector : teleport_vectors().packets) { SCOPED_TRACE(vector.name); ... }
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/framing/packet.h"

namespace wayport::framing::testing {

// One whole packet that a Go release wrote.
struct PacketVector {
  enum class BodyForm : std::uint8_t {
    empty,       // BL = 0
    codec_only,  // BL = 1
    plain,
    gzip,
    raw,  // the application's own bytes; not inflated even if header.gzip != 0
  };

  // Views into this object.
  PacketHeader header() const { return {seq, type, uri, gzip, status_code, status}; }
  // What follows the body codec id on the wire.
  std::string_view wire_body() const {
    return body_length == 0 ? std::string_view{} : std::string_view(bytes).substr(header_length + 9);
  }

  std::string name;
  std::string version;  // "v2.5"
  bool from_client = false;
  std::string bytes;  // the packet
  std::uint64_t seq = 0;
  std::int32_t type = 0;
  std::string uri;
  std::int32_t gzip = 0;
  std::int32_t status_code = 0;
  std::string status;
  std::uint8_t header_codec = 0;  // 'j' or 'p'
  std::size_t header_length = 0;  // HL
  std::size_t body_length = 0;    // BL
  std::uint8_t body_codec = 0;    // 0: none, BL = 0
  std::string body;               // without codec id, inflated
  BodyForm body_form = BodyForm::empty;
  std::string notes;
};

// What a Go peer emits through a defect of its own.
struct DefectStream {
  std::string name;
  std::string version;
  std::string bytes;
  std::string notes;
};

// What was sent to a fresh Go v2.5 server, and how that reacted.
struct MalformedInput {
  // The whole input. Long ones are generated here (a second of work for the 200 MiB gzip bombs, then kept).
  std::string bytes() const;

  std::string name;
  std::string prefix;                 // all of it, unless generated
  std::string generator;              // in words; empty: not generated
  std::size_t total_bytes = 0;        // size of bytes()
  std::size_t server_read_limit = 0;  // 0: none
  std::optional<std::chrono::milliseconds> server_read_timeout;
  bool server_unknown_handler = false;
  bool client_half_closes = false;
  std::string pacing;
  std::string reply;  // bytes that the server answered; empty: none
  std::string go_behaviour;
  // Where those releases differ.
  std::optional<std::string> reply_v2_0;
  std::optional<std::string> reply_v2_6;
  std::string go_behaviour_v2_0;
  std::string go_behaviour_v2_6;
};

struct TeleportVectors {
  std::vector<PacketVector> packets;
  std::vector<DefectStream> defect_streams;
  std::vector<MalformedInput> malformed;

  // nullptr: no such name.
  const PacketVector* packet(std::string_view name) const;
  const MalformedInput* malformed_input(std::string_view name) const;
};

// Read once per process; a missing or odd file aborts with the reason.
const TeleportVectors& teleport_vectors();

}  // namespace wayport::framing::testing

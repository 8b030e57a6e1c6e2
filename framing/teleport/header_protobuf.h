// The packet header as a protobuf message, header codec 'p' (spec/teleport 2):
//
//     uint64 seq = 1;  int32 type = 2;  string uri = 3;  int32 gzip = 4;  int32 status_code = 5;  string status = 6;
//
// By hand, because it is on the path of every packet: strings are views, nothing is allocated. As the originals read
// it: any order, last duplicate wins, unknown fields are skipped, wide varints are truncated, strings may be any bytes.
#pragma once

#include <cstddef>

#include "wayport/base/result.h"
#include "wayport/framing/packet.h"

namespace wayport::framing {

// Exact.
std::size_t header_protobuf_size(const PacketHeader& header) noexcept;
// Writes that many bytes; returns the end.
std::byte* write_header_protobuf(std::byte* to, const PacketHeader& header) noexcept;

// Sets every field of `header`; its strings point into `from`.
//
// malformed: cut off, field number 0, a known field with another wire type, unknown wire types, unbalanced groups or
// groups over 64 deep. (The originals skip unknown groups, and so do we.)
Result<void> read_header_protobuf(Bytes from, PacketHeader& header);

}  // namespace wayport::framing

// The packet header as JSON, header codec 'j' (spec/teleport 2): written byte for byte as Go writes it, read as
// leniently as Go reads it.
//
// No allocation, apart from strings that have to be unescaped: those go into a storage that the caller keeps.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "wayport/base/result.h"
#include "wayport/framing/packet.h"

namespace wayport::framing {

// At most so many bytes will be written.
std::size_t header_json_size_max(const PacketHeader& header) noexcept;
// Returns the end.
char* write_header_json(char* to, const PacketHeader& header) noexcept;

// Sets every field of `header`. Its strings point into `from`, or into `text`, which is overwritten.
//
// malformed: no JSON object (or null), a known key with a value of the wrong kind or range, nesting over 64.
Result<void> read_header_json(std::string_view from, std::string& text, PacketHeader& header);

}  // namespace wayport::framing

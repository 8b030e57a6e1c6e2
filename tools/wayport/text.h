// How the command line shows bytes that came from somewhere else: on a terminal, in a line of text, in JSON. Pure.
#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "wayport/base/bytes.h"
#include "wayport/framing/codec_registry.h"

namespace wayport::tools {

inline constexpr std::size_t kEverything = std::numeric_limits<std::size_t>::max();

// Safe in one line on a terminal: as wayport::escape, but quotes stay as they are. At most about `bytes_max` bytes,
// then how many more there are.
std::string shown_in_line(std::string_view text, std::size_t bytes_max = kEverything);
// Safe on a terminal: quotes, line ends and tabs stay as they are.
std::string shown_on_terminal(std::string_view text);

bool is_utf8(std::string_view text) noexcept;
// Byte slices of Go peers are never compressed, whatever their header says (spec/teleport 5): the bytes themselves
// have to tell.
bool looks_compressed(Bytes body) noexcept;

// "json"; for an id that is not registered "0x41"; "none" for 0.
std::string codec_label(const framing::CodecRegistry& codecs, std::uint8_t id);

// Adds `key`, or `key`_hex when the bytes are no UTF-8.
void add_bytes(boost::json::object& to, std::string_view key, Bytes bytes);
// One line of JSON, with its line end. What would steer a terminal is escaped in it.
std::string json_line(const boost::json::object& object);

}  // namespace wayport::tools

// What Go's encoding/json and ours read on purpose and a strict parser refuses, made strict: so that such a parser can
// judge the rest of the text, too.
#pragma once

#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "wayport/framing/json_text.h"

namespace wayport::framing::fuzzing {

// The unit of an escape of four hex digits that `text` begins with.
inline std::optional<unsigned> escaped_unit(std::string_view text) {
  if (text.size() < 6 || !text.starts_with("\\u")) return std::nullopt;
  unsigned unit = 0;
  const auto parsed = std::from_chars(text.data() + 2, text.data() + 6, unit, 16);
  return parsed.ec == std::errc() && parsed.ptr == text.data() + 6 ? std::optional(unit) : std::nullopt;
}

// Lone surrogates and each byte of broken UTF-8 become U+FFFD, wherever they stand; outside of strings that is as wrong
// as they were.
inline std::string strict_json(std::string_view text) {
  const auto is_low = [](unsigned unit) { return unit >= 0xdc00 && unit < 0xe000; };
  std::string strict;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    std::string_view put = rest.substr(0, rest.starts_with("\\\\") ? 2 : 1);
    std::size_t taken = put.size();
    if (const auto unit = escaped_unit(rest); unit && *unit >= 0xd800 && *unit < 0xe000) {
      const auto next = escaped_unit(rest.substr(6));
      const bool pair = !is_low(*unit) && next && is_low(*next);
      taken = pair ? 12 : 6;
      put = pair ? rest.substr(0, taken) : "\\ufffd";
    } else if (static_cast<unsigned char>(rest[0]) >= 0x80) {
      const std::size_t size = json_text::utf8_size(rest.data(), rest.data() + rest.size());
      put = size == 0 ? "\xef\xbf\xbd" : rest.substr(0, size);
      taken = size == 0 ? 1 : size;
    }
    strict += put;
    at += taken;
  }
  return strict;
}

}  // namespace wayport::framing::fuzzing

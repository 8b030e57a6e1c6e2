#include "wayport/tools/wayport/text.h"

#include <algorithm>
#include <array>
#include <boost/json/value.hpp>

#include "wayport/framing/json_value.h"

namespace wayport::tools {
namespace {

// escape() everything but the characters in `keep`.
std::string escape_except(std::string_view text, std::string_view keep) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t run = std::min(text.find_first_of(keep), text.size());
    out += escape(text.substr(0, run), run);
    text.remove_prefix(run);
    const std::size_t kept = std::min(text.find_first_not_of(keep), text.size());
    out += text.substr(0, kept);
    text.remove_prefix(kept);
  }
  return out;
}

// Where to cut so that no UTF-8 sequence is cut.
std::size_t cut_at(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text.size();
  std::size_t at = bytes_max;
  while (at > 0 && bytes_max - at < 3 && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) --at;
  return at;
}

// What JSON leaves as it is although a terminal would obey it, or show other text than there is: DEL, the upper control
// characters, marks of direction, the byte order mark.
bool is_unsafe_in_json(char32_t c) noexcept {
  return (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

// `line` is good UTF-8, and outside its strings ASCII.
std::string with_escapes(std::string line) {
  const auto plain = [](char c) { return static_cast<unsigned char>(c) < 0x7f; };
  if (std::ranges::all_of(line, plain)) return line;
  std::string out;
  out.reserve(line.size() + line.size() / 8);
  for (std::size_t at = 0; at < line.size();) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(line[at + i]); };
    const std::size_t size = byte(0) < 0x80 ? 1 : byte(0) < 0xe0 ? 2 : byte(0) < 0xf0 ? 3 : 4;
    char32_t c = byte(0);
    if (size == 2) c = (byte(0) & 0x1fu) << 6 | (byte(1) & 0x3fu);
    if (size == 3) c = (byte(0) & 0x0fu) << 12 | (byte(1) & 0x3fu) << 6 | (byte(2) & 0x3fu);
    if (is_unsafe_in_json(c)) {
      const std::array<std::byte, 2> code = {static_cast<std::byte>(c >> 8), static_cast<std::byte>(c)};
      out += "\\u" + to_hex(code);
    } else {
      out.append(line, at, size);
    }
    at += size;
  }
  return out;
}

}  // namespace

std::string shown_in_line(std::string_view text, std::size_t bytes_max) {
  const std::size_t size = cut_at(text, bytes_max);
  std::string out = escape_except(text.substr(0, size), "\"");
  if (size < text.size()) out += "...(+" + std::to_string(text.size() - size) + " bytes)";
  return out;
}

std::string shown_on_terminal(std::string_view text) { return escape_except(text, "\"\n\t\\"); }

bool is_utf8(std::string_view text) noexcept {
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = [&](std::size_t i) {
      return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u;
    };
    const unsigned first = byte(0);
    if (first < 0x80) {
      ++at;
      continue;
    }
    const unsigned size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4) return false;
    for (unsigned i = 1; i < size; ++i) {
      if ((byte(i) & 0xc0) != 0x80) return false;
    }
    // Overlong forms, surrogates, beyond U+10FFFF.
    if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f)) return false;
    if ((first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f)) return false;
    at += size;
  }
  return true;
}

bool looks_compressed(Bytes body) noexcept {
  return body.size() >= 2 && body[0] == std::byte{0x1f} && body[1] == std::byte{0x8b};
}

std::string codec_label(const framing::CodecRegistry& codecs, std::uint8_t id) {
  if (id == 0) return "none";
  if (const framing::Codec* codec = codecs.find(id)) return std::string(codec->name());
  const auto byte = static_cast<std::byte>(id);
  return "0x" + to_hex({&byte, 1});
}

void add_bytes(boost::json::object& to, std::string_view key, Bytes bytes) {
  if (is_utf8(as_text(bytes))) {
    to.emplace(key, as_text(bytes));
  } else {
    to.emplace(std::string(key) + "_hex", to_hex(bytes));
  }
}

std::string json_line(const boost::json::object& object) {
  Chain line;
  // What it refuses, endless numbers and deep nesting, is not made here.
  const Result<void> written = framing::write_json(boost::json::value(object), line);
  WAYPORT_ASSERT(written.has_value(), "the command line makes only plain JSON");
  line.append(std::string_view("\n"));
  return with_escapes(line.to_string());
}

}  // namespace wayport::tools

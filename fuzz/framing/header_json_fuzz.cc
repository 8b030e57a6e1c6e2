// The hand-written header codec against Boost.JSON's parser with the header's rules applied to its events, and round
// trip.
//
// Both judge every text the same, and read the same from it. Where Boost refuses what Go reads (lone surrogates, broken
// UTF-8), it gets the text without these; only its bound on exponents has no counterpart in ours.
#include <array>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "wayport/framing/json_text.h"
#include "wayport/framing/teleport/header_json.h"
#include "wayport/fuzz/framing/strict_json.h"

namespace wayport::framing {
namespace {

namespace json = boost::json;

// Applies the members of the outermost object, in order, to a header: slow and obvious.
struct Events {
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_array_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_key_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_string_size = std::numeric_limits<std::size_t>::max();
  using Code = json::error_code;

  bool on_document_begin(Code&) { return true; }
  bool on_document_end(Code&) { return true; }
  bool on_object_begin(Code&) {
    if (depth > 0) other_value();
    is_object = is_object || depth == 0;
    ++depth;
    return true;
  }
  bool on_object_end(std::size_t, Code&) { return --depth >= 0; }
  bool on_array_begin(Code&) {
    other_value();
    ++depth;
    return true;
  }
  bool on_array_end(std::size_t, Code&) { return --depth >= 0; }
  bool on_key_part(json::string_view text, std::size_t, Code&) { return append(key_parts, text); }
  bool on_key(json::string_view text, std::size_t, Code&) {
    append(key_parts, text);
    if (depth == 1) key = key_parts;
    key_parts.clear();
    return true;
  }
  bool on_string_part(json::string_view text, std::size_t, Code&) { return append(string_parts, text); }
  bool on_string(json::string_view text, std::size_t, Code&) {
    append(string_parts, text);
    if (std::string* field = string_field()) {
      *field = string_parts;
    } else {
      other_value();
    }
    string_parts.clear();
    return true;
  }
  bool on_number_part(json::string_view text, Code&) { return append(number_parts, text); }
  bool on_int64(std::int64_t, json::string_view text, Code&) { return number(text); }
  bool on_uint64(std::uint64_t, json::string_view text, Code&) { return number(text); }
  bool on_double(double, json::string_view text, Code&) { return number(text); }
  bool on_bool(bool, Code&) {
    other_value();
    return true;
  }
  bool on_null(Code&) {
    is_null = is_null || depth == 0;
    return true;
  }
  bool on_comment_part(json::string_view, Code&) { return true; }
  bool on_comment(json::string_view, Code&) { return true; }

  static bool append(std::string& to, json::string_view text) {
    to.append(text.data(), text.size());
    return true;
  }
  int field() const {
    if (depth != 1) return -1;
    constexpr std::array<std::string_view, 6> kNames = {"seq", "type", "uri", "gzip", "status_code", "status"};
    for (int i = 0; i < 6; ++i) {
      if (json_text::fold_equal(kNames[static_cast<std::size_t>(i)], key)) return i;
    }
    return -1;
  }
  std::string* string_field() {
    const int index = field();
    return index == 2 ? &uri : index == 5 ? &status : nullptr;
  }
  template <class Int>
  bool assign(Int& to) {
    const char* const end = number_parts.data() + number_parts.size();
    const auto parsed = std::from_chars(number_parts.data(), end, to);
    return parsed.ec == std::errc() && parsed.ptr == end;
  }
  bool number(json::string_view text) {
    append(number_parts, text);
    bool good = true;
    switch (field()) {
      case 0:
        good = assign(seq);
        break;
      case 1:
        good = assign(type);
        break;
      case 3:
        good = assign(gzip);
        break;
      case 4:
        good = assign(status_code);
        break;
      case 2:
      case 5:
        good = false;
        break;
      default:
        break;
    }
    wrong = wrong || !good;
    number_parts.clear();
    return true;
  }
  // A value that no known field takes.
  void other_value() { wrong = wrong || field() >= 0; }

  int depth = 0;
  bool is_object = false;
  bool is_null = false;
  bool wrong = false;
  std::string key, key_parts, string_parts, number_parts, uri, status;
  std::uint64_t seq = 0;
  std::int32_t type = 0, gzip = 0, status_code = 0;
};

struct Reading {
  bool is_json = false;
  bool exponent_too_long = false;  // for an int, which Boost keeps it in
  Events events;

  bool accepts() const { return is_json && (events.is_object || events.is_null) && !events.wrong; }
};

Reading read_with_boost(std::string_view text) {
  json::parse_options options;
  options.max_depth = json_text::kNestingMax;
  json::basic_parser<Events> parser(options);
  json::error_code failed;
  const std::size_t parsed = parser.write_some(false, text.data(), text.size(), failed);
  return {!failed && parsed == text.size(), failed == json::error::exponent_overflow, parser.handler()};
}

std::string written(const PacketHeader& header) {
  std::string text(header_json_size_max(header), '\0');
  const char* const end = write_header_json(text.data(), header);
  WAYPORT_ASSERT(end <= text.data() + text.size(), "the size is a bound");
  text.resize(static_cast<std::size_t>(end - text.data()));
  return text;
}

}  // namespace
}  // namespace wayport::framing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport::framing;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  std::string text;
  PacketHeader header;
  const bool ours = read_header_json(input, text, header).has_value();
  if (ours) {
    const std::string json = written(header);
    std::string other_text;
    PacketHeader again;
    WAYPORT_ASSERT(read_header_json(json, other_text, again).has_value(), "we read what we write");
    WAYPORT_ASSERT(again == header, "and it is the same");
    WAYPORT_ASSERT(written(again) == json, "in the same words");
  }

  Reading theirs = read_with_boost(input);
  if (!theirs.is_json) theirs = read_with_boost(fuzzing::strict_json(input));
  if (theirs.exponent_too_long) return 0;
  WAYPORT_ASSERT(ours == theirs.accepts(), "the same verdict");
  if (ours) {
    const Events& events = theirs.events;
    const PacketHeader expected{events.seq, events.type, events.uri, events.gzip, events.status_code, events.status};
    WAYPORT_ASSERT(header == expected, "the same fields");
  }
  return 0;
}

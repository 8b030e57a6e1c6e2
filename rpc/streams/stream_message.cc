#include "wayport/rpc/streams/stream_message.h"

#include <charconv>

namespace wayport::rpc {
namespace {

using Kind = StreamMessage::Kind;

// Empty: the kind has no number.
std::string_view value_name(Kind kind) noexcept {
  switch (kind) {
    case Kind::data:
      return "at";
    case Kind::credit:
      return "to";
    case Kind::end:
      return "size";
    default:
      return {};
  }
}

void append_number(std::string& to, std::uint64_t number) {
  char digits[20];
  const std::to_chars_result written = std::to_chars(digits, digits + sizeof digits, number);
  to.append(digits, written.ptr);
}

// Takes "name=" off the front.
bool take_name(std::string_view& text, std::string_view name) noexcept {
  if (!text.starts_with(name) || text.size() == name.size() || text[name.size()] != '=') return false;
  text.remove_prefix(name.size() + 1);
  return true;
}

// "name=digits", then the rest after a '&' if there is any.
std::optional<std::uint64_t> take_number(std::string_view& text, std::string_view name) noexcept {
  if (!take_name(text, name)) return std::nullopt;
  const std::string_view digits = text.substr(0, text.find('&'));
  text.remove_prefix(digits.size());
  if (text.size() > 1) text.remove_prefix(1);
  return parse_stream_number(digits);
}

}  // namespace

std::string_view route_of(Kind kind) noexcept {
  switch (kind) {
    case Kind::data:
      return "data";
    case Kind::credit:
      return "credit";
    case Kind::end:
      return "end";
    case Kind::stop:
      return "stop";
    case Kind::abort:
      return "abort";
  }
  return {};
}

void append_uri(std::string& to, std::string_view prefix, const StreamMessage& message) {
  to.append(prefix).append("/").append(route_of(message.kind)).append(message.id.ours ? "?mine=" : "?yours=");
  append_number(to, message.id.number);
  if (const std::string_view name = value_name(message.kind); !name.empty()) {
    to.append("&").append(name).append("=");
    append_number(to, message.value);
  }
}

ParsedStreamMessage parse_stream_message(Kind kind, std::string_view raw_query) noexcept {
  ParsedStreamMessage parsed;
  const bool theirs = raw_query.starts_with("mine=");
  const std::optional<std::uint64_t> number = take_number(raw_query, theirs ? "mine" : "yours");
  if (!number) return parsed;
  parsed.id = StreamId{!theirs, *number};
  if (const std::string_view name = value_name(kind); !name.empty()) {
    parsed.value = take_number(raw_query, name);
  } else {
    parsed.value = 0;
  }
  if (!raw_query.empty()) parsed.value.reset();
  return parsed;
}

void append_open_uri(std::string& to, std::string_view prefix, const StreamOpen& open) {
  to.append(prefix).append("/open?mine=");
  append_number(to, open.number);
  to.append("&credit=");
  append_number(to, open.credit);
}

std::optional<StreamOpen> parse_stream_open(std::string_view raw_query) noexcept {
  const std::optional<std::uint64_t> number = take_number(raw_query, "mine");
  const std::optional<std::uint64_t> credit = take_number(raw_query, "credit");
  if (!number || !credit || !raw_query.empty()) return std::nullopt;
  return StreamOpen{*number, *credit};
}

std::optional<std::uint64_t> parse_stream_number(std::string_view digits) noexcept {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || number > kStreamNumberMax) return std::nullopt;
  return number;
}

}  // namespace wayport::rpc

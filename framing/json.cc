#include "wayport/framing/json.h"

#include <cmath>

#include "wayport/framing/base64.h"
#include "wayport/framing/json_text.h"

namespace wayport::framing {
namespace {

namespace json = boost::json;

std::string shown(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return "null";
    case json::kind::bool_:
      return value.get_bool() ? "true" : "false";
    case json::kind::int64:
      return std::to_string(value.get_int64());
    case json::kind::uint64:
      return std::to_string(value.get_uint64());
    case json::kind::double_: {
      if (!std::isfinite(value.get_double())) return "no finite number";
      char digits[json_text::kNumberCharsMax];
      return {digits, json_text::write_double(digits, value.get_double())};
    }
    case json::kind::string:
      return '"' + escape(detail::json_view(value.get_string()), 64) + '"';
    case json::kind::array:
      return "an array";
    case json::kind::object:
      return "an object";
  }
  return "?";
}

std::unexpected<Error> within(std::string part, Error error) {
  error.detail.insert(0, part);
  return fail(std::move(error));
}

}  // namespace

std::unexpected<Error> json_mismatch(std::string_view wanted, const json::value& got) {
  return fail(ErrorCode::malformed, " must be " + std::string(wanted) + ", got " + shown(got));
}

namespace detail {

std::unexpected<Error> json_within(std::string_view member, Error error) {
  return within("." + std::string(member), std::move(error));
}
std::unexpected<Error> json_within(std::size_t index, Error error) {
  return within("[" + std::to_string(index) + "]", std::move(error));
}
std::unexpected<Error> json_within_key(std::string_view key, Error error) {
  return within("[\"" + escape(key, 64) + "\"]", std::move(error));
}

std::optional<std::int64_t> json_signed(const json::value& value) noexcept {
  if (const std::int64_t* number = value.if_int64()) return *number;
  if (const std::uint64_t* number = value.if_uint64(); number != nullptr && std::in_range<std::int64_t>(*number)) {
    return static_cast<std::int64_t>(*number);
  }
  if (const double* number = value.if_double(); number != nullptr && *number == 0 && std::signbit(*number)) return 0;
  return std::nullopt;
}
std::optional<std::uint64_t> json_unsigned(const json::value& value) noexcept {
  if (const std::uint64_t* number = value.if_uint64()) return *number;
  if (const std::int64_t* number = value.if_int64(); number != nullptr && *number >= 0) {
    return static_cast<std::uint64_t>(*number);
  }
  return std::nullopt;
}
std::optional<double> json_real(const json::value& value) noexcept {
  if (const double* number = value.if_double()) return *number;
  if (const std::int64_t* number = value.if_int64()) return static_cast<double>(*number);
  if (const std::uint64_t* number = value.if_uint64()) return static_cast<double>(*number);
  return std::nullopt;
}

void json_set_text(std::string_view text, json::value& to) { to.emplace_string().assign(text.data(), text.size()); }

void json_set_base64(Bytes bytes, json::value& to) {
  json::string& text = to.emplace_string();
  text.resize(base64_size(bytes.size()));
  write_base64(text.data(), bytes);
}

double json_double_like(float value) noexcept {
  if (!std::isfinite(value)) return value;
  char digits[json_text::kNumberCharsMax];
  const char* const end = std::to_chars(digits, digits + sizeof(digits), value, std::chars_format::scientific).ptr;
  double like = 0;
  std::from_chars(digits, end, like);
  return like;
}

bool json_key_folds(std::string_view member, std::string_view key) noexcept {
  return json_text::fold_equal(member, key);
}

}  // namespace detail

Result<void> JsonTraits<std::vector<std::byte>>::from(const json::value& from, std::vector<std::byte>& to) {
  if (from.is_null()) {
    to.clear();
    return {};
  }
  const json::string* const text = from.if_string();
  if (text == nullptr) return json_mismatch("base64 in a string", from);
  std::optional<std::string> bytes = from_base64({text->data(), text->size()});
  if (!bytes) return json_mismatch("base64 in a string", from);
  const Bytes decoded = as_bytes(*bytes);
  to.assign(decoded.begin(), decoded.end());
  return {};
}

Result<void> JsonTraits<json::object>::from(const json::value& from, json::object& to) {
  if (from.is_null()) {
    to.clear();
    return {};
  }
  const json::object* const object = from.if_object();
  if (object == nullptr) return json_mismatch("an object", from);
  to = *object;
  return {};
}

Result<void> JsonTraits<json::array>::from(const json::value& from, json::array& to) {
  if (from.is_null()) {
    to.clear();
    return {};
  }
  const json::array* const array = from.if_array();
  if (array == nullptr) return json_mismatch("an array", from);
  to = *array;
  return {};
}

}  // namespace wayport::framing

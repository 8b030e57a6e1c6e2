#include "wayport/transport/parameters.h"

#include <charconv>

#include "wayport/base/bytes.h"

namespace wayport::transport {

std::unexpected<Error> bad_parameter(const Address& address, std::string_view key, std::string_view why) {
  const std::string* value = address.parameter(key);
  return fail(ErrorCode::invalid_argument, address.scheme() + " address: " + std::string(key) + "=" +
                                               (value ? escape(*value, 64) : std::string()) + " " + std::string(why));
}

Result<std::optional<bool>> bool_parameter(const Address& address, std::string_view key) {
  const std::string* value = address.parameter(key);
  if (!value) return std::nullopt;
  if (*value == "1" || *value == "true") return true;
  if (*value == "0" || *value == "false") return false;
  return bad_parameter(address, key, "is neither 0 nor 1");
}

Result<std::optional<Duration>> duration_parameter(const Address& address, std::string_view key) {
  const std::string* value = address.parameter(key);
  if (!value) return std::nullopt;
  const Result<Duration> parsed = parse_duration(*value);
  if (!parsed || *parsed < Duration::zero()) return bad_parameter(address, key, "is not a duration such as 30s");
  return *parsed;
}

Result<std::optional<std::size_t>> bytes_parameter(const Address& address, std::string_view key) {
  const std::string* value = address.parameter(key);
  if (!value) return std::nullopt;
  const Result<std::size_t> parsed = parse_bytes(*value);
  if (!parsed) return bad_parameter(address, key, "is not a size such as 64KiB");
  return *parsed;
}

Result<std::optional<std::uint32_t>> octal_parameter(const Address& address, std::string_view key,
                                                     std::uint32_t largest) {
  const std::string* value = address.parameter(key);
  if (!value) return std::nullopt;
  std::uint32_t number = 0;
  const char* const end = value->data() + value->size();
  const auto [stop, error] = std::from_chars(value->data(), end, number, 8);
  if (error != std::errc() || stop != end || number > largest) {
    return bad_parameter(address, key, "is not an octal number such as 0660");
  }
  return number;
}

std::vector<std::string> repeated_parameter(const Address& address, std::string_view key) {
  std::vector<std::string> values;
  for (const auto& [name, value] : address.parameters()) {
    if (name == key) values.push_back(value);
  }
  return values;
}

}  // namespace wayport::transport

// Typed reading of an address' parameters; every failure names the scheme, the parameter and the value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/transport/address.h"

namespace wayport::transport {

// nullopt: the parameter is absent.
Result<std::optional<bool>> bool_parameter(const Address& address, std::string_view key);  // 0, 1, false, true
Result<std::optional<Duration>> duration_parameter(const Address& address,
                                                   std::string_view key);  // "30s"; not negative
Result<std::optional<std::size_t>> bytes_parameter(const Address& address, std::string_view key);  // "64KiB", "1000"
Result<std::optional<std::uint32_t>> octal_parameter(const Address& address, std::string_view key,
                                                     std::uint32_t largest);  // "0660"
// All values of a key that may be repeated, in order.
std::vector<std::string> repeated_parameter(const Address& address, std::string_view key);

// "tcp address: keepalive \"x\" is not ...": invalid_argument.
std::unexpected<Error> bad_parameter(const Address& address, std::string_view key, std::string_view why);

}  // namespace wayport::transport

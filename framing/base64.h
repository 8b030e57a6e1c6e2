// Base64 (RFC 4648, with padding), as JSON carries bytes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "wayport/base/bytes.h"

namespace wayport::framing {

constexpr std::size_t base64_size(std::size_t bytes) noexcept { return (bytes + 2) / 3 * 4; }
// Writes base64_size(from.size()) characters; returns the end.
char* write_base64(char* to, Bytes from) noexcept;
// nullopt: another character, wrong padding, bits set that stand for nothing.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace wayport::framing

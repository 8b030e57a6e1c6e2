// Endpoint: an IP address and a port as a table's key.
#pragma once

#include <array>
#include <cstdint>

namespace wayport::transport::kcp {

// IPv4 as mapped IPv6.
struct Endpoint {
  std::array<std::uint8_t, 16> address{};
  std::uint16_t port = 0;
  std::uint32_t scope = 0;
  bool operator==(const Endpoint&) const = default;
};

}  // namespace wayport::transport::kcp

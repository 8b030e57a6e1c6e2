// IpAddress and IpNetwork: what the allow list and the limits compare. Values without a port, a zone or a socket.
//
// An IPv6 address may stand for an IPv4 one: an IPv4-mapped address is that IPv4 address to every kernel, and others
// (NAT64, 6to4 ...) are turned into it on the way. Whoever judges an address has to look at those, too:
//
//     ::ffff:127.0.0.1   --unmapped()-->  127.0.0.1
//     64:ff9b::7f00:1    --embedded()-->  127.0.0.1
//
// Pure; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wayport/base/result.h"

namespace wayport::route {

class IpAddress {
 public:
  IpAddress() noexcept = default;  // 0.0.0.0
  static IpAddress v4(std::uint32_t host_order) noexcept;
  static IpAddress v6(const std::array<std::uint8_t, 16>& network_order) noexcept;
  // "10.0.0.1" of four decimal parts, "2001:db8::7"; no brackets, no zone. nullopt: neither.
  static std::optional<IpAddress> parse(std::string_view text);

  bool is_v4() const noexcept { return v4_; }
  unsigned bits() const noexcept { return v4_ ? 32 : 128; }
  // The bit at `index` from the left. REQUIRES: index < bits().
  bool bit(unsigned index) const noexcept { return (bytes_[index / 8] >> (7 - index % 8) & 1) != 0; }
  const std::array<std::uint8_t, 16>& bytes() const noexcept { return bytes_; }  // IPv4: the first four
  std::uint32_t as_v4() const noexcept;                                          // host order. REQUIRES: is_v4()
  // With every bit from `bits` on cleared.
  IpAddress prefix(unsigned bits) const noexcept;
  std::string to_string() const;  // as inet_ntop writes it

  // IPv4-mapped (::ffff:0:0/96): the IPv4 address. Any other: itself.
  IpAddress unmapped() const noexcept;
  // The IPv4 address in one that is translated or tunnelled on the way, and at which of its bits it begins.
  struct Embedded;
  std::optional<Embedded> embedded() const noexcept;

  friend bool operator==(const IpAddress&, const IpAddress&) = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};
  bool v4_ = true;
};

struct IpAddress::Embedded {
  IpAddress address;
  unsigned first_bit;
  const char* form;  // "NAT64", "6to4", "Teredo", "IPv4-compatible", "IPv4-translated"
};

struct IpNetwork {
  IpAddress base;
  unsigned bits = 0;

  // "10.0.0.0/8", "2001:db8::/32"; without "/" one address. IPv4-mapped networks of /96 and longer are IPv4.
  // invalid_argument: no such network, or bits set behind the prefix; says what to write.
  static Result<IpNetwork> parse(std::string_view text);

  // Whether the first `bits` are the same; an address of the other family never is in it.
  bool contains(const IpAddress& address) const noexcept;
  bool contains(const IpNetwork& other) const noexcept { return other.bits >= bits && contains(other.base); }
  bool is_one_address() const noexcept { return bits == base.bits(); }
  std::string to_string() const;  // without "/" if it is one address

  friend bool operator==(const IpNetwork&, const IpNetwork&) = default;
};

// Addresses of the public internet: none of the ranges that IANA set aside for something else (RFC 6890 and its
// registries), IPv4 addresses that are embedded included.
bool is_public(const IpAddress& address) noexcept;

}  // namespace wayport::route

#include "wayport/gateway/route/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "wayport/base/bytes.h"

namespace wayport::route {
namespace {

using Bytes16 = std::array<std::uint8_t, 16>;

// A range of IPv6 addresses that each hold an IPv4 one.
struct Form {
  Bytes16 prefix;
  unsigned bits;
  unsigned first_bit;
  const char* name;
};
constexpr Form kForms[] = {
    {{0x00, 0x64, 0xff, 0x9b}, 96, 96, "NAT64"},
    {{0x20, 0x02}, 16, 16, "6to4"},
    {{0x20, 0x01}, 32, 96, "Teredo"},
    {{}, 96, 96, "IPv4-compatible"},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, 96, "IPv4-translated"},
};

bool same_bits(const Bytes16& a, const Bytes16& b, unsigned bits) noexcept {
  const unsigned whole = bits / 8;
  if (!std::equal(a.begin(), a.begin() + whole, b.begin())) return false;
  if (bits % 8 == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xff00 >> (bits % 8));
  return ((a[whole] ^ b[whole]) & mask) == 0;
}

struct Range4 {
  std::uint32_t base;
  unsigned bits;
};
constexpr Range4 kSpecial4[] = {
    {0x00000000, 8},   // this network
    {0x0a000000, 8},   // private
    {0x64400000, 10},  // shared, carriers' NAT
    {0x7f000000, 8},   // loopback
    {0xa9fe0000, 16},  // link-local
    {0xac100000, 12},  // private
    {0xc0000000, 24},  // IETF protocols
    {0xc0000200, 24},  // documentation
    {0xc0586300, 24},  // 6to4 relays, deprecated
    {0xc0a80000, 16},  // private
    {0xc6120000, 15},  // benchmarks
    {0xc6336400, 24},  // documentation
    {0xcb007100, 24},  // documentation
    {0xe0000000, 4},   // multicast
    {0xf0000000, 4},   // reserved, broadcast
};
struct Range6 {
  Bytes16 base;
  unsigned bits;
};
// Within 2000::/3, which is all that is global unicast.
constexpr Range6 kSpecial6[] = {
    {{0x20, 0x01, 0x0d, 0xb8}, 32},  // documentation
    {{0x3f, 0xff}, 20},              // documentation
    {{0x20, 0x01}, 23},              // IETF protocols, Teredo among them
};

}  // namespace

IpAddress IpAddress::v4(std::uint32_t host_order) noexcept {
  IpAddress address;
  store_be(reinterpret_cast<std::byte*>(address.bytes_.data()), host_order);
  return address;
}

IpAddress IpAddress::v6(const Bytes16& network_order) noexcept {
  IpAddress address;
  address.bytes_ = network_order;
  address.v4_ = false;
  return address;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) return std::nullopt;
  const std::string terminated(text);
  IpAddress address;
  if (::inet_pton(AF_INET, terminated.c_str(), address.bytes_.data()) == 1) return address;
  address.bytes_.fill(0);
  if (::inet_pton(AF_INET6, terminated.c_str(), address.bytes_.data()) != 1) return std::nullopt;
  address.v4_ = false;
  return address;
}

std::uint32_t IpAddress::as_v4() const noexcept {
  return load_be<std::uint32_t>(reinterpret_cast<const std::byte*>(bytes_.data()));
}

IpAddress IpAddress::prefix(unsigned bits) const noexcept {
  IpAddress address = *this;
  for (unsigned i = bits; i < this->bits(); ++i) {
    address.bytes_[i / 8] &= static_cast<std::uint8_t>(~(1u << (7 - i % 8)));
  }
  return address;
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN];
  return ::inet_ntop(v4_ ? AF_INET : AF_INET6, bytes_.data(), text, sizeof(text));
}

IpAddress IpAddress::unmapped() const noexcept {
  constexpr Bytes16 kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (v4_ || !same_bits(bytes_, kMapped, 96)) return *this;
  return v4(load_be<std::uint32_t>(reinterpret_cast<const std::byte*>(bytes_.data() + 12)));
}

std::optional<IpAddress::Embedded> IpAddress::embedded() const noexcept {
  if (v4_) return std::nullopt;
  for (const Form& form : kForms) {
    if (!same_bits(bytes_, form.prefix, form.bits)) continue;
    auto address = load_be<std::uint32_t>(reinterpret_cast<const std::byte*>(bytes_.data() + form.first_bit / 8));
    if (form.name[0] == 'T') address = ~address;  // RFC 4380: the client's, inverted
    // :: and ::1 are addresses of their own.
    if (form.name == kForms[3].name && address <= 1) return std::nullopt;
    return Embedded{v4(address), form.first_bit, form.name};
  }
  return std::nullopt;
}

Result<IpNetwork> IpNetwork::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::optional<IpAddress> address = IpAddress::parse(text.substr(0, slash));
  if (!address) {
    return fail(ErrorCode::invalid_argument, "\"" + escape(text.substr(0, slash), 64) + "\" is no IP address");
  }
  IpNetwork network{*address, address->bits()};
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), network.bits);
    const bool leading_zero = digits.size() > 1 && digits[0] == '0';
    if (error != std::errc() || end != digits.data() + digits.size() || leading_zero ||
        network.bits > address->bits()) {
      return fail(ErrorCode::invalid_argument,
                  "\"/" + escape(digits, 16) + "\" is no prefix length; it is 0 to " + std::to_string(address->bits()));
    }
  }
  if (network.base.prefix(network.bits) != network.base) {
    const IpNetwork meant{network.base.prefix(network.bits), network.bits};
    return fail(ErrorCode::invalid_argument, "\"" + escape(text, 64) + "\" has bits set behind its prefix; write " +
                                                 meant.to_string() + ", or the address without a prefix length");
  }
  if (const IpAddress plain = network.base.unmapped(); plain != network.base && network.bits >= 96) {
    network = {plain, network.bits - 96};
  }
  return network;
}

bool IpNetwork::contains(const IpAddress& address) const noexcept {
  return address.is_v4() == base.is_v4() && same_bits(address.bytes(), base.bytes(), bits);
}

std::string IpNetwork::to_string() const {
  return is_one_address() ? base.to_string() : base.to_string() + "/" + std::to_string(bits);
}

bool is_public(const IpAddress& address) noexcept {
  const IpAddress plain = address.unmapped();
  if (plain.is_v4()) {
    return std::ranges::none_of(
        kSpecial4, [ip = plain.as_v4()](const Range4& range) { return (ip ^ range.base) >> (32 - range.bits) == 0; });
  }
  if (const auto inner = plain.embedded()) {
    const bool reachable = inner->first_bit == 96 ? inner->form[0] == 'N' : true;  // NAT64, 6to4
    return reachable && is_public(inner->address);
  }
  if ((plain.bytes()[0] & 0xe0) != 0x20) return false;
  return std::ranges::none_of(kSpecial6,
                              [&](const Range6& range) { return same_bits(plain.bytes(), range.base, range.bits); });
}

}  // namespace wayport::route

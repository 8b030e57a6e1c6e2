#include "wayport/framing/route/target.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <utility>

#include "wayport/base/bytes.h"

namespace wayport::route {
namespace {

std::unexpected<Error> bad(std::string_view text, std::string_view what) {
  return fail(ErrorCode::invalid_argument,
              "\"" + escape(text, kTargetBytesMax) + "\" names no backend: " + std::string(what));
}

// Not those of <cctype>: they ask the locale.
bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_hex_digit(char c) noexcept { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// "7", "0x7f", "0x": as the last label, a reader may take the name for an address.
bool looks_numeric(std::string_view label) noexcept {
  if (std::ranges::all_of(label, is_digit)) return true;
  if (label.size() < 2 || label[0] != '0' || lower(label[1]) != 'x') return false;
  return std::ranges::all_of(label.substr(2), is_hex_digit);
}

// Canonical text of the address; empty: it is none of that family.
std::string canonical_address(int family, std::string_view text) {
  if (text.find('\0') != std::string_view::npos || text.size() >= INET6_ADDRSTRLEN) return {};
  const std::string terminated(text);
  in6_addr binary;  // room for both families
  if (::inet_pton(family, terminated.c_str(), &binary) != 1) return {};
  std::array<char, INET6_ADDRSTRLEN> canonical{};
  if (::inet_ntop(family, &binary, canonical.data(), canonical.size()) == nullptr) return {};
  return canonical.data();
}

// What is wrong with a DNS name; empty: nothing.
std::string_view name_problem(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty()) return "the host is empty";
  if (name.size() > kHostBytesMax) return "the host has more than 253 characters";
  std::string_view label;
  for (std::string_view rest = name;;) {
    const std::size_t dot = rest.find('.');
    label = rest.substr(0, dot);
    if (label.empty()) return "the host has an empty label";
    if (label.size() > kLabelBytesMax) return "the host has a label of more than 63 characters";
    if (!std::ranges::all_of(label, [](char c) { return is_letter(c) || is_digit(c) || c == '-'; })) {
      return "a host has letters, digits, hyphens and dots, or is an address (IPv6 in brackets)";
    }
    if (label.starts_with('-') || label.ends_with('-')) return "a label of the host starts or ends with a hyphen";
    if (dot == std::string_view::npos) break;
    rest.remove_prefix(dot + 1);
  }
  if (looks_numeric(label)) return "the host ends in a number but is no IPv4 address of four decimal parts";
  return {};
}

// `text` is what errors show.
Result<Target> target_of(std::string_view text, std::string_view host, std::uint16_t port) {
  if (host.starts_with('[')) {
    if (!host.ends_with(']')) return bad(text, "a bracket is not closed");
    std::string address = canonical_address(AF_INET6, host.substr(1, host.size() - 2));
    if (address.empty()) return bad(text, "what is in brackets is no IPv6 address (zones are not taken)");
    return Target{std::move(address), port, Target::Kind::ipv6};
  }
  if (std::string address = canonical_address(AF_INET, host); !address.empty()) {
    return Target{std::move(address), port, Target::Kind::ipv4};
  }
  if (const std::string_view problem = name_problem(host); !problem.empty()) return bad(text, problem);
  std::string name(host);
  std::ranges::transform(name, name.begin(), lower);
  return Target{std::move(name), port, Target::Kind::name};
}

}  // namespace

Result<Target> parse_target(std::string_view text) {
  // Also bounds what the checks below cost.
  if (text.size() > kTargetBytesMax) {
    return bad(
        text, std::to_string(text.size()) + " bytes, at most " + std::to_string(kTargetBytesMax) + " can be HOST:PORT");
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad(text, "it is not HOST:PORT");
  const std::string_view digits = text.substr(colon + 1);
  if (digits.empty() || digits.size() > 5 || digits[0] == '0' || !std::ranges::all_of(digits, is_digit)) {
    return bad(text, "a port is 1 to 5 decimal digits without a leading zero");
  }
  std::uint32_t port = 0;
  for (const char digit : digits) port = port * 10 + static_cast<std::uint32_t>(digit - '0');
  if (port > 65535) return bad(text, "the port is over 65535");
  return target_of(text, text.substr(0, colon), static_cast<std::uint16_t>(port));
}

Result<Target> make_target(std::string_view host, std::int64_t port) {
  if (host.size() > kTargetBytesMax) return bad(host, "the host has more than 253 characters");
  if (port < 1 || port > 65535) return bad(host, "port " + std::to_string(port) + " is not in 1 to 65535");
  if (std::string address = canonical_address(AF_INET6, host); !address.empty()) {
    return Target{std::move(address), static_cast<std::uint16_t>(port), Target::Kind::ipv6};
  }
  return target_of(host, host, static_cast<std::uint16_t>(port));
}

std::string to_string(const Target& target) {
  std::string text = target.kind == Target::Kind::ipv6 ? "[" + target.host + "]" : target.host;
  text += ':';
  text += std::to_string(target.port);
  return text;
}

}  // namespace wayport::route

// Target: the backend that a client of a route gateway names (spec/route.md 3.2).
//
//     backend.example:443     10.1.2.3:9000     [2001:db8::7]:9000
//
// The text is split at its last colon. Strict, because the text comes from anybody: what two readers could understand
// differently is no target. So "127.1", "0x7f.1" and "010.0.0.1", which some resolvers take for addresses, are refused,
// and so are blanks, control characters, user names, zones and ports with a sign or a leading zero.
//
// A parsed target is not yet an allowed one: the allow list judges it. Errors are `invalid_argument`, with the text
// escaped. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "wayport/base/result.h"

namespace wayport::route {

inline constexpr std::size_t kHostBytesMax = 253;    // of a name, without the dot of the root
inline constexpr std::size_t kLabelBytesMax = 63;    // of one label of a name
inline constexpr std::size_t kTargetBytesMax = 260;  // the longest valid text: name, dot of the root, colon, port

struct Target {
  enum class Kind : std::uint8_t { name, ipv4, ipv6 };

  std::string host;  // lower case; addresses as inet_ntop writes them, without brackets; a name may end in one dot
  std::uint16_t port = 0;  // 1 to 65535
  Kind kind = Kind::name;

  // An address: nothing is to be resolved.
  bool is_literal() const noexcept { return kind != Kind::name; }
  // What name rules compare: the host without the dot of the root.
  std::string_view name_for_rules() const noexcept {
    return std::string_view(host).substr(0, host.size() - (host.ends_with('.') ? 1 : 0));
  }

  friend bool operator==(const Target&, const Target&) = default;
};

Result<Target> parse_target(std::string_view text);

// From the two claims of a token. `host` is as in the text form, but an IPv6 address may come without brackets.
Result<Target> make_target(std::string_view host, std::int64_t port);

// parse_target(to_string(target)) gives `target` back.
std::string to_string(const Target& target);

}  // namespace wayport::route

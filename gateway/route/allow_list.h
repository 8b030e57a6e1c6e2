// AllowList: which backends a route gateway may dial (spec/route.md 3.3). Nothing is allowed that no rule allows.
//
//     rule      what ":" ports [" public"]
//     what      10.0.0.0/8   10.1.2.3   [2001:db8::]/32   [2001:db8::7]     addresses
//               backend.example      that name
//               .svc.local           every name below it, however deep
//               *.example.com        the names one label below it
//               *                    every name
//     ports     443   7000-7999   80,443,8000-8099   *
//
//     target --decide()--> refused
//                     '--> allowed (an address)
//                     '--> resolve --addresses--> decide_addresses() --> refused, or allowed: dial these addresses
//
// An address needs a rule of addresses, with its port. A name rule lets a name be looked up, and nothing more: what it
// resolves to needs a rule of addresses as well, unless the name rule says "public", which allows public addresses
// (is_public()). One address of the answer that is not allowed refuses the whole answer: names that point to the
// inside are an attack more often than a mistake.
//
// Always refused: 0.0.0.0/8, loopback, link-local, multicast, broadcast, ::, the metadata services of clouds, and the
// gateway's own listening addresses; also in their IPv4-mapped, NAT64, 6to4 and Teredo forms. A rule allows such an
// address only if it names it: all of the rule's addresses are in the same range ("127.0.0.1:9000",
// "169.254.0.0/16:80", not "0.0.0.0/0:80"). A listening address is named by a rule for that one address and that one
// port.
//
// Pure, immutable once shared; any thread. Decisions cost one pass over the rules (at most kAllowRulesMax).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/framing/route/target.h"
#include "wayport/gateway/route/ip_address.h"

namespace wayport::route {

inline constexpr std::size_t kAllowRulesMax = 1024;
inline constexpr std::size_t kAllowRuleBytesMax = 1024;  // of one rule's text

// Ports of a rule: ranges in order that do not touch.
class PortSet {
 public:
  static constexpr std::size_t kItemsMax = 128;

  // "443", "80,443,8000-8099", "*". invalid_argument says what is wrong.
  static Result<PortSet> parse(std::string_view text);
  bool contains(std::uint16_t port) const noexcept;
  bool intersects(const PortSet& other) const noexcept;
  bool is_one_port() const noexcept { return ranges_.size() == 1 && ranges_[0].first == ranges_[0].second; }
  std::string to_string() const;
  friend bool operator==(const PortSet&, const PortSet&) = default;

 private:
  std::vector<std::pair<std::uint16_t, std::uint16_t>> ranges_;
};

struct AllowRule {
  enum class Kind : std::uint8_t { network, name, below, one_below, any_name };

  // Errors (invalid_argument) name the rule and what is wrong with it.
  static Result<AllowRule> parse(std::string_view text);
  std::string to_string() const;  // canonical; parse gives it back
  // REQUIRES: a name in lower case without the root's dot.
  bool matches_name(std::string_view other) const noexcept;
  friend bool operator==(const AllowRule&, const AllowRule&) = default;

  Kind kind = Kind::network;
  IpNetwork network{};
  std::string name{};  // "backend.example", and of below and one_below what stands behind the first dot
  PortSet ports{};
  bool allows_public = false;
};

struct AllowDecision {
  enum class Verdict : std::uint8_t {
    allowed,
    resolve,  // a name that may be looked up; its addresses decide
    refused,
  };
  Verdict verdict = Verdict::refused;
  std::string rule{};  // that decided, as it was written; empty: none did
  std::string why{};   // one line for logs and `route explain`

  bool allowed() const noexcept { return verdict == Verdict::allowed; }
};

// Where the gateway itself listens. The unspecified address stands for loopback as well; the driver adds the addresses
// of the interfaces (own_addresses.h).
struct OwnEndpoint {
  IpAddress address;
  std::uint16_t port = 0;
};

class AllowList {
 public:
  AllowList() = default;  // allows nothing
  // invalid_argument: a bad rule, more than kAllowRulesMax, or a name rule that can never allow anything, because no
  // rule of addresses shares a port with it and it is not "public".
  static Result<AllowList> parse(std::span<const std::string> rules);
  // Before it is shared.
  void set_own(std::vector<OwnEndpoint> own) { own_ = std::move(own); }

  // Before anything is resolved. Never `resolve` for an address.
  AllowDecision decide(const Target& target) const;
  // One address that will be dialed for `target`, which is a name or that address.
  AllowDecision decide_address(const Target& target, const IpAddress& address) const;
  // All that a name resolved to. refused if there are none, or if one is.
  AllowDecision decide_addresses(const Target& target, std::span<const IpAddress> addresses) const;

  bool empty() const noexcept { return rules_.empty(); }
  std::size_t size() const noexcept { return rules_.size(); }
  // A rule that opens (nearly) everything: networks shorter than /8 (IPv6: /16), or every name. nullptr: none does.
  const std::string* widest_rule() const noexcept;

 private:
  struct Entry {
    AllowRule rule;
    std::string text;
  };
  // Why an address is refused whatever wide rules say.
  struct Denied;
  std::optional<Denied> denied(const IpAddress& address, std::uint16_t port) const;

  std::vector<Entry> rules_;
  std::vector<OwnEndpoint> own_;
};

}  // namespace wayport::route

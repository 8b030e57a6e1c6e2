#include "wayport/gateway/route/allow_list.h"

#include <algorithm>
#include <array>

#include "wayport/base/bytes.h"

namespace wayport::route {
namespace {

std::unexpected<Error> invalid(std::string detail) { return fail(ErrorCode::invalid_argument, std::move(detail)); }

// What only a rule that names it allows.
struct DeniedRange {
  IpNetwork network;
  const char* what;
};
const std::array<DeniedRange, 15>& denied_ranges() {
  static const auto range = [](const char* network, const char* what) {
    return DeniedRange{*IpNetwork::parse(network), what};
  };
  static const std::array<DeniedRange, 15> ranges = {
      range("0.0.0.0/8", "of this network"),
      range("127.0.0.0/8", "loopback"),
      range("169.254.0.0/16", "link-local"),
      range("224.0.0.0/4", "multicast"),
      range("255.255.255.255", "broadcast"),
      range("100.100.100.200", "a metadata service"),
      range("168.63.129.16", "a metadata service"),
      range("192.0.0.192", "a metadata service"),
      range("::", "unspecified"),
      range("::1", "loopback"),
      range("fe80::/10", "link-local"),
      range("ff00::/8", "multicast"),
      range("fd00:ec2::254", "a metadata service"),
      range("fd20:ce::254", "a metadata service"),
      // Where the IPv4 address stands in it depends on the network (RFC 8215).
      range("64:ff9b:1::/48", "local NAT64"),
  };
  return ranges;
}
const DeniedRange* denied_range_of(const IpAddress& address) {
  const auto& ranges = denied_ranges();
  const auto found = std::ranges::find_if(ranges, [&](const DeniedRange& r) { return r.network.contains(address); });
  return found == ranges.end() ? nullptr : &*found;
}

Result<std::uint16_t> parse_port(std::string_view text) {
  std::uint32_t port = 0;
  const bool digits = !text.empty() && text.size() <= 5 && text[0] != '0' &&
                      std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  if (digits) {
    for (const char c : text) port = port * 10 + static_cast<std::uint32_t>(c - '0');
  }
  if (port < 1 || port > 65535) return invalid("\"" + escape(text, 16) + "\" is no port; ports are 1 to 65535");
  return static_cast<std::uint16_t>(port);
}

std::string_view trim(std::string_view text) noexcept {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

// A name as rules hold it.
Result<std::string> rule_name(std::string_view text) {
  const Result<Target> target = parse_target(std::string(text) + ":1");
  if (!target || target->kind != Target::Kind::name) {
    return invalid("\"" + escape(text, 64) + "\" is neither a network nor a name (letters, digits, hyphens, dots)");
  }
  return std::string(target->name_for_rules());
}

// "[2001:db8::]/32" without the brackets; other texts as they are.
Result<std::string> without_brackets(std::string_view text) {
  if (!text.starts_with('[')) return std::string(text);
  const std::size_t close = text.find(']');
  if (close == std::string_view::npos) return invalid("a bracket is not closed");
  const std::string_view behind = text.substr(close + 1);
  if (!behind.empty() && !behind.starts_with('/')) {
    return invalid("\"" + escape(behind, 32) +
                   "\" behind the bracket is no prefix length, as in \"[2001:db8::]/32:443\"");
  }
  return std::string(text.substr(1, close - 1)) + std::string(behind);
}

AllowDecision refuse(std::string rule, std::string why) {
  return {AllowDecision::Verdict::refused, std::move(rule), std::move(why)};
}

}  // namespace

// --- rules ---

Result<PortSet> PortSet::parse(std::string_view text) {
  PortSet set;
  if (text == "*") {
    set.ranges_.emplace_back(1, 65535);
    return set;
  }
  if (text.empty())
    return invalid("there are no ports; write for instance \":443\", \":7000-7999\", or \":*\" for any");
  for (std::size_t items = 0;; ++items) {
    if (items == kItemsMax) return invalid("there are more than " + std::to_string(kItemsMax) + " ports and ranges");
    const std::size_t comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    const std::size_t dash = item.find('-');
    WAYPORT_TRY_ASSIGN(const std::uint16_t first, parse_port(item.substr(0, dash)));
    std::uint16_t last = first;
    if (dash != std::string_view::npos) {
      WAYPORT_TRY_ASSIGN(last, parse_port(item.substr(dash + 1)));
    }
    if (last < first) return invalid("the range of ports \"" + std::string(item) + "\" ends before it begins");
    set.ranges_.emplace_back(first, last);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  std::ranges::sort(set.ranges_);
  std::size_t kept = 0;
  for (std::size_t i = 1; i < set.ranges_.size(); ++i) {
    auto& last = set.ranges_[kept];
    if (set.ranges_[i].first <= std::uint32_t{last.second} + 1) {
      last.second = std::max(last.second, set.ranges_[i].second);
    } else {
      set.ranges_[++kept] = set.ranges_[i];
    }
  }
  set.ranges_.resize(kept + 1);
  return set;
}

bool PortSet::contains(std::uint16_t port) const noexcept {
  return std::ranges::any_of(ranges_, [port](const auto& r) { return r.first <= port && port <= r.second; });
}

bool PortSet::intersects(const PortSet& other) const noexcept {
  return std::ranges::any_of(ranges_, [&](const auto& mine) {
    return std::ranges::any_of(
        other.ranges_, [&](const auto& theirs) { return mine.first <= theirs.second && theirs.first <= mine.second; });
  });
}

std::string PortSet::to_string() const {
  if (ranges_.size() == 1 && ranges_[0] == std::pair<std::uint16_t, std::uint16_t>(1, 65535)) return "*";
  std::string text;
  for (const auto& [first, last] : ranges_) {
    if (!text.empty()) text += ',';
    text += std::to_string(first);
    if (last != first) text += "-" + std::to_string(last);
  }
  return text;
}

Result<AllowRule> AllowRule::parse(std::string_view text) {
  const auto bad = [shown = escape(text, 128)](std::string_view what) {
    return invalid("allow rule \"" + shown + "\": " + std::string(what));
  };
  if (text.size() > kAllowRuleBytesMax)
    return bad("a rule has at most " + std::to_string(kAllowRuleBytesMax) + " bytes");
  std::string_view rest = trim(text);
  AllowRule rule;
  if (const std::size_t blank = rest.find(' '); blank != std::string_view::npos) {
    const std::string_view flag = trim(rest.substr(blank));
    if (flag != "public") return bad("\"" + escape(flag, 32) + "\" is not known; the only flag is \"public\"");
    rule.allows_public = true;
    rest = rest.substr(0, blank);
  }
  const std::size_t colon = rest.rfind(':');
  const std::size_t bracket = rest.rfind(']');
  const bool has_ports = colon != std::string_view::npos && (bracket == std::string_view::npos || bracket < colon);
  if (!has_ports) return bad("it has no ports; write for instance \":443\", \":7000-7999\", or \":*\" for any");
  Result<PortSet> ports = PortSet::parse(rest.substr(colon + 1));
  if (!ports) return bad(ports.error().detail);
  rule.ports = *std::move(ports);

  const std::string_view what = rest.substr(0, colon);
  if (what.empty()) return bad("it names no host; write \"0.0.0.0/0\", \"[::]/0\" or \"*\" if any is meant");
  if (what == "*") {
    rule.kind = Kind::any_name;
  } else if (what.starts_with("*.") || what.starts_with('.')) {
    rule.kind = what.starts_with('.') ? Kind::below : Kind::one_below;
    Result<std::string> name = rule_name(what.substr(what.starts_with('.') ? 1 : 2));
    if (!name) return bad(name.error().detail);
    rule.name = *std::move(name);
  } else {
    const bool bracketed = what.starts_with('[');
    if (!bracketed && what.find(':') != std::string_view::npos) {
      return bad("an IPv6 network is written in brackets, as in \"[2001:db8::]/32:443\"");
    }
    const Result<std::string> plain = without_brackets(what);
    if (!plain) return bad(plain.error().detail);
    const bool is_network = bracketed || what.find('/') != std::string_view::npos || IpAddress::parse(what);
    if (is_network) {
      Result<IpNetwork> network = IpNetwork::parse(*plain);
      if (!network) return bad(network.error().detail);
      if (bracketed && IpAddress::parse(plain->substr(0, plain->find('/')))->is_v4()) {
        return bad("brackets are for IPv6 addresses");
      }
      rule.network = *network;
    } else {
      rule.kind = Kind::name;
      Result<std::string> name = rule_name(what);
      if (!name) return bad(name.error().detail);
      rule.name = *std::move(name);
    }
  }
  if (rule.kind == Kind::network && rule.allows_public) {
    return bad("\"public\" is for names: it allows the public addresses that they resolve to");
  }
  return rule;
}

std::string AllowRule::to_string() const {
  std::string text;
  switch (kind) {
    case Kind::network:
      text = network.base.is_v4() ? network.to_string() : "[" + network.base.to_string() + "]";
      if (!network.base.is_v4() && !network.is_one_address()) text += "/" + std::to_string(network.bits);
      break;
    case Kind::name:
      text = name;
      break;
    case Kind::below:
      text = "." + name;
      break;
    case Kind::one_below:
      text = "*." + name;
      break;
    case Kind::any_name:
      text = "*";
      break;
  }
  return text + ":" + ports.to_string() + (allows_public ? " public" : "");
}

bool AllowRule::matches_name(std::string_view other) const noexcept {
  if (kind == Kind::network) return false;
  if (kind == Kind::any_name) return true;
  if (kind == Kind::name) return other == name;
  if (other.size() < name.size() + 2 || !other.ends_with(name)) return false;
  const std::string_view front = other.substr(0, other.size() - name.size());
  if (!front.ends_with('.')) return false;
  return kind == Kind::below || front.find('.') == front.size() - 1;
}

// --- decisions ---

struct AllowList::Denied {
  std::string what;     // "loopback", "NAT64 of 127.0.0.1, which is loopback"
  std::string example;  // a rule that would allow it
  // A rule has to be within this network to name it.
  IpNetwork within;
  bool one_port = false;
};

Result<AllowList> AllowList::parse(std::span<const std::string> rules) {
  if (rules.size() > kAllowRulesMax) {
    return invalid("there are " + std::to_string(rules.size()) + " allow rules; at most " +
                   std::to_string(kAllowRulesMax) + " are taken: join networks or ports");
  }
  AllowList list;
  for (const std::string& text : rules) {
    WAYPORT_TRY_ASSIGN(AllowRule rule, AllowRule::parse(text));
    list.rules_.push_back({std::move(rule), std::string(trim(text))});
  }
  for (const Entry& entry : list.rules_) {
    if (entry.rule.kind == AllowRule::Kind::network || entry.rule.allows_public) continue;
    const bool useful = std::ranges::any_of(list.rules_, [&](const Entry& other) {
      return other.rule.kind == AllowRule::Kind::network && other.rule.ports.intersects(entry.rule.ports);
    });
    if (!useful) {
      return invalid("allow rule \"" + escape(entry.text, 128) +
                     "\" allows nothing: what the name resolves to needs a rule of addresses with such a port, as " +
                     "\"10.0.0.0/8:" + entry.rule.ports.to_string() + "\", or the flag \"public\"");
    }
  }
  return list;
}

AllowDecision AllowList::decide(const Target& target) const {
  const std::string shown = escape(route::to_string(target), kTargetBytesMax);
  if (target.is_literal()) {
    const std::optional<IpAddress> address = IpAddress::parse(target.host);
    if (!address) return refuse({}, shown + " is no address");
    return decide_address(target, *address);
  }
  bool networks = false;
  for (const auto& [rule, text] : rules_) {
    if (!rule.ports.contains(target.port)) continue;
    if (rule.matches_name(target.name_for_rules())) {
      return {AllowDecision::Verdict::resolve, text, shown + " may be looked up by rule \"" + text + "\""};
    }
    networks = networks || rule.kind == AllowRule::Kind::network;
  }
  if (networks) {
    return {AllowDecision::Verdict::resolve, {}, shown + " may be looked up: its addresses may match a rule"};
  }
  return refuse({}, empty() ? shown + ": there are no allow rules" : shown + " matches no allow rule");
}

std::optional<AllowList::Denied> AllowList::denied(const IpAddress& address, std::uint16_t port) const {
  const auto example = [port](const IpAddress& one) {
    return AllowRule{.network = {one, one.bits()}, .ports = *PortSet::parse(std::to_string(port))}.to_string();
  };
  for (const OwnEndpoint& own : own_) {
    const IpAddress mine = own.address.unmapped();
    const bool any = mine == mine.prefix(0);  // 0.0.0.0, ::
    const DeniedRange* const range = any ? denied_range_of(address) : nullptr;
    const bool here = range && (std::string_view(range->what) == "loopback" || address == address.prefix(0) ||
                                std::string_view(range->what) == "of this network");
    if (own.port == port && (mine == address || here)) {
      return Denied{"where this gateway listens", example(address), {address, address.bits()}, true};
    }
  }
  if (const DeniedRange* const range = denied_range_of(address)) {
    return Denied{range->what, example(address), range->network};
  }
  if (const auto inner = address.embedded()) {
    if (const auto below = denied(inner->address, port)) {
      const unsigned bits = inner->first_bit + below->within.bits;
      return Denied{std::string(inner->form) + " of " + inner->address.to_string() + ", which is " + below->what,
                    example(address),
                    {address.prefix(bits), bits},
                    below->one_port};
    }
  }
  return std::nullopt;
}

AllowDecision AllowList::decide_address(const Target& target, const IpAddress& given) const {
  const IpAddress address = given.unmapped();
  std::string shown = target.is_literal() ? address.to_string() + " port " + std::to_string(target.port)
                                          : escape(route::to_string(target), kTargetBytesMax) + " is " +
                                                address.to_string() + ", which";
  const std::optional<Denied> special = denied(address, target.port);
  const Entry* wide = nullptr;  // would allow it, were it not special
  for (const Entry& entry : rules_) {
    const AllowRule& rule = entry.rule;
    if (!rule.ports.contains(target.port)) continue;
    if (rule.kind == AllowRule::Kind::network) {
      if (!rule.network.contains(address)) continue;
    } else {
      if (!rule.allows_public || target.is_literal() || !rule.matches_name(target.name_for_rules())) continue;
      if (!is_public(address)) continue;
    }
    const bool named = !special || (rule.kind == AllowRule::Kind::network && special->within.contains(rule.network) &&
                                    (!special->one_port || rule.ports.is_one_port()));
    if (named) {
      return {AllowDecision::Verdict::allowed, entry.text, shown + " is allowed by rule \"" + entry.text + "\""};
    }
    if (!wide) wide = &entry;
  }
  if (special) {
    return refuse(wide ? wide->text : std::string(), shown + " is refused: it is " + special->what +
                                                         ", which only a rule that names it allows (\"" +
                                                         special->example + "\")");
  }
  return refuse({}, empty() ? shown + " is refused: there are no allow rules" : shown + " matches no allow rule");
}

AllowDecision AllowList::decide_addresses(const Target& target, std::span<const IpAddress> addresses) const {
  if (addresses.empty()) {
    return refuse({}, escape(route::to_string(target), kTargetBytesMax) + " has no address");
  }
  std::optional<AllowDecision> first;
  for (const IpAddress& address : addresses) {
    AllowDecision decision = decide_address(target, address);
    if (!decision.allowed()) return decision;
    if (!first) first = std::move(decision);
  }
  return *std::move(first);
}

const std::string* AllowList::widest_rule() const noexcept {
  for (const auto& [rule, text] : rules_) {
    const bool wide = rule.kind == AllowRule::Kind::network ? rule.network.bits < (rule.network.base.is_v4() ? 8u : 16u)
                                                            : rule.kind == AllowRule::Kind::any_name;
    if (wide) return &text;
  }
  return nullptr;
}

}  // namespace wayport::route

// Any rules, targets and answers: AllowList decides as a slow and obvious reference does, which knows addresses as
// strings of bits and names as lists of labels. And each rule that is read is the same after it was printed.
//
// Input, line by line: "r RULE", "o IP PORT" (the gateway listens there), "t HOST:PORT", "a IP" (the name's answer).
#include <arpa/inet.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/framing/route/target.h"
#include "wayport/gateway/route/allow_list.h"
#include "wayport/gateway/route/ip_address.h"

namespace {

using namespace wayport;
using route::AllowDecision;
using route::AllowList;
using route::AllowRule;
using route::IpAddress;
using route::OwnEndpoint;
using route::Target;
using Verdict = AllowDecision::Verdict;

// --- the reference ---

// "4" or "6", then the bits.
std::string bits_of(const std::string& ip) {
  unsigned char bytes[16];
  const bool v4 = ::inet_pton(AF_INET, ip.c_str(), bytes) == 1;
  if (!v4) WAYPORT_ASSERT(::inet_pton(AF_INET6, ip.c_str(), bytes) == 1, "the reference is given addresses only");
  std::string bits = v4 ? "4" : "6";
  for (int i = 0; i < (v4 ? 32 : 128); ++i) bits += (bytes[i / 8] & (0x80 >> i % 8)) != 0 ? '1' : '0';
  return bits;
}
std::string plain_bits_of(const std::string& ip) {
  const std::string bits = bits_of(ip);
  static const std::string mapped = bits_of("::ffff:0.0.0.0").substr(0, 1 + 96);
  return bits.starts_with(mapped) ? "4" + bits.substr(1 + 96) : bits;
}
std::string network_bits(const std::string& cidr) {
  const std::size_t slash = cidr.find('/');
  const std::string bits = bits_of(cidr.substr(0, slash));
  return slash == std::string::npos ? bits : bits.substr(0, 1 + std::stoul(cidr.substr(slash + 1)));
}
bool in_any(const std::string& bits, const std::vector<const char*>& networks) {
  return std::ranges::any_of(networks, [&](const char* network) { return bits.starts_with(network_bits(network)); });
}

struct Inner {
  std::string bits;         // of the IPv4 address
  std::string before;       // the bits in front of it
  bool translator = false;  // NAT64 or 6to4
};
std::optional<Inner> inner_of(const std::string& bits) {
  if (bits[0] == '4') return std::nullopt;
  const auto take = [&](const char* network, std::size_t first) -> std::optional<Inner> {
    if (!bits.starts_with(network_bits(network))) return std::nullopt;
    return Inner{"4" + bits.substr(1 + first, 32), bits.substr(0, 1 + first)};
  };
  if (auto nat64 = take("64:ff9b::/96", 96)) {
    nat64->translator = true;
    return nat64;
  }
  if (auto to4 = take("2002::/16", 16)) {
    to4->translator = true;
    return to4;
  }
  if (auto teredo = take("2001::/32", 96)) {
    for (char& bit : teredo->bits) bit = bit == '0' ? '1' : bit == '1' ? '0' : bit;
    return teredo;
  }
  if (bits == bits_of("::") || bits == bits_of("::1")) return std::nullopt;
  if (auto compatible = take("::/96", 96)) return compatible;
  return take("::ffff:0:0:0/96", 96);
}

bool reference_is_public(const std::string& bits) {
  if (bits[0] == '4') {
    return !in_any(bits, {"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
                          "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
                          "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"});
  }
  if (const auto inner = inner_of(bits)) return inner->translator && reference_is_public(inner->bits);
  return in_any(bits, {"2000::/3"}) && !in_any(bits, {"2001:db8::/32", "2001::/23", "3fff::/20"});
}

// Rules have to begin with this to name the address; empty: it is nothing special.
std::string special_prefix(const std::string& bits, std::uint16_t port, const std::vector<OwnEndpoint>& own,
                           bool& one_port) {
  for (const OwnEndpoint& mine : own) {
    const std::string where = plain_bits_of(mine.address.to_string());
    const bool any = where.find('1') == std::string::npos;
    const bool here = any && in_any(bits, {"127.0.0.0/8", "0.0.0.0/8", "::/128", "::1/128"});
    if (mine.port == port && (where == bits || here)) {
      one_port = true;
      return bits;
    }
  }
  for (const char* const network :
       {"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255", "100.100.100.200",
        "168.63.129.16", "::", "::1", "fe80::/10", "ff00::/8", "fd00:ec2::254", "64:ff9b:1::/48"}) {
    if (bits.starts_with(network_bits(network))) return network_bits(network);
  }
  const auto inner = inner_of(bits);
  if (!inner) return {};
  const std::string below = special_prefix(inner->bits, port, own, one_port);
  if (below.empty()) return {};
  return inner->before + bits.substr(inner->before.size(), below.size() - 1);
}

std::vector<std::string> labels_of(std::string_view name) {
  std::vector<std::string> labels{""};
  for (const char c : name) {
    if (c == '.') {
      labels.emplace_back();
    } else {
      labels.back() += c;
    }
  }
  return labels;
}
bool reference_matches(const AllowRule& rule, std::string_view name) {
  if (rule.kind == AllowRule::Kind::network) return false;
  if (rule.kind == AllowRule::Kind::any_name) return true;
  const std::vector<std::string> mine = labels_of(rule.name);
  const std::vector<std::string> theirs = labels_of(name);
  if (theirs.size() < mine.size()) return false;
  const std::size_t more = theirs.size() - mine.size();
  if (!std::equal(mine.begin(), mine.end(), theirs.begin() + static_cast<std::ptrdiff_t>(more))) return false;
  if (rule.kind == AllowRule::Kind::name) return more == 0;
  return rule.kind == AllowRule::Kind::one_below ? more == 1 : more >= 1;
}

bool reference_has_port(const AllowRule& rule, std::uint16_t port) {
  std::string text = rule.ports.to_string();
  if (text == "*") return true;
  for (text += ','; !text.empty(); text.erase(0, text.find(',') + 1)) {
    const std::string item = text.substr(0, text.find(','));
    const std::size_t dash = item.find('-');
    const auto first = std::stoul(item.substr(0, dash));
    const auto last = dash == std::string::npos ? first : std::stoul(item.substr(dash + 1));
    if (first <= port && port <= last) return true;
  }
  return false;
}

bool reference_allows(const std::vector<AllowRule>& rules, const std::vector<OwnEndpoint>& own, const Target& target,
                      const std::string& ip) {
  const std::string bits = plain_bits_of(ip);
  bool one_port = false;
  const std::string special = special_prefix(bits, target.port, own, one_port);
  return std::ranges::any_of(rules, [&](const AllowRule& rule) {
    if (!reference_has_port(rule, target.port)) return false;
    if (rule.kind != AllowRule::Kind::network) {
      return rule.allows_public && special.empty() && target.kind == Target::Kind::name &&
             reference_matches(rule, target.name_for_rules()) && reference_is_public(bits);
    }
    const std::string network = network_bits(rule.network.base.to_string() + "/" + std::to_string(rule.network.bits));
    if (!bits.starts_with(network)) return false;
    const bool single = rule.ports.to_string().find_first_of(",-*") == std::string::npos;
    return special.empty() || (network.starts_with(special) && (!one_port || single));
  });
}

// --- the comparison ---

struct Case {
  std::vector<std::string> rules;
  std::vector<OwnEndpoint> own;
  std::vector<Target> targets;
  std::vector<IpAddress> answers;
};

Case read_case(std::string_view text) {
  Case read;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.size() < 2) continue;
    const std::string_view rest = line.substr(2);
    if (line[0] == 'r' && read.rules.size() < 32) read.rules.emplace_back(rest);
    if (line[0] == 't' && read.targets.size() < 32) {
      if (auto target = route::parse_target(rest)) read.targets.push_back(*std::move(target));
    }
    if (line[0] == 'a' && read.answers.size() < 8) {
      if (const auto address = IpAddress::parse(rest)) read.answers.push_back(*address);
    }
    if (line[0] == 'o' && read.own.size() < 8) {
      const std::size_t blank = rest.find(' ');
      if (blank == std::string_view::npos) continue;
      const auto address = IpAddress::parse(rest.substr(0, blank));
      const auto port = route::make_target("192.0.2.1", std::atoi(std::string(rest.substr(blank + 1)).c_str()));
      if (address && port) read.own.push_back({*address, port->port});
    }
  }
  return read;
}

void check_rule(const std::string& text) {
  const Result<AllowRule> rule = AllowRule::parse(text);
  if (!rule) {
    WAYPORT_ASSERT(rule.error().detail.size() < 2048 && rule.error().detail.starts_with("allow rule \""), "says which");
    return;
  }
  const Result<AllowRule> again = AllowRule::parse(rule->to_string());
  WAYPORT_ASSERT(again && *again == *rule, "what is printed is read as the same");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 4096) return 0;
  const Case input = read_case({reinterpret_cast<const char*>(data), size});
  std::vector<std::string> texts;
  std::vector<AllowRule> rules;
  for (const std::string& text : input.rules) {
    check_rule(text);
    if (Result<AllowRule> rule = AllowRule::parse(text)) {
      rules.push_back(*std::move(rule));
      texts.push_back(text);
    }
  }
  Result<AllowList> list = AllowList::parse(texts);
  if (!list) return 0;  // a name rule that allows nothing
  list->set_own(input.own);
  for (const Target& target : input.targets) {
    const AllowDecision decision = list->decide(target);
    WAYPORT_ASSERT(!decision.why.empty() && decision.why.find('\n') == std::string::npos, "one line says why");
    if (target.is_literal()) {
      const bool allowed = reference_allows(rules, input.own, target, target.host);
      WAYPORT_ASSERT(decision.verdict == (allowed ? Verdict::allowed : Verdict::refused), "as the reference");
      continue;
    }
    const bool may_match = std::ranges::any_of(rules, [&](const AllowRule& rule) {
      return reference_has_port(rule, target.port) &&
             (rule.kind == AllowRule::Kind::network || reference_matches(rule, target.name_for_rules()));
    });
    WAYPORT_ASSERT(decision.verdict == (may_match ? Verdict::resolve : Verdict::refused), "as the reference");
    const bool all = !input.answers.empty() && std::ranges::all_of(input.answers, [&](const IpAddress& address) {
      return reference_allows(rules, input.own, target, address.to_string());
    });
    const AllowDecision answers = list->decide_addresses(target, input.answers);
    WAYPORT_ASSERT(answers.verdict == (all ? Verdict::allowed : Verdict::refused), "as the reference");
    WAYPORT_ASSERT(!all || may_match, "what is allowed may be looked up");
  }
  for (const IpAddress& address : input.answers) {
    WAYPORT_ASSERT(route::is_public(address) == reference_is_public(plain_bits_of(address.to_string())),
                   "as the reference");
  }
  return 0;
}

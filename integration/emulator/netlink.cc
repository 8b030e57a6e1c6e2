#include "wayport/integration/emulator/netlink.h"

#include <arpa/inet.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace wayport::emulator {
namespace {

template <class T>
std::string raw(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}
template <class T>
T from_raw(std::string_view bytes) {
  T value{};
  if (!bytes.empty()) std::memcpy(&value, bytes.data(), std::min(sizeof(value), bytes.size()));
  return value;
}
std::string c_string(const std::string& text) { return text + '\0'; }
std::string text_of(std::string_view bytes) { return std::string(bytes.substr(0, bytes.find('\0'))); }

constexpr std::string_view kAny("\0\0\0\0", 4);

// The attributes behind the fixed head of a message, by type; a later one of a type wins.
class Attributes {
 public:
  Attributes(std::string_view bytes, std::size_t head) {
    bytes.remove_prefix(std::min(bytes.size(), std::size_t{NLMSG_ALIGN(head)}));
    while (bytes.size() >= sizeof(rtattr)) {
      const auto attribute = from_raw<rtattr>(bytes);
      if (attribute.rta_len < sizeof(rtattr) || attribute.rta_len > bytes.size()) return;
      found_.emplace_back(attribute.rta_type & NLA_TYPE_MASK,
                          bytes.substr(sizeof(rtattr), attribute.rta_len - sizeof(rtattr)));
      bytes.remove_prefix(std::min(bytes.size(), std::size_t{RTA_ALIGN(attribute.rta_len)}));
    }
  }
  bool has(unsigned type) const { return value(type).data() != nullptr; }
  std::string_view value(unsigned type) const {
    for (const auto& [its, bytes] : found_) {
      if (its == type) return bytes;
    }
    return {};
  }
  std::uint32_t number(unsigned type, std::uint32_t otherwise = 0) const {
    return has(type) ? from_raw<std::uint32_t>(value(type)) : otherwise;
  }

 private:
  std::vector<std::pair<unsigned, std::string_view>> found_;
};

}  // namespace

bool Prefix::contains(const std::string& packed) const noexcept {
  if (packed.size() != address.size()) return false;
  for (unsigned bit = 0; bit < bits; ++bit) {
    if (((packed[bit / 8] ^ address[bit / 8]) >> (7 - bit % 8) & 1) != 0) return false;
  }
  return true;
}

std::string Prefix::to_string() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(is_v4() ? AF_INET : AF_INET6, address.data(), text.data(), text.size());
  return std::string(text.data()) + "/" + std::to_string(bits);
}

Result<Prefix> parse_prefix(std::string_view text) {
  const auto refuse = [&] {
    return fail(ErrorCode::invalid_argument, "\"" + escape(text, 64) + "\" is no address such as 10.9.0.1/24");
  };
  const std::size_t slash = text.find('/');
  const std::string ip(text.substr(0, slash));
  Prefix prefix;
  prefix.address.resize(ip.find(':') == std::string::npos ? 4 : 16);
  if (::inet_pton(prefix.is_v4() ? AF_INET : AF_INET6, ip.c_str(), prefix.address.data()) != 1) return refuse();
  prefix.bits = static_cast<unsigned>(prefix.address.size() * 8);
  if (slash == std::string_view::npos) return prefix;
  const std::string_view length = text.substr(slash + 1);
  unsigned bits = 0;
  const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), bits);
  if (error != std::errc() || end != length.data() + length.size() || bits > prefix.bits) return refuse();
  prefix.bits = bits;
  return prefix;
}

// A request: the fixed head, then attributes.
class Netlink::Message {
 public:
  template <class Head>
  Message(std::uint16_t type, unsigned flags, const Head& head)
      : bytes_(raw(nlmsghdr{.nlmsg_len = 0,
                            .nlmsg_type = type,
                            .nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags),
                            .nlmsg_seq = 0,
                            .nlmsg_pid = 0})) {
    plain(raw(head));
  }
  void plain(std::string_view bytes) {
    bytes_.append(bytes);
    bytes_.resize(NLMSG_ALIGN(bytes_.size()));
  }
  void attribute(unsigned type, std::string_view value) {
    const rtattr head{.rta_len = static_cast<unsigned short>(sizeof(rtattr) + value.size()),
                      .rta_type = static_cast<unsigned short>(type)};
    bytes_ += raw(head);
    plain(value);
  }
  void number(unsigned type, std::uint32_t value) { attribute(type, raw(value)); }
  std::size_t begin_nested(unsigned type) {
    const std::size_t at = bytes_.size();
    attribute(type | NLA_F_NESTED, {});
    return at;
  }
  void end_nested(std::size_t at) {
    const auto size = static_cast<unsigned short>(bytes_.size() - at);
    std::memcpy(bytes_.data() + at, &size, sizeof(size));
  }
  std::string_view finish(std::uint32_t sequence) {
    auto head = from_raw<nlmsghdr>(bytes_);
    head.nlmsg_len = static_cast<std::uint32_t>(bytes_.size());
    head.nlmsg_seq = sequence;
    std::memcpy(bytes_.data(), &head, sizeof(head));
    return bytes_;
  }

 private:
  std::string bytes_;
};

Result<Netlink> Netlink::open(bool watch) {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | (watch ? SOCK_NONBLOCK : 0), NETLINK_ROUTE));
  if (!fd) return system_error(errno, "a netlink socket");
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  if (watch) address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return system_error(errno, "bind a netlink socket");
  }
  return Netlink(std::move(fd));
}

template <class Each>
Result<void> Netlink::dump(Message& message, std::string_view what, Each each) {
  const std::string_view request = message.finish(++sequence_);
  if (::send(fd_.get(), request.data(), request.size(), 0) < 0) return system_error(errno, what);
  std::vector<char> buffer(64 * 1024);
  for (;;) {
    const ssize_t size = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return system_error(errno, what);
    std::string_view rest(buffer.data(), static_cast<std::size_t>(size));
    while (rest.size() >= sizeof(nlmsghdr)) {
      const auto head = from_raw<nlmsghdr>(rest);
      if (head.nlmsg_len < sizeof(nlmsghdr) || head.nlmsg_len > rest.size()) break;
      const std::string_view body = rest.substr(sizeof(nlmsghdr), head.nlmsg_len - sizeof(nlmsghdr));
      rest.remove_prefix(std::min(rest.size(), std::size_t{NLMSG_ALIGN(head.nlmsg_len)}));
      if (head.nlmsg_seq != sequence_) continue;
      if (head.nlmsg_type == NLMSG_DONE) return {};
      if (head.nlmsg_type == NLMSG_ERROR) {
        const int error = -from_raw<int>(body);
        if (error == 0) return {};
        return system_error(error, what);
      }
      each(head.nlmsg_type, body);
    }
  }
}

Result<void> Netlink::ask(Message& message, std::string_view what) {
  return dump(message, what, [](std::uint16_t, std::string_view) {});
}

bool Netlink::changed() {
  bool any = false;
  std::array<char, 16 * 1024> buffer;
  for (;;) {
    const ssize_t size = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    // ENOBUFS: more happened than the socket holds.
    if (size < 0 && errno != ENOBUFS) return any;
    any = true;
  }
}

Result<std::vector<Device>> Netlink::devices() {
  std::vector<Device> all;
  Message message(RTM_GETLINK, NLM_F_DUMP, ifinfomsg{});
  WAYPORT_TRY(dump(message, "list the devices", [&all](std::uint16_t, std::string_view body) {
    const auto head = from_raw<ifinfomsg>(body);
    const Attributes attributes(body, sizeof(head));
    const auto statistics = from_raw<rtnl_link_stats64>(attributes.value(IFLA_STATS64));
    all.push_back({head.ifi_index, text_of(attributes.value(IFLA_IFNAME)), head.ifi_flags, attributes.number(IFLA_MTU),
                   statistics.tx_dropped});
  }));
  return all;
}

Result<std::vector<DeviceAddress>> Netlink::addresses() {
  std::vector<DeviceAddress> all;
  ifaddrmsg wanted{};
  wanted.ifa_family = AF_INET;
  Message message(RTM_GETADDR, NLM_F_DUMP, wanted);
  WAYPORT_TRY(dump(message, "list the addresses", [&all](std::uint16_t, std::string_view body) {
    const auto head = from_raw<ifaddrmsg>(body);
    const Attributes attributes(body, sizeof(head));
    if (head.ifa_family != AF_INET || !attributes.has(IFA_LOCAL)) return;
    all.push_back({static_cast<int>(head.ifa_index), {std::string(attributes.value(IFA_LOCAL)), head.ifa_prefixlen}});
  }));
  return all;
}

Result<std::vector<Route>> Netlink::routes(std::uint32_t table) {
  std::vector<Route> all;
  rtmsg wanted{};
  wanted.rtm_family = AF_INET;
  Message message(RTM_GETROUTE, NLM_F_DUMP, wanted);
  WAYPORT_TRY(dump(message, "list the routes", [&](std::uint16_t, std::string_view body) {
    const auto head = from_raw<rtmsg>(body);
    const Attributes attributes(body, sizeof(head));
    if (head.rtm_family != AF_INET || head.rtm_type != RTN_UNICAST || !attributes.has(RTA_OIF)) return;
    if (attributes.number(RTA_TABLE, head.rtm_table) != table) return;
    Route route;
    route.to = {std::string(attributes.has(RTA_DST) ? attributes.value(RTA_DST) : kAny), head.rtm_dst_len};
    route.device = static_cast<int>(attributes.number(RTA_OIF));
    route.gateway = attributes.value(RTA_GATEWAY);
    route.source = attributes.value(RTA_PREFSRC);
    all.push_back(std::move(route));
  }));
  return all;
}

Result<std::vector<Rule>> Netlink::rules() {
  std::vector<Rule> all;
  fib_rule_hdr wanted{};
  wanted.family = AF_INET;
  Message message(RTM_GETRULE, NLM_F_DUMP, wanted);
  WAYPORT_TRY(dump(message, "list the routing rules", [&all](std::uint16_t, std::string_view body) {
    const auto head = from_raw<fib_rule_hdr>(body);
    const Attributes attributes(body, sizeof(head));
    Rule rule;
    rule.priority = attributes.number(FRA_PRIORITY);
    rule.from_device = text_of(attributes.value(FRA_IIFNAME));
    rule.source = {std::string(attributes.value(FRA_SRC)), head.src_len};
    rule.target = {std::string(attributes.value(FRA_DST)), head.dst_len};
    rule.protocol = from_raw<std::uint8_t>(attributes.value(FRA_IP_PROTO));
    rule.table = attributes.number(FRA_TABLE, head.table);
    rule.origin = from_raw<std::uint8_t>(attributes.value(FRA_PROTOCOL));
    all.push_back(std::move(rule));
  }));
  return all;
}

Result<void> Netlink::set_up(int device, std::uint32_t mtu, std::uint32_t queue_packets) {
  ifinfomsg head{};
  head.ifi_index = device;
  head.ifi_flags = IFF_UP;
  head.ifi_change = IFF_UP;
  Message message(RTM_NEWLINK, NLM_F_ACK, head);
  message.number(IFLA_MTU, mtu);
  message.number(IFLA_TXQLEN, queue_packets);
  return ask(message, "bring up device " + std::to_string(device));
}

Result<void> Netlink::set(int device, Ipv4Setting setting, std::uint32_t value) {
  ifinfomsg head{};
  head.ifi_index = device;
  Message message(RTM_NEWLINK, NLM_F_ACK, head);
  const std::size_t families = message.begin_nested(IFLA_AF_SPEC);
  const std::size_t family = message.begin_nested(AF_INET);
  const std::size_t settings = message.begin_nested(IFLA_INET_CONF);
  const unsigned number = setting == Ipv4Setting::forwarding  ? IPV4_DEVCONF_FORWARDING
                          : setting == Ipv4Setting::rp_filter ? IPV4_DEVCONF_RP_FILTER
                                                              : IPV4_DEVCONF_ACCEPT_LOCAL;
  message.number(number, value);
  message.end_nested(settings);
  message.end_nested(family);
  message.end_nested(families);
  return ask(message, "change the IPv4 settings of device " + std::to_string(device));
}

Result<void> Netlink::add_address(int device, const Prefix& prefix) {
  ifaddrmsg head{};
  head.ifa_family = prefix.is_v4() ? AF_INET : AF_INET6;
  head.ifa_prefixlen = static_cast<std::uint8_t>(prefix.bits);
  head.ifa_index = static_cast<std::uint32_t>(device);
  // A device without neighbours has no duplicates.
  head.ifa_flags = prefix.is_v4() ? 0 : IFA_F_NODAD;
  Message message(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, head);
  message.attribute(IFA_LOCAL, prefix.address);
  message.attribute(IFA_ADDRESS, prefix.address);
  return ask(message, "add the address " + prefix.to_string());
}

namespace {
rtmsg route_head(const Route& route) {
  rtmsg head{};
  head.rtm_family = route.to.is_v4() ? AF_INET : AF_INET6;
  head.rtm_dst_len = static_cast<std::uint8_t>(route.to.bits);
  head.rtm_table = RT_TABLE_UNSPEC;
  head.rtm_protocol = RTPROT_STATIC;
  head.rtm_scope = route.gateway.empty() && route.to.is_v4() ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  head.rtm_type = RTN_UNICAST;
  return head;
}
}  // namespace

Result<void> Netlink::add_route(std::uint32_t table, const Route& route) {
  const Result<void> added = new_route(table, route, NLM_F_EXCL);
  if (added || added.error().cause != std::errc::file_exists) return added;
  return fail(ErrorCode::refused, "there is a route to " + route.to.to_string() + " already; it was left as it is");
}

Result<void> Netlink::put_route(std::uint32_t table, const Route& route) {
  return new_route(table, route, NLM_F_REPLACE);
}

Result<void> Netlink::new_route(std::uint32_t table, const Route& route, unsigned flags) {
  Message message(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | flags, route_head(route));
  message.number(RTA_TABLE, table);
  if (route.to.bits != 0) message.attribute(RTA_DST, route.to.address);
  if (route.device != 0) message.number(RTA_OIF, static_cast<std::uint32_t>(route.device));
  if (!route.gateway.empty()) message.attribute(RTA_GATEWAY, route.gateway);
  if (!route.source.empty()) message.attribute(RTA_PREFSRC, route.source);
  return ask(message, "add the route to " + route.to.to_string());
}

Result<void> Netlink::remove_route(std::uint32_t table, const Route& route) {
  Message message(RTM_DELROUTE, NLM_F_ACK, route_head(route));
  message.number(RTA_TABLE, table);
  if (route.to.bits != 0) message.attribute(RTA_DST, route.to.address);
  message.number(RTA_OIF, static_cast<std::uint32_t>(route.device));
  return ask(message, "remove the route to " + route.to.to_string());
}

namespace {
template <class Message>
Message rule_message(std::uint16_t type, unsigned flags, const Rule& rule) {
  fib_rule_hdr head{};
  head.family = AF_INET;
  head.src_len = static_cast<std::uint8_t>(rule.source.bits);
  head.dst_len = static_cast<std::uint8_t>(rule.target.bits);
  head.action = FR_ACT_TO_TBL;
  Message message(type, NLM_F_ACK | flags, head);
  message.number(FRA_PRIORITY, rule.priority);
  message.number(FRA_TABLE, rule.table);
  if (!rule.from_device.empty()) message.attribute(FRA_IIFNAME, c_string(rule.from_device));
  if (rule.source.bits != 0) message.attribute(FRA_SRC, rule.source.address);
  if (rule.target.bits != 0) message.attribute(FRA_DST, rule.target.address);
  if (rule.protocol != 0) message.attribute(FRA_IP_PROTO, raw(rule.protocol));
  message.attribute(FRA_PROTOCOL, raw(rule.origin));
  return message;
}
}  // namespace

Result<void> Netlink::add_rule(const Rule& rule) {
  auto message = rule_message<Message>(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);
  return ask(message, "add the routing rule with priority " + std::to_string(rule.priority));
}

Result<void> Netlink::remove_rule(const Rule& rule) {
  auto message = rule_message<Message>(RTM_DELRULE, 0, rule);
  return ask(message, "remove the routing rule with priority " + std::to_string(rule.priority));
}

Result<void> Netlink::remove_device(int device) {
  ifinfomsg head{};
  head.ifi_index = device;
  Message message(RTM_DELLINK, NLM_F_ACK, head);
  return ask(message, "remove device " + std::to_string(device));
}

Result<void> Netlink::add_veth(const std::string& name, const std::string& peer, int peer_namespace) {
  Message message(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
  message.attribute(IFLA_IFNAME, c_string(name));
  const std::size_t info = message.begin_nested(IFLA_LINKINFO);
  message.attribute(IFLA_INFO_KIND, c_string("veth"));
  const std::size_t data = message.begin_nested(IFLA_INFO_DATA);
  const std::size_t other = message.begin_nested(VETH_INFO_PEER);
  message.plain(raw(ifinfomsg{}));
  message.attribute(IFLA_IFNAME, c_string(peer));
  message.number(IFLA_NET_NS_FD, static_cast<std::uint32_t>(peer_namespace));
  message.end_nested(other);
  message.end_nested(data);
  message.end_nested(info);
  return ask(message, "make the veth " + name);
}

}  // namespace wayport::emulator

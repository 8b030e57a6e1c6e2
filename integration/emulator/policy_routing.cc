#include "wayport/integration/emulator/policy_routing.h"

#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>

namespace wayport::emulator {
namespace {

constexpr const char* kLeftDevice = "wplink-left";
constexpr const char* kRightDevice = "wplink-right";
// In the abstract name space, which each network namespace has for itself.
constexpr const char* kLock = "@wayport-link-emulator.lock";
constexpr const char* kIpv4 = "/proc/sys/net/ipv4/";

std::string name_of(Ipv4Setting setting) {
  return setting == Ipv4Setting::forwarding  ? "forwarding"
         : setting == Ipv4Setting::rp_filter ? "rp_filter"
                                             : "accept_local";
}

// A number in /proc/sys.
Result<std::uint32_t> read_system(const std::string& name) {
  const Fd file(::open((kIpv4 + name).c_str(), O_RDONLY | O_CLOEXEC));
  char text[16] = {};
  if (!file || ::read(file.get(), text, sizeof(text) - 1) <= 0) return system_error(errno, "read " + (kIpv4 + name));
  return static_cast<std::uint32_t>(std::strtoul(text, nullptr, 10));
}
Result<void> write_system(const std::string& name, std::uint32_t value) {
  const Fd file(::open((kIpv4 + name).c_str(), O_WRONLY | O_CLOEXEC));
  const std::string text = std::to_string(value);
  if (!file || ::write(file.get(), text.data(), text.size()) < 0) return system_error(errno, "write " + (kIpv4 + name));
  return {};
}

Prefix everything() { return {std::string(4, '\0'), 0}; }

class Routed : public Plumbing {
 public:
  ~Routed() override { take_back(); }

 protected:
  Result<void> begin(std::uint32_t mtu) {
    WAYPORT_TRY_ASSIGN(const SocketAddress name, SocketAddress::from_unix(kLock));
    lock_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_storage address{};
    const socklen_t size = name.store(address);
    if (::bind(lock_.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) {
      if (errno == EADDRINUSE) return fail(ErrorCode::refused, "another link emulator runs in this network namespace");
      return system_error(errno, "lock the network namespace");
    }
    WAYPORT_TRY_ASSIGN(Netlink netlink, Netlink::open());
    netlink_ = std::make_unique<Netlink>(std::move(netlink));
    WAYPORT_TRY(take_rules_away());
    WAYPORT_TRY(make_device(0, kLeftDevice, mtu));
    WAYPORT_TRY(make_device(1, kRightDevice, mtu));
    for (const Tun& tun : devices_) {
      WAYPORT_TRY(netlink_->set(tun.index, Ipv4Setting::forwarding, 1));
      WAYPORT_TRY(netlink_->set(tun.index, Ipv4Setting::rp_filter, 0));
    }
    return {};
  }

  // Remembers what was there.
  Result<void> set(const Device& device, Ipv4Setting setting, std::uint32_t value) {
    const std::string file = "conf/" + device.name + "/" + name_of(setting);
    WAYPORT_TRY_ASSIGN(const std::uint32_t before, read_system(file));
    if (before == value) return {};
    WAYPORT_TRY(netlink_->set(device.index, setting, value));
    before_.try_emplace({device.index, setting}, before);
    return {};
  }

  Result<void> apply(std::set<Rule> wanted) {
    WAYPORT_TRY_ASSIGN(const std::vector<Rule> found, netlink_->rules());
    const std::set<Rule> there(found.begin(), found.end());
    for (const Rule& rule : wanted) {
      if (!there.contains(rule)) WAYPORT_TRY(netlink_->add_rule(rule));
    }
    for (const Rule& rule : there) {
      if (rule.origin == kOrigin && !wanted.contains(rule)) WAYPORT_TRY(netlink_->remove_rule(rule));
    }
    return {};
  }
  Result<void> apply(std::uint32_t table, std::set<Route> wanted) {
    WAYPORT_TRY_ASSIGN(const std::vector<Route> found, netlink_->routes(table));
    const std::set<Route> there(found.begin(), found.end());
    for (const Route& route : there) {
      const bool same_network = std::ranges::any_of(wanted, [&](const Route& w) { return w.to == route.to; });
      if (!same_network) WAYPORT_TRY(netlink_->remove_route(table, route));
    }
    for (const Route& route : wanted) {
      if (!there.contains(route)) WAYPORT_TRY(netlink_->put_route(table, route));
    }
    return {};
  }
  // The table of this machine's addresses is asked first, as the kernel has it, or behind kBeforeLocal.
  Result<void> put_local_first(bool first) {
    WAYPORT_TRY_ASSIGN(const std::vector<Rule> found, netlink_->rules());
    const Rule rule{.priority = 0,
                    .from_device = {},
                    .source = {},
                    .target = {},
                    .protocol = 0,
                    .table = kLocalTable,
                    .origin = kKernelOrigin};
    const bool is_first = std::ranges::any_of(found, [](const Rule& its) {
      return its.priority == 0 && its.table == kLocalTable && its.from_device.empty();
    });
    if (is_first == first) return {};
    return first ? netlink_->add_rule(rule) : netlink_->remove_rule(rule);
  }
  void remember_early_demux(std::uint32_t before) { early_demux_before_ = before; }

  std::unique_ptr<Netlink> netlink_;

 private:
  Result<void> take_rules_away() {
    WAYPORT_TRY(put_local_first(true));
    return apply(std::set<Rule>{});
  }
  // What cannot be taken back any more is gone with its device or its namespace.
  void take_back() noexcept {
    if (early_demux_before_ != 0) (void)write_system("ip_early_demux", early_demux_before_);
    if (!netlink_) return;
    (void)take_rules_away();
    for (const auto& [what, value] : before_) (void)netlink_->set(what.first, what.second, value);
  }

  Fd lock_;
  std::map<std::pair<int, Ipv4Setting>, std::uint32_t> before_;
  std::uint32_t early_demux_before_ = 0;
};

class Router final : public Routed {
 public:
  Result<void> build(const RouteOptions& options) {
    WAYPORT_TRY_ASSIGN(Netlink look, Netlink::open());
    WAYPORT_TRY_ASSIGN(const Device left, find(look, "left", options.left));
    WAYPORT_TRY_ASSIGN(const Device right, find(look, "right", options.right));
    if (left.index == right.index) {
      return fail(ErrorCode::invalid_argument, "left and right are the same device, " + left.name);
    }
    WAYPORT_TRY(begin(std::min(left.mtu, right.mtu)));
    std::set<Rule> rules;
    for (const auto& [device, tun, table] :
         {std::tuple(&left, &devices_[0], kOutTable), std::tuple(&right, &devices_[1], kInTable)}) {
      WAYPORT_TRY(set(*device, Ipv4Setting::forwarding, 1));
      WAYPORT_TRY(apply(table, {Route{.to = everything(), .device = tun->index, .gateway = {}, .source = {}}}));
      rules.insert({.priority = kAfterLocal,
                    .from_device = device->name,
                    .source = {},
                    .target = {},
                    .protocol = 0,
                    .table = table,
                    .origin = kOrigin});
    }
    description_ = "routes between " + left.name + " and " + right.name;
    return apply(std::move(rules));
  }
  std::string description() const override { return description_; }

 private:
  static Result<Device> find(Netlink& netlink, std::string_view side, const std::string& text) {
    WAYPORT_TRY_ASSIGN(const std::vector<Device> devices, netlink.devices());
    for (const Device& device : devices) {
      if (device.name == text) return device;
    }
    if (const Result<Prefix> network = parse_prefix(text); network && network->is_v4()) {
      WAYPORT_TRY_ASSIGN(const std::vector<DeviceAddress> addresses, netlink.addresses());
      for (const DeviceAddress& address : addresses) {
        if (!network->contains(address.prefix.address)) continue;
        for (const Device& device : devices) {
          if (device.index == address.device) return device;
        }
      }
    }
    return fail(ErrorCode::not_found, std::string(side) + ": \"" + escape(text, 64) +
                                          "\" is neither a device nor a network with an address here");
  }

  std::string description_;
};

class Endpoint final : public Routed {
 public:
  explicit Endpoint(const AttachOptions& options) : options_(options) {}

  Result<void> build() {
    WAYPORT_TRY_ASSIGN(const std::uint32_t strict, read_system("conf/all/rp_filter"));
    if (strict == 1) {
      return fail(
          ErrorCode::unsupported,
          "net.ipv4.conf.all.rp_filter is 1, which drops packets that take another way back; start the container "
          "with --sysctl net.ipv4.conf.all.rp_filter=0");
    }
    WAYPORT_TRY_ASSIGN(Netlink look, Netlink::open());
    WAYPORT_TRY_ASSIGN(const std::vector<Device> devices, chosen(look));
    if (devices.empty()) return fail(ErrorCode::not_found, "no device with an IPv4 address to attach to");
    std::uint32_t mtu = devices.front().mtu;
    for (const Device& device : devices) mtu = std::min(mtu, device.mtu);
    // Behind the lock: another link emulator may count on the setting.
    WAYPORT_TRY(begin(mtu));
    if (options_.inbound) WAYPORT_TRY(allow_inbound());
    // What this machine sent comes in again at the right device, with this machine's own address as its source.
    WAYPORT_TRY(netlink_->set(devices_[1].index, Ipv4Setting::accept_local, 1));
    WAYPORT_TRY_ASSIGN(Netlink watch, Netlink::open(true));
    watch_ = std::make_unique<Netlink>(std::move(watch));
    return synchronize();
  }
  int watch_fd() const noexcept override { return watch_->fd(); }
  Result<void> follow() override { return watch_->changed() ? synchronize() : Result<void>(); }
  std::string description() const override { return "attached"; }

 private:
  // The kernel may deliver packets to a known socket without asking for a route; and drops them when they are then routed.
  Result<void> allow_inbound() {
    WAYPORT_TRY_ASSIGN(const std::uint32_t demux, read_system("ip_early_demux"));
    if (demux == 0) return {};
    if (!write_system("ip_early_demux", 0)) {
      return fail(ErrorCode::unsupported,
                  "net.ipv4.ip_early_demux is 1 and /proc/sys cannot be written: start the container with --sysctl "
                  "net.ipv4.ip_early_demux=0, or emulate only what goes out (--out-only)");
    }
    remember_early_demux(demux);
    return {};
  }

  Result<std::vector<Device>> chosen(Netlink& netlink) const {
    WAYPORT_TRY_ASSIGN(const std::vector<Device> devices, netlink.devices());
    WAYPORT_TRY_ASSIGN(const std::vector<DeviceAddress> addresses, netlink.addresses());
    std::vector<Device> result;
    for (const Device& device : devices) {
      if ((device.flags & IFF_LOOPBACK) != 0 || device.name == kLeftDevice || device.name == kRightDevice) continue;
      if (!options_.devices.empty() && std::ranges::find(options_.devices, device.name) == options_.devices.end())
        continue;
      if (std::ranges::any_of(addresses, [&](const DeviceAddress& a) { return a.device == device.index; }))
        result.push_back(device);
    }
    return result;
  }

  Result<void> synchronize() {
    WAYPORT_TRY_ASSIGN(const std::vector<Device> devices, chosen(*netlink_));
    WAYPORT_TRY_ASSIGN(const std::vector<DeviceAddress> addresses, netlink_->addresses());
    WAYPORT_TRY_ASSIGN(const std::vector<Route> main, netlink_->routes(kMainTable));
    for (const Device& device : devices) {
      if (options_.inbound) WAYPORT_TRY(set(device, Ipv4Setting::forwarding, 1));
      WAYPORT_TRY(set(device, Ipv4Setting::rp_filter, 0));
    }
    // The same networks as without the link, with the same source addresses.
    std::set<Route> out;
    for (const Route& route : main) {
      if (std::ranges::none_of(devices, [&](const Device& d) { return d.index == route.device; })) continue;
      Route through{.to = route.to, .device = devices_[0].index, .gateway = {}, .source = route.source};
      if (through.source.empty()) through.source = source_for(route, addresses);
      const bool there = std::ranges::any_of(out, [&](const Route& r) { return r.to == through.to; });
      if (!there) out.insert(std::move(through));
    }
    WAYPORT_TRY(apply(kOutTable, std::move(out)));
    WAYPORT_TRY(apply(kInTable, {Route{.to = everything(), .device = devices_[1].index, .gateway = {}, .source = {}}}));
    WAYPORT_TRY(apply(rules(devices)));
    return put_local_first(!options_.inbound);
  }

  static std::string source_for(const Route& route, const std::vector<DeviceAddress>& addresses) {
    const DeviceAddress* first = nullptr;
    for (const DeviceAddress& address : addresses) {
      if (address.device != route.device) continue;
      if (first == nullptr) first = &address;
      const bool near = !route.gateway.empty() && address.prefix.contains(route.gateway);
      if (near) return address.prefix.address;
    }
    return first != nullptr ? first->prefix.address : std::string();
  }

  std::set<Rule> rules(const std::vector<Device>& devices) const {
    std::vector<Prefix> peers = options_.peers;
    if (peers.empty()) peers.emplace_back();
    std::set<Rule> wanted;
    for (Prefix& peer : peers) {
      if (peer.bits == 0) peer = {};  // as the kernel reports it
      wanted.insert({.priority = kAfterLocal,
                     .from_device = "lo",
                     .source = {},
                     .target = peer,
                     .protocol = 0,
                     .table = kOutTable,
                     .origin = kOrigin});
      if (!options_.inbound) continue;
      for (const Device& device : devices) {
        for (const std::uint8_t protocol : {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP}) {
          wanted.insert({.priority = kBeforeLocal,
                         .from_device = device.name,
                         .source = peer,
                         .target = {},
                         .protocol = protocol,
                         .table = kInTable,
                         .origin = kOrigin});
        }
      }
    }
    if (options_.inbound) {
      wanted.insert({.priority = kLocal,
                     .from_device = {},
                     .source = {},
                     .target = {},
                     .protocol = 0,
                     .table = kLocalTable,
                     .origin = kOrigin});
    }
    return wanted;
  }

  const AttachOptions options_;
  std::unique_ptr<Netlink> watch_;
};

}  // namespace

Result<std::unique_ptr<Plumbing>> route_between(const RouteOptions& options) {
  auto router = std::make_unique<Router>();
  WAYPORT_TRY(router->build(options));
  return router;
}

Result<std::unique_ptr<Plumbing>> attach_here(const AttachOptions& options) {
  auto endpoint = std::make_unique<Endpoint>(options);
  WAYPORT_TRY(endpoint->build());
  return endpoint;
}

}  // namespace wayport::emulator

// Netlink: the few things of a network namespace's devices, addresses, routes and rules that an emulated link needs, without
// the program `ip`, which small images lack. IPv4, but for addresses.
//
// A Netlink belongs to the network namespace in which it was opened, wherever its thread goes later. Calls block until the
// kernel has answered. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/result.h"
#include "wayport/base/socket.h"

namespace wayport::emulator {

// An address with the length of its network, IPv4 or IPv6.
struct Prefix {
  std::string address;  // packed: 4 or 16 bytes
  unsigned bits = 0;

  bool is_v4() const noexcept { return address.size() == 4; }
  bool contains(const std::string& packed) const noexcept;
  std::string to_string() const;  // "10.9.0.1/24"
  friend bool operator==(const Prefix&, const Prefix&) = default;
  friend auto operator<=>(const Prefix&, const Prefix&) = default;
};
// "10.9.0.1/24", "fd00::1/64"; a bare address is a network of its own.
Result<Prefix> parse_prefix(std::string_view text);

struct Device {
  int index = 0;
  std::string name;
  unsigned flags = 0;  // IFF_*
  std::uint32_t mtu = 0;
  std::uint64_t tx_dropped = 0;
};
struct DeviceAddress {
  int device = 0;
  Prefix prefix;
};
struct Route {
  Prefix to;  // IPv4; 0 bits: default
  int device = 0;
  std::string gateway;  // packed; empty: none
  std::string source;   // preferred source, packed; empty: none

  friend bool operator==(const Route&, const Route&) = default;
  friend auto operator<=>(const Route&, const Route&) = default;
};
// IPv4: "packets that came in by `from_device` go by `table`".
struct Rule {
  std::uint32_t priority = 0;
  std::string from_device;    // "lo": this machine's own packets; empty: any
  Prefix source, target;      // an empty address: any
  std::uint8_t protocol = 0;  // IPPROTO_*; 0: any
  std::uint32_t table = 0;
  std::uint8_t origin = 0;  // who made it (RTPROT_*)

  friend bool operator==(const Rule&, const Rule&) = default;
  friend auto operator<=>(const Rule&, const Rule&) = default;
};

// Of a device; the names of /proc/sys/net/ipv4/conf.
enum class Ipv4Setting : std::uint16_t { forwarding, rp_filter, accept_local };

class Netlink {
 public:
  // In the thread's network namespace. `watch`: also hears changes of devices, addresses and routes (fd(), changed()).
  static Result<Netlink> open(bool watch = false);

  Result<std::vector<Device>> devices();
  Result<std::vector<DeviceAddress>> addresses();          // IPv4
  Result<std::vector<Route>> routes(std::uint32_t table);  // IPv4 unicast with one next hop
  Result<std::vector<Rule>> rules();                       // IPv4

  Result<void> set_up(int device, std::uint32_t mtu, std::uint32_t queue_packets);
  Result<void> set(int device, Ipv4Setting setting, std::uint32_t value);
  Result<void> add_address(int device, const Prefix& prefix);
  // refused: there is one to the same network, which stays.
  Result<void> add_route(std::uint32_t table, const Route& route);
  // In place of one to the same network, if there is any.
  Result<void> put_route(std::uint32_t table, const Route& route);
  Result<void> remove_route(std::uint32_t table, const Route& route);
  Result<void> add_rule(const Rule& rule);
  Result<void> remove_rule(const Rule& rule);
  Result<void> remove_device(int device);
  // Two devices joined by a cable, the second in the namespace behind `peer_namespace`.
  Result<void> add_veth(const std::string& name, const std::string& peer, int peer_namespace);

  int fd() const noexcept { return fd_.get(); }
  // Takes what was heard off the socket; true if it was anything. Only of one opened to watch.
  bool changed();

 private:
  class Message;

  explicit Netlink(Fd fd) : fd_(std::move(fd)) {}
  Result<void> ask(Message& message, std::string_view what);
  Result<void> new_route(std::uint32_t table, const Route& route, unsigned flags);
  template <class Each>
  Result<void> dump(Message& message, std::string_view what, Each each);

  Fd fd_;
  std::uint32_t sequence_ = 0;
};

}  // namespace wayport::emulator

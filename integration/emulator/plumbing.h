// What leads packets of the kernel through an emulated link: two tun devices, and the routes and rules that make the kernel
// use them. Everything is taken back when a Plumbing ends. Of what a killed process left, devices and routes go with it, and
// routing rules are taken away by the next one. Settings stay as it had them, and count as those from before to the next one:
// forwarding and rp_filter of the devices that were there, and ip_early_demux.
//
//   join     two network namespaces, joined by nothing but the link: each gets one of the devices
//
//              namespace A [left device] <== link ==> [right device] namespace B
//
//   route    this namespace is a router between two of its devices; what goes from one to the other takes the link
//
//              left network -- eth0 -> [left device] ==> link ==> [right device] -> eth1 -- right network
//
//   attach   this namespace is an endpoint; what it sends ("out") and what it gets ("in") takes the link
//
//              programs -> [left device] ==> link ==> [right device] -> eth0 -- network
//
// A packet that the kernel sends into the left device belongs to the left direction, and is given back through the right one.
// route and attach are for IPv4, and count as one hop each; join carries IPv6, too, if its addresses are. Blocking; one
// thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/integration/emulator/netlink.h"

namespace wayport::emulator {

inline constexpr std::uint32_t kMtuDefault = 1500;
inline constexpr std::size_t kPeersMax = 64;

struct JoinSide {
  std::string network_namespace;  // a file such as /run/netns/a or /proc/PID/ns/net; empty: the present one
  std::string device = "wplink";
  Prefix address;
  std::vector<Prefix> routes;  // what else is reached through the link
};
struct JoinOptions {
  JoinSide left, right;
  std::uint32_t mtu = kMtuDefault;
};
// Each by its name, or by a network that one of its addresses is in.
struct RouteOptions {
  std::string left, right;
};
struct AttachOptions {
  std::vector<std::string> devices;  // empty: all that have an address, but the loopback; those that come later, too
  std::vector<Prefix> peers;         // only traffic with these; empty: all
  bool inbound = true;               // false: only what goes out
};

class Plumbing {
 public:
  // In the thread's network namespace, as is everything of route and attach. At most one route or attach in a namespace.
  static Result<std::unique_ptr<Plumbing>> join(const JoinOptions& options);
  static Result<std::unique_ptr<Plumbing>> route(const RouteOptions& options);
  static Result<std::unique_ptr<Plumbing>> attach(const AttachOptions& options);

  virtual ~Plumbing();
  Plumbing(const Plumbing&) = delete;
  Plumbing& operator=(const Plumbing&) = delete;

  // The devices, left and right: one read or write is one packet. Non-blocking.
  int fd(std::size_t side) const noexcept { return devices_[side].fd.get(); }
  bool carries(Bytes packet) const noexcept;
  // Packets that the kernel dropped because the device's queue was full.
  std::uint64_t device_dropped(std::size_t side);
  // When readable, the namespace has changed: follow() then puts the routes right. -1: nothing to follow.
  virtual int watch_fd() const noexcept { return -1; }
  virtual Result<void> follow() { return {}; }
  virtual std::string description() const = 0;

 protected:
  struct Tun {
    Fd fd;
    int index = 0;
    std::unique_ptr<Netlink> netlink;  // of its namespace
  };

  Plumbing() = default;
  Result<void> make_device(std::size_t side, const std::string& name, std::uint32_t mtu);

  std::array<Tun, 2> devices_;
  bool carries_v6_ = false;
};

}  // namespace wayport::emulator

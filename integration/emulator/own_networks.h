// OwnNetworks: network namespaces of a test's own, for tests that need devices and routes. Single-threaded: sockets stay in
// the namespace in which they were opened, so one thread can be client and server of two machines.
#pragma once

#include <functional>
#include <string>

#include "wayport/base/socket.h"
#include "wayport/integration/emulator/netlink.h"

namespace wayport::emulator::testing {

// The process leaves the network that it was started in, once and for ever. False: the system denies it, or has no tun
// devices.
bool enter_own_networks();

// A namespace without devices but its loopback, which is up.
class Machine {
 public:
  Machine();

  // Runs `work` in it.
  void in(const std::function<void()>& work) const;
  // For other processes, as long as this one lives.
  std::string path() const;
  // Joined by a cable to `other`; the devices get the addresses.
  void connect(const std::string& device, const std::string& address, const Machine& other,
               const std::string& other_device, const std::string& other_address) const;
  void add_route(const std::string& network, const std::string& gateway) const;
  // Of the device with this name.
  void add_address(const std::string& device, const std::string& address) const;
  void remove_device(const std::string& device) const;
  Netlink netlink() const;

  // UDP, bound; port 0: any.
  Fd udp(const std::string& address, std::uint16_t port = 0) const;

 private:
  Fd namespace_;
};

}  // namespace wayport::emulator::testing

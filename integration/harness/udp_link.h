// UdpLink: a link for datagrams between a test's clients and a server, with the delay, loss, rate and so on that it is told.
// Needs no privilege: it is a forwarder on the loopback, around the core of the link emulator.
//
//   client -> [link's port] == up ==> [a socket for each client] -> target
//   client <- [link's port] <= down == [a socket for each client] <- target
//
//   auto link = *UdpLink::start("127.0.0.1", server_port, {.both = "delay=20ms loss=2%"});
//   dial("kcp://127.0.0.1:" + std::to_string(link->port()));
//   link->set(UdpLink::Way::both, "down");     // a partition
//   link->rebind();                            // clients come from other ports, as behind a NAT that forgot them
//
// The words are those of integration/emulator/README.md; what happens to the n-th datagram of a direction follows from the
// seed. Bounded: clients_max, and the words `queue` and `held`. Times are kept to 2 ms. Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "wayport/base/result.h"
#include "wayport/integration/emulator/link_emulator.h"

namespace wayport::harness {

struct UdpLinkOptions {
  std::string both{};  // words for both directions
  std::string up{};    // besides, for what goes to the target
  std::string down{};  // and for what comes from it
  std::uint64_t seed = 1;
  std::size_t clients_max = 1024;  // datagrams of more are dropped
};

class UdpLink {
 public:
  enum class Way : std::uint8_t { up, down, both };

  // `ip` and `port` of the target; the link listens at 127.0.0.1 or ::1, as the target's family is.
  static Result<std::unique_ptr<UdpLink>> start(const std::string& ip, std::uint16_t port,
                                                const UdpLinkOptions& options = {});
  ~UdpLink();
  UdpLink(const UdpLink&) = delete;
  UdpLink& operator=(const UdpLink&) = delete;

  std::uint16_t port() const noexcept;
  // Changes what the words say, and keeps the rest.
  Result<void> set(Way way, std::string_view words);
  // From now on the target sees all clients come from other ports.
  void rebind();
  // Of one way.
  emulator::LinkCounters counters(Way way) const;
  // Datagrams of clients beyond clients_max.
  std::uint64_t strangers() const;

 private:
  struct Implementation;
  explicit UdpLink(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace wayport::harness

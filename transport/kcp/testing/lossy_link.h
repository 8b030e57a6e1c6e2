// LossyLink: a UDP forwarder that loses, repeats, delays and reorders, for tests, demonstrations and benchmarks.
//
//   client -> [link's port] -- up --> [a socket per client] -> target
//   client <- [link's port] <- down -- [a socket per client] <- target
//
//   LossyLink link(loop, target);
//   link.up.loss = 0.02;               // at any time
//   dial("kcp://127.0.0.1:" + std::to_string(link.port()));
//   link.rebind();                     // from now on clients come from other ports, as behind a NAT that forgot them
//
// What happens to a datagram follows from the seed and the order of datagrams. Bounded: clients_max, and packets_max
// waiting. Binds to the loopback only. Loop's thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <string>
#include <vector>

#include "wayport/base/loop.h"
#include "wayport/base/socket.h"
#include "wayport/transport/kcp/udp_socket.h"

namespace wayport::transport::kcp::testing {

class LossyLink final : private Timer {
 public:
  struct Direction {
    double loss = 0;               // chance
    std::uint32_t drop_every = 0;  // each n-th datagram is lost; zero: none
    double duplicate = 0;
    double reorder = 0;  // chance of reorder_delay on top
    Duration delay{0};
    Duration jitter{0};
    Duration reorder_delay = std::chrono::milliseconds(5);
    std::uint64_t bytes_per_second = 0;    // zero: no bottleneck
    std::size_t queue_bytes = 256 * 1024;  // of the bottleneck; more is lost
    bool cut = false;                      // everything is lost
  };
  struct Counts {
    std::uint64_t datagrams = 0, bytes = 0, lost = 0, duplicated = 0, reordered = 0, overflowed = 0;
  };
  static constexpr std::size_t kClientsMax = 4096;
  static constexpr std::size_t kPacketsMax = 65536;

  // Aborts if the loopback has no port left.
  LossyLink(Loop& loop, const SocketAddress& target, std::uint64_t seed = 1);
  ~LossyLink();
  LossyLink(const LossyLink&) = delete;
  LossyLink& operator=(const LossyLink&) = delete;

  std::uint16_t port() const { return listening_->udp->local().port(); }
  void rebind();

  Direction up, down;
  Counts up_counts, down_counts;
  // Sees every datagram before anything happens to it; true: it is lost.
  std::function<bool(bool is_up, Bytes datagram)> filter;

 private:
  struct Socket final : FdEvents {
    Socket(LossyLink& its_link, std::shared_ptr<UdpSocket> its_udp);
    ~Socket();
    void on_fd(std::uint32_t) override { link.on_readable(*this); }
    LossyLink& link;
    std::shared_ptr<UdpSocket> udp;
    SocketAddress client;  // of a client's socket
  };
  struct Flight {
    TimePoint due{};
    std::uint64_t order = 0;
    bool is_up = false;
    SocketAddress client;
    std::string bytes;
    bool operator>(const Flight& other) const { return std::tie(due, order) > std::tie(other.due, other.order); }
  };

  void on_readable(Socket& socket);
  void on_timer() override;
  void take(bool is_up, const SocketAddress& client, Bytes datagram);
  void launch(bool is_up, const SocketAddress& client, Bytes datagram, TimePoint due);
  void forward(bool is_up, const SocketAddress& client, Bytes datagram);
  bool chance(double p) { return p > 0 && std::uniform_real_distribution<>(0, 1)(random_) < p; }

  Loop& loop_;
  const SocketAddress target_;
  std::unique_ptr<Socket> listening_;
  std::map<std::string, std::unique_ptr<Socket>> clients_;
  // Forgotten by rebind(): they still bring what was under way to them.
  std::vector<std::unique_ptr<Socket>> old_;
  std::mt19937_64 random_;
  std::priority_queue<Flight, std::vector<Flight>, std::greater<>> flights_;
  std::uint64_t order_ = 0;
  TimePoint free_at_[2] = {};
};

}  // namespace wayport::transport::kcp::testing

// UdpSocket, UdpSender: datagrams in and out of one socket in as few system calls as the kernel allows.
//
//   receive   recvmmsg; with UDP_GRO each slot holds a train of datagrams of one peer
//   send      trains of equal size to one peer as one UDP_SEGMENT message, all messages of a turn in one sendmmsg
//
// What the kernel lacks is found out when it refuses, once per socket, and done without from then on; a train that is
// wrong for its path only (a smaller MTU) leaves as single datagrams. A wildcard socket
// answers from the address that the datagram came to. A socket may be sent through from several loops, each with its
// own UdpSender; one loop reads it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/result.h"
#include "wayport/base/socket.h"
#include "wayport/transport/kcp/endpoint.h"
#include "wayport/transport/kcp/kcp_counters.h"
#include "wayport/transport/kcp/kcp_session.h"

namespace wayport::transport::kcp {

Endpoint endpoint_of(const SocketAddress& address);
SocketAddress address_of(const Endpoint& endpoint);  // IPv4 plainly

struct UdpOptions {
  // Asked for; the system's limit (net.core.rmem_max, wmem_max) cuts them without an error.
  std::size_t rcvbuf = 4u << 20;
  std::size_t sndbuf = 4u << 20;
  bool reuse_port = false;
  bool v6only = false;
  bool offload = true;  // GRO and GSO, where the kernel has them
};

// Several datagrams of one peer, one behind the other.
struct UdpTrain {
  Endpoint from;
  Endpoint to;  // where it came to; only of wildcard sockets
  MutableBytes bytes;
  std::size_t size = 0;  // of each datagram but the last, which may be shorter

  template <class F>
  void for_each(F&& visit) const {
    for (MutableBytes rest = bytes; !rest.empty();) {
      const std::size_t first = rest.size() < size ? rest.size() : size;
      visit(rest.first(first));
      rest = rest.subspan(first);
    }
  }
};

class UdpSocket {
 public:
  static constexpr std::size_t kTrainsMax = 64;

  // `remote`: the one peer, whose errors (nobody listens there) are then told.
  static Result<std::shared_ptr<UdpSocket>> connect(const SocketAddress& remote, const UdpOptions& options);
  static Result<std::shared_ptr<UdpSocket>> bind(const SocketAddress& where, const UdpOptions& options);
  // A bound socket of another process. The descriptor stays the caller's on failure.
  static Result<std::shared_ptr<UdpSocket>> take(int fd, const UdpOptions& options);

  // Beside `of`, with its address (where that is a wildcard's: `local`), connected to `remote`: the kernel prefers it for
  // what comes from there.
  static Result<std::shared_ptr<UdpSocket>> branch(UdpSocket& of, const SocketAddress& local,
                                                   const SocketAddress& remote, const UdpOptions& options);

  int fd() const noexcept { return fd_.get(); }
  bool connected() const noexcept { return connected_; }
  bool wildcard() const noexcept { return wildcard_; }
  SocketAddress local() const;

  struct Read {
    std::span<const UdpTrain> trains;
    bool more = false;    // the kernel may have more
    int error = 0;        // errno of what the peer's host has said (connected sockets)
    std::size_t cut = 0;  // larger than any datagram of ours may be, and dropped
  };
  // One system call. `scratch` holds the datagrams, `trains` what is said about them.
  Read receive(MutableBytes scratch, std::span<UdpTrain, kTrainsMax> trains);

 private:
  friend class UdpSender;
  UdpSocket(Fd fd, int family) noexcept : fd_(std::move(fd)), family_(family) {}
  static Result<std::shared_ptr<UdpSocket>> open(int family, const UdpOptions& options);
  Result<void> set_up(const UdpOptions& options);
  Result<void> look_at_address();

  Fd fd_;
  int family_;
  bool connected_ = false;
  bool wildcard_ = false;
  bool gro_ = false;
  std::atomic<bool> gso_{false};
};

// Collects the datagrams of a turn, for one loop. Not thread-safe.
class UdpSender final : public DatagramSink {
 public:
  UdpSender(UdpSocket& socket, KcpCounters& counters) noexcept : socket_(&socket), counters_(counters) {}

  // `buffer` is lent until finish().
  void begin(MutableBytes buffer);
  // Where what follows goes. `local`: from which address; zeros: the system's choice.
  void set_path(const Endpoint& remote, const Endpoint& local);
  MutableBytes room(std::size_t size) override;
  void commit(std::size_t size) override;
  // Sends. What the kernel does not take now is kept; while it is there is no room.
  void finish();
  bool blocked() const noexcept { return blocked_now_; }
  // The kernel has room again.
  void resume() { send(); }
  // A connected socket was told that nobody listens there, since the last call.
  bool take_refused() noexcept { return std::exchange(refused_, false); }
  void use(UdpSocket& socket) noexcept { socket_ = &socket; }

 private:
  static constexpr std::size_t kMessages = 32;           // per call
  static constexpr std::size_t kTrainDatagrams = 64;     // UDP_MAX_SEGMENTS of older kernels
  static constexpr std::size_t kTrainBytes = 64 * 1000;  // below the largest UDP datagram
  struct Path {
    Endpoint remote;
    Endpoint local;
  };
  struct Entry {
    std::uint32_t offset = 0;
    std::uint32_t size = 0;
    std::uint32_t path = 0;
  };
  void send();
  std::size_t train_at(std::size_t first) const noexcept;
  void clear() noexcept;

  UdpSocket* socket_;
  KcpCounters& counters_;
  MutableBytes buffer_{};
  std::size_t used_ = 0;
  std::size_t next_ = 0;       // entries before it were sent
  std::size_t single_to_ = 0;  // those before it leave one by one: a train of them was refused
  std::vector<Entry> entries_;
  std::vector<Path> paths_;
  std::vector<std::byte> kept_;
  bool blocked_now_ = false;
  bool refused_ = false;
};

}  // namespace wayport::transport::kcp

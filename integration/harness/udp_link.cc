#include "wayport/integration/harness/udp_link.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "wayport/base/loop.h"
#include "wayport/base/socket.h"
#include "wayport/integration/emulator/link_options.h"
#include "wayport/integration/harness/link_loop.h"

namespace wayport::harness {
namespace {

using emulator::LinkEmulator;
using emulator::LinkOptions;

constexpr int kSocketBytes = 4 << 20;
constexpr int kReadsPerTurn = 256;

Result<Fd> udp_socket(const SocketAddress& address, bool connect) {
  Fd fd(::socket(address.family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return system_error(errno, "a UDP socket");
  for (const int option : {SO_RCVBUF, SO_SNDBUF}) {
    (void)::setsockopt(fd.get(), SOL_SOCKET, option, &kSocketBytes, sizeof(kSocketBytes));
  }
  sockaddr_storage name{};
  const socklen_t size = address.store(name);
  const auto* const to = reinterpret_cast<const sockaddr*>(&name);
  if ((connect ? ::connect(fd.get(), to, size) : ::bind(fd.get(), to, size)) != 0) {
    return system_error(errno, (connect ? "connect to " : "bind ") + address.to_string());
  }
  return fd;
}

// On the loop's thread.
class Forwarder final : private Timer {
 public:
  Forwarder(Loop& its_loop, SocketAddress its_target, const LinkOptions& up, const LinkOptions& down,
            const UdpLinkOptions& options)
      : loop_(its_loop),
        target_(std::move(its_target)),
        clients_max_(options.clients_max),
        ways_{LinkEmulator(up, 2 * options.seed), LinkEmulator(down, 2 * options.seed + 1)} {}

  void listen(Fd fd) { listening_ = std::make_unique<Socket>(*this, std::move(fd), 0); }
  Result<void> set(UdpLink::Way way, std::string_view words) {
    std::array<std::optional<LinkOptions>, 2> wanted;
    for (std::size_t i = 0; i < 2; ++i) {
      if (way != UdpLink::Way::both && (way == UdpLink::Way::up) != (i == 0)) continue;
      WAYPORT_TRY_ASSIGN(wanted[i], emulator::changed(ways_[i].options(), words));
    }
    for (std::size_t i = 0; i < 2; ++i) {
      if (wanted[i]) ways_[i].configure(loop_.exact_now(), *wanted[i]);
    }
    forward();
    return {};
  }

  void rebind() {
    for (auto& [number, client] : clients_) client.socket.reset();
  }
  const emulator::LinkCounters& counters(std::size_t way) const { return ways_[way].counters(); }
  std::uint64_t strangers() const { return strangers_; }

 private:
  // One of the link's sockets.
  struct Socket final : FdEvents {
    Socket(Forwarder& its_link, Fd its_fd, std::uint64_t its_client)
        : link(its_link), fd(std::move(its_fd)), client(its_client) {
      WAYPORT_ASSERT(link.loop_.watch(fd.get(), Interest::read, *this).has_value(), "epoll");
    }
    ~Socket() { link.loop_.unwatch(fd.get(), *this); }
    void on_fd(std::uint32_t) override { link.on_readable(*this); }

    Forwarder& link;
    Fd fd;
    const std::uint64_t client;  // zero: the one that clients send to
  };
  struct Client {
    SocketAddress address;
    std::unique_ptr<Socket> socket;
  };

  void on_readable(Socket& from) {
    std::array<char, 65536> datagram;
    for (int i = 0; i < kReadsPerTurn; ++i) {
      sockaddr_storage name{};
      socklen_t name_size = sizeof(name);
      const ssize_t size = ::recvfrom(from.fd.get(), datagram.data(), datagram.size(), 0,
                                      reinterpret_cast<sockaddr*>(&name), &name_size);
      // A target that does not listen answers with an error on the next read, which is not an end.
      if (size < 0 && errno == ECONNREFUSED) continue;
      if (size < 0) break;
      const Bytes bytes = as_bytes({datagram.data(), static_cast<std::size_t>(size)});
      if (from.client != 0) {
        ways_[1].handle_packet(loop_.exact_now(), bytes, from.client);
      } else if (const std::uint64_t client =
                     client_at(SocketAddress::from(reinterpret_cast<const sockaddr*>(&name), name_size));
                 client != 0) {
        ways_[0].handle_packet(loop_.exact_now(), bytes, client);
      } else {
        ++strangers_;
      }
    }
    forward();
  }

  // Zero: there is no room for one more.
  std::uint64_t client_at(const SocketAddress& address) {
    const auto [found, is_new] = numbers_.try_emplace(address.to_string(), next_client_);
    if (!is_new) return found->second;
    if (clients_.size() >= clients_max_) {
      numbers_.erase(found);
      return 0;
    }
    clients_[next_client_].address = address;
    return next_client_++;
  }

  void on_timer() override { forward(); }
  void forward() {
    const TimePoint now = loop_.exact_now();
    while (std::optional<emulator::LinkPacket> packet = ways_[0].poll_packet(now)) {
      Client& client = clients_.at(packet->tag);
      if (!client.socket) {
        Result<Fd> fd = udp_socket(target_, true);
        // Out of descriptors: as good as lost.
        if (!fd) continue;
        client.socket = std::make_unique<Socket>(*this, *std::move(fd), packet->tag);
      }
      (void)::send(client.socket->fd.get(), packet->bytes.data(), packet->bytes.size(), MSG_DONTWAIT);
    }
    while (std::optional<emulator::LinkPacket> packet = ways_[1].poll_packet(now)) {
      sockaddr_storage name{};
      const socklen_t size = clients_.at(packet->tag).address.store(name);
      (void)::sendto(listening_->fd.get(), packet->bytes.data(), packet->bytes.size(), MSG_DONTWAIT,
                     reinterpret_cast<const sockaddr*>(&name), size);
    }
    loop_.arm(*this, std::min(ways_[0].next_event(), ways_[1].next_event()));
  }

  Loop& loop_;
  const SocketAddress target_;
  const std::size_t clients_max_;
  std::array<LinkEmulator, 2> ways_;  // up, down
  std::map<std::string, std::uint64_t> numbers_;
  std::map<std::uint64_t, Client> clients_;
  std::uint64_t next_client_ = 1;
  std::uint64_t strangers_ = 0;
  std::unique_ptr<Socket> listening_;
};

}  // namespace

struct UdpLink::Implementation {
  LinkLoop thread;
  std::unique_ptr<Forwarder> forwarder;
  std::uint16_t port = 0;
};

UdpLink::UdpLink(std::unique_ptr<Implementation> implementation) : implementation_(std::move(implementation)) {}

Result<std::unique_ptr<UdpLink>> UdpLink::start(const std::string& ip, std::uint16_t port,
                                                const UdpLinkOptions& options) {
  WAYPORT_TRY_ASSIGN(const SocketAddress target, SocketAddress::from_ip(ip, port));
  WAYPORT_TRY_ASSIGN(const LinkOptions both, emulator::changed({}, options.both));
  WAYPORT_TRY_ASSIGN(const LinkOptions up, emulator::changed(both, options.up));
  WAYPORT_TRY_ASSIGN(const LinkOptions down, emulator::changed(both, options.down));
  WAYPORT_TRY_ASSIGN(const SocketAddress here,
                     SocketAddress::from_ip(target.family() == AF_INET6 ? "::1" : "127.0.0.1", 0));
  WAYPORT_TRY_ASSIGN(Fd fd, udp_socket(here, false));
  WAYPORT_TRY_ASSIGN(const SocketAddress bound, local_address(fd.get()));
  auto made = std::make_unique<Implementation>();
  made->port = bound.port();
  made->thread.run([&] {
    made->forwarder = std::make_unique<Forwarder>(made->thread.get(), target, up, down, options);
    made->forwarder->listen(std::move(fd));
  });
  return std::unique_ptr<UdpLink>(new UdpLink(std::move(made)));
}

UdpLink::~UdpLink() {
  implementation_->thread.run([this] { implementation_->forwarder.reset(); });
}

std::uint16_t UdpLink::port() const noexcept { return implementation_->port; }
Result<void> UdpLink::set(Way way, std::string_view words) {
  return implementation_->thread.run([&] { return implementation_->forwarder->set(way, words); });
}
void UdpLink::rebind() {
  implementation_->thread.run([this] { implementation_->forwarder->rebind(); });
}
emulator::LinkCounters UdpLink::counters(Way way) const {
  WAYPORT_ASSERT(way != Way::both, "the counters of one way");
  return implementation_->thread.run([&] { return implementation_->forwarder->counters(way == Way::up ? 0 : 1); });
}
std::uint64_t UdpLink::strangers() const {
  return implementation_->thread.run([this] { return implementation_->forwarder->strangers(); });
}

}  // namespace wayport::harness

#include "wayport/integration/harness/tcp_link.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <optional>
#include <utility>

#include "wayport/base/loop.h"
#include "wayport/base/socket.h"
#include "wayport/integration/emulator/link_emulator.h"
#include "wayport/integration/emulator/link_options.h"
#include "wayport/integration/harness/link_loop.h"

namespace wayport::harness {
namespace {

using emulator::LinkEmulator;
using emulator::LinkOptions;

constexpr std::size_t kChunkBytes = 16 * 1024;
constexpr int kListenBacklog = 128;

// Words that would lose, change or exchange bytes of a stream are refused.
Result<LinkOptions> stream_options(const LinkOptions& base, std::string_view words) {
  WAYPORT_TRY_ASSIGN(LinkOptions options, emulator::changed(base, words));
  if (options.loss != 0 || options.burst_loss != 0 || options.duplicate != 0 || options.corrupt != 0 ||
      options.reorder != 0 || !options.up) {
    return fail(ErrorCode::unsupported, "a TCP link knows delay, jitter, rate and perfect, not all of \"" +
                                            std::string(words) + "\"; stall() and cut() are its other faults");
  }
  // What is under way is bounded for each connection, before it comes here.
  options.queue_bytes = options.held_bytes_max = emulator::kHeldBytesMax;
  return options;
}

Result<Fd> tcp_socket(const SocketAddress& address) {
  Fd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return system_error(errno, "a TCP socket");
  return fd;
}
void send_at_once(const Fd& fd) {
  const int on = 1;
  (void)::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}
// The next close() resets the connection.
void reset_on_close(const Fd& fd) {
  const linger at_once{1, 0};
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

// On the loop's thread.
class Forwarder final : private Timer, private FdEvents {
 public:
  Forwarder(Loop& loop, SocketAddress target, const LinkOptions& up, const LinkOptions& down,
            const TcpLinkOptions& options, Fd listening)
      : loop_(loop),
        target_(std::move(target)),
        connections_max_(options.connections_max),
        ways_{LinkEmulator(up, 2 * options.seed), LinkEmulator(down, 2 * options.seed + 1)},
        listening_(std::move(listening)) {
    WAYPORT_ASSERT(loop_.watch(listening_.get(), Interest::read, *this).has_value(), "epoll");
  }
  ~Forwarder() {
    reset_all();
    loop_.unwatch(listening_.get(), *this);
  }

  Result<void> set(TcpLink::Way way, std::string_view words) {
    std::array<std::optional<LinkOptions>, 2> wanted;
    for (std::size_t i = 0; i < 2; ++i) {
      if (way != TcpLink::Way::both && (way == TcpLink::Way::up) != (i == 0)) continue;
      WAYPORT_TRY_ASSIGN(wanted[i], stream_options(ways_[i].options(), words));
    }
    for (std::size_t i = 0; i < 2; ++i) {
      if (wanted[i]) ways_[i].configure(loop_.exact_now(), *wanted[i]);
    }
    forward();
    return {};
  }
  void stall(bool on) {
    stalled_ = on;
    WAYPORT_ASSERT(loop_.change(listening_.get(), on ? Interest::none : Interest::read, *this).has_value(), "epoll");
    for (auto& [number, connection] : connections_) {
      for (const std::unique_ptr<End>& end : connection.ends) show_interest(*end);
    }
    if (!on) forward();
  }
  void cut(bool on) {
    cut_ = on;
    if (on) reset_all();
  }
  std::size_t connections() const { return connections_.size(); }
  std::uint64_t bytes(std::size_t way) const { return bytes_[way]; }

 private:
  // One socket of a connection. Side 0 is the client's: what is read there goes by way 0.
  struct End final : FdEvents {
    End(Forwarder& its_link, Fd its_fd, std::uint64_t its_number, std::size_t its_side)
        : link(its_link), fd(std::move(its_fd)), number(its_number), side(its_side) {
      WAYPORT_ASSERT(link.loop_.watch(fd.get(), Interest::read, *this).has_value(), "epoll");
    }
    ~End() { link.loop_.unwatch(fd.get(), *this); }
    void on_fd(std::uint32_t events) override { link.on_end(*this, events); }

    Forwarder& link;
    Fd fd;
    const std::uint64_t number;  // of the connection
    const std::size_t side;
    std::string out;            // has left the link, waits for the socket
    std::size_t under_way = 0;  // bytes read here that the other end has not sent yet
    bool read_ended = false;
    bool end_wanted = false;  // after `out`
    bool end_sent = false;
  };
  struct Connection {
    std::array<std::unique_ptr<End>, 2> ends;
  };

  // The listening socket.
  void on_fd(std::uint32_t) override {
    for (;;) {
      Fd client(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!client) return;
      reset_on_close(client);
      if (cut_ || connections_.size() >= connections_max_) continue;
      Result<Fd> server = tcp_socket(target_);
      if (!server) continue;
      sockaddr_storage name{};
      const socklen_t size = target_.store(name);
      const int status = ::connect(server->get(), reinterpret_cast<const sockaddr*>(&name), size);
      if (status != 0 && errno != EINPROGRESS) continue;
      reset_on_close(*server);
      send_at_once(client);
      send_at_once(*server);
      const std::uint64_t number = next_number_++;
      Connection& connection = connections_[number];
      connection.ends[0] = std::make_unique<End>(*this, std::move(client), number, 0);
      connection.ends[1] = std::make_unique<End>(*this, *std::move(server), number, 1);
    }
  }

  void on_end(End& end, std::uint32_t events) {
    const std::uint64_t number = end.number;
    const std::size_t side = end.side;
    if (stalled_) return;
    if ((events & EPOLLOUT) != 0 && !flush(end)) return remove(number);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !end.read_ended) {
      std::array<std::byte, kChunkBytes> chunk;
      const ssize_t size = ::recv(end.fd.get(), chunk.data(), chunk.size(), 0);
      if (size < 0 && errno != EAGAIN && errno != EINTR) return remove(number);
      if (size >= 0) {
        end.read_ended = size == 0;
        end.under_way += static_cast<std::size_t>(size);
        // An empty one is the end.
        ways_[side].handle_packet(loop_.exact_now(), Bytes(chunk).first(static_cast<std::size_t>(size)), number);
      }
    } else if ((events & EPOLLERR) != 0) {
      return remove(number);
    }
    show_interest(end);
    forward();
  }

  void on_timer() override { forward(); }
  void forward() {
    if (stalled_) return;
    const TimePoint now = loop_.exact_now();
    for (std::size_t side = 0; side < 2; ++side) {
      while (const std::optional<emulator::LinkPacket> packet = ways_[side].poll_packet(now)) {
        bytes_[side] += packet->bytes.size();
        const auto found = connections_.find(packet->tag);
        // It was reset meanwhile.
        if (found == connections_.end()) continue;
        End& to = *found->second.ends[1 - side];
        to.out.append(packet->bytes);
        if (packet->bytes.empty()) to.end_wanted = true;
        if (!flush(to)) remove(packet->tag);
      }
    }
    loop_.arm(*this, std::min(ways_[0].next_event(), ways_[1].next_event()));
  }

  // Sends what the socket takes. False: the connection is over.
  bool flush(End& end) {
    End& from = *connections_.at(end.number).ends[1 - end.side];
    std::size_t sent = 0;
    while (sent < end.out.size()) {
      const ssize_t size = ::send(end.fd.get(), end.out.data() + sent, end.out.size() - sent, MSG_NOSIGNAL);
      // Not connected yet is as good as full.
      if (size < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN)) break;
      if (size < 0) return false;
      sent += static_cast<std::size_t>(size);
    }
    end.out.erase(0, sent);
    from.under_way -= sent;
    if (end.out.empty() && end.end_wanted && !end.end_sent && ::shutdown(end.fd.get(), SHUT_WR) == 0)
      end.end_sent = true;
    if (end.end_sent && from.end_sent) {
      // Both went their way to the end: an orderly close.
      for (const std::unique_ptr<End>& its : connections_.at(end.number).ends) {
        const linger slowly{0, 0};
        (void)::setsockopt(its->fd.get(), SOL_SOCKET, SO_LINGER, &slowly, sizeof(slowly));
      }
      return false;
    }
    show_interest(end);
    show_interest(from);
    return true;
  }

  void show_interest(End& end) {
    const bool read = !stalled_ && !end.read_ended && end.under_way < TcpLink::kBufferedBytesMax;
    const bool write = !stalled_ && (!end.out.empty() || (end.end_wanted && !end.end_sent));
    const Interest interest = read && write ? Interest::read_write
                              : read        ? Interest::read
                              : write       ? Interest::write
                                            : Interest::none;
    WAYPORT_ASSERT(loop_.change(end.fd.get(), interest, end).has_value(), "epoll");
  }

  void remove(std::uint64_t number) { connections_.erase(number); }
  void reset_all() { connections_.clear(); }

  Loop& loop_;
  const SocketAddress target_;
  const std::size_t connections_max_;
  std::array<LinkEmulator, 2> ways_;  // up, down
  std::array<std::uint64_t, 2> bytes_ = {};
  Fd listening_;
  std::map<std::uint64_t, Connection> connections_;
  std::uint64_t next_number_ = 1;
  bool stalled_ = false;
  bool cut_ = false;
};

}  // namespace

struct TcpLink::Implementation {
  LinkLoop thread;
  std::unique_ptr<Forwarder> forwarder;
  std::uint16_t port = 0;
};

TcpLink::TcpLink(std::unique_ptr<Implementation> implementation) : implementation_(std::move(implementation)) {}

Result<std::unique_ptr<TcpLink>> TcpLink::start(const std::string& ip, std::uint16_t port,
                                                const TcpLinkOptions& options) {
  WAYPORT_TRY_ASSIGN(const SocketAddress target, SocketAddress::from_ip(ip, port));
  WAYPORT_TRY_ASSIGN(const LinkOptions both, stream_options({}, options.both));
  WAYPORT_TRY_ASSIGN(const LinkOptions up, stream_options(both, options.up));
  WAYPORT_TRY_ASSIGN(const LinkOptions down, stream_options(both, options.down));
  WAYPORT_TRY_ASSIGN(const SocketAddress here,
                     SocketAddress::from_ip(target.family() == AF_INET6 ? "::1" : "127.0.0.1", 0));
  WAYPORT_TRY_ASSIGN(Fd fd, tcp_socket(here));
  sockaddr_storage name{};
  const socklen_t size = here.store(name);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), size) != 0 ||
      ::listen(fd.get(), kListenBacklog) != 0) {
    return system_error(errno, "listen at " + here.to_string());
  }
  WAYPORT_TRY_ASSIGN(const SocketAddress bound, local_address(fd.get()));
  auto made = std::make_unique<Implementation>();
  made->port = bound.port();
  made->thread.run([&] {
    made->forwarder = std::make_unique<Forwarder>(made->thread.get(), target, up, down, options, std::move(fd));
  });
  return std::unique_ptr<TcpLink>(new TcpLink(std::move(made)));
}

TcpLink::~TcpLink() {
  implementation_->thread.run([this] { implementation_->forwarder.reset(); });
}

std::uint16_t TcpLink::port() const noexcept { return implementation_->port; }
Result<void> TcpLink::set(Way way, std::string_view words) {
  return implementation_->thread.run([&] { return implementation_->forwarder->set(way, words); });
}
void TcpLink::stall() {
  implementation_->thread.run([this] { implementation_->forwarder->stall(true); });
}
void TcpLink::resume() {
  implementation_->thread.run([this] { implementation_->forwarder->stall(false); });
}
void TcpLink::cut() {
  implementation_->thread.run([this] { implementation_->forwarder->cut(true); });
}
void TcpLink::restore() {
  implementation_->thread.run([this] { implementation_->forwarder->cut(false); });
}
std::size_t TcpLink::connections() const {
  return implementation_->thread.run([this] { return implementation_->forwarder->connections(); });
}
std::uint64_t TcpLink::bytes(Way way) const {
  WAYPORT_ASSERT(way != Way::both, "the bytes of one way");
  return implementation_->thread.run([&] { return implementation_->forwarder->bytes(way == Way::up ? 0 : 1); });
}

}  // namespace wayport::harness

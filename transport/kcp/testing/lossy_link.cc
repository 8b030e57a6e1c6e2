#include "wayport/transport/kcp/testing/lossy_link.h"

#include <sys/socket.h>

#include <array>
#include <utility>

namespace wayport::transport::kcp::testing {
namespace {

constexpr UdpOptions kPlain{.rcvbuf = 4u << 20, .sndbuf = 4u << 20, .offload = false};

std::shared_ptr<UdpSocket> must(Result<std::shared_ptr<UdpSocket>> made) {
  WAYPORT_ASSERT(made.has_value(), "a UDP socket on the loopback");
  return *std::move(made);
}

}  // namespace

LossyLink::Socket::Socket(LossyLink& its_link, std::shared_ptr<UdpSocket> its_udp)
    : link(its_link), udp(std::move(its_udp)) {
  WAYPORT_ASSERT(link.loop_.watch(udp->fd(), Interest::read, *this).has_value(), "epoll");
}
LossyLink::Socket::~Socket() { link.loop_.unwatch(udp->fd(), *this); }

LossyLink::LossyLink(Loop& loop, const SocketAddress& target, std::uint64_t seed)
    : loop_(loop), target_(target), random_(seed) {
  const SocketAddress here = *SocketAddress::from_ip(target.family() == AF_INET6 ? "::1" : "127.0.0.1", 0);
  listening_ = std::make_unique<Socket>(*this, must(UdpSocket::bind(here, kPlain)));
}
LossyLink::~LossyLink() = default;

void LossyLink::rebind() {
  for (auto& [name, socket] : clients_) old_.push_back(std::move(socket));
  clients_.clear();
  while (old_.size() > kClientsMax) old_.erase(old_.begin());
}

void LossyLink::on_readable(Socket& socket) {
  std::array<UdpTrain, UdpSocket::kTrainsMax> trains;
  const bool is_up = &socket == listening_.get();
  for (int i = 0; i < 4; ++i) {
    const UdpSocket::Read read = socket.udp->receive(loop_.scratch(0), trains);
    for (const UdpTrain& train : read.trains) take(is_up, is_up ? address_of(train.from) : socket.client, train.bytes);
    if (!read.more) return;
  }
}

void LossyLink::take(bool is_up, const SocketAddress& client, Bytes datagram) {
  const Direction& way = is_up ? up : down;
  Counts& counts = is_up ? up_counts : down_counts;
  ++counts.datagrams;
  counts.bytes += datagram.size();
  if ((filter && filter(is_up, datagram)) || way.cut || chance(way.loss) ||
      (way.drop_every != 0 && counts.datagrams % way.drop_every == 0)) {
    ++counts.lost;
    return;
  }
  const bool twice = chance(way.duplicate);
  if (twice) ++counts.duplicated;
  for (int copies = twice ? 2 : 1; copies > 0; --copies) {
    TimePoint due = loop_.now();
    if (way.bytes_per_second != 0) {
      TimePoint& free = free_at_[is_up ? 0 : 1];
      free = std::max(free, due);
      const double queued =
          std::chrono::duration<double>(free - due).count() * static_cast<double>(way.bytes_per_second);
      if (queued + static_cast<double>(datagram.size()) > static_cast<double>(way.queue_bytes)) {
        ++counts.overflowed;
        continue;
      }
      free += Duration(static_cast<std::int64_t>(1e9 * static_cast<double>(datagram.size()) /
                                                 static_cast<double>(way.bytes_per_second)));
      due = free;
    }
    due += way.delay;
    if (way.jitter > Duration::zero())
      due += Duration(static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(way.jitter.count())));
    if (chance(way.reorder)) {
      ++counts.reordered;
      due += way.reorder_delay;
    }
    launch(is_up, client, datagram, due);
  }
}

void LossyLink::launch(bool is_up, const SocketAddress& client, Bytes datagram, TimePoint due) {
  if (due <= loop_.now()) return forward(is_up, client, datagram);
  if (flights_.size() >= kPacketsMax) {
    ++(is_up ? up_counts : down_counts).overflowed;
    return;
  }
  flights_.push({due, ++order_, is_up, client, std::string(as_text(datagram))});
  loop_.arm(*this, flights_.top().due);
}

void LossyLink::on_timer() {
  while (!flights_.empty() && flights_.top().due <= loop_.now()) {
    const Flight& flight = flights_.top();
    forward(flight.is_up, flight.client, as_bytes(flight.bytes));
    flights_.pop();
  }
  if (!flights_.empty()) loop_.arm(*this, flights_.top().due);
}

void LossyLink::forward(bool is_up, const SocketAddress& client, Bytes datagram) {
  if (!is_up) {
    sockaddr_storage to{};
    const socklen_t size = client.store(to);
    (void)::sendto(listening_->udp->fd(), datagram.data(), datagram.size(), MSG_DONTWAIT,
                   reinterpret_cast<const sockaddr*>(&to), size);
    return;
  }
  std::unique_ptr<Socket>& socket = clients_[client.to_string()];
  if (!socket) {
    if (clients_.size() > kClientsMax) {
      clients_.erase(client.to_string());
      return;
    }
    socket = std::make_unique<Socket>(*this, must(UdpSocket::connect(target_, kPlain)));
    socket->client = client;
  }
  (void)::send(socket->udp->fd(), datagram.data(), datagram.size(), MSG_DONTWAIT);
}

}  // namespace wayport::transport::kcp::testing

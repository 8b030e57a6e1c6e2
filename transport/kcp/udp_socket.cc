#include "wayport/transport/kcp/udp_socket.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "wayport/transport/sockets.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace wayport::transport::kcp {
namespace {

constexpr std::size_t kTrainRoom = 64 * 1024;
constexpr std::size_t kSingleRoom = 2048;
constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool is_v4(const Endpoint& endpoint) noexcept {
  return std::equal(kMapped.begin(), kMapped.end(), endpoint.address.begin());
}
void set_v4(Endpoint& endpoint, const in_addr& address) noexcept {
  std::ranges::copy(kMapped, endpoint.address.begin());
  std::memcpy(endpoint.address.data() + 12, &address, 4);
}
Endpoint endpoint_of(const sockaddr_storage& address) noexcept {
  Endpoint endpoint;
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    set_v4(endpoint, v4.sin_addr);
    endpoint.port = ntohs(v4.sin_port);
  } else if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    std::memcpy(endpoint.address.data(), &v6.sin6_addr, 16);
    endpoint.port = ntohs(v6.sin6_port);
    endpoint.scope = v6.sin6_scope_id;
  }
  return endpoint;
}
// As a socket of `family` wants it.
socklen_t store(const Endpoint& endpoint, int family, sockaddr_in6& to) noexcept {
  if (family == AF_INET) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(to);
    v4 = {};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    std::memcpy(&v4.sin_addr, endpoint.address.data() + 12, 4);
    return sizeof(sockaddr_in);
  }
  to = {};
  to.sin6_family = AF_INET6;
  to.sin6_port = htons(endpoint.port);
  to.sin6_scope_id = endpoint.scope;
  std::memcpy(&to.sin6_addr, endpoint.address.data(), 16);
  return sizeof(to);
}
bool is_any(const Endpoint& endpoint) noexcept { return endpoint.address == std::array<std::uint8_t, 16>{}; }

union Control {
  cmsghdr align;
  char bytes[CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(int))];
};

template <class T>
cmsghdr* put_control(msghdr& message, cmsghdr* at, int level, int type, const T& value) noexcept {
  at->cmsg_level = level;
  at->cmsg_type = type;
  at->cmsg_len = CMSG_LEN(sizeof(T));
  std::memcpy(CMSG_DATA(at), &value, sizeof(T));
  message.msg_controllen += CMSG_SPACE(sizeof(T));
  return reinterpret_cast<cmsghdr*>(reinterpret_cast<char*>(at) + CMSG_SPACE(sizeof(T)));
}

}  // namespace

Endpoint endpoint_of(const SocketAddress& address) {
  sockaddr_storage storage{};
  address.store(storage);
  return endpoint_of(storage);
}

SocketAddress address_of(const Endpoint& endpoint) {
  sockaddr_in6 storage{};
  const socklen_t size = store(endpoint, is_v4(endpoint) ? AF_INET : AF_INET6, storage);
  return SocketAddress::from(reinterpret_cast<const sockaddr*>(&storage), size);
}

// --- the socket ---

Result<std::shared_ptr<UdpSocket>> UdpSocket::open(int family, const UdpOptions& options) {
  Fd fd(::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail(connect_error(errno, "socket"));
  std::shared_ptr<UdpSocket> socket(new UdpSocket(std::move(fd), family));
  WAYPORT_TRY(socket->set_up(options));
  return socket;
}

Result<void> UdpSocket::set_up(const UdpOptions& options) {
  WAYPORT_TRY(set_option(fd(), SOL_SOCKET, SO_RCVBUF, static_cast<int>(options.rcvbuf), "rcvbuf"));
  WAYPORT_TRY(set_option(fd(), SOL_SOCKET, SO_SNDBUF, static_cast<int>(options.sndbuf), "sndbuf"));
  const int on = 1;
  gro_ = options.offload && ::setsockopt(fd(), SOL_UDP, UDP_GRO, &on, sizeof(on)) == 0;
  gso_.store(options.offload, std::memory_order_relaxed);
  return {};
}

Result<void> UdpSocket::look_at_address() {
  wildcard_ = is_any(endpoint_of(local())) || local().ip() == "0.0.0.0";
  if (!wildcard_) return {};
  if (family_ == AF_INET6) return set_option(fd(), IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO");
  return set_option(fd(), IPPROTO_IP, IP_PKTINFO, 1, "IP_PKTINFO");
}

Result<std::shared_ptr<UdpSocket>> UdpSocket::connect(const SocketAddress& remote, const UdpOptions& options) {
  WAYPORT_TRY_ASSIGN(std::shared_ptr<UdpSocket> socket, open(remote.family(), options));
  sockaddr_storage address{};
  const socklen_t size = remote.store(address);
  if (::connect(socket->fd(), reinterpret_cast<const sockaddr*>(&address), size) != 0)
    return fail(connect_error(errno, remote.to_string()));
  socket->connected_ = true;
  return socket;
}

Result<std::shared_ptr<UdpSocket>> UdpSocket::bind(const SocketAddress& where, const UdpOptions& options) {
  WAYPORT_TRY_ASSIGN(std::shared_ptr<UdpSocket> socket, open(where.family(), options));
  if (options.reuse_port) WAYPORT_TRY(set_option(socket->fd(), SOL_SOCKET, SO_REUSEPORT, 1, "reuseport"));
  if (where.family() == AF_INET6)
    WAYPORT_TRY(set_option(socket->fd(), IPPROTO_IPV6, IPV6_V6ONLY, options.v6only ? 1 : 0, "v6only"));
  sockaddr_storage address{};
  const socklen_t size = where.store(address);
  if (::bind(socket->fd(), reinterpret_cast<const sockaddr*>(&address), size) != 0)
    return fail(system_error(errno, "bind udp " + where.to_string()));
  WAYPORT_TRY(socket->look_at_address());
  return socket;
}

Result<std::shared_ptr<UdpSocket>> UdpSocket::take(int fd, const UdpOptions& options) {
  const std::string name = "inherited descriptor " + std::to_string(fd);
  int type = 0, family = 0;
  socklen_t size = sizeof(int);
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
      ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) != 0)
    return fail(system_error(errno, name));
  if (type != SOCK_DGRAM || (family != AF_INET && family != AF_INET6))
    return fail(ErrorCode::invalid_argument, name + " is no UDP socket");
  WAYPORT_TRY(set_nonblocking(fd));
  WAYPORT_TRY(set_close_on_exec(fd));
  std::shared_ptr<UdpSocket> socket(new UdpSocket(Fd(fd), family));
  Result<void> ready = socket->set_up(options);
  if (ready) ready = socket->look_at_address();
  if (!ready) {
    socket->fd_.release();
    return fail(ready.error());
  }
  return socket;
}

Result<std::shared_ptr<UdpSocket>> UdpSocket::branch(UdpSocket& of, const SocketAddress& local,
                                                     const SocketAddress& remote, const UdpOptions& options) {
  // Only now, so that nobody else could share the port before.
  WAYPORT_TRY(set_option(of.fd(), SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT"));
  WAYPORT_TRY_ASSIGN(std::shared_ptr<UdpSocket> socket, open(local.family(), options));
  WAYPORT_TRY(set_option(socket->fd(), SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT"));
  sockaddr_storage address{};
  socklen_t size = local.store(address);
  if (::bind(socket->fd(), reinterpret_cast<const sockaddr*>(&address), size) != 0)
    return fail(system_error(errno, "bind udp " + local.to_string()));
  size = remote.store(address);
  if (::connect(socket->fd(), reinterpret_cast<const sockaddr*>(&address), size) != 0)
    return fail(connect_error(errno, remote.to_string()));
  socket->connected_ = true;
  return socket;
}

SocketAddress UdpSocket::local() const { return own_address(fd()); }

UdpSocket::Read UdpSocket::receive(MutableBytes scratch, std::span<UdpTrain, kTrainsMax> trains) {
  const std::size_t room = gro_ ? kTrainRoom : kSingleRoom;
  const std::size_t slots = std::min(kTrainsMax, scratch.size() / room);
  std::array<mmsghdr, kTrainsMax> messages;
  std::array<iovec, kTrainsMax> pieces;
  std::array<sockaddr_storage, kTrainsMax> names;
  std::array<Control, kTrainsMax> controls;
  for (std::size_t i = 0; i < slots; ++i) {
    pieces[i] = {scratch.data() + i * room, room};
    messages[i] = {};
    msghdr& header = messages[i].msg_hdr;
    header.msg_name = &names[i];
    header.msg_namelen = sizeof(names[i]);
    header.msg_iov = &pieces[i];
    header.msg_iovlen = 1;
    header.msg_control = &controls[i];
    header.msg_controllen = sizeof(controls[i]);
  }
  const int count = ::recvmmsg(fd(), messages.data(), static_cast<unsigned>(slots), MSG_DONTWAIT, nullptr);
  if (count < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {};
    return {.trains = {}, .more = true, .error = errno == EINTR ? 0 : errno, .cut = 0};
  }
  Read read;
  read.more = static_cast<std::size_t>(count) == slots;
  std::size_t filled = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    const msghdr& header = messages[i].msg_hdr;
    if ((header.msg_flags & MSG_TRUNC) != 0) {
      ++read.cut;
      continue;
    }
    if (messages[i].msg_len == 0) continue;
    UdpTrain& train = trains[filled++];
    train = {.from = endpoint_of(names[i]), .to = {}, .bytes = scratch.subspan(i * room, messages[i].msg_len)};
    train.size = train.bytes.size();
    for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr;
         control = CMSG_NXTHDR(const_cast<msghdr*>(&header), control)) {
      if (control->cmsg_level == SOL_UDP && control->cmsg_type == UDP_GRO) {
        int size = 0;
        std::memcpy(&size, CMSG_DATA(control), sizeof(size));
        if (size > 0) train.size = static_cast<std::size_t>(size);
      } else if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
        in_pktinfo info;
        std::memcpy(&info, CMSG_DATA(control), sizeof(info));
        set_v4(train.to, info.ipi_addr);
      } else if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO) {
        in6_pktinfo info;
        std::memcpy(&info, CMSG_DATA(control), sizeof(info));
        std::memcpy(train.to.address.data(), &info.ipi6_addr, 16);
      }
    }
  }
  read.trains = trains.first(filled);
  return read;
}

// --- sending ---

void UdpSender::begin(MutableBytes buffer) {
  if (blocked()) return;
  buffer_ = buffer;
  used_ = 0;
}

void UdpSender::set_path(const Endpoint& remote, const Endpoint& local) {
  if (!paths_.empty() && paths_.back().remote == remote && paths_.back().local == local) return;
  paths_.push_back({remote, local});
}

MutableBytes UdpSender::room(std::size_t size) {
  if (buffer_.size() - used_ < size && !buffer_.empty() && !blocked_now_) send();
  if (buffer_.size() - used_ < size) return {};
  return buffer_.subspan(used_, size);
}

void UdpSender::commit(std::size_t size) {
  entries_.push_back({static_cast<std::uint32_t>(used_), static_cast<std::uint32_t>(size),
                      static_cast<std::uint32_t>(paths_.size() - 1)});
  used_ += size;
}

void UdpSender::finish() {
  if (buffer_.empty()) return;
  if (!blocked_now_) send();
  if (next_ != entries_.size()) {
    // The buffer goes back; what waits is copied.
    const std::uint32_t from = entries_[next_].offset;
    kept_.assign(buffer_.begin() + from, buffer_.begin() + static_cast<std::ptrdiff_t>(used_));
    entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(next_));
    for (Entry& entry : entries_) entry.offset -= from;
    single_to_ -= std::min(single_to_, next_);
    next_ = 0;
  }
  buffer_ = {};
  used_ = 0;
}

// How many datagrams from `first` on leave as one message.
std::size_t UdpSender::train_at(std::size_t first) const noexcept {
  const Entry& head = entries_[first];
  if (first < single_to_ || !socket_->gso_.load(std::memory_order_relaxed)) return 1;
  std::size_t bytes = head.size;
  std::size_t count = 1;
  while (first + count < entries_.size() && count < kTrainDatagrams) {
    const Entry& entry = entries_[first + count];
    if (entry.path != head.path || entry.size > head.size || bytes + entry.size > kTrainBytes) break;
    bytes += entry.size;
    ++count;
    if (entry.size < head.size) break;  // only the last may be shorter
  }
  return count;
}

void UdpSender::clear() noexcept {
  entries_.clear();
  next_ = 0;
  single_to_ = 0;
  used_ = 0;
  blocked_now_ = false;
  if (paths_.size() > 1) paths_.erase(paths_.begin(), paths_.end() - 1);
  kept_ = {};
}

void UdpSender::send() {
  std::byte* const base = buffer_.empty() ? kept_.data() : buffer_.data();
  std::array<mmsghdr, kMessages> messages;
  std::array<iovec, kMessages> pieces;
  std::array<sockaddr_in6, kMessages> names;
  std::array<Control, kMessages> controls;
  std::array<std::size_t, kMessages> counts;
  blocked_now_ = false;
  while (next_ != entries_.size()) {
    std::size_t filled = 0;
    for (std::size_t at = next_; at != entries_.size() && filled < kMessages; ++filled) {
      const std::size_t count = counts[filled] = train_at(at);
      const Entry& head = entries_[at];
      const Entry& last = entries_[at + count - 1];
      const Path& path = paths_[head.path];
      pieces[filled] = {base + head.offset, last.offset + last.size - head.offset};
      messages[filled] = {};
      msghdr& message = messages[filled].msg_hdr;
      message.msg_iov = &pieces[filled];
      message.msg_iovlen = 1;
      if (!socket_->connected_) {
        message.msg_namelen = store(path.remote, socket_->family_, names[filled]);
        message.msg_name = &names[filled];
      }
      message.msg_control = &controls[filled];
      controls[filled] = {};
      cmsghdr* control = &controls[filled].align;
      if (count > 1)
        control = put_control(message, control, SOL_UDP, UDP_SEGMENT, static_cast<std::uint16_t>(head.size));
      if (!is_any(path.local)) {
        if (socket_->family_ == AF_INET6) {
          in6_pktinfo info{};
          std::memcpy(&info.ipi6_addr, path.local.address.data(), 16);
          put_control(message, control, IPPROTO_IPV6, IPV6_PKTINFO, info);
        } else {
          in_pktinfo info{};
          std::memcpy(&info.ipi_spec_dst, path.local.address.data() + 12, 4);
          put_control(message, control, IPPROTO_IP, IP_PKTINFO, info);
        }
      }
      if (message.msg_controllen == 0) message.msg_control = nullptr;
      at += count;
    }
    counters_.send_calls.add();
    const int sent = ::sendmmsg(socket_->fd(), messages.data(), static_cast<unsigned>(filled), MSG_DONTWAIT);
    if (sent > 0) {
      for (std::size_t i = 0; i < static_cast<std::size_t>(sent); ++i) next_ += counts[i];
      continue;
    }
    switch (errno) {
      case EINTR:
        continue;
      case EAGAIN:
#if EWOULDBLOCK != EAGAIN
      case EWOULDBLOCK:
#endif
        counters_.send_blocked.add();
        blocked_now_ = true;
        return;
      case ECONNREFUSED:
        // What the peer's host has said before; this datagram was not tried.
        if (!std::exchange(refused_, true)) continue;
        break;
      case EINVAL:    // also: larger than the path's MTU, which says nothing about other peers
      case EMSGSIZE:  // the same
        if (counts[0] > 1) {
          counters_.gso_refused.add();
          single_to_ = next_ + counts[0];
          continue;
        }
        break;
      case EIO:
      case EOPNOTSUPP:
      case ENOPROTOOPT:
        if (counts[0] > 1) {
          counters_.gso_refused.add();
          socket_->gso_.store(false, std::memory_order_relaxed);
          continue;
        }
        break;
      default:
        break;
    }
    // As if it were lost on its way.
    counters_.send_errors.add();
    next_ += counts[0];
  }
  clear();
}

}  // namespace wayport::transport::kcp

#include "wayport/integration/emulator/carrier.h"

#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iostream>

namespace wayport::emulator {
namespace {

constexpr std::size_t kPacketBytesMax = 65536;
constexpr int kSides = 2;

Result<Fd> unix_socket(const SocketAddress& address, bool listening,
                       std::chrono::milliseconds patience = kControlPatience) {
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (listening ? SOCK_NONBLOCK : 0), 0));
  if (!fd) return system_error(errno, "a unix socket");
  if (!listening) {
    timeval limit{};
    limit.tv_sec = std::chrono::floor<std::chrono::seconds>(patience).count();
    limit.tv_usec = std::chrono::microseconds(patience % std::chrono::seconds(1)).count();
    for (const int direction : {SO_RCVTIMEO, SO_SNDTIMEO}) {
      if (::setsockopt(fd.get(), SOL_SOCKET, direction, &limit, sizeof(limit)) != 0) {
        return system_error(errno, "bound the time of a unix socket");
      }
    }
  }
  sockaddr_storage to{};
  const socklen_t size = address.store(to);
  const auto* const name = reinterpret_cast<const sockaddr*>(&to);
  if (listening ? ::bind(fd.get(), name, size) != 0 || ::listen(fd.get(), 16) != 0
                : ::connect(fd.get(), name, size) != 0) {
    return system_error(errno,
                        (listening ? "listen for control at " : "reach the link emulator at ") + address.to_string());
  }
  return fd;
}

// Nobody listens at the socket of a process that has ended. Whatever else is at the path is not this program's to remove.
Result<void> remove_dead_socket(const std::string& path, const SocketAddress& where) {
  const auto in_the_way = [&path](std::string_view why) {
    return fail(ErrorCode::refused, "cannot listen for control at " + escape(path) + ": " + std::string(why));
  };
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return system_error(errno, "look at " + escape(path));
  }
  if (!S_ISSOCK(status.st_mode)) return in_the_way("there is a file that is no socket");
  if (status.st_uid != ::geteuid()) return in_the_way("there is a socket of another user");
  const Result<Fd> probe = unix_socket(where, false);
  if (probe || probe.error().cause != std::errc::connection_refused) return in_the_way("another process listens there");
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return system_error(errno, "remove " + escape(path));
  return {};
}

// Names that begin with @ have no owner and no mode, so the peer is asked who it is.
bool may_control(const Fd& peer) {
  ucred who{};
  socklen_t size = sizeof(who);
  if (::getsockopt(peer.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return false;
  return who.uid == 0 || who.uid == ::geteuid();
}

}  // namespace

Result<ControlSocket> ControlSocket::listen(const std::string& address) {
  WAYPORT_TRY_ASSIGN(const SocketAddress where, SocketAddress::from_unix(address));
  const bool is_file = !address.starts_with('@');
  if (is_file) WAYPORT_TRY(remove_dead_socket(address, where));
  ControlSocket socket;
  WAYPORT_TRY_ASSIGN(socket.fd_, unix_socket(where, true));
  if (is_file) socket.path_ = address;
  return socket;
}
ControlSocket::~ControlSocket() {
  if (fd_ && !path_.empty()) ::unlink(path_.c_str());
}

Result<std::string> ask_control(const std::string& address, const std::string& line,
                                std::chrono::milliseconds patience) {
  WAYPORT_TRY_ASSIGN(const SocketAddress where, SocketAddress::from_unix(address));
  WAYPORT_TRY_ASSIGN(const Fd fd, unix_socket(where, false, patience));
  const std::string request = line + "\n";
  if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
    return system_error(errno, "speak to the link emulator at " + address);
  }
  std::string answer;
  char buffer[4096];
  while (!answer.ends_with('\n')) {
    const ssize_t size = ::recv(fd.get(), buffer, sizeof(buffer), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) {
      return fail(ErrorCode::timed_out, "the link emulator at " + address + " gave no answer in " +
                                            std::to_string(patience.count()) + " ms (--patience)");
    }
    if (size <= 0) return fail(ErrorCode::peer_closed, "the link emulator at " + address + " gave no answer");
    answer.append(buffer, static_cast<std::size_t>(size));
  }
  answer.pop_back();
  return answer;
}

Carrier::Carrier(Plumbing& plumbing, ControlSocket& control, int signals, const CarrierOptions& options)
    : plumbing_(plumbing),
      control_(control),
      signals_(signals),
      // Seeds of the two directions that no other seed gives to either.
      directions_{Direction{LinkEmulator(options.link[0], 2 * options.seed)},
                  Direction{LinkEmulator(options.link[1], 2 * options.seed + 1)}},
      line_control_(directions_[0].link, directions_[1].link, options.names,
                    [this](std::size_t side) { return more_counts(side); }),
      packet_(kPacketBytesMax) {}

MoreCounts Carrier::more_counts(std::size_t side) {
  return {{"ignored", directions_[side].ignored},
          {"write_failed", directions_[side].write_failed},
          {"device_dropped", plumbing_.device_dropped(side)}};
}

Result<void> Carrier::run() {
  std::vector<pollfd> waiting;
  for (;;) {
    waiting.clear();
    for (std::size_t side = 0; side < kSides; ++side) waiting.push_back({plumbing_.fd(side), POLLIN, 0});
    waiting.push_back({signals_, POLLIN, 0});
    waiting.push_back({control_.fd(), POLLIN, 0});
    waiting.push_back({plumbing_.watch_fd(), POLLIN, 0});  // poll() passes over -1
    for (const Connection& connection : connections_) waiting.push_back({connection.fd.get(), POLLIN, 0});

    const TimePoint next = std::min(directions_[0].link.next_event(), directions_[1].link.next_event());
    timespec limit{};
    if (next != kNever) {
      const Duration left = std::max(Duration::zero(), next - clock_.now());
      limit.tv_sec = static_cast<time_t>(left.count() / 1'000'000'000);
      limit.tv_nsec = static_cast<long>(left.count() % 1'000'000'000);
    }
    if (::ppoll(waiting.data(), waiting.size(), next == kNever ? nullptr : &limit, nullptr) < 0 && errno != EINTR) {
      return system_error(errno, "wait for packets");
    }
    const auto ready = [&waiting](std::size_t at) { return waiting[at].revents != 0; };
    if (ready(2)) return {};
    for (std::size_t side = 0; side < kSides; ++side) {
      if (ready(side)) WAYPORT_TRY(read_packets(side));
      write_packets(side);
    }
    if (ready(4)) {
      // What vanished while it was looked at is told of once more.
      if (const Result<void> followed = plumbing_.follow(); !followed) {
        std::cerr << "warning: " << followed.error().to_string() << std::endl;
      }
    }
    for (std::size_t i = connections_.size(); i-- > 0;) {
      if (ready(5 + i) && !serve(connections_[i]))
        connections_.erase(connections_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    if (ready(3)) accept_connections();
  }
}

Result<void> Carrier::read_packets(std::size_t side) {
  for (std::size_t i = 0; i < kPacketsPerTurnMax; ++i) {
    const ssize_t size = ::read(plumbing_.fd(side), packet_.data(), packet_.size());
    if (size < 0 && errno != EAGAIN && errno != EINTR) {
      return system_error(errno, "read from a device of the link (was it removed?)");
    }
    if (size <= 0) return {};
    const Bytes packet = Bytes(packet_).first(static_cast<std::size_t>(size));
    if (!plumbing_.carries(packet)) {
      ++directions_[side].ignored;
      continue;
    }
    directions_[side].link.handle_packet(clock_.now(), packet);
  }
  return {};
}

void Carrier::write_packets(std::size_t side) {
  const int to = plumbing_.fd(1 - side);
  const TimePoint now = clock_.now();
  while (const std::optional<LinkPacket> packet = directions_[side].link.poll_packet(now)) {
    if (::write(to, packet->bytes.data(), packet->bytes.size()) < 0) ++directions_[side].write_failed;
  }
}

void Carrier::accept_connections() {
  for (;;) {
    Fd fd(::accept4(control_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    if (!may_control(fd)) {
      constexpr std::string_view kRefused =
          "error: only root and the user whom the link emulator runs as may control it\n";
      (void)::send(fd.get(), kRefused.data(), kRefused.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      continue;
    }
    if (connections_.size() == kConnectionsMax) connections_.erase(connections_.begin());
    connections_.push_back({std::move(fd), {}});
  }
}

bool Carrier::serve(Connection& connection) {
  char buffer[LinkControl::kLineBytesMax];
  const ssize_t size = ::recv(connection.fd.get(), buffer, sizeof(buffer), 0);
  if (size <= 0) return size < 0 && (errno == EAGAIN || errno == EINTR);
  connection.line.append(buffer, static_cast<std::size_t>(size));
  for (std::size_t end; (end = connection.line.find('\n')) != std::string::npos; connection.line.erase(0, end + 1)) {
    const std::string answer =
        line_control_.handle_line(clock_.now(), std::string_view(connection.line).substr(0, end)) + "\n";
    // Who does not read its answers is let go.
    if (::send(connection.fd.get(), answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT) !=
        static_cast<ssize_t>(answer.size())) {
      return false;
    }
  }
  return connection.line.size() <= LinkControl::kLineBytesMax;
}

}  // namespace wayport::emulator

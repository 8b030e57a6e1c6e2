#include "wayport/transport/inherited.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "wayport/base/bytes.h"
#include "wayport/transport/resolver.h"
#include "wayport/transport/sockets.h"

namespace wayport::transport {
namespace {

constexpr const char* kFds = "LISTEN_FDS";
constexpr const char* kPid = "LISTEN_PID";
constexpr const char* kNames = "LISTEN_FDNAMES";

std::unexpected<Error> bad(const char* variable, std::string_view value, std::string_view why) {
  return fail(ErrorCode::invalid_argument,
              std::string(variable) + "=\"" + escape(value) + "\": " + std::string(why) + " (sd_listen_fds(3))");
}

// Decimal digits only.
std::optional<unsigned long> number(std::string_view text) {
  unsigned long value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is_of_type(int fd, int wanted) {
  int type = 0;
  socklen_t size = sizeof(int);
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == wanted;
}

bool listens(int fd) {
  int listening = 0;
  socklen_t size = sizeof(int);
  return is_of_type(fd, SOCK_STREAM) && ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 &&
         listening != 0;
}

// Of udp, bound: what kcp listens on.
bool takes_datagrams(int fd) { return is_of_type(fd, SOCK_DGRAM); }

bool is_place_of(const SocketAddress& socket, const Address& address) {
  if (address.layers().back() == "unix") return socket.family() == AF_UNIX && socket.to_string() == address.path();
  if (socket.family() != AF_INET && socket.family() != AF_INET6) return false;
  const std::uint16_t port = address.port() == 0 ? socket.port() : address.port();
  std::vector<SocketAddress> places;
  if (address.host().empty()) {
    places = resolve_literally("::", port);
    places.push_back(resolve_literally("0.0.0.0", port).front());
  } else {
    places = resolve_literally(address.host(), port);
    if (places.empty()) places = resolve_from_hosts_file(address.host(), port);
  }
  return std::ranges::find(places, socket) != places.end();
}

}  // namespace

Result<std::vector<std::string>> InheritedSockets::parse(const char* fds, const char* pid, const char* names,
                                                         pid_t own_pid) {
  std::vector<std::string> result;
  if (!fds) return result;
  if (!pid) return bad(kFds, fds, "is set, but LISTEN_PID is not");
  const auto whose = number(pid);
  if (!whose || *whose == 0) return bad(kPid, pid, "is no process id");
  // They were meant for an ancestor that forgot to unset them.
  if (*whose != static_cast<unsigned long>(own_pid)) return result;
  const auto count = number(fds);
  if (!count || *count > kMax) return bad(kFds, fds, "is no number of sockets, which is 0 to " + std::to_string(kMax));
  result.assign(*count, "unknown");
  if (!names || *count == 0) return result;
  std::size_t index = 0;
  for (std::string_view rest = names;;) {
    const std::size_t colon = rest.find(':');
    const std::string_view name = rest.substr(0, colon);
    if (name.size() > kNameMax) return bad(kNames, name, "has more than " + std::to_string(kNameMax) + " bytes");
    if (index == *count) return bad(kNames, names, "has more names than there are sockets");
    if (!name.empty()) result[index] = name;
    ++index;
    if (colon == std::string_view::npos) break;
    rest.remove_prefix(colon + 1);
  }
  if (index != *count) return bad(kNames, names, "has fewer names than there are sockets");
  return result;
}

Result<InheritedSockets> InheritedSockets::from_environment() {
  const Result<std::vector<std::string>> names =
      parse(std::getenv(kFds), std::getenv(kPid), std::getenv(kNames), ::getpid());
  for (const char* const variable : {kFds, kPid, kNames}) ::unsetenv(variable);
  if (!names) return fail(names.error());
  InheritedSockets all;
  for (std::size_t i = 0; i < names->size(); ++i) {
    const int fd = kFirst + static_cast<int>(i);
    if (Result<void> done = set_close_on_exec(fd); !done) {
      return fail(ErrorCode::invalid_argument, std::string(kFds) + " says " + std::to_string(names->size()) +
                                                   ", but descriptor " + std::to_string(fd) +
                                                   " is not open: " + done.error().to_string());
    }
    all.waiting_.push_back({Fd(fd), (*names)[i]});
  }
  return all;
}

std::optional<InheritedSockets::Taken> InheritedSockets::take(const Address& address) {
  if (waiting_.empty() || address.layers().empty()) return std::nullopt;
  const bool datagrams = address.layers().back() == "kcp";
  const auto found = std::ranges::find_if(waiting_, [&](const Waiting& socket) {
    return (datagrams ? takes_datagrams(socket.fd.get()) : listens(socket.fd.get())) &&
           is_place_of(own_address(socket.fd.get()), address);
  });
  if (found == waiting_.end()) return std::nullopt;
  Waiting socket = std::move(*found);
  waiting_.erase(found);
  const int fd = socket.fd.release();
  const bool keep_file = socket.name != kOwnName;
  taken_[fd] = std::move(socket.name);
  return Taken{fd, keep_file};
}

std::string InheritedSockets::name_of(int fd) const {
  const auto found = taken_.find(fd);
  return found == taken_.end() ? std::string(kOwnName) : found->second;
}

std::vector<std::string> InheritedSockets::unused() const {
  std::vector<std::string> lines;
  for (const Waiting& socket : waiting_) {
    const int fd = socket.fd.get();
    const std::string at = own_address(fd).to_string();
    lines.push_back("descriptor " + std::to_string(fd) + " (" + escape(socket.name) + ") " +
                    (listens(fd) || takes_datagrams(fd)
                         ? "listens on " + escape(at) + ", which is not among the listen addresses"
                         : "is no listening socket"));
  }
  return lines;
}

}  // namespace wayport::transport

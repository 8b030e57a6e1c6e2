#include "wayport/tools/bench/raw_echo.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <system_error>
#include <utility>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/tools/bench/raw_socket.h"

namespace wayport::tools {
namespace {

constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::size_t kLengthBytes = 4;

// Frames in, bytes out, on a non-blocking socket.
class Connection {
 public:
  explicit Connection(Fd fd) : fd_(std::move(fd)), in_(kReadBytes) {
    check(set_nonblocking(fd_.get()).has_value(), "fcntl");
  }

  int fd() const noexcept { return fd_.get(); }
  bool blocked() const noexcept { return out_.blocked(); }

  // One read, then `on_frame(Bytes payload)` for each whole frame; with `preamble`, four bytes come first. False at the
  // end.
  template <class OnFrame>
  bool receive(OnFrame&& on_frame) {
    const ssize_t size = ::recv(fd(), in_.data() + kept_, in_.size() - kept_, 0);
    if (size <= 0) return size < 0 && (errno == EAGAIN || errno == EINTR);
    const std::size_t end = kept_ + static_cast<std::size_t>(size);
    std::size_t at = 0;
    while (end - at >= kLengthBytes) {
      const std::size_t length = load_be<std::uint32_t>(in_.data() + at);
      if (end - at - kLengthBytes < length) break;
      on_frame(Bytes(in_.data() + at + kLengthBytes, length));
      at += kLengthBytes + length;
    }
    kept_ = end - at;
    if (at != 0 && kept_ != 0) std::memmove(in_.data(), in_.data() + at, kept_);
    return true;
  }

  // A frame of `size` bytes that begins with `payload`, cut or filled up.
  void append_frame(std::size_t size, Bytes payload) {
    std::byte* const at = out_.append(size);
    store_be(at, static_cast<std::uint32_t>(size - kLengthBytes));
    std::memcpy(at + kLengthBytes, payload.data(), std::min(payload.size(), size - kLengthBytes));
  }

  // One write. False if the connection is broken.
  bool flush() { return out_.flush(fd()); }

 private:
  Fd fd_;
  std::vector<std::byte> in_;
  std::size_t kept_ = 0;
  RawOutput out_;
};

struct ServedConnection {
  explicit ServedConnection(Fd fd) : connection(std::move(fd)) {}
  Connection connection;
  std::size_t reply_bytes = 0;  // 0: not yet told
};

// False when it is over.
bool serve_connection(ServedConnection& served, std::uint32_t events, Poll& poll) {
  Connection& connection = served.connection;
  const bool was_blocked = connection.blocked();
  if (events & ~static_cast<std::uint32_t>(EPOLLOUT)) {
    const auto answer = [&](Bytes payload) { connection.append_frame(served.reply_bytes, payload); };
    if (!connection.receive(answer)) return false;
  }
  if (!connection.flush()) return false;
  if (connection.blocked() != was_blocked) poll.want_output(connection.fd(), connection.blocked());
  return true;
}

// Blocks until the preamble is there.
std::size_t read_reply_bytes(int fd) {
  std::byte size[kLengthBytes];
  if (::recv(fd, size, sizeof(size), MSG_WAITALL) != static_cast<ssize_t>(sizeof(size))) return 0;
  return load_be<std::uint32_t>(size);
}

class RawClient final : public LoadClient {
 public:
  RawClient(Fd fd, std::size_t request_bytes, std::size_t reply_bytes)
      : connection_(std::move(fd)), request_bytes_(request_bytes), reply_bytes_(reply_bytes) {
    poll_.add(connection_.fd());
    poll_.add(timer_.fd());
  }

  std::size_t request_bytes() const override { return request_bytes_; }
  std::size_t reply_bytes() const override { return reply_bytes_; }

  Result<Round> run(const Load& load) override {
    Pacer pacer(load, now_ns());
    const auto send = [this](std::uint64_t due) {
      std::byte number[8];
      store_be(number, next_number_++);
      connection_.append_frame(request_bytes_, number);
      dues_.push_back(due);
    };
    const auto on_reply = [&](Bytes payload) {
      const std::uint64_t number = payload.size() >= 8 ? load_be<std::uint64_t>(payload.data()) : 0;
      const bool right = number == expected_number_++ && payload.size() + kLengthBytes == reply_bytes_;
      const std::uint64_t due = dues_.front();
      dues_.pop_front();
      pacer.reply(due, right, number, send);
    };
    pacer.send_due(now_ns(), send);
    while (true) {
      if (pacer.done()) return pacer.finish();
      if (pacer.open() && !pacer.all_sent()) {
        pacer.send_due(now_ns(), send);
        if (!pacer.all_sent()) timer_.arm(pacer.next_due());
      }
      const bool was_blocked = connection_.blocked();
      if (!connection_.flush()) return fail(ErrorCode::peer_closed, "the raw echo ended");
      if (connection_.blocked() != was_blocked) poll_.want_output(connection_.fd(), connection_.blocked());
      const std::span<const epoll_event> ready = poll_.wait(kRawPatienceMs);
      if (ready.empty()) return fail(ErrorCode::timed_out, "the raw echo owes a reply");
      for (const epoll_event& event : ready) {
        if (event.data.fd == timer_.fd()) {
          timer_.clear();
        } else if ((event.events & EPOLLIN) && !connection_.receive(on_reply)) {
          return fail(ErrorCode::peer_closed, "the raw echo ended");
        }
      }
    }
  }

 private:
  Poll poll_;
  PaceTimer timer_;
  Connection connection_;
  const std::size_t request_bytes_;
  const std::size_t reply_bytes_;
  std::uint64_t next_number_ = 0;
  std::uint64_t expected_number_ = 0;
  std::deque<std::uint64_t> dues_;
};

}  // namespace

RawEchoServer::RawEchoServer(const std::string& unix_name)
    : tcp_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      unix_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  check(tcp_ && unix_ && stop_, "socket");
  tune_tcp(tcp_.get());
  const auto listen_at = [](int fd, const Result<SocketAddress>& where) {
    if (!where) throw std::runtime_error(where.error().to_string());
    sockaddr_storage address{};
    const socklen_t size = where->store(address);
    check(::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0 && ::listen(fd, 16) == 0, "bind");
  };
  listen_at(tcp_.get(), SocketAddress::from_ip("127.0.0.1", 0));
  listen_at(unix_.get(), SocketAddress::from_unix("@" + unix_name));
  const Result<SocketAddress> bound = local_address(tcp_.get());
  if (!bound) throw std::runtime_error(bound.error().to_string());
  port_ = bound->port();
  thread_ = std::thread([this] { serve(); });
}

RawEchoServer::~RawEchoServer() {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(stop_.get(), &one, sizeof(one)));
  thread_.join();
}

void RawEchoServer::serve() {
  Poll poll;
  poll.add(tcp_.get());
  poll.add(unix_.get());
  poll.add(stop_.get());
  std::map<int, ServedConnection> connections;
  while (true) {
    for (const epoll_event& event : poll.wait()) {
      const int fd = event.data.fd;
      if (fd == stop_.get()) return;
      if (fd == tcp_.get() || fd == unix_.get()) {
        Fd accepted(::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC));
        const std::size_t reply_bytes = accepted ? read_reply_bytes(accepted.get()) : 0;
        if (reply_bytes < kRawFrameBytesMin) continue;
        const int number = accepted.get();
        connections.try_emplace(number, std::move(accepted)).first->second.reply_bytes = reply_bytes;
        poll.add(number);
        continue;
      }
      const auto found = connections.find(fd);
      if (found != connections.end() && !serve_connection(found->second, event.events, poll)) connections.erase(found);
    }
  }
}

Result<std::unique_ptr<LoadClient>> connect_raw_echo(const std::string& where, std::size_t request_bytes,
                                                     std::size_t reply_bytes) {
  if (std::min(request_bytes, reply_bytes) < kRawFrameBytesMin) {
    return fail(ErrorCode::invalid_argument, "frames of the raw echo have at least 12 bytes");
  }
  const bool is_unix = where.starts_with('@');
  const int port = is_unix ? 0 : std::stoi(where);
  WAYPORT_TRY_ASSIGN(const SocketAddress to,
                     is_unix ? SocketAddress::from_unix(where)
                             : SocketAddress::from_ip("127.0.0.1", static_cast<std::uint16_t>(port)));
  Fd fd(::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail(system_error(errno, "socket"));
  if (!is_unix) tune_tcp(fd.get());
  sockaddr_storage address{};
  const socklen_t size = to.store(address);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) {
    return fail(system_error(errno, "connect to the raw echo at " + where));
  }
  std::byte preamble[kLengthBytes];
  store_be(preamble, static_cast<std::uint32_t>(reply_bytes));
  if (::send(fd.get(), preamble, sizeof(preamble), MSG_NOSIGNAL) != static_cast<ssize_t>(sizeof(preamble))) {
    return fail(system_error(errno, "send to the raw echo"));
  }
  return std::make_unique<RawClient>(std::move(fd), request_bytes, reply_bytes);
}

std::unique_ptr<LoadClient> raw_frames_client(Fd fd, std::size_t frame_bytes) {
  return std::make_unique<RawClient>(std::move(fd), frame_bytes, frame_bytes);
}

}  // namespace wayport::tools

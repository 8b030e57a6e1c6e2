#include "wayport/transport/unix/unix_transport.h"

#include <sys/socket.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/transport/fd_stream.h"
#include "wayport/transport/parameters.h"
#include "wayport/transport/socket_listener.h"
#include "wayport/transport/sockets.h"
#include "wayport/transport/unix/unix_path.h"

namespace wayport::transport {
namespace {

constexpr std::uint32_t kDefaultMode = 0600;
constexpr Duration kRetry = std::chrono::milliseconds(10);

Result<PeerInfo> peer_of(int fd, const SocketAddress& remote) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return fail(system_error(errno, "credentials of the peer"));
  }
  PeerInfo peer;
  peer.scheme = "unix";
  peer.remote = remote;
  peer.local = own_address(fd);
  peer.unix_peer = UnixPeer{credentials.pid, credentials.uid, credentials.gid};
  return peer;
}

Result<void> check_place(const Address& address) {
  if (address.layers().size() == 1) return {};
  return fail(ErrorCode::unsupported, "unix has nothing below it: " + address.to_log());
}

// Connecting is immediate, but for a full backlog: that is asked again until the time is over.
class UnixDial final : public Dial, private Timer, private TurnEnd {
 public:
  UnixDial(Loop& loop, const Address& address, SocketAddress where, const DialOptions& options, OnDialed on_done)
      : loop_(loop), url_(address.to_log()), where_(std::move(where)), options_(options), on_done_(std::move(on_done)) {
    if (options.timeout > Duration::zero()) deadline_ = after(loop.now(), options.timeout);
  }

  void connect() {
    Result<Fd> fd = open_stream_socket(AF_UNIX);
    if (!fd) return finish(fail(std::move(fd.error())));
    sockaddr_storage address{};
    const socklen_t size = where_.store(address);
    if (::connect(fd->get(), reinterpret_cast<const sockaddr*>(&address), size) == 0) {
      Result<PeerInfo> peer = peer_of(fd->get(), where_);
      if (!peer) return finish(fail(std::move(peer.error())));
      return finish(make_fd_stream(loop_, *std::move(fd), *std::move(peer), options_.stream));
    }
    if (errno != EAGAIN) return finish(fail(connect_error(errno, "cannot connect to " + url_)));
    if (loop_.now() >= deadline_) {
      return finish(fail(ErrorCode::timed_out,
                         "no place in the backlog of " + url_ + " within " + format_duration(options_.timeout)));
    }
    loop_.arm(*this, std::min(loop_.now() + kRetry, deadline_));
  }

 private:
  void on_timer() override { connect(); }
  void finish(Result<std::unique_ptr<Stream>> result) {
    result_.emplace(std::move(result));
    loop_.at_turn_end(*this);
  }
  void on_turn_end() override {
    OnDialed on_done = std::move(on_done_);
    auto result = *std::move(result_);
    on_done(std::move(result));  // `this` may be gone
  }

  Loop& loop_;
  const std::string url_;
  const SocketAddress where_;
  const DialOptions options_;
  OnDialed on_done_;
  TimePoint deadline_ = kNever;
  std::optional<Result<std::unique_ptr<Stream>>> result_;
};

Result<SocketAddress> check_dial(const Address& address) {
  WAYPORT_TRY(check_place(address));
  WAYPORT_TRY(address.check_parameters({}));
  return SocketAddress::from_unix(address.path());
}

Result<Fd> open_listening(const Address& address, std::uint32_t mode, const ListenOptions& options) {
  if (options.inherited_fd >= 0) {
    const std::string path = own_address(options.inherited_fd).to_string();
    WAYPORT_TRY_ASSIGN(Fd fd, take_listening_socket(options.inherited_fd, {AF_UNIX}));
    if (path != address.path()) {
      fd.release();
      return fail(ErrorCode::invalid_argument, "inherited descriptor " + std::to_string(options.inherited_fd) +
                                                   " listens on " + escape(path) + ", not on " + address.to_log());
    }
    return fd;
  }
  if (address.is_abstract_unix()) return listen_on_abstract(address.path(), options.backlog);
  return listen_on_path(address.path(), mode, options.backlog);
}

// Adds the file to a socket listener.
class UnixListener final : public Listener {
 public:
  UnixListener(Loop& loop, Fd fd, const Address& address, const ListenOptions& options)
      : path_(address.path()),
        file_(options.keep_socket_file ? std::nullopt : socket_file(path_)),
        handed_over_(options.inherited_fd >= 0),
        sockets_(std::make_unique<SocketListener>(loop, std::move(fd), address, options, peer_of)) {}
  ~UnixListener() override { unlink_file(); }

  void start(OnIncoming on_incoming) override { sockets_->start(std::move(on_incoming)); }
  void pause(bool paused) override { sockets_->pause(paused); }
  const Address& address() const noexcept override { return sockets_->address(); }
  std::vector<int> inheritable_fds() const override {
    handed_over_ = true;
    return sockets_->inheritable_fds();
  }
  void take_back() override {
    handed_over_ = false;
    sockets_->take_back();
  }
  void finish(std::move_only_function<void()> done) override {
    unlink_file();  // first: then nobody can come after the queue was emptied
    sockets_->finish(std::move(done));
  }

 private:
  void unlink_file() noexcept {
    if (file_ && !handed_over_) unlink_if_same(path_, *file_);
    file_.reset();
  }

  const std::string path_;
  std::optional<FileIdentity> file_;
  mutable bool handed_over_;  // from the start if it is inherited: the predecessor may still need the file
  const std::unique_ptr<SocketListener> sockets_;
};

}  // namespace

std::unique_ptr<Dial> UnixTransport::dial(const Transports&, Loop& loop, const Address& address,
                                          const DialOptions& options, OnDialed on_done) const {
  Result<SocketAddress> where = check_dial(address);
  if (!where) return failed_dial(loop, std::move(where.error()), std::move(on_done));
  auto dial = std::make_unique<UnixDial>(loop, address, *std::move(where), options, std::move(on_done));
  dial->connect();
  return dial;
}

Result<std::unique_ptr<Listener>> UnixTransport::listen(const Transports&, Loop& loop, const Address& address,
                                                        const ListenOptions& options) const {
  WAYPORT_TRY(check_place(address));
  WAYPORT_TRY(address.check_parameters({"mode"}));
  WAYPORT_TRY_ASSIGN(const auto mode, octal_parameter(address, "mode", 0777));
  if (mode && address.is_abstract_unix()) return bad_parameter(address, "mode", "means nothing for an abstract name");
  WAYPORT_TRY_ASSIGN(Fd fd, open_listening(address, mode.value_or(kDefaultMode), options));
  return std::make_unique<UnixListener>(loop, std::move(fd), address, options);
}

}  // namespace wayport::transport

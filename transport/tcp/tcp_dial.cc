#include "wayport/transport/tcp/tcp_dial.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "wayport/transport/fd_stream.h"
#include "wayport/transport/sockets.h"

namespace wayport::transport {
namespace {

class TcpDial final : public Dial, private TurnEnd {
 public:
  TcpDial(Loop& loop, const Address& address, const TcpOptions& tcp, const DialOptions& options, OnDialed on_done)
      : loop_(loop), url_(address.to_log()), tcp_(tcp), options_(options), on_done_(std::move(on_done)) {}

  void begin(const Address& address, const ResolverOptions& resolver) {
    if (options_.timeout > Duration::zero()) loop_.arm(deadline_, after(loop_.now(), options_.timeout));
    addresses_ = resolve_literally(address.host(), address.port());
    if (!addresses_.empty()) return try_next();
    lookup_ =
        resolve(loop_, resolver, address.host(), address.port(), [this](Result<std::vector<SocketAddress>> found) {
          if (!found) return finish(fail(std::move(found.error())));
          addresses_ = *std::move(found);
          try_next();
        });
  }

 private:
  struct Attempt final : FdEvents {
    Attempt(TcpDial& owner, Fd socket, const SocketAddress& to) : dial(owner), fd(std::move(socket)), remote(to) {}
    ~Attempt() {
      if (watched) dial.loop_.unwatch(fd.get(), *this);
    }
    void on_fd(std::uint32_t) override { dial.handle_ready(*this); }  // `this` may be gone

    TcpDial& dial;
    Fd fd;
    SocketAddress remote;
    bool watched = false;
  };
  struct Stagger final : Timer {
    explicit Stagger(TcpDial& owner) : dial(owner) {}
    void on_timer() override { dial.try_next(); }
    TcpDial& dial;
  };
  struct Deadline final : Timer {
    explicit Deadline(TcpDial& owner) : dial(owner) {}
    void on_timer() override { dial.handle_deadline(); }
    TcpDial& dial;
  };

  void try_next() {
    if (result_) return;
    while (next_ < addresses_.size()) {
      const SocketAddress& remote = addresses_[next_++];
      const int error = try_one(remote);
      if (error == EINPROGRESS) break;
      if (error == 0) return;
    }
    if (result_) return;
    if (attempts_.empty()) {
      finish(fail(all_failed()));
    } else if (next_ < addresses_.size()) {
      loop_.arm(stagger_, loop_.now() + kConnectStagger);
    }
  }

  // EINPROGRESS, 0 (connected), or why not; the reason is noted.
  int try_one(const SocketAddress& remote) {
    Result<Fd> fd = open_stream_socket(remote.family());
    if (!fd) return note(fd.error());
    if (Result<void> set = tcp_.apply(fd->get()); !set) return note(set.error());
    sockaddr_storage address{};
    const socklen_t size = remote.store(address);
    auto attempt = std::make_unique<Attempt>(*this, *std::move(fd), remote);
    if (::connect(attempt->fd.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0) {
      succeed(*attempt);
      return 0;
    }
    if (errno != EINPROGRESS) return note(connect_error(errno, remote.to_string()));
    if (Result<void> watch = loop_.watch(attempt->fd.get(), Interest::write, *attempt); !watch) {
      return note(watch.error());
    }
    attempt->watched = true;
    attempts_.push_back(std::move(attempt));
    return EINPROGRESS;
  }

  void handle_ready(Attempt& attempt) {
    int error = pending_error(attempt.fd.get());
    // A connect to an unused local port may meet itself.
    if (error == 0 && own_address(attempt.fd.get()) == attempt.remote) error = ECONNREFUSED;
    if (error == 0) return succeed(attempt);
    note(connect_error(error, attempt.remote.to_string()));
    const auto failed = std::ranges::find(attempts_, &attempt, [](const auto& a) { return a.get(); });
    const std::unique_ptr<Attempt> kept = std::move(*failed);
    attempts_.erase(failed);
    loop_.disarm(stagger_);
    try_next();
  }

  void succeed(Attempt& attempt) {
    if (attempt.watched) loop_.unwatch(attempt.fd.get(), attempt);
    attempt.watched = false;
    PeerInfo peer;
    peer.remote = attempt.remote;
    peer.local = own_address(attempt.fd.get());
    finish(make_fd_stream(loop_, std::move(attempt.fd), std::move(peer), options_.stream));
  }

  int note(Error error) {
    reasons_ += (reasons_.empty() ? "" : "; ") + error.detail;
    if (error.cause) reasons_ += " (" + error.cause.message() + ")";
    last_ = std::move(error);
    return last_.cause.value() != 0 && last_.cause.value() != EINPROGRESS ? last_.cause.value() : EIO;
  }
  Error all_failed() const {
    Error error = last_;
    error.detail = "cannot connect to " + url_ + ": " + (addresses_.size() > 1 ? reasons_ : last_.detail);
    return error;
  }
  void handle_deadline() {
    std::string detail = "no connection to " + url_ + " within " + format_duration(options_.timeout);
    if (!reasons_.empty()) detail += "; " + reasons_;
    finish(fail(ErrorCode::timed_out, std::move(detail)));
  }

  void finish(Result<std::unique_ptr<Stream>> result) {
    if (result_) return;
    result_.emplace(std::move(result));
    loop_.disarm(stagger_);
    loop_.disarm(deadline_);
    loop_.at_turn_end(*this);
  }
  void on_turn_end() override {
    attempts_.clear();
    lookup_.reset();
    OnDialed on_done = std::move(on_done_);
    auto result = *std::move(result_);
    on_done(std::move(result));  // `this` may be gone
  }

  Loop& loop_;
  const std::string url_;
  const TcpOptions tcp_;
  const DialOptions options_;
  OnDialed on_done_;
  std::unique_ptr<Lookup> lookup_;
  std::vector<SocketAddress> addresses_;
  std::size_t next_ = 0;
  std::vector<std::unique_ptr<Attempt>> attempts_;
  Stagger stagger_{*this};
  Deadline deadline_{*this};
  Error last_;
  std::string reasons_;
  std::optional<Result<std::unique_ptr<Stream>>> result_;
};

}  // namespace

std::unique_ptr<Dial> dial_tcp(Loop& loop, const Address& address, const TcpOptions& tcp, const DialOptions& options,
                               const ResolverOptions& resolver, OnDialed on_done) {
  auto dial = std::make_unique<TcpDial>(loop, address, tcp, options, std::move(on_done));
  dial->begin(address, resolver);
  return dial;
}

}  // namespace wayport::transport

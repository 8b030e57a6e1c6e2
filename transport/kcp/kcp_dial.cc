#include "wayport/transport/kcp/kcp_dial.h"

#include <cerrno>
#include <optional>
#include <utility>

#include "wayport/transport/kcp/kcp_random.h"
#include "wayport/transport/kcp/kcp_stream.h"
#include "wayport/transport/sockets.h"

namespace wayport::transport::kcp {
namespace {

// One session on a connected socket of its own.
class DialedDriver final : public KcpDriver {
 public:
  DialedDriver(Loop& loop, std::shared_ptr<LoopShare> share, std::shared_ptr<UdpSocket> udp, const KcpAddress& address,
               const SocketAddress& remote)
      : KcpDriver(loop, std::move(share), std::move(udp), address),
        udp_(address.udp),
        remote_(remote),
        path_(endpoint_of(remote), Endpoint{}) {
    session_.emplace(host(), environment(), address.session, static_cast<std::uint32_t>(random_number()),
                     KcpSession::Role::dialer);
  }
  // Before the session, which the base's lists hold.
  ~DialedDriver() override { session_.reset(); }

  Result<void> begin() { return read_socket(true); }
  KcpSession& session() noexcept { return *session_; }

  // Another local port, perhaps another local address: only a wayport listener with a cipher that authenticates follows.
  bool reconnect_now(KcpSession& session) override {
    if (!session.extension_agreed() || environment().cipher == nullptr || !environment().cipher->authenticates())
      return false;
    Result<std::shared_ptr<UdpSocket>> udp = UdpSocket::connect(remote_, udp_);
    if (!udp) return false;
    replace_socket(*std::move(udp));
    flush_soon(session);
    return true;
  }

 private:
  void handle(const UdpTrain& train) override {
    train.for_each([this](MutableBytes datagram) {
      if (session_) session_->handle_datagram(datagram);
    });
  }
  void handle_socket_error(int error) override {
    // Once the peer has been heard, it is the business of dead_link: such messages can be forged, and a peer restarts.
    if (error != ECONNREFUSED || !session_ || session_->heard() || session_->state() == KcpSession::State::ended)
      return;
    session_->close({CloseReason::By::peer,
                     {ErrorCode::refused, "kcp: nobody listens there", std::make_error_code(std::errc(error))}},
                    Duration(0));
  }
  std::pair<Endpoint, Endpoint> path_of(const KcpSession&) override { return path_; }
  void remove(KcpSession&) override {
    session_.reset();
    (void)read_socket(false);
  }

  const UdpOptions udp_;
  const SocketAddress remote_;
  const std::pair<Endpoint, Endpoint> path_;
  std::optional<KcpSession> session_;
};

class KcpDial final : public Dial, private TurnEnd, private Timer {
 public:
  KcpDial(Loop& loop, const Address& address, const KcpAddress& kcp, const DialOptions& options,
          std::shared_ptr<LoopShare> share, OnDialed on_done)
      : loop_(loop),
        url_(address.to_log()),
        kcp_(kcp),
        options_(options),
        share_(std::move(share)),
        on_done_(std::move(on_done)) {}

  void begin(const Address& address, const ResolverOptions& resolver) {
    if (std::vector<SocketAddress> known = resolve_literally(address.host(), address.port()); !known.empty())
      return connect(known);
    if (options_.timeout > Duration::zero()) loop_.arm(*this, after(loop_.now(), options_.timeout));
    lookup_ =
        resolve(loop_, resolver, address.host(), address.port(), [this](Result<std::vector<SocketAddress>> found) {
          if (!found) return finish(fail(std::move(found.error())));
          connect(*found);
        });
  }

 private:
  void connect(const std::vector<SocketAddress>& addresses) {
    Error last{ErrorCode::unreachable, "no address", {}};
    std::string reasons;
    for (const SocketAddress& remote : addresses) {
      Result<std::unique_ptr<Stream>> stream = try_one(remote);
      if (stream) return finish(std::move(stream));
      last = std::move(stream.error());
      reasons += (reasons.empty() ? "" : "; ") + last.detail;
    }
    last.detail = "cannot reach " + url_ + ": " + reasons;
    finish(fail(std::move(last)));
  }

  Result<std::unique_ptr<Stream>> try_one(const SocketAddress& remote) {
    WAYPORT_TRY_ASSIGN(std::shared_ptr<UdpSocket> udp, UdpSocket::connect(remote, kcp_.udp));
    PeerInfo peer;
    peer.remote = remote;
    peer.local = udp->local();
    auto driver = std::make_shared<DialedDriver>(loop_, share_, std::move(udp), kcp_, remote);
    WAYPORT_TRY(driver->begin());
    KcpSession& session = driver->session();
    return std::make_unique<KcpStream>(std::move(driver), session, std::move(peer), options_.stream);
  }

  void finish(Result<std::unique_ptr<Stream>> result) {
    if (result_) return;
    result_.emplace(std::move(result));
    loop_.disarm(*this);
    loop_.at_turn_end(*this);
  }
  void on_timer() override {
    finish(fail(ErrorCode::timed_out, "no address for " + url_ + " within " + format_duration(options_.timeout)));
  }
  void on_turn_end() override {
    lookup_.reset();
    OnDialed on_done = std::move(on_done_);
    auto result = *std::move(result_);
    on_done(std::move(result));  // `this` may be gone
  }

  Loop& loop_;
  const std::string url_;
  const KcpAddress kcp_;
  const DialOptions options_;
  const std::shared_ptr<LoopShare> share_;
  OnDialed on_done_;
  std::unique_ptr<Lookup> lookup_;
  std::optional<Result<std::unique_ptr<Stream>>> result_;
};

}  // namespace

std::unique_ptr<Dial> dial_kcp(Loop& loop, const Address& address, const KcpAddress& kcp, const DialOptions& options,
                               const ResolverOptions& resolver, std::shared_ptr<LoopShare> share, OnDialed on_done) {
  auto dial = std::make_unique<KcpDial>(loop, address, kcp, options, std::move(share), std::move(on_done));
  dial->begin(address, resolver);
  return dial;
}

}  // namespace wayport::transport::kcp

#include "wayport/transport/ws/ws_transport.h"

#include <openssl/rand.h>

#include <array>
#include <optional>
#include <utility>

#include "wayport/transport/ws/handshake.h"
#include "wayport/transport/ws/ws_listener.h"
#include "wayport/transport/ws/ws_options.h"
#include "wayport/transport/ws/ws_stream.h"

namespace wayport::transport {
namespace {

class SecureRandom final : public ws::RandomSource {
 public:
  void fill(MutableBytes bytes) override {
    const int done = ::RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
    // Keys that a page can guess would let it write another protocol onto the wire.
    WAYPORT_ASSERT(done == 1, "the system has no random bytes");
  }
};

ws::RandomSource& secure_random() {
  static SecureRandom source;
  return source;
}

class WsDial final : public Dial, private Timer, private TurnEnd, private StreamEvents {
 public:
  WsDial(Loop& loop, const Address& address, const WsOptions& ws, const DialOptions& options, ws::RandomSource& random,
         std::shared_ptr<WsCounters> counters, OnDialed on_done)
      : loop_(loop),
        url_(address.to_log()),
        ws_(ws),
        options_(options),
        random_(random),
        counters_(std::move(counters)),
        on_done_(std::move(on_done)) {}

  void begin(const Transports& all, const Address& below) {
    if (options_.timeout > Duration::zero()) loop_.arm(*this, after(loop_.now(), options_.timeout));
    DialOptions lower = options_;
    lower.stream = WsStream::lower_options(options_.stream);
    dial_ = all.dial(loop_, below, lower, [this](Result<std::unique_ptr<Stream>> dialed) {
      if (!dialed) return finish(fail(std::move(dialed.error())));
      lower_ = *std::move(dialed);
      lower_->start(*this);
      std::array<std::byte, 16> random;
      random_.fill(random);
      key_ = ws::make_key(random);
      Chain request;
      request.append(ws::request_text(ws_, key_));
      lower_->write(std::move(request));
    });
  }

 private:
  std::size_t on_bytes(MutableBytes bytes, bool) override {
    if (answer_) return 0;
    const std::size_t end = ws::find_head_end(bytes, scanned_);
    if (end == 0 && bytes.size() <= ws_.header_bytes_max) return 0;
    lower_->read(false);
    loop_.at_turn_end(*this);
    answer_ = ws::read_response(as_text(end == 0 ? bytes : bytes.first(end)), ws_, key_, url_);
    return end;
  }
  void on_writable() override {}
  void on_read_end() override {
    give_up({ErrorCode::peer_closed, "websocket upgrade: " + url_ + " ended the connection", {}});
  }
  void on_closed(const CloseReason& reason) override { give_up(reason.error); }
  void give_up(Error error) {
    if (answer_) {
      // What was agreed does not outlive the connection; a refusal does.
      if (!*answer_) return;
      answer_.reset();
    }
    answer_.emplace(fail(std::move(error)));
    loop_.at_turn_end(*this);
  }

  void on_turn_end() override {
    if (!*answer_) return finish(fail(std::move(answer_->error())));
    auto http = std::make_unique<HttpRequest>();
    http->target = ws_.target;
    http->host = ws_.host;
    http->subprotocol = **std::move(answer_);
    PeerInfo peer = ws_peer_info(lower_->peer(), ws_.secure, std::move(http));
    finish(std::make_unique<WsStream>(std::move(lower_), WsStream::Side::client, ws_, options_.stream, std::move(peer),
                                      &random_, counters_));
  }
  void on_timer() override {
    finish(fail(ErrorCode::timed_out, std::string(lower_ ? "no websocket upgrade by " : "no connection to ") + url_ +
                                          " within " + format_duration(options_.timeout)));
  }
  void finish(Result<std::unique_ptr<Stream>> result) {
    loop_.disarm(*this);
    // A time-out may have come first.
    if (OnDialed on_done = std::exchange(on_done_, nullptr)) on_done(std::move(result));  // `this` may be gone
  }

  Loop& loop_;
  const std::string url_;
  const WsOptions ws_;
  const DialOptions options_;
  ws::RandomSource& random_;
  const std::shared_ptr<WsCounters> counters_;
  OnDialed on_done_;
  std::unique_ptr<Dial> dial_;
  std::unique_ptr<Stream> lower_;
  std::string key_;
  std::optional<Result<std::string>> answer_;
  std::size_t scanned_ = 0;
};

}  // namespace

WsTransport::WsTransport(ws::RandomSource* random) : random_(random ? *random : secure_random()) {}

std::unique_ptr<Dial> WsTransport::dial(const Transports& all, Loop& loop, const Address& address,
                                        const DialOptions& options, OnDialed on_done) const {
  const Result<Address> below = WsOptions::below(address, true);
  const Result<WsOptions> ws = WsOptions::for_dial(address);
  if (!below || !ws) return failed_dial(loop, !below ? below.error() : ws.error(), std::move(on_done));
  auto dial = std::make_unique<WsDial>(loop, address, *ws, options, random_, counters_, std::move(on_done));
  dial->begin(all, *below);
  return dial;
}

Result<std::unique_ptr<Listener>> WsTransport::listen(const Transports& all, Loop& loop, const Address& address,
                                                      const ListenOptions& options) const {
  WAYPORT_TRY_ASSIGN(const Address below, WsOptions::below(address, false));
  WAYPORT_TRY_ASSIGN(const WsOptions ws, WsOptions::for_listen(address));
  WAYPORT_TRY_ASSIGN(auto lower, all.listen(loop, below, ws_lower_options(options)));
  return make_ws_listener(loop, address, ws, options, counters_, std::move(lower));
}

}  // namespace wayport::transport

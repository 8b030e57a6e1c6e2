#include "wayport/transport/route/route_transport.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "wayport/framing/route/handshake.h"
#include "wayport/transport/route/route_options.h"
#include "wayport/transport/route/route_stream.h"

namespace wayport::transport {
namespace {

void count(std::atomic<std::uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

class RouteDial final : public Dial, private Timer, private TurnEnd, private StreamEvents {
 public:
  RouteDial(Loop& loop, RouteOptions route, const DialOptions& options, std::shared_ptr<RouteCounters> counters,
            OnDialed on_done)
      : loop_(loop),
        route_(std::move(route)),
        options_(options),
        counters_(std::move(counters)),
        on_done_(std::move(on_done)),
        answer_(route_.success_bytes_max) {}

  void begin(const Transports& all) {
    if (options_.timeout > Duration::zero()) loop_.arm(*this, after(loop_.now(), options_.timeout));
    dial_ = all.dial(loop_, route_.below, options_, [this](Result<std::unique_ptr<Stream>> dialed) {
      if (!dialed) return finish(fail(described(std::move(dialed.error()))));
      lower_ = *std::move(dialed);
      lower_->start(*this);
      if (route_.websocket) return;
      Chain frame;
      const Result<void> written = route::write_identify(frame, route_.identify);
      WAYPORT_ASSERT(written.has_value(), "RouteOptions checks the length");
      lower_->write(std::move(frame));
    });
  }

 private:
  enum class Outcome : std::uint8_t { pending, decided, refused };

  std::size_t on_bytes(MutableBytes bytes, bool message_end) override {
    if (concluded()) return 0;
    return route_.websocket ? read_message(bytes, message_end) : read_answer(bytes);
  }
  std::size_t read_answer(Bytes bytes) {
    const Result<std::size_t> taken = answer_.read(bytes);
    if (!taken) {
      give_up(taken.error().code, taken.error().detail);
      return bytes.size();
    }
    if (answer_.verdict() == route::AnswerReader::Verdict::accepted) conclude();
    if (answer_.verdict() == route::AnswerReader::Verdict::refused) refuse("the gateway answered \"error\"");
    return *taken;
  }
  // Only as much of it as tells it from a refusal is kept.
  std::size_t read_message(Bytes bytes, bool message_end) {
    message_bytes_ += bytes.size();
    if (message_bytes_ > route_.success_bytes_max) {
      give_up(ErrorCode::too_large, "the gateway's first message is larger than the limit of " +
                                        std::to_string(route_.success_bytes_max) + " bytes for a success message");
      return bytes.size();
    }
    const std::size_t room = route::kErrorAnswer.size() + 1 - message_begin_.size();
    message_begin_ += as_text(bytes.first(std::min(bytes.size(), room)));
    if (!message_end) return bytes.size();
    if (message_begin_ == route::kErrorAnswer) {
      refuse("the gateway answered \"error\"");
    } else {
      conclude();
    }
    return bytes.size();
  }
  void on_writable() override {}
  void on_read_end() override {
    if (concluded()) return;
    if (route_.websocket) return refuse("the gateway closed the websocket without an answer, as it does to refuse");
    give_up(ErrorCode::peer_closed, ended_words());
  }
  void on_closed(const CloseReason& reason) override {
    closed_ = true;
    if (concluded()) {
      // What was agreed does not outlive the connection; a refusal does.
      if (error_) return;
      error_ = described(reason.error);
      return;
    }
    // What the original writes then is no frame of a websocket.
    if (route_.websocket && reason.by == CloseReason::By::peer) {
      return refuse("the gateway closed the websocket without an answer, as it does to refuse (" + reason.error.detail +
                    ")");
    }
    give_up(reason.error.code, ended_words() + " (" + reason.error.detail + ")");
  }
  std::string ended_words() const {
    const std::size_t received = answer_.received();
    if (received == 0) return "the gateway closed the connection without an answer";
    return "the gateway closed the connection after " + std::to_string(received) + " bytes of an unfinished answer";
  }

  bool concluded() const noexcept { return outcome_ != Outcome::pending; }
  void conclude() {
    outcome_ = Outcome::decided;  // or refused, which refuse() says
    // What follows waits in the lower stream.
    if (!closed_) lower_->read(false);
    loop_.at_turn_end(*this);
  }
  void refuse(const std::string& why) {
    give_up(ErrorCode::refused, why + "; it does not say whether it is the backend, or its own rules");
    outcome_ = Outcome::refused;
  }
  void give_up(ErrorCode code, const std::string& why) {
    error_ = described({code, why, {}});
    conclude();
  }
  Error described(Error error) const {
    error.detail.insert(0, route_.who + ": ");
    return error;
  }

  void on_turn_end() override {
    if (error_) return finish(fail(*std::move(error_)));
    finish(std::make_unique<RouteStream>(std::move(lower_), route_.websocket && !route_.messages));
  }
  void on_timer() override {
    if (error_) return;  // told at turn end
    finish(fail(described({ErrorCode::timed_out,
                           std::string(lower_ ? "no answer of the gateway" : "no connection to the gateway") +
                               " within " + format_duration(options_.timeout),
                           {}})));
  }
  void finish(Result<std::unique_ptr<Stream>> result) {
    loop_.disarm(*this);
    // A time-out may have come first.
    OnDialed on_done = std::exchange(on_done_, nullptr);
    if (!on_done) return;
    count(result ? counters_->accepted : outcome_ == Outcome::refused ? counters_->refused : counters_->failed);
    on_done(std::move(result));  // `this` may be gone
  }

  Loop& loop_;
  const RouteOptions route_;
  const DialOptions options_;
  const std::shared_ptr<RouteCounters> counters_;
  OnDialed on_done_;
  std::unique_ptr<Dial> dial_;
  std::unique_ptr<Stream> lower_;
  route::AnswerReader answer_;
  std::string message_begin_;  // of the first message of a websocket
  std::size_t message_bytes_ = 0;
  bool closed_ = false;  // the lower stream
  Outcome outcome_ = Outcome::pending;
  std::optional<Error> error_;
};

}  // namespace

std::unique_ptr<Dial> RouteTransport::dial(const Transports& all, Loop& loop, const Address& address,
                                           const DialOptions& options, OnDialed on_done) const {
  Result<RouteOptions> route = RouteOptions::for_dial(address);
  if (!route) return failed_dial(loop, std::move(route.error()), std::move(on_done));
  auto dial = std::make_unique<RouteDial>(loop, *std::move(route), options, counters_, std::move(on_done));
  dial->begin(all);
  return dial;
}

Result<std::unique_ptr<Listener>> RouteTransport::listen(const Transports&, Loop&, const Address& address,
                                                         const ListenOptions&) const {
  return fail(ErrorCode::unsupported, address.to_log() +
                                          ": route is for dialing; a backend listens on a plain address such as "
                                          "tcp://10.1.2.3:9090, which the gateway dials");
}

}  // namespace wayport::transport

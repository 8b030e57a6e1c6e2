#include "wayport/transport/snet/snet_transport.h"

#include <openssl/rand.h>

#include <optional>
#include <utility>

#include "wayport/transport/snet/handshake.h"
#include "wayport/transport/snet/reconnector.h"
#include "wayport/transport/snet/snet_listener.h"
#include "wayport/transport/snet/snet_options.h"
#include "wayport/transport/snet/snet_stream.h"

namespace wayport::transport {
namespace {

class SecureRandom final : public snet::RandomSource {
 public:
  void fill(MutableBytes bytes) override {
    const int done = ::RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
    // Nothing may go on with keys that somebody can guess.
    WAYPORT_ASSERT(done == 1, "the system has no random bytes");
  }
};

snet::RandomSource& secure_random() {
  static SecureRandom source;
  return source;
}

class SnetDial final : public Dial, private Timer, private StreamEvents {
 public:
  SnetDial(Loop& loop, const DialOptions& options, Reconnector::Where where, snet::RandomSource& random,
           std::shared_ptr<SnetCounters> counters, Log& log, OnDialed on_done)
      : loop_(loop),
        options_(options),
        where_(std::move(where)),
        random_(random),
        counters_(std::move(counters)),
        log_(log),
        on_done_(std::move(on_done)),
        open_(random) {}

  void begin() {
    if (options_.timeout > Duration::zero()) loop_.arm(*this, after(loop_.now(), options_.timeout));
    dial_ = where_.all.dial(loop_, where_.below, where_.dial, [this](Result<std::unique_ptr<Stream>> dialed) {
      if (!dialed) return finish(fail(std::move(dialed.error())));
      lower_ = *std::move(dialed);
      Chain hello;
      open_.start(hello);
      lower_->start(*this);
      lower_->write(std::move(hello));
    });
  }

 private:
  std::size_t on_bytes(MutableBytes bytes, bool) override {
    Chain out;
    const std::size_t taken = open_.handle_bytes(bytes, out);
    if (open_.error()) {
      refuse(open_.error()->code, open_.error()->detail);
    } else if (open_.done()) {
      lower_->write(std::move(out));
      succeed(bytes.subspan(taken));  // `this` may be gone
      return bytes.size();
    }
    return taken;
  }
  void on_writable() override {}
  void on_read_end() override { refuse(ErrorCode::peer_closed, "the server closed the connection"); }
  void on_closed(const CloseReason& reason) override { refuse(reason.error.code, reason.error.detail); }
  void on_timer() override {
    const std::string within = " within " + format_duration(options_.timeout);
    refuse(ErrorCode::timed_out, lower_ ? "no answer" + within : "no connection" + within);
  }

  void refuse(ErrorCode code, const std::string& why) {
    finish(fail(code, "snet handshake with " + where_.url + ": " + why));
  }
  void succeed(MutableBytes rest) {
    snet::Session session(snet::Role::client, open_.key(), open_.id(), where_.options.session);
    auto stream = std::make_unique<SnetStream>(loop_, std::move(session), options_.stream);
    stream->keep(std::make_unique<Reconnector>(*stream, std::move(where_), random_, counters_, log_));
    SnetCounters::add(counters_->opened);
    const bool attached = stream->resume(lower_, 0, 0);
    WAYPORT_ASSERT(attached, "a new session lacks nothing");
    stream->take(rest);
    finish(std::move(stream));
  }
  void finish(Result<std::unique_ptr<Stream>> result) {
    loop_.disarm(*this);
    // A time-out may have come first.
    if (OnDialed on_done = std::exchange(on_done_, nullptr)) on_done(std::move(result));  // `this` may be gone
  }

  Loop& loop_;
  const DialOptions options_;
  Reconnector::Where where_;
  snet::RandomSource& random_;
  const std::shared_ptr<SnetCounters> counters_;
  Log& log_;
  OnDialed on_done_;
  std::unique_ptr<Dial> dial_;
  std::unique_ptr<Stream> lower_;
  snet::ClientOpen open_;
};

}  // namespace

SnetTransport::SnetTransport(Log* log, snet::RandomSource* random)
    : log_(log ? *log : null_log()), random_(random ? *random : secure_random()) {}

void SnetTransport::warn_of_encryption(bool encrypt, const Address& address, Log& log) const {
  if (!encrypt || warned_.exchange(true, std::memory_order_relaxed)) return;
  log.write(LogLevel::warning,
            "snet encryption is RC4 with a 64-bit key exchange: for old peers only, it protects nothing; use snet+tls",
            {{"address", address.to_log()}});
}

std::unique_ptr<Dial> SnetTransport::dial(const Transports& all, Loop& loop, const Address& address,
                                          const DialOptions& options, OnDialed on_done) const {
  Result<SnetOptions> snet = SnetOptions::for_dial(address);
  if (!snet) return failed_dial(loop, std::move(snet.error()), std::move(on_done));
  warn_of_encryption(snet->session.encrypt, address, log_);
  DialOptions lower = options;
  lower.stream = SnetStream::lower_options(options.stream, snet->session.ring_bytes);
  Reconnector::Where where{all, address.to_log(), SnetOptions::below(address), lower, *std::move(snet)};
  auto dial = std::make_unique<SnetDial>(loop, options, std::move(where), random_, counters_, log_, std::move(on_done));
  dial->begin();
  return dial;
}

Result<std::unique_ptr<Listener>> SnetTransport::listen(const Transports& all, Loop& loop, const Address& address,
                                                        const ListenOptions& options) const {
  WAYPORT_TRY_ASSIGN(const SnetOptions snet, SnetOptions::for_listen(address));
  warn_of_encryption(snet.session.encrypt, address, options.log ? *options.log : log_);
  WAYPORT_TRY_ASSIGN(auto lower, all.listen(loop, SnetOptions::below(address), snet_lower_options(options, snet)));
  return make_snet_listener(loop, address, options, snet, random_, counters_, std::move(lower));
}

}  // namespace wayport::transport

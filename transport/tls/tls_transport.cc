#include "wayport/transport/tls/tls_transport.h"

#include <optional>
#include <utility>

#include "wayport/transport/tls/tls_listener.h"
#include "wayport/transport/tls/tls_options.h"
#include "wayport/transport/tls/tls_stream.h"

namespace wayport::transport {
namespace {

class TlsDial final : public Dial, private Timer {
 public:
  TlsDial(Loop& loop, const Address& address, const DialOptions& options, tls::Connection connection, OnDialed on_done)
      : loop_(loop),
        url_(address.to_log()),
        options_(options),
        connection_(std::move(connection)),
        on_done_(std::move(on_done)) {}

  void begin(const Transports& all, const Address& below) {
    if (options_.timeout > Duration::zero()) loop_.arm(*this, after(loop_.now(), options_.timeout));
    DialOptions lower = options_;
    lower.stream = TlsStream::lower_options(options_.stream);
    lower_ = all.dial(loop_, below, lower, [this](Result<std::unique_ptr<Stream>> stream) {
      if (!stream) return finish(fail(std::move(stream.error())));
      stream_ = std::make_unique<TlsStream>(*std::move(stream), std::move(connection_), options_.stream);
      stream_->handshake([this](Result<void> done) {
        if (!done) return finish(fail(std::move(done.error())));
        finish(std::move(stream_));
      });
    });
  }

 private:
  void on_timer() override {
    finish(fail(ErrorCode::timed_out, std::string(stream_ ? "no tls handshake with " : "no connection to ") + url_ +
                                          " within " + format_duration(options_.timeout)));
  }
  void finish(Result<std::unique_ptr<Stream>> result) {
    loop_.disarm(*this);
    // A time-out may have come first.
    if (OnDialed on_done = std::exchange(on_done_, nullptr)) on_done(std::move(result));  // `this` may be gone
  }

  Loop& loop_;
  const std::string url_;
  const DialOptions options_;
  tls::Connection connection_;
  OnDialed on_done_;
  std::unique_ptr<Dial> lower_;
  std::unique_ptr<TlsStream> stream_;
};

// What makes one context different from another.
std::string key_of(const TlsOptions& options) {
  std::string key = options.ca + '\n' + options.alpn + '\n' + (options.insecure ? '1' : '0');
  for (const auto& [cert, private_key] : options.certificates) key += '\n' + cert + '\n' + private_key;
  return key;
}

}  // namespace

struct TlsTransport::ClientContexts {
  std::mutex mutex;
  std::map<std::string, std::unique_ptr<TlsContextFiles>> by_key;

  Result<std::shared_ptr<const TlsContext>> get(const TlsOptions& options, TimePoint now, Log& log) {
    const std::lock_guard lock(mutex);
    const std::string key = key_of(options);
    auto found = by_key.find(key);
    if (found == by_key.end()) {
      if (by_key.size() >= kContextsMax) by_key.clear();
      WAYPORT_TRY_ASSIGN(auto files, TlsContextFiles::open(
                                         options.files(), [options] { return TlsContext::for_clients(options); },
                                         options.reload, &log));
      found = by_key.emplace(key, std::move(files)).first;
    }
    return found->second->current(now);
  }
};

TlsTransport::TlsTransport(Log* log) : log_(log ? *log : null_log()), contexts_(std::make_unique<ClientContexts>()) {}
TlsTransport::~TlsTransport() = default;

std::unique_ptr<Dial> TlsTransport::dial(const Transports& all, Loop& loop, const Address& address,
                                         const DialOptions& options, OnDialed on_done) const {
  const Address below = TlsOptions::below(address);
  const auto prepare = [&]() -> Result<tls::Connection> {
    WAYPORT_TRY_ASSIGN(const TlsOptions tls, TlsOptions::for_dial(address));
    WAYPORT_TRY_ASSIGN(const auto context, contexts_->get(tls, loop.now(), log_));
    if (tls.insecure) {
      log_.write(LogLevel::warning, "tls peer is not verified (insecure=1)", {{"address", address.to_log()}});
    }
    return context->make_client(tls.name, below.to_string() + '\n' + tls.name);
  };
  Result<tls::Connection> connection = prepare();
  if (!connection) return failed_dial(loop, std::move(connection.error()), std::move(on_done));
  auto dial = std::make_unique<TlsDial>(loop, address, options, *std::move(connection), std::move(on_done));
  dial->begin(all, below);
  return dial;
}

Result<std::unique_ptr<Listener>> TlsTransport::listen(const Transports& all, Loop& loop, const Address& address,
                                                       const ListenOptions& options) const {
  WAYPORT_TRY_ASSIGN(const TlsOptions tls, TlsOptions::for_listen(address));
  WAYPORT_TRY_ASSIGN(
      auto contexts,
      TlsContextFiles::open(tls.files(), [tls] { return TlsContext::for_servers(tls); }, tls.reload, options.log));
  WAYPORT_TRY_ASSIGN(auto lower, all.listen(loop, TlsOptions::below(address), tls_lower_options(options)));
  return make_tls_listener(loop, address, options, std::move(contexts), std::move(lower));
}

}  // namespace wayport::transport

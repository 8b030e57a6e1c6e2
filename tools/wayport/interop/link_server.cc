#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "wayport/tools/wayport/interop/failure.h"
#include "wayport/tools/wayport/interop/generator.h"
#include "wayport/tools/wayport/interop/link_cases.h"
#include "wayport/tools/wayport/interop/link_peer.h"
#include "wayport/tools/wayport/interop/on_loop.h"
#include "wayport/transport/default_transports.h"
#include "wayport/transport/link/channel_co.h"

namespace wayport::tools::interop {
namespace {

constexpr std::uint32_t kMessagesToClient = 10;
constexpr std::size_t kMessageBytes = 100;

// The first promise that was not kept. Any thread. Dials that are under way when the server ends hold it as long as their
// loop lives.
class Verdict {
 public:
  explicit Verdict(Interrupt& interrupt) : interrupt_(&interrupt) {}
  void break_off(std::string why) {
    const std::lock_guard lock(mutex_);
    if (!broken_) broken_ = std::move(why);
    is_broken_ = true;
    if (interrupt_ != nullptr) interrupt_->wake();
  }
  // Nobody waits any longer.
  std::optional<std::string> end() {
    const std::lock_guard lock(mutex_);
    interrupt_ = nullptr;
    return broken_;
  }
  // Takes no lock: it is asked under that of the interrupt.
  bool broken() const noexcept { return is_broken_; }

 private:
  Interrupt* interrupt_;
  std::mutex mutex_;
  std::optional<std::string> broken_;
  std::atomic<bool> is_broken_ = false;
};

// `link-dialed`: what the message "dial" asks for. `asked` waits for the answer.
boost::asio::awaitable<void> dial_client(link::Endpoint& endpoint, std::weak_ptr<EchoedConnection> asked,
                                         std::uint32_t client, std::uint32_t seed, Duration timeout) {
  link::CoChannel channel = take(co_await link::dial(endpoint, client, timeout), "a virtual connection to the client");
  Generator random(seed);
  for (std::uint32_t i = 0; i < kMessagesToClient; ++i) {
    const std::string message = random.bytes(kMessageBytes);
    take(co_await channel.send(message), "a message that leaves");
    const std::string echo = take(co_await channel.receive(), "the client's echo");
    expect(echo == message, "the client's echo as it was sent", std::to_string(echo.size()) + " other bytes");
  }
  if (const auto connection = asked.lock()) connection->send("dialed");
}

// On one loop.
class LinkServer {
 public:
  LinkServer(Loop& loop, const Settings& settings, std::uint32_t leave_out_each, std::shared_ptr<Verdict> verdict)
      : loop_(loop), settings_(settings), verdict_(std::move(verdict)), all_(transport::default_transports()) {
    LinkPeerOptions options;
    const bool wrong_key = settings.what == Case::link_key;
    options.identity = link::EndpointIdentity::as_server(settings.id, settings.key + (wrong_key ? "-wrong" : ""));
    options.endpoint = endpoint_options(settings);
    options.leave_out_each = leave_out_each;
    options.handle = [this](const auto& from, std::string_view message) { return handle(from, message); };
    options.on_end = [this](const CloseReason& reason) {
      verdict_->break_off("expected the gateway's connection until SIGTERM; came: " + to_string(reason));
    };
    peer_.emplace(std::move(options));
  }
  // Throws if there is no gateway; the result is what it says.
  boost::asio::awaitable<Result<void>> open() {
    take(co_await peer_->connect(all_, loop_, settings_.address, settings_.timeout), "a connection to the gateway");
    co_return co_await peer_->authenticated();
  }

 private:
  bool handle(const std::shared_ptr<EchoedConnection>& from, std::string_view message) {
    if (settings_.what == Case::link_close && message == "close") {
      from->close();
      return true;
    }
    if (settings_.what != Case::link_dialed || message != "dial") return false;
    boost::asio::co_spawn(loop_.asio(),
                          dial_client(peer_->endpoint(), from, from->remote_id(), settings_.seed, settings_.timeout),
                          [verdict = verdict_](const std::exception_ptr& thrown) {
                            try {
                              if (thrown) std::rethrow_exception(thrown);
                            } catch (const std::exception& failure) {
                              verdict->break_off(failure.what());
                            }
                          });
    return true;
  }

  Loop& loop_;
  const Settings& settings_;
  const std::shared_ptr<Verdict> verdict_;
  const transport::Transports all_;
  std::optional<LinkPeer> peer_;
};

}  // namespace

void run_link_server(Runtime& runtime, const Settings& settings, std::uint32_t leave_out_each, Interrupt& interrupt,
                     const std::function<void()>& on_ready) {
  Loop& loop = runtime.loop(0);
  const auto verdict = std::make_shared<Verdict>(interrupt);
  std::unique_ptr<LinkServer> server;
  FutureOutcome<Result<void>> opening;
  run_on(loop, [&] {
    server = std::make_unique<LinkServer>(loop, settings, leave_out_each, verdict);
    opening = boost::asio::co_spawn(loop.asio(), outcome_of(server->open()), boost::asio::use_future);
  });
  const auto end = [&] { run_on(loop, [&] { server.reset(); }); };
  Result<void> opened;
  try {
    opened = take(std::move(opening));
  } catch (const Failure&) {
    end();
    throw;
  }
  if (settings.what == Case::link_key) {
    end();
    const bool refused =
        !opened && (opened.error().code == ErrorCode::refused || opened.error().code == ErrorCode::peer_closed);
    expect(refused, "that the gateway refuses a wrong key", opened ? "it took it" : opened.error().to_string());
    return;
  }
  if (opened) {
    on_ready();
    interrupt.wait([&] { return verdict->broken(); });
  }
  end();
  const std::optional<std::string> why = verdict->end();
  take(opened, "that the gateway takes the server");
  if (why) throw Failure(*why);
}

}  // namespace wayport::tools::interop

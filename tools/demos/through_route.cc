#include "wayport/tools/demos/through_route.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "wayport/base/runtime.h"
#include "wayport/base/task_group.h"
#include "wayport/gateway/route/route_gateway.h"
#include "wayport/transport/default_transports.h"
#include "wayport/transport/kcp/testing/lossy_link.h"
#include "wayport/transport/stream_co.h"

namespace wayport::tools {
namespace {

namespace asio = boost::asio;
using transport::kcp::testing::LossyLink;

constexpr std::size_t kPayloadBytes = 1 << 20;
constexpr std::size_t kMessageBytes = 1000;
constexpr double kLoss = 0.05;
// With an orderly end, which plain kcp lacks; and where the link loses the goodbye, silence ends the session.
constexpr const char* kKcp = "fec=10,3&extension=1&keepalive=2s&liveness_timeout=8s";

void on_loop(Loop& loop, const std::function<void()>& work) {
  std::promise<void> done;
  loop.post([&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

std::string payload_of(std::size_t bytes) {
  std::string text(bytes, '\0');
  std::uint32_t state = 2026;
  for (char& c : text) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return text;
}

// Answers with what it was sent, until the client's end.
asio::awaitable<void> echo(transport::CoStream stream) {
  for (;;) {
    const Result<std::string> piece = co_await stream.read_some();
    if (!piece || piece->empty()) break;
    if (!co_await stream.write(*piece)) co_return;
  }
  stream.shutdown_write();
  static_cast<void>(co_await stream.close({std::chrono::seconds(5)}));
}

asio::awaitable<void> serve(std::shared_ptr<transport::CoListener> listener, std::shared_ptr<TaskGroup> clients) {
  for (;;) {
    Result<std::unique_ptr<transport::Stream>> stream = co_await listener->accept();
    if (!stream || !clients->spawn(echo(transport::CoStream(*std::move(stream))))) co_return;
  }
}

// What came back for `text`, of which `more` bytes are the gateway's.
asio::awaitable<Result<std::string>> ask(Loop& loop, const transport::Transports& transports,
                                         transport::Address address, std::string text, std::size_t more) {
  Result<std::unique_ptr<transport::Stream>> dialed = co_await transport::dial(transports, loop, address);
  if (!dialed) co_return fail(dialed.error());
  transport::CoStream stream(*std::move(dialed));
  const std::size_t expected = text.size() + more;
  if (const Result<void> written = co_await stream.write(std::move(text)); !written) co_return fail(written.error());
  co_return co_await stream.read_exactly(expected);
}

class ThroughRoute {
 public:
  ThroughRoute(Report& report, Log& log) : report_(report), log_(log), runtime_({.loops = 1, .log = &log}) {}
  ~ThroughRoute() {
    on_loop(loop(), [this] { lossy_.reset(); });
    if (gateway_) gateway_->close_blocking();
    on_loop(loop(), [this] {
      if (clients_) clients_->cancel();
      if (tasks_) tasks_->cancel();
      listener_.reset();
    });
    on_loop(loop(), [this] {
      clients_.reset();
      tasks_.reset();
    });
  }

  void run() {
    start_backend();
    start_gateway();
    report_.section("route gateway", "one tcp server at " + backend_ + "; clients come to ports " + port(0) +
                                         " (tcp), " + port(1) + " (kcp) and " + port(2) + " (websocket)");
    report_.step("tcp client", [this] {
      same(ask_by("route+tcp://127.0.0.1:" + port(0) + "/" + backend_, payload_), payload_);
      return "route+tcp: 1 MiB to the server and back, relayed as it is";
    });
    report_.step("kcp client", [this] { return over_kcp(); });
    report_.step("websocket client", [this] {
      const std::string message = payload_.substr(0, kMessageBytes);
      same(ask_by("route+ws://127.0.0.1:" + port(2) + "/" + backend_, message, 4),
           std::string("\xe8\3\0\0", 4) + message);
      return "route+ws: a message of 1,000 bytes came to the server behind its length, and back";
    });
    report_.step("refused target", [this] {
      const Result<std::string> answer = ask_by("route+tcp://127.0.0.1:" + port(0) + "/169.254.169.254:80", "x");
      expect(!answer, "the metadata service was dialed");
      expect(count(route::RouteError::forbidden) == 1, "it was not refused by the allow list");
      return "169.254.169.254:80 is on no allow list: the client learns no reason, the gateway's counter does";
    });
    report_.step("all is released", [this] {
      const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
      while (gateway_->connection_count() != 0) {
        expect(std::chrono::steady_clock::now() < deadline, "the gateway still holds connections");
        on_loop(loop(), [] {});
      }
      return "no connection is left in the gateway";
    });
  }

 private:
  Loop& loop() { return runtime_.loop(0); }
  std::string port(std::size_t index) const {
    const Result<transport::Address> address = transport::Address::parse(gateway_->addresses()[index]);
    return std::to_string(address->port());
  }
  std::uint64_t count(route::RouteError code) const { return gateway_->counters(0).refused_as(code).read(); }

  void start_backend() {
    on_loop(loop(), [this] {
      Result<std::unique_ptr<transport::Listener>> listener =
          transports_.listen(loop(), *transport::Address::parse("tcp://127.0.0.1:0"), {});
      if (!listener) return;
      backend_ = "127.0.0.1:" + std::to_string((*listener)->address().port());
      listener_ = std::make_shared<transport::CoListener>(*std::move(listener));
      tasks_ = std::make_shared<TaskGroup>(loop(), log_, "server");
      clients_ = std::make_shared<TaskGroup>(loop(), log_, "server's connections");
      static_cast<void>(tasks_->spawn(serve(listener_, clients_)));
    });
    expect(!backend_.empty(), "no port to listen on");
  }

  void start_gateway() {
    route::RouteOptions route;
    route.name = "demo";
    route.listen = {"tcp://127.0.0.1:0", std::string("kcp://127.0.0.1:0?") + kKcp, "ws://127.0.0.1:0"};
    route.allow = {backend_};
    route.zero_copy = true;
    gateway_ = std::make_unique<route::RouteGateway>(
        runtime_, route::RouteGatewayOptions{.routes = {std::move(route)}, .transports = &transports_});
    const Result<void> started = gateway_->start();
    expect(started.has_value(), started ? "" : started.error().to_string());
  }

  std::string over_kcp() {
    const std::uint16_t target = static_cast<std::uint16_t>(std::stoi(port(1)));
    std::string lossy_port;
    on_loop(loop(), [&] {
      lossy_ = std::make_unique<LossyLink>(loop(), *SocketAddress::from_ip("127.0.0.1", target));
      lossy_->up.loss = lossy_->down.loss = kLoss;
      lossy_port = std::to_string(lossy_->port());
    });
    same(ask_by("route+kcp://127.0.0.1:" + lossy_port + "/" + backend_ + "?" + kKcp, payload_), payload_);
    LossyLink::Counts up, down;
    on_loop(loop(), [&] {
      up = lossy_->up_counts;
      down = lossy_->down_counts;
    });
    expect(up.lost + down.lost > 0, "nothing was lost");
    return "route+kcp with forward error correction, over a link that loses 5 %: 1 MiB there and back, all of it;\n" +
           std::to_string(up.lost + down.lost) + " of " + std::to_string(up.datagrams + down.datagrams) +
           " datagrams were lost";
  }

  Result<std::string> ask_by(const std::string& url, const std::string& text, std::size_t more = 0) {
    const Result<transport::Address> address = transport::Address::parse(url);
    expect(address.has_value(), url);
    return asio::co_spawn(loop().asio(), ask(loop(), transports_, *address, text, more), asio::use_future).get();
  }
  static void same(const Result<std::string>& answer, const std::string& expected) {
    expect(answer.has_value(), answer ? "" : answer.error().to_string());
    expect(*answer == expected, "what came back is not what was sent");
  }

  Report& report_;
  Log& log_;
  const transport::Transports transports_ = transport::default_transports();
  const std::string payload_ = payload_of(kPayloadBytes);
  Runtime runtime_;
  std::string backend_;
  std::shared_ptr<transport::CoListener> listener_;
  std::shared_ptr<TaskGroup> tasks_;
  std::shared_ptr<TaskGroup> clients_;
  std::unique_ptr<route::RouteGateway> gateway_;
  std::unique_ptr<LossyLink> lossy_;
};

}  // namespace

void talk_through_route(Report& report, Log& log) {
  try {
    ThroughRoute(report, log).run();
  } catch (const std::exception& error) {
    const std::string why = error.what();
    report.step("route", [&why]() -> std::string { throw StepFailed(why); });
  }
}

}  // namespace wayport::tools

#include "wayport/tools/demos/server.h"

#include <array>
#include <boost/asio/awaitable.hpp>
#include <charconv>

#include "wayport/base/co.h"
#include "wayport/rpc/handlers.h"
#include "wayport/rpc/router.h"
#include "wayport/rpc/uri.h"
#include "wayport/tools/demos/report.h"
#include "wayport/tools/wayport/example.pb.h"

namespace wayport::tools {
namespace {

rpc::PeerOptions peer_options(DemoServer& server, const std::string& listen, const std::string& listen_small) {
  rpc::SessionOptions small;
  small.limits.packet_bytes_max = DemoServer::kSmallLimit;
  rpc::PeerOptions options;
  options.listen = {listen, {listen_small, small}};
  options.on_session_closed = [&server](const rpc::Session&, const CloseReason& reason) {
    if (reason.error.code == ErrorCode::too_large) server.closed.put(reason);
  };
  return options;
}

}  // namespace

DemoServer::DemoServer(Log& log, const std::string& listen, const std::string& listen_small)
    : runtime_({.loops = 2, .log = &log}), peer_(runtime_, peer_options(*this, listen, listen_small)) {
  add_routes();
  const Result<void> started = peer_.start();
  expect(started.has_value(), started ? "" : started.error().to_string());
}

void DemoServer::add_routes() {
  rpc::Router router = peer_.router();
  // Any function of a value: the codec of the packet, not the handler, decides how it travels.
  router.on_pull("/sum", [this](rpc::Context& context, std::array<int, 2> numbers) {
    header_codec = context.header_codec();
    return numbers[0] + numbers[1];
  });
  router.on_pull("/sum_message", [this](rpc::Context& context, Pair pair) {
    header_codec = context.header_codec();
    Sum sum;
    sum.set_sum(std::int64_t{pair.a()} + pair.b());
    return sum;
  });
  router.on_pull("/echo", [this](std::string text) {
    ++echoes;
    return text;
  });
  router.on_pull("/order_tea", []() -> rpc::Status { return {4711, "out of tea", rpc::Status::Origin::local}; });
  // A coroutine: the loop serves others while it waits.
  router.on_pull("/sleep", [](rpc::Context& context) -> asio::awaitable<int> {
    const rpc::Query query = context.query();
    const std::string_view text = rpc::query_value(query, "ms");
    int ms = 0;
    std::from_chars(text.data(), text.data() + text.size(), ms);
    static_cast<void>(co_await sleep_for(context.session().loop(), std::chrono::milliseconds(ms)));
    co_return ms;
  });
  // The callee pulls back, on the same session, before it answers.
  router.on_pull("/greet_me", [](rpc::Context& context) -> asio::awaitable<rpc::Reply<std::string>> {
    const rpc::Reply<std::string> name = co_await context.session().pull<std::string>("/your_name");
    if (!name) co_return name.status();
    co_return "good morning, " + *name;
  });
  router.on_push("/log", [this](std::string line) { log_lines.put(std::move(line)); });
}

}  // namespace wayport::tools

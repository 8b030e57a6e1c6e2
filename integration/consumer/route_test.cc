// A dial through a route gateway, which is here a listener that knows the answer by heart (spec/route.md 2).
#include "round_trip.h"
#include "wayport/transport/route/route_transport.h"
#include "wayport/transport/tcp/tcp_transport.h"

int main() {
  using namespace consumer;
  const std::string identify(
      "\x0d\0\0\0"
      "10.1.2.3:9090",
      17);
  Transports all;
  all.add("tcp", std::make_shared<wayport::transport::TcpTransport>());
  all.add("route", std::make_shared<wayport::transport::RouteTransport>());

  Loop loop;
  auto gateway = all.listen(loop, Address::parse("tcp://127.0.0.1:0").value(), {});
  if (!gateway) return 1;
  std::optional<End> backend;
  (*gateway)->start([&](std::unique_ptr<Incoming> incoming) { backend.emplace(incoming->accept(), false); });
  std::optional<Result<std::unique_ptr<Stream>>> dialed;
  const auto dial =
      all.dial(loop, Address::parse("route+" + (*gateway)->address().to_string() + "/10.1.2.3:9090").value(), {},
               [&](Result<std::unique_ptr<Stream>> made) { dialed.emplace(std::move(made)); });
  if (!run_until(loop, "the identify", [&] { return backend && backend->received.size() >= identify.size(); }))
    return 1;
  if (backend->received != identify) return 1;
  backend->stream->write(
      chain_of(std::string("\x02\0\0\0"
                           "ok"
                           "hello",
                           11)));
  if (!run_until(loop, "the dial", [&] { return dialed.has_value(); }) || !*dialed) return 1;
  End client(*std::move(*dialed), false);
  if (!run_until(loop, "the backend's bytes", [&] { return client.received == "hello"; })) return 1;
  client.stream->write(chain_of("world"));
  return run_until(loop, "ours", [&] { return backend->received == identify + "world"; }) ? 0 : 1;
}

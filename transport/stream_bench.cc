// What a stream costs, both ends together on one loop and thread (so twice a server's share, and all of the kernel's).
//
//   Echo/tcp|unix|tls/N   64-byte frames there and back, N outstanding; per frame
//   Bulk/tcp|unix|tls     one direction in writes of 256 KiB; bytes per second
//   Connect/tcp|unix|tls  dial, accept, close
#include <benchmark/benchmark.h>

#include <memory>
#include <string>

#include "wayport/base/loop.h"
#include "wayport/base/result.h"
#include "wayport/transport/default_transports.h"
#include "wayport/transport/testing/certificates.h"
#include "wayport/transport/testing/connect.h"
#include "wayport/transport/testing/recorder.h"

namespace wayport::transport {
namespace {

constexpr std::size_t kFrameBytes = 64;

struct Place {
  std::string listen;
  std::string dial_parameters;
};

Place place_of(const std::string& kind) {
  // The default congestion control may be bbr, which is slow on loopback.
  if (kind == "tcp") return {"tcp://127.0.0.1:0?congestion=reno", "?congestion=reno"};
  if (kind == "unix") return {"unix://@wayport-stream-bench", ""};
  static const TestDirectory directory;
  static const TestAuthority authority;
  static const IssuedCertificate issued = authority.issue({.ip_addresses = {"127.0.0.1"}});
  return {"tls://127.0.0.1:0?congestion=reno&cert=" + directory.write("c", issued.cert_pem) +
              "&key=" + directory.write("k", issued.key_pem),
          "?congestion=reno&ca=" + directory.write("ca", authority.cert_pem())};
}

Connection connected(Loop& loop, const std::string& kind) {
  const Transports all = default_transports();
  const Place place = place_of(kind);
  Result<Connection> connection = connect_through(all, loop, place.listen, place.dial_parameters);
  WAYPORT_ASSERT(connection.has_value(), connection ? "" : connection.error().detail.c_str());
  return *std::move(connection);
}

// Sends back, or only counts.
struct Sink final : StreamEvents {
  Sink(Stream& which, bool answering) : stream(which), answers(answering) {}
  std::size_t on_bytes(MutableBytes bytes, bool) override {
    received += bytes.size();
    if (answers) {
      Chain chain;
      chain.append(bytes);
      stream.write(std::move(chain));
    }
    return bytes.size();
  }
  void on_writable() override {}
  void on_read_end() override {}
  void on_closed(const CloseReason&) override {}

  Stream& stream;
  const bool answers;
  std::size_t received = 0;
};

void Echo(benchmark::State& state, const std::string& kind) {
  Loop loop;
  Connection c = connected(loop, kind);
  Sink client(*c.client, false);
  Sink server(*c.server, true);
  c.client->start(client);
  c.server->start(server);
  const auto outstanding = static_cast<std::size_t>(state.range(0));
  const std::string frame(kFrameBytes, 'x');
  std::size_t sent = 0;
  for (auto _ : state) {
    for (std::size_t i = 0; i < outstanding; ++i) {
      Chain chain;
      chain.append(frame);
      c.client->write(std::move(chain));
    }
    sent += outstanding * kFrameBytes;
    while (client.received < sent) loop.run_turn(std::chrono::seconds(1));
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(client.received / kFrameBytes));
}
BENCHMARK_CAPTURE(Echo, tcp, "tcp")->Arg(1)->Arg(32)->Arg(1000);
BENCHMARK_CAPTURE(Echo, unix, "unix")->Arg(1)->Arg(32)->Arg(1000);
BENCHMARK_CAPTURE(Echo, tls, "tls")->Arg(1)->Arg(32)->Arg(1000);

void Bulk(benchmark::State& state, const std::string& kind) {
  Loop loop;
  Connection c = connected(loop, kind);
  Sink client(*c.client, false);
  Sink server(*c.server, false);
  c.client->start(client);
  c.server->start(server);
  const std::string block(256 * 1024, 'x');
  std::size_t sent = 0;
  for (auto _ : state) {
    Chain chain;
    chain.append(std::string_view(block));
    c.client->write(std::move(chain));
    sent += block.size();
    while (server.received < sent) loop.run_turn(std::chrono::seconds(1));
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(server.received));
}
BENCHMARK_CAPTURE(Bulk, tcp, "tcp");
BENCHMARK_CAPTURE(Bulk, unix, "unix");
BENCHMARK_CAPTURE(Bulk, tls, "tls");

void Connect(benchmark::State& state, const std::string& kind) {
  Loop loop;
  const Transports all = default_transports();
  const Place place = place_of(kind);
  auto listener = *all.listen(loop, *Address::parse(place.listen), {});
  std::unique_ptr<Stream> accepted;
  listener->start([&](std::unique_ptr<Incoming> incoming) { accepted = incoming->accept(); });
  const std::string to = dial_address(*listener, place.dial_parameters);
  for (auto _ : state) {
    DialOutcome dial;
    dial_into(dial, all, loop, to);
    const bool done = run_until(loop, [&] { return dial.done() && accepted; });
    WAYPORT_ASSERT(done && *dial.result, "no connection");
    accepted.reset();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(Connect, tcp, "tcp");
BENCHMARK_CAPTURE(Connect, unix, "unix");
BENCHMARK_CAPTURE(Connect, tls, "tls");

}  // namespace
}  // namespace wayport::transport

// One way over the loopback, both ends on one loop: BM_OneWay/<what>. Bytes per second are those of the application.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>

#include "wayport/transport/kcp/kcp_transport.h"
#include "wayport/transport/testing/connect.h"

namespace wayport::transport::kcp {
namespace {

constexpr std::size_t kPiece = 64 * 1024;
constexpr std::size_t kAhead = 1u << 20;  // written and not yet arrived

struct Sink final : StreamEvents {
  std::size_t on_bytes(MutableBytes bytes, bool) override {
    received += bytes.size();
    return bytes.size();
  }
  void on_writable() override {}
  void on_read_end() override {}
  void on_closed(const CloseReason&) override { closed = true; }
  std::size_t received = 0;
  bool closed = false;
};

void one_way(benchmark::State& state, const std::string& more) {
  Loop loop;
  Transports all;
  all.add("kcp", std::make_shared<KcpTransport>());
  const std::string parameters = "mode=fast3&sndwnd=1024&rcvwnd=1024&stream=1" + more;
  auto listener = all.listen(loop, *Address::parse("kcp://127.0.0.1:0?" + parameters), {});
  Sink client_events, server_events;
  std::unique_ptr<Stream> server;
  (*listener)->start([&](std::unique_ptr<Incoming> incoming) {
    server = incoming->accept();
    server->start(server_events);
  });
  DialOutcome outcome;
  dial_into(outcome, all, loop, dial_address(**listener, "?" + parameters));
  run_until(loop, [&] { return outcome.done(); });
  const std::unique_ptr<Stream> client = std::move(**outcome.result);
  client->start(client_events);
  const std::string piece(kPiece, 'x');
  std::size_t sent = 0;
  const auto write = [&] {
    Chain chain;
    chain.append(piece);
    client->write(std::move(chain));
    sent += kPiece;
  };
  for (auto _ : state) {
    write();
    while (sent - server_events.received > kAhead && !client_events.closed) loop.run_turn(std::chrono::milliseconds(5));
  }
  const bool all_came = run_until(loop, [&] { return server_events.received == sent; });
  if (!all_came || client_events.closed) state.SkipWithError("bytes were lost");
  state.SetBytesProcessed(static_cast<std::int64_t>(sent));
}

BENCHMARK_CAPTURE(one_way, plain, "")->UseRealTime()->Name("BM_OneWay/plain");
BENCHMARK_CAPTURE(one_way, fec, "&fec=10,3")->UseRealTime()->Name("BM_OneWay/fec_10_3");
BENCHMARK_CAPTURE(one_way, gcm, "&crypt=aes-128-gcm&password=x")->UseRealTime()->Name("BM_OneWay/aes_128_gcm");
BENCHMARK_CAPTURE(one_way, aes, "&crypt=aes&password=x")->UseRealTime()->Name("BM_OneWay/aes_cfb");
BENCHMARK_CAPTURE(one_way, aes_fec, "&crypt=aes&password=x&fec=10,3")
    ->UseRealTime()
    ->Name("BM_OneWay/aes_cfb_fec_10_3");
BENCHMARK_CAPTURE(one_way, no_offload, "&offload=0")->UseRealTime()->Name("BM_OneWay/plain_no_offload");

}  // namespace
}  // namespace wayport::transport::kcp

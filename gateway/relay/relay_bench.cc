// What the relay costs over the loopback; its thread alone is counted, the two ends are threads of their own.
//
//   Bulk/copy|splice/tcp|unix     one direction in bulk: bytes per second, and the relay's CPU time per Gbit
//   Ask/copy|splice/N             N bytes there and back, one at a time; the ends are on the relay's loop
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "wayport/base/loop.h"
#include "wayport/gateway/relay/pipe_pool.h"
#include "wayport/gateway/relay/relay.h"
#include "wayport/transport/default_transports.h"
#include "wayport/transport/testing/connect.h"

namespace wayport::relay {
namespace {

using transport::Stream;

transport::Connection connected(Loop& loop, const std::string& kind) {
  static int names = 0;
  const std::string listen =
      kind == "tcp" ? "tcp://127.0.0.1:0?congestion=reno"
                    : "unix://@wayport-relay-bench-" + std::to_string(::getpid()) + "-" + std::to_string(++names);
  auto connection = transport::connect_through(transport::default_transports(), loop, listen,
                                               kind == "tcp" ? "?congestion=reno" : "");
  WAYPORT_ASSERT(connection.has_value(), connection ? "" : connection.error().detail.c_str());
  return *std::move(connection);
}

std::unique_ptr<Relay> joined(std::unique_ptr<Stream> client, std::unique_ptr<Stream> backend, PipePool& pipes,
                              bool splice) {
  RelayOptions options;
  options.pipes = &pipes;
  options.zero_copy = splice ? ZeroCopy::always : ZeroCopy::never;
  auto relay = std::make_unique<Relay>(RelayEndpoint{.stream = std::move(client)},
                                       RelayEndpoint{.stream = std::move(backend)}, options, [](const RelayReport&) {});
  relay->start();
  return relay;
}

// A plain blocking socket.
Fd blocking(std::unique_ptr<Stream> stream) {
  std::optional<Fd> fd = stream->detach();
  WAYPORT_ASSERT(fd && set_nonblocking(fd->get(), false), "a plain socket");
  return *std::move(fd);
}

double thread_cpu_seconds() {
  timespec time;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

void Bulk(benchmark::State& state, bool splice, const std::string& kind) {
  constexpr std::uint64_t kStepBytes = 16 << 20;
  Loop loop;
  PipePool pipes;
  transport::Connection front = connected(loop, kind);
  transport::Connection back = connected(loop, kind);
  const Fd source = blocking(std::move(front.client));
  const Fd sink = blocking(std::move(back.server));
  auto relay = joined(std::move(front.server), std::move(back.client), pipes, splice);
  std::thread sending([fd = source.get()] {
    const std::vector<char> block(256 * 1024, 'x');
    while (::send(fd, block.data(), block.size(), MSG_NOSIGNAL) > 0) {
    }
  });
  std::thread receiving([fd = sink.get(), kind] {
    std::vector<char> block(256 * 1024);
    // tcp can drop what came without copying it: the sink is not what is measured.
    const int flags = kind == "tcp" ? MSG_TRUNC : 0;
    while (::recv(fd, block.data(), block.size(), flags) > 0) {
    }
  });
  const auto relayed = [&](std::uint64_t bytes) {
    while (relay->bytes_from(RelaySide::client) < bytes) loop.run_turn(std::chrono::seconds(1));
  };
  relayed(1 << 20);
  const double cpu_before = thread_cpu_seconds();
  const std::uint64_t before = relay->bytes_from(RelaySide::client);
  for (auto _ : state) relayed(relay->bytes_from(RelaySide::client) + kStepBytes);
  const auto bytes = static_cast<double>(relay->bytes_from(RelaySide::client) - before);
  const double gbit = bytes * 8e-9;
  state.counters["Gbit/s"] = benchmark::Counter(gbit, benchmark::Counter::kIsRate);
  state.counters["cpu_ms/Gbit"] = (thread_cpu_seconds() - cpu_before) * 1e3 / gbit;
  relay.reset();
  ::shutdown(source.get(), SHUT_RDWR);
  ::shutdown(sink.get(), SHUT_RDWR);
  sending.join();
  receiving.join();
}
BENCHMARK_CAPTURE(Bulk, copy_tcp, false, "tcp")->UseRealTime();
BENCHMARK_CAPTURE(Bulk, splice_tcp, true, "tcp")->UseRealTime();
BENCHMARK_CAPTURE(Bulk, copy_unix, false, "unix")->UseRealTime();
BENCHMARK_CAPTURE(Bulk, splice_unix, true, "unix")->UseRealTime();

// Sends back, or counts.
struct Sink final : transport::StreamEvents {
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

void Ask(benchmark::State& state, bool splice) {
  Loop loop;
  PipePool pipes;
  transport::Connection front = connected(loop, "tcp");
  transport::Connection back = connected(loop, "tcp");
  Sink client(*front.client, false);
  Sink backend(*back.server, true);
  front.client->start(client);
  back.server->start(backend);
  const auto relay = joined(std::move(front.server), std::move(back.client), pipes, splice);
  while (splice && relay->mode() == RelayMode::copy) loop.run_turn();
  const std::string question(static_cast<std::size_t>(state.range(0)), 'x');
  std::size_t sent = 0;
  for (auto _ : state) {
    Chain chain;
    chain.append(std::string_view(question));
    front.client->write(std::move(chain));
    sent += question.size();
    while (client.received < sent) loop.run_turn(std::chrono::seconds(1));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(Ask, copy, false)->Arg(64)->Arg(16384)->Arg(262144);
BENCHMARK_CAPTURE(Ask, splice, true)->Arg(64)->Arg(16384)->Arg(262144);

}  // namespace
}  // namespace wayport::relay

// What the switch costs, without sockets: a frame of 64 bytes from a client to a server on the same loop, or on another,
// with 50 clients that send 32 frames each per turn, and a pair of dial and close.
//
//   Forward/1   both ends on one loop           Forward/2   apart: the sum of both loops
//   DialClose/1, DialClose/2
//
// Included is what a driver does at least: cutting the stream into frames, and one copy into the receiver's chain.
#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/framing/link/frame_reader.h"
#include "wayport/framing/link/packet.h"
#include "wayport/gateway/link/switch.h"

namespace wayport::link {
namespace {

constexpr TimePoint kNow{std::chrono::seconds(1)};

// Collects in a chain per connection, as a driver does; flushed by dropping.
class Host final : public SwitchHost {
 public:
  void send(Port& to, Bytes frame) override { chain(to).append(frame); }
  void send(Port& to, Chain&& frame) override { chain(to).append(std::move(frame)); }
  std::size_t unsent(const Port& port) override { return chain(port).size(); }
  void set_reading(Port&, bool) override {}
  void close(Port&, const CloseReason&) override {}
  void turn_end_soon() override {}

  static Chain& chain(const Port& port) { return *static_cast<Chain*>(port.context()); }
};

struct Gateway {
  explicit Gateway(unsigned loops) : group(options(), loops, 1), first(group, 0, hosts[0], kNow) {
    if (loops == 2) second = std::make_unique<Switch>(group, 1, hosts[1], kNow);
    server = first.handle_opened(Side::server, chains.emplace_back(std::make_unique<Chain>()).get(), kNow);
    first.handle_authenticated(*server, 7, kNow);
    carry();
    for (int i = 0; i < 50; ++i) {
      ports.push_back(
          clients().handle_opened(Side::client, chains.emplace_back(std::make_unique<Chain>()).get(), kNow));
    }
  }
  static SwitchOptions options() {
    SwitchOptions options;
    options.client_virtual_max = 0;
    return options;
  }
  Switch& clients() { return second ? *second : first; }
  void carry() {
    if (!second) return;
    second->handle_mail(0, first.outbox(1), kNow);
    first.handle_mail(1, second->outbox(0), kNow);
  }
  void end_turn() {
    carry();
    for (const std::unique_ptr<Chain>& chain : chains) chain->clear();
    first.end_turn();
    if (second) second->end_turn();
  }
  void command(Port& from, const Command& command) {
    const EncodedCommand encoded(command);
    Frame frame{0, encoded.bytes(), nullptr};
    clients().handle_frame(from, frame, kNow);
  }

  SwitchGroup group;
  std::array<Host, 2> hosts;
  std::vector<std::unique_ptr<Chain>> chains;
  Switch first;
  std::unique_ptr<Switch> second;
  Port* server = nullptr;
  std::vector<Port*> ports;
};

void Forward(benchmark::State& state) {
  Gateway gateway(static_cast<unsigned>(state.range(0)));
  std::vector<std::string> streams;
  for (std::uint32_t i = 0; i < gateway.ports.size(); ++i) {
    gateway.command(*gateway.ports[i], Command::dial(7));
    Chain stream;
    for (int k = 0; k < 32; ++k) {
      if (!append_data(stream, i + 1, as_bytes(std::string(64, 'x')))) std::abort();
    }
    streams.push_back(stream.to_string());
  }
  gateway.end_turn();
  for (auto _ : state) {
    for (std::size_t i = 0; i < streams.size(); ++i) {
      FrameReader reader;
      const auto consumed = reader.read(as_bytes(streams[i]), [&](Frame& frame) {
        return gateway.clients().handle_frame(*gateway.ports[i], frame, kNow);
      });
      benchmark::DoNotOptimize(consumed);
    }
    gateway.end_turn();
  }
  const std::uint64_t expected = state.iterations() * 50 * 32;
  if (gateway.first.counters().frames_to_servers.read() != expected) state.SkipWithError("frames are missing");
  state.SetItemsProcessed(static_cast<std::int64_t>(expected));
}
BENCHMARK(Forward)->Arg(1)->Arg(2);

void DialClose(benchmark::State& state) {
  Gateway gateway(static_cast<unsigned>(state.range(0)));
  std::uint32_t connection = 1;
  for (auto _ : state) {
    for (Port* const port : gateway.ports) gateway.command(*port, Command::dial(7));
    gateway.end_turn();
    for (Port* const port : gateway.ports) gateway.command(*port, Command::close(connection++));
    gateway.end_turn();
  }
  if (gateway.group.ids().alive() != 0) state.SkipWithError("connections are left");
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * 50));
}
BENCHMARK(DialClose)->Arg(1)->Arg(2);

}  // namespace
}  // namespace wayport::link

// What the tests of snet's driver share: a loop in virtual time, a network in memory that can be cut, ends that remember.
#pragma once

#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "wayport/base/log_testing.h"
#include "wayport/base/loop.h"
#include "wayport/base/time.h"
#include "wayport/transport/snet/crypto.h"
#include "wayport/transport/snet/cutting_transport.h"
#include "wayport/transport/snet/snet_transport.h"
#include "wayport/transport/testing/connect.h"
#include "wayport/transport/testing/memory_transport.h"
#include "wayport/transport/testing/recorder.h"

namespace wayport::transport {

inline double test_scale() {
  const char* const given = std::getenv("WAYPORT_TEST_SCALE");
  return given != nullptr ? std::atof(given) : 1.0;
}
inline std::uint64_t test_seed() {
  const char* const given = std::getenv("WAYPORT_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 20261121;
}

class SeededRandom final : public snet::RandomSource {
 public:
  explicit SeededRandom(std::uint64_t seed = 1) : random_(seed) {}
  void fill(MutableBytes bytes) override {
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random_());
  }

 private:
  std::mt19937_64 random_;
};

// One end of a stream, started.
struct SnetEnd {
  explicit SnetEnd(std::unique_ptr<Stream> which) : stream(std::move(which)) { stream->start(events); }
  void write(std::string_view text) { stream->write(chain_of(text)); }
  std::string closed() const { return events.closed ? to_string(*events.closed) : std::string(); }

  RecordingEvents events;
  std::unique_ptr<Stream> stream;
};

// snet over memory, in virtual time: "snet+mem://server" is over `network`, "mem://server" reaches the same listener
// with bytes of the test's own.
struct SnetNetwork {
  explicit SnetNetwork(MemoryOptions memory = {})
      : network(std::make_shared<CuttingTransport>(std::make_shared<MemoryTransport>(memory))),
        snet(std::make_shared<SnetTransport>(&log, &random)) {
    all.add("mem", network);
    all.add("snet", snet);
  }

  void listen(const std::string& parameters = "", ListenOptions options = {}) {
    options.log = &log;
    options.counters = &counters;
    auto made = all.listen(loop, *Address::parse("snet+mem://server" + parameters), options);
    WAYPORT_ASSERT(made.has_value(), "listen");
    listener = *std::move(made);
    listener->start([this](std::unique_ptr<Incoming> incoming) {
      accepted.push_back(std::make_unique<SnetEnd>(incoming->accept()));
      if (on_accepted) on_accepted(*accepted.back());
    });
  }
  Result<std::unique_ptr<SnetEnd>> dial(const std::string& parameters = "", const DialOptions& options = {}) {
    DialOutcome outcome;
    dial_into(outcome, all, loop, "snet+mem://server" + parameters, options);
    for (int i = 0; i < 1000 && !outcome.done(); ++i) loop.advance(std::chrono::milliseconds(100));
    WAYPORT_ASSERT(outcome.done(), "a dial ends");
    if (!*outcome.result) return fail(outcome.result->error());
    auto end = std::make_unique<SnetEnd>(*std::move(*outcome.result));
    loop.drain();
    return end;
  }
  // A connection below snet.
  std::unique_ptr<SnetEnd> dial_raw() {
    DialOutcome outcome;
    dial_into(outcome, all, loop, "mem://server");
    loop.drain();
    WAYPORT_ASSERT(outcome.done() && *outcome.result, "a raw dial");
    return std::make_unique<SnetEnd>(*std::move(*outcome.result));
  }

  ManualClock clock;
  Loop loop{LoopOptions{.clock = &clock}};
  MemoryLog log;
  SeededRandom random;
  std::shared_ptr<CuttingTransport> network;
  std::shared_ptr<SnetTransport> snet;
  Transports all;
  ListenerCounters counters;
  std::unique_ptr<Listener> listener;
  std::function<void(SnetEnd&)> on_accepted;
  std::vector<std::unique_ptr<SnetEnd>> accepted;
};

}  // namespace wayport::transport

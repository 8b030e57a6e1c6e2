// Every kind of listener with every kind of backend: bytes both ways, ends of one direction, backends that close while
// their clients idle, and resets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <tuple>

#include "wayport/integration/route/live_route.h"

namespace wayport::route {
namespace {

using namespace std::chrono_literals;
using testing::Backend;
using testing::End;
using testing::LiveRoute;
using testing::open_descriptors;
using testing::pattern;

using Pair = std::tuple<const char*, const char*>;

std::string parameters_of(const std::string& scheme, bool listens) {
  if (scheme == "tls" || scheme == "wss") return "?" + (listens ? testing::tls().listen : testing::tls().dial);
  if (scheme == "kcp") return "?mode=fast3&extension=1";
  return "";
}

class Pairs : public ::testing::TestWithParam<Pair> {
 protected:
  static std::string listener() { return std::get<0>(GetParam()); }
  static std::string backend_scheme() { return std::get<1>(GetParam()); }
  static bool websocket() { return listener().starts_with("ws"); }

  static RouteGatewayOptions options() {
    RouteOptions route;
    static int number = 0;
    const std::string place = listener() == "unix"
                                  ? "@wayport-route-" + std::to_string(::getpid()) + "-" + std::to_string(++number)
                                  : "127.0.0.1:0";
    route.listen = {listener() + "://" + place + parameters_of(listener(), true)};
    route.allow = {"127.0.0.0/8:*"};
    route.backend_transport = backend_scheme() + parameters_of(backend_scheme(), false);
    route.zero_copy = true;
    route.linger_time = 300ms;
    return {.routes = {route}};
  }
  void SetUp() override { ASSERT_EQ(live.failed, ""); }
  // Both have sent one byte: a kcp end hears of nobody before, nor learns that the other one ends its streams in order.
  std::unique_ptr<End> join() {
    const std::size_t before = backend.ends.size();
    std::unique_ptr<End> client = live.client(backend.target());
    client->send("!");
    EXPECT_TRUE(live.becomes([&] { return backend.ends.size() == before + 1; }));
    backend.last().send("!");
    EXPECT_TRUE(live.becomes([&] { return !backend.reads || client->events.received == "!"; }));
    return client;
  }
  std::string received_by(const End& end) const {
    return websocket() ? testing::without_prefixes(end.events.received) : end.events.received;
  }
  bool freed() {
    return live.becomes([&] { return live.gateway.connection_count() == 0; });
  }

  LiveRoute live{options()};
  Backend backend{live.all, live.loop, backend_scheme() + "://127.0.0.1:0" + parameters_of(backend_scheme(), true)};
};

TEST_P(Pairs, CarriesBytesBothWaysAndTheAnswerBehindAClientsEnd) {
  const std::unique_ptr<End> client = join();
  End& other = backend.last();
  const std::string up = "!" + pattern(1u << 20, 1), down = "!" + pattern(1u << 20, 2), answer = pattern(300'000, 3);
  client->send(std::string_view(up).substr(1));
  other.send(std::string_view(down).substr(1));
  ASSERT_TRUE(live.becomes([&] {
    return client->events.received.size() >= down.size() && received_by(other).size() >= up.size();
  })) << client->events.received.size()
      << " and " << received_by(other).size();
  EXPECT_TRUE(client->events.received == down);
  EXPECT_TRUE(received_by(other) == up);
  EXPECT_EQ(live.sum(&RouteCounters::relays), 1);

  client->stream->shutdown_write();
  ASSERT_TRUE(live.becomes([&] { return other.events.read_ends == 1; }));
  other.send(answer);
  other.stream->shutdown_write();
  ASSERT_TRUE(live.becomes([&] { return client->events.received.size() >= down.size() + answer.size(); }));
  EXPECT_TRUE(client->events.received == down + answer);
  ASSERT_TRUE(live.becomes([&] { return client->events.read_ends == 1 && freed(); }));
  EXPECT_EQ(live.ended(relay::RelayEnd::both_ended), 1u) << live.log.lines().back();
  EXPECT_EQ(live.sum(&RouteCounters::bytes_from_clients), up.size());
  EXPECT_EQ(live.sum(&RouteCounters::bytes_from_backends), down.size() + answer.size());
}

TEST_P(Pairs, ABackendThatClosesWhileItsClientIdlesFreesEverything) {
  constexpr std::size_t kClients = 20;
  std::size_t before = 0;
  for (int round = 0; round < 3; ++round) {
    {
      std::vector<std::unique_ptr<End>> clients;
      for (std::size_t i = 0; i < kClients; ++i) clients.push_back(join());
      EXPECT_EQ(live.sum(&RouteCounters::relays), static_cast<std::int64_t>(kClients));
      for (const std::unique_ptr<End>& end : backend.ends) end->stream->shutdown_write();
      // The clients say nothing.
      ASSERT_TRUE(freed()) << live.gateway.dump(RouteDump::connections);
      ASSERT_TRUE(live.becomes([&] {
        return std::ranges::all_of(clients, [](const auto& end) { return end->over() || end->events.read_ends == 1; });
      }));
    }
    backend.ends.clear();
    EXPECT_EQ(live.sum(&RouteCounters::handshakes), 0);
    EXPECT_EQ(live.gateway.routes().at(0).admission->connections.read(), 0);
    // Pools of pipes and of sockets have their sizes after the first round.
    if (round == 0) {
      live.becomes([&] { return std::exchange(before, open_descriptors()) == open_descriptors(); });
    } else {
      EXPECT_TRUE(live.becomes([&] { return open_descriptors() <= before; })) << open_descriptors() << " > " << before;
    }
  }
}

// Not kcp: a session that is dropped says nothing, and time-outs find it.
class BreakingPairs : public Pairs {};

TEST_P(BreakingPairs, ABackendThatBreaksOffIsNoEndInOrder) {
  backend.reads = false;
  const std::unique_ptr<End> client = join();
  client->send("never read");
  ASSERT_TRUE(live.becomes([&] { return live.sum(&RouteCounters::joined) == 1; }));
  // Until it lies in the backend's kernel.
  for (int i = 0; i < 20; ++i) live.loop.run_turn(5ms);
  backend.last().stream.reset();
  // Unix sockets know no reset.
  ASSERT_TRUE(live.becomes([&] { return client->over() || (listener() == "unix" && client->events.read_ends == 1); }));
  if (listener() != "unix") {
    EXPECT_EQ(client->events.read_ends, 0u) << "a truncated answer must not look whole";
    EXPECT_NE(to_string(*client->events.closed), "");
  }
  ASSERT_TRUE(freed());
  EXPECT_EQ(live.ended(relay::RelayEnd::backend_failed), 1u) << live.log.lines().back();
}

std::string name_of(const ::testing::TestParamInfo<Pair>& each) {
  return std::string(std::get<0>(each.param)) + "_to_" + std::get<1>(each.param);
}
INSTANTIATE_TEST_SUITE_P(Each, Pairs,
                         ::testing::Combine(::testing::Values("tcp", "tls", "kcp", "ws", "wss", "unix"),
                                            ::testing::Values("tcp", "tls", "kcp")),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Each, BreakingPairs,
                         ::testing::Combine(::testing::Values("tcp", "tls", "ws", "wss", "unix"),
                                            ::testing::Values("tcp", "tls")),
                         name_of);

}  // namespace
}  // namespace wayport::route

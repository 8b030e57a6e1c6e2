// The gateway in virtual time: clients and backends in memory, a transport for backends and a resolver that do what a
// test says. Sockets are in //integration/route.
#include "wayport/gateway/route/route_gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "wayport/base/log_testing.h"
#include "wayport/gateway/relay/relay.h"
#include "wayport/gateway/route/route_connection.h"
#include "wayport/transport/address.h"
#include "wayport/transport/testing/connect.h"
#include "wayport/transport/testing/memory_transport.h"
#include "wayport/transport/testing/recorder.h"

namespace wayport::route {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::Not;
using ::testing::StartsWith;
using transport::chain_of;
using transport::RecordingEvents;
using transport::Stream;

const std::string kOk("\2\0\0\0ok", 6);

std::string identify(std::string_view text) {
  Chain chain;
  EXPECT_TRUE(write_identify(chain, text));
  return chain.to_string();
}

// Something that happens after a time, unless it is destroyed first.
template <class Base>
class Later final : public Base, private Timer {
 public:
  Later(Loop& loop, Duration when, std::size_t& alive, std::move_only_function<void()> call)
      : alive_(alive), call_(std::move(call)) {
    ++alive_;
    if (when >= Duration::zero()) loop.arm(*this, after(loop.now(), when));
  }
  ~Later() { --alive_; }

 private:
  void on_timer() override {
    auto call = std::move(call_);
    call();  // `this` may be gone
  }
  std::size_t& alive_;
  std::move_only_function<void()> call_;
};
constexpr Duration kForEver{-1};

struct Backend {
  std::unique_ptr<Stream> stream;
  RecordingEvents events;
};

// How dials go, by address.
class Backends final : public transport::Transport {
 public:
  struct Answer {
    Duration when{0};
    std::optional<ErrorCode> error{};
  };

  std::unique_ptr<transport::Dial> dial(const transport::Transports&, Loop& loop, const transport::Address& address,
                                        const transport::DialOptions& options,
                                        transport::OnDialed on_done) const override {
    dialed.push_back(address.to_string());
    const auto found = answers.find(address.host());
    const Answer answer = found == answers.end() ? Answer{} : found->second;
    return std::make_unique<Later<transport::Dial>>(
        loop, answer.when, dialing,
        [this, &loop, answer, stream = options.stream, on_done = std::move(on_done)]() mutable {
          if (answer.error) return on_done(fail(*answer.error, "as the test says"));
          transport::MemoryPair pair =
              transport::make_memory_pair(loop, loop, {.window_bytes = window, .stream = stream});
          connected.push_back(std::make_unique<Backend>());
          Backend& backend = *connected.back();
          backend.stream = std::move(pair.b);
          backend.stream->start(backend.events);
          if (!reads) backend.stream->read(false);
          on_done(std::move(pair.a));
        });
  }
  Result<std::unique_ptr<transport::Listener>> listen(const transport::Transports&, Loop&, const transport::Address&,
                                                      const transport::ListenOptions&) const override {
    return fail(ErrorCode::unsupported, "backends only");
  }

  std::map<std::string, Answer> answers;
  std::size_t window = 64 * 1024;
  bool reads = true;
  mutable std::vector<std::string> dialed;
  mutable std::size_t dialing = 0;
  mutable std::vector<std::unique_ptr<Backend>> connected;
};

// "NAME" of the identify is looked up in `answers`; else it is a target. Its identifies are secret.
class Script final : public Resolver {
 public:
  std::unique_ptr<Resolution> resolve(Loop& loop, const ResolveRequest& request, OnOutcome on_done) override {
    const std::string name(request.identify);
    if (name == "never") return std::make_unique<Later<Resolution>>(loop, kForEver, resolving, [] {});
    if (name == "nobody") return known_outcome(loop, Resolved{}, std::move(on_done));
    if (const auto code = route_error_named(name)) {
      return known_outcome(loop, refuse(*code, "as the test says"), std::move(on_done));
    }
    Resolved resolved{.claims = {{"sub", "alice"}}, .how = "test"};
    Result<Target> target = parse_target(request.identify);
    if (!target) return known_outcome(loop, refuse(RouteError::bad_request, "no target"), std::move(on_done));
    resolved.backends.push_back({*std::move(target), std::nullopt});
    return known_outcome(loop, std::move(resolved), std::move(on_done));
  }
  bool identify_is_secret() const noexcept override { return true; }
  std::vector<ResolverCounter> counters() const override { return {{"reloads", reloads}}; }
  void reload() override { ++reloads; }

  std::size_t resolving = 0;
  std::uint64_t reloads = 0;
};

struct Client {
  transport::DialOutcome outcome;
  std::unique_ptr<Stream> stream;
  RecordingEvents events;

  void send(std::string_view bytes) { stream->write(chain_of(bytes)); }
};

class RouteGatewayTest : public ::testing::Test {
 protected:
  RouteGatewayTest() {
    all.add("mem", std::make_shared<transport::MemoryTransport>());
    all.add("tcp", backends);
    resolvers.add("script", [this](const SettingsTable&, const ResolverContext&) -> Result<std::shared_ptr<Resolver>> {
      script = std::make_shared<Script>();
      return script;
    });
    resolvers.add("ipHost", make_literal_resolver);
    route.listen = {"mem://gate"};
    route.resolver = "script";
    route.allow = {"10.0.0.0/8:*"};
  }

  void start(Duration drain = Duration::zero()) {
    gateway = std::make_unique<RouteGateway>(
        runtime,
        RouteGatewayOptions{
            .routes = {route}, .drain = drain, .also_own = also_own, .transports = &all, .resolvers = &resolvers});
    const Result<void> started = gateway->start();
    ASSERT_TRUE(started) << started.error().to_string();
  }
  std::unique_ptr<Client> connect(const std::string& where = "mem://gate") {
    auto client = std::make_unique<Client>();
    transport::dial_into(client->outcome, all, loop(), where);
    run();
    if (client->outcome.done() && *client->outcome.result) {
      client->stream = *std::move(*client->outcome.result);
      client->stream->start(client->events);
    }
    return client;
  }
  std::unique_ptr<Client> ask(std::string_view text) {
    auto client = connect();
    client->send(identify(text));
    run();
    return client;
  }
  // In steps of 1 ms; never in the turn of the identify.
  Duration time_to_refuse(const std::string& text) {
    const auto client = ask(text);
    const TimePoint asked = loop().now();
    EXPECT_EQ(client->events.received, "") << text;
    while (client->events.received.empty() && loop().now() < asked + 1s) run(1ms);
    EXPECT_EQ(client->events.received, kErrorAnswer) << text;
    return loop().now() - asked;
  }
  Loop& loop() { return runtime.loop(0); }
  void run(Duration by = Duration::zero()) { loop().advance(by); }
  const RouteCounters& counters() const { return gateway->counters(0); }
  std::string dump(RouteDump what) {
    std::optional<std::string> text;
    gateway->dump_async(what, [&](std::string all_lines) { text = std::move(all_lines); });
    run();
    return text.value_or("none");
  }
  // Refused, answered, drained, forgotten.
  void expect_refused(Client& client, RouteError code) {
    EXPECT_EQ(client.events.received, kErrorAnswer);
    EXPECT_EQ(client.events.read_ends, 1u);
    EXPECT_EQ(counters().refused_as(code).read(), 1u);
    EXPECT_THAT(log.lines(), ::testing::Contains(AllOf(HasSubstr("route client refused"),
                                                       HasSubstr("code=" + std::string(to_string(code))))));
    client.stream->shutdown_write();
    run();
    EXPECT_TRUE(client.events.closed) << "both ends were sent";
    expect_nobody();
  }
  void expect_nobody() {
    EXPECT_EQ(gateway->connection_count(), 0u);
    EXPECT_EQ(counters().handshakes.read(), 0);
    EXPECT_EQ(counters().relays.read(), 0);
    EXPECT_EQ(gateway->routes().at(0).admission->connections.read(), 0);
    EXPECT_EQ(gateway->routes().at(0).admission->handshakes.read(), 0);
    EXPECT_EQ(backends->dialing, 0u);
  }

  ManualClock clock;
  MemoryLog log;
  Runtime runtime{{.loops = 1, .log = &log, .clock = &clock, .start_threads = false}};
  std::shared_ptr<Backends> backends = std::make_shared<Backends>();
  transport::Transports all;
  ResolverRegistry resolvers;
  std::shared_ptr<Script> script;
  RouteOptions route;
  std::vector<transport::Address> also_own;
  std::unique_ptr<RouteGateway> gateway;
};

// --- the way in ---

TEST_F(RouteGatewayTest, JoinsAClientToTheBackendThatItNames) {
  start();
  const auto client = ask("10.0.0.7:9000");
  EXPECT_EQ(client->events.received, kOk);
  EXPECT_THAT(backends->dialed, ElementsAre("tcp://10.0.0.7:9000"));
  Backend& backend = *backends->connected.at(0);
  EXPECT_EQ(backend.events.received, "") << "the gateway itself sends nothing";
  client->send("ask");
  backend.stream->write(chain_of("answer"));
  run();
  EXPECT_EQ(backend.events.received, "ask");
  EXPECT_EQ(client->events.received, kOk + "answer");
  EXPECT_EQ(counters().relays.read(), 1);
  client->stream->shutdown_write();
  backend.stream->shutdown_write();
  run();
  expect_nobody();
  EXPECT_EQ(counters().bytes_from_clients.read(), 3u);
  EXPECT_EQ(counters().bytes_from_backends.read(), 6u);
  EXPECT_EQ(counters().ended[static_cast<std::size_t>(relay::RelayEnd::both_ended)].read(), 1u);
  EXPECT_THAT(log.lines(),
              ::testing::Contains(AllOf(HasSubstr("info  route connection ended route=route"), HasSubstr("backend="),
                                        HasSubstr("end=both_ended from_client=3 from_backend=6 mode=copy"),
                                        HasSubstr("claims=\"sub=alice\""))));
}

TEST_F(RouteGatewayTest, WhatComesBehindTheIdentifyIsTheBackends) {
  start();
  for (const std::size_t piece : {1u, 2u, 3u, 5u, 8u, 100u}) {
    const auto client = connect();
    const std::string bytes = identify("10.0.0.7:9000") + "GET";
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      client->send(bytes.substr(at, piece));
      run();
    }
    EXPECT_EQ(client->events.received, kOk) << piece;
    EXPECT_EQ(backends->connected.back()->events.received, "GET") << piece;
  }
}

TEST_F(RouteGatewayTest, KeepsABoundedPartBeforeTheDialAndThenEverythingArrives) {
  backends->answers["10.0.0.7"] = {.when = 1s};
  backends->window = 4u << 20;
  start();
  const auto client = ask("10.0.0.7:9000");
  std::string all_bytes(3u << 20, '\0');
  for (std::size_t i = 0; i < all_bytes.size(); ++i) all_bytes[i] = static_cast<char>(i * 31 % 253);
  client->send(all_bytes);
  run(500ms);
  EXPECT_EQ(counters().reads_stopped.read(), 1u);
  EXPECT_GT(client->stream->queued(), 2u << 20) << "the rest is the client's";
  EXPECT_THAT(dump(RouteDump::connections),
              HasSubstr("phase=dialing kept=" + std::to_string(RouteConnection::kKeptBytesMax)));
  run(1s);
  ASSERT_EQ(backends->connected.size(), 1u);
  EXPECT_TRUE(backends->connected[0]->events.received == all_bytes);
}

TEST_F(RouteGatewayTest, AClientsEndDuringTheDialReachesTheBackendAndTheAnswerComesBack) {
  backends->answers["10.0.0.7"] = {.when = 1s};
  start();
  const auto client = ask("10.0.0.7:9000");
  client->send("ask");
  client->stream->shutdown_write();
  run(2s);
  Backend& backend = *backends->connected.at(0);
  EXPECT_EQ(backend.events.received, "ask");
  EXPECT_EQ(backend.events.read_ends, 1u);
  backend.stream->write(chain_of("answer"));
  backend.stream->shutdown_write();
  run();
  EXPECT_EQ(client->events.received, kOk + "answer");
  expect_nobody();
}

TEST_F(RouteGatewayTest, TellsTheBackendWhoTheClientIsBeforeAllElse) {
  route.proxy_protocol = ProxyProtocol::v1;
  start();
  const auto client = connect();
  client->send(identify("10.0.0.7:9000") + "GET");
  run();
  EXPECT_EQ(backends->connected.at(0)->events.received, "PROXY UNKNOWN\r\nGET");
  route.proxy_protocol = ProxyProtocol::v2;
  ASSERT_TRUE(gateway->reload({route}));
  const auto second = connect();
  second->send(identify("10.0.0.7:9000") + "GET");
  run();
  const std::string seen = backends->connected.at(1)->events.received;
  EXPECT_THAT(seen, StartsWith("\r\n\r\n"));
  EXPECT_THAT(seen, HasSubstr("sub=alice")) << "claims go along";
  EXPECT_TRUE(seen.ends_with("GET"));
}

// --- the ways out ---

struct Refused {
  const char* identify;
  RouteError code;
  bool dialed;
};

class EveryRefusal : public RouteGatewayTest, public ::testing::WithParamInterface<Refused> {};

TEST_P(EveryRefusal, IsTheWordErrorAndAClose) {
  route.dial_retry = 0;
  backends->answers["10.0.0.1"] = {.error = ErrorCode::refused};
  backends->answers["10.0.0.2"] = {.when = kForEver};
  backends->answers["10.0.0.3"] = {.error = ErrorCode::unreachable};
  start();
  const auto client = ask(GetParam().identify);
  run(6s);
  EXPECT_EQ(!backends->dialed.empty(), GetParam().dialed);
  expect_refused(*client, GetParam().code);
}

INSTANTIATE_TEST_SUITE_P(Codes, EveryRefusal,
                         ::testing::Values(Refused{"no target", RouteError::bad_request, false},
                                           Refused{"unauthorized", RouteError::unauthorized, false},
                                           Refused{"192.0.2.1:80", RouteError::forbidden, false},
                                           Refused{"169.254.169.254:80", RouteError::forbidden, false},
                                           Refused{"127.0.0.1:22", RouteError::forbidden, false},
                                           Refused{"resolve_failed", RouteError::resolve_failed, false},
                                           Refused{"never", RouteError::resolve_failed, false},
                                           Refused{"10.0.0.1:80", RouteError::dial_refused, true},
                                           Refused{"10.0.0.2:80", RouteError::dial_timeout, true},
                                           Refused{"10.0.0.3:80", RouteError::dial_unreachable, true},
                                           Refused{"overloaded", RouteError::overloaded, false},
                                           Refused{"internal", RouteError::internal, false},
                                           Refused{"nobody", RouteError::internal, false}));

TEST_F(RouteGatewayTest, ABadLengthIsRefusedAtItsLengthWord) {
  route.identify_bytes_max = 100;
  start();
  for (const std::string& word :
       {std::string(4, '\0'), std::string("\x65\0\0\0", 4), std::string("\xff\xff\xff\xff")}) {
    const auto client = connect();
    client->send(word);
    run();
    EXPECT_EQ(client->events.received, kErrorAnswer);
    EXPECT_EQ(client->events.read_ends, 1u);
    client->stream->shutdown_write();
    run();
    EXPECT_TRUE(client->events.closed);
  }
  EXPECT_EQ(counters().refused_as(RouteError::bad_request).read(), 3u);
  expect_nobody();
  const auto client = ask(std::string(100, '9'));
  run(100ms);
  EXPECT_EQ(client->events.received, kErrorAnswer) << "of the largest size, and no target";
}

TEST_F(RouteGatewayTest, RefusalsThatAreNotToBeToldApartComeNoEarlierThanTheDelayAndOffATimer) {
  backends->answers["10.0.0.1"] = {.error = ErrorCode::refused};
  backends->answers["10.0.0.3"] = {.error = ErrorCode::unreachable};
  start();
  const std::pair<Duration, Duration> by_default = {route.refusal_delay, route.refusal_delay_spread};
  for (const auto& [delay, spread] : {by_default, {20ms, 10ms}}) {
    route.refusal_delay = delay;
    route.refusal_delay_spread = spread;
    ASSERT_TRUE(gateway->reload({route}));
    std::vector<Duration> seen;
    for (int i = 0; i < 120; ++i) {
      const char* const texts[] = {"unauthorized", "192.0.2.1:80", "10.0.0.1:80", "10.0.0.3:80"};
      seen.push_back(time_to_refuse(texts[i % 4]));
    }
    EXPECT_THAT(seen, ::testing::Each(AllOf(Ge(delay), Le(delay + spread + 2ms))));
    const auto [least, most] = std::ranges::minmax(seen);
    EXPECT_GT(most - least, spread / 4) << "it varies";
  }
}

TEST_F(RouteGatewayTest, ADialThatWasRefusedLaterThanTheDelayIsAnsweredAtOnce) {
  backends->answers["10.0.0.1"] = {.when = 1s, .error = ErrorCode::refused};
  start();
  const auto client = ask("10.0.0.1:80");
  run(999ms);
  EXPECT_EQ(client->events.received, "");
  run(3ms);
  EXPECT_EQ(client->events.received, kErrorAnswer);
}

TEST_F(RouteGatewayTest, ARefusedClientIsReadOnForABoundedTimeAndABoundedCount) {
  start();
  const auto stays = ask("unauthorized");
  const auto floods = ask("unauthorized");
  run(100ms);
  EXPECT_EQ(stays->events.received, kErrorAnswer);
  EXPECT_EQ(floods->events.received, kErrorAnswer);
  floods->send(std::string(route.refusal_drain_bytes, 'x'));
  run(1ms);
  EXPECT_FALSE(floods->events.closed);
  floods->send("x");
  run(1ms);
  EXPECT_EQ(gateway->connection_count(), 1u);
  run(route.refusal_drain_time - 110ms);
  EXPECT_EQ(gateway->connection_count(), 1u);
  run(20ms);
  expect_nobody();
}

TEST_F(RouteGatewayTest, AClientThatDoesNotIdentifyInTimeIsClosedWithoutAWord) {
  start();
  const auto silent = connect();
  const auto slow = connect();
  for (int i = 0; i < 9; ++i) {
    slow->send(identify("10.0.0.7:9000").substr(static_cast<std::size_t>(i), 1));
    run(1s);
  }
  run(990ms);
  EXPECT_EQ(gateway->connection_count(), 2u);
  run(20ms);
  for (const auto* const client : {&silent, &slow}) {
    EXPECT_EQ((*client)->events.received, "");
    EXPECT_TRUE((*client)->events.read_ends != 0 || (*client)->events.closed);
  }
  EXPECT_EQ(counters().identify_timeouts.read(), 2u);
  expect_nobody();
}

TEST_F(RouteGatewayTest, AnEndBeforeTheIdentifyIsNoRequestAndWithinItIsABadOne) {
  start();
  const auto probe = connect();
  probe->stream->shutdown_write();
  run();
  EXPECT_EQ(probe->events.received, "");
  EXPECT_EQ(counters().gone.read(), 1u);
  const auto half = connect();
  half->send(identify("10.0.0.7:9000").substr(0, 7));
  half->stream->shutdown_write();
  run();
  EXPECT_EQ(half->events.received, kErrorAnswer);
  EXPECT_EQ(counters().refused_as(RouteError::bad_request).read(), 1u);
  expect_nobody();
}

TEST_F(RouteGatewayTest, LimitsAreKeptAtAcceptAndGivenBack) {
  route.limits.handshakes_max = 2;
  route.limits.connections_max = 3;
  start();
  const auto one = connect();
  const auto two = connect();
  const auto third = connect();
  run();
  EXPECT_EQ(gateway->connection_count(), 2u);
  EXPECT_EQ(counters().refused_as(RouteError::overloaded).read(), 1u);
  EXPECT_EQ(log.count("route connection not let in"), 1u);
  EXPECT_TRUE(third->events.closed || third->events.read_ends != 0);
  EXPECT_EQ(third->events.received, "");
  one->send(identify("10.0.0.7:1"));
  two->send(identify("10.0.0.7:1"));
  run();
  EXPECT_EQ(counters().relays.read(), 2);
  const auto fourth = ask("10.0.0.7:1");
  EXPECT_EQ(fourth->events.received, kOk) << "who relays is in no handshake";
  const auto fifth = connect();
  run();
  EXPECT_EQ(counters().refused_as(RouteError::overloaded).read(), 2u) << "connections_max";
  for (const auto& backend : backends->connected) backend->stream->shutdown_write();
  run(route.linger_time + 1s);
  const auto sixth = ask("10.0.0.7:1");
  EXPECT_EQ(sixth->events.received, kOk);
}

TEST_F(RouteGatewayTest, WhatASecretIdentifyIsIsInNoLog) {
  start();
  const std::string secret = "s3cr3t-t0ken";
  const auto client = ask(secret);
  run(100ms);
  EXPECT_EQ(client->events.received, kErrorAnswer);
  EXPECT_EQ(log.count(secret), 0u);
  EXPECT_EQ(log.count("route client refused"), 1u);
}

TEST_F(RouteGatewayTest, RefusalsOfOneCauseAreLoggedAtALimitedRate) {
  start();
  for (int i = 0; i < 100; ++i) ask("unauthorized");
  EXPECT_EQ(counters().refused_as(RouteError::unauthorized).read(), 100u);
  EXPECT_LE(log.count("route client refused"), 10u);
}

// --- relays ---

TEST_F(RouteGatewayTest, ABackendThatClosesWhileItsClientIdlesFreesBoth) {
  start();
  const auto client = ask("10.0.0.7:9000");
  backends->connected.at(0)->stream->shutdown_write();
  run();
  EXPECT_EQ(client->events.read_ends, 1u);
  EXPECT_EQ(counters().relays.read(), 1) << "the client may still send";
  run(route.linger_time + 1s);
  EXPECT_EQ(counters().ended[static_cast<std::size_t>(relay::RelayEnd::lingered)].read(), 1u);
  expect_nobody();
}

TEST_F(RouteGatewayTest, ABackendThatBreaksOffIsNoEndInOrder) {
  start();
  const auto client = ask("10.0.0.7:9000");
  Backend& backend = *backends->connected.at(0);
  backend.stream->read(false);
  run();
  client->send("never read");
  run();
  backend.stream.reset();
  run(1s);
  EXPECT_TRUE(client->events.closed || client->events.read_ends != 0);
  EXPECT_EQ(counters().ended[static_cast<std::size_t>(relay::RelayEnd::backend_failed)].read(), 1u);
  expect_nobody();
}

TEST_F(RouteGatewayTest, ASlowBackendCostsABoundedAmountOfMemory) {
  route.relay_high_water_bytes = 64 << 10;
  route.relay_low_water_bytes = 16 << 10;
  backends->reads = false;
  start();
  const auto client = ask("10.0.0.7:9000");
  client->send(std::string(16u << 20, 'x'));
  run(1s);
  const std::string queues = dump(RouteDump::queues);
  EXPECT_THAT(queues, HasSubstr("unsent_to_backend="));
  const std::size_t unsent = std::stoul(queues.substr(queues.find("unsent_to_backend=") + 18));
  EXPECT_LE(unsent, (64u << 10) + (256u << 10)) << "high water and one read";
  EXPECT_GT(client->stream->queued(), 14u << 20);
  backends->connected.at(0)->stream->read(true);
  run(1s);
  EXPECT_EQ(backends->connected[0]->events.received.size(), 16u << 20);
  run(1s);
  EXPECT_EQ(counters().bytes_from_clients.read(), 16u << 20) << "counted while it runs";
  EXPECT_EQ(dump(RouteDump::queues), "");
}

TEST_F(RouteGatewayTest, AnIdleRelayEndsIfThatIsConfigured) {
  route.idle_timeout = 10s;
  start();
  const auto client = ask("10.0.0.7:9000");
  run(9s);
  client->send("x");
  run(9s);
  EXPECT_EQ(counters().relays.read(), 1);
  run(2s);
  EXPECT_EQ(counters().ended[static_cast<std::size_t>(relay::RelayEnd::idle)].read(), 1u);
  expect_nobody();
}

// --- reload ---

TEST_F(RouteGatewayTest, AReloadChangesWhatNewConnectionsGetAndLeavesLiveOnesAlone) {
  start();
  EXPECT_THAT(gateway->addresses(), ElementsAre("mem://gate"));
  const auto live = ask("10.0.0.7:9000");
  const auto halfway = connect();
  const std::shared_ptr<Script> before = script;
  RouteOptions changed = route;
  changed.success_message = "welcome";
  changed.allow = {"10.1.0.0/16:*"};
  changed.listen = {"mem://gate", "mem://second"};
  ASSERT_TRUE(gateway->reload({changed}));
  EXPECT_THAT(gateway->addresses(), ElementsAre("mem://gate", "mem://second"));
  EXPECT_EQ(script, before) << "its settings did not change";
  EXPECT_EQ(script->reloads, 1u);
  live->send("still there");
  halfway->send(identify("10.0.0.7:9000"));
  run();
  EXPECT_EQ(backends->connected.at(0)->events.received, "still there");
  EXPECT_EQ(halfway->events.received, kOk) << "it was accepted under the earlier settings";
  const auto refused = ask("10.0.0.7:9000");
  run(100ms);
  EXPECT_EQ(refused->events.received, kErrorAnswer);
  const auto taken = connect("mem://second");
  taken->send(identify("10.1.0.7:9000"));
  run();
  EXPECT_EQ(taken->events.received, std::string("\7\0\0\0welcome", 11));

  changed.listen = {"mem://second"};
  ASSERT_TRUE(gateway->reload({changed}));
  run();
  const auto nobody = connect();
  ASSERT_TRUE(nobody->outcome.done());
  EXPECT_THAT(nobody->outcome.error(), HasSubstr("nobody listens"));
  live->send("!");
  run();
  EXPECT_EQ(backends->connected[0]->events.received, "still there!");
}

TEST_F(RouteGatewayTest, AReloadThatFailsChangesNothing) {
  start();
  const auto expect_as_before = [&](const std::string& why) {
    EXPECT_THAT(gateway->addresses(), ElementsAre("mem://gate")) << why;
    const auto client = ask("10.0.0.7:9000");
    EXPECT_EQ(client->events.received, kOk) << why;
    EXPECT_EQ(gateway->routes().size(), 1u);
  };
  RouteOptions bad = route;
  bad.name = "other";
  bad.listen = {"nothing://x"};
  Result<void> reloaded = gateway->reload({route, bad});
  ASSERT_FALSE(reloaded);
  EXPECT_THAT(reloaded.error().detail, AllOf(HasSubstr("route \"other\""), HasSubstr("nothing")));
  expect_as_before("an address that cannot be listened on");
  const auto gone = connect("mem://more");
  EXPECT_THAT(gone->outcome.error(), HasSubstr("nobody listens"));

  bad = route;
  bad.resolver = "zookeeper";
  reloaded = gateway->reload({bad});
  ASSERT_FALSE(reloaded);
  EXPECT_THAT(reloaded.error().detail, HasSubstr("zookeeper"));
  expect_as_before("a resolver that is none");

  reloaded = gateway->reload({route, route});
  ASSERT_FALSE(reloaded);
  EXPECT_THAT(reloaded.error().detail, HasSubstr("two routes are called"));
  reloaded = gateway->reload({});
  ASSERT_FALSE(reloaded);
  expect_as_before("no route");
}

TEST_F(RouteGatewayTest, LimitsCountWhoIsThereAlreadyOverAReload) {
  start();
  const auto live = ask("10.0.0.7:9000");
  for (const std::size_t max : {1u, 1u, 2u}) {
    route.limits.connections_max = max;
    ASSERT_TRUE(gateway->reload({route}));
    EXPECT_EQ(ask("10.0.0.7:9000")->events.received, max == 1 ? "" : kOk);
  }
  EXPECT_EQ(counters().refused_as(RouteError::overloaded).read(), 2u);
}

TEST_F(RouteGatewayTest, WhereOtherPartsOfTheProcessListenIsNoBackendEither) {
  route.allow = {"127.0.0.0/8:*", "10.0.0.0/8:*"};
  also_own = {transport::Address::of("tcp", "127.0.0.1", 9100), *transport::Address::parse("tls://:4901?cert=c&key=k"),
              transport::Address::of("tcp", "10.9.9.9", 4900)};
  start();
  for (const std::uint64_t refused : {4u, 8u}) {  // from the start, and after a reload
    backends->dialed.clear();
    for (const char* const own : {"127.0.0.1:9100", "127.0.0.1:4901", "127.0.0.7:4901", "10.9.9.9:4900"}) ask(own);
    EXPECT_THAT(backends->dialed, IsEmpty());
    EXPECT_EQ(counters().refused_as(RouteError::forbidden).read(), refused);
    for (const char* const other : {"127.0.0.1:9101", "127.0.0.2:9100", "10.9.9.9:4901"}) {
      EXPECT_EQ(ask(other)->events.received, kOk) << other;
    }
    ASSERT_TRUE(gateway->reload({route}));
  }
}

// --- the end ---

TEST_F(RouteGatewayTest, ADrainWaitsForWhoIsThereAndEndsWithTheLast) {
  start(1h);
  const auto client = ask("10.0.0.7:9000");
  bool closed = false;
  gateway->close_async([&] { closed = true; });
  run(30min);
  EXPECT_TRUE(gateway->closing());
  EXPECT_FALSE(closed);
  EXPECT_FALSE(gateway->reload({route}));
  client->send("still");
  run();
  EXPECT_EQ(backends->connected.at(0)->events.received, "still");
  const auto late = connect();
  EXPECT_THAT(late->outcome.error(), HasSubstr("nobody listens"));
  client->stream->shutdown_write();
  backends->connected[0]->stream->shutdown_write();
  run(1ms);
  EXPECT_TRUE(closed);
}

TEST_F(RouteGatewayTest, ADrainThatIsOverClosesWhoIsLeftInEveryPhase) {
  backends->answers["10.0.0.2"] = {.when = kForEver};
  start(1s);
  const auto relaying = ask("10.0.0.7:9000");
  const auto dialing = ask("10.0.0.2:9000");
  const auto resolving = ask("never");
  const auto silent = connect();
  const auto refused = ask("unauthorized");
  bool closed = false;
  gateway->close_async([&] { closed = true; });
  run(999ms);
  EXPECT_FALSE(closed);
  run(2s);
  EXPECT_TRUE(closed);
  for (const auto* const client : {&relaying, &dialing, &resolving, &silent}) {
    EXPECT_TRUE((*client)->events.closed || (*client)->events.read_ends != 0);
  }
  EXPECT_EQ(counters().dials_canceled.read(), 1u);
  EXPECT_EQ(script->resolving, 0u);
  expect_nobody();
}

TEST_F(RouteGatewayTest, AGatewayMayBeDroppedWithClientsInEveryPhase) {
  backends->answers["10.0.0.2"] = {.when = kForEver};
  start();
  const auto relaying = ask("10.0.0.7:9000");
  const auto dialing = ask("10.0.0.2:9000");
  const auto resolving = ask("never");
  const auto silent = connect();
  const auto refused = ask("unauthorized");
  gateway.reset();
  EXPECT_EQ(backends->dialing, 0u);
  EXPECT_EQ(script->resolving, 0u);
  run(1s);
  EXPECT_TRUE(relaying->events.closed || relaying->events.read_ends != 0);
}

// --- looking ---

TEST_F(RouteGatewayTest, OperatorsSeeConnectionsInTheirPhases) {
  backends->answers["10.0.0.2"] = {.when = kForEver};
  start();
  const auto relaying = ask("10.0.0.7:9000");
  const auto dialing = ask("10.0.0.2:9000");
  const auto silent = connect();
  run(2s);
  EXPECT_THAT(dump(RouteDump::connections),
              AllOf(HasSubstr("route=route loop=0 client=mem:// phase=relaying backend=\"10.0.0.7:9000 at "
                              "tcp://10.0.0.7:9000\" mode=copy from_client=0 from_backend=0 unsent_to_client=0 "
                              "unsent_to_backend=0 age=2s\n"),
                    HasSubstr("phase=dialing"), HasSubstr("phase=identify kept=0 age=2s\n")));
  const auto infos = gateway->routes();
  ASSERT_EQ(infos.size(), 1u);
  EXPECT_EQ(infos[0].name, "route");
  EXPECT_EQ(infos[0].resolver, "script");
  EXPECT_EQ(infos[0].admission->connections.read(), 3);
  ASSERT_EQ(infos[0].resolver_counters.size(), 1u);
}

TEST_F(RouteGatewayTest, EveryRelayIsLookedAtWithinASecondHoweverManyThereAre) {
  constexpr std::size_t kMany = 4096 + 404;
  start();
  std::vector<std::unique_ptr<Client>> clients;
  for (std::size_t i = 0; i < kMany; ++i) clients.push_back(ask("10.0.0.7:9000"));
  ASSERT_EQ(counters().relays.read(), static_cast<std::int64_t>(kMany));
  run(2s);
  ASSERT_EQ(counters().bytes_from_clients.read(), 0u);
  for (const auto& client : clients) client->send("x");
  run(1001ms);
  EXPECT_EQ(counters().bytes_from_clients.read(), kMany);
}

TEST_F(RouteGatewayTest, OptionsAreCheckedAtTheStart) {
  const auto error_of = [this](RouteGatewayOptions options) {
    options.transports = &all;
    options.resolvers = &resolvers;
    RouteGateway wrong(runtime, std::move(options));
    const Result<void> started = wrong.start();
    return started ? std::string() : started.error().detail;
  };
  EXPECT_THAT(error_of({}), HasSubstr("there is no route"));
  EXPECT_THAT(error_of({.routes = {route}, .drain = 25h}), HasSubstr("drain is 25h"));
  RouteOptions open = route;
  open.resolver = "ipHost";
  open.allow = {"0.0.0.0/0:*"};
  EXPECT_THAT(error_of({.routes = {open}}), HasSubstr("open_relay"));
  open.open_relay = true;
  EXPECT_EQ(error_of({.routes = {open}}), "");
  EXPECT_EQ(log.count("OPEN RELAY"), 1u);
}

}  // namespace
}  // namespace wayport::route

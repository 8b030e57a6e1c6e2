// The driver: transports, slow receivers, ends and restarts, what operators see. Over real sockets unless it says so.
#include "wayport/gateway/link/link_gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <string>
#include <thread>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/gateway/link/testing/live_gateway.h"
#include "wayport/gateway/link/testing/rig.h"
#include "wayport/transport/default_transports.h"
#include "wayport/transport/testing/connect.h"
#include "wayport/transport/testing/memory_transport.h"
#include "wayport/transport/testing/recorder.h"

namespace wayport::link {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::command;
using testing::data;
using ::testing::HasSubstr;
using testing::LiveGateway;
using testing::RawEnd;
using transport::RecordingEvents;

// Dials server `id`; the connection id.
std::uint32_t dial(RawEnd& client, RawEnd& server, std::uint32_t id) {
  client.send(command(Command::dial(id)));
  const std::string accepted = client.read_frame();
  EXPECT_EQ(accepted.substr(0, 9), command(Command::accept(0, id)).substr(0, 9));
  EXPECT_EQ(server.read_frame().substr(8, 5), "\2" + accepted.substr(9, 4));
  return accepted.size() < 13 ? 0 : load_le<std::uint32_t>(as_bytes(accepted).data() + 9);
}

std::string patterned(std::uint32_t connection, std::uint32_t number, std::size_t size) {
  std::string payload(size, static_cast<char>(number * 7 + connection));
  store_le(reinterpret_cast<std::byte*>(payload.data()), number);
  return data(connection, payload);
}

// --- slow receivers ---

struct Slow : ::testing::TestWithParam<unsigned> {
  static LinkGatewayOptions options(SlowPolicy policy) {
    LinkGatewayOptions options;
    options.switching.slow_policy = policy;
    options.switching.packet_bytes_max = 64 << 10;
    options.switching.virtual_queue = {256 << 10, 1000};
    options.switching.client_queue = {512 << 10, 2000};
    options.switching.server_queue = {512 << 10, 2000};
    options.listen_clients = {"tcp://127.0.0.1:0?sndbuf=8192"};
    options.listen_servers = {"tcp://127.0.0.1:0?sndbuf=8192"};
    return options;
  }
  // Where there are several loops, servers start on the second.
  explicit Slow() = default;
  static std::vector<RawEnd> skip(const LiveGateway& live, unsigned loops) {
    std::vector<RawEnd> others;
    if (loops > 1) others.push_back(live.bare_server());
    return others;
  }
  static constexpr int kReceiveBytes = 4096;
};

TEST_P(Slow, CloseEndsThatVirtualConnectionAndNothingElse) {
  LiveGateway live({options(SlowPolicy::close), GetParam()});
  const auto others = skip(live, GetParam());
  RawEnd server = live.server(1);
  RawEnd stuck = live.client(kReceiveBytes);
  RawEnd lively = live.client();
  const std::uint32_t slow = dial(stuck, server, 1);
  const std::uint32_t fine = dial(lively, server, 1);
  // Until the gateway ends the slow one; the other one gets its frame each time.
  std::string closed;
  std::uint32_t sent = 0;
  for (; closed.empty() && sent < 20'000; ++sent) {
    ASSERT_TRUE(server.send(patterned(slow, sent, 2000) + patterned(fine, sent, 100)));
    ASSERT_EQ(lively.read_frame(), patterned(fine, sent, 100));
    if (live.sum(&SwitchCounters::closed_virtual_queue) != 0) closed = server.read_frame();
  }
  EXPECT_EQ(closed, command(Command::close(slow)));
  EXPECT_LE(live.sum(&SwitchCounters::queued_bytes), 512 << 10);
  EXPECT_EQ(live.sum(&SwitchCounters::cut_slow), 0u);
  // What was queued before comes whole and in order, then Close; the physical connection lives.
  std::uint32_t number = 0;
  std::string frame = stuck.read_frame();
  for (; frame != command(Command::close(slow)) && !frame.empty(); ++number, frame = stuck.read_frame()) {
    ASSERT_EQ(frame, patterned(slow, number, 2000));
  }
  EXPECT_EQ(frame, command(Command::close(slow)));
  EXPECT_GT(number, 100u);
  EXPECT_TRUE(stuck.quiet());
  EXPECT_TRUE(live.becomes([&] { return live.sum(&SwitchCounters::slow) == 0; }));
}

TEST_P(Slow, CutEndsTheReceiver) {
  LiveGateway live({options(SlowPolicy::cut), GetParam()});
  const auto others = skip(live, GetParam());
  RawEnd server = live.server(1);
  RawEnd stuck = live.client(kReceiveBytes);
  const std::uint32_t slow = dial(stuck, server, 1);
  for (std::uint32_t i = 0; i < 20'000 && live.sum(&SwitchCounters::cut_slow) == 0; ++i) {
    ASSERT_TRUE(server.send(patterned(slow, i, 2000)));
  }
  EXPECT_EQ(live.sum(&SwitchCounters::cut_slow), 1u);
  EXPECT_EQ(server.read_frame(), command(Command::close(slow)));
  EXPECT_LT(stuck.read_to_end().size(), 20'000u * 2000);
  EXPECT_TRUE(live.becomes([&] { return live.sum(&SwitchCounters::clients) == 0; }));
  EXPECT_TRUE(live.becomes([&] { return live.log.count("does not keep up") == 1; }));
}

TEST_P(Slow, PauseHoldsTheClientAndLosesNothing) {
  const LinkGatewayOptions options = Slow::options(SlowPolicy::pause);
  LiveGateway live({options, GetParam()});
  const auto others = skip(live, GetParam());
  RawEnd server = live.server(1, kReceiveBytes);
  RawEnd eager = live.client();
  RawEnd other = live.client();
  const std::uint32_t connection = dial(eager, server, 1);
  constexpr std::uint32_t kFrames = 8000;
  std::thread sender([&] {
    for (std::uint32_t i = 0; i < kFrames; ++i) {
      if (!eager.send(patterned(connection, i, 2000))) break;
    }
  });
  EXPECT_TRUE(live.becomes([&] { return live.sum(&SwitchCounters::paused) == 1; }));
  EXPECT_LE(live.sum(&SwitchCounters::queued_bytes), options.switching.virtual_queue.bytes_max);
  EXPECT_TRUE(other.quiet());
  for (std::uint32_t i = 0; i < kFrames; ++i) {
    const std::string frame = server.read_frame();
    EXPECT_EQ(frame.size(), patterned(connection, i, 2000).size());
    if (frame != patterned(connection, i, 2000)) {
      ADD_FAILURE() << "frame " << i;
      break;
    }
  }
  sender.join();
  EXPECT_TRUE(server.quiet());
  EXPECT_TRUE(eager.quiet());
  EXPECT_GT(live.sum(&SwitchCounters::pauses), 0u);
  EXPECT_EQ(live.sum(&SwitchCounters::paused), 0);
  EXPECT_EQ(live.sum(&SwitchCounters::closed_virtual_queue), 0u);
}

TEST_P(Slow, PauseClosesWhatAServerSendsToASlowClient) {
  LiveGateway live({options(SlowPolicy::pause), GetParam()});
  const auto others = skip(live, GetParam());
  RawEnd server = live.server(1);
  RawEnd stuck = live.client(kReceiveBytes);
  const std::uint32_t slow = dial(stuck, server, 1);
  for (std::uint32_t i = 0; i < 20'000 && live.sum(&SwitchCounters::closed_virtual_queue) == 0; ++i) {
    ASSERT_TRUE(server.send(patterned(slow, i, 2000)));
  }
  EXPECT_EQ(server.read_frame(), command(Command::close(slow)));
  EXPECT_EQ(live.sum(&SwitchCounters::pauses), 0u);
}
INSTANTIATE_TEST_SUITE_P(Loops, Slow, ::testing::Values(1u, 2u));

// --- frames ---

// Large frames are moved, small ones copied once; both arrive as they were sent, across loops, too.
TEST(LinkGateway, ForwardsFramesOfEverySizeAsTheyAre) {
  for (const unsigned loops : {1u, 3u}) {
    LiveGateway live({{}, loops});
    RawEnd first = live.bare_server();
    RawEnd server = live.server(1);
    RawEnd client = live.client();
    const std::uint32_t connection = dial(client, server, 1);
    std::uint64_t bytes = 0;
    for (const std::size_t size : {4u, 64u, 4000u, 4096u, 32'700u, 32'768u, 40'000u, 262'144u, 524'284u}) {
      const std::string up = patterned(connection, 1, size);
      const std::string down = patterned(connection, 2, size);
      bytes += up.size() + down.size();
      std::thread sender([&] { client.send(up); });
      EXPECT_TRUE(server.read_frame() == up) << size;
      sender.join();
      std::thread answerer([&] { server.send(down); });
      EXPECT_TRUE(client.read_frame() == down) << size;
      answerer.join();
    }
    std::uint64_t moved = 0;
    std::uint64_t copied = 0;
    for (unsigned i = 0; i < loops; ++i) {
      moved += live.gateway->driver_counters(i).bytes_moved.read();
      copied += live.gateway->driver_counters(i).bytes_copied.read();
    }
    EXPECT_GE(moved + copied, bytes);
    EXPECT_LT(moved + copied, bytes + 1000);  // commands
    EXPECT_GT(moved, bytes / 2);
  }
}

TEST(LinkGateway, CarriesManyConversationsOverThreeLoops) {
  LiveGateway live({{}, 3});
  std::vector<RawEnd> servers;
  for (std::uint32_t id = 0; id < 3; ++id) servers.push_back(live.server(id));
  struct Talk {
    RawEnd client;
    std::uint32_t connection;
  };
  std::vector<Talk> talks;
  for (std::uint32_t i = 0; i < 30; ++i) {
    RawEnd client = live.client();
    const std::uint32_t server = (i + i / 10) % 3;  // ten for each; on the client's loop and on others
    const std::uint32_t connection = dial(client, servers[server], server);
    talks.push_back({std::move(client), connection});
  }
  constexpr std::uint32_t kEach = 200;
  std::vector<std::thread> echoes;
  for (RawEnd& server : servers) {
    echoes.emplace_back([&server] {
      for (std::uint32_t i = 0; i < 10 * kEach; ++i) server.send(server.read_frame());
    });
  }
  for (Talk& talk : talks) {
    for (std::uint32_t i = 0; i < kEach; ++i) talk.client.send(patterned(talk.connection, i, 64));
  }
  for (Talk& talk : talks) {
    for (std::uint32_t i = 0; i < kEach; ++i) {
      ASSERT_EQ(talk.client.read_frame(), patterned(talk.connection, i, 64)) << talk.connection;
    }
  }
  for (std::thread& echo : echoes) echo.join();
  EXPECT_EQ(live.sum(&SwitchCounters::frames_to_servers), 30u * kEach);
  EXPECT_EQ(live.sum(&SwitchCounters::frames_to_clients), 30u * kEach);
  EXPECT_GT(live.sum(&SwitchCounters::frames_over_mail), 0u);
  EXPECT_EQ(live.gateway->virtual_count(), 30u);
}

TEST(LinkGateway, RefusesMoreClientsThanItMayHave) {
  LinkGatewayOptions options;
  options.switching.clients_max = 2;
  LiveGateway live({options});
  RawEnd one = live.client();
  RawEnd two = live.client();
  EXPECT_TRUE(one.quiet());
  EXPECT_TRUE(two.quiet());
  RawEnd three = live.client();
  EXPECT_TRUE(three.closed());
  EXPECT_EQ(live.sum(&SwitchCounters::refused_clients), 1u);
  one.hang_up();
  EXPECT_TRUE(live.becomes([&] { return live.sum(&SwitchCounters::clients) == 1; }));
  EXPECT_TRUE(live.client().quiet());
}

// --- transports ---

TEST(LinkGateway, ListensOnAnyTransportOfEitherSide) {
  const std::string name = "unix://@wayport-link-" + std::to_string(::getpid());
  LinkGatewayOptions options;
  options.listen_clients = {"tcp://127.0.0.1:0", name + "-c"};
  options.listen_servers = {name + "-s"};
  LiveGateway live({options, 2});
  ASSERT_EQ(live.gateway->client_addresses().size(), 2u);
  RawEnd server = live.server(1);
  RawEnd over_tcp = live.client();
  RawEnd over_unix(live.gateway->client_addresses().at(1));
  const std::uint32_t one = dial(over_tcp, server, 1);
  const std::uint32_t two = dial(over_unix, server, 1);
  server.send(data(one, "to one") + data(two, "to two"));
  EXPECT_EQ(over_tcp.read_frame(), data(one, "to one"));
  EXPECT_EQ(over_unix.read_frame(), data(two, "to two"));
}

// A player whose path dies comes back to the virtual connection that he had.
TEST(LinkGateway, ClientsOverSnetSurviveTheLossOfTheirConnection) {
  for (const char* const encrypt : {"0", "1"}) {
    LinkGatewayOptions options;
    options.listen_clients = {std::string("snet+tcp://127.0.0.1:0?encrypt=") + encrypt};
    options.switching.client_idle_timeout = milliseconds(300);
    LiveGateway live({options, 2});
    RawEnd server = live.server(1);
    Loop loop;
    const transport::Transports transports = transport::default_transports();
    transport::DialOutcome outcome;
    dial_into(outcome, transports, loop, live.gateway->client_addresses().at(0));
    ASSERT_TRUE(transport::run_until(loop, [&] { return outcome.done(); }));
    ASSERT_TRUE(*outcome.result) << outcome.error();
    std::unique_ptr<transport::Stream> stream = std::move(**outcome.result);
    RecordingEvents events;
    stream->start(events);
    const auto say = [&](std::string_view bytes) {
      Chain chain;
      chain.append(bytes);
      stream->write(std::move(chain));
    };
    const auto hears = [&](const std::string& bytes) {
      const bool heard =
          transport::run_until(loop, [&] { return events.received.size() >= bytes.size() || events.closed; });
      EXPECT_TRUE(heard);
      EXPECT_EQ(to_hex(as_bytes(events.received)), to_hex(as_bytes(bytes)));
      events.received.clear();
    };
    say(command(Command::dial(1)));
    hears(command(Command::accept(1, 1)));
    server.read_frame();
    EXPECT_TRUE(stream->reconnect_now());  // drops the connection it has
    server.send(data(1, "meanwhile"));
    hears(data(1, "meanwhile"));
    // Idle: the gateway breaks only the connection of the moment (spec/link.md 6), and the client dials again.
    transport::run_until(loop, [] { return false; }, milliseconds(700));
    EXPECT_FALSE(events.closed);
    say(data(1, "still here"));
    std::future<std::string> heard = std::async(std::launch::async, [&server] { return server.read_frame(); });
    transport::run_until(loop, [&] { return heard.wait_for(seconds(0)) == std::future_status::ready; });
    EXPECT_EQ(heard.get(), data(1, "still here"));
    EXPECT_EQ(live.sum(&SwitchCounters::idle), 0u);
    EXPECT_EQ(live.sum(&SwitchCounters::clients), 1);
  }
}

// --- start and end ---

TEST(LinkGateway, SaysWhatIsWrongWithItsOptions) {
  Runtime runtime({.loops = 1, .log = &null_log()});
  const auto error = [&](LinkGatewayOptions options) {
    LinkGateway gateway(runtime, std::move(options));
    const Result<void> started = gateway.start();
    return started ? std::string("none") : started.error().to_string();
  };
  const LinkGatewayOptions good{.listen_clients = {"tcp://127.0.0.1:0"}, .listen_servers = {"tcp://127.0.0.1:0"}};
  EXPECT_EQ(error(good), "none");
  LinkGatewayOptions bad = good;
  bad.listen_servers.clear();
  EXPECT_THAT(error(bad), HasSubstr("listen_servers"));
  bad = good;
  bad.drain = seconds(-1);
  EXPECT_THAT(error(bad), HasSubstr("drain"));
  bad.drain = std::chrono::hours(25);
  EXPECT_THAT(error(bad), HasSubstr("drain"));
  bad = good;
  bad.switching.client_queue.messages_max = 0;
  EXPECT_THAT(error(bad), HasSubstr("client_queue"));
  bad = good;
  bad.listen_servers = {"pigeon://127.0.0.1:0"};
  EXPECT_THAT(error(bad), HasSubstr("cannot listen for servers on pigeon://127.0.0.1: no transport"));
  bad = good;
  bad.listen_clients = {"not an address"};
  EXPECT_THAT(error(bad), HasSubstr("cannot listen for clients"));
}

TEST(LinkGateway, WarnsOfAnEmptyKeyWhereOthersReachIt) {
  LinkGatewayOptions open;
  open.listen_servers = {"tcp://0.0.0.0:0"};
  EXPECT_EQ(LiveGateway({open}).log.count("the key is empty"), 1u);
  open.key = "secret";
  LiveGateway with_key({open});
  EXPECT_EQ(with_key.log.count("the key is empty"), 0u);
  EXPECT_EQ(with_key.log.count("secret"), 0u);
  EXPECT_EQ(LiveGateway().log.count("the key is empty"), 0u);
}

TEST(LinkGateway, ADrainWaitsForVirtualConnectionsAndRefusesDials) {
  LinkGatewayOptions options;
  options.drain = seconds(3600);
  LiveGateway live({options, 2});
  RawEnd server = live.server(1);
  RawEnd client = live.client();
  RawEnd late = live.client();
  const std::uint32_t connection = dial(client, server, 1);
  std::promise<void> closed;
  std::future<void> future = closed.get_future();
  live.gateway->close_async([&closed] { closed.set_value(); });
  EXPECT_TRUE(live.gateway->closing());
  EXPECT_TRUE(live.becomes([&] { return live.log.count("link gateway drains") == 1; }));
  late.send(command(Command::dial(1)));
  EXPECT_EQ(late.read_frame(), command(Command::refuse(1)));
  server.send(data(connection, "goes on"));
  EXPECT_EQ(client.read_frame(), data(connection, "goes on"));
  EXPECT_THROW(live.client(), std::system_error);  // nobody listens
  EXPECT_EQ(future.wait_for(seconds(0)), std::future_status::timeout);
  client.send(command(Command::close(connection)));
  EXPECT_EQ(client.read_frame(), command(Command::close(connection)));
  EXPECT_EQ(future.wait_for(seconds(20)), std::future_status::ready);
  EXPECT_TRUE(client.closed());
  EXPECT_TRUE(late.closed());
  live.gateway->close_blocking();  // again: shares the end
}

TEST(LinkGateway, ADrainThatIsOverClosesWhatIsLeft) {
  LinkGatewayOptions options;
  options.drain = milliseconds(50);
  LiveGateway live({options, 2});
  RawEnd server = live.server(1);
  RawEnd client = live.client();
  dial(client, server, 1);
  live.gateway->close_blocking();
  EXPECT_EQ(live.log.count("the drain is over"), 1u);
  EXPECT_TRUE(command(Command::close(1)).starts_with(client.read_to_end()));
  EXPECT_EQ(live.gateway->connection_count(), 0u);
}

TEST(LinkGateway, AbortEndsADrain) {
  LinkGatewayOptions options;
  options.drain = seconds(3600);
  LiveGateway live({options});
  RawEnd server = live.server(1);
  RawEnd client = live.client();
  dial(client, server, 1);
  std::promise<void> closed;
  live.gateway->close_async([&closed] { closed.set_value(); });
  live.gateway->abort();
  EXPECT_EQ(closed.get_future().wait_for(seconds(20)), std::future_status::ready);
}

TEST(LinkGateway, HandsItsListenersOverOrTakesThemBack) {
  LinkGatewayOptions options;
  std::string clients;
  std::vector<int> kept;
  {
    LiveGateway live;
    clients = live.gateway->client_addresses().at(0);
    const std::vector<int> fds = live.gateway->hand_over_listeners();
    ASSERT_EQ(fds.size(), 2u);
    for (const int fd : fds) kept.push_back(::dup(fd));
    live.gateway->close_blocking();
    EXPECT_NO_THROW(RawEnd{clients});  // waits in the successor's queue
  }
  {
    LinkGatewayOptions next;
    next.listen_options.inherited_fd = kept[0];
    next.listen_clients = {clients};
    next.listen_servers = {"unix://@wayport-heir-" + std::to_string(::getpid())};
    // Only one of the two can take it.
    LinkGatewayOptions bad = next;
    Runtime runtime({.loops = 1, .log = &null_log()});
    LinkGateway both(runtime, bad);
    EXPECT_FALSE(both.start());
  }
  ::close(kept[1]);
  LiveGateway again;
  const std::string address = again.gateway->client_addresses().at(0);
  EXPECT_EQ(again.gateway->hand_over_listeners().size(), 2u);
  again.gateway->take_back_listeners();
  EXPECT_TRUE(again.client().quiet());
  again.gateway->close_blocking();
  EXPECT_THROW(RawEnd{address}, std::system_error);
}

// --- looking ---

TEST(LinkGateway, DumpsWhatOperatorsAskFor) {
  LiveGateway live({{}, 2});
  RawEnd server = live.server(77);
  RawEnd client = live.client();
  dial(client, server, 77);
  RawEnd bare = live.bare_server();
  bare.read(kFrameHeaderBytes);
  const std::string sessions = live.gateway->dump(LinkDump::sessions);
  EXPECT_THAT(sessions, HasSubstr("client=1 loop=0 peer=tcp://127.0.0.1:"));
  EXPECT_THAT(sessions, HasSubstr("server=77 loop=0 peer=tcp://127.0.0.1:"));
  EXPECT_THAT(sessions, HasSubstr("virtuals=1 unsent=0 idle="));
  EXPECT_THAT(sessions, HasSubstr("authenticating"));
  EXPECT_EQ(live.gateway->dump(LinkDump::virtuals), "connection=1 client=1 client_loop=0 server=77 server_loop=0\n");
  EXPECT_EQ(live.gateway->dump(LinkDump::queues), "");
  EXPECT_EQ(live.gateway->connection_count(), 3u);
}

TEST(LinkGateway, DumpsTheLongestQueuesFirst) {
  LinkGatewayOptions options = Slow::options(SlowPolicy::close);
  options.switching.virtual_queue = {16u << 20, 100'000};
  options.switching.client_queue = {16u << 20, 100'000};
  LiveGateway live({options, 2});
  RawEnd server = live.server(1);
  RawEnd one = live.client(Slow::kReceiveBytes);
  RawEnd two = live.client(Slow::kReceiveBytes);
  const std::uint32_t little = dial(one, server, 1);
  const std::uint32_t much = dial(two, server, 1);
  for (std::uint32_t i = 0; i < 4000; ++i) {
    ASSERT_TRUE(server.send(patterned(much, i, 2000)));
    if (i % 2 == 0) ASSERT_TRUE(server.send(patterned(little, i, 2000)));
  }
  ASSERT_TRUE(server.quiet());
  live.settle();
  const std::string queues = live.gateway->dump(LinkDump::queues);
  EXPECT_TRUE(queues.starts_with("client=2 loop=1")) << queues;
  EXPECT_THAT(queues, HasSubstr("\nclient=1 loop=0"));
  EXPECT_THAT(queues, HasSubstr(" slow"));
}

// --- virtual time, without a kernel ---

struct Still {
  explicit Still(LinkGatewayOptions options = {}) {
    transports.add("mem", std::make_shared<transport::MemoryTransport>());
    options.listen_clients = {"mem://clients"};
    options.listen_servers = {"mem://servers"};
    options.transports = &transports;
    gateway = std::make_unique<LinkGateway>(runtime, std::move(options));
    EXPECT_TRUE(gateway->start());
  }
  Loop& loop() { return runtime.loop(0); }
  std::unique_ptr<transport::Stream> connect(const char* where, RecordingEvents& events) {
    transport::DialOutcome outcome;
    dial_into(outcome, transports, loop(), where);
    loop().drain();
    std::unique_ptr<transport::Stream> stream = std::move(**outcome.result);
    stream->start(events);
    loop().drain();
    return stream;
  }

  ManualClock clock;
  Runtime runtime{{.loops = 1, .log = &null_log(), .clock = &clock, .start_threads = false}};
  transport::Transports transports;
  std::unique_ptr<LinkGateway> gateway;
};

TEST(LinkGatewayTime, IdleTimeoutsAndHandshakesEndOnTheMillisecond) {
  Still still;
  RecordingEvents client_events;
  RecordingEvents server_events;
  const auto client = still.connect("mem://clients", client_events);
  const auto server = still.connect("mem://servers", server_events);
  EXPECT_EQ(server_events.received.size(), 8u);
  still.loop().advance(milliseconds(4999));
  EXPECT_EQ(server_events.read_ends, 0u);
  still.loop().advance(milliseconds(2));
  EXPECT_TRUE(server_events.read_ends == 1 || server_events.closed);
  const std::string ping = command(Command::ping());
  Chain chain;
  chain.append(std::string_view(ping));
  client->write(std::move(chain));
  still.loop().drain();
  EXPECT_EQ(client_events.received, ping);
  still.loop().advance(milliseconds(29'990));
  EXPECT_EQ(client_events.read_ends, 0u);
  still.loop().advance(milliseconds(12));
  EXPECT_TRUE(client_events.read_ends == 1 || client_events.closed);
  EXPECT_EQ(still.gateway->counters(0).idle.read(), 1u);
  EXPECT_EQ(still.gateway->counters(0).handshake_timeouts.read(), 1u);
  EXPECT_EQ(still.gateway->connection_count(), 0u);
}

}  // namespace
}  // namespace wayport::link

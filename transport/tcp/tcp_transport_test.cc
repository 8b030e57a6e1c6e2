#include "wayport/transport/tcp/tcp_transport.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <system_error>

#include "wayport/base/log_testing.h"
#include "wayport/transport/testing/connect.h"
#include "wayport/transport/testing/recorder.h"

namespace wayport::transport {
namespace {

using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

using namespace std::chrono_literals;

Transports tcp_only(ResolverOptions resolver = {}) {
  Transports all;
  all.add("tcp", std::make_shared<TcpTransport>(std::move(resolver)));
  return all;
}

Connection connected(Loop& loop, const std::string& listen, const std::string& dial_parameters = "") {
  Result<Connection> connection = connect_through(tcp_only(), loop, listen, dial_parameters);
  EXPECT_TRUE(connection) << connection.error().to_string();
  return connection ? *std::move(connection) : Connection{};
}

std::string listen_error(const std::string& address, const ListenOptions& options = {}) {
  Loop loop;
  const auto listener = tcp_only().listen(loop, *Address::parse(address), options);
  return listener ? "" : listener.error().to_string();
}

int option(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof(value);
  ::getsockopt(fd, level, name, &value, &size);
  return value;
}

bool has_ipv6() {
  const Fd fd(::socket(AF_INET6, SOCK_STREAM, 0));
  sockaddr_in6 loopback{};
  loopback.sin6_family = AF_INET6;
  loopback.sin6_addr = in6addr_loopback;
  return fd && ::bind(fd.get(), reinterpret_cast<sockaddr*>(&loopback), sizeof(loopback)) == 0;
}

TEST(Tcp, BytesGoBothWays) {
  Loop loop;
  Connection c = connected(loop, "tcp://127.0.0.1:0");
  ASSERT_TRUE(c.client && c.server);
  RecordingEvents client, server;
  c.client->start(client);
  c.server->start(server);
  c.client->write(chain_of("ping"));
  c.server->write(chain_of("pong"));
  EXPECT_TRUE(run_until(loop, [&] { return client.received == "pong" && server.received == "ping"; }));
  c.client->close(CloseReason::local(ErrorCode::local_closed, ""));
  EXPECT_TRUE(run_until(loop, [&] { return server.read_ends == 1; }));
}

TEST(Tcp, BothSidesKnowBothAddresses) {
  Loop loop;
  const Connection c = connected(loop, "tcp://127.0.0.1:0");
  ASSERT_TRUE(c.client && c.server);
  EXPECT_EQ(c.client->peer().remote_url(), dial_address(*c.listener));
  EXPECT_EQ(c.client->peer().remote, c.server->peer().local);
  EXPECT_EQ(c.client->peer().local, c.server->peer().remote);
  EXPECT_THAT(c.server->peer().remote_url(), StartsWith("tcp://127.0.0.1:"));
}

TEST(Tcp, AListenerWithoutAHostTakesBothFamiliesAndShowsIPv4Plainly) {
  if (!has_ipv6()) GTEST_SKIP() << "needs the privilege to use an IPv6 loopback";
  for (const char* any : {"tcp://:0", "tcp://[::]:0"}) {
    Loop loop;
    const Transports all = tcp_only();
    auto listener = all.listen(loop, *Address::parse(any), {});
    ASSERT_TRUE(listener) << listener.error().to_string();
    std::vector<std::string> remotes;
    (*listener)->start([&](std::unique_ptr<Incoming> incoming) { remotes.push_back(incoming->peer().remote_url()); });
    const std::string port = std::to_string((*listener)->address().port());
    DialOutcome v4, v6;
    dial_into(v4, all, loop, "tcp://127.0.0.1:" + port);
    dial_into(v6, all, loop, "tcp://[::1]:" + port);
    EXPECT_TRUE(run_until(loop, [&] { return remotes.size() == 2; }));
    EXPECT_THAT(remotes, Contains(StartsWith("tcp://127.0.0.1:")));
    EXPECT_THAT(remotes, Contains(StartsWith("tcp://[::1]:")));
  }
}

TEST(Tcp, V6onlyLeavesIPv4Out) {
  if (!has_ipv6()) GTEST_SKIP() << "needs the privilege to use an IPv6 loopback";
  Loop loop;
  const Transports all = tcp_only();
  const auto listener = all.listen(loop, *Address::parse("tcp://[::]:0?v6only=1"), {});
  ASSERT_TRUE(listener);
  DialOutcome v4;
  dial_into(v4, all, loop, "tcp://127.0.0.1:" + std::to_string((*listener)->address().port()));
  EXPECT_TRUE(run_until(loop, [&] { return v4.done(); }));
  EXPECT_THAT(v4.error(), StartsWith("refused:"));
}

TEST(Tcp, LocalhostIsANameForBothSides) {
  Loop loop;
  const Connection c = connected(loop, "tcp://localhost:0");
  EXPECT_TRUE(c.client && c.server);
}

TEST(Tcp, OptionsReachTheSockets) {
  Loop loop;
  Connection c = connected(loop, "tcp://127.0.0.1:0?nodelay=0&keepalive=0&congestion=reno&rcvbuf=64KiB&sndbuf=32KiB",
                           "?keepalive=1m30s&congestion=reno");
  ASSERT_TRUE(c.client && c.server);
  RecordingEvents client, server;
  c.client->start(client);
  c.server->start(server);
  const std::optional<Fd> dialed = c.client->detach();
  const std::optional<Fd> accepted = c.server->detach();
  ASSERT_TRUE(dialed && accepted);
  EXPECT_EQ(option(dialed->get(), IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_EQ(option(dialed->get(), SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option(dialed->get(), IPPROTO_TCP, TCP_KEEPIDLE), 90);
  EXPECT_EQ(option(dialed->get(), IPPROTO_TCP, TCP_KEEPINTVL), 30);
  EXPECT_EQ(option(accepted->get(), IPPROTO_TCP, TCP_NODELAY), 0);
  EXPECT_EQ(option(accepted->get(), SOL_SOCKET, SO_KEEPALIVE), 0);
  EXPECT_EQ(option(accepted->get(), SOL_SOCKET, SO_RCVBUF), 2 * 64 * 1024);
  EXPECT_EQ(option(accepted->get(), SOL_SOCKET, SO_SNDBUF), 2 * 32 * 1024);
  char congestion[16] = {};
  socklen_t size = sizeof(congestion);
  ::getsockopt(accepted->get(), IPPROTO_TCP, TCP_CONGESTION, congestion, &size);
  EXPECT_STREQ(congestion, "reno");
}

TEST(Tcp, BadAddressesAreRefusedByName) {
  EXPECT_THAT(listen_error("tcp://127.0.0.1:0?nodlay=1"), HasSubstr("unknown parameter \"nodlay\""));
  EXPECT_THAT(listen_error("tcp://127.0.0.1:0?nodelay=yes"), HasSubstr("nodelay=yes is neither 0 nor 1"));
  EXPECT_THAT(listen_error("tcp://127.0.0.1:0?keepalive=-1s"), HasSubstr("keepalive=-1s"));
  EXPECT_THAT(listen_error("tcp://127.0.0.1:0?keepalive=1000h"), HasSubstr("32767s"));
  EXPECT_THAT(listen_error("tcp://127.0.0.1:0?rcvbuf=4GiB"), HasSubstr("rcvbuf"));
  EXPECT_THAT(listen_error("tcp://127.0.0.1:0?congestion=nonesuch"), HasSubstr("congestion=nonesuch"));
  EXPECT_THAT(listen_error("tcp://127.0.0.1:0/path"), HasSubstr("no path"));
  EXPECT_THAT(listen_error("tcp://nowhere.invalid:0"), HasSubstr("/etc/hosts"));
  EXPECT_THAT(listen_error("tcp+tcp://127.0.0.1:0"), HasSubstr("nothing below"));
  EXPECT_THAT(listen_error("sctp://127.0.0.1:0"), StartsWith("unsupported: no transport for \"sctp\""));

  Loop loop;
  const Transports all = tcp_only();
  for (const auto& [address, error] : std::vector<std::pair<std::string, std::string>>{
           {"tcp://127.0.0.1", "no port to dial"},
           {"tcp://:80", "no host to dial"},
           {"tcp://127.0.0.1:1?reuse_port=1", "unknown parameter \"reuse_port\""},
           {"tcp://127.0.0.1:1/x", "no path"},
           {"nonesuch://127.0.0.1:1", "no transport for \"nonesuch\""},
       }) {
    DialOutcome outcome;
    dial_into(outcome, all, loop, address);
    EXPECT_FALSE(outcome.done()) << "called back from inside dial()";
    loop.drain();
    EXPECT_THAT(outcome.error(), HasSubstr(error));
  }
}

TEST(Tcp, APortInUseIsRefusedUnlessBothSayReusePort) {
  Loop loop;
  const Transports all = tcp_only();
  const auto first = all.listen(loop, *Address::parse("tcp://127.0.0.1:0"), {});
  ASSERT_TRUE(first);
  EXPECT_THAT(listen_error((*first)->address().to_string()), HasSubstr("bind 127.0.0.1:"));

  const auto shared = all.listen(loop, *Address::parse("tcp://127.0.0.1:0?reuse_port=1"), {});
  ASSERT_TRUE(shared);
  EXPECT_EQ(listen_error((*shared)->address().to_string()), "");
}

TEST(Tcp, DialingNobodyIsRefused) {
  Loop loop;
  std::string nobody;
  {
    const auto listener = tcp_only().listen(loop, *Address::parse("tcp://127.0.0.1:0"), {});
    nobody = (*listener)->address().to_string();
  }
  DialOutcome outcome;
  const Transports all = tcp_only();
  dial_into(outcome, all, loop, nobody);
  EXPECT_FALSE(outcome.done());
  ASSERT_TRUE(run_until(loop, [&] { return outcome.done(); }));
  EXPECT_THAT(outcome.error(), StartsWith("refused: cannot connect to " + nobody));
}

// A listening socket whose backlog is full drops what comes: a dial to it stays under way for as long as it is let.
struct FullBacklog {
  FullBacklog() {
    listening = Fd(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(where);
    EXPECT_EQ(::bind(listening.get(), reinterpret_cast<sockaddr*>(&where), size), 0);
    EXPECT_EQ(::listen(listening.get(), 0), 0);
    EXPECT_EQ(::getsockname(listening.get(), reinterpret_cast<sockaddr*>(&where), &size), 0);
    port = ntohs(where.sin_port);
    for (int i = 0; i < 4; ++i) {
      waiting[i] = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
      static_cast<void>(::connect(waiting[i].get(), reinterpret_cast<sockaddr*>(&where), size));
    }
  }
  Fd listening;
  Fd waiting[4];
  std::uint16_t port = 0;
};

TEST(Tcp, ADialThatTakesTooLongTimesOut) {
  ManualClock clock;
  Loop loop({.clock = &clock});
  const FullBacklog full;
  DialOutcome outcome;
  const Transports all = tcp_only();
  dial_into(outcome, all, loop, "tcp://127.0.0.1:" + std::to_string(full.port), {.timeout = 3s});
  loop.advance(3s - 1ms);
  EXPECT_FALSE(outcome.done());
  loop.advance(2ms);
  EXPECT_THAT(outcome.error(), StartsWith("timed_out: no connection to tcp://127.0.0.1:"));
  EXPECT_THAT(outcome.error(), HasSubstr("within 3s"));
}

TEST(Tcp, DestroyingADialCancelsIt) {
  ManualClock clock;
  Loop loop({.clock = &clock});
  const FullBacklog full;
  DialOutcome waiting, failing;
  const Transports all = tcp_only();
  dial_into(waiting, all, loop, "tcp://127.0.0.1:" + std::to_string(full.port));
  dial_into(failing, all, loop, "tcp://127.0.0.1:1");
  waiting.dial.reset();
  failing.dial.reset();
  loop.advance(1min);
  EXPECT_FALSE(waiting.done());
  EXPECT_FALSE(failing.done());
}

TEST(Tcp, ADialMayBeDestroyedInItsCallback) {
  Loop loop;
  auto listener = tcp_only().listen(loop, *Address::parse("tcp://127.0.0.1:0"), {});
  ASSERT_TRUE(listener);
  std::unique_ptr<Dial> dial;
  bool done = false;
  const Transports all = tcp_only();
  dial = all.dial(loop, (*listener)->address(), {}, [&](Result<std::unique_ptr<Stream>> stream) {
    EXPECT_TRUE(stream);
    dial.reset();
    done = true;
  });
  EXPECT_TRUE(run_until(loop, [&] { return done; }));
}

TEST(Tcp, ARefusedAddressLeadsStraightToTheNext) {
  // localhost is 127.0.0.1, then ::1.
  if (!has_ipv6()) GTEST_SKIP() << "needs the privilege to use an IPv6 loopback";
  ManualClock clock;  // no stagger is waited for
  Loop loop({.clock = &clock});
  const Transports all = tcp_only();
  auto listener = all.listen(loop, *Address::parse("tcp://[::1]:0"), {});
  ASSERT_TRUE(listener);
  DialOutcome outcome;
  dial_into(outcome, all, loop, "tcp://localhost:" + std::to_string((*listener)->address().port()));
  ASSERT_TRUE(run_until(loop, [&] { return outcome.done(); }));
  ASSERT_TRUE(*outcome.result) << outcome.error();
  EXPECT_THAT((**outcome.result)->peer().remote_url(), StartsWith("tcp://[::1]:"));
}

TEST(Tcp, ASilentAddressIsOvertakenAfter250ms) {
  if (!has_ipv6()) GTEST_SKIP() << "needs the privilege to use an IPv6 loopback";
  ManualClock clock;
  Loop loop({.clock = &clock});
  const Transports all = tcp_only();
  const FullBacklog silent;  // 127.0.0.1, tried first
  auto listener = all.listen(loop, *Address::parse("tcp://[::1]:" + std::to_string(silent.port)), {});
  ASSERT_TRUE(listener) << listener.error().to_string();
  DialOutcome outcome;
  dial_into(outcome, all, loop, "tcp://localhost:" + std::to_string(silent.port));
  loop.advance(249ms);
  EXPECT_FALSE(outcome.done());
  loop.advance(2ms);
  ASSERT_TRUE(run_until(loop, [&] { return outcome.done(); }));
  ASSERT_TRUE(*outcome.result) << outcome.error();
  EXPECT_THAT((**outcome.result)->peer().remote_url(), StartsWith("tcp://[::1]:"));
}

TEST(Tcp, ConnectionsAreHandedOutToLoopsInTurn) {
  Loop home, other;
  const Transports all = tcp_only();
  ListenOptions options;
  options.loops = {&home, &other};
  auto listener = all.listen(home, *Address::parse("tcp://127.0.0.1:0"), options);
  ASSERT_TRUE(listener);
  std::vector<Loop*> on;
  (*listener)->start([&](std::unique_ptr<Incoming> incoming) {
    on.push_back(Loop::current());
    EXPECT_EQ(&incoming->accept()->loop(), on.back());
  });
  DialOutcome dials[4];
  for (DialOutcome& dial : dials) dial_into(dial, all, home, (*listener)->address().to_string());
  EXPECT_TRUE(run_until(home, [&] {
    other.run_turn();
    return on.size() == 4;
  }));
  EXPECT_EQ(std::ranges::count(on, &home), 2);
  EXPECT_EQ(std::ranges::count(on, &other), 2);
}

TEST(Tcp, NoCallbackStartsAfterTheListenerWentAndConnectionsLiveOn) {
  Loop home, other;
  const Transports all = tcp_only();
  ListenOptions options;
  options.loops = {&home, &other};
  auto listener = all.listen(home, *Address::parse("tcp://127.0.0.1:0"), options);
  ASSERT_TRUE(listener);
  std::vector<std::unique_ptr<Stream>> accepted;
  (*listener)->start([&](std::unique_ptr<Incoming> incoming) { accepted.push_back(incoming->accept()); });
  DialOutcome dials[2];
  for (DialOutcome& dial : dials) dial_into(dial, all, home, (*listener)->address().to_string());
  ASSERT_TRUE(run_until(home, [&] { return dials[0].done() && dials[1].done() && !accepted.empty(); }));
  listener->reset();
  other.drain();  // the second connection was on its way there
  EXPECT_EQ(accepted.size(), 1u);
  RecordingEvents client, server;
  accepted[0]->start(server);
  std::unique_ptr<Stream> stream = *std::move(*dials[0].result);
  stream->start(client);
  stream->write(chain_of("alive"));
  EXPECT_TRUE(run_until(home, [&] { return server.received == "alive"; }));
}

TEST(Tcp, AListenerMayBeDestroyedInItsCallback) {
  Loop loop;
  const Transports all = tcp_only();
  auto listener = all.listen(loop, *Address::parse("tcp://127.0.0.1:0"), {});
  ASSERT_TRUE(listener);
  const std::string address = (*listener)->address().to_string();
  int calls = 0;
  const auto alive = std::make_shared<int>(7);
  (*listener)->start([&, alive](std::unique_ptr<Incoming>) {
    ++calls;
    listener->reset();
    EXPECT_EQ(*alive, 7);  // what the function captured lives until it returns
  });
  DialOutcome dials[2];
  for (DialOutcome& dial : dials) dial_into(dial, all, loop, address);
  EXPECT_TRUE(run_until(loop, [&] { return dials[0].done() && dials[1].done(); }));
  loop.drain();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(alive.use_count(), 1);
}

TEST(Tcp, APausedListenerLeavesConnectionsWaiting) {
  Loop loop;
  const Transports all = tcp_only();
  auto listener = all.listen(loop, *Address::parse("tcp://127.0.0.1:0"), {});
  ASSERT_TRUE(listener);
  int accepted = 0;
  (*listener)->start([&](std::unique_ptr<Incoming>) { ++accepted; });
  (*listener)->pause(true);
  DialOutcome dial;
  dial_into(dial, all, loop, (*listener)->address().to_string());
  ASSERT_TRUE(run_until(loop, [&] { return dial.done(); }));
  loop.drain();
  EXPECT_EQ(accepted, 0);
  (*listener)->pause(false);
  EXPECT_TRUE(run_until(loop, [&] { return accepted == 1; }));
}

TEST(Tcp, AnUndecidedOrRejectedConnectionIsClosed) {
  Loop loop;
  const Transports all = tcp_only();
  auto listener = all.listen(loop, *Address::parse("tcp://127.0.0.1:0"), {});
  ASSERT_TRUE(listener);
  bool reject = false;
  (*listener)->start([&](std::unique_ptr<Incoming> incoming) {
    if (reject) incoming->reject({ErrorCode::refused, "not you", {}});
  });
  for (const bool rejecting : {false, true}) {
    reject = rejecting;
    DialOutcome dial;
    dial_into(dial, all, loop, (*listener)->address().to_string());
    ASSERT_TRUE(run_until(loop, [&] { return dial.done(); }));
    RecordingEvents events;
    std::unique_ptr<Stream> stream = *std::move(*dial.result);
    stream->start(events);
    EXPECT_TRUE(run_until(loop, [&] { return events.read_ends == 1; }));
  }
}

TEST(Tcp, AnInheritedSocketIsTakenOverWithItsBacklog) {
  Loop loop;
  const Transports all = tcp_only();
  auto old = all.listen(loop, *Address::parse("tcp://127.0.0.1:0"), {});
  ASSERT_TRUE(old);
  const std::string address = (*old)->address().to_string();
  DialOutcome dial;
  dial_into(dial, all, loop, address);
  ASSERT_TRUE(run_until(loop, [&] { return dial.done(); }));
  ListenOptions options;
  options.inherited_fd = ::dup((*old)->inheritable_fds().front());
  old->reset();
  auto successor = all.listen(loop, *Address::parse(address), options);
  ASSERT_TRUE(successor) << successor.error().to_string();
  int accepted = 0;
  (*successor)->start([&](std::unique_ptr<Incoming>) { ++accepted; });
  EXPECT_TRUE(run_until(loop, [&] { return accepted == 1; }));
}

TEST(Tcp, AnInheritedDescriptorMustBeAListeningSocketOfTheRightKindAndPort) {
  ListenOptions options;
  const Fd pipe_like(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  options.inherited_fd = pipe_like.get();
  EXPECT_THAT(listen_error("tcp://127.0.0.1:0", options), HasSubstr("inherited descriptor"));
  const Fd not_listening(::socket(AF_INET, SOCK_STREAM, 0));
  options.inherited_fd = not_listening.get();
  EXPECT_THAT(listen_error("tcp://127.0.0.1:0", options), HasSubstr("does not listen"));
  const Fd datagram(::socket(AF_INET, SOCK_DGRAM, 0));
  options.inherited_fd = datagram.get();
  EXPECT_THAT(listen_error("tcp://127.0.0.1:0", options), HasSubstr("another kind"));
  const FullBacklog other_port;
  options.inherited_fd = other_port.listening.get();
  EXPECT_THAT(listen_error("tcp://127.0.0.1:1", options), HasSubstr("not that of"));
  // It stays the caller's after a failure.
  EXPECT_GE(::fcntl(other_port.listening.get(), F_GETFD), 0);
}

// Goal: without descriptors, accepting neither spins nor stops for good. Method: the limit is lowered to what is open.
TEST(Tcp, WithoutDescriptorsAcceptingRestsShedsAndRecovers) {
  ManualClock clock;
  Loop loop({.clock = &clock});
  MemoryLog log;
  ListenerCounters counters;
  ListenOptions options;
  options.log = &log;
  options.counters = &counters;
  const Transports all = tcp_only();
  auto listener = all.listen(loop, *Address::parse("tcp://127.0.0.1:0"), options);
  ASSERT_TRUE(listener);
  std::vector<std::unique_ptr<Stream>> accepted;
  (*listener)->start([&](std::unique_ptr<Incoming> incoming) { accepted.push_back(incoming->accept()); });

  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  where.sin_port = htons((*listener)->address().port());
  Fd clients[3];
  for (Fd& client : clients) {
    client = Fd(::socket(AF_INET, SOCK_STREAM, 0));
    ASSERT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&where), sizeof(where)), 0);
  }
  // While there are no descriptors nothing is asserted, and no type is used for the first time: UBSan would open a
  // pipe.
  LogLimit limit;
  static_cast<Log&>(log).write(limit, clock.now(), LogLevel::debug, "warm",
                               {{"a", "b"}, {"c", std::generic_category().message(EMFILE)}});
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(clients[2].get()) + 1;  // nothing below it is free
  std::vector<Fd> fill;
  while (fill.empty() || fill.back().get() < clients[2].get()) fill.emplace_back(::dup(0));
  fill.pop_back();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  loop.drain();  // aborts the test if it spins
  const std::uint64_t at_once = counters.exhausted;
  char byte;
  const ssize_t first = ::recv(clients[0].get(), &byte, 1, MSG_DONTWAIT);
  const ssize_t second = ::recv(clients[1].get(), &byte, 1, MSG_DONTWAIT);
  loop.advance(49ms);
  const std::uint64_t after_49_ms = counters.exhausted;
  loop.advance(2ms);
  const std::uint64_t after_51_ms = counters.exhausted;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);

  EXPECT_EQ(at_once, 1u);
  EXPECT_EQ(first, 0) << "the first was shed";
  EXPECT_EQ(second, -1) << "the second waits";
  EXPECT_EQ(after_49_ms, 1u);
  EXPECT_EQ(after_51_ms, 2u);
  EXPECT_THAT(accepted, IsEmpty());
  loop.advance(101ms);
  EXPECT_EQ(accepted.size(), 1u);
  EXPECT_EQ(counters.accepted.load(), 1u);
  EXPECT_EQ(log.count("accept failed, resting"), 2u);
}

TEST(Tcp, ConnectionsOnTheirWayToALoopAreBounded) {
  Loop home, slow;
  ListenOptions options;
  options.loops = {&slow};
  options.handshakes_max = 2;
  const Transports all = tcp_only();
  auto listener = all.listen(home, *Address::parse("tcp://127.0.0.1:0"), options);
  ASSERT_TRUE(listener);
  int arrived = 0;
  (*listener)->start([&](std::unique_ptr<Incoming>) { ++arrived; });
  DialOutcome dials[3];
  for (DialOutcome& dial : dials) dial_into(dial, all, home, (*listener)->address().to_string());
  ASSERT_TRUE(run_until(home, [&] { return dials[0].done() && dials[1].done() && dials[2].done(); }));
  home.drain();
  slow.drain();
  EXPECT_EQ(arrived, 2);
  EXPECT_TRUE(run_until(home, [&] {
    slow.drain();
    return arrived == 3;
  }));
}

}  // namespace
}  // namespace wayport::transport

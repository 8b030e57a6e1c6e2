// What a kcp listener bounds, hands out and hands over, and what its address may say.
#include "wayport/transport/kcp/kcp_listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "wayport/base/log_testing.h"
#include "wayport/transport/kcp/kcp_address.h"
#include "wayport/transport/kcp/kcp_testing.h"
#include "wayport/transport/kcp/segment.h"
#include "wayport/transport/kcp/testing/lossy_link.h"
#include "wayport/transport/kcp/udp_socket.h"
#include "wayport/transport/testing/certificates.h"
#include "wayport/transport/tls/tls_transport.h"

namespace wayport::transport::kcp {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::LossyLink;
using ::testing::StartsWith;
using testing::World;

constexpr const char* kFast = "mode=fast3&sndwnd=256&rcvwnd=256&ack_nodelay=1";
std::string fast(const std::string& more = "") { return std::string(kFast) + (more.empty() ? "" : "&" + more); }

// A peer without a KCP of its own: datagrams as the test writes them.
struct RawPeer {
  explicit RawPeer(std::uint16_t to, const char* ip = "127.0.0.1")
      : fd(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
    sockaddr_storage address{};
    const socklen_t size = SocketAddress::from_ip(ip, to)->store(address);
    connected = ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0;
  }
  void send(std::string_view bytes) const {
    ASSERT_EQ(::send(fd.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }
  void push(std::uint32_t conv, std::uint32_t sn, std::string_view payload, std::uint32_t una = 0) const {
    std::string bytes(kSegmentHeaderBytes, '\0');
    auto* const to = reinterpret_cast<std::byte*>(bytes.data());
    store_le(to, conv);
    to[4] = std::byte{81};
    store_le<std::uint16_t>(to + 6, 32);
    store_le<std::uint32_t>(to + 12, sn);
    store_le<std::uint32_t>(to + 16, una);
    store_le(to + 20, static_cast<std::uint32_t>(payload.size()));
    send(bytes + std::string(payload));
  }
  std::string receive() const {
    std::array<char, 2048> buffer;
    const ssize_t size = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
    return size < 0 ? std::string() : std::string(buffer.data(), static_cast<std::size_t>(size));
  }
  Fd fd;
  bool connected = false;
};

TEST(KcpListener, HostileDatagramsDoNothing) {
  for (const char* more : {"", "fec=10,3", "crypt=aes-128-gcm&key=000102030405060708090a0b0c0d0e0f", "crypt=none"}) {
    SCOPED_TRACE(more);
    World world(fast(more));
    const RawPeer peer(world.bound().port());
    std::uint64_t random = 1;
    std::size_t sent = 0;
    for (std::size_t size = 1; size < 1500; size += 7, ++sent) {
      std::string bytes(size, '\0');
      for (char& c : bytes) c = static_cast<char>((random = random * 6364136223846793005u + 1) >> 56);
      if (size > 24) bytes[4] = 81 + static_cast<char>(size % 4);
      peer.send(bytes);
    }
    peer.send(std::string(1501, 'x'));
    peer.send(std::string(9000, 'x'));
    sent += 2;
    ASSERT_TRUE(world.until([&] {
      return world.counter("InErrs") + world.counter("InCsumErrors") + world.counter("OpenerRefused") +
                 world.counter("TombstoneDrops") >=
             sent / 2;
    }));
    world.loop.drain();
    EXPECT_THAT(world.servers, IsEmpty());
    EXPECT_EQ(world.counter("OutPkts"), 0u);
    EXPECT_EQ(peer.receive(), "");
  }
}

TEST(KcpListener, WhoDoesNotAnswerIsForgotten) {
  ManualClock clock;
  World world(fast(), "", {}, {.clock = &clock});
  const RawPeer peer(world.bound().port());
  peer.push(7, 0, "x");
  ASSERT_TRUE(world.accepted(1));
  EXPECT_FALSE(world.server(0).events.closed);
  world.loop.advance(11s);
  ASSERT_TRUE(world.server(0).events.closed);
  EXPECT_EQ(world.server(0).events.closed->error.code, ErrorCode::timed_out);
  EXPECT_THAT(world.server(0).events.closed->error.detail, HasSubstr("half_open_timeout"));
  EXPECT_EQ(world.counter("HalfOpenExpired"), 1u);
}

TEST(KcpListener, SessionsAreBounded) {
  World world(fast(), "sessions=3");
  std::vector<RawPeer> peers;
  for (int i = 0; i < 4; ++i) {
    peers.emplace_back(world.bound().port());
    peers.back().push(static_cast<std::uint32_t>(i + 1), 0, "x");
  }
  ASSERT_TRUE(world.until([&] { return world.counter("SessionLimitDrops") == 1; }));
  EXPECT_EQ(world.servers.size(), 3u);
  // A place that becomes free is taken.
  world.server(0).stream.reset();
  world.loop.drain();
  peers.back().push(4, 0, "x");
  EXPECT_TRUE(world.accepted(4));
}

TEST(KcpListener, HalfOpenSessionsAreBounded) {
  World world(fast(), "half_open=2");
  std::vector<RawPeer> peers;
  for (int i = 0; i < 3; ++i) {
    peers.emplace_back(world.bound().port());
    peers.back().push(static_cast<std::uint32_t>(i + 1), 0, "x");
  }
  ASSERT_TRUE(world.until([&] { return world.counter("SessionLimitDrops") == 1; }));
  // One that was heard twice is not half-open any more.
  peers[0].push(1, 1, "y");
  ASSERT_TRUE(world.until([&] { return world.server(0).events.received == "xy"; }));
  peers[2].push(3, 0, "x");
  EXPECT_TRUE(world.accepted(3));
}

TEST(KcpListener, APausedListenerKeepsABacklogAndNoMore) {
  World world(fast(), "backlog=2");
  world.listener->pause(true);
  std::vector<RawPeer> peers;
  for (int i = 0; i < 3; ++i) {
    peers.emplace_back(world.bound().port());
    peers.back().push(static_cast<std::uint32_t>(i + 1), 0, "x");
  }
  ASSERT_TRUE(world.until([&] { return world.counter("BacklogDrops") == 1; }));
  EXPECT_THAT(world.servers, IsEmpty());
  world.listener->pause(false);
  ASSERT_TRUE(world.accepted(2));
  EXPECT_TRUE(
      world.until([&] { return world.server(0).events.received == "x" && world.server(1).events.received == "x"; }));
}

TEST(KcpListener, OpeningsFromOnePrefixAreBounded) {
  World world(fast(), "opener_burst=2&opener_rate=0");
  std::vector<RawPeer> peers;
  for (int i = 0; i < 3; ++i) {
    peers.emplace_back(world.bound().port());
    peers.back().push(static_cast<std::uint32_t>(i + 1), 0, "x");
  }
  ASSERT_TRUE(world.until([&] { return world.counter("OpenerRateLimited") == 1; }));
  EXPECT_EQ(world.servers.size(), 2u);
}

TEST(KcpListener, AnUnvalidatedPeerGetsLittle) {
  World world(fast());
  const RawPeer peer(world.bound().port());
  peer.push(7, 0, "x");
  ASSERT_TRUE(world.accepted(1));
  world.server(0).write(std::string(100'000, 'y'));
  ASSERT_TRUE(world.until([&] { return world.counter("AmplificationHolds") != 0; }));
  EXPECT_LE(world.counter("OutBytes"), 3 * 25u);
}

TEST(KcpListener, ARejectedSessionIsNotHeardOfAgain) {
  World world(fast());
  world.rejecting = true;
  const RawPeer peer(world.bound().port());
  peer.push(7, 0, "x");
  ASSERT_TRUE(world.until([&] { return world.counter("PassiveOpens") == 1; }));
  ASSERT_TRUE(world.until([&] { return world.counter("CurrEstab") == 0; }));
  peer.push(7, 0, "x");
  ASSERT_TRUE(world.until([&] { return world.counter("TombstoneDrops") == 1; }));
  EXPECT_EQ(world.counter("PassiveOpens"), 1u);
}

TEST(KcpListener, WithoutSessionsItsEndFreesThePort) {
  World world(fast());
  const std::string there = "kcp://127.0.0.1:" + std::to_string(world.bound().port());
  world.loop.run_turn();
  world.listener.reset();
  const auto again = world.all.listen(world.loop, *Address::parse(there), {});
  EXPECT_TRUE(again) << again.error().to_string();
}

// Ten thousand sessions, then silence in virtual time: how often the loop wakes, and what it then does.
TEST(KcpListener, IdleSessionsCostNextToNothing) {
  constexpr int kSessions = 10'000;
  ManualClock clock;
  World world("idle_timeout=2h", "opener_burst=100000&backlog=100000&half_open=100000", {}, {.clock = &clock});
  // An address each, and no descriptor that stays open.
  int opened = 0;
  for (int ip = 2; opened < kSessions && ip < 250; ++ip) {
    for (int port = 20'000; opened < kSessions && port < 20'400; ++port) {
      const Fd fd(::socket(AF_INET, SOCK_DGRAM, 0));
      sockaddr_storage from{}, to{};
      socklen_t size =
          SocketAddress::from_ip("127.0.0." + std::to_string(ip), static_cast<std::uint16_t>(port))->store(from);
      if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&from), size) != 0) continue;
      size = world.bound().store(to);
      ASSERT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), size), 0);
      RawPeer one(0);
      one.fd = Fd(::dup(fd.get()));
      const auto conv = static_cast<std::uint32_t>(++opened);
      one.push(conv, 0, "x");
      one.push(conv, 1, "y");
      if (opened % 64 == 0) world.loop.drain();
    }
  }
  world.loop.drain();
  ASSERT_EQ(world.servers.size(), static_cast<std::size_t>(kSessions));
  world.loop.advance(1min);
  const auto timers = [&world] { return world.counter("TimerRuns"); };
  const std::uint64_t runs = timers(), flushes = world.counter("Flushes"), calls = world.counter("SendCalls");
  world.loop.advance(1h);
  EXPECT_EQ(world.counter("SendCalls"), calls);
  EXPECT_LE(timers() - runs, 2u * kSessions);
  EXPECT_LE(world.counter("Flushes") - flushes, 2u * kSessions);
  for (const auto& server : world.servers) ASSERT_FALSE(server.events.closed);
}

TEST(KcpListener, AnswersFromTheAddressThatWasDialed) {
  for (const char* host : {"0.0.0.0", ""}) {
    World world(fast(), "", {}, {}, host);
    world.echo = true;
    // Not the loopback's first address, which the kernel would choose. A connected socket hears no other.
    const RawPeer peer(world.listener->address().port(), "127.0.0.77");
    ASSERT_TRUE(peer.connected);
    peer.push(7, 0, "x");
    std::string answer;
    ASSERT_TRUE(world.until([&] { return !(answer = peer.receive()).empty(); }));
    EXPECT_EQ(world.server(0).stream->peer().local.ip(), "127.0.0.77");
    EXPECT_THAT(world.server(0).stream->peer().remote_url(), StartsWith("kcp://127.0.0.1:"));
  }
}

TEST(KcpListener, ItsEndLeavesTheSessions) {
  World world(fast());
  world.echo = true;
  auto& client = world.dial();
  client.write("before");
  ASSERT_TRUE(world.until([&] { return client.events.received == "before"; }));
  const std::uint16_t port = world.bound().port();
  world.listener.reset();
  client.write("after");
  ASSERT_TRUE(world.until([&] { return client.events.received == "beforeafter"; }));
  // Nobody new.
  auto& late = world.dial_port(port);
  late.write("x");
  ASSERT_TRUE(world.until([&] { return world.counter("OpenerRefused") != 0; }));
  EXPECT_EQ(world.servers.size(), 1u);
  // With the last session the port is free.
  world.server(0).stream.reset();
  world.loop.drain();
  const auto again = world.all.listen(world.loop, *Address::parse("kcp://127.0.0.1:" + std::to_string(port)), {});
  EXPECT_TRUE(again) << again.error().to_string();
}

TEST(KcpListener, FinishShowsWhoeverIsThere) {
  World world(fast());
  world.listener->pause(true);
  const RawPeer peer(world.bound().port());
  peer.push(7, 0, "x");
  bool done = false;
  world.listener->finish([&] { done = true; });
  ASSERT_TRUE(world.until([&] { return done; }));
  EXPECT_EQ(world.servers.size(), 1u);
  const RawPeer late(world.bound().port());
  late.push(8, 0, "x");
  ASSERT_TRUE(world.until([&] { return world.counter("OpenerRefused") == 1; }));
  EXPECT_EQ(world.servers.size(), 1u);
}

TEST(KcpListener, ASuccessorTakesTheSocketAndLeavesTheSessions) {
  for (const char* host : {"127.0.0.1", "0.0.0.0"}) {
    SCOPED_TRACE(host);
    World old(fast(), "", {}, {}, host);
    old.echo = true;
    auto& client = old.dial();
    client.write("before");
    ASSERT_TRUE(old.until([&] { return client.events.received == "before"; }));

    const std::vector<int> fds = old.listener->inheritable_fds();
    ASSERT_EQ(fds.size(), 1u);
    ListenOptions options;
    options.inherited_fd = ::dup(fds[0]);
    bool done = false;
    old.listener->finish([&] { done = true; });
    ASSERT_TRUE(old.until([&] { return done; }));
    World young(fast(), "", options, {}, host);
    young.echo = true;
    young.listener->take_back();
    EXPECT_EQ(young.bound().port(), old.bound().port());

    auto both = [&](const std::function<bool()>& what) {
      return young.until([&] {
        old.loop.run_turn();
        return what();
      });
    };
    client.write("after");
    EXPECT_TRUE(both([&] { return client.events.received == "beforeafter"; }));
    auto& late = young.dial();
    late.write("new");
    EXPECT_TRUE(both([&] { return late.events.received == "new"; }));
    EXPECT_EQ(old.servers.size(), 1u);
    EXPECT_EQ(young.servers.size(), 1u);
  }
}

TEST(KcpListener, ASuccessorReadsNothingBeforeItIsToldTo) {
  World old(fast());
  const std::vector<int> fds = old.listener->inheritable_fds();
  ListenOptions options;
  options.inherited_fd = ::dup(fds[0]);
  World young(fast(), "", options);
  const RawPeer peer(old.bound().port());
  peer.push(7, 0, "first");
  young.loop.drain();
  EXPECT_THAT(young.servers, IsEmpty());
  // The predecessor opens nothing any more, so that no session begins in both.
  ASSERT_TRUE(old.until([&] { return old.counter("OpenerRefused") == 1; }));
  EXPECT_THAT(old.servers, IsEmpty());
  EXPECT_EQ(peer.receive(), "");
  young.listener->take_back();
  peer.push(7, 0, "first");
  ASSERT_TRUE(young.accepted(1));
  EXPECT_TRUE(young.until([&] { return young.server(0).events.received == "first"; }));
}

TEST(KcpListener, APredecessorWhoseSuccessorFailsOpensAgain) {
  World old(fast());
  EXPECT_EQ(old.listener->inheritable_fds().size(), 1u);
  const RawPeer peer(old.bound().port());
  peer.push(7, 0, "x");
  ASSERT_TRUE(old.until([&] { return old.counter("OpenerRefused") == 1; }));
  old.listener->take_back();
  peer.push(7, 0, "x");
  EXPECT_TRUE(old.accepted(1));
}

TEST(KcpListener, ASuccessorOpensNothingInTheMiddleOfASession) {
  ManualClock clock;
  World old(fast());
  ListenOptions options;
  options.inherited_fd = ::dup(old.listener->inheritable_fds()[0]);
  World young(fast(), "", options, {.clock = &clock});
  young.listener->take_back();
  const RawPeer peer(young.bound().port());
  peer.push(7, 1, "second");
  ASSERT_TRUE(young.until([&] { return young.counter("OpenerRefused") == 1; }));
  EXPECT_EQ(peer.receive(), "");
  // Later it is as with everyone: the first datagram of a new session may have been lost.
  young.loop.advance(61s);
  peer.push(7, 1, "second");
  EXPECT_TRUE(young.accepted(1));
}

TEST(KcpListener, SessionsWithoutASocketOfTheirOwnAreCounted) {
  MemoryLog log;
  ListenOptions options;
  options.log = &log;
  World old(fast(), "", options);
  auto& client = old.dial();
  client.write("x");
  ASSERT_TRUE(old.accepted(1));
  const Fd kept(::dup(old.listener->inheritable_fds()[0]));
  // No descriptor is left.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  bool done = false;
  old.listener->finish([&] { done = true; });
  // Behind the turn in which the sockets are made.
  old.loop.post([&] { old.loop.post([&] { ::setrlimit(RLIMIT_NOFILE, &before); }); });
  const bool finished = old.until([&] { return done; });
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_TRUE(finished);
  EXPECT_EQ(old.counter("SessionsLeftBehind"), 1u);
  EXPECT_EQ(log.count("sessions=1"), 1u);
}

TEST(KcpListener, FinishTakesAllThatWaitsInTheKernel) {
  World world(fast(), "sessions=10000&backlog=10000&half_open=10000&opener_burst=10000");
  world.loop.drain();
  std::vector<RawPeer> peers;
  for (std::uint32_t i = 0; i < 600; ++i) {
    peers.emplace_back(world.bound().port());
    peers.back().push(i + 1, 0, "x");
  }
  bool done = false;
  world.listener->finish([&] { done = true; });
  ASSERT_TRUE(world.until([&] { return done; }));
  EXPECT_EQ(world.servers.size(), 600u);
}

TEST(KcpListener, WithReusePortThereIsNothingToInherit) {
  MemoryLog log;
  ListenOptions options;
  options.log = &log;
  World world(fast(), "reuseport=1", options);
  EXPECT_THAT(world.listener->inheritable_fds(), IsEmpty());
  EXPECT_EQ(log.count("takes no part in a restart"), 1u);
  // It goes on as it was.
  const RawPeer peer(world.bound().port());
  peer.push(7, 0, "x");
  EXPECT_TRUE(world.accepted(1));
}

TEST(KcpListener, APortInUseIsRefusedUnlessBothShareIt) {
  World world(fast());
  const std::string there = "kcp://127.0.0.1:" + std::to_string(world.bound().port());
  const auto second = world.all.listen(world.loop, *Address::parse(there), {});
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().to_string(), HasSubstr("bind udp 127.0.0.1:"));

  World shared(fast(), "reuseport=1");
  const auto third = shared.all.listen(
      shared.loop, *Address::parse("kcp://127.0.0.1:" + std::to_string(shared.bound().port()) + "?reuseport=1"), {});
  EXPECT_TRUE(third);
}

TEST(KcpUdp, ATrainThatOnePeerCannotGetDoesNotSlowTheOthers) {
  const SocketAddress any = *SocketAddress::from_ip("127.0.0.1", 0);
  const auto from = UdpSocket::bind(any, {});
  const auto to = UdpSocket::bind(any, {});
  ASSERT_TRUE(from && to);
  KcpCounters counters;
  UdpSender sender(**from, counters);
  std::vector<std::byte> buffer(256 * 1024);
  const auto send = [&](const Endpoint& there, std::size_t datagrams) {
    sender.begin(buffer);
    sender.set_path(there, {});
    for (std::size_t i = 0; i < datagrams; ++i) {
      ASSERT_FALSE(sender.room(1000).empty());
      sender.commit(1000);
    }
    sender.finish();
  };
  Endpoint nowhere = endpoint_of((*to)->local());
  nowhere.port = 0;  // EINVAL
  send(nowhere, 4);
  EXPECT_EQ(counters.gso_refused.read(), 1u);
  EXPECT_EQ(counters.send_errors.read(), 4u);
  const std::uint64_t calls = counters.send_calls.read();
  // As many as one call takes only in trains.
  send(endpoint_of((*to)->local()), 64);
  EXPECT_EQ(counters.send_calls.read(), calls + 1);
  EXPECT_EQ(counters.send_errors.read(), 4u);
}

TEST(KcpListener, BelowTls) {
  TestAuthority authority;
  TestDirectory directory;
  const IssuedCertificate issued = authority.issue({.ip_addresses = {"127.0.0.1"}});
  Loop loop;
  Transports all;
  all.add("kcp", std::make_shared<KcpTransport>());
  all.add("tls", std::make_shared<TlsTransport>());
  const std::string below = "&mode=fast3&sndwnd=256&rcvwnd=256&fec=10,3&crypt=aes-128-gcm&password=x";
  auto listener = all.listen(loop,
                             *Address::parse("tls+kcp://127.0.0.1:0?cert=" + directory.write("c", issued.cert_pem) +
                                             "&key=" + directory.write("k", issued.key_pem) + below),
                             {});
  ASSERT_TRUE(listener) << listener.error().to_string();
  testing::End server, client;
  server.echo = true;
  (*listener)->start([&](std::unique_ptr<Incoming> incoming) { server.begin(incoming->accept()); });
  DialOutcome outcome;
  dial_into(outcome, all, loop, dial_address(**listener, "?ca=" + directory.write("ca", authority.cert_pem()) + below));
  ASSERT_TRUE(run_until(loop, [&] { return outcome.done(); }));
  ASSERT_TRUE(*outcome.result) << outcome.error();
  client.begin(std::move(**outcome.result));
  const std::string sent(1u << 20, 'z');
  client.write(sent);
  ASSERT_TRUE(run_until(loop, [&] { return client.events.received.size() >= sent.size(); }));
  EXPECT_TRUE(client.events.received == sent);
  EXPECT_THAT(client.stream->peer().remote_url(), StartsWith("tls"));
}

// --- addresses ---

std::string dial_error(const std::string& parameters) {
  const auto read = KcpAddress::for_dial(*Address::parse("kcp://127.0.0.1:1?" + parameters));
  return read ? "" : read.error().to_string();
}

TEST(KcpAddress, DefaultsAreKcpGos) {
  const auto plain = KcpAddress::for_dial(*Address::parse("kcp://127.0.0.1:1"));
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->crypt, "");
  EXPECT_EQ(plain->session->fec_data, 0u);
  EXPECT_EQ(plain->session->mtu, 1400u);
  EXPECT_EQ(plain->session->send_window, 32u);
  EXPECT_EQ(plain->session->receive_window, 32u);
  EXPECT_EQ(plain->session->interval, 100ms);
  EXPECT_EQ(plain->session->congestion, Congestion::original);
  EXPECT_FALSE(plain->session->nodelay || plain->session->stream_mode || plain->session->ack_nodelay);
  EXPECT_EQ(plain->session->extension, ExtensionWish::off);
}

TEST(KcpAddress, SaysWhatItIsTold) {
  const auto kcp = KcpAddress::for_listen(*Address::parse(
      "kcp://"
      "127.0.0.1:1?fec=10,3&crypt=aes&password=x&mode=fast2&interval=15ms&mtu=1350&sndwnd=128&rcvwnd=1024&stream=1&"
      "dead_link=30&idle_timeout=1m&extension=1&keepalive=5s&sessions=9&replace=never&follow_moves=0&write_delay=1"));
  ASSERT_TRUE(kcp) << kcp.error().to_string();
  EXPECT_EQ(kcp->session->fec_data, 10u);
  EXPECT_EQ(kcp->session->fec_parity, 3u);
  EXPECT_TRUE(kcp->session->nodelay);
  EXPECT_EQ(kcp->session->interval, 15ms);
  EXPECT_EQ(kcp->session->resend, 2u);
  EXPECT_EQ(kcp->session->congestion, Congestion::none);
  EXPECT_EQ(kcp->session->mtu, 1350u);
  EXPECT_EQ(kcp->session->send_window, 128u);
  EXPECT_EQ(kcp->session->receive_window, 1024u);
  EXPECT_TRUE(kcp->session->stream_mode && kcp->session->write_delay);
  EXPECT_EQ(kcp->session->dead_link, 30u);
  EXPECT_EQ(kcp->session->idle_timeout, 1min);
  EXPECT_EQ(kcp->session->extension, ExtensionWish::ask);
  EXPECT_EQ(kcp->session->keepalive, 5s);
  EXPECT_EQ(kcp->table.sessions_max, 9u);
  EXPECT_EQ(kcp->table.replace, KcpTableOptions::Replace::never);
  EXPECT_FALSE(kcp->table.follow_moves);
}

TEST(KcpAddress, MistakesAreNamed) {
  for (const auto& [parameters, error] : std::vector<std::pair<std::string, std::string>>{
           {"nodlay=1", "unknown parameter \"nodlay\""},
           {"sessions=1", "unknown parameter \"sessions\""},
           {"fec=10", "fec=10 is not DATA,PARITY"},
           {"fec=10,0", "fec=10,0"},
           {"fec=200,100", "at most 256"},
           {"mode=quick", "mode=quick is none of normal"},
           {"nodelay=2", "nodelay=2 is neither 0 nor 1"},
           {"interval=9ms", "interval=9ms is outside 10ms to 5s"},
           {"interval=6s", "interval=6s is outside"},
           {"resend=-1", "resend=-1 is not a number from 0"},
           {"nc=1&congestion=none", "give one"},
           {"congestion=bbr", "congestion=bbr is none of none, original, paced"},
           {"mtu=127", "mtu=127 is not a number from 128 to 1500"},
           {"mtu=1501", "mtu=1501"},
           {"sndwnd=0", "sndwnd=0 is not a number from 1 to 65535"},
           {"rcvwnd=65536", "rcvwnd=65536"},
           {"dead_link=1", "dead_link=1"},
           {"crypt=aes-128",
            "crypt=aes-128 needs key, key_file, password or password_file (a key of 16 bytes, as hex)"},
           {"crypt=aes-128&key=00", "key holds 1 bytes; aes-128 needs 16"},
           {"crypt=aes-128&key=xy", "key is not a row of pairs of hex digits"},
           {"crypt=aes-128&key=00&password=x", "both give the key"},
           {"crypt=aes-128&key_file=/nowhere", "key_file=/nowhere"},
           {"crypt=aes-128&password=", "password is empty"},
           {"crypt=salsa20&password=x", "crypt=salsa20 cannot be used"},
           {"crypt=rot13&password=x", "crypt=rot13 cannot be used"},
           {"key=00", "key needs crypt="},
           {"sndbuf=8GiB", "sndbuf=8GiB is outside"},
       }) {
    EXPECT_THAT(dial_error(parameters), HasSubstr(error)) << parameters;
  }
  EXPECT_THAT(dial_error("crypt=aes-128&key=5e5e"), Not(HasSubstr("5e5e"))) << "a secret in an error";
}

TEST(KcpAddress, PlacesAndNamesAreChecked) {
  Loop loop;
  Transports all;
  MemoryLog log;
  all.add("kcp", std::make_shared<KcpTransport>(&log));
  const auto listen_error = [&](const std::string& address, ListenOptions options = {}) {
    const auto listener = all.listen(loop, *Address::parse(address), options);
    return listener ? "" : listener.error().to_string();
  };
  EXPECT_THAT(listen_error("kcp://127.0.0.1:0/path"), HasSubstr("no path"));
  EXPECT_THAT(listen_error("kcp+kcp://127.0.0.1:0"), HasSubstr("nothing below"));
  EXPECT_THAT(listen_error("kcp://nowhere.invalid:0"), HasSubstr("/etc/hosts"));
  EXPECT_THAT(listen_error("kcp://127.0.0.1:0?replace=always"), HasSubstr("replace=always is none of"));
  ListenOptions stdin_options;
  stdin_options.inherited_fd = ::socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_THAT(listen_error("kcp://127.0.0.1:0", stdin_options), HasSubstr("is no UDP socket"));
  ::close(stdin_options.inherited_fd);
  for (const auto& [address, error] :
       std::vector<std::pair<std::string, std::string>>{{"kcp://127.0.0.1", "no port to dial"},
                                                        {"kcp://:80", "no host to dial"},
                                                        {"kcp://127.0.0.1:1/x", "no path"}}) {
    DialOutcome outcome;
    dial_into(outcome, all, loop, address);
    EXPECT_FALSE(outcome.done());
    loop.drain();
    EXPECT_THAT(outcome.error(), HasSubstr(error));
  }
  EXPECT_EQ(listen_error("kcp://127.0.0.1:0?crypt=xor&password=x"), "");
  EXPECT_EQ(log.count("kcp cipher"), 1u);
  EXPECT_EQ(log.count("password=x"), 0u);
}

}  // namespace
}  // namespace wayport::transport::kcp

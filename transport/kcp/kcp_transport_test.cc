#include "wayport/transport/kcp/kcp_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "wayport/base/log_testing.h"
#include "wayport/transport/kcp/kcp_testing.h"
#include "wayport/transport/kcp/testing/lossy_link.h"
#include "wayport/transport/testing/certificates.h"
#include "wayport/transport/testing/connect.h"
#include "wayport/transport/testing/recorder.h"
#include "wayport/transport/tls/tls_transport.h"

namespace wayport::transport::kcp {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::LossyLink;
using ::testing::StartsWith;
using testing::World;

constexpr std::string_view kFast = "mode=fast3&sndwnd=512&rcvwnd=512&ack_nodelay=1";
std::string fast(const std::string& more = "") { return std::string(kFast) + (more.empty() ? "" : "&" + more); }

std::string noise(std::size_t size, std::uint64_t seed = 7) {
  std::string text(size, '\0');
  for (char& c : text) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    c = static_cast<char>(seed >> 56);
  }
  return text;
}

TEST(Kcp, BytesGoBothWays) {
  World world(fast());
  auto& client = world.dial();
  client.write("ping");
  ASSERT_TRUE(world.accepted(1));
  world.server(0).write("pong");
  EXPECT_TRUE(
      world.until([&] { return client.events.received == "pong" && world.server(0).events.received == "ping"; }));
  EXPECT_EQ(client.stream->peer().remote_url(), dial_address(*world.listener));
  EXPECT_EQ(client.stream->peer().remote, world.server(0).stream->peer().local);
  EXPECT_EQ(client.stream->peer().local, world.server(0).stream->peer().remote);
  EXPECT_THAT(world.faults(), IsEmpty());
}

TEST(Kcp, EightMebibytesComeBackAsTheyWere) {
  World world(fast());
  world.echo = true;
  auto& client = world.dial();
  const std::string sent = noise(8u << 20);
  client.write(sent);
  ASSERT_TRUE(world.until([&] { return client.events.received.size() >= sent.size(); }, 60s));
  EXPECT_TRUE(client.events.received == sent);
  EXPECT_EQ(client.stream->queued(), 0u);
  EXPECT_THAT(world.faults(), IsEmpty());
}

TEST(Kcp, EveryCipherWithAndWithoutFec) {
  for (const auto& [name, key_bytes] : std::map<std::string, std::size_t>{{"aes-128-gcm", 16},
                                                                          {"aes-192-gcm", 24},
                                                                          {"aes-256-gcm", 32},
                                                                          {"aes-128", 16},
                                                                          {"aes-192", 24},
                                                                          {"aes-256", 32},
                                                                          {"aes", 32},
                                                                          {"sm4", 16},
                                                                          {"3des", 24},
                                                                          {"blowfish", 32},
                                                                          {"cast5", 16},
                                                                          {"xor", 32},
                                                                          {"none", 32}}) {
    for (const char* fec : {"0,0", "10,3", "3,2"}) {
      SCOPED_TRACE(name + " fec " + fec);
      World world(fast("crypt=" + name + "&key=" + std::string(2 * key_bytes, '5') + "&fec=" + fec));
      world.echo = true;
      auto& client = world.dial();
      const std::string sent = noise(40'000);
      client.write(sent);
      EXPECT_TRUE(world.until([&] { return client.events.received.size() >= sent.size(); }));
      EXPECT_TRUE(client.events.received == sent);
    }
  }
}

TEST(Kcp, APasswordGivesTheKeyThatKcptunDerives) {
  World world(fast("crypt=aes&password=it%27s+a+secrect"));
  world.echo = true;
  auto& client =
      world.dial("?" + fast("crypt=aes&key=" + to_hex(as_bytes(derive_key("it's+a+secrect", "kcp-go", 4096, 32)))));
  client.write("hello");
  EXPECT_TRUE(world.until([&] { return client.events.received == "hello"; }));
}

TEST(Kcp, KeysComeFromFilesToo) {
  const std::string file = ::testing::TempDir() + "kcp_key";
  std::ofstream(file) << "000102030405060708090a0b0c0d0e0f\n";
  World world(fast("crypt=aes-128-gcm&key_file=" + file));
  world.echo = true;
  auto& client = world.dial("?" + fast("crypt=aes-128-gcm&key=000102030405060708090a0b0c0d0e0f"));
  client.write("hello");
  EXPECT_TRUE(world.until([&] { return client.events.received == "hello"; }));
}

TEST(Kcp, AnotherKeyIsNotHeard) {
  World world(fast("crypt=aes-128-gcm&key=000102030405060708090a0b0c0d0e0f"));
  auto& client = world.dial("?" + fast("crypt=aes-128-gcm&key=100102030405060708090a0b0c0d0e0f"));
  client.write("hello");
  ASSERT_TRUE(world.until([&] { return world.counter("InCsumErrors") != 0; }));
  EXPECT_TRUE(world.servers.empty());
  EXPECT_EQ(world.counter("PassiveOpens"), 0u);
}

TEST(Kcp, LossReorderingAndRepetitionAreHealed) {
  for (const char* more : {"", "fec=10,3", "stream=1&congestion=paced"}) {
    SCOPED_TRACE(more);
    World world(fast(more));
    world.echo = true;
    LossyLink link(world.loop, world.bound(), 11);
    link.up = link.down = {.loss = 0.03, .drop_every = 50, .duplicate = 0.02, .reorder = 0.1, .delay = 1ms};
    auto& client = world.dial_port(link.port());
    const std::string sent = noise(1u << 20);
    client.write(sent);
    ASSERT_TRUE(world.until([&] { return client.events.received.size() >= sent.size(); }, 60s));
    EXPECT_TRUE(client.events.received == sent);
    EXPECT_GT(link.up_counts.lost, 10u);
    EXPECT_GT(link.down_counts.reordered, 10u);
  }
}

TEST(Kcp, ASessionFollowsItsPeerToAnotherAddress) {
  World world(fast("crypt=aes-256-gcm&key=" + std::string(64, 'a')));
  world.echo = true;
  LossyLink link(world.loop, world.bound());
  auto& client = world.dial_port(link.port());
  std::string sent;
  for (int i = 0; i < 5; ++i) {
    const std::string more = noise(100'000, static_cast<std::uint64_t>(i));
    sent += more;
    client.write(more);
    ASSERT_TRUE(world.until([&] { return client.events.received.size() >= sent.size(); })) << i;
    link.rebind();
  }
  EXPECT_TRUE(client.events.received == sent);
  EXPECT_EQ(world.servers.size(), 1u);
  EXPECT_EQ(world.counter("PathChanges"), 4u);
}

TEST(Kcp, WithoutAuthenticationNobodyMovesASession) {
  World world(fast());
  world.echo = true;
  LossyLink link(world.loop, world.bound());
  auto& client = world.dial_port(link.port());
  client.write("before");
  ASSERT_TRUE(world.until([&] { return client.events.received == "before"; }));
  link.rebind();
  client.write("after");
  const std::uint64_t sent = link.up_counts.datagrams;
  ASSERT_TRUE(world.until([&] { return link.up_counts.datagrams > sent + 2; }));
  EXPECT_EQ(client.events.received, "before");
  EXPECT_EQ(world.counter("PathChanges"), 0u);
}

TEST(Kcp, ADialedStreamCanChangeItsOwnPath) {
  World world(fast("extension=1&crypt=aes-128-gcm&key=" + std::string(32, 'b')));
  world.echo = true;
  auto& client = world.dial();
  client.write("one");
  ASSERT_TRUE(world.until([&] { return client.events.received == "one" && world.counter("ExtensionAgreed") == 2; }));
  EXPECT_TRUE(client.stream->reconnect_now());
  client.write("two");
  EXPECT_TRUE(world.until([&] { return client.events.received == "onetwo"; }));
  EXPECT_EQ(world.counter("PathChanges"), 1u);

  World plain(fast());
  plain.echo = true;
  auto& other = plain.dial();
  other.write("one");
  ASSERT_TRUE(plain.until([&] { return other.events.received == "one"; }));
  EXPECT_FALSE(other.stream->reconnect_now());
}

// --- the end ---

TEST(Kcp, CloseWithALingerDeliversEverything) {
  for (const char* more : {"", "extension=1", "fec=10,3"}) {
    SCOPED_TRACE(more);
    World world(fast(more));
    auto& client = world.dial();
    const std::string sent = noise(3u << 20);
    client.write(sent);
    client.stream->close(CloseReason::local(ErrorCode::local_closed, "done"), {30s});
    ASSERT_TRUE(world.until([&] { return client.events.closed.has_value(); }, 30s));
    EXPECT_EQ(client.events.closed->error.code, ErrorCode::local_closed);
    EXPECT_EQ(client.events.closed->error.detail, "done");
    ASSERT_EQ(world.servers.size(), 1u);
    EXPECT_TRUE(world.until([&] { return world.server(0).events.received.size() == sent.size(); }));
    EXPECT_TRUE(world.server(0).events.received == sent);
    EXPECT_THAT(world.faults(), IsEmpty());
  }
}

TEST(Kcp, ALingerEndsWhenItsTimeIsOver) {
  World world(fast());
  LossyLink link(world.loop, world.bound());
  auto& client = world.dial_port(link.port());
  client.write("x");
  ASSERT_TRUE(world.accepted(1));
  link.up.cut = true;
  client.write(noise(4u << 20));
  client.stream->close(CloseReason::local(ErrorCode::local_closed, "done"), {50ms});
  EXPECT_TRUE(world.until([&] { return client.events.closed.has_value(); }));
}

TEST(Kcp, WithTheExtensionTheEndTravels) {
  World world(fast("extension=1"));
  auto& client = world.dial();
  client.write("question");
  client.stream->shutdown_write();
  ASSERT_TRUE(world.accepted(1));
  auto& server = world.server(0);
  ASSERT_TRUE(world.until([&] { return server.events.read_ends == 1; }));
  EXPECT_EQ(server.events.received, "question");
  server.write("answer");
  server.stream->shutdown_write();
  ASSERT_TRUE(world.until([&] { return client.events.closed && server.events.closed; }));
  EXPECT_EQ(client.events.received, "answer");
  EXPECT_EQ(client.events.read_ends, 1u);
  EXPECT_EQ(client.events.closed->error.code, ErrorCode::peer_closed);
  EXPECT_EQ(server.events.closed->error.code, ErrorCode::peer_closed);
  EXPECT_THAT(world.faults(), IsEmpty());
}

TEST(Kcp, WithTheExtensionAnAbortIsHeard) {
  World world(fast("extension=1"));
  auto& client = world.dial();
  client.write("x");
  ASSERT_TRUE(world.until([&] { return world.counter("ExtensionAgreed") == 2; }));
  client.stream.reset();
  ASSERT_TRUE(world.until([&] { return world.server(0).events.closed.has_value(); }));
  EXPECT_EQ(world.server(0).events.closed->error.code, ErrorCode::peer_closed);
  EXPECT_THAT(world.server(0).events.closed->error.detail, HasSubstr("kcp://127.0.0.1:"));
}

TEST(Kcp, WithoutTheExtensionTheEndIsWhenEverythingWasAcknowledged) {
  World world(fast());
  auto& client = world.dial();
  const std::string sent = noise(1u << 20);
  client.write(sent);
  client.stream->shutdown_write();
  ASSERT_TRUE(world.until([&] { return client.events.closed.has_value(); }));
  EXPECT_EQ(client.events.closed->by, CloseReason::By::local);
  EXPECT_EQ(client.events.closed->error.code, ErrorCode::local_closed);
  EXPECT_TRUE(world.server(0).events.received == sent);
  EXPECT_FALSE(world.server(0).events.closed);  // nothing tells it
}

TEST(Kcp, TheExtensionIsSilentTowardAnEndThatDoesNotAsk) {
  for (const auto& [listener, dialer] : std::vector<std::pair<std::string, std::string>>{
           {"extension=0", "extension=1"}, {"extension=1", "extension=0"}}) {
    World world(fast(listener));
    world.echo = true;
    LossyLink link(world.loop, world.bound());
    // A window told with a payload is the extension's.
    std::size_t odd = 0;
    link.filter = [&odd](bool, Bytes datagram) {
      if (datagram.size() >= 24 && datagram[4] == std::byte{84} && load_le<std::uint32_t>(datagram.data() + 20) != 0)
        ++odd;
      return false;
    };
    auto& client = world.dial_port(link.port(), "?" + fast(dialer));
    client.write("x");
    ASSERT_TRUE(world.until([&] { return client.events.received == "x"; }));
    client.stream->close(CloseReason::local(ErrorCode::local_closed, ""), {1s});
    ASSERT_TRUE(world.until([&] { return client.events.closed.has_value(); }));
    EXPECT_EQ(odd, 0u);
    EXPECT_EQ(world.counter("ExtensionAgreed"), 0u);
  }
}

TEST(Kcp, WhileReadingIsOffOnlyAnEndInOrderIsWithheld) {
  for (const bool orderly : {true, false}) {
    SCOPED_TRACE(orderly);
    World world(fast("extension=1"));
    auto& client = world.dial();
    client.write("x");
    ASSERT_TRUE(world.until([&] { return world.counter("ExtensionAgreed") == 2; }));
    auto& server = world.server(0);
    ASSERT_TRUE(world.until([&] { return server.events.received == "x"; }));
    server.stream->read(false);
    client.stream->shutdown_write();
    // The end is here when the server's is acknowledged after it.
    world.until([&] { return false; }, 100ms);
    EXPECT_EQ(server.events.read_ends, 0u);
    if (orderly) {
      server.stream->shutdown_write();
      ASSERT_TRUE(world.until([&] { return client.events.closed.has_value() && world.counter("CurrEstab") == 0; }));
      EXPECT_FALSE(server.events.closed);
      server.stream->read(true);
    } else {
      client.stream->close(CloseReason::local(ErrorCode::overloaded, "too busy"));
    }
    ASSERT_TRUE(world.until([&] { return server.events.closed.has_value(); }));
    EXPECT_EQ(server.events.read_ends, orderly ? 1u : 0u);
    EXPECT_EQ(server.events.closed->error.code, ErrorCode::peer_closed);
    EXPECT_EQ(server.events.closed->error.cause.value(), orderly ? 0 : ECONNRESET);
    EXPECT_THAT(world.faults(), IsEmpty());
  }
}

TEST(Kcp, WhatWasLeftIsShownBeforeAnOrderlyEnd) {
  World world(fast("extension=1"));
  auto& client = world.dial();
  client.write("first");
  ASSERT_TRUE(world.accepted(1));
  auto& server = world.server(0);
  ASSERT_TRUE(world.until([&] { return server.events.received == "first" && world.counter("ExtensionAgreed") == 2; }));
  server.events.consume = [](MutableBytes) { return std::size_t{0}; };
  client.write("kept");
  ASSERT_TRUE(world.until([&] { return server.events.shown.size() == 2; }));
  server.stream->read(false);
  RecordingEvents later;
  server.stream->replace_events(later);
  client.stream->shutdown_write();
  server.stream->shutdown_write();
  ASSERT_TRUE(world.until([&] { return client.events.closed.has_value() && world.counter("CurrEstab") == 0; }));
  EXPECT_EQ(later.received, "");
  EXPECT_FALSE(later.closed);
  server.stream->read(true);
  ASSERT_TRUE(world.until([&] { return later.closed.has_value(); }));
  EXPECT_EQ(later.received, "kept");
  EXPECT_EQ(later.read_ends, 1u);
  EXPECT_THAT(later.faults, IsEmpty());
}

TEST(Kcp, DialingNobodyIsRefused) {
  World world(fast());
  const std::uint16_t port = world.bound().port();
  world.listener.reset();
  world.loop.drain();
  auto& client = world.dial_port(port);
  client.write("x");
  ASSERT_TRUE(world.until([&] { return client.events.closed.has_value(); }));
  EXPECT_EQ(client.events.closed->error.code, ErrorCode::refused);
  EXPECT_THAT(client.events.closed->error.detail, HasSubstr("nobody listens there"));
}

TEST(Kcp, ASilentPeerIsADeadLink) {
  World world(fast("dead_link=4"));
  LossyLink link(world.loop, world.bound());
  auto& client = world.dial_port(link.port());
  client.write("x");
  ASSERT_TRUE(world.accepted(1));
  link.up.cut = true;
  client.write("y");
  ASSERT_TRUE(world.until([&] { return client.events.closed.has_value(); }));
  EXPECT_EQ(client.events.closed->error.code, ErrorCode::timed_out);
}

TEST(Kcp, StreamsMayBeDroppedInAnyCallback) {
  World world(fast("extension=1"));
  for (int when = 0; when < 4; ++when) {
    SCOPED_TRACE(when);
    auto& client = world.dial();
    client.write(noise(300'000));
    const std::size_t index = static_cast<std::size_t>(when);
    ASSERT_TRUE(world.accepted(index + 1));
    auto& server = world.server(index);
    ASSERT_TRUE(world.until([&] { return world.counter("ExtensionAgreed") == 2 * (index + 1); }));
    auto drop = [&server] { server.stream.reset(); };
    if (when == 0) {
      server.events.then_bytes = drop;
      client.write("more");
    }
    if (when == 1) server.events.then_read_end = drop;
    if (when == 2) server.events.then_closed = drop;
    if (when == 3) {
      server.events.then_writable = drop;
      server.write(noise(3u << 20));
    }
    if (when == 1) client.stream->shutdown_write();
    if (when == 2) client.stream->close(CloseReason::local(ErrorCode::local_closed, ""));
    EXPECT_TRUE(world.until([&] { return server.stream == nullptr; }));
  }
  EXPECT_THAT(world.faults(), IsEmpty());
}

TEST(Kcp, AReaderThatPausesClosesTheWindowAndLosesNothing) {
  World world(fast());
  auto& client = world.dial();
  client.write("x");
  ASSERT_TRUE(world.accepted(1));
  auto& server = world.server(0);
  server.stream->read(false);
  const std::string sent = noise(4u << 20);
  client.write(sent);
  // The sender's bound and the receiver's window, and no more.
  ASSERT_TRUE(world.until([&] { return client.stream->queued() != 0 && client.stream->queued() < 3u << 20; }));
  EXPECT_LE(server.events.received.size(), 1u);
  server.stream->read(true);
  ASSERT_TRUE(world.until([&] { return server.events.received.size() == sent.size() + 1; }, 60s));
  EXPECT_TRUE(server.events.received.substr(1) == sent);
}

TEST(Kcp, BytesLeftAreShownAgainWithWhatComesNext) {
  World world(fast());
  auto& client = world.dial();
  client.write("ab");
  ASSERT_TRUE(world.accepted(1));
  auto& server = world.server(0);
  std::vector<std::size_t> shown;
  server.events.consume = [&](MutableBytes bytes) { return bytes.size() < 50'000 ? 0 : bytes.size(); };
  client.write(noise(60'000));
  EXPECT_TRUE(world.until([&] { return server.events.received.size() >= 50'000; }));
}

TEST(Kcp, TheQueueHasABound) {
  World world(fast());
  world.stream.queue_bytes_max = 1u << 20;
  LossyLink link(world.loop, world.bound());
  link.up.cut = true;
  auto& client = world.dial_port(link.port());
  EXPECT_EQ(client.stream->write(chain_of(noise(1u << 20))), Pressure::high);
  EXPECT_EQ(client.stream->queued(), 1u << 20);
  EXPECT_EQ(client.stream->write(chain_of("x")), Pressure::high);
  world.loop.drain();
  ASSERT_TRUE(client.events.closed);
  EXPECT_EQ(client.events.closed->error.code, ErrorCode::overloaded);
  EXPECT_THAT(client.events.closed->error.detail, HasSubstr("queue_bytes_max 1048576"));
}

TEST(Kcp, AFullSocketLosesNothing) {
  // So small that a turn's datagrams do not fit; without GSO each of them is a message.
  for (const char* offload : {"0", "1"}) {
    World world("mode=fast3&sndwnd=1024&rcvwnd=1024&sndbuf=4608&offload=" + std::string(offload));
    world.echo = true;
    auto& client = world.dial();
    const std::string sent = noise(4u << 20);
    client.write(sent);
    ASSERT_TRUE(world.until([&] { return client.events.received.size() >= sent.size(); }, 60s));
    EXPECT_TRUE(client.events.received == sent);
    EXPECT_EQ(world.counter("SendErrors"), 0u);
  }
}

}  // namespace
}  // namespace wayport::transport::kcp

#include "wayport/integration/harness/tcp_link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "wayport/integration/harness/link_sockets.h"

namespace wayport::harness {
namespace {

using namespace std::chrono_literals;
using harness::testing::bound_socket;
using harness::testing::connected_socket;
using harness::testing::port_of;
using harness::testing::receive_text;
using harness::testing::send_text;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Time = std::chrono::steady_clock;
using Way = TcpLink::Way;

class TcpLinkTest : public ::testing::Test {
 protected:
  void start(const TcpLinkOptions& options = {}) {
    Result<std::unique_ptr<TcpLink>> made = TcpLink::start("127.0.0.1", port_of(listening), options);
    ASSERT_TRUE(made.has_value()) << made.error().to_string();
    link = *std::move(made);
  }
  void connect() {
    client = connected_socket(SOCK_STREAM, link->port());
    server = Fd(::accept(listening.get(), nullptr, nullptr));
    ASSERT_TRUE(server) << "nobody came";
    const timeval patience{harness::testing::kSocketPatience.count(), 0};
    (void)::setsockopt(server.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  }
  void wait_until_no_connection() {
    const auto due = Time::now() + harness::testing::kSocketPatience;
    while (link->connections() != 0) ASSERT_LT(Time::now(), due);
  }

  Fd listening = bound_socket(SOCK_STREAM);
  std::unique_ptr<TcpLink> link;
  Fd client, server;
};

TEST_F(TcpLinkTest, BytesGoThereAndBackAndEachEndFollowsItsBytes) {
  start();
  connect();
  send_text(client, "hello");
  EXPECT_EQ(receive_text(server), "hello");
  ::shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(receive_text(server), "end");
  send_text(server, "still here");
  EXPECT_EQ(receive_text(client), "still here");
  ::shutdown(server.get(), SHUT_WR);
  EXPECT_EQ(receive_text(client), "end");
  wait_until_no_connection();
  EXPECT_EQ(link->bytes(Way::up), 5u);
  EXPECT_EQ(link->bytes(Way::down), 10u);
}

TEST_F(TcpLinkTest, DelayIsPaidInEachDirectionByBytesAndEnds) {
  start({.both = "delay=15ms", .down = "delay=25ms"});
  connect();
  const auto begin = Time::now();
  send_text(client, "ping");
  EXPECT_EQ(receive_text(server), "ping");
  send_text(server, "pong");
  EXPECT_EQ(receive_text(client), "pong");
  EXPECT_GE(Time::now() - begin, 40ms);
  const auto end = Time::now();
  client.reset();
  EXPECT_EQ(receive_text(server), "end");
  EXPECT_GE(Time::now() - end, 15ms);
}

TEST_F(TcpLinkTest, TheRateBoundsWhatArrivesAndNothingIsLost) {
  start({.up = "rate=8Mbit"});
  connect();
  std::string sent(200'000, '\0');
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 13 + i / 257);
  const auto begin = Time::now();
  send_text(client, sent);
  std::string received;
  while (received.size() < sent.size()) {
    const std::string piece = receive_text(server);
    ASSERT_THAT(piece, ::testing::Not(StartsWith("error")));
    received += piece;
  }
  EXPECT_GE(Time::now() - begin, 200ms);
  EXPECT_TRUE(received == sent);
}

TEST_F(TcpLinkTest, AStalledLinkKeepsConnectionsAndMovesNothingUntilItIsResumed) {
  start();
  connect();
  link->stall();
  send_text(client, "later");
  // Connections wait, too: this one is accepted by the kernel alone.
  const Fd second = connected_socket(SOCK_STREAM, link->port());
  EXPECT_EQ(link->connections(), 1u);
  EXPECT_EQ(link->bytes(Way::up), 0u);
  EXPECT_THAT(receive_text(server, MSG_DONTWAIT), StartsWith("error"));
  link->resume();
  EXPECT_EQ(receive_text(server), "later");
  const Fd second_server(::accept(listening.get(), nullptr, nullptr));
  EXPECT_TRUE(second_server);
}

TEST_F(TcpLinkTest, AReaderThatDoesNotReadStopsTheWriter) {
  start();
  connect();
  ASSERT_TRUE(set_nonblocking(client.get()).has_value());
  const std::string piece(64 * 1024, 'x');
  std::size_t written = 0;
  // Until the link has no more room, and the kernel's buffers have none; 64 MiB are more than both.
  std::uint64_t moved = ~std::uint64_t{0};
  while (written < (64u << 20)) {
    const ssize_t size = ::send(client.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
    if (size > 0) {
      written += static_cast<std::size_t>(size);
    } else if (link->bytes(Way::up) == std::exchange(moved, link->bytes(Way::up))) {
      break;
    }
  }
  EXPECT_LT(written, 64u << 20);
  // And all of it arrives.
  ::shutdown(client.get(), SHUT_WR);
  std::size_t received = 0;
  for (std::string got; (got = receive_text(server)) != "end"; received += got.size()) {
    ASSERT_THAT(got, StartsWith("x"));
  }
  EXPECT_EQ(received, written);
}

TEST_F(TcpLinkTest, ACutResetsBothEndsAndNewOnesUntilItIsRestored) {
  start();
  connect();
  send_text(client, "before");
  EXPECT_EQ(receive_text(server), "before");
  link->cut();
  EXPECT_THAT(receive_text(client), HasSubstr("reset"));
  EXPECT_THAT(receive_text(server), HasSubstr("reset"));
  const Fd refused = connected_socket(SOCK_STREAM, link->port());
  EXPECT_THAT(receive_text(refused), HasSubstr("reset"));
  link->restore();
  connect();
  send_text(client, "again");
  EXPECT_EQ(receive_text(server), "again");
}

TEST_F(TcpLinkTest, AResetOfOneEndReachesTheOther) {
  start();
  connect();
  const linger at_once{1, 0};
  ASSERT_EQ(::setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
  client.reset();
  EXPECT_THAT(receive_text(server), HasSubstr("reset"));
  wait_until_no_connection();
}

TEST_F(TcpLinkTest, AConnectionBeyondTheLimitIsReset) {
  start({.connections_max = 1});
  connect();
  const Fd second = connected_socket(SOCK_STREAM, link->port());
  EXPECT_THAT(receive_text(second), HasSubstr("reset"));
  send_text(client, "fine");
  EXPECT_EQ(receive_text(server), "fine");
}

TEST_F(TcpLinkTest, ATargetThatDoesNotListenIsAReset) {
  const std::uint16_t nobody = port_of(bound_socket(SOCK_STREAM));
  link = *TcpLink::start("127.0.0.1", nobody);
  client = connected_socket(SOCK_STREAM, link->port());
  EXPECT_THAT(receive_text(client), HasSubstr("reset"));
}

TEST_F(TcpLinkTest, WordsThatStreamsDoNotKnowAreRefused) {
  for (const char* const words :
       {"loss=1%", "burst=1%", "duplicate=1%", "corrupt=1%", "reorder=1%", "down", "speed=3"}) {
    EXPECT_FALSE(TcpLink::start("127.0.0.1", 1, {.both = words}).has_value()) << words;
  }
  start();
  const Result<void> refused = link->set(Way::up, "loss=1%");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::unsupported);
  EXPECT_TRUE(link->set(Way::up, "delay=1ms jitter=1ms rate=1Gbit").has_value());
}

}  // namespace
}  // namespace wayport::harness

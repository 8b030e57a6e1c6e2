#include "wayport/integration/harness/udp_link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
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
using Time = std::chrono::steady_clock;
using Way = UdpLink::Way;

class UdpLinkTest : public ::testing::Test {
 protected:
  void start(const UdpLinkOptions& options = {}) {
    Result<std::unique_ptr<UdpLink>> made = UdpLink::start("127.0.0.1", port_of(server), options);
    ASSERT_TRUE(made.has_value()) << made.error().to_string();
    link = *std::move(made);
    client = connected_socket(SOCK_DGRAM, link->port());
  }
  // At the server; `from` is where it came from.
  std::string receive(SocketAddress* from = nullptr) {
    char text[2048];
    sockaddr_storage name{};
    socklen_t size = sizeof(name);
    const ssize_t got = ::recvfrom(server.get(), text, sizeof(text), 0, reinterpret_cast<sockaddr*>(&name), &size);
    if (from != nullptr) *from = SocketAddress::from(reinterpret_cast<const sockaddr*>(&name), size);
    return got < 0 ? "nothing" : std::string(text, static_cast<std::size_t>(got));
  }
  void answer(const SocketAddress& to, const std::string& text) {
    sockaddr_storage name{};
    const socklen_t size = to.store(name);
    ASSERT_GE(::sendto(server.get(), text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&name), size), 0);
  }
  void wait_for_packets(Way way, std::uint64_t count) {
    const auto due = Time::now() + harness::testing::kSocketPatience;
    while (link->counters(way).packets_in < count) ASSERT_LT(Time::now(), due);
  }

  Fd server = bound_socket(SOCK_DGRAM);
  std::unique_ptr<UdpLink> link;
  Fd client;
};

TEST_F(UdpLinkTest, DatagramsGoThereAndBackForEachClient) {
  start();
  const Fd second = connected_socket(SOCK_DGRAM, link->port());
  SocketAddress from_first, from_second;
  send_text(client, "one");
  EXPECT_EQ(receive(&from_first), "one");
  send_text(second, "two");
  EXPECT_EQ(receive(&from_second), "two");
  EXPECT_NE(from_first, from_second);
  answer(from_second, "to two");
  answer(from_first, "to one");
  EXPECT_EQ(receive_text(client), "to one");
  EXPECT_EQ(receive_text(second), "to two");
}

TEST_F(UdpLinkTest, DelayIsPaidInEachDirection) {
  start({.both = "delay=15ms", .down = "delay=25ms"});
  for (int i = 0; i < 5; ++i) {
    const auto begin = Time::now();
    SocketAddress from;
    send_text(client, "ping");
    EXPECT_EQ(receive(&from), "ping");
    EXPECT_GE(Time::now() - begin, 15ms);
    answer(from, "pong");
    EXPECT_EQ(receive_text(client), "pong");
    EXPECT_GE(Time::now() - begin, 40ms);
  }
}

TEST_F(UdpLinkTest, LossIsAsOftenAsItSays) {
  constexpr int kSent = 2000;
  start({.up = "loss=10%", .seed = 7});
  for (int i = 0; i < kSent; ++i) {
    send_text(client, "x");
    // The kernel's queue is not to lose any.
    if (i % 100 == 99) wait_for_packets(Way::up, static_cast<std::uint64_t>(i) + 1);
  }
  const emulator::LinkCounters counters = link->counters(Way::up);
  EXPECT_EQ(counters.packets_in, static_cast<std::uint64_t>(kSent));
  EXPECT_NEAR(static_cast<double>(counters.lost), kSent * 0.1, 5 * std::sqrt(kSent * 0.1 * 0.9));
  EXPECT_EQ(counters.packets_out + counters.lost, counters.packets_in);
}

TEST_F(UdpLinkTest, NothingPassesWhileItIsDown) {
  start();
  ASSERT_TRUE(link->set(Way::both, "down").has_value());
  send_text(client, "lost");
  wait_for_packets(Way::up, 1);
  ASSERT_TRUE(link->set(Way::both, "up").has_value());
  send_text(client, "arrives");
  EXPECT_EQ(receive(), "arrives");
  EXPECT_EQ(link->counters(Way::up).down_dropped, 1u);
}

TEST_F(UdpLinkTest, AReboundClientComesFromAnotherPortAndStillGetsAnswers) {
  start();
  SocketAddress before, behind;
  send_text(client, "before");
  EXPECT_EQ(receive(&before), "before");
  link->rebind();
  send_text(client, "behind");
  EXPECT_EQ(receive(&behind), "behind");
  EXPECT_NE(before, behind);
  answer(behind, "answer");
  EXPECT_EQ(receive_text(client), "answer");
}

TEST_F(UdpLinkTest, MoreClientsThanItHasRoomForAreStrangers) {
  start({.clients_max = 2});
  send_text(client, "first");
  EXPECT_EQ(receive(), "first");
  const Fd second = connected_socket(SOCK_DGRAM, link->port());
  send_text(second, "second");
  EXPECT_EQ(receive(), "second");
  const Fd third = connected_socket(SOCK_DGRAM, link->port());
  send_text(third, "third");
  send_text(client, "again");
  EXPECT_EQ(receive(), "again");
  EXPECT_EQ(link->strangers(), 1u);
}

TEST_F(UdpLinkTest, WordsThatAreWrongChangeNothing) {
  start({.up = "delay=1ms"});
  const Result<void> refused = link->set(Way::both, "delay=5ms loss=200%");
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().detail, HasSubstr("loss=200%"));
  const Result<std::unique_ptr<UdpLink>> bad = UdpLink::start("127.0.0.1", 1, {.both = "speed=1"});
  ASSERT_FALSE(bad.has_value());
  EXPECT_THAT(bad.error().detail, HasSubstr("speed=1"));
  EXPECT_FALSE(UdpLink::start("localhost", 1).has_value());
}

}  // namespace
}  // namespace wayport::harness

#include "wayport/gateway/route/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "wayport/gateway/route/admission_gate.h"

namespace wayport::route {
namespace {

using ::testing::HasSubstr;

std::optional<IpAddress> ip(std::string_view text) { return IpAddress::parse(text); }

TEST(Admission, BoundsTheGatewayAtItsLimitAndNotBefore) {
  Admission admission({.connections_max = 3, .handshakes_max = 2}, 7);
  EXPECT_TRUE(admission.enter(ip("10.0.0.1")).has_value());
  EXPECT_TRUE(admission.enter(std::nullopt).has_value());
  const Result<void> third = admission.enter(ip("10.0.0.3"));
  ASSERT_FALSE(third.has_value());
  EXPECT_EQ(third.error().to_string(), "overloaded: the route has 2 handshakes; at most 2 are taken (handshakes_max)");
  admission.handshake_done(ip("10.0.0.1"));
  EXPECT_TRUE(admission.enter(ip("10.0.0.3")).has_value());
  admission.handshake_done(std::nullopt);
  EXPECT_THAT(admission.enter(ip("10.0.0.4")).error().detail, HasSubstr("connections_max"));
  admission.leave(ip("10.0.0.1"), false);
  EXPECT_TRUE(admission.enter(ip("10.0.0.4")).has_value());
  EXPECT_EQ(admission.counters().refused_handshakes.read(), 1u);
  EXPECT_EQ(admission.counters().refused_connections.read(), 1u);
  EXPECT_EQ(admission.counters().admitted.read(), 4u);
  EXPECT_EQ(admission.counters().connections.read(), 3);
  EXPECT_EQ(admission.counters().handshakes.read(), 2);
}

TEST(Admission, BoundsEachSourceByItsPrefix) {
  Admission admission({.source_connections_max = 2, .source_handshakes_max = 1}, 7);
  EXPECT_TRUE(admission.enter(ip("2001:db8::1")).has_value());
  EXPECT_EQ(admission.enter(ip("2001:db8::ffff")).error().detail,
            "2001:db8::/64 has 1 handshakes; at most 1 are taken (source_handshakes_max)");
  EXPECT_TRUE(admission.enter(ip("2001:db8:0:1::1")).has_value()) << "another /64";
  EXPECT_TRUE(admission.enter(ip("10.0.0.1")).has_value());
  EXPECT_FALSE(admission.enter(ip("::ffff:10.0.0.1")).has_value()) << "is 10.0.0.1";
  EXPECT_TRUE(admission.enter(ip("10.0.0.2")).has_value());
  admission.handshake_done(ip("10.0.0.1"));
  EXPECT_TRUE(admission.enter(ip("10.0.0.1")).has_value());
  admission.handshake_done(ip("10.0.0.1"));
  EXPECT_EQ(admission.enter(ip("10.0.0.1")).error().detail,
            "10.0.0.1 has 2 connections; at most 2 are taken (source_connections_max)");
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(admission.enter(std::nullopt).has_value()) << "has no source";
  EXPECT_EQ(admission.counters().sources.read(), 4);
  EXPECT_EQ(admission.counters().refused_source_handshakes.read(), 2u);
  EXPECT_EQ(admission.counters().refused_source_connections.read(), 1u);
}

TEST(Admission, AZeroForSourcesIsNoLimit) {
  Admission admission({.source_connections_max = 0, .source_handshakes_max = 0}, 7);
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(admission.enter(ip("10.0.0.1")).has_value());
}

TEST(Admission, ForgetsSourcesThatAreGone) {
  Admission admission({.source_bits_v4 = 24}, 7);
  for (int i = 0; i < 1000; ++i) {
    const auto source = IpAddress::v4(0x0a000000u + static_cast<std::uint32_t>(i) * 64);
    ASSERT_TRUE(admission.enter(source).has_value());
    if (i % 2 == 0) admission.handshake_done(source);
  }
  EXPECT_EQ(admission.counters().sources.read(), 250);
  for (int i = 0; i < 1000; ++i) {
    admission.leave(IpAddress::v4(0x0a000000u + static_cast<std::uint32_t>(i) * 64), i % 2 != 0);
  }
  EXPECT_EQ(admission.counters().sources.read(), 0);
  EXPECT_EQ(admission.counters().connections.read(), 0);
  EXPECT_EQ(admission.counters().handshakes.read(), 0);
}

TEST(Admission, LimitsAreChecked) {
  EXPECT_TRUE(AdmissionLimits().validate().has_value());
  EXPECT_THAT(AdmissionLimits{.connections_max = 0}.validate().error().detail,
              HasSubstr("connections_max is 0; it has to be 1 to"));
  EXPECT_THAT(AdmissionLimits{.handshakes_max = 0}.validate().error().detail, HasSubstr("handshakes_max is 0"));
  EXPECT_THAT(AdmissionLimits{.source_bits_v4 = 33}.validate().error().detail, HasSubstr("it has to be 8 to 32"));
  EXPECT_THAT(AdmissionLimits{.source_bits_v6 = 8}.validate().error().detail, HasSubstr("it has to be 16 to 128"));
}

TEST(AdmissionGate, PlacesGiveThemselvesBackOnce) {
  const auto gate = std::make_shared<AdmissionGate>(AdmissionLimits{.connections_max = 2}, 7);
  const SocketAddress peer = *SocketAddress::from_ip("10.0.0.1", 1234);
  {
    AdmissionPlace place = *gate->enter(peer);
    AdmissionPlace other = *gate->enter(*SocketAddress::from_unix("@x"));
    EXPECT_FALSE(gate->enter(peer).has_value());
    place.handshake_done();
    place.handshake_done();
    EXPECT_EQ(gate->counters().handshakes.read(), 1);
    AdmissionPlace moved = std::move(place);
    EXPECT_TRUE(moved);
    other = std::move(moved);
    EXPECT_EQ(gate->counters().connections.read(), 1);
    EXPECT_EQ(gate->counters().handshakes.read(), 0);
    other.leave();
    other.leave();
    EXPECT_FALSE(other);
    EXPECT_EQ(gate->counters().connections.read(), 0);
    place = *gate->enter(peer);
  }
  EXPECT_EQ(gate->counters().connections.read(), 0);
  EXPECT_EQ(gate->counters().sources.read(), 0);
}

TEST(AdmissionGate, CountsRightFromManyThreads) {
  const auto gate = std::make_shared<AdmissionGate>(AdmissionLimits{.connections_max = 3}, 7);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([gate, t] {
      const SocketAddress peer = *SocketAddress::from_ip("10.0.0." + std::to_string(t), 1);
      for (int i = 0; i < 2000; ++i) {
        Result<AdmissionPlace> place = gate->enter(peer);
        if (place && i % 3 == 0) place->handshake_done();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const AdmissionCounters& counters = gate->counters();
  EXPECT_EQ(counters.connections.read(), 0);
  EXPECT_EQ(counters.handshakes.read(), 0);
  EXPECT_EQ(counters.sources.read(), 0);
  EXPECT_EQ(counters.admitted.read() + counters.refused_connections.read(), 8000u);
}

}  // namespace
}  // namespace wayport::route

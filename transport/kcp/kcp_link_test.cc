// Pairs of sessions over hostile links in virtual time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "wayport/transport/kcp/kcp_session.h"
#include "wayport/transport/kcp/testing/kcp_pair.h"

namespace wayport::transport::kcp {
namespace {

using namespace testing;
using std::chrono::milliseconds;
using std::chrono::seconds;

double scale() {
  const char* const text = std::getenv("WAYPORT_TEST_SCALE");
  return text != nullptr ? std::atof(text) : 1.0;
}

KcpOptions options_of(std::mt19937_64& random) {
  KcpOptions options;
  const auto pick = [&random](std::uint64_t count) { return random() % count; };
  options.set_nodelay(pick(2) == 0, static_cast<int>(10 + 10 * pick(4)), static_cast<std::uint32_t>(pick(4)),
                      pick(2) == 0);
  if (pick(3) == 0) options.congestion = Congestion::paced;
  options.send_window = static_cast<std::uint32_t>(16 + pick(128));
  options.receive_window = static_cast<std::uint32_t>(4 + pick(128));
  options.mtu = 128 + pick(64);
  options.stream_mode = pick(2) == 0;
  options.write_delay = pick(4) == 0;
  options.ack_nodelay = pick(2) == 0;
  if (pick(3) == 0) {
    options.fec_data = static_cast<std::uint32_t>(2 + pick(9));
    options.fec_parity = static_cast<std::uint32_t>(1 + pick(3));
  }
  if (pick(2) == 0) options.extension = ExtensionWish::ask;
  return options;
}

// Goal: over any link that loses, repeats, delays and reorders, every byte arrives in order, or the session ends with a
// reason in bounded time; with bounded memory; with numbers and clocks that wrap on the way. Method: 10,000 seeds, 200
// segments and more each way, virtual time.
class KcpLinkSeeds : public ::testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Quarter, KcpLinkSeeds, ::testing::Range(0u, 4u));
TEST_P(KcpLinkSeeds, DeliverEveryByteInOrderOrCloseWithAReason) {
  const char* const given = std::getenv("WAYPORT_TEST_SEED");
  const std::uint64_t first = given != nullptr ? std::strtoull(given, nullptr, 10) : 20261121 + 100'000 * GetParam();
  const auto runs = given != nullptr ? 1u : static_cast<unsigned>(2'500 * scale()) + 1;
  std::uint64_t closed = 0, agreed = 0, rebuilt = 0, resent = 0;
  for (std::uint64_t seed = first; seed < first + runs; ++seed) {
    SCOPED_TRACE("WAYPORT_TEST_SEED=" + std::to_string(seed));
    KcpPair pair(seed);
    const auto pick = [&pair](std::uint64_t count) { return pair.random() % count; };
    LinkOptions link;
    link.loss = static_cast<double>(pick(31)) / 100;
    link.duplicate = static_cast<double>(pick(10)) / 100;
    link.reorder = static_cast<double>(pick(20)) / 100;
    link.delay = milliseconds(pick(50));
    link.jitter = milliseconds(pick(10));
    link.reorder_delay = milliseconds(1 + pick(60));
    pair.links = {link, link};
    const KcpOptions options = options_of(pair.random);
    KcpSession::FirstNumbers a, b;
    if (pick(2) == 0) {  // sn, ts and seqid wrap in the middle
      a.sent = b.received = 0u - static_cast<std::uint32_t>(pick(200));
      b.sent = a.received = 0u - static_cast<std::uint32_t>(pick(200));
      a.ts = 0u - static_cast<std::uint32_t>(pick(3000));
      b.ts = 0u - static_cast<std::uint32_t>(pick(3000));
      if (options.fec_data != 0) {
        const std::uint32_t shards = options.fec_data + options.fec_parity;
        a.seqid = b.seqid = fec_wrap(shards) - shards * static_cast<std::uint32_t>(1 + pick(10));
      }
    }
    pair.a.start(options, KcpSession::Role::dialer, static_cast<std::uint32_t>(pair.random()), a);
    pair.b.start(options, KcpSession::Role::accepted, pair.a.session->conv(), b);
    // Whole segments, so that there are 200 of them in every mode.
    const std::size_t segment = pair.a.session->arq().mss();
    std::string up, down;
    while (up.size() < 200 * segment) up.push_back(static_cast<char>(pair.random()));
    while (down.size() < 200 * segment) down.push_back(static_cast<char>(pair.random()));
    const TimePoint begin = pair.now;
    pair.a.write(up);
    pair.b.write(down);
    const std::size_t memory_max =
        200 * (1520 + 150) + 2 * options.receive_window * (1520 + 60) + 4 * 14 * 1560 + 100'000;
    const auto done = [&] {
      for (KcpEnd* end : {&pair.a, &pair.b}) {
        EXPECT_LE(end->session->memory_bytes(), memory_max);
        EXPECT_LE(end->session->arq().pending_acks(), options.receive_window);
      }
      return (pair.a.received.size() == down.size() && pair.b.received.size() == up.size()) || pair.a.closed ||
             pair.b.closed;
    };
    ASSERT_TRUE(pair.run_until(std::chrono::minutes(30), done))
        << "after " << (pair.now - begin) / seconds(1) << " s: " << pair.a.received.size() << " and "
        << pair.b.received.size() << " bytes of " << up.size();
    ASSERT_TRUE(down.starts_with(pair.a.received));
    ASSERT_TRUE(up.starts_with(pair.b.received));
    if (pair.a.closed || pair.b.closed) {
      ++closed;
      const CloseReason& reason = pair.a.closed ? *pair.a.closed : *pair.b.closed;
      ASSERT_EQ(reason.error.code, ErrorCode::timed_out) << to_string(reason);
    } else {
      agreed += pair.a.session->extension_agreed() && pair.b.session->extension_agreed();
    }
    for (KcpEnd* end : {&pair.a, &pair.b}) {
      rebuilt += end->counters.fec_recovered.read();
      resent +=
          end->counters.lost_segments.read() + end->counters.fast_resends.read() + end->counters.early_resends.read();
      end->session->close(CloseReason::local(ErrorCode::local_closed, "done"), seconds(0));
    }
    pair.run(seconds(1));
    ASSERT_EQ(pair.a.closes, 1);
    ASSERT_EQ(pair.b.closes, 1);
    pair.a.session.reset();
    pair.b.session.reset();
    ASSERT_EQ(pair.a.pool.bytes_in_use(), 0u);
    ASSERT_EQ(pair.b.pool.bytes_in_use(), 0u);
    if (HasFailure()) return;
  }
  std::cout << runs << " runs: " << closed << " closed with a reason, " << agreed << " agreed on the extension, "
            << rebuilt << " datagrams rebuilt, " << resent << " segments resent\n";
  // Closing is for dead links; these are bad, not dead.
  EXPECT_LE(closed, runs / 100 + 1);
  EXPECT_GT(agreed, 0u);
}

struct Measured {
  double mbits = 0;
  double drop_share = 0;
};
Measured measure(Congestion congestion, std::size_t queue_bytes) {
  KcpOptions options;
  options.set_nodelay(true, 10, 2, true);
  options.congestion = congestion;
  options.send_window = options.receive_window = 1024;
  options.stream_mode = true;
  KcpPair pair(5);
  LinkOptions link;
  link.delay = milliseconds(10);
  pair.links = {link, link};
  pair.links[0].bytes_per_second = 100'000'000 / 8;
  pair.links[0].queue_bytes = queue_bytes;
  pair.a.start(options, KcpSession::Role::dialer);
  pair.b.start(options, KcpSession::Role::accepted);
  const std::string block(64 * 1024, 'x');
  const TimePoint end = pair.now + seconds(5);
  std::uint64_t total = 0;
  while (pair.now < end) {
    while (pair.a.unsent.empty()) pair.a.write(block);
    if (!pair.step(end)) break;
    total += pair.b.received.size();
    pair.b.received.clear();
  }
  return {static_cast<double>(total) * 8 / 5e6,
          static_cast<double>(pair.overflows) / static_cast<double>(pair.a.datagrams + 1)};
}

TEST(KcpLink, PacedCongestionFillsABottleneckWithoutOverflowingItsQueue) {
  const Measured paced = measure(Congestion::paced, 256 * 1024);
  const Measured none = measure(Congestion::none, 256 * 1024);
  std::cout << "100 Mbit/s, 20 ms, 256 KiB queue: paced " << paced.mbits << " Mbit/s, " << 100 * paced.drop_share
            << " % dropped; none " << none.mbits << " Mbit/s, " << 100 * none.drop_share << " % dropped\n";
  EXPECT_GT(paced.mbits, 85);
  EXPECT_LT(paced.drop_share, 0.01);
  EXPECT_GT(none.drop_share, 0.02);
}

TEST(KcpLink, PacedCongestionWorksWithAShortQueue) {
  const Measured paced = measure(Congestion::paced, 64 * 1024);
  std::cout << "100 Mbit/s, 20 ms, 64 KiB queue: paced " << paced.mbits << " Mbit/s, " << 100 * paced.drop_share
            << " % dropped\n";
  EXPECT_GT(paced.mbits, 75);
}

}  // namespace
}  // namespace wayport::transport::kcp

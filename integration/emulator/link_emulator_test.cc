// Goal: what an option says is what happens to packets, to the packet, and every packet is accounted for. Method: virtual
// time and fixed seeds; bounds of statistics are five standard deviations of what the option promises.
#include "wayport/integration/emulator/link_emulator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace wayport::emulator {
namespace {

using namespace std::chrono_literals;

LinkOptions options_of(std::string_view words) {
  const Result<LinkOptions> options = changed({}, words);
  EXPECT_TRUE(options.has_value()) << words;
  return options.value_or(LinkOptions());
}

struct Link {
  explicit Link(std::string_view words, std::uint64_t seed = 1) : link(options_of(words), seed) {}

  // Packets named by their tag, one each `gap`.
  void send(int count, std::size_t size = 100, Duration gap = 1ms) {
    for (int i = 0; i < count; ++i) {
      link.handle_packet(now, as_bytes(std::string(size, 'x')), next_tag++);
      receive();
      now += gap;
    }
  }
  void receive() {
    while (std::optional<LinkPacket> packet = link.poll_packet(now)) out.push_back(*std::move(packet));
    if (!balanced()) ADD_FAILURE() << "packets are missing";
  }
  void wait(Duration time) {
    const TimePoint end = now + time;
    while (link.next_event() <= end) {
      now = std::max(now, link.next_event());
      receive();
    }
    now = end;
  }
  void set(std::string_view words) { link.configure(now, *changed(link.options(), words)); }
  bool balanced() const {
    const LinkCounters& c = link.counters();
    return c.packets_in + c.duplicated == c.packets_out + c.lost + c.burst_lost + c.queue_dropped + c.down_dropped +
                                              c.held_dropped + c.waiting_packets;
  }
  std::vector<std::uint64_t> tags() const {
    std::vector<std::uint64_t> all;
    for (const LinkPacket& packet : out) all.push_back(packet.tag);
    return all;
  }
  std::vector<bool> arrived() const {  // by tag
    std::vector<bool> all(next_tag);
    for (const LinkPacket& packet : out) all[packet.tag] = true;
    return all;
  }
  std::size_t bytes() const {
    std::size_t sum = 0;
    for (const LinkPacket& packet : out) sum += packet.bytes.size();
    return sum;
  }

  LinkEmulator link;
  TimePoint now{1h};
  std::uint64_t next_tag = 0;
  std::vector<LinkPacket> out;
};

// Five standard deviations of the number of hits among n with chance p.
double five_sigma(double n, double p) { return 5 * std::sqrt(n * p * (1 - p)); }

constexpr int kMany = 50'000;

TEST(LinkEmulator, APerfectLinkPassesEverythingAtOnceAndUnchanged) {
  Link run("");
  run.link.handle_packet(run.now, as_bytes("one"), 7);
  run.receive();
  ASSERT_EQ(run.out.size(), 1u);
  EXPECT_EQ(run.out[0].bytes, "one");
  EXPECT_EQ(run.out[0].tag, 7u);
  EXPECT_EQ(run.out[0].due, run.now);
  EXPECT_EQ(run.link.next_event(), kNever);
}

TEST(LinkEmulator, DelayIsExact) {
  Link run("delay=20ms");
  const TimePoint sent = run.now;
  run.send(1, 10, 0ms);
  EXPECT_EQ(run.link.next_event(), sent + 20ms);
  run.now = sent + 20ms - 1ns;
  run.receive();
  EXPECT_TRUE(run.out.empty());
  run.now = sent + 20ms;
  run.receive();
  EXPECT_EQ(run.out.size(), 1u);
}

TEST(LinkEmulator, JitterStaysInItsBoundsAndKeepsTheOrder) {
  Link run("delay=10ms jitter=5ms");
  const TimePoint first = run.now;
  run.send(kMany / 10, 10, 1ms);
  run.wait(1s);
  ASSERT_EQ(run.out.size(), static_cast<std::size_t>(kMany / 10));
  double sum = 0;
  for (std::size_t i = 0; i < run.out.size(); ++i) {
    EXPECT_EQ(run.out[i].tag, i);
    const Duration took = run.out[i].due - (first + static_cast<int>(i) * 1ms);
    ASSERT_GE(took, 10ms);
    ASSERT_LT(took, 15ms);
    sum += std::chrono::duration<double, std::milli>(took).count();
  }
  // Keeping the order only adds to the mean of 12.5 ms.
  EXPECT_GT(sum / (kMany / 10), 12.4);
  EXPECT_LT(sum / (kMany / 10), 14.5);
}

TEST(LinkEmulator, LossIsAsOftenAsItSaysAndIndependent) {
  Link run("loss=10%", 5);
  run.send(kMany);
  const auto lost = static_cast<double>(run.link.counters().lost);
  EXPECT_NEAR(lost, kMany * 0.1, five_sigma(kMany, 0.1));
  // Two in a row are as often lost as chance has it.
  const std::vector<bool> arrived = run.arrived();
  int pairs = 0;
  for (std::uint64_t i = 0; i + 1 < kMany; ++i) pairs += !arrived[i] && !arrived[i + 1];
  EXPECT_NEAR(pairs, kMany * 0.01, 2 * five_sigma(kMany, 0.01));
  const std::vector<std::uint64_t> tags = run.tags();
  EXPECT_TRUE(std::is_sorted(tags.begin(), tags.end()));
}

TEST(LinkEmulator, AllAndNothingAreExact) {
  Link all("loss=100%");
  all.send(1000);
  EXPECT_EQ(all.link.counters().lost, 1000u);
  Link none("loss=0%");
  none.send(1000);
  EXPECT_EQ(none.out.size(), 1000u);
}

TEST(LinkEmulator, BurstsTakeTheirPartInRunsOfTheirLength) {
  Link run("burst=2%/10", 3);
  run.send(kMany * 2);
  const std::vector<bool> arrived = run.arrived();
  double bursts = 0, lost = 0;
  for (std::uint64_t i = 0; i < kMany * 2; ++i) {
    if (arrived[i]) continue;
    ++lost;
    bursts += i == 0 || arrived[i - 1];
  }
  EXPECT_EQ(lost, static_cast<double>(run.link.counters().burst_lost));
  // The lengths are geometric: deviation of the sum of n of them is about 10 * sqrt(n).
  EXPECT_NEAR(lost / bursts, 10, 5 * 10 / std::sqrt(bursts));
  EXPECT_NEAR(lost / (kMany * 2), 0.02, 5 * 0.02 * 1.5 / std::sqrt(bursts));
}

TEST(LinkEmulator, DuplicatesFollowTheirOriginals) {
  Link run("duplicate=5%", 9);
  run.send(kMany);
  EXPECT_NEAR(static_cast<double>(run.link.counters().duplicated), kMany * 0.05, five_sigma(kMany, 0.05));
  EXPECT_EQ(run.out.size(), kMany + run.link.counters().duplicated);
  const std::vector<std::uint64_t> tags = run.tags();
  EXPECT_TRUE(std::is_sorted(tags.begin(), tags.end()));
}

TEST(LinkEmulator, ReorderedPacketsAreOvertakenByThoseOfTheirTime) {
  Link run("delay=5ms reorder=10%/2500us", 4);
  run.send(1000, 10, 1ms);
  run.wait(1s);
  ASSERT_EQ(run.out.size(), 1000u);
  const std::uint64_t reordered = run.link.counters().reordered;
  EXPECT_NEAR(static_cast<double>(reordered), 100, five_sigma(1000, 0.1));
  std::uint64_t late = 0, highest = 0;
  for (const std::uint64_t tag : run.tags()) {
    if (tag < highest) {
      ++late;
      EXPECT_LE(highest - tag, 2u);  // within 2.5 ms two others pass
    }
    highest = std::max(highest, tag);
  }
  EXPECT_GT(late, 0u);
  EXPECT_LE(late, reordered);
}

TEST(LinkEmulator, CorruptionTurnsOneBitOfAsManyPacketsAsItSays) {
  Link run("corrupt=1%", 11);
  run.send(kMany, 40);
  int turned = 0;
  std::set<std::size_t> places;
  for (const LinkPacket& packet : run.out) {
    int bits = 0;
    for (std::size_t i = 0; i < packet.bytes.size(); ++i) {
      const int difference = __builtin_popcount(static_cast<unsigned char>(packet.bytes[i] ^ 'x'));
      if (difference != 0) places.insert(i);
      bits += difference;
    }
    EXPECT_LE(bits, 1);
    turned += bits;
  }
  EXPECT_EQ(static_cast<std::uint64_t>(turned), run.link.counters().corrupted);
  EXPECT_NEAR(turned, kMany * 0.01, five_sigma(kMany, 0.01));
  EXPECT_EQ(places.size(), 40u);
}

TEST(LinkEmulator, CorruptionOfAnEmptyPacketIsNone) {
  Link run("corrupt=100%");
  run.send(3, 0);
  EXPECT_EQ(run.link.counters().corrupted, 0u);
  EXPECT_EQ(run.out.size(), 3u);
}

// 8 * 1000 bytes at 7 Mbit/s do not divide: without the carried rest the rate would drift.
TEST(LinkEmulator, TheRateIsExactOverAnyWindow) {
  Link run("rate=7Mbit queue=1000MiB held=1000MiB");
  const TimePoint start = run.now;
  run.send(20'000, 1000, 0ns);
  run.wait(60s);
  ASSERT_EQ(run.out.size(), 20'000u);
  for (const std::size_t window : {1u, 10u, 1000u, 20'000u}) {
    for (std::size_t i = window; i <= run.out.size(); i += window) {
      const auto wanted = static_cast<std::int64_t>(i) * 8000 * 1'000'000'000 / 7'000'000;
      ASSERT_EQ((run.out[i - 1].due - start).count(), wanted) << i;
    }
  }
}

TEST(LinkEmulator, AnIdleBottleneckSavesNothingUp) {
  Link run("rate=8Mbit");
  run.send(1, 1000, 0ms);
  run.wait(10s);
  const TimePoint again = run.now;
  run.send(2, 1000, 0ms);
  run.wait(1s);
  ASSERT_EQ(run.out.size(), 3u);
  EXPECT_EQ(run.out[1].due, again + 1ms);
  EXPECT_EQ(run.out[2].due, again + 2ms);
}

TEST(LinkEmulator, TheQueueTakesItsBytesAndNotOneMore) {
  Link run("rate=8Mbit queue=3000");
  run.send(3, 1000, 0ms);
  EXPECT_EQ(run.link.counters().queued_bytes, 3000u);
  EXPECT_EQ(run.link.counters().queue_dropped, 0u);
  run.send(1, 1, 0ms);
  EXPECT_EQ(run.link.counters().queue_dropped, 1u);
  // When the first one has left there is room for as much, and not more.
  run.now += 1ms;
  run.send(1, 1001, 0ms);
  EXPECT_EQ(run.link.counters().queue_dropped, 2u);
  run.send(1, 1000, 0ms);
  EXPECT_EQ(run.link.counters().queue_dropped, 2u);
  EXPECT_EQ(run.link.counters().queued_bytes_most, 3000u);
  run.wait(1s);
  EXPECT_EQ(run.bytes(), 4000u);
  EXPECT_EQ(run.link.counters().queued_bytes, 0u);
}

TEST(LinkEmulator, HeldBytesAreBoundedOnBothSides) {
  const std::size_t each = 1000 + LinkEmulator::kPacketOverheadBytes;
  Link run("delay=1s held=" + std::to_string(3 * each));
  run.send(3, 1000, 0ms);
  EXPECT_EQ(run.link.counters().held_dropped, 0u);
  run.send(1, 0, 0ms);
  EXPECT_EQ(run.link.counters().held_dropped, 1u);
  run.wait(2s);
  EXPECT_EQ(run.out.size(), 3u);
  // A second copy is bounded, too.
  Link twice("delay=1s duplicate=100% held=" + std::to_string(3 * each));
  twice.send(2, 1000, 0ms);
  EXPECT_EQ(twice.link.counters().duplicated, 2u);
  EXPECT_EQ(twice.link.counters().held_dropped, 1u);
  twice.wait(2s);
  EXPECT_EQ(twice.out.size(), 3u);
}

TEST(LinkEmulator, DownLosesWhatComesAndWhatIsUnderWay) {
  Link run("delay=10ms rate=8Mbit");
  run.send(5, 1000, 0ms);
  run.now += 2ms;
  run.set("down");
  EXPECT_EQ(run.link.counters().down_dropped, 5u);
  EXPECT_EQ(run.link.next_event(), kNever);
  run.send(3);
  run.wait(1s);
  EXPECT_EQ(run.link.counters().down_dropped, 8u);
  EXPECT_TRUE(run.out.empty());
  run.set("up");
  run.send(1);
  run.wait(1s);
  EXPECT_EQ(run.out.size(), 1u);
  EXPECT_TRUE(run.balanced());
}

TEST(LinkEmulator, AShorterDelayDoesNotLetPacketsOvertake) {
  Link run("delay=100ms");
  run.send(1, 10, 0ms);
  run.set("delay=1ms");
  run.send(1, 10, 0ms);
  run.wait(1s);
  EXPECT_EQ(run.tags(), (std::vector<std::uint64_t>{0, 1}));
  EXPECT_EQ(run.out[1].due, run.out[0].due);
}

TEST(LinkEmulator, AnotherRateHoldsForWhatIsQueued) {
  Link run("rate=8kbit");
  const TimePoint start = run.now;
  run.send(3, 1000, 0ms);
  run.set("rate=8Mbit");
  run.wait(100ms);
  ASSERT_EQ(run.out.size(), 3u);
  EXPECT_EQ(run.out[2].due, start + 3ms);
  run.set("rate=8kbit");
  run.send(3, 1000, 0ms);
  run.set("rate=0");
  run.receive();
  EXPECT_EQ(run.tags(), (std::vector<std::uint64_t>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(run.link.counters().queued_bytes, 0u);
}

TEST(LinkEmulator, TheSeedDecidesAndOtherOptionsDoNotInterfere) {
  const auto lost_of = [](std::string_view words, std::uint64_t seed) {
    Link run(words, seed);
    run.send(2000);
    run.wait(10s);
    const std::vector<std::uint64_t> tags = run.tags();
    return std::set<std::uint64_t>(tags.begin(), tags.end());
  };
  EXPECT_EQ(lost_of("loss=10%", 1), lost_of("loss=10%", 1));
  EXPECT_NE(lost_of("loss=10%", 1), lost_of("loss=10%", 2));
  EXPECT_EQ(lost_of("loss=10%", 1), lost_of("loss=10% duplicate=20% jitter=3ms corrupt=5% reorder=5%", 1));
}

TEST(LinkEmulator, EverythingAtOnceStillAddsUp) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Link run(
        "delay=3ms jitter=9ms loss=3% burst=2%/5 duplicate=4% corrupt=2% reorder=5%/4ms rate=900kbit queue=4KiB "
        "held=20KiB",
        seed);
    run.send(3000, 137, 1ms);
    run.set("down");
    run.send(10);
    run.set("up rate=0");
    run.send(100);
    run.wait(1h);
    EXPECT_TRUE(run.balanced());
    EXPECT_EQ(run.link.counters().waiting_packets, 0u);
    EXPECT_EQ(run.link.counters().waiting_bytes, 0u);
    EXPECT_EQ(run.link.counters().packets_out, run.out.size());
    EXPECT_EQ(run.link.counters().bytes_out, run.bytes());
    EXPECT_GT(run.link.counters().queue_dropped, 0u);
  }
}

}  // namespace
}  // namespace wayport::emulator

#include "wayport/rpc/packets/packet_hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "wayport/transport/testing/memory_stream.h"

namespace wayport::rpc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Events final : PacketEvents {
  PacketHub* hub = nullptr;
  std::size_t erased = 0;
  bool on_packet(PacketStream&, const framing::PacketView&) override { return true; }
  void on_writable(PacketStream&) override {}
  void on_read_end(PacketStream& stream) override { stream.close("the peer left"); }
  void on_closed(PacketStream& stream, const CloseReason&) override {
    if (hub) erased += hub->erase(stream) ? 1 : 0;
  }
};

class PacketHubTest : public ::testing::Test {
 protected:
  PacketHub::Handle stream(const std::string& id) {
    transport::MemoryPair pair = transport::make_memory_pair(loop, loop);
    peers.push_back(std::move(pair.b));
    return PacketStream::create(std::move(pair.a), environment, events, {.id = id});
  }
  static std::vector<std::string> ids(const PacketHub& hub) {
    std::vector<std::string> all;
    hub.range([&](const PacketHub::Handle& each) {
      all.push_back(each->id());
      return true;
    });
    return all;
  }

  ManualClock clock;
  Loop loop{LoopOptions{.clock = &clock}};
  framing::CodecRegistry codecs;
  PacketEnvironment environment{codecs};
  Events events;
  std::vector<std::unique_ptr<transport::Stream>> peers;
};

TEST_F(PacketHubTest, SetGetErase) {
  PacketHub hub;
  const auto a = stream("a");
  EXPECT_EQ(hub.get("a"), nullptr);
  EXPECT_EQ(hub.set(a).value(), nullptr);
  EXPECT_EQ(hub.set(a).value(), nullptr) << "the same again displaces nobody";
  EXPECT_EQ(hub.get("a"), a);
  EXPECT_EQ(hub.count(), 1u);
  EXPECT_EQ(hub.erase("b"), nullptr);
  EXPECT_EQ(hub.erase("a"), a);
  EXPECT_EQ(hub.count(), 0u);
  EXPECT_EQ(hub.set(nullptr).error().code, ErrorCode::invalid_argument);
}

TEST_F(PacketHubTest, TheOlderHolderIsReturnedAndCannotEraseTheNewer) {
  PacketHub hub;
  events.hub = &hub;
  const auto older = stream("a");
  const auto newer = stream("a");
  ASSERT_TRUE(hub.set(older));
  EXPECT_EQ(hub.set(newer).value(), older);
  older->abort("displaced");
  loop.drain();
  EXPECT_EQ(events.erased, 0u);
  EXPECT_EQ(hub.get("a"), newer);
  newer->abort("kicked");
  loop.drain();
  EXPECT_EQ(events.erased, 1u);
  EXPECT_EQ(hub.count(), 0u);
}

TEST_F(PacketHubTest, TheHubsHandleMayBeTheLast) {
  PacketHub hub;
  events.hub = &hub;
  ASSERT_TRUE(hub.set(stream("only")));
  const std::weak_ptr<PacketStream> watched = hub.get("only");
  hub.get("only")->abort("kicked");
  loop.drain();
  EXPECT_EQ(events.erased, 1u);
  EXPECT_TRUE(watched.expired());
}

TEST_F(PacketHubTest, Rename) {
  PacketHub hub;
  const auto a = stream("a");
  const auto b = stream("b");
  const auto c = stream("c");
  for (const auto& each : {a, b, c}) ASSERT_TRUE(hub.set(each));
  EXPECT_EQ(hub.rename("a", "z").value(), nullptr);
  EXPECT_EQ(a->id(), "z");
  EXPECT_EQ(hub.get("z"), a);
  EXPECT_EQ(hub.get("a"), nullptr);
  EXPECT_EQ(hub.rename("z", "z").value(), nullptr);
  EXPECT_EQ(hub.count(), 3u);
  // Every pair of places: the displaced one leaves a gap that another entry fills.
  EXPECT_EQ(hub.rename("c", "b").value(), b);
  EXPECT_EQ(hub.count(), 2u);
  EXPECT_EQ(hub.get("b"), c);
  EXPECT_EQ(hub.rename("b", "z").value(), a);
  EXPECT_EQ(hub.get("z"), c);
  EXPECT_THAT(ids(hub), ElementsAre("z"));
  EXPECT_TRUE(hub.erase(*c));
  const Result<PacketHub::Handle> unknown = hub.rename("a\n", "b");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::not_found);
  EXPECT_THAT(unknown.error().detail, HasSubstr("\\x0a"));
}

TEST_F(PacketHubTest, AStreamIsHeldOnce) {
  PacketHub hub;
  const auto a = stream("a");
  const auto b = stream("b");
  ASSERT_TRUE(hub.set(a));
  ASSERT_TRUE(hub.set(b));
  a->set_id("b");
  EXPECT_EQ(hub.set(a).value(), b);
  EXPECT_EQ(hub.count(), 1u);
  EXPECT_EQ(hub.get("a"), nullptr);
  EXPECT_EQ(hub.get("b"), a);
}

TEST_F(PacketHubTest, Bounds) {
  PacketHub hub({.entries_max = 2, .id_bytes_max = 3});
  const auto a = stream("a");
  ASSERT_TRUE(hub.set(a));
  ASSERT_TRUE(hub.set(stream("b")));
  const auto refused = hub.set(stream("c"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::overloaded);
  EXPECT_THAT(refused.error().detail, HasSubstr("entries_max"));
  EXPECT_EQ(hub.refused(), 1u);
  EXPECT_TRUE(hub.set(stream("b"))) << "a replacement needs no room";
  a->set_id("c");
  EXPECT_TRUE(hub.set(a)) << "nor does one that moves";
  EXPECT_THAT(ids(hub), ElementsAre("b", "c"));
  EXPECT_TRUE(hub.rename("b", "123"));
  EXPECT_EQ(hub.rename("123", "1234").error().code, ErrorCode::too_large);
  EXPECT_EQ(hub.set(stream("1234")).error().code, ErrorCode::too_large);
  hub.erase("c");
  EXPECT_TRUE(hub.set(stream("d")));
}

TEST_F(PacketHubTest, RangeIsInOrderStopsAndMayChangeTheHub) {
  PacketHub hub;
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(hub.set(stream("id" + std::to_string(1000 + i))));
  std::vector<std::string> seen;
  EXPECT_TRUE(hub.range([&](const PacketHub::Handle& each) {
    seen.push_back(each->id());
    if (seen.size() % 2 == 0) hub.erase(seen.back());
    return true;
  }));
  ASSERT_EQ(seen.size(), 200u);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], "id" + std::to_string(1000 + i));
  EXPECT_EQ(hub.count(), 100u);
  std::size_t visits = 0;
  EXPECT_FALSE(hub.range([&](const PacketHub::Handle&) { return ++visits < 70; }));
  EXPECT_EQ(visits, 70u);
  // The lengths at which a step is exactly full.
  PacketHub full;
  for (int i = 0; i < 64; ++i) ASSERT_TRUE(full.set(stream(std::to_string(i))));
  EXPECT_EQ(ids(full).size(), 64u);
}

TEST_F(PacketHubTest, PickIsUniform) {
  PacketHub hub;
  EXPECT_EQ(hub.pick(), nullptr);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(hub.set(stream(std::to_string(i))));
  hub.erase("3");
  std::map<std::string, int> picked;
  for (int i = 0; i < 9000; ++i) ++picked[hub.pick()->id()];
  EXPECT_EQ(picked.size(), 9u);
  // 1000 expected with a standard deviation of 30; ten of them never happen.
  for (const auto& [id, times] : picked) EXPECT_NEAR(times, 1000, 300) << id;

  std::uint64_t next = 0;
  PacketHub counted({.random = [&] { return next++; }});
  for (const char* id : {"a", "b", "c"}) ASSERT_TRUE(counted.set(stream(id)));
  std::vector<std::string> order;
  for (int i = 0; i < 4; ++i) order.push_back(counted.pick()->id());
  EXPECT_THAT(order, ElementsAre("a", "b", "c", "a"));
}

TEST_F(PacketHubTest, ManyThreads) {
  constexpr int kThreads = 4;
  constexpr int kStreams = 32;
  PacketHub hub;
  std::vector<std::vector<PacketHub::Handle>> owned(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    for (int i = 0; i < kStreams; ++i) {
      owned[static_cast<std::size_t>(t)].push_back(stream(std::to_string(t) + "-" + std::to_string(i)));
    }
  }
  std::vector<std::thread> threads;
  for (const auto& mine : owned) {
    threads.emplace_back([&hub, &mine] {
      for (int round = 0; round < 20; ++round) {
        for (const auto& each : mine) EXPECT_TRUE(hub.set(each));
        hub.pick();
        hub.range([](const PacketHub::Handle& each) { return !each->id().empty(); });
        for (const auto& each : mine) {
          const std::string id = each->id();
          EXPECT_EQ(hub.get(id), each);
          EXPECT_TRUE(hub.rename(id, "renamed-" + id));
          EXPECT_TRUE(hub.erase(*each));
          each->set_id(id);
        }
      }
      for (const auto& each : mine) EXPECT_TRUE(hub.set(each));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(hub.count(), static_cast<std::size_t>(kThreads * kStreams));
  for (const auto& mine : owned) {
    for (const auto& each : mine) EXPECT_EQ(hub.get(each->id()), each);
  }
}

}  // namespace
}  // namespace wayport::rpc

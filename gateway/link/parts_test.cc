// The parts of the switch, each by itself.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/gateway/link/backlog.h"
#include "wayport/gateway/link/connection_ids.h"
#include "wayport/gateway/link/id_table.h"
#include "wayport/gateway/link/mail.h"
#include "wayport/gateway/link/slab.h"

namespace wayport::link {
namespace {

TEST(IdTable, DoesWhatAMapDoes) {
  std::mt19937_64 random(7);
  for (const std::uint64_t seed : {0ull, 1ull, 0x123456789abcdefull}) {
    IdTable table(seed);
    std::unordered_map<std::uint32_t, std::uint32_t> map;
    for (int i = 0; i < 60'000; ++i) {
      // Sizes wander, so that it grows and shrinks.
      const auto range = static_cast<std::uint32_t>(i / 15'000 % 2 == 0 ? 3000 : 30);
      const auto id = static_cast<std::uint32_t>(random() % range) * (i % 3 == 0 ? 0x10000 : 1);
      if (random() % 2 == 0) {
        const auto slot = static_cast<std::uint32_t>(random() % 1000);
        ASSERT_EQ(table.insert(id, slot), map.emplace(id, slot).second);
      } else {
        ASSERT_EQ(table.erase(id), map.erase(id) == 1);
      }
      ASSERT_EQ(table.size(), map.size());
      const auto asked = static_cast<std::uint32_t>(random() % range);
      const auto found = map.find(asked);
      ASSERT_EQ(table.find(asked), found == map.end() ? IdTable::kNone : found->second);
    }
    std::size_t visited = 0;
    table.for_each([&](std::uint32_t id, std::uint32_t slot) {
      EXPECT_EQ(map.at(id), slot);
      ++visited;
    });
    EXPECT_EQ(visited, map.size());
  }
}

TEST(IdTable, GivesMemoryBack) {
  IdTable table(5);
  for (std::uint32_t id = 0; id < 100'000; ++id) table.insert(id, id);
  const std::size_t full = table.heap_bytes();
  EXPECT_LE(full, 100'000u * 22);
  for (std::uint32_t id = 0; id < 100'000; ++id) table.erase(id);
  EXPECT_LT(table.heap_bytes(), full / 100);
}

TEST(Slab, ReusesSlotsAndKeepsAddresses) {
  struct Record {
    std::uint32_t value = 5;
    std::uint32_t next = 0;
  };
  Slab<Record> slab;
  std::vector<std::uint32_t> slots;
  for (std::uint32_t i = 0; i < 1000; ++i) slots.push_back(slab.take());
  EXPECT_EQ(std::set<std::uint32_t>(slots.begin(), slots.end()).size(), 1000u);
  Record* const first = &slab[slots[0]];
  first->value = 9;
  for (std::uint32_t i = 0; i < 1000; ++i) slab.take();
  EXPECT_EQ(&slab[slots[0]], first);
  const std::size_t bytes = slab.heap_bytes();
  slab.give(slots[0]);
  EXPECT_EQ(slab.take(), slots[0]);
  EXPECT_EQ(first->value, 5u);
  EXPECT_EQ(slab.heap_bytes(), bytes);
}

TEST(ConnectionIds, SkipsZeroAndEachBlockWithALivingOne) {
  const auto ids = std::make_unique<ConnectionIds>(1000);
  EXPECT_EQ(ids->take(), 1u);
  EXPECT_EQ(ids->take(), 2u);
  ids->jump(0x3ffff);
  EXPECT_EQ(ids->take(), 0x3ffffu);  // lives at the end of its block
  EXPECT_EQ(ids->take(), 0x40000u);
  ids->jump(0xffffffff);
  EXPECT_EQ(ids->take(), 0xffffffffu);
  EXPECT_EQ(ids->take(), 0x10000u);  // not 0, nor anything in the block of 1 and 2
  ids->jump(0x2ffff);
  EXPECT_EQ(ids->take(), 0x2ffffu);
  EXPECT_EQ(ids->take(), 0x50000u);  // blocks 3 and 4 have living ones
  for (const std::uint32_t id : {1u, 2u, 0x3ffffu, 0x40000u}) ids->release(id);
  ids->jump(0x70000);
  EXPECT_EQ(ids->take(), 0x70000u);  // these rest meanwhile
  ids->jump(0);
  EXPECT_EQ(ids->take(), 1u);
  ids->jump(0x30000);
  EXPECT_EQ(ids->take(), 0x30000u);
  EXPECT_EQ(ids->take(), 0x30001u);
}

TEST(ConnectionIds, ABlockRestsUntilAnotherOneWasUsedUp) {
  const auto ids = std::make_unique<ConnectionIds>(200'000);
  ids->jump(0x50007);
  const std::uint32_t old = ids->take().value();
  ids->jump(0x4ffff);
  EXPECT_EQ(ids->take(), 0x4ffffu);
  ids->release(old);                 // just before the counter comes to it
  EXPECT_EQ(ids->take(), 0x60000u);  // all of block 5 rests
  ids->jump(0x4ffff);                // as if 6 had been used up, and a round were over
  EXPECT_EQ(ids->take(), 0x4ffffu);
  EXPECT_EQ(ids->take(), 0x50000u);
  EXPECT_EQ(ids->alive(), 4u);
}

TEST(ConnectionIds, FailsWhenEachBlockHasALivingOne) {
  const auto ids = std::make_unique<ConnectionIds>(100'000);
  for (std::uint32_t block = 0; block < 65536; ++block) {
    ids->jump(block << 16 | 5);
    ASSERT_EQ(ids->take(), block << 16 | 5);
  }
  ids->jump(0);
  EXPECT_EQ(ids->take(), std::nullopt);
  EXPECT_EQ(ids->alive(), 65536u);
  ids->release(7u << 16 | 5);
  EXPECT_EQ(ids->take(), 7u << 16);
}

TEST(ConnectionIds, FailsAtTheBoundAndGoesOnBelowIt) {
  const auto ids = std::make_unique<ConnectionIds>(2);
  EXPECT_EQ(ids->take(), 1u);
  EXPECT_EQ(ids->take(), 2u);
  EXPECT_EQ(ids->take(), std::nullopt);
  ids->release(1);
  EXPECT_EQ(ids->take(), 3u);
}

TEST(ConnectionIds, GivesEachIdToOneThread) {
  const auto ids = std::make_unique<ConnectionIds>(1'000'000, 0xffffffff - 5000);
  std::vector<std::vector<std::uint32_t>> taken(4);
  {
    std::vector<std::jthread> threads;
    for (std::vector<std::uint32_t>& mine : taken) {
      threads.emplace_back([&ids, &mine] {
        for (int i = 0; i < 5000; ++i) mine.push_back(ids->take().value());
      });
    }
  }
  std::set<std::uint32_t> all;
  for (const std::vector<std::uint32_t>& mine : taken) all.insert(mine.begin(), mine.end());
  EXPECT_EQ(all.size(), 20'000u);
  EXPECT_FALSE(all.contains(0));
}

TEST(MailBatch, GivesBackWhatWasPutInInOrder) {
  MailBatch batch;
  const std::string small(100, 's');
  const std::string large(MailBatch::kInlineBytesMax + 1, 'l');
  Chain small_chain, large_chain;
  small_chain.append(small);
  large_chain.append(large);
  batch.add({.kind = MailKind::dial_server, .connection = 1, .id = 2, .port = 3, .registration = 1ull << 40});
  Frame viewed{9, as_bytes(small), nullptr};
  batch.add_frame(MailKind::data_to_server, 9, viewed);
  Frame collected{10, {}, &large_chain};
  batch.add_frame(MailKind::data_to_client, 10, collected);
  EXPECT_TRUE(large_chain.empty());  // moved, not copied
  Frame in_pieces{11, {}, &small_chain};
  batch.add_frame(MailKind::data_to_client, 11, in_pieces);
  Frame large_view{12, as_bytes(large), nullptr};
  batch.add_frame(MailKind::data_to_server, 12, large_view);
  batch.add({.kind = MailKind::close_to_client, .connection = 13});
  EXPECT_EQ(batch.count(), 6u);
  EXPECT_EQ(batch.frame_bytes(), 2 * small.size() + 2 * large.size());

  MailBatch moved(std::move(batch));
  EXPECT_TRUE(batch.empty());
  EXPECT_EQ(batch.frame_bytes(), 0u);
  Mail mail;
  ASSERT_TRUE(moved.next(mail));
  EXPECT_EQ(mail.kind, MailKind::dial_server);
  EXPECT_EQ(mail.connection, 1u);
  EXPECT_EQ(mail.id, 2u);
  EXPECT_EQ(mail.port, 3u);
  EXPECT_EQ(mail.registration, 1ull << 40);
  for (const auto& [connection, expected] :
       std::vector<std::pair<std::uint32_t, std::string>>{{9, small}, {10, large}, {11, small}, {12, large}}) {
    ASSERT_TRUE(moved.next(mail));
    EXPECT_EQ(mail.connection, connection);
    EXPECT_EQ(mail.frame.size(), expected.size());
    Chain out;
    mail.frame.move_to(out);
    EXPECT_EQ(out.to_string(), expected);
  }
  ASSERT_TRUE(moved.next(mail));
  EXPECT_EQ(mail.kind, MailKind::close_to_client);
  EXPECT_FALSE(moved.next(mail));
  moved.clear();
  EXPECT_TRUE(moved.empty());
  EXPECT_FALSE(moved.next(mail));
}

TEST(Backlog, KnowsWhatIsWhose) {
  Backlog backlog(3);
  std::vector<std::uint32_t> resumed;
  const Backlog::Share low{100, 1, false};
  const auto resume = [&](std::uint32_t connection) { resumed.push_back(connection); };
  backlog.start(50);
  backlog.push(1, 100);
  backlog.push(0, 9);
  backlog.push(2, 200);
  backlog.push(1, 100);
  EXPECT_EQ(backlog.messages(), 4u);
  EXPECT_EQ(backlog.share(1).bytes, 200u);
  EXPECT_EQ(backlog.share(1).messages, 2u);
  EXPECT_EQ(backlog.share(3).messages, 0u);
  backlog.set_paused(1);
  backlog.set_paused(2);
  backlog.release(50, low, resume);  // what was there before
  EXPECT_EQ(backlog.messages(), 4u);
  backlog.release(99, low, resume);
  EXPECT_EQ(backlog.share(1).bytes, 101u);
  EXPECT_TRUE(resumed.empty());
  backlog.release(1, low, resume);
  EXPECT_EQ(resumed, std::vector<std::uint32_t>{1});
  EXPECT_EQ(backlog.messages(), 3u);
  backlog.release(9 + 200, low, resume);
  EXPECT_EQ(resumed, (std::vector<std::uint32_t>{1, 2}));
  EXPECT_EQ(backlog.share(2).messages, 0u);
  backlog.release(100, low, resume);
  EXPECT_TRUE(backlog.empty());
  EXPECT_EQ(resumed.size(), 2u);
}

TEST(Backlog, ForgetsWhatHasLeft) {
  Backlog backlog(3);
  backlog.start(0);
  for (std::uint32_t i = 1; i <= 100'000; ++i) {
    backlog.push(i % 7 + 1, 10);
    if (i > 10) backlog.release(10, {}, [](std::uint32_t) {});
  }
  EXPECT_EQ(backlog.messages(), 10u);
  std::size_t bytes = 0;
  for (std::uint32_t connection = 1; connection <= 7; ++connection) bytes += backlog.share(connection).bytes;
  EXPECT_EQ(bytes, 100u);
}

}  // namespace
}  // namespace wayport::link

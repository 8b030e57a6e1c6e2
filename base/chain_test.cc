#include "wayport/base/chain.h"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace wayport {
namespace {

std::string text(std::size_t size, char start = 'a') {
  std::string result(size, '\0');
  for (std::size_t i = 0; i < size; ++i) result[i] = static_cast<char>(start + static_cast<char>(i % 23));
  return result;
}

Chain chain_of(std::string_view bytes) {
  Chain chain;
  chain.append(bytes);
  return chain;
}

std::size_t pieces(const Chain& chain) {
  std::vector<iovec> slots(10'000);
  return chain.gather(slots);
}

TEST(Chain, HoldsWhatIsAppended) {
  for (const std::size_t size : {0, 1, 4000, 4096, 5000, 65536, 70'000, 300'000}) {
    const std::string bytes = text(size);
    const Chain chain = chain_of(bytes);
    EXPECT_EQ(chain.size(), size);
    EXPECT_EQ(chain.empty(), size == 0);
    EXPECT_EQ(chain.to_string(), bytes);
  }
}

TEST(Chain, ConsumesFromTheFrontInAnySteps) {
  const std::string bytes = text(200'000);
  for (const std::size_t step : {1000, 4095, 65536, 200'000}) {
    Chain chain = chain_of(bytes);
    std::size_t at = 0;
    while (!chain.empty()) {
      EXPECT_EQ(as_text(chain.front()), std::string_view(bytes).substr(at, chain.front().size()));
      const std::size_t size = std::min(step, chain.size());
      chain.consume(size);
      at += size;
      EXPECT_EQ(chain.size(), bytes.size() - at);
    }
    EXPECT_TRUE(chain.front().empty());
  }
}

TEST(Chain, KeepsBytesWhereTheyAreUntilTheyAreConsumed) {
  Chain chain = chain_of(text(100));
  const std::byte* const first = chain.front().data();
  const MutableBytes field = chain.append_uninitialized(4);
  chain.append(chain_of(text(100'000)));
  chain.append(text(50'000));
  Chain moved(std::move(chain));
  moved.consume(10);
  EXPECT_EQ(moved.front().data(), first + 10);
  store_be<std::uint32_t>(field.data(), 0x41424344);
  EXPECT_EQ(moved.to_string().substr(90, 4), "ABCD");
}

TEST(Chain, JoinsWithoutCopyingUnlessTheOtherIsTiny) {
  Chain chain = chain_of(text(100));
  Chain tiny = chain_of(text(256, 'A'));
  chain.append(std::move(tiny));
  EXPECT_EQ(pieces(chain), 1u);
  Chain large = chain_of(text(257, 'A'));
  const std::byte* const at = large.front().data();
  chain.append(std::move(large));
  EXPECT_EQ(pieces(chain), 2u);
  chain.consume(356);
  EXPECT_EQ(chain.front().data(), at);
  EXPECT_EQ(as_text(chain.front()), text(257, 'A'));
}

TEST(Chain, TakesTheMemoryOfALargeStringOnly) {
  std::string large = text(16 * 1024);
  const void* const memory = large.data();
  Chain chain = chain_of("head");
  chain.append(std::move(large));
  EXPECT_EQ(pieces(chain), 2u);
  chain.append(std::string_view("tail"));
  chain.consume(4);
  EXPECT_EQ(static_cast<const void*>(chain.front().data()), memory);
  EXPECT_EQ(chain.to_string(), text(16 * 1024) + "tail");

  Chain other = chain_of("head");
  other.append(text(1024));
  EXPECT_EQ(pieces(other), 1u);
}

TEST(Chain, PreparesContiguousRoomOfAnySize) {
  for (const std::size_t size : {1, 100, 4096, 65536, 1'000'000}) {
    Chain chain = chain_of(text(10));
    const MutableBytes room = chain.prepare(size);
    ASSERT_EQ(room.size(), size);
    std::ranges::fill(room, std::byte{'x'});
    chain.commit(size - 1);
    EXPECT_EQ(chain.to_string(), text(10) + std::string(size - 1, 'x'));
  }
}

TEST(Chain, IsStillEmptyWhenNothingWasCommitted) {
  Chain chain;
  chain.prepare(100);
  chain.commit(0);
  EXPECT_TRUE(chain.empty());
  EXPECT_TRUE(chain.front().empty());
  chain.prepare(100'000);
  EXPECT_TRUE(chain.front().empty());
  chain.append(chain_of(text(300)));
  EXPECT_EQ(chain.to_string(), text(300));
  chain.prepare(100'000);  // leaves an empty chunk behind
  chain.append(chain_of(text(300'000)));
  EXPECT_EQ(chain.to_string(), text(300) + text(300'000));
  chain.consume(300);
  EXPECT_EQ(chain.front().size() > 0, true);
}

TEST(Chain, TruncatesAndGoesOn) {
  const std::string bytes = text(150'000);
  for (const std::size_t size : {0, 1, 65'000, 149'999, 150'000, 200'000}) {
    Chain chain = chain_of(bytes);
    chain.truncate(size);
    EXPECT_EQ(chain.to_string(), bytes.substr(0, size));
    chain.append(std::string_view("end"));
    EXPECT_EQ(chain.to_string(), bytes.substr(0, size) + "end");
  }
}

TEST(Chain, SplitsAnywhere) {
  const std::string bytes = text(150'000);
  for (const std::size_t size : {0, 1, 4000, 65'536, 149'999, 150'000}) {
    Chain chain = chain_of(bytes);
    const Chain first = chain.split(size);
    EXPECT_EQ(first.to_string(), bytes.substr(0, size));
    EXPECT_EQ(chain.to_string(), bytes.substr(size));
  }
}

TEST(Chain, CopiesFromAnOffset) {
  const std::string bytes = text(150'000);
  const Chain chain = chain_of(bytes);
  std::string to(1000, '\0');
  const MutableBytes room(reinterpret_cast<std::byte*>(to.data()), to.size());
  for (const std::size_t offset : {std::size_t{0}, std::size_t{65'000}, std::size_t{149'000}}) {
    EXPECT_EQ(chain.copy_to(room, offset), 1000u);
    EXPECT_EQ(to, bytes.substr(offset, 1000));
  }
  EXPECT_EQ(chain.copy_to(room, 149'900), 100u);
  EXPECT_EQ(chain.copy_to(room, 150'000), 0u);
  EXPECT_EQ(chain.copy_to(room, 150'001), 0u);
}

TEST(Chain, RefusesToConsumeOrSplitMoreThanItHolds) {
  EXPECT_DEATH(chain_of("abc").consume(4), "more than the chain holds");
  EXPECT_DEATH(chain_of("abc").split(4), "more than the chain holds");
  Chain chain;
  EXPECT_DEATH(chain.commit(1), "without prepare");
}

TEST(ChunkPool, AllocatesNothingInSteadyState) {
  ChunkPool& pool = ChunkPool::of_this_thread();
  const auto round = [] {
    Chain chain = chain_of(text(100));
    chain.append(chain_of(text(5000)));
    chain.append(chain_of(text(200'000)));
    chain.consume(chain.size());
  };
  round();
  const std::uint64_t before = pool.system_allocations();
  for (int i = 0; i < 100; ++i) round();
  EXPECT_EQ(pool.system_allocations(), before);
}

TEST(ChunkPool, KeepsNoMoreThanItsBound) {
  ChunkPool& pool = ChunkPool::of_this_thread();
  pool.trim();
  EXPECT_EQ(pool.free_bytes(), 0u);
  pool.set_free_bytes_max(2 * ChunkPool::kLargeBytes);
  {
    const Chain chain = chain_of(text(10 * ChunkPool::kLargeBytes));
  }
  EXPECT_EQ(pool.free_bytes(), 2 * ChunkPool::kLargeBytes);
  pool.set_free_bytes_max(ChunkPool::kSmallBytes);
  EXPECT_EQ(pool.free_bytes(), 0u);
  pool.set_free_bytes_max(8u << 20);
}

TEST(ChunkPool, TakesChunksOfOtherThreadsAndOutlivesThreadLocals) {
  Chain made;
  std::thread([&] {
    // It is destroyed after the pool's reaper, which is made later.
    static thread_local Chain last;
    last.append(std::string_view(text(10'000)));
    made.append(std::string_view(text(100'000)));
    {
      const Chain freed = chain_of(text(5000));
    }
  }).join();
  EXPECT_EQ(made.to_string(), text(100'000));
  ChunkPool::of_this_thread().trim();
  made.clear();
  EXPECT_GT(ChunkPool::of_this_thread().free_bytes(), 0u);
}

double scale() {
  const char* given = std::getenv("WAYPORT_TEST_SCALE");
  return given != nullptr ? std::atof(given) : 1.0;
}

// Goal: a chain is a string, whatever is done in whatever order. Method: random operations on a few chains and on
// strings beside them.
TEST(ChainProperty, AgreesWithAString) {
  const char* const given = std::getenv("WAYPORT_TEST_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : 20261121;
  SCOPED_TRACE("WAYPORT_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  Chain chains[3];
  std::string models[3];
  const int steps = static_cast<int>(20'000 * scale());
  for (int step = 0; step < steps; ++step) {
    const std::size_t i = random() % 3;
    const std::size_t j = (i + 1) % 3;
    const std::size_t size = random() % (std::size_t{1} << (random() % 18));
    Chain& chain = chains[i];
    std::string& model = models[i];
    switch (random() % 10) {
      case 0:
      case 1: {
        const std::string bytes = text(size, static_cast<char>('A' + step % 26));
        chain.append(std::string_view(bytes));
        model += bytes;
        break;
      }
      case 2: {
        std::string bytes = text(size);
        model += bytes;
        chain.append(std::move(bytes));
        break;
      }
      case 3: {
        chain.append(std::move(chains[j]));
        model += models[j];
        models[j].clear();
        break;
      }
      case 4: {
        const MutableBytes room = chain.prepare(size);
        const std::size_t used = size == 0 ? 0 : random() % (size + 1);
        std::ranges::fill(room.first(used), std::byte{'p'});
        chain.commit(used);
        model.append(used, 'p');
        break;
      }
      case 5:
      case 6: {
        const std::size_t gone = std::min(size, chain.size());
        chain.consume(gone);
        model.erase(0, gone);
        break;
      }
      case 7:
        if (random() % 4 != 0) break;
        chain.truncate(size);
        model.resize(std::min(size, model.size()));
        break;
      case 8: {
        const std::size_t cut = std::min(size, chain.size());
        chains[j].append(chain.split(cut));
        models[j] += model.substr(0, cut);
        model.erase(0, cut);
        break;
      }
      default:
        chain.swap(chains[j]);
        model.swap(models[j]);
    }
    ASSERT_EQ(chain.size(), model.size()) << "step " << step;
    ASSERT_EQ(as_text(chain.front()), std::string_view(model).substr(0, chain.front().size())) << "step " << step;
    ASSERT_EQ(chain.front().empty(), model.empty());
    if (step % 64 == 0) {
      ASSERT_EQ(chain.to_string(), model) << "step " << step;
    }
  }
}

}  // namespace
}  // namespace wayport

// What happens per message allocates nothing once queues and pools have grown: counted, not believed.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <new>
#include <span>
#include <string_view>
#include <utility>

#include "wayport/base/chain.h"
#include "wayport/base/loop.h"
#include "wayport/base/mailbox.h"

namespace {

std::uint64_t allocations = 0;

}  // namespace

void* operator new(std::size_t size) {
  ++allocations;
  if (void* const block = std::malloc(size)) return block;
  std::abort();
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }

namespace wayport {
namespace {

// Allocations in one round, after a few to warm up.
std::uint64_t allocations_of(const std::function<void()>& round) {
  for (int i = 0; i < 10; ++i) round();
  const std::uint64_t before = allocations;
  round();
  return allocations - before;
}

TEST(Allocations, AreCounted) {
  EXPECT_EQ(allocations_of([] { ::operator delete(::operator new(8)); }), 1u);
}

TEST(Allocations, NoneForPostsTurnEndsAndTimers) {
  struct Node final : TurnEnd, Timer {
    void on_turn_end() override { ++calls; }
    void on_timer() override { ++calls; }
    int calls = 0;
  } node;
  ManualClock clock;
  for (const bool with_asio : {false, true}) {
    Loop loop({.clock = &clock});
    if (with_asio) loop.asio();
    EXPECT_EQ(allocations_of([&] {
                for (int i = 0; i < 100; ++i) loop.post([&] { loop.at_turn_end(node); });
                loop.arm(node, loop.now() + std::chrono::milliseconds(5));
                loop.advance(std::chrono::milliseconds(10));
              }),
              0u);
  }
  EXPECT_GT(node.calls, 0);
}

TEST(Allocations, NoneForMessagesBetweenLoops) {
  struct Receiver final : MailboxReceiver<int> {
    void on_mail(std::span<int> batch) override { received += batch.size(); }
    std::size_t received = 0;
  } receiver;
  ManualClock clock;
  Loop from({.clock = &clock});
  Loop to({.clock = &clock});
  Mailbox<int> mailbox(from, to, receiver);
  EXPECT_EQ(allocations_of([&] {
              for (int i = 0; i < 100; ++i) EXPECT_TRUE(mailbox.try_send(int{i}));
              from.drain();
              to.drain();
            }),
            0u);
  EXPECT_EQ(receiver.received, 1100u);
}

TEST(Allocations, NoneForChainsOfPooledChunks) {
  EXPECT_EQ(allocations_of([] {
              Chain output;
              for (int i = 0; i < 1000; ++i) {
                Chain packet;
                packet.append(std::string_view("a frame of some bytes"));
                output.append(std::move(packet));
              }
              while (!output.empty()) output.consume(output.front().size());
            }),
            0u);
}

}  // namespace
}  // namespace wayport

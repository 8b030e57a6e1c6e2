#include "wayport/base/mailbox.h"

#include <cstdlib>
#include <memory>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace wayport {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

using Message = std::unique_ptr<int>;

struct Receiver final : MailboxReceiver<Message> {
  void on_mail(std::span<Message> batch) override {
    ++batches;
    for (const Message& message : batch) received.push_back(*message);
  }
  std::vector<int> received;
  int batches = 0;
};

struct MailboxTest : testing::Test {
  ManualClock clock;
  Loop from{{.clock = &clock}};
  Loop to{{.clock = &clock}};
  Receiver receiver;
};

TEST_F(MailboxTest, DeliversABatchPerTurnInOrder) {
  Mailbox<Message> mailbox(from, to, receiver);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(mailbox.try_send(std::make_unique<int>(i)));
  to.drain();
  EXPECT_THAT(receiver.received, IsEmpty()) << "the sender's turn has not ended";
  from.drain();
  to.drain();
  EXPECT_THAT(receiver.received, ElementsAre(0, 1, 2));
  EXPECT_EQ(receiver.batches, 1);
}

TEST_F(MailboxTest, JoinsBatchesThatTheReceiverHasNotSeen) {
  Mailbox<Message> mailbox(from, to, receiver);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(mailbox.try_send(std::make_unique<int>(i)));
    from.drain();
  }
  to.drain();
  EXPECT_THAT(receiver.received, ElementsAre(0, 1, 2));
  EXPECT_EQ(receiver.batches, 1);
}

TEST_F(MailboxTest, RefusesAboveItsBoundUntilTheReceiverHasFinished) {
  Mailbox<Message> mailbox(from, to, receiver, {.messages_max = 2});
  EXPECT_TRUE(mailbox.try_send(std::make_unique<int>(1)));
  from.drain();
  EXPECT_TRUE(mailbox.try_send(std::make_unique<int>(2)));
  Message third = std::make_unique<int>(3);
  EXPECT_FALSE(mailbox.try_send(std::move(third)));
  EXPECT_TRUE(third) << "a refused message stays with the caller";
  EXPECT_EQ(mailbox.refused(), 1u);
  from.drain();
  to.drain();
  EXPECT_TRUE(mailbox.try_send(std::move(third)));
  from.drain();
  to.drain();
  EXPECT_THAT(receiver.received, ElementsAre(1, 2, 3));
}

TEST_F(MailboxTest, DeliversNothingAfterDetach) {
  Mailbox<Message> mailbox(from, to, receiver);
  EXPECT_TRUE(mailbox.try_send(std::make_unique<int>(1)));
  from.drain();
  mailbox.detach();
  to.drain();
  EXPECT_THAT(receiver.received, IsEmpty());
}

TEST_F(MailboxTest, DeliversWhatWasHandedOverBeforeItWasDestroyed) {
  {
    Mailbox<Message> mailbox(from, to, receiver);
    EXPECT_TRUE(mailbox.try_send(std::make_unique<int>(1)));
    from.drain();
    EXPECT_TRUE(mailbox.try_send(std::make_unique<int>(2)));
  }
  from.drain();
  to.drain();
  EXPECT_THAT(receiver.received, ElementsAre(1));
}

// Two loops on two threads send to each other as fast as they can.
TEST(MailboxThreads, LosesAndReordersNothing) {
  const char* const scale = std::getenv("WAYPORT_TEST_SCALE");
  const int count = static_cast<int>(20'000 * (scale != nullptr ? std::atof(scale) : 1.0));
  struct Side final : MailboxReceiver<int>, TurnEnd {
    Side(Loop& mine, int total) : loop(mine), left(total) {}
    void on_mail(std::span<int> batch) override {
      for (const int message : batch) EXPECT_EQ(message, next++);
      if (next == total()) loop.stop();
    }
    void on_turn_end() override {
      for (int i = 0; i < 100 && sent < total(); ++i) {
        if (!out->try_send(int{sent})) break;
        ++sent;
      }
      if (sent < total()) loop.post([this] { loop.at_turn_end(*this); });
    }
    int total() const { return left; }
    Loop& loop;
    const int left;
    int sent = 0;
    int next = 0;
    Mailbox<int>* out = nullptr;
  };
  Loop a;
  Loop b;
  Side side_a(a, count);
  Side side_b(b, count);
  Mailbox<int> a_to_b(a, b, side_b, {.messages_max = 1000});
  Mailbox<int> b_to_a(b, a, side_a, {.messages_max = 1000});
  side_a.out = &a_to_b;
  side_b.out = &b_to_a;
  // Each side runs until it has received everything, and then until the other has.
  const auto run = [](Side& side) {
    side.loop.at_turn_end(side);
    side.loop.run();
    while (side.sent < side.total()) side.loop.run_turn(std::chrono::milliseconds(1));
    side.loop.run_turn();
  };
  std::thread thread([&] { run(side_b); });
  run(side_a);
  thread.join();
  EXPECT_EQ(side_a.next, count);
  EXPECT_EQ(side_b.next, count);
}

}  // namespace
}  // namespace wayport

// Mailbox<T>: messages from one loop to another, a batch per turn.
//
//   try_send() -> outbox_   --at turn end, one lock-->   inbox   --posted once-->   on_mail(batch) on the other loop
//   (sender's loop)                                                                 (receiver's loop)
//
// For frames that cross loops; control messages use Loop::post(). One mailbox serves one ordered pair of loops.
// Messages arrive in the order of sending. In steady state nothing is allocated: three vectors go round. The receiver
// is woken only if it sleeps. What is under way when either end goes is destroyed with the mailbox's state.
//
// Threads: the constructor and destructor, try_send() on the sender's loop; detach() on the receiver's. Both loops
// outlive the mailbox. Limit: Options::messages_max, counting what the receiver has not finished.
#pragma once

#include <atomic>
#include <cstddef>
#include <iterator>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "wayport/base/counters.h"
#include "wayport/base/loop.h"

namespace wayport {

struct MailboxOptions {
  std::size_t messages_max = 64 * 1024;  // sent and not yet received; then try_send() refuses
};

template <class T>
class MailboxReceiver {
 public:
  // Messages may be moved from; they are destroyed when it returns.
  virtual void on_mail(std::span<T> batch) = 0;

 protected:
  ~MailboxReceiver() = default;
};

template <class T>
class Mailbox final : private TurnEnd {
 public:
  Mailbox(Loop& from, Loop& to, MailboxReceiver<T>& receiver, MailboxOptions options = {})
      : from_(from), messages_max_(options.messages_max), shared_(std::make_shared<Shared>(to, receiver)) {}

  // False, and `message` is as it was: messages_max are under way.
  [[nodiscard]] bool try_send(T&& message) {
    if (outbox_.size() + shared_->under_way.load(std::memory_order_relaxed) >= messages_max_) {
      refused_.add();
      return false;
    }
    outbox_.push_back(std::move(message));
    if (!linked()) from_.at_turn_end(*this);
    return true;
  }
  // Nothing is delivered after this. On the receiver's loop, from which the receiver then may go.
  void detach() noexcept { shared_->receiver = nullptr; }

  std::uint64_t refused() const noexcept { return refused_.read(); }

 private:
  // Kept alive by the functions that it posts.
  struct Shared {
    Shared(Loop& loop, MailboxReceiver<T>& to) : receiving_loop(loop), receiver(&to) {}

    Loop& receiving_loop;
    MailboxReceiver<T>* receiver;  // on its loop only
    std::vector<T> reading;        // on its loop only
    std::atomic<std::size_t> under_way{0};
    std::mutex mutex;  // of the rest
    std::vector<T> inbox;
    bool delivery_posted = false;
  };

  static void deliver(Shared& shared) {
    {
      const std::lock_guard lock(shared.mutex);
      shared.reading.swap(shared.inbox);
      shared.delivery_posted = false;
    }
    const std::size_t count = shared.reading.size();
    if (shared.receiver != nullptr) shared.receiver->on_mail(shared.reading);
    shared.reading.clear();
    shared.under_way.fetch_sub(count, std::memory_order_relaxed);
  }

  void on_turn_end() override {
    shared_->under_way.fetch_add(outbox_.size(), std::memory_order_relaxed);
    bool post = false;
    {
      const std::lock_guard lock(shared_->mutex);
      if (shared_->inbox.empty()) {
        shared_->inbox.swap(outbox_);
      } else {
        shared_->inbox.insert(shared_->inbox.end(), std::move_iterator(outbox_.begin()),
                              std::move_iterator(outbox_.end()));
      }
      post = !std::exchange(shared_->delivery_posted, true);
    }
    outbox_.clear();
    if (post) shared_->receiving_loop.post([shared = shared_] { deliver(*shared); });
  }

  Loop& from_;
  const std::size_t messages_max_;
  const std::shared_ptr<Shared> shared_;
  std::vector<T> outbox_;
  Counter refused_;
};

}  // namespace wayport

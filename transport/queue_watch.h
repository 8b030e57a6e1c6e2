// QueueWatch: tells a layer that ends when everything queued in the stream below has left, or that nothing of it does.
// Whoever closes a stream earlier, or by total time, loses what is queued; streams tell only that they are below low
// water.
//
// Looks at the end of the turn in which it begins, behind the layers below, and then every kLookEvery. On the stream's
// loop; the stream outlives it. Destroying it ends it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "wayport/transport/stream.h"

namespace wayport::transport {

class QueueWatch final : private Timer, private TurnEnd {
 public:
  static constexpr Duration kLookEvery = std::chrono::milliseconds(100);
  // A queue of which no byte left in so long has stalled. Kernels take bytes by the hundred KiB from slow paths.
  static constexpr Duration kStallMax = std::chrono::seconds(30);

  enum class Verdict : std::uint8_t { empty, stalled };

  // `on_verdict` runs once, never from inside this call.
  QueueWatch(Stream& below, std::move_only_function<void(Verdict)> on_verdict);
  // No verdict any more. Allowed from inside `on_verdict`, which destroying this is not.
  void stop() noexcept;

 private:
  void on_timer() override;
  void on_turn_end() override;
  bool look();  // true: decided
  void tell(Verdict verdict);

  Stream& below_;
  std::move_only_function<void(Verdict)> on_verdict_;
  std::size_t queued_;
  TimePoint moved_;
  unsigned looks_this_turn_;
  bool over_ = false;
};

}  // namespace wayport::transport

#include "wayport/transport/queue_watch.h"

#include <utility>

namespace wayport::transport {

QueueWatch::QueueWatch(Stream& below, std::move_only_function<void(Verdict)> on_verdict)
    : below_(below),
      on_verdict_(std::move(on_verdict)),
      queued_(below.queued()),
      moved_(below.loop().now()),
      looks_this_turn_(below.scratch_depth() + 2) {
  below_.loop().at_turn_end(*this);
}

void QueueWatch::stop() noexcept {
  over_ = true;
  below_.loop().disarm(*this);
}

// Each layer below hands down at its own turn end, behind which this one goes again.
void QueueWatch::on_turn_end() {
  if (over_ || look()) return;
  if (--looks_this_turn_ != 0) return below_.loop().at_turn_end(*this);
  below_.loop().arm(*this, after(below_.loop().now(), kLookEvery));
}

void QueueWatch::on_timer() {
  if (over_ || look()) return;
  below_.loop().arm(*this, after(below_.loop().now(), kLookEvery));
}

bool QueueWatch::look() {
  const std::size_t queued = below_.queued();
  const TimePoint now = below_.loop().now();
  if (queued == 0) {
    tell(Verdict::empty);
    return true;
  }
  if (queued < queued_) moved_ = now;
  queued_ = queued;
  if (now < after(moved_, kStallMax)) return false;
  tell(Verdict::stalled);
  return true;
}

void QueueWatch::tell(Verdict verdict) {
  over_ = true;
  on_verdict_(verdict);
}

}  // namespace wayport::transport

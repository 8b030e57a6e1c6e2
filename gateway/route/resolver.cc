#include "wayport/gateway/route/resolver.h"

namespace wayport::route {
namespace {

class KnownOutcome final : public Resolution, private TurnEnd {
 public:
  KnownOutcome(Loop& loop, ResolveOutcome outcome, OnOutcome on_done)
      : outcome_(std::move(outcome)), on_done_(std::move(on_done)) {
    loop.at_turn_end(*this);
  }

 private:
  void on_turn_end() override {
    OnOutcome on_done = std::move(on_done_);
    on_done(std::move(outcome_));  // `this` may be gone
  }

  ResolveOutcome outcome_;
  OnOutcome on_done_;
};

}  // namespace

std::unique_ptr<Resolution> known_outcome(Loop& loop, ResolveOutcome outcome, OnOutcome on_done) {
  return std::make_unique<KnownOutcome>(loop, std::move(outcome), std::move(on_done));
}

}  // namespace wayport::route

// Periodic: calls a function again and again on a loop. Internal to gateway/route: how files are looked at.
#pragma once

#include <functional>
#include <utility>

#include "wayport/base/loop.h"

namespace wayport::route {

class Periodic final : private Timer {
 public:
  // `every` zero: never.
  Periodic(Loop& loop, Duration every, std::function<void()> call)
      : loop_(loop), every_(every), call_(std::move(call)) {
    arm();
  }

 private:
  void arm() {
    if (every_ > Duration::zero()) loop_.arm(*this, after(loop_.now(), every_));
  }
  void on_timer() override {
    arm();
    call_();
  }

  Loop& loop_;
  const Duration every_;
  const std::function<void()> call_;
};

}  // namespace wayport::route

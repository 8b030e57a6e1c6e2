#include "wayport/tools/bench/load.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <system_error>
#include <utility>

namespace wayport::tools {
namespace {

// Requests that are due within this time leave together: a wake for each of them would be all that is measured.
constexpr std::uint64_t kBatchNs = 20'000;

}  // namespace

std::uint64_t now_ns() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

Pacer::Pacer(const Load& load, std::uint64_t now) noexcept
    : outstanding_max_(std::max<std::size_t>(load.outstanding, 1)),
      interval_ns_(load.rate > 0 ? 1e9 / load.rate : 0),
      start_(now),
      end_(now + static_cast<std::uint64_t>(load.time.count())),
      last_(now),
      next_due_(now) {}

Round Pacer::finish() {
  round_.seconds = static_cast<double>(last_ - start_) * 1e-9;
  return std::move(round_);
}

PaceTimer::PaceTimer() : fd_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {
  if (!fd_) throw std::system_error(errno, std::system_category(), "timerfd_create");
}

void PaceTimer::arm(std::uint64_t at) {
  at = std::max(at, now_ns() + kBatchNs);
  itimerspec spec{};
  spec.it_value.tv_sec = static_cast<time_t>(at / 1'000'000'000);
  spec.it_value.tv_nsec = static_cast<long>(at % 1'000'000'000);
  ::timerfd_settime(fd_.get(), TFD_TIMER_ABSTIME, &spec, nullptr);
}

void PaceTimer::clear() noexcept {
  std::uint64_t expirations = 0;
  static_cast<void>(!::read(fd_.get(), &expirations, sizeof(expirations)));
}

LoopPace::LoopPace(Loop& loop, std::function<void()> on_due) : loop_(loop), on_due_(std::move(on_due)) {
  if (const Result<void> watched = loop_.watch(timer_.fd(), Interest::read, *this); !watched) {
    throw std::runtime_error(watched.error().to_string());
  }
}

LoopPace::~LoopPace() { loop_.unwatch(timer_.fd(), *this); }

void LoopPace::on_fd(std::uint32_t) {
  timer_.clear();
  on_due_();
}

}  // namespace wayport::tools

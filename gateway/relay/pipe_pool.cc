#include "wayport/gateway/relay/pipe_pool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <utility>

namespace wayport::relay {

PipePool::PipePool(const PipePoolOptions& options) : options_(options), pipe_bytes_(options.pipe_bytes) {
  std::size_t system_max = 0;
  if (std::ifstream("/proc/sys/fs/pipe-max-size") >> system_max && system_max != 0) {
    pipe_bytes_ = std::min(pipe_bytes_, system_max);
  }
}

std::optional<Pipe> PipePool::take() {
  if (!free_.empty()) {
    Pipe pipe = std::move(free_.back());
    free_.pop_back();
    ++taken_;
    return pipe;
  }
  if (taken_ >= options_.pipes_max) {
    counters_.refused.add();
    return std::nullopt;
  }
  std::optional<Pipe> pipe = make();
  if (pipe) {
    ++taken_;
    counters_.made.add();
  } else {
    counters_.refused_there.add();
  }
  return pipe;
}

std::optional<Pipe> PipePool::make() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return std::nullopt;
  Pipe pipe{Fd(ends[0]), Fd(ends[1]), 0};
  for (std::size_t bytes = pipe_bytes_; bytes >= options_.pipe_bytes_min; bytes /= 2) {
    const int got = ::fcntl(ends[1], F_SETPIPE_SZ, static_cast<int>(bytes));
    if (got < 0) continue;
    pipe.bytes_max = static_cast<std::size_t>(got);
    return pipe;
  }
  // It may be large enough as it came.
  const int got = ::fcntl(ends[1], F_GETPIPE_SZ);
  if (got < 0 || static_cast<std::size_t>(got) < options_.pipe_bytes_min) return std::nullopt;
  pipe.bytes_max = static_cast<std::size_t>(got);
  return pipe;
}

void PipePool::give(Pipe pipe) {
  --taken_;
  if (free_.size() < options_.free_max) free_.push_back(std::move(pipe));
}

void PipePool::discard(Pipe pipe) {
  --taken_;
  pipe = {};
}

void PipePool::trim() noexcept { free_.clear(); }

}  // namespace wayport::relay

// PipePool: the kernel pipes through which sockets are spliced. One per loop; a relay holds a pipe only while there are
// bytes in it, so idle connections cost none.
//
// Pipes are made as large as the system lets them be: pipe_bytes, at most /proc/sys/fs/pipe-max-size, halved while the
// user's share of pipe pages (/proc/sys/fs/pipe-user-pages-soft) refuses; below pipe_bytes_min one is not worth having.
// take() then gives nothing, as above pipes_max, and the caller copies.
//
// Not thread-safe; outlives what takes from it.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "wayport/base/counters.h"
#include "wayport/base/socket.h"

namespace wayport::relay {

struct PipePoolOptions {
  std::size_t pipe_bytes = 1024 * 1024;
  std::size_t pipe_bytes_min = 64 * 1024;
  std::size_t pipes_max = 256;  // at a time, free ones included; two descriptors each
  std::size_t free_max = 16;    // kept for the next; more are closed
};

struct Pipe {
  Fd read_end;
  Fd write_end;
  std::size_t bytes_max = 0;
};

struct PipePoolCounters {
  Counter made;           // pipes
  Counter refused;        // take() gave nothing: pipes_max
  Counter refused_there;  // take() gave nothing: the system refuses pipes, or gives small ones
};

class PipePool {
 public:
  explicit PipePool(const PipePoolOptions& options = {});
  PipePool(const PipePool&) = delete;
  PipePool& operator=(const PipePool&) = delete;

  std::optional<Pipe> take();  // an empty one
  void give(Pipe pipe);        // REQUIRES: it is empty
  void discard(Pipe pipe);     // with whatever is in it
  void trim() noexcept;        // closes the free ones

  std::size_t taken() const noexcept { return taken_; }
  std::size_t free_count() const noexcept { return free_.size(); }
  const PipePoolCounters& counters() const noexcept { return counters_; }

 private:
  std::optional<Pipe> make();

  const PipePoolOptions options_;
  std::size_t pipe_bytes_;
  std::vector<Pipe> free_;
  std::size_t taken_ = 0;
  PipePoolCounters counters_;
};

}  // namespace wayport::relay

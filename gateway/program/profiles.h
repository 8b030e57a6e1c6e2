// What a running process shows of itself, by gperftools and /proc: profiles that pprof reads, threads, memory.
//
// Any thread, not from a loop's (files are written). The CPU profiler is the process's: one at a time.
#pragma once

#include <string>

#include "wayport/base/result.h"

namespace wayport::gateway {

// From now on, one allocation in about 512 KiB is remembered until it is freed, as Go does. Early in main().
void sample_heap() noexcept;

// The file is opened now and written at the end. Errors: refused (one is running), or of the file.
Result<void> start_cpu_profile(const std::string& path);
// How many samples there are. refused: none is running.
Result<int> stop_cpu_profile();
// The living allocations that were sampled, for pprof. unsupported: this build has another malloc (sanitizers).
Result<std::string> heap_profile();
// A line for each thread: id, name, state, CPU time.
std::string thread_dump();

struct MemoryUse {
  std::size_t resident_bytes = 0;
  std::size_t heap_bytes = 0;       // given to the program; 0: not known
  std::size_t heap_free_bytes = 0;  // kept by malloc
};
MemoryUse memory_use();
std::size_t open_files();

}  // namespace wayport::gateway

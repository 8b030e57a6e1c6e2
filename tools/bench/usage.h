// What a process has used so far: the numbers of which benchmarks print differences.
#pragma once

#include <cstdint>

namespace wayport::tools {

struct Usage {
  std::uint64_t cpu_ns = 0;       // all threads, user and system
  std::uint64_t allocations = 0;  // since count_allocations()
  std::uint64_t heap_bytes = 0;   // in use as malloc sees it, with its overhead; blocks that it mapped included
  std::uint64_t rss_bytes = 0;
  std::uint64_t rss_peak_bytes = 0;  // since the process began, or forget_rss_peak()
};

// From here on operator new, and OpenSSL's allocations, are counted. Call it first in main: OpenSSL does not listen
// once it has allocated. Under sanitizers, which have an operator new of their own, nothing is counted.
void count_allocations() noexcept;
bool allocations_are_counted() noexcept;

// Allocates nothing.
Usage usage_of_this_process() noexcept;

// Usage::rss_peak_bytes begins anew. Where the kernel cannot do that, nothing happens.
void forget_rss_peak() noexcept;

// Raises the soft limit of descriptors to the hard one; returns it.
std::uint64_t raise_descriptor_limit() noexcept;

}  // namespace wayport::tools

#include "wayport/tools/bench/usage.h"

#include <fcntl.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <new>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define WAYPORT_FOREIGN_NEW 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WAYPORT_FOREIGN_NEW 1
#endif

namespace wayport::tools {
namespace {

// A program that never asks pays for one test per allocation.
constinit bool counting = false;
constinit std::atomic<std::uint64_t> allocations{0};

void count() noexcept {
  if (counting) [[unlikely]]
    allocations.fetch_add(1, std::memory_order_relaxed);
}

#ifndef WAYPORT_FOREIGN_NEW
void* counted(std::size_t size) {
  count();
  if (void* block = std::malloc(size != 0 ? size : 1)) return block;
  throw std::bad_alloc();
}
void* counted(std::size_t size, std::align_val_t alignment) {
  count();
  const auto align = static_cast<std::size_t>(alignment);
  if (void* block = std::aligned_alloc(align, (size + align - 1) / align * align)) return block;
  throw std::bad_alloc();
}
#endif

void* openssl_malloc(std::size_t size, const char*, int) {
  count();
  return std::malloc(size);
}
void* openssl_realloc(void* block, std::size_t size, const char*, int) {
  count();
  return std::realloc(block, size);
}
void openssl_free(void* block, const char*, int) { std::free(block); }

// Of the kernel's "VmRSS:   1234 kB" and the like; 0 if it is not there. No stdio, which allocates.
std::uint64_t bytes_of(const char* status, const char* name) noexcept {
  const char* const line = std::strstr(status, name);
  return line ? std::strtoull(line + std::strlen(name), nullptr, 10) * 1024 : 0;
}

void add_resident_bytes(Usage& usage) noexcept {
  char text[4096] = {};
  const int fd = ::open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  const ssize_t size = ::read(fd, text, sizeof(text) - 1);
  ::close(fd);
  if (size <= 0) return;
  usage.rss_bytes = bytes_of(text, "\nVmRSS:");
  usage.rss_peak_bytes = bytes_of(text, "\nVmHWM:");
}

}  // namespace

void count_allocations() noexcept {
  counting = true;
  ::CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free);
}

bool allocations_are_counted() noexcept {
#ifdef WAYPORT_FOREIGN_NEW
  return false;
#else
  return counting;
#endif
}

Usage usage_of_this_process() noexcept {
  Usage usage;
  usage.allocations = allocations.load(std::memory_order_relaxed);
  timespec cpu{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
  usage.cpu_ns = static_cast<std::uint64_t>(cpu.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(cpu.tv_nsec);
  const auto heap = ::mallinfo2();
  usage.heap_bytes = heap.uordblks + heap.hblkhd;
  add_resident_bytes(usage);
  return usage;
}

void forget_rss_peak() noexcept {
  const int fd = ::open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  static_cast<void>(!::write(fd, "5", 1));
  ::close(fd);
}

std::uint64_t raise_descriptor_limit() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

}  // namespace wayport::tools

#ifndef WAYPORT_FOREIGN_NEW
// The forms with nothrow and of arrays call these.
void* operator new(std::size_t size) { return wayport::tools::counted(size); }
void* operator new(std::size_t size, std::align_val_t alignment) { return wayport::tools::counted(size, alignment); }
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }
void operator delete(void* block, std::align_val_t) noexcept { std::free(block); }
void operator delete(void* block, std::size_t, std::align_val_t) noexcept { std::free(block); }
#endif

#include "wayport/framing/testing/allocation_count.h"

#include <cstddef>
#include <cstdlib>
#include <new>

namespace wayport::framing::testing {
namespace {

constinit thread_local std::uint64_t count = 0;

void* allocate(std::size_t size, std::size_t alignment) {
  ++count;
  if (size == 0) size = 1;
  void* const memory = alignment <= alignof(std::max_align_t)
                           ? std::malloc(size)
                           : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

std::uint64_t allocation_count() noexcept { return count; }

}  // namespace wayport::framing::testing

// The array and nothrow forms come here by default.
void* operator new(std::size_t size) { return wayport::framing::testing::allocate(size, 0); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return wayport::framing::testing::allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

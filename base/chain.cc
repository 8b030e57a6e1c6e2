#include "wayport/base/chain.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "wayport/base/result.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WAYPORT_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define WAYPORT_ASAN 1
#endif
#ifdef WAYPORT_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace wayport {

// What `begin..end` holds is the chain's; `end..limit` is free. Storage follows the header in the same block, except
// for an adopted string.
struct Chunk {
  enum class Kind : unsigned char { small, large, exact, adopted };

  Chunk* next;
  std::byte* begin;
  std::byte* end;
  std::byte* limit;
  Kind kind;

  std::size_t size() const noexcept { return static_cast<std::size_t>(end - begin); }
  std::size_t room() const noexcept { return static_cast<std::size_t>(limit - end); }
  std::byte* storage() noexcept { return reinterpret_cast<std::byte*>(this + 1); }
};

namespace {

struct AdoptedChunk : Chunk {
  std::string text;
};

constexpr std::size_t kSmallRoom = ChunkPool::kSmallBytes - sizeof(Chunk);
constexpr std::size_t kLargeRoom = ChunkPool::kLargeBytes - sizeof(Chunk);
// A chain that holds this much grows by large chunks.
constexpr std::size_t kGrowLargeAbove = 4096;
// Chains up to this size are copied behind another's tail rather than linked.
constexpr std::size_t kCopyMax = 256;
constexpr std::size_t kAdoptMin = 16 * 1024;

// Under ASan a free chunk may not be touched, apart from the link of the free list.
void poison(Chunk* chunk, std::size_t block) noexcept {
#ifdef WAYPORT_ASAN
  ASAN_POISON_MEMORY_REGION(&chunk->begin, block - offsetof(Chunk, begin));
#else
  static_cast<void>(chunk);
  static_cast<void>(block);
#endif
}
void unpoison(Chunk* chunk, std::size_t block) noexcept {
#ifdef WAYPORT_ASAN
  ASAN_UNPOISON_MEMORY_REGION(chunk, block);
#else
  static_cast<void>(chunk);
  static_cast<void>(block);
#endif
}

// The pool itself is trivially destroyed, so it outlives every other thread-local object; the reaper empties it when
// the thread ends and makes it keep nothing from then on.
constinit thread_local bool pool_reaped = false;

struct Reaper {
  bool armed = true;
  ~Reaper() {
    pool_reaped = true;
    ChunkPool::of_this_thread().set_free_bytes_max(0);
  }
};

void arm_reaper() noexcept {
  if (pool_reaped) return;
  static thread_local Reaper reaper;
  reaper.armed = true;
}

}  // namespace

ChunkPool& ChunkPool::of_this_thread() noexcept {
  static constinit thread_local ChunkPool pool;
  return pool;
}

void ChunkPool::set_free_bytes_max(std::size_t bytes) noexcept {
  free_bytes_max_ = bytes;
  if (free_bytes_ > bytes) trim();
}

std::size_t ChunkPool::free_bytes() const noexcept { return free_bytes_; }

std::uint64_t ChunkPool::system_allocations() const noexcept { return system_allocations_; }

void ChunkPool::trim() noexcept {
  while (Chunk* chunk = small_) {
    unpoison(chunk, kSmallBytes);
    small_ = chunk->next;
    ::operator delete(chunk);
  }
  while (Chunk* chunk = large_) {
    unpoison(chunk, kLargeBytes);
    large_ = chunk->next;
    ::operator delete(chunk);
  }
  free_bytes_ = 0;
}

Chunk* ChunkPool::take(std::size_t room) {
  const auto kind = room <= kSmallRoom   ? Chunk::Kind::small
                    : room <= kLargeRoom ? Chunk::Kind::large
                                         : Chunk::Kind::exact;
  const std::size_t block = kind == Chunk::Kind::small   ? kSmallBytes
                            : kind == Chunk::Kind::large ? kLargeBytes
                                                         : sizeof(Chunk) + room;
  Chunk*& free = kind == Chunk::Kind::small ? small_ : large_;
  Chunk* chunk = nullptr;
  if (kind != Chunk::Kind::exact && free != nullptr) {
    chunk = free;
    free = chunk->next;
    free_bytes_ -= block;
    unpoison(chunk, block);
  } else {
    chunk = static_cast<Chunk*>(::operator new(block));
    ++system_allocations_;
  }
  std::byte* const storage = chunk->storage();
  return new (chunk) Chunk{nullptr, storage, storage, reinterpret_cast<std::byte*>(chunk) + block, kind};
}

void ChunkPool::give(Chunk* chunk) noexcept {
  if (chunk->kind == Chunk::Kind::adopted) {
    delete static_cast<AdoptedChunk*>(chunk);
    return;
  }
  const std::size_t block = chunk->kind == Chunk::Kind::small ? kSmallBytes : kLargeBytes;
  if (chunk->kind == Chunk::Kind::exact || free_bytes_ + block > free_bytes_max_ || pool_reaped) {
    ::operator delete(chunk);
    return;
  }
  if (!reaper_armed_) {
    reaper_armed_ = true;
    arm_reaper();
  }
  Chunk*& free = chunk->kind == Chunk::Kind::small ? small_ : large_;
  chunk->next = free;
  free = chunk;
  free_bytes_ += block;
  poison(chunk, block);
}

void Chain::swap(Chain& other) noexcept {
  std::swap(head_, other.head_);
  std::swap(tail_, other.tail_);
  std::swap(size_, other.size_);
}

void Chain::clear() noexcept {
  if (head_ == nullptr) return;
  ChunkPool& pool = ChunkPool::of_this_thread();
  while (Chunk* chunk = head_) {
    head_ = chunk->next;
    pool.give(chunk);
  }
  tail_ = nullptr;
  size_ = 0;
}

void Chain::link(Chunk* chunk) noexcept {
  if (tail_ != nullptr) {
    tail_->next = chunk;
  } else {
    head_ = chunk;
  }
  tail_ = chunk;
}

// A new tail for `wanted` more bytes; it may hold fewer, but at least `contiguous`.
void Chain::grow(std::size_t contiguous, std::size_t wanted) {
  std::size_t room = wanted <= kSmallRoom && size_ < kGrowLargeAbove ? kSmallRoom : kLargeRoom;
  room = std::max(room, contiguous);
  link(ChunkPool::of_this_thread().take(room));
}

void Chain::append(Bytes bytes) {
  while (!bytes.empty()) {
    if (tail_ == nullptr || tail_->room() == 0) grow(1, bytes.size());
    const std::size_t size = std::min(tail_->room(), bytes.size());
    std::memcpy(tail_->end, bytes.data(), size);
    tail_->end += size;
    size_ += size;
    bytes = bytes.subspan(size);
  }
}

void Chain::append(Chain&& other) {
  if (other.empty()) {
    other.clear();
    return;
  }
  if (empty()) {
    clear();
    swap(other);
    return;
  }
  if (other.size_ <= kCopyMax && tail_->room() >= other.size_) {
    for (const Chunk* chunk = other.head_; chunk != nullptr; chunk = chunk->next) {
      std::memcpy(tail_->end, chunk->begin, chunk->size());
      tail_->end += chunk->size();
    }
    size_ += other.size_;
    other.clear();
    return;
  }
  tail_->next = other.head_;
  tail_ = other.tail_;
  size_ += other.size_;
  other.head_ = other.tail_ = nullptr;
  other.size_ = 0;
}

void Chain::append(std::string&& text) {
  if (text.size() < kAdoptMin) {
    append(std::string_view(text));
    return;
  }
  auto* chunk = new AdoptedChunk;
  chunk->text = std::move(text);
  chunk->next = nullptr;
  chunk->begin = reinterpret_cast<std::byte*>(chunk->text.data());
  chunk->end = chunk->limit = chunk->begin + chunk->text.size();
  chunk->kind = Chunk::Kind::adopted;
  size_ += chunk->size();
  link(chunk);
}

MutableBytes Chain::prepare(std::size_t size) {
  if (tail_ == nullptr || tail_->room() < size) grow(size, size);
  return {tail_->end, size};
}

void Chain::commit(std::size_t size) noexcept {
  if (tail_ == nullptr) {
    WAYPORT_ASSERT(size == 0, "commit() without prepare()");
    return;
  }
  WAYPORT_ASSERT(size <= tail_->room(), "commit() of more than prepare() gave");
  tail_->end += size;
  size_ += size;
  if (size_ == 0) clear();
}

MutableBytes Chain::append_uninitialized(std::size_t size) {
  const MutableBytes bytes = prepare(size);
  commit(size);
  return bytes;
}

void Chain::truncate(std::size_t size) noexcept {
  if (size >= size_) return;
  if (size == 0) {
    clear();
    return;
  }
  std::size_t left = size;
  Chunk* chunk = head_;
  while (chunk->size() < left) {
    left -= chunk->size();
    chunk = chunk->next;
  }
  chunk->end = chunk->begin + left;
  Chain dropped;
  dropped.head_ = chunk->next;
  chunk->next = nullptr;
  tail_ = chunk;
  size_ = size;
}

Bytes Chain::front() const noexcept {
  for (const Chunk* chunk = head_; chunk != nullptr; chunk = chunk->next) {
    if (chunk->size() != 0) return {chunk->begin, chunk->size()};
  }
  return {};
}

void Chain::consume(std::size_t size) noexcept {
  WAYPORT_ASSERT(size <= size_, "consume() of more than the chain holds");
  size_ -= size;
  if (size_ == 0) {
    clear();
    return;
  }
  while (head_->size() <= size) {
    Chunk* const chunk = head_;
    size -= chunk->size();
    head_ = chunk->next;
    ChunkPool::of_this_thread().give(chunk);
  }
  head_->begin += size;
}

Chain Chain::split(std::size_t size) {
  WAYPORT_ASSERT(size <= size_, "split() of more than the chain holds");
  Chain first;
  if (size == size_) {
    swap(first);
    return first;
  }
  while (size > 0 && head_->size() <= size) {
    Chunk* const chunk = head_;
    head_ = chunk->next;
    chunk->next = nullptr;
    size -= chunk->size();
    size_ -= chunk->size();
    first.size_ += chunk->size();
    first.link(chunk);
  }
  if (size > 0) {
    first.append(Bytes(head_->begin, size));
    head_->begin += size;
    size_ -= size;
  }
  return first;
}

std::size_t Chain::gather(std::span<iovec> slots) const noexcept {
  std::size_t filled = 0;
  for (const Chunk* chunk = head_; chunk != nullptr && filled < slots.size(); chunk = chunk->next) {
    if (chunk->size() != 0) slots[filled++] = {chunk->begin, chunk->size()};
  }
  return filled;
}

std::size_t Chain::copy_to(MutableBytes to, std::size_t offset) const noexcept {
  std::size_t copied = 0;
  for (const Chunk* chunk = head_; chunk != nullptr && copied < to.size(); chunk = chunk->next) {
    if (offset >= chunk->size()) {
      offset -= chunk->size();
      continue;
    }
    const std::size_t size = std::min(chunk->size() - offset, to.size() - copied);
    std::memcpy(to.data() + copied, chunk->begin + offset, size);
    copied += size;
    offset = 0;
  }
  return copied;
}

std::string Chain::to_string() const {
  std::string text(size_, '\0');
  copy_to({reinterpret_cast<std::byte*>(text.data()), text.size()});
  return text;
}

}  // namespace wayport

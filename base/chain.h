// Chain: a queue of bytes in pooled chunks, the unit in which output travels to a socket.
//
//   head -> [ chunk: ....begin####end.... ] -> [ chunk ####end........ ] <- tail
//                         front()                       prepare() writes here
//
// A chunk has one owner. Bytes are copied in at most once, then moved from chain to chain by pointer. Chunks come from
// and return to the ChunkPool of the calling thread, so a chain may be handed to another thread by move.
//
// Not thread-safe. An empty chain owns nothing. Addresses of bytes in a chain stay put until they are consumed.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "wayport/base/bytes.h"

namespace wayport {

struct Chunk;  // chain.cc; header and storage in one block

// Free chunks of one thread. Every thread that touches chains has one; it is made at first use and its free chunks go
// back to the system when the thread ends or trim() is called.
class ChunkPool {
 public:
  static ChunkPool& of_this_thread() noexcept;

  static constexpr std::size_t kSmallBytes = 4096;       // whole block, header included
  static constexpr std::size_t kLargeBytes = 64 * 1024;  // whole block, header included
  // Free chunks kept per thread, in bytes; more goes back to the system.
  void set_free_bytes_max(std::size_t bytes) noexcept;  // default 8 MiB
  std::size_t free_bytes() const noexcept;
  // Blocks taken from the system so far; constant in steady state.
  std::uint64_t system_allocations() const noexcept;
  void trim() noexcept;

  ChunkPool(const ChunkPool&) = delete;
  ChunkPool& operator=(const ChunkPool&) = delete;

 private:
  friend class Chain;
  constexpr ChunkPool() = default;
  Chunk* take(std::size_t room);
  void give(Chunk* chunk) noexcept;

  // Two intrusive free lists; see chain.cc.
  Chunk* small_ = nullptr;
  Chunk* large_ = nullptr;
  std::size_t free_bytes_ = 0;
  std::size_t free_bytes_max_ = 8u << 20;
  std::uint64_t system_allocations_ = 0;
  bool reaper_armed_ = false;
};

class Chain {
 public:
  Chain() noexcept = default;
  Chain(Chain&& other) noexcept { swap(other); }
  Chain& operator=(Chain&& other) noexcept {
    Chain moved(std::move(other));
    swap(moved);
    return *this;
  }
  ~Chain() { clear(); }

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  void swap(Chain& other) noexcept;
  void clear() noexcept;

  // --- writing at the end ---

  // Copies.
  void append(Bytes bytes);
  void append(std::string_view text) { append(as_bytes(text)); }
  // Moves all bytes of `other` here; O(1), except that a few bytes are copied rather than linked as a chunk of their
  // own.
  void append(Chain&& other);
  // Takes the string's memory when it is large (>= 16 KiB), copies otherwise.
  void append(std::string&& text);
  // `size` contiguous writable bytes at the end. They count once commit() says how many were filled (<= the last
  // prepare). Nothing else may be called between the two.
  MutableBytes prepare(std::size_t size);
  void commit(std::size_t size) noexcept;
  // prepare and commit in one: for fields that are filled in later. The span lives until those bytes are consumed.
  MutableBytes append_uninitialized(std::size_t size);
  // Drops bytes from the end until `size` are left: how an encoder takes back a packet that failed half-way.
  void truncate(std::size_t size) noexcept;

  // --- reading at the front ---

  Bytes front() const noexcept;             // first contiguous piece; empty only if the chain is
  void consume(std::size_t size) noexcept;  // REQUIRES: size <= size()
  // The first `size` bytes as a chain of their own. REQUIRES: size <= size(). Copies only within the one chunk that is
  // cut.
  Chain split(std::size_t size);
  // Up to `slots.size()` pieces from the front; returns how many were filled.
  std::size_t gather(std::span<iovec> slots) const noexcept;
  // Copies up to to.size() bytes from the front without consuming; returns how many.
  std::size_t copy_to(MutableBytes to, std::size_t offset = 0) const noexcept;
  std::string to_string() const;

 private:
  void link(Chunk* chunk) noexcept;
  void grow(std::size_t contiguous, std::size_t wanted);

  Chunk* head_ = nullptr;
  Chunk* tail_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace wayport

// Bulk bytes as cheap as can be, so that what is between source and sink is the bottleneck: the source sends pages of a
// file in memory (sendfile), the sink drops what it gets without copying it (MSG_TRUNC), but for the last word of each
// chunk, which tells whether every byte before it came.
//
//   sink    -> source    u32be: size of the chunk that it wants next; several are under way
//   source  -> sink      the chunk: 8-byte words, each the number of bytes before it in the chunk, plus 1 (u64be)
//
// The backend of the relays also echoes, on another port: bytes go back as they came.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>

#include "wayport/base/result.h"
#include "wayport/base/socket.h"
#include "wayport/tools/bench/load.h"

namespace wayport::tools {

inline constexpr std::size_t kChunkBytesMin = 16;
inline constexpr std::size_t kChunkBytesMax = 1u << 20;

// Serves all connections on a thread of its own.
class RawBackend {
 public:
  // Throws std::system_error.
  RawBackend();
  ~RawBackend();
  RawBackend(const RawBackend&) = delete;
  RawBackend& operator=(const RawBackend&) = delete;

  std::uint16_t source_port() const noexcept { return source_port_; }
  std::uint16_t echo_port() const noexcept { return echo_port_; }
  // Any thread.
  std::uint64_t source_bytes() const noexcept { return source_bytes_.load(std::memory_order_relaxed); }
  std::uint64_t echo_bytes() const noexcept { return echo_bytes_.load(std::memory_order_relaxed); }

 private:
  void serve();

  Fd source_;
  Fd echo_;
  Fd file_;
  Fd stop_;
  std::uint16_t source_port_ = 0;
  std::uint16_t echo_port_ = 0;
  std::atomic<std::uint64_t> source_bytes_{0};
  std::atomic<std::uint64_t> echo_bytes_{0};
  std::thread thread_;
};

// Load::outstanding chunks are under way; a message is a chunk. `fd` is connected to a source. REQUIRES: a multiple of 8
// within the bounds.
std::unique_ptr<LoadClient> bulk_client(Fd fd, std::size_t chunk_bytes);

}  // namespace wayport::tools

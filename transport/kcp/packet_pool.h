// PacketPool: memory for payloads of up to a datagram, shared by the sessions of one loop, with one bound for all.
//
// Blocks come in six sizes and are allocated by the length that is really needed; free ones are kept for reuse, so
// steady traffic allocates nothing. take() gives null when the bound is reached: a receiver then drops the segment (it
// is not acknowledged and comes again), a writer is pushed back. The rings of the sessions count against the same
// bound. Not thread-safe; outlives what it gave.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "wayport/base/bytes.h"

namespace wayport::transport::kcp {

struct Packet {
  Packet* next = nullptr;  // for the owner, while it has it
  std::uint16_t size = 0;  // bytes in use
  std::uint16_t room = 0;
  std::byte* data() noexcept { return reinterpret_cast<std::byte*>(this + 1); }
  Bytes bytes() noexcept { return {data(), size}; }
};

class PacketPool {
 public:
  struct Options {
    std::size_t bytes_max = 256u << 20;     // in use and charged, by all sessions together
    std::size_t free_bytes_max = 8u << 20;  // kept for reuse; more goes back to the system
  };
  explicit PacketPool(Options options) noexcept : options_(options) {}
  PacketPool() noexcept : PacketPool(Options{}) {}
  ~PacketPool();
  PacketPool(const PacketPool&) = delete;
  PacketPool& operator=(const PacketPool&) = delete;

  // A packet with room for `room` <= kDatagramBytesMax bytes and size 0; null at the bound.
  Packet* take(std::size_t room) noexcept;
  // The bytes, copied; null at the bound.
  Packet* copy(Bytes bytes) noexcept;
  void give(Packet* packet) noexcept;  // null is fine

  // Memory that the caller allocates itself; false at the bound.
  bool charge(std::size_t bytes) noexcept;
  void discharge(std::size_t bytes) noexcept { charged_ -= bytes; }

  std::size_t bytes_in_use() const noexcept { return in_use_; }  // of packets
  std::size_t bytes_charged() const noexcept { return charged_; }
  std::uint64_t refused() const noexcept { return refused_; }
  static std::size_t cost(const Packet& packet) noexcept { return sizeof(Packet) + packet.room; }

 private:
  static constexpr std::array<std::uint16_t, 6> kRooms = {48, 112, 240, 496, 1008, 1520};
  Options options_;
  std::array<Packet*, kRooms.size()> free_{};
  std::size_t in_use_ = 0;
  std::size_t charged_ = 0;
  std::size_t free_bytes_ = 0;
  std::uint64_t refused_ = 0;
};

struct PacketReturner {
  PacketPool* pool = nullptr;
  void operator()(Packet* packet) const noexcept { pool->give(packet); }
};
using PacketHolder = std::unique_ptr<Packet, PacketReturner>;

}  // namespace wayport::transport::kcp

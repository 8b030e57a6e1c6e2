#include "wayport/transport/kcp/packet_pool.h"

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

namespace wayport::transport::kcp {
namespace {

// Free packets are poisoned: the address sanitizer then sees who uses one after it was given back.
void poison([[maybe_unused]] Packet* packet) noexcept {
#ifdef WAYPORT_ASAN
  ASAN_POISON_MEMORY_REGION(packet->data(), packet->room);
#endif
}
void unpoison([[maybe_unused]] Packet* packet) noexcept {
#ifdef WAYPORT_ASAN
  ASAN_UNPOISON_MEMORY_REGION(packet->data(), packet->room);
#endif
}

}  // namespace

PacketPool::~PacketPool() {
  WAYPORT_ASSERT(in_use_ == 0 && charged_ == 0, "a packet pool is destroyed before the sessions that use it");
  for (Packet* packet : free_) {
    while (packet != nullptr) {
      Packet* const next = packet->next;
      ::operator delete(packet);
      packet = next;
    }
  }
}

bool PacketPool::charge(std::size_t bytes) noexcept {
  if (in_use_ + charged_ + bytes > options_.bytes_max) {
    ++refused_;
    return false;
  }
  charged_ += bytes;
  return true;
}

Packet* PacketPool::take(std::size_t room) noexcept {
  const std::size_t index = static_cast<std::size_t>(std::ranges::lower_bound(kRooms, room) - kRooms.begin());
  WAYPORT_ASSERT(index < kRooms.size(), "larger than a datagram");
  const std::size_t cost = sizeof(Packet) + kRooms[index];
  if (in_use_ + charged_ + cost > options_.bytes_max) {
    ++refused_;
    return nullptr;
  }
  Packet* packet = free_[index];
  if (packet != nullptr) {
    free_[index] = packet->next;
    free_bytes_ -= cost;
    unpoison(packet);
  } else {
    void* const memory = ::operator new(cost, std::nothrow);
    if (memory == nullptr) {
      ++refused_;
      return nullptr;
    }
    packet = new (memory) Packet;
    packet->room = kRooms[index];
  }
  in_use_ += cost;
  packet->next = nullptr;
  packet->size = 0;
  return packet;
}

Packet* PacketPool::copy(Bytes bytes) noexcept {
  Packet* const packet = take(bytes.size());
  if (packet == nullptr) return nullptr;
  if (!bytes.empty()) std::memcpy(packet->data(), bytes.data(), bytes.size());
  packet->size = static_cast<std::uint16_t>(bytes.size());
  return packet;
}

void PacketPool::give(Packet* packet) noexcept {
  if (packet == nullptr) return;
  const std::size_t bytes = cost(*packet);
  in_use_ -= bytes;
  if (free_bytes_ + bytes > options_.free_bytes_max) {
    ::operator delete(packet);
    return;
  }
  const std::size_t index = static_cast<std::size_t>(std::ranges::lower_bound(kRooms, packet->room) - kRooms.begin());
  packet->next = free_[index];
  free_[index] = packet;
  free_bytes_ += bytes;
  poison(packet);
}

}  // namespace wayport::transport::kcp

#include "wayport/transport/kcp/packet_pool.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "wayport/base/result.h"

namespace wayport::transport::kcp {

PacketPool::~PacketPool() {
  WAYPORT_ASSERT(in_use_ == 0, "a packet pool is destroyed before the sessions that use it");
  for (Packet* packet : free_) {
    while (packet != nullptr) {
      Packet* const next = packet->next;
      ::operator delete(packet);
      packet = next;
    }
  }
}

Packet* PacketPool::take(std::size_t room) noexcept {
  const std::size_t index = static_cast<std::size_t>(std::ranges::lower_bound(kRooms, room) - kRooms.begin());
  WAYPORT_ASSERT(index < kRooms.size(), "larger than a datagram");
  const std::size_t cost = sizeof(Packet) + kRooms[index];
  if (in_use_ + cost > options_.bytes_max) {
    ++refused_;
    return nullptr;
  }
  Packet* packet = free_[index];
  if (packet != nullptr) {
    free_[index] = packet->next;
    free_bytes_ -= cost;
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
}

}  // namespace wayport::transport::kcp

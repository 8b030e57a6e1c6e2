#include "wayport/transport/kcp/receive_queue.h"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

#include "wayport/transport/kcp/segment.h"

namespace wayport::transport::kcp {

void ReceiveQueue::clear() noexcept {
  for (Slot& slot : slots_) {
    pool_.give(slot.packet);
    slot = {};
  }
  held_ = bytes_held_ = 0;
}

bool ReceiveQueue::make_room(std::uint32_t sn) {
  const std::size_t wanted = std::bit_ceil<std::size_t>(sn - read_ + 1);
  if (wanted <= slots_.size()) return true;
  const std::size_t size = std::max<std::size_t>(wanted, 8);
  if (!pool_.charge(size * sizeof(Slot))) return false;
  std::vector<Slot> larger(size);
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const std::uint32_t old = read_ + static_cast<std::uint32_t>(i);
    larger[old & (larger.size() - 1)] = at(old);
  }
  pool_.discharge(ring_bytes());
  slots_ = std::move(larger);
  return true;
}

ReceiveQueue::Put ReceiveQueue::put(std::uint32_t sn, std::uint8_t frg, Bytes payload) {
  if (difference(sn, next_) < 0) return Put::duplicate;
  const auto ahead = static_cast<std::uint32_t>(difference(sn, next_));
  if (ahead >= options_.window || ahead >= kAheadMin + kAheadPerSegment * stored_ || violation_)
    return Put::beyond_window;
  if (!make_room(sn)) return Put::no_memory;
  Slot& slot = at(sn);
  if (slot.stored) return Put::duplicate;
  if (!payload.empty()) {
    slot.packet = pool_.copy(payload);
    if (slot.packet == nullptr) return Put::no_memory;
    bytes_held_ += PacketPool::cost(*slot.packet);
  }
  slot.stored = true;
  slot.frg = frg;
  ++held_;
  ++stored_;
  if (sn == next_) advance();
  return Put::stored;
}

void ReceiveQueue::advance() {
  // The in-order part may not outgrow its window; the rest stays where it is.
  while (waiting() < options_.window && static_cast<std::size_t>(waiting()) < slots_.size()) {
    Slot& slot = at(next_);
    if (!slot.stored) break;
    if (expected_frg_ ? slot.frg != *expected_frg_ : !options_.stream && slot.frg != 0 && slot.frg >= options_.window) {
      violation_ =
          Error{ErrorCode::malformed,
                "kcp: fragment " + std::to_string(slot.frg) + " where " +
                    (expected_frg_ ? std::to_string(*expected_frg_) + " was due"
                                   : "at most " + std::to_string(options_.window - 1) + " fits into receive_window"),
                {}};
      return;
    }
    message_bytes_ += slot.packet == nullptr ? 0 : slot.packet->size;
    if (!options_.stream && message_bytes_ > options_.message_bytes_max) {
      violation_ =
          Error{ErrorCode::too_large,
                "kcp: a message of more than message_bytes_max = " + std::to_string(options_.message_bytes_max) +
                    " bytes; send less, or raise it",
                {}};
      return;
    }
    ++next_;
    if (slot.frg == 0) {
      expected_frg_.reset();
      // Empty messages are dropped at the head; kcp-go's reader would wait for ever.
      if (message_bytes_ != 0) {
        slot.ends_message = true;
        ++messages_;
      }
      message_bytes_ = 0;
    } else {
      expected_frg_ = static_cast<std::uint8_t>(slot.frg - 1);
    }
  }
  drop_empty();
}

void ReceiveQueue::free_first() noexcept {
  Slot& slot = at(read_);
  if (slot.packet != nullptr) bytes_held_ -= PacketPool::cost(*slot.packet);
  pool_.give(slot.packet);
  if (slot.ends_message) --messages_;
  slot = {};
  ++read_;
  --held_;
  offset_ = 0;
}

void ReceiveQueue::drop_empty() noexcept {
  while (waiting() != 0 && at(read_).packet == nullptr) free_first();
}

bool ReceiveQueue::has_readable() noexcept { return options_.stream ? waiting() != 0 : messages_ != 0; }

ReceiveQueue::Readable ReceiveQueue::readable(std::span<iovec> to) {
  Readable result;
  if (!has_readable()) return result;
  for (std::uint32_t sn = read_; sn != next_; ++sn) {
    Slot& slot = at(sn);
    const bool ends = !options_.stream && slot.frg == 0;
    if (slot.packet != nullptr) {
      if (result.pieces == to.size()) {
        result.more = true;
        return result;
      }
      const std::size_t skip = sn == read_ ? offset_ : 0;
      const std::size_t size = slot.packet->size - skip;
      to[result.pieces++] = {slot.packet->data() + skip, size};
      result.bytes += size;
    }
    if (ends) {
      result.message_end = true;
      return result;
    }
  }
  return result;
}

void ReceiveQueue::consume(std::size_t bytes) {
  while (bytes != 0) {
    WAYPORT_ASSERT(waiting() != 0, "more consumed than was readable");
    Slot& slot = at(read_);
    const std::size_t left = slot.packet == nullptr ? 0 : slot.packet->size - offset_;
    if (bytes < left) {
      offset_ += bytes;
      return;
    }
    bytes -= left;
    free_first();
  }
  drop_empty();
  advance();
}

bool ReceiveQueue::mark_ack(std::uint32_t sn, std::uint32_t ts) noexcept {
  Slot& slot = at(sn);
  slot.ts = ts;
  return !std::exchange(slot.ack_pending, true);
}

std::uint32_t ReceiveQueue::take_ack(std::uint32_t sn) noexcept {
  Slot& slot = at(sn);
  slot.ack_pending = false;
  return slot.ts;
}

}  // namespace wayport::transport::kcp

#include "wayport/transport/kcp/fec.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "wayport/base/result.h"

namespace wayport::transport::kcp {

std::uint16_t fec_type(Bytes packet) noexcept {
  if (packet.size() < kFecParityHeaderBytes) return 0;
  const auto type = load_le<std::uint16_t>(packet.data() + 4);
  return type >= kFecData && type <= kFecOutOfBand ? type : 0;
}

// --- encoder ---

void FecEncoder::drop_parity() noexcept {
  for (Packet* packet : parity_) pool_.give(packet);
  parity_.clear();
  blocks_.clear();
  parity_.shrink_to_fit();
  blocks_.shrink_to_fit();
  if (filled_ != 0) usable_ = false;
}

bool FecEncoder::seal_data(MutableBytes packet, TimePoint now) {
  WAYPORT_ASSERT(parity_left_ == 0 && packet.size() > kFecHeaderBytes, "parity leaves before the next data packet");
  store_le(packet.data(), next_);
  store_le(packet.data() + 4, kFecData);
  store_le(packet.data() + 6, static_cast<std::uint16_t>(packet.size() - 6));
  ++next_;
  const Bytes shard = Bytes(packet).subspan(6);
  if (filled_ == 0) {
    usable_ = true;
    longest_ = 0;
    while (parity_.size() < code_.parity()) {
      Packet* const block = pool_.take(kDatagramBytesMax);
      if (block == nullptr) break;  // no memory: this group goes without
      parity_.push_back(block);
      blocks_.push_back(block->data());
    }
    usable_ = parity_.size() == code_.parity();
    for (Packet* block : parity_) std::memset(block->data(), 0, block->room);
  }
  if (usable_) code_.add(filled_, shard, blocks_);
  longest_ = std::max(longest_, shard.size());
  // With one data shard the first group has no predecessor, and kcp-go sends no parity either.
  const bool late = !previous_ || now - *previous_ >= kFecParityGapMax;
  previous_ = now;
  if (++filled_ < code_.data()) return false;
  filled_ = 0;
  if (usable_ && !late) {
    parity_left_ = code_.parity();
    return true;
  }
  next_ += static_cast<std::uint32_t>(code_.parity());
  if (next_ >= fec_wrap(code_.shards())) next_ = 0;
  return false;
}

void FecEncoder::write_parity(MutableBytes packet) noexcept {
  store_le(packet.data(), next_);
  store_le(packet.data() + 4, kFecParity);
  std::memcpy(packet.data() + kFecParityHeaderBytes, blocks_[code_.parity() - parity_left_], longest_);
  finish_parity();
}

void FecEncoder::finish_parity() noexcept {
  --parity_left_;
  if (++next_ >= fec_wrap(code_.shards())) next_ = 0;
}

// --- decoder ---

FecDecoder::FecDecoder(ReedSolomon& code, PacketPool& pool, KcpCounters& counters, Options options)
    : code_(code),
      pool_(pool),
      counters_(counters),
      options_(options),
      groups_in_round_(static_cast<std::uint32_t>(0xffffffffu / code.shards())) {}

FecDecoder::~FecDecoder() { release_memory(); }

void FecDecoder::release_memory() noexcept {
  for (Group& group : groups_) clear(group);
  rebuilt_.clear();
  output_.clear();
  groups_ = {};
}

void FecDecoder::clear(Group& group) noexcept {
  for (Packet*& packet : group.shards) {
    if (packet != nullptr) --held_;
    pool_.give(packet);
    packet = nullptr;
  }
  group.open = false;
  group.done = false;
  group.count = group.data_count = group.longest = 0;
}

std::int64_t FecDecoder::distance(std::uint32_t a, std::uint32_t b) const noexcept {
  const std::int64_t round = groups_in_round_;
  std::int64_t away = static_cast<std::int64_t>(b) - static_cast<std::int64_t>(a);
  if (away > round / 2) away -= round;
  if (away < -(round / 2)) away += round;
  return away;
}

FecDecoder::Group* FecDecoder::group_of(std::uint32_t seqid, TimePoint now) {
  const std::uint32_t number = seqid / static_cast<std::uint32_t>(code_.shards());
  const std::int64_t kept = options_.groups;
  if (!newest_) {
    newest_ = number;
  } else if (const std::int64_t ahead = distance(*newest_, number); ahead > kept) {
    // One forged number must not throw away what waits: a second packet has to agree.
    const bool confirmed = far_seqid_ && *far_seqid_ != seqid &&
                           std::abs(distance(*far_seqid_ / static_cast<std::uint32_t>(code_.shards()), number)) <= 1;
    far_seqid_ = seqid;
    if (!confirmed) {
      counters_.fec_far_seqids.add();
      return nullptr;
    }
    newest_ = number;
  } else if (ahead > 0) {
    newest_ = number;
  } else if (-ahead >= kept) {
    // So far behind that the peer's numbering may have started anew; the same rule.
    const bool confirmed = -ahead > 2 * kept && far_seqid_ && *far_seqid_ != seqid &&
                           std::abs(distance(*far_seqid_ / static_cast<std::uint32_t>(code_.shards()), number)) <= 1;
    if (-ahead > 2 * kept) {
      far_seqid_ = seqid;
      counters_.fec_far_seqids.add();
    }
    if (!confirmed) return nullptr;
    newest_ = number;
  }
  if (groups_.empty()) groups_.resize(options_.groups);
  Group* free = nullptr;
  for (Group& group : groups_) {
    if (group.open && group.number == number) {
      if (now - group.first <= options_.age_max) return &group;
      clear(group);
    }
    if (group.open) {
      const std::int64_t behind = distance(group.number, *newest_);
      if (behind < 0 || behind >= kept) clear(group);
    }
    if (!group.open) free = &group;
  }
  if (free == nullptr) return nullptr;
  free->open = true;
  free->number = number;
  free->first = now;
  free->shards.resize(code_.shards(), nullptr);
  return free;
}

bool FecDecoder::handle_packet(Bytes packet, TimePoint now) {
  rebuilt_.clear();
  output_.clear();
  const std::uint16_t type = fec_type(packet);
  const auto seqid = packet.size() < kFecHeaderBytes ? 0 : load_le<std::uint32_t>(packet.data());
  const std::size_t position = seqid % code_.shards();
  if (packet.size() < kFecHeaderBytes || packet.size() > kDatagramBytesMax || seqid >= fec_wrap(code_.shards()) ||
      type != (position < code_.data() ? kFecData : kFecParity)) {
    counters_.fec_errors.add();
    return false;
  }
  Group* const group = group_of(seqid, now);
  if (group == nullptr || group->done || group->shards[position] != nullptr) return false;
  const Bytes shard = packet.subspan(kFecParityHeaderBytes);
  Packet* const copy = pool_.take(kDatagramBytesMax);
  if (copy == nullptr) {
    counters_.memory_drops.add();
    return false;
  }
  std::memcpy(copy->data(), shard.data(), shard.size());
  copy->size = static_cast<std::uint16_t>(shard.size());
  group->shards[position] = copy;
  ++held_;
  ++group->count;
  group->longest = std::max(group->longest, shard.size());
  if (position < code_.data()) ++group->data_count;
  if (group->data_count == code_.data()) {
    // Nothing was lost. The mark stays, so that late parity opens nothing.
    clear(*group);
    group->open = group->done = true;
    return false;
  }
  return group->count >= code_.data() && rebuild(*group);
}

bool FecDecoder::rebuild(Group& group) {
  std::array<const std::byte*, ReedSolomon::kShardsMax> shards{};
  std::vector<std::byte*> missing;
  for (std::size_t i = 0; i < code_.shards(); ++i) {
    Packet* const packet = group.shards[i];
    if (packet != nullptr) {
      std::memset(packet->data() + packet->size, 0, group.longest - packet->size);
      shards[i] = packet->data();
    } else if (i < code_.data()) {
      Packet* const block = pool_.take(kDatagramBytesMax);
      if (block == nullptr) {
        counters_.memory_drops.add();
        output_.clear();
        return false;
      }
      output_.emplace_back(block, PacketReturner{&pool_});
      missing.push_back(block->data());
    }
  }
  code_.rebuild(std::span(shards).first(code_.shards()), group.longest, missing);
  for (const PacketHolder& block : output_) {
    const std::size_t size = load_le<std::uint16_t>(block->data());
    if (size < 2 || size > group.longest) {
      counters_.fec_errors.add();
      continue;
    }
    rebuilt_.push_back(Bytes(block->data(), size).subspan(2));
    counters_.fec_recovered.add();
  }
  const std::uint32_t number = group.number;
  clear(group);
  group.number = number;
  group.open = group.done = true;
  return !rebuilt_.empty();
}

}  // namespace wayport::transport::kcp

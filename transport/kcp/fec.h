// FEC of one session: FecEncoder makes the parity of what leaves, FecDecoder rebuilds what was lost (spec/kcp.md 6).
//
//   seqid u32 | 0x00f1 data, 0x00f2 parity u16 | size u16 (counts itself) | KCP datagram        a data packet
//               the shard begins here ---------^                    a parity packet has parity bytes from there on
//
// Bounds: the encoder holds `parity` packets while a group is open; the decoder at most `groups` groups of d+p packets,
// and rebuilds each group once. Data packets are the caller's to deliver at once; here they are only remembered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/time.h"
#include "wayport/transport/kcp/kcp_counters.h"
#include "wayport/transport/kcp/packet_pool.h"
#include "wayport/transport/kcp/reed_solomon.h"
#include "wayport/transport/kcp/segment.h"

namespace wayport::transport::kcp {

inline constexpr std::size_t kFecHeaderBytes = 8;        // of a data packet
inline constexpr std::size_t kFecParityHeaderBytes = 6;  // of a parity packet
inline constexpr std::uint16_t kFecData = 0x00f1;
inline constexpr std::uint16_t kFecParity = 0x00f2;
inline constexpr std::uint16_t kFecOutOfBand = 0x00f3;
// A group whose last data packet is this late gets no parity (kcp-go since 5.6.10).
inline constexpr Duration kFecParityGapMax = std::chrono::milliseconds(500);

// What the 16 bits at offset 4 say; 0 if it is a plain KCP packet. Commands 81 to 84 never collide.
std::uint16_t fec_type(Bytes packet) noexcept;

// Numbering restarts here: the largest multiple of the group not above 2^32 - 1.
constexpr std::uint32_t fec_wrap(std::size_t shards) noexcept {
  return static_cast<std::uint32_t>(0xffffffffu / shards * shards);
}

class FecEncoder {
 public:
  // `first_seqid` other than 0 is for tests. REQUIRES: a multiple of the group, below the wrap.
  FecEncoder(const ReedSolomon& code, PacketPool& pool, std::uint32_t first_seqid = 0) noexcept
      : code_(code), pool_(pool), next_(first_seqid) {}
  ~FecEncoder() { drop_parity(); }
  FecEncoder(const FecEncoder&) = delete;
  FecEncoder& operator=(const FecEncoder&) = delete;

  // `packet`: 8 bytes to be filled, then the KCP datagram. True: the group is complete, and parity waits.
  bool seal_data(MutableBytes packet, TimePoint now);
  // The next parity packet, if any waits: how many bytes it has; then write_parity() puts it there.
  std::size_t parity_size() const noexcept { return parity_left_ == 0 ? 0 : kFecParityHeaderBytes + longest_; }
  void write_parity(MutableBytes packet) noexcept;
  std::size_t packets_held() const noexcept { return parity_.size(); }
  void skip_parity() noexcept {
    while (parity_left_ != 0) finish_parity();
  }
  // Forgets a half-done group's parity: it is then left out, as after a long gap.
  void release_memory() noexcept {
    if (parity_left_ == 0) drop_parity();
  }

 private:
  void drop_parity() noexcept;
  void finish_parity() noexcept;

  const ReedSolomon& code_;
  PacketPool& pool_;
  std::uint32_t next_;
  std::size_t filled_ = 0;       // data packets of the open group
  std::size_t longest_ = 0;      // shard bytes
  std::size_t parity_left_ = 0;  // of the complete group, to be sent
  bool usable_ = true;           // the parity covers the whole group
  std::optional<TimePoint> previous_;
  std::vector<std::byte*> blocks_;
  std::vector<Packet*> parity_;
};

class FecDecoder {
 public:
  struct Options {
    std::uint32_t groups = 4;
    Duration age_max = std::chrono::seconds(10);
  };
  FecDecoder(ReedSolomon& code, PacketPool& pool, KcpCounters& counters, Options options);
  ~FecDecoder();
  FecDecoder(const FecDecoder&) = delete;
  FecDecoder& operator=(const FecDecoder&) = delete;

  // A whole FEC packet, data or parity. True: rebuilt() has packets, until the next call.
  bool handle_packet(Bytes packet, TimePoint now);
  // KCP datagrams that were lost, in order. They may still be garbage: whoever takes them checks the conv.
  std::span<const Bytes> rebuilt() const noexcept { return rebuilt_; }

  std::size_t packets_held() const noexcept { return held_; }
  void release_memory() noexcept;

 private:
  struct Group {
    std::uint32_t number = 0;
    bool open = false;
    bool done = false;  // rebuilt, or complete
    std::size_t count = 0;
    std::size_t data_count = 0;
    std::size_t longest = 0;
    TimePoint first{};
    std::vector<Packet*> shards;
  };
  Group* group_of(std::uint32_t number, TimePoint now);
  void clear(Group& group) noexcept;
  bool rebuild(Group& group);
  // Groups from `a` to `b` on the ring of group numbers; negative: b is older.
  std::int64_t distance(std::uint32_t a, std::uint32_t b) const noexcept;

  ReedSolomon& code_;
  PacketPool& pool_;
  KcpCounters& counters_;
  Options options_;
  std::uint32_t groups_in_round_;
  std::optional<std::uint32_t> newest_;
  std::optional<std::uint32_t> far_seqid_;  // far ahead, waiting for a second packet that agrees
  std::vector<Group> groups_;
  std::vector<PacketHolder> output_;
  std::vector<Bytes> rebuilt_;
  std::size_t held_ = 0;
};

}  // namespace wayport::transport::kcp

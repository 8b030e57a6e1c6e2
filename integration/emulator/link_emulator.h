// LinkEmulator: one direction of a link, as packets and time see it. A link is two of them.
//
//                   up?        bottleneck                      wire
//   handle_packet -> | -> [queue_bytes] -> rate -> | -> loss, corrupt, duplicate -> delay, jitter, reorder -> poll_packet
//                    v         v tail drop         v
//
// Not a model of any medium: it does what its options say, so that a test can say what must hold. A packet that the wire
// loses has used its share of the rate. Packets leave in the order in which they came, but for those that `reorder` holds
// back.
//
//   LinkEmulator there(options, seed);
//   there.handle_packet(now, packet);
//   while (std::optional<LinkPacket> packet = there.poll_packet(now)) send(packet->bytes);
//   wake_at(there.next_event());
//
// Pure: no I/O, no clock; `now` never goes back. What happens to the n-th packet that reaches the wire follows from the seed,
// n and the options alone, and each option has random numbers of its own: turning one on leaves the fate of packets by the
// others as it was.
//
// Bounded: held_bytes_max, counting kPacketOverheadBytes for each packet. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/time.h"
#include "wayport/integration/emulator/link_options.h"

namespace wayport::emulator {

struct LinkPacket {
  std::uint64_t tag = 0;  // as it was given to handle_packet()
  TimePoint due{};        // when it leaves the link
  std::string bytes;
};

// packets_in + duplicated == packets_out + lost + burst_lost + queue_dropped + down_dropped + held_dropped + waiting_packets
struct LinkCounters {
  std::uint64_t packets_in = 0, bytes_in = 0;
  std::uint64_t packets_out = 0, bytes_out = 0;
  std::uint64_t lost = 0;           // by chance, alone
  std::uint64_t burst_lost = 0;     // in a burst
  std::uint64_t queue_dropped = 0;  // the bottleneck's queue was full
  std::uint64_t down_dropped = 0;   // came while the link was down, or was under way when it went down
  std::uint64_t held_dropped = 0;   // held_bytes_max
  std::uint64_t duplicated = 0, corrupted = 0, reordered = 0;
  std::uint64_t waiting_packets = 0, waiting_bytes = 0;  // now in the link
  std::uint64_t queued_bytes = 0;                        // now in the bottleneck's queue
  std::uint64_t queued_bytes_most = 0;                   // at any time
};

class LinkEmulator {
 public:
  // About what a waiting packet costs besides its bytes.
  static constexpr std::size_t kPacketOverheadBytes = 96;

  // `options` have passed check().
  LinkEmulator(const LinkOptions& options, std::uint64_t seed);

  // Copies `packet`. `tag` is for the caller, for instance whose packet it is.
  void handle_packet(TimePoint now, Bytes packet, std::uint64_t tag = 0);
  // The next packet that has left the link by `now`, in order of time; nullopt: none.
  std::optional<LinkPacket> poll_packet(TimePoint now);
  // When to poll again at the latest; kNever if nothing waits. Something may still be not due then.
  TimePoint next_event() const noexcept;

  // From `now` on. Packets on the wire keep their time; those in the queue are sent at the new rate. A smaller queue drops
  // nothing that is in it.
  void configure(TimePoint now, const LinkOptions& options);
  const LinkOptions& options() const noexcept { return options_; }
  const LinkCounters& counters() const noexcept { return counters_; }

 private:
  enum class Draw : std::uint64_t { loss, burst, corrupt, corrupt_bit, duplicate, reorder, jitter, second_jitter };

  struct Queued {
    std::uint64_t tag;
    std::string bytes;
  };
  struct Flight {
    std::uint64_t order;
    LinkPacket packet;
  };
  // Of a heap whose top is the earliest.
  struct Later {
    bool operator()(const Flight& a, const Flight& b) const noexcept {
      return a.packet.due != b.packet.due ? a.packet.due > b.packet.due : a.order > b.order;
    }
  };

  void advance(TimePoint now);
  void start_sending(TimePoint at);
  void enter_wire(TimePoint at, Queued packet);
  bool is_lost(std::uint64_t number);
  void launch(TimePoint at, std::uint64_t tag, std::string bytes, double spread, bool held_back);
  void take_off(std::size_t bytes);
  void lose_everything();
  std::uint64_t bits(Draw what, std::uint64_t number) const noexcept;
  double draw(Draw what, std::uint64_t number) const noexcept;  // [0, 1)

  LinkOptions options_;
  const std::uint64_t seed_;
  LinkCounters counters_;

  std::deque<Queued> queue_;  // the first one is being sent
  TimePoint sent_at_{};       // when the first one has left the queue
  std::uint64_t carry_ = 0;  // of the division that gave sent_at_, so that the rate is exact over any number of packets

  std::vector<Flight> wire_;    // heap
  std::uint64_t entered_ = 0;   // packets that reached the wire
  std::uint64_t launched_ = 0;  // copies that were put on it
  TimePoint last_due_{};        // of packets that keep their order
  bool in_burst_ = false;
};

}  // namespace wayport::emulator

#include "wayport/integration/emulator/link_emulator.h"

#include <algorithm>
#include <utility>

namespace wayport::emulator {
namespace {

constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;

// Spreads each bit of `value` over all of the result.
std::uint64_t mixed(std::uint64_t value) noexcept {
  value = (value ^ (value >> 31)) * 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 29)) * 0xd6e8feb86659fd93;
  value = (value ^ (value >> 32)) * 0xd6e8feb86659fd93;
  return value ^ (value >> 32);
}

}  // namespace

LinkEmulator::LinkEmulator(const LinkOptions& options, std::uint64_t seed) : options_(options), seed_(mixed(seed + 1)) {
  WAYPORT_ASSERT(check(options).has_value(), "options that passed check()");
}

std::uint64_t LinkEmulator::bits(Draw what, std::uint64_t number) const noexcept {
  return mixed(mixed(seed_ + static_cast<std::uint64_t>(what) * 0x632be59bd9b4e019) + number * 0x9e3779b97f4a7c15);
}

double LinkEmulator::draw(Draw what, std::uint64_t number) const noexcept {
  return static_cast<double>(bits(what, number) >> 11) * 0x1p-53;
}

void LinkEmulator::handle_packet(TimePoint now, Bytes packet, std::uint64_t tag) {
  advance(now);
  ++counters_.packets_in;
  counters_.bytes_in += packet.size();
  if (!options_.up) {
    ++counters_.down_dropped;
    return;
  }
  const std::uint64_t held = counters_.waiting_bytes + counters_.waiting_packets * kPacketOverheadBytes;
  if (held + packet.size() + kPacketOverheadBytes > options_.held_bytes_max) {
    ++counters_.held_dropped;
    return;
  }
  const bool bottleneck = options_.bits_per_second != 0;
  if (bottleneck && counters_.queued_bytes + packet.size() > options_.queue_bytes) {
    ++counters_.queue_dropped;
    return;
  }
  ++counters_.waiting_packets;
  counters_.waiting_bytes += packet.size();
  Queued queued{tag, std::string(as_text(packet))};
  if (!bottleneck) return enter_wire(now, std::move(queued));
  counters_.queued_bytes += packet.size();
  counters_.queued_bytes_most = std::max(counters_.queued_bytes_most, counters_.queued_bytes);
  queue_.push_back(std::move(queued));
  if (queue_.size() == 1) {
    carry_ = 0;
    start_sending(now);
  }
}

std::optional<LinkPacket> LinkEmulator::poll_packet(TimePoint now) {
  advance(now);
  if (wire_.empty() || wire_.front().packet.due > now) return std::nullopt;
  std::pop_heap(wire_.begin(), wire_.end(), Later());
  LinkPacket packet = std::move(wire_.back().packet);
  wire_.pop_back();
  take_off(packet.bytes.size());
  ++counters_.packets_out;
  counters_.bytes_out += packet.bytes.size();
  return packet;
}

TimePoint LinkEmulator::next_event() const noexcept {
  return std::min(queue_.empty() ? kNever : sent_at_, wire_.empty() ? kNever : wire_.front().packet.due);
}

void LinkEmulator::configure(TimePoint now, const LinkOptions& options) {
  WAYPORT_ASSERT(check(options).has_value(), "options that passed check()");
  advance(now);
  const bool another_rate = options.bits_per_second != options_.bits_per_second;
  options_ = options;
  if (!options_.up) return lose_everything();
  if (!another_rate || queue_.empty()) return;
  if (options_.bits_per_second == 0) {
    while (!queue_.empty()) {
      Queued packet = std::move(queue_.front());
      queue_.pop_front();
      counters_.queued_bytes -= packet.bytes.size();
      enter_wire(now, std::move(packet));
    }
    return;
  }
  // The packet being sent begins anew: what of it had gone is not known at the new rate.
  carry_ = 0;
  start_sending(now);
}

void LinkEmulator::advance(TimePoint now) {
  while (!queue_.empty() && sent_at_ <= now) {
    const TimePoint at = sent_at_;
    Queued packet = std::move(queue_.front());
    queue_.pop_front();
    counters_.queued_bytes -= packet.bytes.size();
    enter_wire(at, std::move(packet));
    if (!queue_.empty()) start_sending(at);
  }
}

void LinkEmulator::start_sending(TimePoint at) {
  const std::uint64_t scaled = queue_.front().bytes.size() * 8 * kNanosecondsPerSecond + carry_;
  carry_ = scaled % options_.bits_per_second;
  sent_at_ = after(at, Duration(scaled / options_.bits_per_second));
}

bool LinkEmulator::is_lost(std::uint64_t number) {
  if (options_.burst_loss == 0) {
    in_burst_ = false;
  } else {
    // Two states: a burst ends with the chance 1/L at each packet, and begins so that the part burst_loss of all packets is
    // in one.
    const double ends = 1 / options_.burst_packets;
    const double begins = options_.burst_loss * ends / (1 - options_.burst_loss);
    in_burst_ = draw(Draw::burst, number) < (in_burst_ ? 1 - ends : begins);
    if (in_burst_) {
      ++counters_.burst_lost;
      return true;
    }
  }
  if (draw(Draw::loss, number) >= options_.loss) return false;
  ++counters_.lost;
  return true;
}

void LinkEmulator::enter_wire(TimePoint at, Queued packet) {
  const std::uint64_t number = entered_++;
  if (is_lost(number)) return take_off(packet.bytes.size());
  if (!packet.bytes.empty() && draw(Draw::corrupt, number) < options_.corrupt) {
    ++counters_.corrupted;
    const std::uint64_t bit = bits(Draw::corrupt_bit, number) % (packet.bytes.size() * 8);
    packet.bytes[bit / 8] = static_cast<char>(packet.bytes[bit / 8] ^ (1 << (bit % 8)));
  }
  const bool twice = draw(Draw::duplicate, number) < options_.duplicate;
  std::string copy = twice ? packet.bytes : std::string();
  const bool held_back = draw(Draw::reorder, number) < options_.reorder;
  if (held_back) ++counters_.reordered;
  launch(at, packet.tag, std::move(packet.bytes), draw(Draw::jitter, number), held_back);
  if (!twice) return;
  ++counters_.duplicated;
  const std::uint64_t held = counters_.waiting_bytes + counters_.waiting_packets * kPacketOverheadBytes;
  if (held + copy.size() + kPacketOverheadBytes > options_.held_bytes_max) {
    ++counters_.held_dropped;
    return;
  }
  ++counters_.waiting_packets;
  counters_.waiting_bytes += copy.size();
  launch(at, packet.tag, std::move(copy), draw(Draw::second_jitter, number), held_back);
}

void LinkEmulator::launch(TimePoint at, std::uint64_t tag, std::string bytes, double spread, bool held_back) {
  const Duration jitter(static_cast<Duration::rep>(spread * static_cast<double>(options_.jitter.count())));
  TimePoint due = after(at, options_.delay + jitter);
  if (held_back) {
    due = after(due, options_.reorder_delay);
  } else {
    due = std::max(due, last_due_);
    last_due_ = due;
  }
  wire_.push_back({launched_++, {tag, due, std::move(bytes)}});
  std::push_heap(wire_.begin(), wire_.end(), Later());
}

void LinkEmulator::take_off(std::size_t bytes) {
  --counters_.waiting_packets;
  counters_.waiting_bytes -= bytes;
}

void LinkEmulator::lose_everything() {
  counters_.down_dropped += counters_.waiting_packets;
  counters_.waiting_packets = counters_.waiting_bytes = counters_.queued_bytes = 0;
  queue_.clear();
  wire_.clear();
  // The next packet waits for none of those.
  last_due_ = TimePoint{};
}

}  // namespace wayport::emulator

// Two sessions over a link whose loss, repetition and delay the input chooses: what arrives is always the beginning of
// what was written before the writer's end, and all of it once the link has stopped losing, unless the reader's end was
// first. A session closes only for a reason that what happened explains: an end that was asked for, the peer's, a wait for
// what was lost, or was never sent, or a message that the reader's window cannot hold.
//
// Input: two bytes of options, then one byte per step: write, wait, change the link, or let a socket be full.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "wayport/base/result.h"
#include "wayport/transport/kcp/testing/kcp_pair.h"

namespace {

using namespace wayport;
using namespace wayport::transport::kcp;

constexpr std::size_t kMtu = 200;
constexpr Duration kInFlightMax = std::chrono::milliseconds(100);  // delay and reorder_delay, with room

// What is known of one end from outside.
struct History {
  std::string wrote;  // what was taken before its end
  bool ended = false;
  std::size_t fragments = 0;  // of its longest message, at most
  std::uint64_t datagrams = 0;
  TimePoint sent_at{};           // the last
  TimePoint second_at = kNever;  // the second, without parity
  TimePoint closed_at = kNever;
};

class Watched {
 public:
  Watched(const KcpOptions& options, std::uint64_t seed)
      : pair(options, {}, seed), options_(options), start_(pair.now) {
    for (History& its : history) its.sent_at = start_;
  }

  void write(int side, const std::string& text) {
    if (pair.end(side).session->closed()) return;
    pair.end(side).write(text);
    if (!of(side).ended) of(side).wrote += text;  // else it is dropped
  }
  void write_message(int side, const std::string& text) {
    const Result<bool> taken = pair.end(side).session->write_message(as_bytes(text));
    WAYPORT_ASSERT(taken || text.empty(), "a message is taken whole, or later");
    if (!taken || !*taken) return;
    of(side).wrote += text;
    const std::size_t headers = kSegmentHeaderBytes + KcpSession::header_bytes(*pair.end(side).environment);
    // One more for the small one in front of an address that is not validated.
    of(side).fragments = std::max(of(side).fragments, text.size() / (kMtu - headers) + 2);
  }
  void shutdown_write(int side) {
    testing::KcpEnd& end = pair.end(side);
    History& its = of(side);
    end.session->shutdown_write();
    if (its.ended) return;
    its.ended = true;
    its.wrote.resize(its.wrote.size() - end.unsent.size());
    end.unsent.clear();
  }
  void run(Duration time) {
    const TimePoint until = pair.now + time;
    while (pair.step(until)) observe();
    pair.run(until - pair.now);
    observe();
  }
  void resume() {
    pair.a.resume();
    pair.b.resume();
    observe();
  }
  void observe() {
    for (int side = 0; side < 2; ++side) {
      testing::KcpEnd& end = pair.end(side);
      History& its = of(side);
      const History& other = of(1 - side);
      WAYPORT_ASSERT(other.wrote.starts_with(end.received), "not what was written");
      WAYPORT_ASSERT(end.closes <= 1 && end.read_ends <= 1, "told twice");
      if (end.read_ends != 0)
        WAYPORT_ASSERT(other.ended && end.received == other.wrote, "the end of reading, but not of what was written");
      if (end.datagrams != its.datagrams) its.sent_at = pair.now;
      its.datagrams = end.datagrams;
      if (its.second_at == kNever && end.datagrams - end.counters.fec_parity.read() >= 2) its.second_at = pair.now;
      if (end.closes != 0 && its.closed_at == kNever) {
        its.closed_at = pair.now;
        WAYPORT_ASSERT(explained(side), "closed without a reason that explains it");
      }
    }
  }

  // After a long time without losses, in which both have read.
  void check_end() {
    for (int side = 0; side < 2; ++side) {
      testing::KcpEnd& end = pair.end(side);
      testing::KcpEnd& other = pair.end(1 - side);
      const bool agreed = end.session->extension_agreed();
      // Their close says that they have read what was written.
      if (in_order(end) && end.closed->by == CloseReason::By::peer)
        WAYPORT_ASSERT(end.received == of(1 - side).wrote, "an end in order, before all was read");
      if (early(end) || early(other)) continue;
      if (end.closes != 0 || other.closes == 0)
        WAYPORT_ASSERT(other.received == of(side).wrote, "something did not arrive");
      if (of(side).ended && !agreed && other.closes == 0)
        WAYPORT_ASSERT(end.closes != 0, "all was acknowledged and read, and it goes on");
      if (of(side).ended && agreed && other.closes == 0)
        WAYPORT_ASSERT(other.read_ends != 0, "the end of what was written was not told");
      if (of(side).ended && of(1 - side).ended && agreed && other.session->extension_agreed())
        WAYPORT_ASSERT(end.closes != 0, "both have ended, and it goes on");
    }
  }

  testing::KcpPair pair;
  std::array<History, 2> history;
  bool lossy = false;  // something was lost, or found its socket full

 private:
  History& of(int side) { return history[static_cast<std::size_t>(side)]; }

  static bool in_order(const testing::KcpEnd& end) {
    return end.closes != 0 && !gave_up(end) && !end.closed->error.cause;
  }
  static bool gave_up(const testing::KcpEnd& end) {
    return end.closed->error.code == ErrorCode::timed_out || end.closed->error.code == ErrorCode::malformed;
  }
  static bool early(const testing::KcpEnd& end) { return end.closes != 0 && !in_order(end); }

  bool explained(int side) {
    const testing::KcpEnd& end = pair.end(side);
    const testing::KcpEnd& other = pair.end(1 - side);
    const CloseReason& reason = *end.closed;
    switch (reason.error.code) {
      case ErrorCode::local_closed:
        return reason.by == CloseReason::By::local && of(side).ended && !end.session->extension_agreed() &&
               end.session->unacknowledged_bytes() == 0;
      case ErrorCode::peer_closed:
        if (reason.by != CloseReason::By::peer || !end.session->extension_agreed()) return false;
        // In order, or because the peer gave up.
        if (!reason.error.cause) return of(0).ended && of(1).ended;
        return other.closes != 0 && gave_up(other);
      case ErrorCode::malformed:
        return !options_.stream_mode && of(1 - side).fragments > options_.receive_window;
      case ErrorCode::timed_out:
        return reason.by == CloseReason::By::local && time_out_explained(side);
      default:
        return false;
    }
  }
  bool time_out_explained(int side) {
    const testing::KcpEnd& end = pair.end(side);
    const Duration age = pair.now - start_;
    const bool unheard = lossy || of(1 - side).closed_at <= pair.now;
    if (end.counters.dead_links.read() != 0) return unheard;
    if (end.counters.half_open_expired.read() != 0) {
      if (side != 1 || end.session->validated() || age < options_.half_open_timeout) return false;
      // Nothing but an opener came. Or what it wrote was held, and so could not be acknowledged.
      return unheard || of(0).second_at > pair.now - kInFlightMax ||
             (end.counters.amplification_holds.read() != 0 && pair.a.received.empty() &&
              pair.now - of(0).sent_at >= options_.half_open_timeout - kInFlightMax);
    }
    if (end.counters.idle_closes.read() == 0) return false;
    if (end.session->extension_agreed()) return unheard && age >= options_.liveness_timeout;
    return age >= options_.idle_timeout &&
           (lossy || pair.now - of(1 - side).sent_at >= options_.idle_timeout - kInFlightMax);
  }

  const KcpOptions options_;
  const TimePoint start_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 400) return 0;
  KcpOptions options;
  options.set_nodelay((data[0] & 1) != 0, 10, data[0] >> 1 & 3, (data[0] & 8) != 0);
  if ((data[0] & 16) != 0) options.congestion = Congestion::paced;
  options.stream_mode = (data[0] & 32) != 0;
  options.write_delay = (data[0] & 64) != 0;
  if ((data[0] & 128) != 0) options.fec_data = 3, options.fec_parity = 2;
  options.mtu = kMtu;
  options.receive_window = 4 + data[1] % 60;
  options.extension = (data[1] & 128) != 0 ? ExtensionWish::ask : ExtensionWish::off;
  Watched watched(options, data[1]);
  testing::KcpPair& pair = watched.pair;
  for (std::size_t i = 2; i < size; ++i) {
    const unsigned side = data[i] & 1;
    testing::KcpEnd& end = pair.end(static_cast<int>(side));
    switch (data[i] >> 1 & 7) {
      case 0:
      case 1:
      case 2:
        watched.write(static_cast<int>(side), std::string((data[i] >> 4) * 40 + 1, static_cast<char>(i)));
        break;
      case 3:
        if ((data[i] >> 4) == 15) {
          end.rooms = i % 8;  // until the next wait is over
        } else {
          pair.links[side].loss = (data[i] >> 4) / 20.0;
        }
        if ((data[i] >> 4) != 0) watched.lossy = true;
        break;
      case 4:
        pair.links[side].reorder = pair.links[side].duplicate = (data[i] >> 4) / 20.0;
        break;
      case 5:
        end.reading = !end.reading;
        break;
      case 6:
        if (end.session->closed()) break;
        if ((data[i] >> 4) == 15) {
          watched.shutdown_write(static_cast<int>(side));
        } else if (end.unsent.empty() && !options.stream_mode && !watched.history[side].ended) {
          watched.write_message(static_cast<int>(side), std::string((data[i] >> 4) * 400, static_cast<char>(i)));
        }
        break;
      default:
        watched.run(std::chrono::milliseconds(10 << (data[i] >> 5)));
        watched.resume();
        break;
    }
    watched.observe();
  }
  pair.links = {};
  for (testing::KcpEnd* const end : {&pair.a, &pair.b}) {
    end->resume();
    end->reading = true;
    if (!end->session->closed()) end->read();
  }
  watched.observe();
  watched.run(std::chrono::minutes(9));  // beyond the longest waits for resends and window probes
  watched.check_end();
  return 0;
}

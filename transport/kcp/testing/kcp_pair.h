// Two KCP sessions, a hostile link between them, and virtual time.
//
//   KcpPair pair(options, link);
//   pair.a.write("hello");
//   pair.run(std::chrono::seconds(1));
//   EXPECT_EQ(pair.b.received, "hello");
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wayport/base/timer_wheel.h"
#include "wayport/transport/kcp/kcp_session.h"

namespace wayport::transport::kcp::testing {

struct LinkOptions {
  double loss = 0;
  double duplicate = 0;
  double reorder = 0;  // chance of `reorder_delay` on top
  Duration delay = std::chrono::milliseconds(10);
  Duration jitter{0};
  Duration reorder_delay = std::chrono::milliseconds(20);
  std::uint64_t bytes_per_second = 0;  // zero: no bottleneck
  std::size_t queue_bytes = 1 << 20;   // of the bottleneck; more is dropped
};

struct KcpWorld;

// One end. Reads what comes unless `reading` is off.
struct KcpEnd final : KcpHost, KcpEvents, DatagramSink {
  explicit KcpEnd(KcpWorld& in) : world(in) {}
  // Everything is set up before start().
  void start(KcpOptions with, KcpSession::Role role, std::uint32_t conv = 7, KcpSession::FirstNumbers first = {});

  // KcpHost
  TimePoint now() const noexcept override;
  void arm(Timer& timer, TimePoint due) override;
  void flush_soon(KcpSession&) override { flush_wanted = true; }
  // DatagramSink
  MutableBytes room(std::size_t size) override {
    if (full || rooms == 0) return {};
    --rooms;
    return MutableBytes(buffer).first(size);
  }
  void commit(std::size_t size) override;
  // KcpEvents
  void on_readable() override {
    if (reading) read();
  }
  void on_writable() override {
    ++writable;
    push();
  }
  void on_read_end() override { ++read_ends; }
  void on_closed(const CloseReason& reason) override {
    ++closes;
    closed = reason;
  }

  void read() {
    std::array<iovec, 64> pieces;
    while (session->has_readable()) {
      const ReceiveQueue::Readable readable = session->readable(pieces);
      for (std::size_t i = 0; i < readable.pieces; ++i)
        received.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
      if (readable.message_end) message_ends.push_back(received.size());
      session->consume(readable.bytes);
    }
  }
  // What back-pressure refuses waits here and goes when on_writable() says so.
  void write(std::string_view text) {
    unsent.append(text);
    push();
  }
  void push() {
    while (!unsent.empty()) {
      const std::size_t taken = session->write(as_bytes(unsent));
      unsent.erase(0, taken);
      if (taken == 0) break;
    }
  }
  void flush() {
    flush_wanted = false;
    if (session && !session->closed()) blocked = !session->flush(*this);
  }
  // Room again, which a driver tells those that found none.
  void resume() {
    full = false;
    rooms = SIZE_MAX;
    if (std::exchange(blocked, false)) flush();
  }

  KcpWorld& world;
  KcpCounters counters;
  PacketPool pool{{.bytes_max = 64u << 20, .free_bytes_max = 1u << 20}};
  std::unique_ptr<PacketCipher> cipher;
  std::unique_ptr<ReedSolomon> code;
  std::unique_ptr<KcpEnvironment> environment;
  std::unique_ptr<KcpSession> session;
  int side = 0;
  std::array<std::byte, kDatagramBytesMax> buffer;
  std::string received, unsent;
  std::vector<std::size_t> message_ends;
  std::vector<std::string>* tap = nullptr;  // keeps a copy of what is sent
  std::optional<CloseReason> closed;
  int closes = 0, read_ends = 0, writable = 0;
  bool reading = true, flush_wanted = false, full = false, blocked = false;
  std::size_t rooms = SIZE_MAX;  // datagrams until it is full
  std::uint64_t datagrams = 0, bytes = 0;
};

struct KcpWorld {
  explicit KcpWorld(std::uint64_t seed = 1) : random(seed), wheel(now) {}

  struct Flight {
    TimePoint at{};
    std::uint64_t order = 0;
    int to = 0;
    std::string bytes;
    bool operator>(const Flight& other) const { return std::tie(at, order) > std::tie(other.at, other.order); }
  };

  bool chance(double p) { return p > 0 && std::uniform_real_distribution<>(0, 1)(random) < p; }
  void send(int from, Bytes datagram) {
    const LinkOptions& link = links[static_cast<std::size_t>(from)];
    if (chance(link.loss)) return;
    for (int copies = chance(link.duplicate) ? 2 : 1; copies > 0; --copies) {
      TimePoint at = now;
      if (link.bytes_per_second != 0) {
        TimePoint& free = free_at[static_cast<std::size_t>(from)];
        free = std::max(free, now);
        const double queued =
            std::chrono::duration<double>(free - now).count() * static_cast<double>(link.bytes_per_second);
        if (queued + static_cast<double>(datagram.size()) > static_cast<double>(link.queue_bytes)) {
          ++overflows;
          continue;
        }
        free += Duration(static_cast<std::int64_t>(1e9 * static_cast<double>(datagram.size()) /
                                                   static_cast<double>(link.bytes_per_second)));
        at = free;
      }
      at += link.delay;
      if (link.jitter > Duration::zero())
        at += Duration(static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(link.jitter.count())));
      if (chance(link.reorder)) at += link.reorder_delay;
      flights.push({at, ++order, 1 - from, std::string(as_text(datagram))});
    }
  }

  TimePoint now{std::chrono::hours(1)};
  std::mt19937_64 random;
  TimerWheel wheel;
  std::array<LinkOptions, 2> links;
  std::array<TimePoint, 2> free_at{};
  std::priority_queue<Flight, std::vector<Flight>, std::greater<>> flights;
  std::uint64_t order = 0;
  std::uint64_t overflows = 0;
};

inline TimePoint KcpEnd::now() const noexcept { return world.now; }
inline void KcpEnd::arm(Timer& timer, TimePoint due) { world.wheel.arm(timer, due); }
inline void KcpEnd::commit(std::size_t size) {
  ++datagrams;
  bytes += size;
  if (tap != nullptr) tap->emplace_back(as_text(Bytes(buffer).first(size)));
  world.send(side, Bytes(buffer).first(size));
}
inline void KcpEnd::start(KcpOptions with, KcpSession::Role role, std::uint32_t conv, KcpSession::FirstNumbers first) {
  WAYPORT_ASSERT(with.check().has_value(), "options");
  if (with.fec_data != 0) code = *ReedSolomon::make(with.fec_data, with.fec_parity);
  environment = std::make_unique<KcpEnvironment>(
      KcpEnvironment{pool, counters, cipher.get(), code.get(), [this] { return world.random(); }});
  session = std::make_unique<KcpSession>(*this, *environment, std::make_shared<KcpOptions>(with), conv, role, first);
  session->set_events(*this);
}

struct KcpPair : KcpWorld {
  explicit KcpPair(std::uint64_t seed = 1) : KcpWorld(seed), a(*this), b(*this) { b.side = 1; }
  KcpPair(const KcpOptions& options, const LinkOptions& link, std::uint64_t seed = 1) : KcpPair(seed) {
    links = {link, link};
    a.start(options, KcpSession::Role::dialer);
    b.start(options, KcpSession::Role::accepted);
  }
  KcpEnd& end(int side) { return side == 0 ? a : b; }

  void settle() {
    for (int turns = 0; (a.flush_wanted || b.flush_wanted) && turns < 1000; ++turns) {
      if (a.flush_wanted) a.flush();
      if (b.flush_wanted) b.flush();
    }
    WAYPORT_ASSERT(!a.flush_wanted && !b.flush_wanted, "a session asks to be flushed without end");
  }
  // To the next event, if that is not after `until`.
  bool step(TimePoint until) {
    settle();
    TimePoint next = std::min(wheel.next_due(), flights.empty() ? kNever : flights.top().at);
    if (next > until || next == kNever) return false;
    now = std::max(now, next);
    ++steps;
    while (!flights.empty() && flights.top().at <= now) {
      Flight flight = flights.top();
      flights.pop();
      KcpEnd& to = end(flight.to);
      if (to.session && !to.session->closed())
        to.session->handle_datagram({reinterpret_cast<std::byte*>(flight.bytes.data()), flight.bytes.size()});
    }
    wheel.expire(now);
    settle();
    return true;
  }
  void run(Duration time) {
    const TimePoint until = now + time;
    while (step(until)) {
    }
    now = until;
    wheel.expire(now);
    settle();
  }
  template <class Done>
  bool run_until(Duration time, Done&& done) {
    const TimePoint until = now + time;
    while (!done()) {
      if (!step(until)) return done();
    }
    return true;
  }

  KcpEnd a;
  KcpEnd b;
  std::uint64_t steps = 0;
};

}  // namespace wayport::transport::kcp::testing

// Whatever comes to a listening socket, from whichever addresses, and however long its loop takes to clear up: the table
// keeps its bounds, no two sessions stand at one address, an opener opens one session or none, those that nobody talks to
// any more expire, and in the end everything goes.
//
// Input: two bytes of options and bounds, then one byte per step with its operands behind it; see the switch. If the first
// is 255: the options of sessions instead.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "wayport/base/result.h"
#include "wayport/base/timer_wheel.h"
#include "wayport/transport/kcp/fec.h"
#include "wayport/transport/kcp/kcp_table.h"
#include "wayport/transport/kcp/segment.h"

namespace wayport::transport::kcp {
namespace {

constexpr std::size_t kStepsMax = 400;

MutableBytes writable(std::string& text) { return {reinterpret_cast<std::byte*>(text.data()), text.size()}; }

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}
  bool empty() const { return rest_.empty(); }
  std::uint8_t u8() {
    const std::string_view taken = take(1);
    return taken.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(taken[0]);
  }
  std::string_view take(std::size_t size) {
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view rest_;
};

class Listener final : public KcpTableHost, public KcpHost, public DatagramSink {
 public:
  Listener(unsigned choice, unsigned bounds)
      : wheel_(now_),
        cipher_(cipher_of(choice, 1)),
        client_cipher_(cipher_of(choice, 2)),
        environment_{pool_, counters_, cipher_.get(), nullptr, [this] { return random_ += 0x9e3779b97f4a7c15; }} {
    KcpOptions session;
    session.extension = (choice & 64) != 0 ? ExtensionWish::ask : ExtensionWish::off;
    WAYPORT_ASSERT(session.check(), "these are options");
    options_.open_at_zero_only = (choice & 16) != 0;
    options_.follow_moves = (choice & 32) != 0;
    options_.replace = static_cast<KcpTableOptions::Replace>((choice >> 2 & 3) % 3);
    options_.sessions_max = 1 + (bounds & 7);
    options_.half_open_max = 1 + (bounds >> 3 & 3);
    options_.backlog_max = 1 + (bounds >> 5 & 3);
    options_.quiet_max = (bounds & 128) != 0 ? 2 : 100;
    options_.prefix_burst = 8;
    options_.prefix_rate = 1;
    options_.replay_max = 4;
    table_ = std::make_unique<KcpTable>(*this, *this, environment_, std::make_shared<KcpOptions>(session), options_,
                                        KcpTable::Seed{1, 2});
  }
  ~Listener() {
    while (!sessions_.empty()) remove(*sessions_.begin()->first);
    WAYPORT_ASSERT(table_->size() == 0 && table_->backlog() == 0, "nobody is left");
    table_.reset();
    WAYPORT_ASSERT(pool_.bytes_in_use() == 0, "packets were lost");
  }

  void step(std::uint8_t byte, Input& input) {
    const unsigned what = byte >> 5;
    const Endpoint from = at(byte >> 3 & 3);
    switch (byte & 7) {
      case 0:
        hear(from, segment({.conv = 1 + what}, "x"));
        break;
      case 1:
        hear(from, segment({.conv = 1 + what, .sn = input.u8()}, "y"));
        break;
      case 2: {  // of any kind, and what acknowledges ours
        const std::uint8_t kind = input.u8();
        Segment fields{.conv = 1 + what, .cmd = static_cast<std::uint8_t>(kPush + (kind & 3)), .wnd = 32};
        fields.sn = kind >> 2 & 7;
        fields.ts = static_cast<std::uint32_t>(kind >> 5);
        fields.una = input.u8() & 7;
        hear(from, segment(fields, fields.cmd == kPush ? "z" : ""));
        break;
      }
      case 3:
        hear(from, std::string(input.take(input.u8())));
        break;
      case 4:
        hear_datagram(from, last_);
        break;
      case 5:
        now_ += std::chrono::milliseconds(50) * (1 << what) * (1 << what);
        wheel_.expire(now_);
        settle();
        break;
      case 6:
        application(what, byte >> 3 & 3);
        break;
      default:
        hear_datagram(from, std::string(input.take(what * 8)));
        break;
    }
    if (!batch_) settle();
    check();
  }

  // Nobody says anything any more: every session ends in bounded time, without running timers all the while.
  void fall_silent() {
    batch_ = false;
    settle();
    const TimePoint until = now_ + std::chrono::minutes(11);  // beyond idle_timeout
    for (int runs = 0; wheel_.next_due() <= until; ++runs) {
      WAYPORT_ASSERT(runs < 20'000, "timers run all the time");
      now_ = std::max(now_, wheel_.next_due());
      wheel_.expire(now_);
      settle();
    }
    WAYPORT_ASSERT(sessions_.empty(), "a session of a silent peer expires");
  }

 private:
  struct Events final : KcpEvents {
    void on_readable() override {
      std::array<iovec, 8> pieces;
      while (reading && session->has_readable()) session->consume(session->readable(pieces).bytes);
    }
    void on_writable() override {}
    void on_read_end() override {}
    void on_closed(const CloseReason&) override {
      WAYPORT_ASSERT(!closed, "closed once");
      closed = true;
    }
    KcpSession* session = nullptr;
    bool reading = true;
    bool closed = false;
  };

  static std::unique_ptr<PacketCipher> cipher_of(unsigned choice, int seed) {
    static constexpr std::array<const char*, 4> kNames = {"", "aes-128-gcm", "aes-128", "aes-128-gcm"};
    const char* const name = kNames[choice & 3];
    if (*name == '\0') return nullptr;
    return *make_cipher(name, as_bytes(std::string(16, 'k')), PacketCipher::Seed{std::byte(seed)});
  }
  static std::string segment(Segment fields, std::string_view payload) {
    std::string bytes(kSegmentHeaderBytes, '\0');
    write_segment_header(reinterpret_cast<std::byte*>(bytes.data()), fields, payload.size());
    return bytes.append(payload);
  }
  // Two of one IPv4 network, one of another, and one of IPv6.
  static Endpoint at(unsigned who) {
    Endpoint endpoint{.port = static_cast<std::uint16_t>(1000 + who)};
    if (who == 3) {
      endpoint.address = {0x20, 0x01, 0x0d, 0xb8};
    } else {
      endpoint.address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, static_cast<std::uint8_t>(who / 2), 1};
    }
    return endpoint;
  }

  // KcpTableHost
  void on_session(KcpSession& session, const Endpoint&) override {
    ++opened_;
    auto events = std::make_unique<Events>();
    events->session = &session;
    session.set_events(*events);
    sessions_.emplace(&session, std::move(events));
    newest_ = &session;
  }
  bool elsewhere(std::uint32_t conv, const Endpoint&, Bytes) override { return others_ && conv == 8; }
  void send(const Endpoint&, Bytes datagram) override {
    WAYPORT_ASSERT(!datagram.empty() && datagram.size() <= 128, "a reset is small");
  }
  // KcpHost
  TimePoint now() const noexcept override { return now_; }
  void arm(Timer& timer, TimePoint due) override { wheel_.arm(timer, due); }
  void flush_soon(KcpSession& session) override { dirty_.insert(&session); }
  // DatagramSink
  MutableBytes room(std::size_t size) override { return MutableBytes(buffer_).first(size); }
  void commit(std::size_t) override {}

  void hear(const Endpoint& from, const std::string& packet) {
    if (!client_cipher_) return hear_datagram(from, packet);
    const std::size_t around = client_cipher_->head_bytes() + client_cipher_->tail_bytes();
    if (packet.empty() || packet.size() + around > kDatagramBytesMax) return;
    std::string datagram(client_cipher_->head_bytes(), '\0');
    datagram += packet + std::string(client_cipher_->tail_bytes(), '\0');
    client_cipher_->seal(writable(datagram));
    hear_datagram(from, datagram);
  }
  void hear_datagram(const Endpoint& from, std::string datagram) {
    last_ = datagram;
    const std::size_t before = opened_;
    table_->handle_datagram(from, writable(datagram));
    WAYPORT_ASSERT(opened_ - before <= (opening_ ? 1 : 0),
                   "an opener opens one session, and none once they are refused");
  }
  void application(unsigned what, unsigned how) {
    if (what == 0) batch_ = !batch_;
    if (what == 1) others_ = !others_;
    if (what == 2 && how == 3) table_->set_opening(opening_ = !opening_);
    if (what == 3) {
      for (const auto& [session, events] : sessions_) table_->accepted(*session);
    }
    if (what == 4) {
      const std::string packet = segment({.conv = 1 + how, .cmd = kAskWindow}, "");
      WAYPORT_ASSERT(
          table_->handle_packet_of(1 + how, at(how), as_bytes(packet), packet.size()) == table_->owns(1 + how),
          "what another loop passes on is for a session that is here");
    }
    if (newest_ == nullptr || newest_->closed()) return;
    if (what == 5) newest_->write(as_bytes("some bytes"));
    if (what == 6) newest_->shutdown_write();
    if (what == 7) newest_->close(CloseReason::local(ErrorCode::canceled, "enough"), std::chrono::seconds(how));
  }
  void settle() {
    for (int turns = 0; !dirty_.empty(); ++turns) {
      WAYPORT_ASSERT(turns < 1000, "a session asks to be flushed without end");
      KcpSession* const session = *dirty_.begin();
      dirty_.erase(dirty_.begin());
      session->flush(*this);
      if (session->closed()) remove(*session);
    }
  }
  void remove(KcpSession& session) {
    dirty_.erase(&session);
    if (newest_ == &session) newest_ = nullptr;
    table_->remove(session);
    sessions_.erase(&session);
  }
  void check() const {
    WAYPORT_ASSERT(table_->size() == sessions_.size() && table_->size() <= options_.sessions_max, "sessions_max");
    WAYPORT_ASSERT(table_->backlog() <= options_.backlog_max, "backlog_max");
    WAYPORT_ASSERT(table_->quiet() <= options_.quiet_max + 1, "quiet_max");
    std::set<std::uint16_t> ports;
    for (const auto& [session, events] : sessions_) {
      if (session->state() == KcpSession::State::open) {
        WAYPORT_ASSERT(ports.insert(table_->endpoint_of(*session).port).second, "one session at an address");
      }
    }
  }

  TimePoint now_{std::chrono::hours(1)};
  TimerWheel wheel_;
  std::uint64_t random_ = 7;
  PacketPool pool_;
  KcpCounters counters_;
  std::unique_ptr<PacketCipher> cipher_, client_cipher_;
  KcpEnvironment environment_;
  KcpTableOptions options_;
  std::unique_ptr<KcpTable> table_;
  std::map<KcpSession*, std::unique_ptr<Events>> sessions_;
  std::set<KcpSession*> dirty_;
  std::array<std::byte, kDatagramBytesMax> buffer_;
  KcpSession* newest_ = nullptr;
  std::string last_;
  std::size_t opened_ = 0;
  bool opening_ = true;
  bool batch_ = false;  // the loop hears more before it clears up
  bool others_ = false;
};

// Options from anywhere: what check() lets through is within the ranges that sessions count on.
void check_options(Input input) {
  KcpOptions options;
  const auto number = [&input] {
    const std::uint32_t high = input.u8();
    return (high * 256 + input.u8()) * (high > 250 ? 256 : 1);
  };
  options.send_window = number();
  options.receive_window = number();
  options.mtu = number();
  options.interval = std::chrono::milliseconds(number());
  options.fec_data = input.u8() * 2u;
  options.fec_parity = input.u8() * 2u;
  options.fec_groups = input.u8();
  options.send_bytes_max = number();
  options.send_segments_max = number();
  options.dead_link = input.u8();
  options.amplification_max = input.u8();
  options.rto_max = std::chrono::milliseconds(number());
  options.probe_first = std::chrono::milliseconds(number());
  options.probe_max = std::chrono::milliseconds(number());
  const Result<void> checked = options.check();
  if (!checked) {
    WAYPORT_ASSERT(checked.error().detail.starts_with("kcp: "), "a refusal says of what");
    return;
  }
  WAYPORT_ASSERT(options.send_window - 1 < 65535 && options.receive_window - 1 < 65535, "windows fit the wire");
  WAYPORT_ASSERT(options.mtu >= 128 && options.mtu <= kDatagramBytesMax, "and datagrams a buffer");
  WAYPORT_ASSERT(options.fec_data == 0 || ReedSolomon::make(options.fec_data, options.fec_parity),
                 "there is such a code");
  WAYPORT_ASSERT(options.probe_first <= options.probe_max && options.interval > Duration::zero(), "timers go forward");
}

}  // namespace
}  // namespace wayport::transport::kcp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport::transport::kcp;
  if (size < 2) return 0;
  Input input(data + 2, size - 2);
  if (data[0] == 0xff) {
    check_options(input);
    return 0;
  }
  Listener listener(data[0], data[1]);
  for (std::size_t steps = 0; !input.empty() && steps < kStepsMax; ++steps) {
    const std::uint8_t step = input.u8();
    listener.step(step, input);
  }
  listener.fall_silent();
  return 0;
}

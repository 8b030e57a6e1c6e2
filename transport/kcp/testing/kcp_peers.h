// One end of KCP whose peers are the test: it makes the datagrams that the end hears, and sees what it sends. Virtual time.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wayport/transport/kcp/kcp_table.h"
#include "wayport/transport/kcp/testing/kcp_pair.h"

namespace wayport::transport::kcp::testing {

inline constexpr std::uint32_t kConv = 7;

// What games use: short timers, fast resends, no congestion control.
inline KcpOptions fast() {
  KcpOptions options;
  options.set_nodelay(true, 10, 2, true);
  return options;
}
// One segment; of kConv, if `fields` has no conv.
inline std::string segment(Segment fields, std::string_view payload = {}) {
  std::string bytes(kSegmentHeaderBytes, '\0');
  fields.conv = fields.conv == 0 ? kConv : fields.conv;
  write_segment_header(reinterpret_cast<std::byte*>(bytes.data()), fields, payload.size());
  return bytes + std::string(payload);
}
inline MutableBytes writable(std::string& text) { return {reinterpret_cast<std::byte*>(text.data()), text.size()}; }

// A session whose peer is this test.
struct Victim : KcpWorld {
  explicit Victim(KcpOptions options = fast(), KcpSession::Role role = KcpSession::Role::dialer) : end(*this) {
    links[0].loss = 1;
    end.tap = &sent;
    end.start(options, role, kConv);
  }
  void hear(std::string datagram) {
    end.session->handle_datagram(writable(datagram));
    end.flush();
  }
  void run(Duration time) {
    const TimePoint until = now + time;
    while (wheel.next_due() <= until) {
      now = std::max(now, wheel.next_due());
      wheel.expire(now);
      if (end.flush_wanted) end.flush();
    }
    now = until;
  }
  void write(std::string_view text) {
    end.write(text);
    end.flush();
  }
  // The last push that was sent.
  Segment last_push() const {
    Segment found;
    for (const std::string& datagram : sent) {
      SegmentReader reader(as_bytes(datagram), kConv);
      while (const auto one = reader.next()) {
        if (one->cmd == kPush) found = *one;
      }
    }
    return found;
  }
  KcpEnd end;
  std::vector<std::string> sent;
};

// A listener with sessions, whose peers are this test.
struct Listener : KcpWorld, KcpTableHost, KcpHost, DatagramSink {
  explicit Listener(KcpTableOptions table_options = {}, KcpOptions options = fast(), std::string_view crypt = {})
      : cipher(crypt.empty() ? nullptr : *make_cipher(crypt, as_bytes(key), PacketCipher::Seed{std::byte{1}})),
        client_cipher(crypt.empty() ? nullptr : *make_cipher(crypt, as_bytes(key), PacketCipher::Seed{std::byte{2}})),
        environment{pool, counters, cipher.get(), nullptr, [this] { return random(); }} {
    table.emplace(*this, *this, environment, std::make_shared<KcpOptions>(options), table_options,
                  KcpTable::Seed{random(), random()});
  }
  virtual ~Listener() = default;
  struct Events final : KcpEvents {
    void on_readable() override {
      iovec pieces[8];
      while (session->has_readable()) {
        const ReceiveQueue::Readable readable = session->readable(pieces);
        for (std::size_t i = 0; i < readable.pieces; ++i)
          text.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
        session->consume(readable.bytes);
      }
    }
    void on_writable() override {}
    void on_read_end() override {}
    void on_closed(const CloseReason&) override { closed = true; }
    KcpSession* session = nullptr;
    std::string text;
    bool closed = false;
  };
  TimePoint now() const noexcept override { return KcpWorld::now; }
  void arm(Timer& timer, TimePoint due) override { wheel.arm(timer, due); }
  void flush_soon(KcpSession& session) override { dirty.insert(&session); }
  void on_session(KcpSession& session, const Endpoint& from) override {
    opened.push_back(from);
    if (accepts) table->accepted(session);
    auto& events = all_events.emplace_back(std::make_unique<Events>());
    events->session = &session;
    session.set_events(*events);
    last = &session;
    if (!greeting.empty()) session.write(as_bytes(greeting));
  }
  void send(const Endpoint&, Bytes datagram) override { resets.emplace_back(as_text(datagram)); }
  MutableBytes room(std::size_t size) override { return MutableBytes(buffer).first(size); }
  void commit(std::size_t size) override {
    bytes_out += size;
    sent.emplace_back(as_text(Bytes(buffer).first(size)));
  }
  void settle() {
    while (!dirty.empty()) {
      KcpSession* const session = *dirty.begin();
      dirty.erase(dirty.begin());
      session->flush(*this);
      if (session->closed()) {
        dirty.erase(session);
        if (last == session) last = nullptr;
        table->remove(*session);
      }
    }
  }
  std::string wrap(const std::string& packet) {
    if (!client_cipher) return packet;
    std::string datagram =
        std::string(client_cipher->head_bytes(), '\0') + packet + std::string(client_cipher->tail_bytes(), '\0');
    client_cipher->seal(writable(datagram));
    return datagram;
  }
  void hear_raw(const Endpoint& from, std::string datagram) {
    table->handle_datagram(from, writable(datagram));
    settle();
  }
  void hear(const Endpoint& from, const std::string& packet) { hear_raw(from, wrap(packet)); }
  void run(Duration time) {
    const TimePoint until = KcpWorld::now + time;
    while (wheel.next_due() <= until) {
      KcpWorld::now = std::max(KcpWorld::now, wheel.next_due());
      wheel.expire(KcpWorld::now);
      settle();
    }
    KcpWorld::now = until;
  }
  // The last push that was sent. REQUIRES: there is one. Its payload is not kept.
  Segment last_push() {
    Segment found;
    for (std::string datagram : sent) {
      const Bytes packet = client_cipher ? client_cipher->open(writable(datagram)).packet : writable(datagram);
      SegmentReader reader(packet, load_le<std::uint32_t>(packet.data()));
      while (const auto one = reader.next()) {
        if (one->cmd == kPush) found = *one;
      }
    }
    found.payload = {};
    return found;
  }
  static Endpoint at(std::uint8_t host, std::uint16_t port = 1000, std::uint8_t net = 1) {
    Endpoint endpoint;
    endpoint.address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, net, host};
    endpoint.port = port;
    return endpoint;
  }

  std::string key = std::string(16, 'k');
  PacketPool pool;
  KcpCounters counters;
  std::unique_ptr<PacketCipher> cipher, client_cipher;
  KcpEnvironment environment;
  std::vector<std::unique_ptr<Events>> all_events;
  std::optional<KcpTable> table;
  std::set<KcpSession*> dirty;
  std::array<std::byte, kDatagramBytesMax> buffer;
  std::vector<Endpoint> opened;
  std::vector<std::string> sent, resets;
  std::string greeting;
  KcpSession* last = nullptr;
  std::uint64_t bytes_out = 0;
  bool accepts = true;
};

}  // namespace wayport::transport::kcp::testing

// HandClient: a client of snet that does nothing by itself, for tests of what a server does with each of its bytes.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "wayport/transport/snet/handshake.h"
#include "wayport/transport/snet/session.h"
#include "wayport/transport/snet/snet_testing.h"

namespace wayport::transport {

// A connection with bytes of the test's own, and when it ended.
struct RawConnection {
  explicit RawConnection(SnetNetwork& network) : net(network), end(network.dial_raw()) {}
  void send(std::string_view bytes) {
    end->write(bytes);
    net.loop.drain();
  }
  const std::string& received() const { return end->events.received; }
  bool ended() const { return end->events.read_ends != 0 || end->events.closed; }
  // In virtual time; -1: not within `limit` seconds.
  double seconds_until_end(double limit = 30) {
    const TimePoint from = net.clock.now();
    const auto seconds = [&] { return std::chrono::duration<double>(net.clock.now() - from).count(); };
    while (!ended()) {
      if (seconds() > limit) return -1;
      net.loop.advance(std::chrono::milliseconds(10));
    }
    return seconds();
  }

  SnetNetwork& net;
  std::unique_ptr<SnetEnd> end;
};

struct HandClient {
  explicit HandClient(SnetNetwork& network, const snet::SessionOptions& how = {})
      : net(network), connection(std::make_unique<RawConnection>(network)), options(how) {
    snet::ClientOpen open(random);
    Chain out;
    open.start(out);
    connection->send(out.to_string());
    out.clear();
    open.handle_bytes(as_bytes(connection->received()), out);
    WAYPORT_ASSERT(open.done(), "the server answers");
    session.emplace(snet::Role::client, open.key(), open.id(), options);
    static_cast<void>(session->resume(0, 0));
    connection->send(out.to_string());
    taken = connection->received().size();
  }

  // What the server's application sent, as far as it came.
  std::string read() {
    std::string wire = connection->received().substr(taken);
    taken += wire.size();
    return std::string(as_text(session->receive({reinterpret_cast<std::byte*>(wire.data()), wire.size()})));
  }
  void write(std::string_view text) { connection->send(session->write(chain_of(text)).to_string()); }

  std::string request(snet::Counters counters) const {
    std::string fields(24, '\0');
    auto* const at = reinterpret_cast<std::byte*>(fields.data());
    store_le(at, session->id());
    store_le(at + 8, counters.written);
    store_le(at + 16, counters.received);
    const snet::Mac mac = snet::mac_of(as_bytes(fields), session->key());
    return "\xff" + fields + std::string(as_text(mac));
  }
  std::string request() const { return request(session->counters()); }
  std::unique_ptr<RawConnection> ask(const std::string& with) {
    auto made = std::make_unique<RawConnection>(net);
    made->send(with);
    return made;
  }
  std::string proof(const RawConnection& answered) const {
    const snet::Mac mac = snet::mac_of(as_bytes(answered.received()).subspan(16, 8), session->key());
    return std::string(as_text(mac));
  }
  // The whole of a reconnect, if the server lets us; `more` goes in one piece with the proof.
  bool resume(std::string_view more = "") {
    std::unique_ptr<RawConnection> next = ask(request());
    if (next->received().size() < 24 || next->received() == std::string(24, '\0')) return false;
    const auto* const answer = reinterpret_cast<const std::byte*>(next->received().data());
    std::optional<Chain> missing = session->resume(session->counters().received, load_le<std::uint64_t>(answer + 8));
    if (!missing) return false;
    missing->append(session->write(chain_of(more)));
    taken = 24;
    next->send(proof(*next) + missing->to_string());
    connection = std::move(next);
    return !connection->ended();
  }

  SnetNetwork& net;
  SeededRandom random{99};
  std::unique_ptr<RawConnection> connection;
  snet::SessionOptions options;
  std::optional<snet::Session> session;
  std::size_t taken = 0;
};

}  // namespace wayport::transport

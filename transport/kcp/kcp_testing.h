// A listener and its dialers on one loop, for tests of the transport.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/loop.h"
#include "wayport/transport/kcp/kcp_transport.h"
#include "wayport/transport/testing/connect.h"
#include "wayport/transport/testing/recorder.h"

namespace wayport::transport::kcp::testing {

// A stream and what it told.
struct End {
  std::unique_ptr<Stream> stream;
  RecordingEvents events;
  bool echo = false;

  void begin(std::unique_ptr<Stream> with) {
    stream = std::move(with);
    if (echo) events.then_bytes = [this] { send_back(); };
    stream->start(events);
  }
  void write(std::string_view text) { stream->write(chain_of(text)); }
  void send_back() {
    stream->write(chain_of(std::string_view(events.received).substr(returned)));
    returned = events.received.size();
  }
  std::size_t returned = 0;
};

struct World {
  // `parameters` are the listener's and, unless a dial has others, the dialers'.
  explicit World(std::string parameters, const std::string& only_listening = "", ListenOptions options = {},
                 LoopOptions loop_options = {}, const std::string& host = "127.0.0.1")
      : loop(loop_options), dialing(std::move(parameters)) {
    all.add("kcp", transport);
    const std::string address =
        "kcp://" + host + ":0?" + dialing + (only_listening.empty() ? "" : "&" + only_listening);
    Result<std::unique_ptr<Listener>> made = all.listen(loop, *Address::parse(address), options);
    WAYPORT_ASSERT(made.has_value(), made.error().to_string().c_str());
    listener = *std::move(made);
    listener->start([this](std::unique_ptr<Incoming> incoming) {
      if (rejecting) return incoming->reject({ErrorCode::refused, "", {}});
      servers.emplace_back();
      servers.back().echo = echo;
      servers.back().begin(incoming->accept());
    });
  }

  End& dial(const std::string& parameters = "") { return dial_port(listener->address().port(), parameters); }
  End& dial_port(std::uint16_t port, const std::string& parameters = "") {
    DialOutcome outcome;
    const std::string query = parameters.empty() ? "?" + dialing : parameters;
    dial_into(outcome, all, loop, "kcp://127.0.0.1:" + std::to_string(port) + query, {.stream = stream});
    run_until(loop, [&] { return outcome.done(); });
    WAYPORT_ASSERT(outcome.done() && outcome.result->has_value(), outcome.error().c_str());
    clients.emplace_back();
    clients.back().begin(std::move(**outcome.result));
    return clients.back();
  }
  SocketAddress bound() const { return *SocketAddress::from_ip("127.0.0.1", listener->address().port()); }
  End& server(std::size_t index) { return servers.at(index); }
  bool until(const std::function<bool()>& done, Duration limit = std::chrono::seconds(20)) {
    return run_until(loop, done, limit);
  }
  bool accepted(std::size_t count) {
    return until([&] { return servers.size() >= count; });
  }
  std::uint64_t counter(std::string_view name) const {
    for (const auto& [its_name, value] : transport->statistics()) {
      if (its_name == name) return value;
    }
    WAYPORT_ASSERT(false, "a counter of that name");
    return 0;
  }
  std::vector<std::string> faults() const {
    std::vector<std::string> all_faults;
    for (const std::deque<End>* ends : {&clients, &servers}) {
      for (const End& end : *ends)
        all_faults.insert(all_faults.end(), end.events.faults.begin(), end.events.faults.end());
    }
    return all_faults;
  }

  Loop loop;
  Transports all;
  std::shared_ptr<KcpTransport> transport = std::make_shared<KcpTransport>();
  const std::string dialing;
  StreamOptions stream;
  bool echo = false;
  bool rejecting = false;
  std::unique_ptr<Listener> listener;
  std::deque<End> clients;
  std::deque<End> servers;
};

}  // namespace wayport::transport::kcp::testing

// What the tests of the link layer's driver share: a loop in virtual time, a gateway by hand in memory, ends that
// remember.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "wayport/base/log_testing.h"
#include "wayport/base/loop.h"
#include "wayport/base/time.h"
#include "wayport/transport/link/endpoint.h"
#include "wayport/transport/link/link_transport.h"
#include "wayport/transport/link/testing/hand_gateway.h"
#include "wayport/transport/testing/certificates.h"
#include "wayport/transport/testing/connect.h"
#include "wayport/transport/testing/memory_transport.h"
#include "wayport/transport/testing/recorder.h"

namespace wayport::link {

// A virtual connection's consumer that writes down what it is told.
struct VirtualEnd final : VirtualEvents {
  explicit VirtualEnd(std::unique_ptr<VirtualConnection> which) : connection(std::move(which)) {
    connection->start(*this);
  }
  void on_message(MutableBytes message) override {
    if (closed) faults.emplace_back("on_message after on_closed");
    messages.emplace_back(as_text(message));
    if (echo) static_cast<void>(connection->send(Bytes(message)));
    if (drop_at_message) connection.reset();
  }
  void on_writable() override { ++writables; }
  void on_closed(const CloseReason& reason) override {
    if (closed) faults.emplace_back("on_closed twice");
    closed = reason;
  }
  std::string error() const { return closed ? to_string(*closed) : std::string(); }

  std::unique_ptr<VirtualConnection> connection;
  std::vector<std::string> messages;
  std::vector<std::string> faults;
  std::size_t writables = 0;
  std::optional<CloseReason> closed;
  bool echo = false;
  bool drop_at_message = false;
};

// An endpoint's owner: what is dialed to it becomes an end.
struct EndpointOwner final : EndpointEvents {
  void on_ready() override { ++readies; }
  void on_connected(std::unique_ptr<VirtualConnection> connection) override {
    ends.push_back(std::make_unique<VirtualEnd>(std::move(connection)));
    ends.back()->echo = echo;
  }
  bool on_ping_timeout() override {
    ++ping_timeouts;
    return go_on;
  }
  void on_closed(const CloseReason& reason) override {
    closed = reason;
    if (drop_when_closed) endpoint.reset();
  }
  std::string error() const { return closed ? to_string(*closed) : std::string(); }

  std::unique_ptr<Endpoint> endpoint;
  std::vector<std::unique_ptr<VirtualEnd>> ends;
  std::optional<CloseReason> closed;
  std::size_t readies = 0;
  std::size_t ping_timeouts = 0;
  bool echo = false;
  bool go_on = false;
  bool drop_when_closed = false;
};

struct VirtualOutcome {
  std::unique_ptr<VirtualDial> dial;
  std::optional<Result<std::unique_ptr<VirtualConnection>>> result;
  std::string error() const { return result && !*result ? result->error().to_string() : std::string(); }
};

struct LinkNetwork {
  explicit LinkNetwork(transport::MemoryOptions memory = {})
      : memory_transport(std::make_shared<transport::MemoryTransport>(memory)),
        link_transport(std::make_shared<transport::LinkTransport>(&log)) {
    all.add("mem", memory_transport);
    all.add("link", link_transport);
    key_file = directory.write("key", "secret\n");
    gateway = std::make_unique<testing::HandGateway>(loop, all, "mem://clients", "mem://servers", "secret");
  }

  // An endpoint on a stream of its own.
  void open(EndpointOwner& owner, EndpointIdentity identity, EndpointOptions options = {}) {
    transport::DialOutcome lower;
    transport::dial_into(lower, all, loop, identity.server ? "mem://servers" : "mem://clients");
    loop.drain();
    owner.endpoint = std::make_unique<Endpoint>(*std::move(*lower.result), std::move(identity), options,
                                                static_cast<EndpointEvents&>(owner));
    loop.drain();
  }
  void open_server(EndpointOwner& owner, std::uint32_t id, EndpointOptions options = {}) {
    open(owner, EndpointIdentity::as_server(id, "secret"), options);
  }
  void dial(VirtualOutcome& outcome, EndpointOwner& from, std::uint32_t remote, Duration timeout = Duration::zero()) {
    outcome.dial = from.endpoint->dial(remote, timeout, [&outcome](Result<std::unique_ptr<VirtualConnection>> made) {
      outcome.result = std::move(made);
    });
  }
  std::unique_ptr<VirtualEnd> connect(EndpointOwner& from, std::uint32_t remote) {
    VirtualOutcome outcome;
    dial(outcome, from, remote);
    loop.drain();
    WAYPORT_ASSERT(outcome.result && *outcome.result, outcome.error().c_str());
    return std::make_unique<VirtualEnd>(*std::move(*outcome.result));
  }

  std::string dialing(std::uint32_t id, const std::string& parameters = "") const {
    return "link+mem://clients/" + std::to_string(id) + parameters;
  }
  std::string listening(std::uint32_t id, const std::string& parameters = "") const {
    return "link+mem://servers/" + std::to_string(id) + "?key_file=" + key_file + parameters;
  }

  MemoryLog log;
  ManualClock clock;
  Loop loop{{.clock = &clock}};
  transport::TestDirectory directory;
  std::string key_file;
  std::shared_ptr<transport::MemoryTransport> memory_transport;
  std::shared_ptr<transport::LinkTransport> link_transport;
  transport::Transports all;
  std::unique_ptr<testing::HandGateway> gateway;
};

// Accepted streams of a listener by address.
struct LinkServer {
  LinkServer(LinkNetwork& network, const std::string& where, const transport::ListenOptions& options = {}) {
    auto made = network.all.listen(network.loop, *transport::Address::parse(where), options);
    WAYPORT_ASSERT(made.has_value(), made ? "" : made.error().detail.c_str());
    listener = *std::move(made);
    listener->start([this](std::unique_ptr<transport::Incoming> incoming) {
      streams.push_back(incoming->accept());
      events.push_back(std::make_unique<transport::RecordingEvents>());
      streams.back()->start(*events.back());
    });
    network.loop.drain();
  }
  std::unique_ptr<transport::Listener> listener;
  std::vector<std::unique_ptr<transport::RecordingEvents>> events;
  std::vector<std::unique_ptr<Stream>> streams;
};

}  // namespace wayport::link

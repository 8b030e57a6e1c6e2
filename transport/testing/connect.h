// Real connections within a test: one listener, one dial, both on one loop.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "wayport/transport/transports.h"

namespace wayport::transport {

// Turns the loop until `done`, or until it has not come true for `limit` of real time; returns done().
bool run_until(Loop& loop, const std::function<bool()>& done, Duration limit = std::chrono::seconds(20));

// What came of one dial.
struct DialOutcome {
  std::unique_ptr<Dial> dial;
  std::optional<Result<std::unique_ptr<Stream>>> result;

  bool done() const { return result.has_value(); }
  std::string error() const { return result && !*result ? result->error().to_string() : std::string(); }
};
// Starts a dial, and writes into `outcome`, which stays where it is.
void dial_into(DialOutcome& outcome, const Transports& all, Loop& loop, const std::string& address,
               const DialOptions& options = {});

struct Connection {
  std::unique_ptr<Listener> listener;
  std::unique_ptr<Stream> client;
  std::unique_ptr<Stream> server;
};
// Listens on `listen`, dials what was bound (with `dial_parameters` instead of the listener's, such as "?nodelay=0"),
// accepts. The first error, whoever had it.
Result<Connection> connect_through(const Transports& all, Loop& loop, const std::string& listen,
                                   const std::string& dial_parameters = "", const ListenOptions& listen_options = {},
                                   const DialOptions& dial_options = {});

// The address to dial for a bound listener: its place without its parameters, with others.
std::string dial_address(const Listener& listener, const std::string& parameters = "");

}  // namespace wayport::transport

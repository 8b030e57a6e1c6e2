#include "wayport/transport/testing/connect.h"

#include <chrono>
#include <utility>

namespace wayport::transport {

bool run_until(Loop& loop, const std::function<bool()>& done, Duration limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() > until) return false;
    loop.run_turn(std::chrono::milliseconds(5));
  }
  return true;
}

void dial_into(DialOutcome& outcome, const Transports& all, Loop& loop, const std::string& address,
               const DialOptions& options) {
  const auto on_done = [&outcome](Result<std::unique_ptr<Stream>> result) {
    outcome.result.emplace(std::move(result));
  };
  Result<Address> parsed = Address::parse(address);
  outcome.dial = parsed ? all.dial(loop, *parsed, options, on_done) : failed_dial(loop, parsed.error(), on_done);
}

std::string dial_address(const Listener& listener, const std::string& parameters) {
  const std::string bound = listener.address().to_string();
  return bound.substr(0, bound.find('?')) + parameters;
}

Result<Connection> connect_through(const Transports& all, Loop& loop, const std::string& listen,
                                   const std::string& dial_parameters, const ListenOptions& listen_options,
                                   const DialOptions& dial_options) {
  Connection connection;
  WAYPORT_TRY_ASSIGN(const Address where, Address::parse(listen));
  WAYPORT_TRY_ASSIGN(connection.listener, all.listen(loop, where, listen_options));
  std::unique_ptr<Stream> accepted;
  connection.listener->start([&](std::unique_ptr<Incoming> incoming) { accepted = incoming->accept(); });
  DialOutcome outcome;
  dial_into(outcome, all, loop, dial_address(*connection.listener, dial_parameters), dial_options);
  const bool finished = run_until(loop, [&] { return outcome.done() && (accepted || !*outcome.result); });
  connection.listener->pause(true);
  if (!finished) return fail(ErrorCode::timed_out, "the connection did not come about");
  if (!*outcome.result) return fail(outcome.result->error());
  connection.client = *std::move(*outcome.result);
  connection.server = std::move(accepted);
  return connection;
}

}  // namespace wayport::transport

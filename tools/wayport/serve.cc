#include "wayport/tools/wayport/serve.h"

#include <boost/json/object.hpp>

#include "wayport/rpc/peer.h"
#include "wayport/tools/wayport/example_routes.h"
#include "wayport/tools/wayport/session_options.h"
#include "wayport/tools/wayport/text.h"

namespace wayport::tools {
namespace {

// A session may drain as long as the process.
Duration close_timeout(const ServeOptions& options) {
  constexpr Duration kUnbounded = std::chrono::hours(24 * 365);
  return options.close_timeout.value_or(options.drain_timeout < Duration::zero() ? kUnbounded : options.drain_timeout);
}

rpc::PeerOptions peer_options(const ServeOptions& options) {
  rpc::PeerOptions peer;
  peer.session = session_options(options.wire);
  peer.session.read_timeout = options.read_timeout;
  peer.session.close_timeout = close_timeout(options);
  for (std::size_t i = 0; i < options.listen.size(); ++i) {
    rpc::SessionOptions session = peer.session;
    if (!options.versions.empty()) session.version = options.versions[options.versions.size() == 1 ? 0 : i];
    peer.listen.emplace_back(options.listen[i], session);
  }
  return peer;
}

}  // namespace

int serve(Runtime& runtime, const ServeOptions& options, Console& console, rpc::ProcessStart& start) {
  if (options.versions.size() > 1 && options.versions.size() != options.listen.size()) {
    console.err << "error: --peer-version is given once for all addresses, or once for each\n";
    return kExitUsage;
  }
  Lines lines(console.out);
  rpc::PeerOptions how = peer_options(options);
  how.listen_options.inherited = &start.inherited;
  rpc::Peer peer(runtime, std::move(how));
  add_example_routes(peer, lines, {.json = options.json, .inflated_bytes_max = options.wire.limits.inflated_bytes_max});
  if (const Result<void> started = peer.start(); !started) {
    console.err << "error: " << started.error().to_string() << "\n";
    return kExitFailure;
  }
  const auto graceful = rpc::Graceful::start(runtime, {&peer}, start, {.drain_timeout = options.drain_timeout});
  if (!graceful) {
    console.err << "error: " << graceful.error().to_string() << "\n";
    return kExitFailure;
  }
  // Whoever reads these lines may send a signal.
  for (const std::string& address : peer.addresses()) {
    const std::string place = place_of(address);
    lines.write(options.json ? json_line({{"listening", place}}) : "listening on " + place + "\n");
  }
  return (*graceful)->wait().drained ? kExitSuccess : kExitFailure;
}

}  // namespace wayport::tools

#include "wayport/tools/wayport/serve.h"

#include <boost/json/object.hpp>

#include "wayport/rpc/peer.h"
#include "wayport/tools/wayport/example_routes.h"
#include "wayport/tools/wayport/session_options.h"
#include "wayport/tools/wayport/text.h"

namespace wayport::tools {
namespace {

rpc::PeerOptions peer_options(const ServeOptions& options) {
  rpc::PeerOptions peer;
  peer.session = session_options(options.wire);
  peer.session.read_timeout = options.read_timeout;
  peer.session.close_timeout = options.close_timeout;
  for (std::size_t i = 0; i < options.listen.size(); ++i) {
    rpc::SessionOptions session = peer.session;
    if (!options.versions.empty()) session.version = options.versions[options.versions.size() == 1 ? 0 : i];
    peer.listen.emplace_back(options.listen[i], session);
  }
  return peer;
}

}  // namespace

int serve(Runtime& runtime, const ServeOptions& options, Console& console, Interrupt& interrupt) {
  if (options.versions.size() > 1 && options.versions.size() != options.listen.size()) {
    console.err << "error: --peer-version is given once for all addresses, or once for each\n";
    return kExitUsage;
  }
  Lines lines(console.out);
  rpc::Peer peer(runtime, peer_options(options));
  add_example_routes(peer, lines, {.json = options.json, .inflated_bytes_max = options.wire.limits.inflated_bytes_max});
  if (const Result<void> started = peer.start(); !started) {
    console.err << "error: " << started.error().to_string() << "\n";
    return kExitFailure;
  }
  for (const std::string& address : peer.addresses()) {
    const std::string place = place_of(address);
    lines.write(options.json ? json_line({{"listening", place}}) : "listening on " + place + "\n");
  }
  interrupt.wait();
  peer.close_blocking();
  return kExitSuccess;
}

}  // namespace wayport::tools

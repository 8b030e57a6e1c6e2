#include "wayport/tools/wayport/listen.h"

#include <atomic>
#include <boost/json/object.hpp>
#include <memory>

#include "wayport/rpc/peer.h"
#include "wayport/tools/wayport/example_routes.h"
#include "wayport/tools/wayport/session_options.h"
#include "wayport/tools/wayport/text.h"

namespace wayport::tools {

int listen(Runtime& runtime, const ListenOptions& options, Console& console, Interrupt& interrupt) {
  Lines lines(console.out);
  std::atomic<bool> ended = false;
  rpc::PeerOptions peer_options;
  peer_options.session = session_options(options.wire);
  peer_options.on_session_closed = [&](const rpc::Session&, const CloseReason&) {
    ended = true;
    interrupt.wake();
  };
  rpc::Peer peer(runtime, std::move(peer_options));
  add_example_routes(
      peer, lines,
      {.json = options.json, .every_push = true, .inflated_bytes_max = options.wire.limits.inflated_bytes_max});
  const rpc::Session session = connect(peer, options.url, options.timeout, console);
  if (!session) return kExitFailure;
  const std::string remote = shown_in_line(session.remote());
  const std::string id = shown_in_line(session.id());
  lines.write(options.json ? json_line({{"connected", remote}, {"id", id}})
                           : "connected to " + remote + " as " + id + "\n");
  interrupt.wait([&ended] { return ended.load(); });
  if (!ended) {
    peer.close_blocking();
    return kExitSuccess;
  }
  const std::optional<CloseReason> reason = session.close_reason();
  console.err << "error: the session ended: " << (reason ? shown_in_line(to_string(*reason)) : "no reason is known")
              << "\n";
  return kExitFailure;
}

}  // namespace wayport::tools

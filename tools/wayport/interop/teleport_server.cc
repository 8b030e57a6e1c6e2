#include "wayport/rpc/peer.h"
#include "wayport/tools/wayport/interop/failure.h"
#include "wayport/tools/wayport/interop/listening.h"
#include "wayport/tools/wayport/interop/teleport_cases.h"
#include "wayport/tools/wayport/interop/teleport_routes.h"
#include "wayport/tools/wayport/interop/teleport_session.h"

namespace wayport::tools::interop {

void run_teleport_server(Runtime& runtime, const Settings& settings, bool wrong_status, Interrupt& interrupt,
                         const std::function<void(const std::vector<std::string>& addresses)>& on_ready) {
  const ListeningTransports transports(runtime.log());
  rpc::PeerOptions options;
  options.listen = {settings.address.to_string()};
  options.session = session_options(settings);
  if (settings.what == Case::limit) options.session.limits.packet_bytes_max = kLimitBytes;
  options.transports = &transports.all();
  rpc::Peer peer(runtime, std::move(options));
  add_routes(peer, {.codec = settings.codec, .wrong_status = wrong_status});
  take(peer.start(), "that it listens");
  take(transports.wait_until_accepting(settings.address, settings.timeout, interrupt), "that it listens");
  on_ready(peer.addresses());
  interrupt.wait();
  peer.close_blocking();
}

}  // namespace wayport::tools::interop

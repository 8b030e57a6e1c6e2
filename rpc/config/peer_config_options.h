// From the configuration keys to the options of a Peer (spec/teleport 12).
//
//   std::string note;
//   WAYPORT_TRY_ASSIGN(wayport::rpc::PeerOptions options, wayport::rpc::to_peer_options(config, &note));
//   if (!note.empty()) log(note);  // once
//   wayport::rpc::Peer peer(runtime, std::move(options));
//
// slow_comet_duration, print_body and count_time are not options of a peer: read them from PeerConfig where calls are
// logged. Pure functions, any thread.
#pragma once

#include <string>

#include "wayport/base/result.h"
#include "wayport/rpc/config/peer_config.h"
#include "wayport/rpc/peer.h"

namespace wayport::rpc {

// A bare host:port is listened on with tcp; with tls_cert_file and tls_key_file with tls, which the original did not
// do: `note` gets a line that says so, else it is emptied. An address with a scheme is taken as it is. Errors are those
// of check(): invalid_argument, with the key.
Result<PeerOptions> to_peer_options(const PeerConfig& config, std::string* note = nullptr);

// default_dial_timeout; zero or less: none.
DialOptions to_dial_options(const PeerConfig& config);

}  // namespace wayport::rpc

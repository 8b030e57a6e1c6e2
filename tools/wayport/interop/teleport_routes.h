// The routes of integration/CONTRACT.md, which both ends of a session offer.
#pragma once

#include <cstdint>

#include "wayport/rpc/peer.h"

namespace wayport::tools::interop {

struct RouteOptions {
  std::uint8_t codec = framing::kCodecJson;  // of answers to requests without a body
  bool wrong_status = false;                 // --broken status
};

// Before `peer` starts.
void add_routes(rpc::Peer& peer, const RouteOptions& options);

}  // namespace wayport::tools::interop

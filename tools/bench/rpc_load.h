// Load on a peer: pulls with callbacks, each sent from the loop when the reply before it is there.
#pragma once

#include <memory>
#include <string>

#include "wayport/base/result.h"
#include "wayport/rpc/peer.h"
#include "wayport/tools/bench/exchange.h"
#include "wayport/tools/bench/load.h"

namespace wayport::tools {

// Session options of both sides: those of an application that cares, with protobuf headers.
rpc::SessionOptions rpc_options();
// The routes /echo and /sum.
void add_routes(rpc::Router router);

Result<std::unique_ptr<LoadClient>> connect_rpc(const std::string& address, const Exchange& exchange);

}  // namespace wayport::tools

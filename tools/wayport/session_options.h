// From the command line's options to those of a peer.
#pragma once

#include <string>
#include <string_view>

#include "wayport/base/result.h"
#include "wayport/rpc/options.h"
#include "wayport/rpc/peer.h"
#include "wayport/tools/wayport/console.h"
#include "wayport/tools/wayport/options.h"

namespace wayport::tools {

rpc::SessionOptions session_options(const WireOptions& wire);

// Starts `peer` and dials; tells `console.err` what went wrong, and returns an empty handle then.
rpc::Session connect(rpc::Peer& peer, std::string_view url, Duration timeout, Console& console);

// The address without parameters: what there is to dial, without keys and files.
std::string place_of(std::string_view url);

}  // namespace wayport::tools

// check_dial(): whether backends can be dialed over a transport, as far as its address says: every layer reads its
// parameters, and the files that they name. Nothing is sent.
//
// Errors are those that a dial would end with: invalid_argument, unsupported, io, ... which name the parameter. Any thread;
// runs a loop of its own, for a few turns.
#pragma once

#include "wayport/base/result.h"
#include "wayport/gateway/route/backend.h"
#include "wayport/transport/transports.h"

namespace wayport::route {

// What `transports` has for "tcp" and "kcp", the ends of stacks, is not asked.
Result<void> check_dial(const transport::Transports& transports, const BackendTransport& how);

}  // namespace wayport::route

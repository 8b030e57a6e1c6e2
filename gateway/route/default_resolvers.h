// The resolvers that this build has.
#pragma once

#include "wayport/gateway/route/resolver_registry.h"

namespace wayport::route {

// etcd, host-ip, ipHost, jwt, origin, static.
ResolverRegistry default_resolvers();

}  // namespace wayport::route

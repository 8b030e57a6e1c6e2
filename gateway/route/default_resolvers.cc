#include "wayport/gateway/route/default_resolvers.h"

#include "wayport/gateway/route/etcd_resolver.h"
#include "wayport/gateway/route/jwt_resolver.h"
#include "wayport/gateway/route/static_resolver.h"

namespace wayport::route {

ResolverRegistry default_resolvers() {
  ResolverRegistry resolvers;
  for (const char* const name : {"ipHost", "host-ip", "origin"}) resolvers.add(name, make_literal_resolver);
  resolvers.add("jwt", make_jwt_resolver);
  resolvers.add("static", make_static_resolver);
  resolvers.add("etcd", make_etcd_resolver);
  return resolvers;
}

}  // namespace wayport::route

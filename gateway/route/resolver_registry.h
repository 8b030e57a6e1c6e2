// ResolverRegistry: resolvers by name, as configurations choose them ("header_identify" of the original).
//
//   ResolverRegistry resolvers = default_resolvers();
//   resolvers.add("zookeeper", [](const SettingsTable& settings, const ResolverContext& context)
//                                  -> Result<std::shared_ptr<Resolver>> { ... });
//   WAYPORT_TRY_ASSIGN(auto resolver, resolvers.make("zookeeper", settings, context));
//
// Built in: ipHost, host-ip and origin (the identify is the target), jwt (jwt_resolver.h), static (static_resolver.h),
// etcd (etcd_resolver.h). Built in main and handed on; there is no static registration. Not thread-safe while it is
// filled.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/log.h"
#include "wayport/base/loop.h"
#include "wayport/gateway/route/resolver.h"
#include "wayport/gateway/route/settings.h"
#include "wayport/transport/transports.h"

namespace wayport::route {

// What factories may use. All of it outlives the resolvers, and the turn of the loop in which they go.
struct ResolverContext {
  Loop& loop;  // for timers and connections of the resolver's own
  const transport::Transports& transports;
  Log& log;
  std::string route = "route";  // its name, for logs
  // The clock that tokens are judged by; null: the system's. Any thread.
  std::function<std::chrono::sys_seconds()> wall_clock = nullptr;
};

class ResolverRegistry {
 public:
  using Factory =
      std::function<Result<std::shared_ptr<Resolver>>(const SettingsTable& settings, const ResolverContext& context)>;

  // Replaces an earlier one of that name.
  void add(std::string name, Factory factory);
  std::vector<std::string> names() const;
  // On the context's loop, or before it runs. Errors (invalid_argument) name the resolver; an unknown name lists those
  // that there are.
  Result<std::shared_ptr<Resolver>> make(std::string_view name, const SettingsTable& settings,
                                         const ResolverContext& context) const;

 private:
  std::map<std::string, Factory, std::less<>> factories_;
};

// The identify is the target, HOST:PORT, literally.
Result<std::shared_ptr<Resolver>> make_literal_resolver(const SettingsTable& settings, const ResolverContext& context);
// Names of the resolvers that dial what any client names, with nothing but the allow list in between.
bool is_literal_resolver(std::string_view name) noexcept;

}  // namespace wayport::route

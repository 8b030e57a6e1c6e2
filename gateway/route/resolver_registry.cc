#include "wayport/gateway/route/resolver_registry.h"

#include "wayport/base/bytes.h"

namespace wayport::route {
namespace {

class LiteralResolver final : public ImmediateResolver {
 public:
  ResolveOutcome resolve_now(const ResolveRequest& request) const override {
    Result<Target> target = parse_target(request.identify);
    if (!target) return refuse(RouteError::bad_request, std::move(target.error().detail));
    Resolved resolved;
    resolved.backends.push_back({*std::move(target), std::nullopt});
    resolved.how = "the identify names it";
    return resolved;
  }
};

}  // namespace

void ResolverRegistry::add(std::string name, Factory factory) {
  factories_.insert_or_assign(std::move(name), std::move(factory));
}

std::vector<std::string> ResolverRegistry::names() const {
  std::vector<std::string> names;
  for (const auto& [name, factory] : factories_) names.push_back(name);
  return names;
}

Result<std::shared_ptr<Resolver>> ResolverRegistry::make(std::string_view name, const SettingsTable& settings,
                                                         const ResolverContext& context) const {
  const auto found = factories_.find(name);
  if (found == factories_.end()) {
    std::string list;
    for (const auto& [known, factory] : factories_) list += (list.empty() ? "" : ", ") + known;
    return fail(ErrorCode::invalid_argument, "there is no resolver \"" + escape(name, 64) + "\"; there are: " + list);
  }
  WAYPORT_TRY_ASSIGN(std::shared_ptr<Resolver> resolver, found->second(settings, context));
  if (!resolver) return fail(ErrorCode::internal, "the factory of resolver \"" + found->first + "\" gave none");
  return resolver;
}

Result<std::shared_ptr<Resolver>> make_literal_resolver(const SettingsTable& settings, const ResolverContext&) {
  WAYPORT_TRY(SettingsReader(settings, "a resolver of literal targets").finish());
  return std::make_shared<LiteralResolver>();
}

bool is_literal_resolver(std::string_view name) noexcept {
  return name == "ipHost" || name == "host-ip" || name == "origin";
}

}  // namespace wayport::route

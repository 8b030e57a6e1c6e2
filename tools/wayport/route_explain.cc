#include "wayport/tools/wayport/route_explain.h"

#include <algorithm>
#include <fstream>
#include <future>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/log.h"
#include "wayport/gateway/program/config_check.h"
#include "wayport/gateway/program/gogateway_settings.h"
#include "wayport/gateway/program/toml_settings.h"
#include "wayport/gateway/route/allow_list.h"
#include "wayport/gateway/route/backend_dial.h"
#include "wayport/gateway/route/default_resolvers.h"
#include "wayport/gateway/route/explain.h"
#include "wayport/gateway/route/own_addresses.h"
#include "wayport/transport/default_transports.h"

namespace wayport::tools {
namespace {

Result<gateway::Settings> read_settings(const RouteExplainOptions& options, std::span<const std::string> resolvers) {
  std::ifstream file(options.config, std::ios::binary);
  if (!file) return fail(ErrorCode::not_found, "cannot read " + escape(options.config));
  std::string text(gateway::kTomlBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (!options.gogateway) return gateway::read_toml(text, options.config, resolvers);
  return gateway::read_gogateway(text, options.config, {.allow_any_target = options.allow_any_target}, resolvers);
}

// A token is better not on the command line.
std::string identify_of(const RouteExplainOptions& options, Console& console) {
  if (options.identify != "-") return options.identify;
  std::string text(std::istreambuf_iterator<char>(console.in), {});
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  return text;
}

// Where the process listens, whichever part of it. Ports that the kernel chooses are not known here.
Result<std::vector<route::OwnEndpoint>> own_endpoints_of(const gateway::Settings& settings) {
  std::vector<std::string> texts;
  for (const route::RouteOptions& route : settings.routes) {
    texts.insert(texts.end(), route.listen.begin(), route.listen.end());
  }
  if (settings.link) {
    for (const auto* const more : {&settings.link->client_addresses, &settings.link->server_addresses}) {
      texts.insert(texts.end(), more->begin(), more->end());
    }
  }
  std::vector<transport::Address> listeners;
  for (const std::string& text : texts) {
    WAYPORT_TRY_ASSIGN(listeners.emplace_back(), transport::Address::parse(text));
  }
  if (!settings.admin_address.empty()) {
    WAYPORT_TRY_ASSIGN(transport::Address admin, transport::Address::parse(settings.admin_address));
    // Nobody else's without a host.
    if (admin.host().empty()) admin = transport::Address::of("tcp", "127.0.0.1", admin.port());
    listeners.push_back(std::move(admin));
  }
  return route::own_endpoints(listeners);
}

Result<std::shared_ptr<const route::AllowList>> allow_list_of(const route::RouteOptions& route,
                                                              std::vector<route::OwnEndpoint> own) {
  WAYPORT_TRY_ASSIGN(route::AllowList allow, route::AllowList::parse(route.allow));
  allow.set_own(std::move(own));
  return std::make_shared<const route::AllowList>(std::move(allow));
}

int worse(int a, int b) noexcept {
  if (a == kExitFailure || b == kExitFailure) return kExitFailure;
  return std::max(a, b);
}
int exit_code_of(route::ExplainOutcome outcome) noexcept {
  switch (outcome) {
    case route::ExplainOutcome::would_dial:
      return kExitSuccess;
    case route::ExplainOutcome::depends:
      return kExitDepends;
    case route::ExplainOutcome::refused:
      break;
  }
  return kExitFailure;
}

// Everything that one explanation needs, on the loop from its making to its end.
struct Explained {
  std::shared_ptr<route::Resolver> resolver;
  std::unique_ptr<route::Explaining> running;
};

}  // namespace

int explain_route(Runtime& runtime, const RouteExplainOptions& options, Console& console) {
  const auto complain = [&console](const Error& error) {
    console.err << "error: " << error.detail << (error.cause ? " (" + error.cause.message() + ")" : "") << "\n";
    return kExitUsage;
  };
  const route::ResolverRegistry resolvers = route::default_resolvers();
  Result<gateway::Settings> settings = read_settings(options, resolvers.names());
  if (!settings) return complain(settings.error());
  if (const Result<void> checked = gateway::check_backends(*settings); !checked) return complain(checked.error());
  const Result<std::vector<route::OwnEndpoint>> own = own_endpoints_of(*settings);
  if (!own) return complain(own.error());
  if (!options.route.empty()) {
    std::erase_if(settings->routes, [&](const route::RouteOptions& route) { return route.name != options.route; });
  }
  if (settings->routes.empty()) {
    return complain({ErrorCode::not_found,
                     options.route.empty() ? escape(options.config) + " has no route"
                                           : escape(options.config) + " has no route named " + escape(options.route)});
  }
  const std::string identify = identify_of(options, console);
  const transport::Transports transports = transport::default_transports();
  route::SystemNameLookup names;
  Loop& loop = runtime.loop(0);
  int exit_code = kExitSuccess;
  for (const route::RouteOptions& route : settings->routes) {
    const Result<std::shared_ptr<const route::AllowList>> allow = allow_list_of(route, *own);
    if (!allow) return complain(allow.error());
    std::promise<Result<route::Explanation>> promise;
    std::future<Result<route::Explanation>> explained = promise.get_future();
    Explained state;
    loop.post([&] {
      Result<std::shared_ptr<route::Resolver>> resolver =
          resolvers.make(route.resolver, route.resolver_settings,
                         {.loop = loop, .transports = transports, .log = runtime.log(), .route = route.name});
      if (!resolver) return promise.set_value(fail(resolver.error()));
      state.resolver = *std::move(resolver);
      state.running = route::explain(
          loop,
          {.options = &route, .resolver = state.resolver, .allow = *allow, .names = options.lookup ? &names : nullptr},
          identify, [&promise](route::Explanation result) { promise.set_value(std::move(result)); });
    });
    const bool in_time = explained.wait_for(options.timeout) == std::future_status::ready;
    std::promise<void> gone;
    loop.post([&] {
      state = {};
      gone.set_value();
    });
    gone.get_future().wait();
    // It may have come just before it was canceled.
    if (!in_time && explained.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      return complain({ErrorCode::timed_out, "route " + route.name + ": the resolver \"" + route.resolver +
                                                 "\" did not answer within " + format_duration(options.timeout)});
    }
    const Result<route::Explanation> result = explained.get();
    if (!result) return complain(result.error());
    console.out << (options.json ? result->to_json() + "\n" : result->to_text());
    if (!options.json && result->outcome == route::ExplainOutcome::depends) console.out << "          see --lookup\n";
    exit_code = worse(exit_code, exit_code_of(result->outcome));
  }
  return exit_code;
}

}  // namespace wayport::tools

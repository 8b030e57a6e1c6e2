#include "wayport/gateway/program/config_check.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/base/loop.h"
#include "wayport/base/socket.h"
#include "wayport/gateway/route/default_resolvers.h"
#include "wayport/gateway/route/dial_check.h"
#include "wayport/transport/address.h"
#include "wayport/transport/default_transports.h"

namespace wayport::gateway {
namespace {

// "gateway.toml:12: route web: "
std::string place_of_route(const Settings& settings, std::size_t index) {
  const std::string place = index < settings.route_places.size() ? settings.route_places[index] + ": " : std::string();
  return place + "route " + settings.routes[index].name + ": ";
}

std::string place_of(const Settings& settings) {
  return settings.source.empty() ? std::string() : settings.source + ": ";
}

// Listens on other places than those of the addresses.
class Listening {
 public:
  Result<void> try_to(const std::string& text, const std::string& place_and_key) {
    Result<void> done = listen(text);
    if (done) return {};
    return fail(ErrorCode::invalid_argument, place_and_key + ": " + done.error().to_string());
  }

 private:
  Result<void> listen(const std::string& text) {
    WAYPORT_TRY_ASSIGN(const transport::Address address, transport::Address::parse(text));
    const bool is_unix = address.layers().back() == "unix";
    const std::string place =
        is_unix ? "@wayport-check-" + std::to_string(::getpid()) + "-" + std::to_string(++unix_sockets_)
                : "127.0.0.1:0";
    const std::string whole = address.to_string();
    std::string query = whole.substr(std::min(whole.find('?'), whole.size()));
    if (is_unix && address.parameter("mode")) query.clear();  // the socket of the check has no file
    WAYPORT_TRY_ASSIGN(const transport::Address elsewhere,
                       transport::Address::parse(address.scheme() + "://" + place + query));
    if (auto listener = transports_.listen(loop_, elsewhere, {}); !listener) {
      Error error = std::move(listener.error());
      error.detail = address.to_log() + ": " + error.detail;
      return fail(std::move(error));
    }
    return {};
  }

  Loop loop_;
  const transport::Transports transports_ = transport::default_transports();
  int unix_sockets_ = 0;
};

Result<void> check_log(const std::string& file, const std::string& place_and_key) {
  if (file.empty()) return {};
  const Fd found(::open(file.c_str(), O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (found) return {};
  int error = errno;
  if (error == ENOENT) {
    const std::filesystem::path directory = std::filesystem::path(file).parent_path();
    if (::access(directory.empty() ? "." : directory.c_str(), W_OK | X_OK) == 0) return {};
    error = errno;
  }
  return fail(ErrorCode::invalid_argument, place_and_key + " \"" + escape(file) +
                                               "\" cannot be written: " + system_error(error, "open").to_string());
}

}  // namespace

Result<void> check_addresses(const Settings& settings) {
  Listening listening;
  const std::string place = place_of(settings);
  if (settings.link) {
    for (const std::string& text : settings.link->client_addresses) {
      WAYPORT_TRY(listening.try_to(text, place + "the client address"));
    }
    for (const std::string& text : settings.link->server_addresses) {
      WAYPORT_TRY(listening.try_to(text, place + "the server address"));
    }
  }
  for (std::size_t i = 0; i < settings.routes.size(); ++i) {
    for (const std::string& text : settings.routes[i].listen) {
      WAYPORT_TRY(listening.try_to(text, place_of_route(settings, i) + "listen"));
    }
  }
  if (!settings.admin_address.empty()) {
    WAYPORT_TRY(listening.try_to(settings.admin_address, place + "the admin address"));
  }
  return {};
}

Result<void> check_backends(const Settings& settings) {
  const transport::Transports transports = transport::default_transports();
  for (std::size_t i = 0; i < settings.routes.size(); ++i) {
    const auto how = route::BackendTransport::parse(settings.routes[i].backend_transport);
    const Result<void> checked = how ? route::check_dial(transports, *how) : fail(how.error());
    if (!checked) {
      return fail(ErrorCode::invalid_argument,
                  place_of_route(settings, i) + "backend_transport: " + checked.error().to_string());
    }
  }
  return {};
}

Result<void> check_resolvers(const Settings& settings, Log& log) {
  Loop loop;
  const transport::Transports transports = transport::default_transports();
  const route::ResolverRegistry resolvers = route::default_resolvers();
  for (std::size_t i = 0; i < settings.routes.size(); ++i) {
    const route::RouteOptions& route = settings.routes[i];
    const auto resolver = resolvers.make(route.resolver, route.resolver_settings,
                                         {.loop = loop, .transports = transports, .log = log, .route = route.name});
    if (!resolver) {
      return fail(ErrorCode::invalid_argument, place_of_route(settings, i) + resolver.error().to_string());
    }
  }
  return {};
}

Result<void> check_logs(const Settings& settings) {
  WAYPORT_TRY(check_log(settings.log_file, place_of(settings) + "[log] the file"));
  return check_log(settings.log_error_file, place_of(settings) + "[log] the file of errors");
}

}  // namespace wayport::gateway

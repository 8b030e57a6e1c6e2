#include "wayport/gateway/program/toml_route.h"

#include <utility>

#include "wayport/base/bytes.h"

namespace wayport::gateway {
namespace {

ReadValue proxy_to(route::ProxyProtocol& to) {
  return [&to](const toml::node& node) -> Result<void> {
    std::string name;
    WAYPORT_TRY(text_to(name)(node));
    WAYPORT_TRY_ASSIGN(to, route::parse_proxy_protocol(name));
    return {};
  };
}

// A table of texts.
ReadValue names_to(std::map<std::string, std::string>& to) {
  return [&to](const toml::node& node) -> Result<void> {
    const auto* const table = node.as_table();
    if (!table) return fail(ErrorCode::invalid_argument, "has to be a table of texts");
    for (const auto& [key, value] : *table) {
      if (const Result<void> read = text_to(to[std::string(key.str())])(value); !read) {
        return fail(ErrorCode::invalid_argument, escape(key.str(), 64) + " " + read.error().detail);
      }
    }
    return {};
  };
}

TomlKeys route_keys(route::RouteOptions& to) {
  return {
      {"name", text_to(to.name)},
      {"listen", addresses_to(to.listen)},
      {"resolver", text_to(to.resolver)},
      {"resolver_settings", settings_to(to.resolver_settings)},
      {"allow", texts_to(to.allow)},
      {"open_relay", flag_to(to.open_relay)},
      {"backend_transport", text_to(to.backend_transport)},
      {"identify_bytes_max", bytes_to(to.identify_bytes_max)},
      {"connect_timeout", time_to(to.connect_timeout)},
      {"dial_timeout", time_to(to.dial_timeout)},
      {"dial_retry", count_to(to.dial_retry)},
      {"addresses_max", count_to(to.addresses_max, 1)},
      {"success_message", text_to(to.success_message)},
      {"idle_timeout", time_to(to.idle_timeout)},
      {"linger_time", time_to(to.linger_time)},
      {"refusal_drain_time", time_to(to.refusal_drain_time)},
      {"refusal_drain_bytes", bytes_to(to.refusal_drain_bytes)},
      {"refusal_delay", time_to(to.refusal_delay)},
      {"refusal_delay_spread", time_to(to.refusal_delay_spread)},
      {"proxy_protocol", proxy_to(to.proxy_protocol)},
      {"zero_copy", flag_to(to.zero_copy)},
      {"relay_high_water_bytes", bytes_to(to.relay_high_water_bytes)},
      {"relay_low_water_bytes", bytes_to(to.relay_low_water_bytes)},
  };
}

TomlKeys websocket_keys(route::WebsocketRouteOptions& to) {
  return {
      {"message_bytes_max", bytes_to(to.message_bytes_max)},
      {"message_timeout", time_to(to.message_timeout)},
      {"header", text_to(to.header)},
      {"header_bytes_max", bytes_to(to.header_bytes_max)},
      {"query", text_to(to.query)},
      {"subprotocol_prefix", text_to(to.subprotocol_prefix)},
      {"paths", names_to(to.paths)},
      {"length_prefix", flag_to(to.length_prefix)},
  };
}

TomlKeys limit_keys(route::AdmissionLimits& to) {
  return {
      {"connections_max", count_to(to.connections_max, 1)},
      {"handshakes_max", count_to(to.handshakes_max, 1)},
      {"source_connections_max", count_to(to.source_connections_max)},
      {"source_handshakes_max", count_to(to.source_handshakes_max)},
      {"source_bits_v4", count_to(to.source_bits_v4)},
      {"source_bits_v6", count_to(to.source_bits_v6)},
  };
}

Result<route::RouteOptions> read_route(const TomlReader& reader, const toml::table& table,
                                       std::span<const std::string> resolvers) {
  route::RouteOptions options;
  TomlKeys keys = route_keys(options);
  // Tables inside are read by themselves, so that their errors have lines of their own.
  const std::pair<const char*, TomlKeys> inner[] = {{"websocket", websocket_keys(options.websocket)},
                                                    {"limits", limit_keys(options.limits)}};
  for (const auto& [name, its_keys] : inner) {
    keys.emplace(name, [](const toml::node& node) -> Result<void> {
      if (node.is_table()) return {};
      return fail(ErrorCode::invalid_argument, "has to be a table");
    });
  }
  WAYPORT_TRY(reader.read_table(table, "[[route]]", keys));
  for (const auto& [name, its_keys] : inner) {
    if (const toml::table* const its = table[name].as_table()) {
      WAYPORT_TRY(reader.read_table(*its, "[route." + std::string(name) + "]", its_keys));
    }
  }
  if (const Result<void> valid = options.validate(resolvers); !valid) {
    return reader.refuse(table.source(), valid.error().detail);
  }
  return options;
}

}  // namespace

Result<void> read_routes(const TomlReader& reader, const toml::node& node, std::span<const std::string> resolvers,
                         Settings& to) {
  const toml::array* const list = node.as_array();
  if (!list || list->empty() || !list->is_homogeneous(toml::node_type::table)) {
    return reader.refuse(node.source(), "route has to be written as [[route]]");
  }
  for (const toml::node& one : *list) {
    WAYPORT_TRY_ASSIGN(route::RouteOptions options, read_route(reader, *one.as_table(), resolvers));
    for (const route::RouteOptions& other : to.routes) {
      if (other.name == options.name) {
        return reader.refuse(one.source(),
                             "[[route]] name \"" + escape(options.name) + "\" is taken; each has its own");
      }
    }
    to.routes.push_back(std::move(options));
    to.route_places.push_back(reader.place(one.source()));
    for (std::string& note : to.routes.back().notes()) to.notes.push_back(std::move(note));
  }
  return {};
}

}  // namespace wayport::gateway

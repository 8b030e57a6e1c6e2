#include "wayport/gateway/program/gogateway_settings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/framing/base64.h"
#include "wayport/gateway/program/toml_process.h"
#include "wayport/gateway/program/toml_values.h"

namespace wayport::gateway {
namespace {

constexpr const char* kKcpFec = "fec=10,3";  // what the original's listeners and dialers have, without encryption

struct Gate {
  const char* table;   // of the file
  const char* scheme;  // and name of the route
  std::optional<std::uint16_t> port{};
  bool enabled = false;
  bool zero_copy = false;
  Duration dial_timeout = std::chrono::seconds(5);
  std::string parameters{};
};

struct Common {
  std::uint32_t dial_retry = 2;
  std::string header_identify = "ipHost";
  std::string success_message = "ok";
  Duration connect_timeout = std::chrono::seconds(10);
  bool kcp_reciprocity = false;
};

std::unexpected<Error> invalid(std::string detail) { return fail(ErrorCode::invalid_argument, std::move(detail)); }

// 7000, "7000" or ":7000".
ReadValue port_to(std::optional<std::uint16_t>& to) {
  return [&to](const toml::node& node) -> Result<void> {
    std::int64_t port = 0;
    if (const auto* const number = node.as_integer()) {
      port = number->get();
    } else if (const auto* const text = node.as_string()) {
      std::string_view digits = text->get();
      if (digits.starts_with(':')) digits.remove_prefix(1);
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
      if (error != std::errc() || end != digits.data() + digits.size()) port = -1;
    } else {
      port = -1;
    }
    // 0 takes any, for tests.
    if (port < 0 || port > 65535) return invalid("has to be a port, 0 to 65535");
    to = static_cast<std::uint16_t>(port);
    return {};
  };
}

ReadValue base64_to(std::string& to) {
  return [&to](const toml::node& node) -> Result<void> {
    std::string text;
    WAYPORT_TRY(text_to(text)(node));
    const std::optional<std::string> bytes = framing::from_base64(text);
    if (!bytes) return invalid("has to be base64, such as \"b2s=\" for ok");
    to = *bytes;
    return {};
  };
}

TomlKeys gate_keys(Gate& to) {
  return {
      {"port", port_to(to.port)},
      {"enabled", flag_to(to.enabled)},
      {"dial_timeout", seconds_to(to.dial_timeout)},
      {"zero_copy", flag_to(to.zero_copy)},
  };
}

TomlKeys common_keys(Common& to) {
  return {
      {"dial_retry", count_to(to.dial_retry)},
      {"header_identify", text_to(to.header_identify)},
      {"success_resp_message", base64_to(to.success_message)},
      {"connect_timeout", seconds_to(to.connect_timeout)},
      {"kcp_reciprocity", flag_to(to.kcp_reciprocity)},
  };
}

std::string listen_text(const Gate& gate) {
  std::string parameters = gate.parameters;
  if (std::string_view(gate.scheme) == "kcp" && parameters.find("fec=") == std::string::npos) {
    parameters = std::string(kKcpFec) + (parameters.empty() ? "" : "&") + parameters;
  }
  return std::string(gate.scheme) + "://:" + std::to_string(gate.port.value_or(0)) +
         (parameters.empty() ? "" : "?" + parameters);
}

// The reciprocal backend speaks what the gate speaks.
std::string backend_transport(const Gate& gate, const Common& common) {
  if (std::string_view(gate.scheme) != "kcp" || !common.kcp_reciprocity) return "tcp";
  const std::string listen = listen_text(gate);
  return "kcp" + listen.substr(listen.find('?'));
}

}  // namespace

Result<Settings> read_gogateway(std::string_view text, std::string_view name, const GogatewayOptions& options,
                                std::span<const std::string> resolvers) {
  const std::string file = escape(name);
  const TomlReader reader(file);
  WAYPORT_TRY_ASSIGN(const toml::table document, reader.parse(text));

  Settings settings;
  settings.fixed = text_without(document, {"tcpgate", "kcpgate", "wsgate", "common", "allow", "resolver", "listen"});
  settings.pid_file.clear();  // the original has none of these
  settings.command_file.clear();
  settings.profile_prefix = "gogateway";
  std::array<Gate, 3> gates{Gate{.table = "tcpgate", .scheme = "tcp"}, Gate{.table = "kcpgate", .scheme = "kcp"},
                            Gate{.table = "wsgate", .scheme = "ws"}};
  // Clients name their backend themselves and have no cookies to abuse, so pages of any origin may connect, as before.
  gates[2].parameters = "origin=*";
  Common common;
  std::vector<std::string> allow;
  bool open_relay = false;
  route::SettingsTable resolver_settings;

  std::map<std::string, TomlKeys, std::less<>> tables = process_tables(settings);
  tables["log"].emplace("infofilePath", text_to(settings.log_file));
  tables["log"].emplace("errorfilePath", text_to(settings.log_error_file));
  tables.emplace("common", common_keys(common));
  tables.emplace("allow", TomlKeys{{"targets", texts_to(allow)}, {"open_relay", flag_to(open_relay)}});
  TomlKeys listen;
  for (Gate& gate : gates) {
    tables.emplace(gate.table, gate_keys(gate));
    listen.emplace(gate.scheme, text_to(gate.parameters));
  }
  tables.emplace("listen", std::move(listen));
  for (const auto& [key, node] : document) {
    if (key.str() == "resolver") {
      if (const Result<void> read = settings_to(resolver_settings)(node); !read) {
        return reader.refuse(node.source(), "[resolver] " + read.error().detail);
      }
      continue;
    }
    const auto known = tables.find(key.str());
    if (known == tables.end()) {
      return reader.refuse(key.source(), escape(key.str(), 64) + " is not known; the tables are " +
                                             TomlReader::list(tables) + ", resolver");
    }
    const toml::table* const table = node.as_table();
    if (!table) return reader.refuse(node.source(), "[" + known->first + "] has to be a table");
    WAYPORT_TRY(reader.read_table(*table, "[" + known->first + "]", known->second));
  }

  const toml::node* const common_node = document.get("common");
  if (std::ranges::find(resolvers, common.header_identify) == resolvers.end()) {
    std::string known;
    for (const std::string& one : resolvers) known += (known.empty() ? "" : ", ") + one;
    return reader.refuse(
        common_node ? common_node->source() : document.source(),
        "[common] header_identify is \"" + escape(common.header_identify, 64) + "\"; it has to be one of " + known);
  }
  if (options.allow_any_target) {
    if (!allow.empty()) return invalid(file + ": --allow-any-target and [allow] exclude each other");
    allow = {"0.0.0.0/0:*", "[::]/0:*", "*:*"};
  } else if (allow.empty()) {
    return invalid(file +
                   ": nothing says which backends may be dialed, and nothing is dialed that is not allowed; add\n"
                   "[allow]\n"
                   "targets = [\"10.0.0.0/8:7000-7999\", \".svc.local:443\"]\n"
                   "with your backends' networks or names and ports, or start with --allow-any-target");
  }

  for (const Gate& gate : gates) {
    if (!gate.enabled) continue;
    const toml::source_region& where = document.get(gate.table)->source();
    if (!gate.port) return reader.refuse(where, "[" + std::string(gate.table) + "] is enabled and has no port");
    route::RouteOptions route;
    route.name = gate.scheme;
    Result<std::string> listen_at = listen_address(listen_text(gate));
    if (!listen_at)
      return reader.refuse(where, "[listen] " + std::string(gate.scheme) + ": " + listen_at.error().detail);
    route.listen.push_back(*std::move(listen_at));
    route.resolver = common.header_identify;
    route.resolver_settings = resolver_settings;
    route.allow = allow;
    route.open_relay = options.allow_any_target || open_relay;
    route.backend_transport = backend_transport(gate, common);
    route.connect_timeout = common.connect_timeout;
    route.dial_timeout = gate.dial_timeout;
    route.dial_retry = common.dial_retry;
    route.success_message = common.success_message;
    route.zero_copy = gate.zero_copy;
    if (const Result<void> valid = route.validate(resolvers); !valid) {
      return reader.refuse(where, "[" + std::string(gate.table) + "] " + valid.error().detail);
    }
    settings.routes.push_back(std::move(route));
    settings.route_places.push_back(reader.place(where));
    for (std::string& note : settings.routes.back().notes()) settings.notes.push_back(std::move(note));
  }
  if (settings.routes.empty()) {
    return invalid(file + ": none of [tcpgate], [kcpgate] and [wsgate] has enabled = true: nothing to do");
  }
  if (const Result<void> valid = settings.validate(); !valid) return invalid(file + ": " + valid.error().detail);
  return settings;
}

}  // namespace wayport::gateway

#include "wayport/gateway/program/toml_settings.h"

#include <functional>
#include <map>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/gateway/program/toml_process.h"
#include "wayport/gateway/program/toml_route.h"
#include "wayport/gateway/program/toml_values.h"

namespace wayport::gateway {
namespace {

ReadValue policy_to(link::SlowPolicy& to) {
  return [&to](const toml::node& node) -> Result<void> {
    std::string name;
    WAYPORT_TRY(text_to(name)(node));
    WAYPORT_TRY_ASSIGN(to, link::parse_slow_policy(name));
    return {};
  };
}

struct BytesSet {
  bool virtual_queue = false;
  bool client_queue = false;
  bool server_queue = false;
};

TomlKeys link_keys(LinkSettings& to, BytesSet& set) {
  link::SwitchOptions& options = to.switching;
  return {
      {"client_address", addresses_to(to.client_addresses)},
      {"server_address", addresses_to(to.server_addresses)},
      {"server_auth_key", text_to(to.server_auth_key)},
      {"server_auth_key_file", text_to(to.server_auth_key_file)},
      {"max_packet", bytes_to(options.packet_bytes_max, nullptr, std::uint64_t{1} << 30)},
      {"client_max_conn", count_to(options.client_virtual_max)},
      {"client_idle_timeout", time_to(options.client_idle_timeout)},
      {"server_idle_timeout", time_to(options.server_idle_timeout)},
      {"auth_timeout", time_to(options.handshake_timeout)},
      {"transport_handshake_timeout", time_to(to.transport_handshake_timeout)},
      {"transport_handshakes_max", count_to(to.transport_handshakes_max, 1)},
      {"clients_max", count_to(options.clients_max, 1)},
      {"servers_max", count_to(options.servers_max, 1)},
      {"handshakes_max", count_to(options.handshakes_max, 1)},
      {"virtual_max", count_to(options.virtual_max, 1)},
      {"slow_policy", policy_to(options.slow_policy)},
      {"slow_poll_interval", time_to(options.slow_poll_interval)},
      {"virtual_queue_bytes", bytes_to(options.virtual_queue.bytes_max, &set.virtual_queue)},
      {"virtual_queue_messages", count_to(options.virtual_queue.messages_max, 1)},
      {"client_queue_bytes", bytes_to(options.client_queue.bytes_max, &set.client_queue)},
      {"client_queue_messages", count_to(options.client_queue.messages_max, 1)},
      {"server_queue_bytes", bytes_to(options.server_queue.bytes_max, &set.server_queue)},
      {"server_queue_messages", count_to(options.server_queue.messages_max, 1)},
      {"command_reserve_bytes", bytes_to(options.command_reserve_bytes)},
      {"process_bytes_max", bytes_to(options.process_bytes_max)},
      {"mail_bytes_max", bytes_to(options.mail_bytes_max)},
      {"server_dials_max", count_to(options.server_dials_max, 1)},
      {"close_replaced_server", flag_to(options.close_replaced_server)},
  };
}

}  // namespace

Result<Settings> read_toml(std::string_view text, std::string_view name, std::span<const std::string> resolvers) {
  const std::string file = escape(name);
  const TomlReader reader(file);
  WAYPORT_TRY_ASSIGN(const toml::table document, reader.parse(text));
  Settings settings;
  settings.fixed = text_without(document, {"route"});
  LinkSettings link_settings;
  BytesSet set;
  std::map<std::string, TomlKeys, std::less<>> tables = process_tables(settings);
  tables.emplace("link", link_keys(link_settings, set));
  for (const auto& [key, node] : document) {
    if (key.str() == "route") {
      WAYPORT_TRY(read_routes(reader, node, resolvers, settings));
      continue;
    }
    const auto known = tables.find(key.str());
    if (known == tables.end()) {
      return reader.refuse(key.source(), escape(key.str(), 64) + " is not known; the tables are " +
                                             TomlReader::list(tables) + ", [route]");
    }
    const toml::table* const table = node.as_table();
    if (!table) return reader.refuse(node.source(), "[" + known->first + "] has to be a table");
    WAYPORT_TRY(reader.read_table(*table, "[" + known->first + "]", known->second));
  }
  const toml::node* const link = document.get("link");
  if (link) {
    link_settings.fit_queues(set.virtual_queue, set.client_queue, set.server_queue);
    settings.link = std::move(link_settings);
  }
  if (!link && settings.routes.empty()) {
    return fail(ErrorCode::invalid_argument, file + ": there is no [link] and no [[route]]: nothing to do");
  }
  // What no single line shows belongs to the table.
  if (const Result<void> valid = settings.validate(); !valid) {
    return link ? reader.refuse(link->source(), valid.error().detail)
                : fail(ErrorCode::invalid_argument, file + ": " + valid.error().detail);
  }
  return settings;
}

}  // namespace wayport::gateway

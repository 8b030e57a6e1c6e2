#include "wayport/gateway/program/toml_settings.h"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <utility>

#include "wayport/base/bytes.h"

namespace wayport::gateway {
namespace {

// Reads one value; the error is about the value only.
using Read = std::function<Result<void>(const toml::node&)>;
using Keys = std::map<std::string, Read, std::less<>>;

std::unexpected<Error> invalid(std::string detail) { return fail(ErrorCode::invalid_argument, std::move(detail)); }

Read text_to(std::string& to) {
  return [&to](const toml::node& node) -> Result<void> {
    const auto* const text = node.as_string();
    if (!text) return invalid("has to be a text in quotes");
    to = text->get();
    return {};
  };
}

Read flag_to(bool& to) {
  return [&to](const toml::node& node) -> Result<void> {
    const auto* const flag = node.as_boolean();
    if (!flag) return invalid("has to be true or false");
    to = flag->get();
    return {};
  };
}

template <class T>
Read count_to(T& to, std::uint64_t least = 0, std::uint64_t most = std::numeric_limits<std::uint32_t>::max()) {
  return [&to, least, most](const toml::node& node) -> Result<void> {
    const auto* const count = node.as_integer();
    if (!count) return invalid("has to be a number without a fraction");
    const std::int64_t value = count->get();
    if (value < 0 || static_cast<std::uint64_t>(value) < least || static_cast<std::uint64_t>(value) > most) {
      return invalid("is " + std::to_string(value) + "; it has to be " + std::to_string(least) + " to " +
                     std::to_string(most));
    }
    to = static_cast<T>(value);
    return {};
  };
}

template <class T>
Read bytes_to(T& to, bool* set = nullptr, std::uint64_t most = std::uint64_t{1} << 40) {
  return [&to, set, most](const toml::node& node) -> Result<void> {
    std::size_t bytes = 0;
    if (const auto* const text = node.as_string()) {
      WAYPORT_TRY_ASSIGN(bytes, parse_bytes(text->get()));
    } else if (const auto* const count = node.as_integer(); count && count->get() >= 0) {
      bytes = static_cast<std::size_t>(count->get());
    } else {
      return invalid("has to be a number of bytes, or a text such as \"64KiB\"");
    }
    if (bytes > most) return invalid("is " + std::to_string(bytes) + "; it has to be at most " + std::to_string(most));
    to = static_cast<T>(bytes);
    if (set) *set = true;
    return {};
  };
}

Read time_to(Duration& to) {
  return [&to](const toml::node& node) -> Result<void> {
    const auto* const text = node.as_string();
    if (!text) return invalid("has to be a time such as \"30s\"");
    WAYPORT_TRY_ASSIGN(const Duration time, parse_duration(text->get()));
    if (time < Duration::zero()) return invalid("is " + format_duration(time) + "; it must not be negative");
    to = time;
    return {};
  };
}

Read seconds_to(Duration& to) {
  return [&to](const toml::node& node) -> Result<void> {
    const std::optional<double> value = node.value<double>();
    constexpr double kMost = 24 * 3600;
    if (!value || !std::isfinite(*value) || *value < 0 || *value > kMost) {
      return invalid("has to be a number of seconds, 0 to 86400");
    }
    to = std::chrono::nanoseconds(static_cast<std::int64_t>(*value * 1e9));
    return {};
  };
}

Read addresses_to(std::vector<std::string>& to) {
  return [&to](const toml::node& node) -> Result<void> {
    std::vector<std::string> addresses;
    const auto add = [&addresses](const toml::node& one) -> Result<void> {
      const auto* const text = one.as_string();
      if (!text) return invalid("has to be an address in quotes, or a list of them");
      WAYPORT_TRY_ASSIGN(addresses.emplace_back(), listen_address(text->get()));
      return {};
    };
    if (const auto* const list = node.as_array()) {
      for (const toml::node& one : *list) WAYPORT_TRY(add(one));
      if (addresses.empty()) return invalid("is an empty list");
    } else {
      WAYPORT_TRY(add(node));
    }
    to = std::move(addresses);
    return {};
  };
}

Read policy_to(link::SlowPolicy& to) {
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

Keys link_keys(LinkSettings& to, BytesSet& set) {
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

Keys admin_keys(Settings& to) {
  return {
      {"address", text_to(to.admin_address)},
      {"connections_max", count_to(to.admin_connections_max, 1, 10'000)},
      {"request_timeout", time_to(to.admin_request_timeout)},
  };
}

Keys log_keys(Settings& to) {
  return {
      {"level", text_to(to.log_level)},
      {"file", text_to(to.log_file)},
      {"json", flag_to(to.log_json)},
  };
}

Keys process_keys(Settings& to) {
  return {
      {"drain_seconds", seconds_to(to.drain)},
      {"loops", count_to(to.loops, 0, 256)},
      {"pid_file", text_to(to.pid_file)},
      {"command_file", text_to(to.command_file)},
      {"profile_prefix", text_to(to.profile_prefix)},
      {"pool_bytes", [&to](const toml::node& node) { return bytes_to(to.pool_bytes.emplace())(node); }},
      {"ready_timeout", time_to(to.ready_timeout)},
  };
}

class Reader {
 public:
  explicit Reader(std::string_view name) : name_(name) {}

  std::unexpected<Error> refuse(const toml::source_region& where, std::string detail) const {
    return invalid(name_ + ":" + std::to_string(where.begin.line) + ": " + std::move(detail));
  }

  Result<void> read_table(const toml::table& table, std::string_view title, const Keys& keys) const {
    for (const auto& [key, node] : table) {
      const std::string where = "[" + std::string(title) + "] " + escape(key.str(), 64);
      const auto known = keys.find(key.str());
      if (known == keys.end()) {
        return refuse(key.source(), where + " is not known; the keys are " + list(keys));
      }
      if (const Result<void> read = known->second(node); !read) {
        return refuse(node.source(), where + " " + read.error().detail);
      }
    }
    return {};
  }

  template <class Map>
  static std::string list(const Map& keys) {
    std::string text;
    for (const auto& [key, value] : keys) text += (text.empty() ? "" : ", ") + key;
    return text;
  }

 private:
  const std::string name_;
};

}  // namespace

Result<Settings> read_toml(std::string_view text, std::string_view name) {
  const std::string file = escape(name);
  if (text.size() > kTomlBytesMax) {
    return fail(ErrorCode::too_large, file + ": a configuration has at most " + format_bytes(kTomlBytesMax));
  }
  const Reader reader(file);
  const toml::parse_result parsed = toml::parse(text, file);
  if (!parsed) {
    return reader.refuse(parsed.error().source(), "no TOML: " + escape(parsed.error().description()));
  }
  Settings settings;
  LinkSettings link_settings;
  BytesSet set;
  const std::map<std::string, Keys, std::less<>> tables = {
      {"link", link_keys(link_settings, set)},
      {"admin", admin_keys(settings)},
      {"log", log_keys(settings)},
      {"process", process_keys(settings)},
  };
  for (const auto& [key, node] : parsed.table()) {
    const auto known = tables.find(key.str());
    if (known == tables.end()) {
      return reader.refuse(key.source(),
                           escape(key.str(), 64) + " is not known; the tables are " + Reader::list(tables));
    }
    const toml::table* const table = node.as_table();
    if (!table) return reader.refuse(node.source(), "[" + known->first + "] has to be a table");
    WAYPORT_TRY(reader.read_table(*table, known->first, known->second));
  }
  const toml::node* const link = parsed.table().get("link");
  if (!link) return invalid(file + ": there is no [link]: nothing to do");
  link_settings.fit_queues(set.virtual_queue, set.client_queue, set.server_queue);
  settings.link = std::move(link_settings);
  // What no single line shows belongs to the table.
  if (const Result<void> valid = settings.validate(); !valid) {
    return reader.refuse(link->source(), valid.error().detail);
  }
  return settings;
}

}  // namespace wayport::gateway

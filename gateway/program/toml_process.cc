#include "wayport/gateway/program/toml_process.h"

namespace wayport::gateway {
namespace {

TomlKeys admin_keys(Settings& to) {
  return {
      {"address", text_to(to.admin_address)},
      {"connections_max", count_to(to.admin_connections_max, 1, 10'000)},
      {"request_timeout", time_to(to.admin_request_timeout)},
  };
}

TomlKeys log_keys(Settings& to) {
  return {
      {"level", text_to(to.log_level)},
      {"file", text_to(to.log_file)},
      {"error_file", text_to(to.log_error_file)},
      {"json", flag_to(to.log_json)},
  };
}

TomlKeys process_keys(Settings& to) {
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

}  // namespace

std::map<std::string, TomlKeys, std::less<>> process_tables(Settings& to) {
  return {
      {"admin", admin_keys(to)},
      {"log", log_keys(to)},
      {"process", process_keys(to)},
  };
}

}  // namespace wayport::gateway

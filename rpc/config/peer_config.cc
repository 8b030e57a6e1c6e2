#include "wayport/rpc/config/peer_config.h"

#include "wayport/rpc/config/config_entries.h"

namespace wayport::rpc {

std::string to_yaml(const PeerConfig& config) {
  std::string text;
  for (const detail::ConfigField& field : detail::config_fields()) {
    const std::string value = field.print(config);
    text += std::string(field.name) + ": " + (field.is_list ? "[" + value + "]" : value) + "\n";
  }
  return text;
}

std::string to_ini(const PeerConfig& config) {
  std::string text;
  for (const detail::ConfigField& field : detail::config_fields()) {
    text += std::string(field.name) + " = " + field.print(config) + "\n";
  }
  return text;
}

}  // namespace wayport::rpc

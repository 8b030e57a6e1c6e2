// [[route]] of a configuration file as RouteOptions. Private to the readers of files.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "wayport/gateway/program/toml_values.h"
#include "wayport/gateway/route/options.h"

namespace wayport::gateway {

// REQUIRES: `node` is the value of "route". Errors name file, line and key.
Result<void> read_routes(const TomlReader& reader, const toml::node& node, std::span<const std::string> resolvers,
                         Settings& to);

}  // namespace wayport::gateway

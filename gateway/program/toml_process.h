// The tables that every file of this program may have: [admin], [log], [process]. Private to the readers of files.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "wayport/gateway/program/settings.h"
#include "wayport/gateway/program/toml_values.h"

namespace wayport::gateway {

// By name; what they read goes into `to`, which outlives them.
std::map<std::string, TomlKeys, std::less<>> process_tables(Settings& to);

}  // namespace wayport::gateway

// A gateway's TOML file as Settings (README.md has every key):
//
//   [link]
//   client_address = "tls://:4900?cert=cert.pem&key=key.pem"
//   server_address = ["tcp://10.0.0.1:4901", "unix:///run/link.sock"]
//   server_auth_key_file = "key"
//   client_queue_bytes = "4MiB"
//
//   [admin]
//   address = ":9100"
//
// Every key may be left out. An unknown key or table, a value of the wrong kind or out of its range is an error that
// names file, line and key. Sizes are numbers of bytes or text such as "64KiB", times text such as "30s". Pure.
#pragma once

#include <string>
#include <string_view>

#include "wayport/base/result.h"
#include "wayport/gateway/program/settings.h"

namespace wayport::gateway {

inline constexpr std::size_t kTomlBytesMax = 1 << 20;

// `name` is the file's, for errors: "NAME:12: [link] client_max_conn ...".
Result<Settings> read_toml(std::string_view text, std::string_view name);

}  // namespace wayport::gateway

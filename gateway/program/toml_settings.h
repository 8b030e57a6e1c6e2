// A gateway's TOML file as Settings (README.md has every key):
//
//   [link]
//   client_address = "tls://:4900?cert=cert.pem&key=key.pem"
//   server_address = ["tcp://10.0.0.1:4901", "unix:///run/link.sock"]
//   server_auth_key_file = "key"
//   client_queue_bytes = "4MiB"
//
//   [[route]]
//   listen = ["tcp://:7788", "kcp://:7790?fec=10,3"]
//   allow = ["10.0.0.0/8:7000-7999"]
//
//   [admin]
//   address = ":9100"
//
// Every key may be left out. An unknown key or table, a value of the wrong kind or out of its range is an error that
// names file, line and key. Sizes are numbers of bytes or text such as "64KiB", times text such as "30s". Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "wayport/base/result.h"
#include "wayport/gateway/program/settings.h"

namespace wayport::gateway {

// `name` is the file's, for errors: "NAME:12: [link] client_max_conn ...".
// `resolvers`: names that a route may choose (route::ResolverRegistry::names()).
Result<Settings> read_toml(std::string_view text, std::string_view name, std::span<const std::string> resolvers);

}  // namespace wayport::gateway

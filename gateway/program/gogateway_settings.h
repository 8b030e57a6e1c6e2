// The config.toml of gogateway-light, as it is, as Settings (spec/route.md 7):
//
//   [log]      infofilePath, errorfilePath
//   [tcpgate]  port, enabled, dial_timeout (seconds), zero_copy          [kcpgate] and [wsgate] the same
//   [common]   dial_retry, header_identify, success_resp_message (base64), connect_timeout (seconds), kcp_reciprocity
//
// Each gate that is enabled becomes a route: "tcp", "kcp", "ws". The original has no allow list; ours dials nothing that
// none allows, so there is one section more, without which the file is refused:
//
//   [allow]    targets = ["10.0.0.0/8:7000-7999", ".svc.local:443"]
//
// Beside it: [resolver] with the settings of the resolver that header_identify names, [listen] with parameters of the
// gates' addresses (tcp = "nodelay=1", kcp = "crypt=aes&key_file=F", ws = "origin=https://example.org"), and [admin], [log]
// and [process] as the native form has them. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "wayport/base/result.h"
#include "wayport/gateway/program/settings.h"

namespace wayport::gateway {

struct GogatewayOptions {
  bool allow_any_target = false;  // --allow-any-target: any address and name but those that are always refused
};

// `name` is the file's, for errors; `resolvers`: names that header_identify may have.
Result<Settings> read_gogateway(std::string_view text, std::string_view name, const GogatewayOptions& options,
                                std::span<const std::string> resolvers);

}  // namespace wayport::gateway

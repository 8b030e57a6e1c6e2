// The "jwt" resolver: the identify is a signed token that names the backend in its claims (spec/route.md 3.4).
//
//   [route.resolver_settings]
//   keys = [{ id = "2026-11", algorithm = "ES256", file = "/etc/wayport/2026-11.pem" }]
//   issuer = "https://login.example"
//
//     keys                   list of { id, algorithm, file } or { id, algorithm, secret }; a file holds the PEM text of
//                            a public key, or the secret (a line end behind it is not part of it)
//     key_directory          files KID.ALGORITHM.pem and KID.ALGORITHM.secret, as "2026-11.ES256.pem": keys come and go
//                            with their files
//     issuer, audience       what `iss` must be, and `aud` must contain; empty: not checked
//     leeway                 10s; 0s to 30s
//     require_expiry         true; tokens without `exp` are refused
//     host_claim, port_claim "host", "port"
//     pass_claims            claims that are passed on and logged, besides those
//     reload_interval        10s; how often files are looked at; "0s": only when reload() is called
//     unsafe_accept_unsigned_tokens   false; true: NOTHING IS VERIFIED, anybody may write any token, and there are no
//                            keys. For deployments that cannot sign yet; warned about at start, and counted
//
// Rotation: what files hold is read again when it has changed. If it is unusable, the keys that were read before stay,
// with a warning and a count. A key that is taken away is refused from then on.
//
// Counters: verified, unsigned, refused_tokens, key_reloads, key_reload_failures, keys.
#pragma once

#include <memory>

#include "wayport/base/result.h"
#include "wayport/gateway/route/resolver_registry.h"

namespace wayport::route {

Result<std::shared_ptr<Resolver>> make_jwt_resolver(const SettingsTable& settings, const ResolverContext& context);

}  // namespace wayport::route

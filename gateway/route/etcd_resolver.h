// The "etcd" resolver: a table from identify strings to backends that lives in etcd and is followed as it changes. The
// key PREFIX + identify has the backends as its value: "10.0.0.7:9000 10.0.0.8:9000" (backend_table.h).
//
//   [route.resolver_settings]
//   endpoints = ["https://10.0.0.1:2379?ca=/etc/etcd-ca.pem"]
//   prefix = "/wayport/routes/"
//
//     endpoints        one or several (rpc/discovery/etcd.h)
//     prefix           "/wayport/routes/"
//     user, password, password_file   empty: no authentication. plaintext_login: false
//     request_timeout  5s
//     probe_interval   5s; how often etcd is asked whether it still answers; "0s": never
//     order            "rotate" or "first" (static_resolver.h)
//     entries_max      100000; keys above are left out, with a warning
//     backends_max     64, of one key
//
// While etcd is away the table that was read last serves, however old; answers given meanwhile are counted. Until it
// was read for the first time every client is refused (resolve_failed). A value that cannot be read changes nothing:
// the entry keeps what it had, with a warning and a count.
//
// Counters: resolved, unknown, updates, bad_values, entries_refused, not_ready, away (1: it does not answer),
// answered_while_away, watch_reconnects, entries, ready (1: the table was read).
#pragma once

#include <memory>

#include "wayport/base/result.h"
#include "wayport/gateway/route/resolver_registry.h"

namespace wayport::route {

// Nothing is waited for: the table comes as soon as the loop runs and etcd answers.
Result<std::shared_ptr<Resolver>> make_etcd_resolver(const SettingsTable& settings, const ResolverContext& context);

}  // namespace wayport::route

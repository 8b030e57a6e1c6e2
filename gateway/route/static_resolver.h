// The "static" resolver: a table from identify strings to backends, from the configuration, a file, or both.
//
//   [route.resolver_settings]
//   file = "/etc/wayport/backends"
//   backends = { orders = ["10.0.0.7:9000", "10.0.0.8:9000"], billing = "tls://billing.svc.local:443" }
//
//     backends         table of identify = backend, or a list of them
//     file             a table as backend_table.h has it; an identify stands in one of the two only
//     order            "rotate": clients of one identify begin with its backends in turn; "first": as written
//     reload_interval  10s; how often the file is looked at, and read if its times, size or inode are others; "0s": only
//                      when reload() is called, which reads it always
//     entries_max      100000
//     backends_max     64, of one entry
//
// A file that has become unusable changes nothing: the last table that was read stays, with a warning and a count.
//
// Counters: resolved, unknown, table_reads, table_reloads (that changed it), table_reload_failures, entries.
#pragma once

#include <memory>

#include "wayport/base/result.h"
#include "wayport/gateway/route/resolver_registry.h"

namespace wayport::route {

Result<std::shared_ptr<Resolver>> make_static_resolver(const SettingsTable& settings, const ResolverContext& context);

}  // namespace wayport::route

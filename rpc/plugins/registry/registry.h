// Registry: the plugin by which a peer is found. It writes what the peer listens on, and its routes if that is wanted,
// into etcd as long as the peer runs, and tells who else is there.
//
//   auto registry = std::make_shared<rpc::Registry>(rpc::RegistryOptions{
//       .etcd = {.endpoints = {"https://10.0.0.1:2379?ca=etcd-ca.pem"}}, .service = "home"});
//   peer.plugins().add(registry);
//   if (auto started = peer.start(); !started) ...          // registers
//   registry->watch("storage", [&](const rpc::ServiceInstances& all) { pool.set_addresses(rpc::addresses_of(all)); });
//   ...
//   peer.close_blocking();                                  // deregisters first, then drains
//
// Registering goes on in the background, with back-off, for as long as etcd is out of reach: a peer starts and serves
// without its registry. It deregisters at the moment in which a close begins, so that new callers go elsewhere while
// those that are connected are drained; withdraw_blocking() does it before, and waits. A process that dies is listed until
// ttl_seconds are over.
//
// One per peer. Threads: any, but withdraw_blocking() and the destructor not on a loop's. Callbacks of watch() run on
// loop 0 of the peer's runtime. It goes before the Runtime; the peer holds it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/rpc/discovery/etcd.h"
#include "wayport/rpc/plugin.h"
#include "wayport/rpc/plugins/registry/service_directory.h"
#include "wayport/rpc/plugins/registry/service_registration.h"

namespace wayport::rpc {

struct RegistryOptions {
  EtcdOptions etcd{};                         // endpoints, credentials, bounds; `log`: the runtime's by default
  std::string service{};                      // empty: registers nothing, watches only
  std::string instance{};                     // unique in the service; empty: random, a new one at each start
  std::string prefix = "/wayport/services/";  // ends with '/'
  // What to tell others to dial; empty: what the peer listens on, which must then be no wildcard.
  std::vector<std::string> advertise{};
  bool routes = false;  // tell the paths of routes, too
  std::map<std::string, std::string> labels{};
  std::int64_t ttl_seconds = 10;                      // from 1
  const transport::Transports* transports = nullptr;  // to etcd; nullptr: what this build has
};

class Registry final : public Plugin, public PostRoutes, public PostListen, public PreClose {
 public:
  explicit Registry(RegistryOptions options);
  ~Registry() override;  // withdraws, waiting for etcd at most twice EtcdOptions::request_timeout

  std::string_view name() const noexcept override { return "registry"; }

  // Follows a service (service_directory.h). Before the peer has started it is kept until then. invalid_argument: no name
  // of a service.
  Result<void> watch(std::string service, ServiceDirectory::OnChange on_change);
  // The key is in etcd, as far as is known.
  bool registered() const;
  // Takes the key away and waits for it; peers that close do it, too. Idempotent. Errors: etcd's, or timed_out; the key
  // then goes after ttl_seconds.
  Result<void> withdraw_blocking();
  // Empty before the peer has started.
  std::string key() const;

  // --- hooks ---
  Result<void> post_routes(RouterCore& router) override;
  Result<void> post_listen(Peer& peer) override;
  void pre_close(Peer& peer) noexcept override;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace wayport::rpc

// Resolver: from the identify string of a client to the backends that it may mean, or a refusal (spec/route.md 1).
//
//     identify --Resolver--> backends --AllowList--> addresses --dial_backend()--> Stream
//
// What a resolver says is a wish: the allow list judges every backend, also that of a verified token.
//
// Users plug in their own: derive from Resolver, or from ImmediateResolver if nothing has to be waited for, and
// register a factory by name (resolver_registry.h). One object serves all loops of a gateway.
//
// Threads: resolve() is called on any loop and calls back on that loop; counters() from any thread; all else, creation
// and destruction included, on the loop that the factory was given, or while no loop runs. The resolver outlives its
// resolutions. Whoever calls resolve() sets the time limit, by destroying the Resolution.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wayport/base/loop.h"
#include "wayport/framing/route/route_error.h"
#include "wayport/gateway/route/backend.h"
#include "wayport/transport/stream.h"

namespace wayport::route {

struct ResolveRequest {
  std::string_view identify;                  // the client's bytes, unescaped, at most kIdentifyBytesMax
  const transport::PeerInfo* peer = nullptr;  // who asks; nullptr: nobody (`route explain`)
};

struct Resolved {
  // In the order in which they are tried; at least one.
  std::vector<Backend> backends{};
  // What a verified identify says about the client, for logs and for what is passed on.
  std::vector<std::pair<std::string, std::string>> claims{};
  // One line for logs and `route explain`: by which entry, key, rule. No secrets.
  std::string how{};
};
struct Refusal {
  RouteError code = RouteError::internal;
  std::string reason{};  // one line for logs; peer text in it is escaped, and no part of a token is in it
};
using ResolveOutcome = std::expected<Resolved, Refusal>;

inline std::unexpected<Refusal> refuse(RouteError code, std::string reason) {
  return std::unexpected<Refusal>(Refusal{code, std::move(reason)});
}

// A resolve in progress. Destroying it cancels; the callback is then never called.
class Resolution {
 public:
  virtual ~Resolution() = default;
};
using OnOutcome = std::move_only_function<void(ResolveOutcome)>;

// An outcome that is known, told at turn end.
std::unique_ptr<Resolution> known_outcome(Loop& loop, ResolveOutcome outcome, OnOutcome on_done);

struct ResolverCounter {
  std::string_view name;  // a word of static text, for the label of a metric
  std::uint64_t value;
};

class Resolver {
 public:
  virtual ~Resolver() = default;
  // Calls `on_done` exactly once on `loop`, never from inside this call, unless the returned object is destroyed first.
  // `request` is valid during this call only.
  virtual std::unique_ptr<Resolution> resolve(Loop& loop, const ResolveRequest& request, OnOutcome on_done) = 0;
  // The identify is a credential: it is never logged.
  virtual bool identify_is_secret() const noexcept { return false; }
  // The operator asks (SIGHUP): read files again. What was read before stays if they cannot be read.
  virtual void reload() {}
  virtual std::vector<ResolverCounter> counters() const { return {}; }
};

// For those that know at once.
class ImmediateResolver : public Resolver {
 public:
  std::unique_ptr<Resolution> resolve(Loop& loop, const ResolveRequest& request, OnOutcome on_done) final {
    return known_outcome(loop, resolve_now(request), std::move(on_done));
  }
  // Any thread.
  virtual ResolveOutcome resolve_now(const ResolveRequest& request) const = 0;
};

}  // namespace wayport::route

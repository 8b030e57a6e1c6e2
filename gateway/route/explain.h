// explain(): which backend a client with this identify would get, and by which rule; nothing is dialed. What
// `wayport route explain` prints, for people and as JSON.
//
//   ExplainInput input{.options = &route, .resolver = resolver, .allow = allow, .names = &names};
//   auto running = explain(loop, input, identify, [](Explanation result) { fputs(result.to_text()...); });
//
// On the loop; destroying the Explaining cancels. A resolver that waits (etcd) is waited for: bound it from outside.
// Names are looked up only if `names` is given; without it, a name that may be looked up is judged by nobody yet.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wayport/base/loop.h"
#include "wayport/gateway/route/allow_list.h"
#include "wayport/gateway/route/backend_dial.h"
#include "wayport/gateway/route/options.h"
#include "wayport/gateway/route/resolver.h"

namespace wayport::route {

enum class ExplainOutcome : std::uint8_t {
  would_dial,
  depends,  // on the addresses of a name that was not looked up
  refused,
};
std::string_view to_string(ExplainOutcome outcome) noexcept;

struct ExplainedBackend {
  std::string backend;    // as named
  std::string transport;  // that it is dialed by
  AllowDecision decision{};
  std::vector<std::string> addresses{};  // what would be dialed; of a refused name, what it resolved to
  // The name could not be looked up.
  std::string lookup_error{};
};

struct Explanation {
  std::string route;
  std::string resolver;
  std::string identify;  // escaped; of tokens only their length
  // would_dial if one of the backends would be; else depends if one of them may be.
  ExplainOutcome outcome = ExplainOutcome::refused;
  // Why there is no backend: of the resolver, or of the last backend. Only of `refused`.
  std::optional<RouteError> code{};
  std::string reason{};
  std::string how{};  // what the resolver says
  std::vector<std::pair<std::string, std::string>> claims{};
  std::vector<ExplainedBackend> backends{};

  bool would_dial() const noexcept { return outcome == ExplainOutcome::would_dial; }
  std::string to_text() const;  // lines
  std::string to_json() const;  // one object, no line end
};

struct ExplainInput {
  const RouteOptions* options = nullptr;
  std::shared_ptr<Resolver> resolver{};
  std::shared_ptr<const AllowList> allow{};
  NameLookup* names = nullptr;  // nullptr: nothing is looked up; names are judged as names only
};

class Explaining {
 public:
  virtual ~Explaining() = default;
};
using OnExplained = std::move_only_function<void(Explanation)>;

// Calls `on_done` once, never from inside this call. What `input` points to outlives the Explaining.
std::unique_ptr<Explaining> explain(Loop& loop, ExplainInput input, std::string identify, OnExplained on_done);

}  // namespace wayport::route

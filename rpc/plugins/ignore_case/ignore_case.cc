#include "wayport/rpc/plugins/ignore_case/ignore_case.h"

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <memory>
#include <string>
#include <utility>

#include "wayport/base/bytes.h"

namespace wayport::rpc {
namespace {

constexpr char fold(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// FNV-1a of the folded text. Peers choose what is looked up, not what is stored.
struct FoldedHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept {
    std::uint64_t hash = 14695981039346656037u;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(fold(c))) * 1099511628211u;
    return hash;
  }
};
struct FoldedEqual {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const noexcept {
    return std::ranges::equal(a, b, [](char x, char y) { return fold(x) == fold(y); });
  }
};

using Folded = boost::unordered_flat_map<std::string, const Route*, FoldedHash, FoldedEqual>;

class FoldedRoutes final : public RouteFallback {
 public:
  Folded tables[2];
  std::size_t longest = 0;

  const Route* find(Call::Kind kind, std::string_view path) const noexcept override {
    if (path.size() > longest) return nullptr;  // whose hash nobody should pay for
    const Folded& table = tables[static_cast<int>(kind)];
    const auto found = table.find(path);
    return found == table.end() ? nullptr : found->second;
  }
};

}  // namespace

Result<void> IgnoreCase::post_reg(Registration& registration) {
  mine_.push_back(&registration.route());
  return {};
}

Result<void> IgnoreCase::post_routes(RouterCore& router) {
  auto folded = std::make_unique<FoldedRoutes>();
  const auto is_mine = [this](const Route* route) { return std::ranges::find(mine_, route) != mine_.end(); };
  for (const Call::Kind kind : {Call::Kind::pull, Call::Kind::push}) {
    Folded all;
    for (const auto& [name, route] : router.names(kind)) {
      const auto [other, fresh] = all.try_emplace(name, route);
      if (!fresh && other->second != route && (is_mine(route) || is_mine(other->second))) {
        return fail(ErrorCode::invalid_argument, std::string(kind == Call::Kind::pull ? "pull" : "push") + " routes " +
                                                     escape(other->first) + " and " + escape(name) +
                                                     " differ in letter case only; rename one");
      }
      if (!is_mine(route)) continue;
      folded->tables[static_cast<int>(kind)].try_emplace(name, route);
      folded->longest = std::max(folded->longest, name.size());
    }
  }
  router.add_fallback(std::move(folded));
  mine_.clear();
  return {};
}

}  // namespace wayport::rpc

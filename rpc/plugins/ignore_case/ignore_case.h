// Case-insensitive routing: /HOME/Sum leads to /home/sum.
//
//   peer.plugins().add(std::make_shared<rpc::IgnoreCase>());        // or of a group, or of one route
//
// Only a path that is registered under no name as it stands is looked up again, so exact paths win and cost nothing; a second
// lookup allocates nothing. Routes and aliases are found; an unknown-handler gets what is left. Handlers see the path as it was
// asked for. Only A to Z fold: other letters, as bytes of UTF-8 above 0x7f, are compared as they are, as in group names and
// snake case (spec/teleport 7). Immutable after the start, so threads do not matter.
#pragma once

#include <string_view>
#include <vector>

#include "wayport/rpc/plugin.h"

namespace wayport::rpc {

class IgnoreCase final : public Plugin, public PostReg, public PostRoutes {
 public:
  std::string_view name() const noexcept override { return "ignore_case"; }
  Result<void> post_reg(Registration& registration) override;
  // invalid_argument: two names, of which this plugin has one at least, differ in letter case only and lead to different
  // routes; both are in the error.
  Result<void> post_routes(RouterCore& router) override;

 private:
  std::vector<const Route*> mine_;
};

}  // namespace wayport::rpc

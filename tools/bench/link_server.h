// The second process of the benchmarks of the link gateway: the gateway, and the bare one that it is compared with.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/gateway/link/options.h"
#include "wayport/tools/bench/child.h"
#include "wayport/tools/bench/link_bed.h"

namespace wayport::tools {

// The gateway's defaults, but nobody is cut for being idle, and a client may have any number of virtual connections.
link::SwitchOptions link_bench_options();

// In the parent.
class LinkServers {
 public:
  // `core` to be pinned to; -1: anywhere. `loops` of the gateway. Without `with_raw` the process has nothing else.
  static Result<LinkServers> start(std::size_t own_arguments, int core, unsigned loops, bool with_raw);

  Result<Usage> usage() const { return child_.usage(); }
  Result<Usage> take_usage() const { return child_.take_usage(); }
  // The gateway's, by the names of link::SwitchCounters, summed over its loops.
  Result<std::map<std::string, std::uint64_t>> counters() const { return child_.counters(); }
  LinkPlace ours() const { return place("client", "server"); }
  // REQUIRES: with_raw.
  LinkPlace raw() const { return place("raw-client", "raw-server"); }

 private:
  explicit LinkServers(Child child) : child_(std::move(child)) {}
  LinkPlace place(const char* clients, const char* servers) const;

  Child child_;
};

// The first of the arguments that the second process is started with.
inline constexpr const char* kServeLinkArgument = "serve-bench-link";
// In the child; `arguments` follow kServeLinkArgument. Returns the exit code.
int serve_link(const std::vector<std::string>& arguments);

}  // namespace wayport::tools

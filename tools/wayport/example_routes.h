// The routes of `wayport serve` and `wayport listen`: something to call, to measure, and to try a client against.
//
//   pull /echo                     any body, in any codec, back as it came
//   pull /sum                      json: an array of whole numbers; protobuf: Pair (example.proto)
//   pull /sleep?ms=N               answers after N milliseconds
//   pull /fail?code=N&text=T       fails with that status
//   pull /sessions                 the ids of the sessions, as a json array
//   pull /call_back?path=P         pulls P from the caller with the same body, and passes the reply on
//   pull /relay?to=ID&path=P       the same, from another session
//   pull /broadcast?path=P         pushes the body to P of all other sessions; how many those are
//   push /log                      is printed
#pragma once

#include <cstddef>
#include <string>

#include "wayport/rpc/peer.h"
#include "wayport/tools/wayport/console.h"

namespace wayport::tools {

struct ExampleRoutesOptions {
  bool json = false;        // pushes as JSON lines
  bool every_push = false;  // print those to other paths, too
  std::size_t inflated_bytes_max = 64 << 20;
};

// Before the peer starts. `lines` outlives the peer.
void add_example_routes(rpc::Peer& peer, Lines& lines, const ExampleRoutesOptions& options);

}  // namespace wayport::tools

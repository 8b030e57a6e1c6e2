// `wayport pipe URL`: joins standard input and output to a stream over any stack of transports.
//
//     standard input  -> 64 KiB at a time -> stream -> peer
//     standard output <- 256 KiB          <- stream <- peer
//
// The two directions are independent: the end of the input ends our side of the stream, and the command ends when the
// peer's side has ended as well. Transports that cannot tell an end (snet), or close at ours (kcp), need PipeOptions::quiet
// for that. Who is slow holds up the other end of his direction: the input is not read while the stream's output queue is
// above its high water, the stream is not read while the output waits.
#pragma once

#include <ostream>

#include "wayport/base/runtime.h"
#include "wayport/tools/wayport/console.h"
#include "wayport/tools/wayport/options.h"

namespace wayport::tools {

// `in` and `out` are descriptors that stay the caller's. 0 when both directions have ended in order; 1, with the reason
// on `err`, when the dial or the stream failed, or on `interrupt`.
int pipe(Runtime& runtime, const PipeOptions& options, int in, int out, std::ostream& err, Interrupt& interrupt);

}  // namespace wayport::tools

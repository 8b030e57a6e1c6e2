// What a session may be told: wire format, codecs, time-outs and bounds. Every bound has a counter in SessionCounters.
#pragma once

#include <cstddef>
#include <cstdint>

#include "wayport/base/counters.h"
#include "wayport/base/time.h"
#include "wayport/framing/codec.h"
#include "wayport/framing/protocol.h"
#include "wayport/framing/teleport/version.h"

namespace wayport::rpc {

struct SessionOptions {
  // The wire format; nullptr: Teleport. Outlives every session that uses it.
  const framing::Protocol* protocol = nullptr;
  // Which release the other side is. There is no way to find out (spec/teleport 3); it decides the push type, the
  // form of an absent body, and the answer to unsupported types.
  framing::PeerVersion version = framing::PeerVersion::v2_5;
  framing::ReadLimits limits{};

  std::uint8_t header_codec = framing::kCodecJson;  // of pulls and pushes; replies use their request's
  std::uint8_t body_codec = framing::kCodecJson;    // of pulls and pushes that name none
  std::int32_t gzip = 0;                            // level for bodies of pulls and pushes; 0: not compressed

  // From one whole packet to the next while no handler runs here; it covers idle time and slow senders. Zero: none, as
  // the original. Expiry closes the session between this and one second later.
  Duration read_timeout{0};
  // With output waiting, the peer must take some of it within this time. Zero: none. Checked once per period.
  Duration write_timeout = std::chrono::seconds(30);
  // For pulls that name none; zero: wait until the connection ends, as the original.
  Duration call_timeout = std::chrono::seconds(30);
  // A graceful close waits this long for running handlers, outstanding pulls and unsent bytes.
  Duration close_timeout = std::chrono::seconds(15);
  // A graceful close tells the peer which of its pulls will never be executed, and what a peer tells of its own is
  // believed (spec/teleport 12). Originals ignore the notice.
  bool announce_drain = true;

  std::size_t calls_max = 65'536;     // outstanding pulls of ours; more fail locally with 503
  std::size_t handlers_max = 10'000;  // handlers that have not finished (coroutines, blocking ones); more get 503
  std::size_t output_bytes_max = 64u << 20;  // unsent bytes; more pulls and pushes of ours fail locally with 503
  // Above this many bytes of unsent replies the session is not read, so a peer that does not take its replies cannot
  // order more. A side that is owed replies itself reads on, and refuses pulls with 503 from output_bytes_max
  // on.
  std::size_t output_high_water_bytes = 256u << 10;
};

// One set per loop, shared by its sessions.
struct SessionCounters {
  Counter sessions_opened;
  Counter sessions_closed;
  Counter packets_read;
  Counter packets_written;
  Counter bytes_read;
  Counter bytes_written;
  Counter pulls_received;
  Counter pushes_received;
  Counter pulls_sent;
  Counter pushes_sent;
  Counter replies_unmatched;   // no such seq: late after a time-out, or never asked
  Counter replies_dropped;     // the session had ended when the handler finished
  Counter routes_unknown;      // 404, and pushes without a handler
  Counter uris_bad;            // 400, and pushes with a bad uri
  Counter handler_exceptions;  // 500
  Counter handlers_refused;    // SessionOptions::handlers_max, or a full worker pool
  Counter hooks_refused;       // requests, replies and pushes that a plugin refused
  Counter deadlines_missed;    // HandlerOptions::deadline; 504
  Counter calls_refused;       // SessionOptions::calls_max or output_bytes_max
  Counter calls_timed_out;
  Counter requests_after_close;  // came while a graceful close was under way; not executed
  Counter drains_announced;      // to peers, by us
  Counter drains_received;       // from peers
  Counter reading_paused;        // output_high_water_bytes
  Counter pulls_shed;            // output_bytes_max of unsent replies
  Counter read_timeouts;
  Counter write_timeouts;
  Counter protocol_errors;  // malformed, over a limit, unsupported type
};

}  // namespace wayport::rpc

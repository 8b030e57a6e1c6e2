// What the sessions of one loop have counted, under the names that kcp-go's users know (spec/kcp.md 10).
#pragma once

#include <cstdint>

#include "wayport/base/counters.h"

namespace wayport::transport::kcp {

// One writer, the loop; read() from any thread.
struct KcpCounters {
  Counter bytes_sent, bytes_received;  // of the application
  Counter active_opens, passive_opens;
  Gauge sessions;                      // CurrEstab
  Counter in_errors, checksum_errors;  // datagrams
  Counter kcp_errors;                  // datagrams that stopped parsing
  Counter in_packets, out_packets, in_segments, out_segments, in_bytes, out_bytes;
  Counter fast_resends, early_resends, lost_segments, repeated_segments;
  Counter fec_recovered, fec_errors, fec_parity, oob_packets;
  // Ours: bounds that bit, and forgeries.
  Counter refused_una, refused_acks, refused_rtt, memory_drops, write_pushbacks, amplification_holds, fec_far_seqids;
  Counter dead_links, idle_closes, extension_agreed, reflected;
  Counter opener_refused, opener_rate_limited, opener_replayed, backlog_drops, session_limit_drops, half_open_expired;
  Counter tombstone_drops, conv_refused, path_changes;
  // Of the socket: system calls, sends that found it full, datagrams that the system refused, and those that found
  // the way to another loop full.
  Counter flushes, timer_runs;  // of sessions: what idle ones must not ask for
  Counter receive_calls, send_calls, send_blocked, send_errors, loop_drops;
  Counter gso_refused;           // trains that the system did not take as one
  Counter sessions_left_behind;  // at a restart: no socket of their own could be made

  // f(name, value); RetransSegs is the sum of the three.
  template <class F>
  void for_each(F&& f) const {
    f("BytesSent", bytes_sent.read());
    f("BytesReceived", bytes_received.read());
    f("ActiveOpens", active_opens.read());
    f("PassiveOpens", passive_opens.read());
    f("CurrEstab", static_cast<std::uint64_t>(sessions.read()));
    f("InErrs", in_errors.read());
    f("InCsumErrors", checksum_errors.read());
    f("KCPInErrors", kcp_errors.read());
    f("InPkts", in_packets.read());
    f("OutPkts", out_packets.read());
    f("InSegs", in_segments.read());
    f("OutSegs", out_segments.read());
    f("InBytes", in_bytes.read());
    f("OutBytes", out_bytes.read());
    f("RetransSegs", fast_resends.read() + early_resends.read() + lost_segments.read());
    f("FastRetransSegs", fast_resends.read());
    f("EarlyRetransSegs", early_resends.read());
    f("LostSegs", lost_segments.read());
    f("RepeatSegs", repeated_segments.read());
    f("FECRecovered", fec_recovered.read());
    f("FECErrs", fec_errors.read());
    f("FECParityShards", fec_parity.read());
    f("OOBPackets", oob_packets.read());
    f("RefusedUna", refused_una.read());
    f("RefusedAcks", refused_acks.read());
    f("RefusedRtt", refused_rtt.read());
    f("MemoryDrops", memory_drops.read());
    f("WritePushbacks", write_pushbacks.read());
    f("AmplificationHolds", amplification_holds.read());
    f("FecFarSeqids", fec_far_seqids.read());
    f("DeadLinks", dead_links.read());
    f("IdleCloses", idle_closes.read());
    f("ExtensionAgreed", extension_agreed.read());
    f("Reflected", reflected.read());
    f("OpenerRefused", opener_refused.read());
    f("OpenerRateLimited", opener_rate_limited.read());
    f("OpenerReplayed", opener_replayed.read());
    f("BacklogDrops", backlog_drops.read());
    f("SessionLimitDrops", session_limit_drops.read());
    f("HalfOpenExpired", half_open_expired.read());
    f("TombstoneDrops", tombstone_drops.read());
    f("ConvRefused", conv_refused.read());
    f("PathChanges", path_changes.read());
    f("Flushes", flushes.read());
    f("TimerRuns", timer_runs.read());
    f("ReceiveCalls", receive_calls.read());
    f("SendCalls", send_calls.read());
    f("SendBlocked", send_blocked.read());
    f("SendErrors", send_errors.read());
    f("LoopDrops", loop_drops.read());
    f("GsoRefused", gso_refused.read());
    f("SessionsLeftBehind", sessions_left_behind.read());
  }
};

}  // namespace wayport::transport::kcp

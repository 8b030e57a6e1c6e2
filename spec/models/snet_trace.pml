/* Steps that the state machine of transport/snet took, against snet_reconnect.pml (README.md, "Traces").
 *
 *   STEP(what, connection)   may be taken only if it is the next one that was recorded, and if the state is what was recorded
 *   GIVES(a, b, c)           what it does, or shows to others: as recorded, or nobody goes on; then the next row is due
 *
 * Each ends its own statement. Between the two a step may wait only for what the model does without a STEP. Without -DTRACE
 * they are nothing. A run that takes all steps breaks `whole_trace`.
 */
#ifdef TRACE
mtype = { client_asks, client_judges, client_reads, client_sends, client_sees_end };
mtype = { server_judges, server_proves, server_reads, server_sends, server_sees_end, server_overtaken, server_lets_go };
mtype = { network_cuts, forger_asks, forger_proves, ends };
mtype = { resumed, refused, overrun, unproved };
mtype = { impossible }; /* what only the code can say: that an honest peer's counters, or its own verdict, are false */

/* A row: step, connection, the three that it gives; whether the state before it was looked at, and that state. */
#define COLUMNS 16
byte recorded[COLUMNS];
short row; /* the next one */

#define STATE_IS_RECORDED                                                                                        \
  (recorded[5] == 0 ||                                                                                           \
   (recorded[6] == c_written && recorded[7] == c_received && recorded[8] == c_sent && recorded[9] == c_ended &&  \
    recorded[10] == last && recorded[11] == s_written && recorded[12] == s_received && recorded[13] == s_sent && \
    recorded[14] == s_generation && recorded[15] == s_carrier))
#define STEP(what, connection) recorded[0] == what && recorded[1] == connection && STATE_IS_RECORDED;
#define GIVES(a, b, c) recorded[2] == a && recorded[3] == b && recorded[4] == c; c_code { next_row(); };

c_code {
enum { kColumns = COLUMNS };
\#include "trace.inc"
};

PROPERTY(whole_trace);

active proctype recorder() {
  c_code { next_row(); };
  atomic { STEP(ends, 0) MUST(whole_trace, false) }
}
#else
#define STEP(what, connection)
#define GIVES(a, b, c)
#endif

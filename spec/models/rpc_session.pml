/* rpc: two peers that pull from each other, and how their session ends (spec/teleport.md 4, 9, 12; ARCHITECTURE.md,
 * "Exactly one outcome per pull", "Closing is a state, not an event"; rpc/session_core.h).
 *
 *     peer 0   calls, handlers   -- wire[0]: pull reply drain fin -->   peer 1   calls, handlers
 *                                <-- wire[1]: pull reply drain fin --
 *
 *     open -- close(), or the peer's fin --> closing -- nothing runs, nothing is outstanding --> ended
 *
 * Each side makes PULLS pulls; the handler of the last one makes a pull itself before it answers. Either or both close when
 * they like; a pull may time out. With -DNOTICE_UNKNOWN nobody understands drain notices, as the originals do not; with
 * -DLOSS the connection may break at any byte, which each side learns when it likes.
 * Left out: close_timeout and all bounds, so that a close has to end by itself; pushes; what the kernel does with bytes
 * that reach a closed socket.
 */
#include "properties.pml"

#ifdef POLITE /* one pull after the other, for ever; all with the same number, so notices say nothing */
#define PULLS 1
#define NOTICE_UNKNOWN
#else
#define PULLS 2
#endif
#define WIRE 8

PROPERTY(one_outcome);     /* a pull has no second outcome */
PROPERTY(every_pull_ends); /* ... and has one, once nobody can go on */
PROPERTY(executed_once);   /* section 4: a pull is executed once at most */
PROPERTY(never_executed);  /* section 12: what is reported as never executed was not, and will not be */
PROPERTY(none_lost);       /* section 12: those below N are answered before the stream ends */
PROPERTY(close_ends);      /* a graceful close comes to its end, without a time-out */

mtype = { pull, reply, drain, fin };
mtype = { open, closing, ended };
mtype = { none, ready, waits };
mtype = { ok, busy, unexecuted, lost, late };
mtype = { reach_ok, reach_busy, reach_never, reach_lost, reach_late_reply, reach_nested, reach_nested_refused,
          reach_both_close, reach_dropped_reply, reach_unread };

chan wire[2] = [WIRE] of { mtype, byte, mtype };
mtype state[2] = open;
bit stream_closing[2], read_ended[2], peer_drains[2];
bit cut;
byte next_seq[2], read_end[2];
byte outstanding[2], running[2];
byte awaited[2]; /* one more than the pull of ours that a handler waits for */
#ifdef POLITE
bit patient[2] = 0;
#else
bit patient[2] = 1; /* has let no call time out yet */
#endif

/* Of pull s of peer p. */
#define OF(p, s) ((p) * PULLS + (s))
bit waiting[2 * PULLS];
byte outcomes[2 * PULLS];
mtype outcome[2 * PULLS];
byte executed[2 * PULLS];
mtype handler[2 * PULLS] = none; /* at the other peer */

inline deliver(p, s, what) { /* PendingCall::on_reply, on_failed */
  MUST(one_outcome, outcomes[OF(p, s)] == 0);
#ifndef POLITE
  outcomes[OF(p, s)]++;
  outcome[OF(p, s)] = what;
#endif
  if
  :: awaited[p] == s + 1 -> awaited[p] = 0; handler[OF(1 - p, PULLS - 1)] = ready
  :: else
  fi
}
inline take_call(p, s) {
  waiting[OF(p, s)] = 0;
  outstanding[p]--
}
inline fail_calls(p, from, what) {
  for (i : from .. PULLS - 1) {
    if
    :: waiting[OF(p, i)] -> take_call(p, i); deliver(p, i, what)
    :: else
    fi
  }
  i = 0
}

/* Not while a handler is on its way: its answer leaves first. */
#ifdef MUTATION_END_WITH_HANDLERS
#define DRAINED(p) (outstanding[p] == 0)
#else
#define DRAINED(p) (outstanding[p] == 0 && running[p] == 0)
#endif
inline finish_if_drained(p) {
  if
  :: state[p] == closing && !stream_closing[p] && DRAINED(p) -> stream_closing[p] = 1; send(p, fin, 0, ok)
  :: else
  fi
}
inline send(p, kind, seq, what) {
  assert(nfull(wire[p]));
  wire[p] ! kind(seq, what)
}

#ifdef MUTATION_NOTICE_TOO_LOW
#define FROM(p) (read_end[p] > 0 -> read_end[p] - 1 : 0)
#else
#define FROM(p) read_end[p]
#endif
/* Refused at once in `closing`, also inside a handler, and behind a drain notice. */
#ifdef MUTATION_PULL_WHILE_CLOSING
#define MAY_PULL(p) (state[p] != ended && !stream_closing[p])
#else
#define MAY_PULL(p) (state[p] == open && !peer_drains[p])
#endif
#ifdef POLITE
#define PULL_LEFT(p) (!waiting[OF(p, 0)])
#define NEXT(p) 0
#else
#define PULL_LEFT(p) (next_seq[p] < PULLS)
#define NEXT(p) next_seq[p]
#endif
inline make_pull(p) {
  send(p, pull, NEXT(p), ok);
#ifdef MUTATION_SENT_TWICE
  send(p, pull, NEXT(p), ok);
#endif
  waiting[OF(p, NEXT(p))] = 1;
  outstanding[p]++;
  next_seq[p] = NEXT(p) + 1
}

proctype peer(byte p) {
  byte seq, i;
  mtype kind, what;
end:
  do
  :: atomic { MAY_PULL(p) && PULL_LEFT(p) && nfull(wire[p]) -> make_pull(p) }

  :: atomic { /* close() */
       state[p] == open ->
       if
       :: state[1 - p] == closing && !read_ended[p] -> SEEN(reach_both_close)
       :: else
       fi;
       state[p] = closing;
#ifndef MUTATION_NO_NOTICE
       seq = FROM(p);
       send(p, drain, seq, busy);
       seq = 0;
#endif
       finish_if_drained(p)
     }

  :: atomic { /* a call times out, or is cancelled */
       patient[p] && outstanding[p] > 0 ->
       patient[p] = 0;
       seq = (waiting[OF(p, 0)] -> 0 : PULLS - 1);
       take_call(p, seq);
       deliver(p, seq, late);
       finish_if_drained(p);
       seq = 0
     }

  :: atomic { /* a packet */
       state[p] != ended && nempty(wire[1 - p]) ->
       wire[1 - p] ? kind(seq, what) ->
       if
       :: kind == fin -> /* handle_read_end(): our replies can still go */
          if
          :: stream_closing[p]
          :: else ->
             read_ended[p] = 1;
             state[p] = closing; /* without a notice: no pull comes any more */
#ifdef NOTICE_UNKNOWN
             fail_calls(p, 0, lost);
#else
             MUST(none_lost, outstanding[p] == 0); /* the notice came before */
#endif
             finish_if_drained(p)
          fi
       :: kind != fin && stream_closing[p] -> SEEN(reach_unread)
       :: kind == pull && !stream_closing[p] ->
          if
          :: state[p] == open ->
             read_end[p] = seq + 1;
             executed[OF(1 - p, seq)]++;
             MUST(executed_once, executed[OF(1 - p, seq)] == 1);
#ifdef POLITE
             executed[OF(1 - p, seq)] = 0;
#endif
             running[p]++;
             handler[OF(1 - p, seq)] = ready;
             if
             :: seq == PULLS - 1 && PULLS > 1 -> /* pulls itself, and answers when that has ended */
                if
                :: MAY_PULL(p) && PULL_LEFT(p) ->
                   SEEN(reach_nested);
                   awaited[p] = NEXT(p) + 1;
                   handler[OF(1 - p, seq)] = waits;
                   make_pull(p)
                :: else -> SEEN(reach_nested_refused)
                fi
             :: else
             fi
          :: else ->
#ifndef MUTATION_UNANSWERED
             send(p, reply, seq, busy)
#else
             skip
#endif
          fi
       :: kind == reply && !stream_closing[p] ->
          if
          :: waiting[OF(p, seq)] ->
#ifndef MUTATION_REPLY_KEEPS_CALL
             take_call(p, seq);
#endif
             if
             :: what == ok -> SEEN(reach_ok)
             :: else -> SEEN(reach_busy) /* only NOTICE_UNKNOWN: else the notice was here before */
             fi;
             deliver(p, seq, what);
             if
             :: MAY_PULL(p) && PULL_LEFT(p) -> make_pull(p) /* whoever waited for it goes on */
             :: true
             fi;
             finish_if_drained(p)
          :: else -> SEEN(reach_late_reply) /* matches nothing */
          fi
       :: kind == drain && !stream_closing[p] ->
#ifdef NOTICE_UNKNOWN
          skip /* a reply that matches nothing */
#else
          peer_drains[p] = 1;
          if
          :: outstanding[p] > 0 && next_seq[p] > seq -> SEEN(reach_never)
          :: else
          fi;
          fail_calls(p, seq, unexecuted);
          finish_if_drained(p)
#endif
       fi;
       seq = 0; kind = 0; what = 0
     }

  :: atomic { /* the connection is lost: handle_closed() */
       cut && state[p] != ended ->
       state[p] = ended;
       stream_closing[p] = 1;
       if
       :: outstanding[p] > 0 -> SEEN(reach_lost)
       :: else
       fi;
#ifndef MUTATION_LOST_KEEPS_CALLS
       fail_calls(p, 0, lost)
#endif
     }
  od
}

/* Processes of their own, so that weak fairness lets each of them happen. */
proctype handlers(byte p) {
  byte seq;
end:
  do
  :: atomic { /* a handler ends */
       handler[OF(1 - p, 0)] == ready || handler[OF(1 - p, PULLS - 1)] == ready ->
       if
       :: handler[OF(1 - p, 0)] == ready -> seq = 0
       :: handler[OF(1 - p, PULLS - 1)] == ready -> seq = PULLS - 1
       fi;
       handler[OF(1 - p, seq)] = none;
       running[p]--;
       if
       :: stream_closing[p] -> SEEN(reach_dropped_reply)
       :: else -> send(p, reply, seq, ok)
       fi;
       finish_if_drained(p);
       seq = 0
     }
  od
}
proctype stream(byte p) {
end:
  atomic { /* its stream is closed and everything has left: handle_closed() */
    state[p] == closing && stream_closing[p] && !cut && (empty(wire[p]) || state[1 - p] == ended) -> state[p] = ended
  }
}

init {
  atomic { run peer(0); run peer(1); run handlers(0); run handlers(1); run stream(0); run stream(1) }
}

#ifdef LOSS
active proctype network() {
end:
  cut = 1
}
#endif

/* Looks when nobody can go on. */
active proctype verdict() {
  byte i;
end:
  timeout ->
  atomic {
    MUST(close_ends, state[0] != closing && state[1] != closing);
#ifndef POLITE
    MUST(every_pull_ends, outstanding[0] == 0 && outstanding[1] == 0 || state[0] == open);
    for (i : 0 .. 2 * PULLS - 1) {
      MUST(every_pull_ends, outcomes[i] == (i < PULLS -> i < next_seq[0] : i - PULLS < next_seq[1]));
      MUST(never_executed, executed[i] == 0 || (outcome[i] != unexecuted && outcome[i] != busy))
    }
#endif
  }
}

/* With -DPOLITE: both have always one more pull to make. */
ltl closes { [] (state[0] == closing -> <> (state[0] == ended)) }

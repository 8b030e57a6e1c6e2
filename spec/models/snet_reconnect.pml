/* snet: one byte stream over one connection after the other (spec/snet.md; transport/snet/session.h, handshake.h).
 *
 *        client                connection k = 0, 1, 2 ...             server
 *     written, received   --- up[k]:   request proof data --->    half(k): a connection on its server side
 *     sent, carrying k    <-- down[k]: answer zeros data -----    written, received, sent, skip, carrier
 *
 * A byte is its position in its direction, so whoever receives it sees at once whether it is the next one. The session
 * exists already, on connection 0; UP bytes go one way, DOWN the other. The network cuts up to CUTS connections: of what
 * is on its way any first part arrives, each side learns of the cut when it likes, and may write to a dead connection
 * until that is full. With -DWITH_FORGER somebody without the key invents requests and repeats one that he overheard.
 *
 * With -DTRACE only those runs are left that take the recorded steps (snet_trace.pml); STEP and GIVES are for that.
 */
#include "properties.pml"

/* What a connection holds on its way (section 6): handed down and not yet read by the peer. */
#ifndef WIRE
#define WIRE 2
#endif
#ifndef RING
#define RING WIRE
#endif
#ifndef UP
#define UP 3
#endif
#ifndef DOWN
#define DOWN 2
#endif
#ifndef CUTS
#define CUTS 2
#endif
#define CONNECTIONS (2 * CUTS + 1)
#define FORGER CONNECTIONS
#define NONE 255

PROPERTY(never_twice);      /* section 1: every byte once ... */
PROPERTY(never_lost);       /* ... and in order; also when a ring is exceeded */
PROPERTY(ring_suffices);    /* section 6: a ring as large as the wire loses no session */
PROPERTY(ring_holds);       /* section 4: what is sent again is in the ring */
PROPERTY(counters_agree);   /* section 5: an honest peer's counters are never impossible, but in a request that it gave up */
PROPERTY(undisturbed);      /* section 7: a request disturbs nothing before its second proof */
PROPERTY(one_per_cut);      /* section 7: a cut costs no more than two attempts */

mtype = { request, answer, zeros, proof, data };
mtype = { reach_skip, reach_resend, reach_replay_answered, reach_forged_proof, reach_displaced, reach_dead_write,
          reach_refused, reach_overrun_at_client, reach_overrun_meanwhile };

chan up[CONNECTIONS + 1] = [WIRE] of { mtype, byte, byte, bit };
chan down[CONNECTIONS + 1] = [WIRE] of { mtype, byte, byte };
bit cut[CONNECTIONS + 1];
bit client_closed[CONNECTIONS + 1];
bit server_closed[CONNECTIONS + 1];

byte c_written, c_received, c_sent, last;
bit c_ended;
byte s_written, s_received, s_sent, s_skip, s_generation;
byte s_carrier = 0; /* the connection that carries the session; NONE: it waits */
byte cuts;
byte overheard_written, overheard_received;
bit overheard;

#include "snet_trace.pml"

#define ARRIVED (c_received == DOWN && s_received == UP)
#define OVER (c_ended || ARRIVED)
/* A cut is seen at once or after any part of what came; an orderly end after all of it. */
#define CLIENT_SEES_END(k) (!OVER && (cut[k] || (server_closed[k] && empty(down[k]))))
#define SERVER_SEES_END(k) (cut[k] || client_closed[k])

/* Section 5, "Refusal". impossible / overrun / yes. */
#define IMPOSSIBLE(their_written, their_received, written, received) (their_received > written || their_written < received)
#ifdef MUTATION_RING_UNCHECKED
#define OVERRUN(their_received, written) false
#define RESEND_FROM(their_received, written) (their_received + RING < written -> written - RING : their_received)
#else
#define OVERRUN(their_received, written) (their_received + RING < written)
#define RESEND_FROM(their_received, written) their_received
#endif

/* Section 4. `position` is where the receiver stands on this connection. */
inline check_byte(value, position) {
  MUST(never_twice, value >= position);
  MUST(never_lost, value <= position)
}

/* Nobody reads what a connection still holds: no part of the state any more. */
inline forget(k) {
  if
  :: client_closed[k] && server_closed[k] ->
     do
     :: nempty(up[k]) -> up[k] ? _, _, _, _
     :: empty(up[k]) -> break
     od;
     do
     :: nempty(down[k]) -> down[k] ? _, _, _
     :: empty(down[k]) -> break
     od
  :: else
  fi
}

active proctype client() {
  byte k = 0;
  byte value, w, r;

  run half(0);
carrying:
  do
  :: atomic {
       STEP(client_reads, k)
       down[k] ? data(value, _) ->
       check_byte(value, c_received);
       c_received++;
       GIVES(value, 0, 0)
       value = 0
     }
  :: atomic { /* what the peer lacks first, then a new byte */
       STEP(client_sends, k)
       nfull(up[k]) && !OVER && (c_sent < c_written || c_written < UP) ->
       if
       :: c_sent < c_written -> SEEN(reach_resend); MUST(ring_holds, c_sent + RING >= c_written)
       :: else -> c_written++
       fi;
       up[k] ! data(c_sent, 0, 0);
       GIVES(c_sent, 0, 0)
       c_sent++
     }
  :: atomic { STEP(client_sees_end, k) CLIENT_SEES_END(k) -> client_closed[k] = 1; forget(k); GIVES(0, 0, 0) break }
  :: OVER -> goto done
  od;
#ifdef MUTATION_NO_RETRY
  goto done;
#endif

waiting: /* section 7: one attempt under way */
  atomic {
    STEP(client_asks, k + 1)
    k++;
    MUST(one_per_cut, k <= 2 * cuts);
    last = k;
    run half(k);
#ifdef MUTATION_TELLS_SENT
    w = c_sent;
#else
    w = c_written;
#endif
    up[k] ! request(w, c_received, 1);
    GIVES(w, c_received, 0)
    w = 0;
    if
    :: !overheard -> overheard = 1; overheard_written = c_written; overheard_received = c_received
    :: else /* one is enough */
    fi
  }
  do
#ifdef MUTATION_WRITE_DETACHED
  :: atomic { c_written < UP -> c_written++ } /* without a connection, into the ring */
#endif
  :: atomic {
       STEP(client_judges, k)
       down[k] ? answer(w, r) ->
       MUST(counters_agree, !IMPOSSIBLE(w, r, c_written, c_received));
       if
       :: OVERRUN(r, c_written) -> /* section 8: too_large */
          SEEN(reach_overrun_at_client); MUST(ring_suffices, RING < WIRE); /* only RING < WIRE */
          GIVES(overrun, w, r)
          c_ended = 1; goto done /* only RING < WIRE */
       :: else -> up[k] ! proof(0, 0, 1); c_sent = RESEND_FROM(r, c_written); GIVES(resumed, w, r) w = 0; r = 0; goto carrying
       fi
     }
  :: atomic {
       STEP(client_judges, k)
       down[k] ? zeros(_, _) -> /* section 8: peer_closed */
       SEEN(reach_refused); MUST(ring_suffices, RING < WIRE); /* only RING < WIRE */
       GIVES(refused, 0, 0)
       c_ended = 1; goto done /* only RING < WIRE */
     }
  :: atomic { STEP(client_sees_end, k) CLIENT_SEES_END(k) -> client_closed[k] = 1; forget(k); GIVES(0, 0, 0) goto waiting }
  :: OVER -> goto done
  od;
done:
  skip
}

#define SERVER_ENDS \
  :: atomic { STEP(server_sees_end, k) SERVER_SEES_END(k) -> GIVES(0, 0, 0) goto closed } \
  :: OVER -> goto closed

/* Section 7, the server's side of a connection. */
proctype half(byte k) {
  byte announced, peer_received, generation, value, w, r, before;
  bit genuine;

  if
  :: k == 0 -> goto carrying
  :: else
  fi;
  if
  :: atomic {
       STEP(server_judges, k)
       up[k] ? request(w, r, genuine) ->
       before = s_carrier;
#ifdef MUTATION_FREEZE
       s_carrier = (genuine -> NONE : s_carrier); /* the original: the first proof takes the old connection away */
#endif
#ifdef MUTATION_OLD_FIRST
       if
       :: s_carrier != NONE -> goto closed /* the old connection's end has to be seen before somebody may resume */
       :: else
       fi;
#endif
       if
       :: !genuine || IMPOSSIBLE(w, r, s_written, s_received) || OVERRUN(r, s_written) ->
          MUST(counters_agree, k == FORGER || client_closed[k] || !IMPOSSIBLE(w, r, s_written, s_received));
#ifndef MUTATION_NO_REFUSAL
          if
          :: k != FORGER -> down[k] ! zeros(0, 0)
          :: else
          fi;
#endif
          GIVES(refused, 0, 0)
          goto closed
       :: else ->
          generation = s_generation;
          if
          :: k == FORGER -> SEEN(reach_replay_answered) /* only WITH_FORGER; it has no use for what it is told */
          :: else -> announced = s_received; peer_received = r; down[k] ! answer(s_written, s_received)
          fi;
          GIVES(resumed, s_written, s_received)
       fi;
       MUST(undisturbed, s_carrier == before);
       w = 0; r = 0; before = 0
     }
  SERVER_ENDS
  fi;
  if
  :: atomic {
       STEP(server_proves, k)
       s_generation == generation && nempty(up[k]) ->
       up[k] ? proof(_, _, genuine);
       if
#ifndef MUTATION_ANY_PROOF
       :: !genuine -> SEEN(reach_forged_proof); GIVES(unproved, 0, 0) goto closed /* only WITH_FORGER */
#endif
       :: else ->
          MUST(undisturbed, k != FORGER);
#ifndef MUTATION_MEANWHILE_UNCHECKED
          if
          :: OVERRUN(peer_received, s_written) ->
             SEEN(reach_overrun_meanwhile); GIVES(overrun, 0, 0) goto closed /* only RING < WIRE */
          :: else
          fi;
#endif
#ifdef MUTATION_NO_SKIP
          s_skip = 0;
#else
          s_skip = s_received - announced; /* came on the old connection since our answer, and comes again */
#endif
          s_sent = RESEND_FROM(peer_received, s_written);
          s_generation++;
          s_carrier = k;
          GIVES(resumed, 0, 0)
       fi;
       announced = 0; peer_received = 0; generation = 0; genuine = 0
     }
#ifndef MUTATION_OVERTAKEN_STAYS
  /* Another connection was proved first. */
  :: atomic { STEP(server_overtaken, k) s_generation != generation -> SEEN(reach_displaced); GIVES(0, 0, 0) goto closed }
#endif
  SERVER_ENDS
  fi;

carrying:
  do
  :: atomic {
       STEP(server_reads, k)
#ifdef MUTATION_KEEP_OLD
       nempty(up[k]) ->
#else
       s_carrier == k && nempty(up[k]) ->
#endif
       up[k] ? data(value, _, _);
       check_byte(value, s_received - s_skip);
       if
       :: s_skip > 0 -> SEEN(reach_skip); s_skip--; GIVES(NONE, 0, 0)
       :: else -> s_received++; GIVES(value, 0, 0)
       fi;
       value = 0
     }
  :: atomic {
       STEP(server_sends, k)
       s_carrier == k && nfull(down[k]) && !OVER && (s_sent < s_written || s_written < DOWN) ->
       if
       :: cut[k] -> SEEN(reach_dead_write)
       :: else
       fi;
       if
       :: s_sent < s_written -> MUST(ring_holds, s_sent + RING >= s_written)
       :: else -> s_written++
       fi;
       down[k] ! data(s_sent, 0);
       GIVES(s_sent, 0, 0)
       s_sent++
     }
#ifndef MUTATION_KEEP_OLD
  :: atomic { STEP(server_lets_go, k) s_carrier != k -> GIVES(0, 0, 0) goto closed }
#endif
  :: atomic { STEP(server_sees_end, k) s_carrier == k && SERVER_SEES_END(k) -> s_carrier = NONE; GIVES(0, 0, 0) goto closed }
  :: OVER -> goto closed
  od;
closed:
  atomic {
    announced = 0; peer_received = 0; generation = 0; value = 0; w = 0; r = 0; before = 0; genuine = 0;
    server_closed[k] = 1;
    forget(k)
  }
}

active proctype network() {
  do
  :: atomic { STEP(network_cuts, last) cuts < CUTS && !cut[last] && !OVER -> cut[last] = 1; cuts++; GIVES(0, 0, 0) }
  :: OVER -> break
  od
}

#ifdef WITH_FORGER
active proctype forger() {
  run half(FORGER);
  if
  :: atomic {
       STEP(forger_asks, FORGER)
       overheard -> up[FORGER] ! request(overheard_written, overheard_received, 1);
       GIVES(overheard_written, overheard_received, 1)
       overheard_written = 0; overheard_received = 0
     }
  :: atomic { STEP(forger_asks, FORGER) !OVER -> up[FORGER] ! request(0, 0, 0); GIVES(0, 0, 0) }
  :: OVER -> goto silent
  fi;
  if
  :: atomic { STEP(forger_proves, FORGER) nfull(up[FORGER]) && !OVER -> up[FORGER] ! proof(0, 0, 0); GIVES(0, 0, 0) }
  :: skip
  fi;
silent:
  OVER
}
#endif

/* Section 1, as long as a ring suffices. */
ltl arrives { <> ARRIVED }

/* A restart hands the listening socket over between two processes that both serve (ARCHITECTURE.md, "A restart is a
 * handover between two processes that both serve"; base/restart.h, transport/graceful_process.h, transport/transports.h:
 * Listener::inheritable_fds, take_back, finish).
 *
 *     connect() -> file -> socket's queue -> accept() by whoever has the socket open and accepts
 *
 *     old   serving -- SIGUSR2 --> restarting -- READY ------------------> draining -> gone
 *              ^-- the new one ended, or was late and was ended --'
 *     new   starting -> accepting -- READY, and the old one waits --> serving
 *                 '------------------'--> gone
 *
 * One unix socket with a file (a tcp socket is the same without the file). The kernel resets who waits in the queue when
 * the last descriptor is closed. New processes crash, fail in good order, or are slow, at any step; an operator may send
 * SIGTERM to the process that serves. What was accepted drains unseen (rpc_session.pml).
 */
#include "properties.pml"

#define PROCESSES 3
#ifndef CONNECTS
#define CONNECTS 2
#endif

PROPERTY(someone_accepts); /* until SIGTERM: the file is there, and somebody accepts */
PROPERTY(none_reset);      /* no connection that reached the queue is lost */
PROPERTY(one_serves);      /* when all is quiet, exactly one process serves; after SIGTERM none */
PROPERTY(no_file_left);    /* after SIGTERM the file is gone */

mtype = { off, starting, serving, restarting, ending, draining, gone };
mtype = { reach_replaced, reach_replaced_twice, reach_crash, reach_late, reach_failure, reach_term_while_restarting,
          reach_not_waited_for, reach_queue_left };

mtype state[PROCESSES] = off;
bit has_socket[PROCESSES];
bit accepting[PROCESSES];
bit said_ready[PROCESSES];  /* to the one that started it */
bit waited_for[PROCESSES];  /* by that one */
bit terminated[PROCESSES];  /* was sent SIGTERM */
bit file = 1;
byte queue, started;
bit told_to_end; /* the operator has sent SIGTERM */
bit heard;       /* by one that was not being replaced already */

#define SOCKETS (has_socket[0] + has_socket[1] + has_socket[2])
#define SERVING(p) (state[p] == serving || state[p] == restarting || state[p] == ending)
#define SERVE (SERVING(0) + SERVING(1) + SERVING(2))

inline close_socket(p) {
  accepting[p] = 0;
  has_socket[p] = 0;
  MUST(none_reset, queue == 0 || SOCKETS > 0)
}

proctype program(byte me) {
  byte successor;
  bit handed_over;

  if
  :: me == 0 -> has_socket[0] = 1; accepting[0] = 1; state[0] = serving; goto end_serve
  :: else
  fi;
  if
  :: atomic { SEEN(reach_crash); close_socket(me); goto over }    /* crashes, or cannot be run */
  :: atomic { terminated[me] -> close_socket(me); goto over }     /* the signal's default action */
  :: atomic { accepting[me] = 1 }                                 /* listens on the inherited socket */
  fi;
  if
  :: atomic {                                                     /* something else of it cannot start */
       SEEN(reach_failure);
#ifdef MUTATION_HEIR_UNLINKS
       file = 0; /* as any listener that ends */
#endif
       close_socket(me);
       goto over
     }
  :: atomic { terminated[me] -> close_socket(me); goto over }
  :: atomic { waited_for[me] -> said_ready[me] = 1; state[me] = serving }
  :: atomic {                                                     /* Predecessor::tell_ready: peer_closed */
       !waited_for[me] -> SEEN(reach_not_waited_for);
#ifdef MUTATION_HEIR_UNLINKS
       file = 0;
#endif
       close_socket(me);
       goto over
     }
  fi;

end_serve:
  do
  :: atomic { queue > 0 && accepting[me] -> queue-- }
  :: atomic { /* SIGUSR2; not sent to a new one before the old one knows it */
       state[me] == serving && !waited_for[me] && !terminated[me] && !told_to_end && started < PROCESSES - 1 ->
       handed_over = 1;
       started++;
       successor = started;
       has_socket[successor] = 1;
       waited_for[successor] = 1;
       state[successor] = starting;
       state[me] = restarting;
#ifdef MUTATION_STOP_BEFORE_READY
       accepting[me] = 0;
#endif
       run program(successor)
     }
  :: atomic { state[me] == restarting && said_ready[successor] -> waited_for[successor] = 0; state[me] = draining; break }
  :: atomic { state[me] == restarting && state[successor] == gone && !said_ready[successor] -> goto failed }
  :: atomic { /* ready_timeout. What it has said until then counts: looking and giving up are one step. */
#ifdef MUTATION_TIMEOUT_DEAF
       state[me] == restarting ->
#else
       state[me] == restarting && !said_ready[successor] ->
#endif
       SEEN(reach_late);
       waited_for[successor] = 0;
#ifdef MUTATION_LATE_LIVES
       waited_for[successor] = 1;
       goto failed;
#endif
       terminated[successor] = 1;
       state[me] = ending
     }
  :: atomic { state[me] == ending && state[successor] == gone ->
failed:
       state[me] = serving;
#ifndef MUTATION_NO_TAKE_BACK
       handed_over = 0;
#endif
       successor = 0
     }
  :: atomic { /* SIGTERM; a successor on its way ends with it */
       terminated[me] ->
       heard = told_to_end;
       if
       :: state[me] != serving ->
          SEEN(reach_term_while_restarting);
          waited_for[successor] = 0;
          terminated[successor] = 1;
          handed_over = 0
       :: else
       fi;
       break
     }
  od;

  /* Listener::finish: the file first, then nobody can come after the queue was emptied. Both are the successor's. */
  atomic {
    state[me] = draining;
#ifdef MUTATION_LEAVER_UNLINKS
    file = 0
#else
    if
#ifdef MUTATION_LEAVER_KEEPS_FILE
    :: !handed_over
#else
    :: !handed_over -> file = 0
#endif
    :: else -> SEEN(reach_replaced)
    fi
#endif
  }
  do
  :: atomic { queue > 0 && !handed_over -> queue-- }
  :: atomic {
       queue == 0 || handed_over ->
       if
       :: queue > 0 -> SEEN(reach_queue_left)
       :: else
       fi;
       close_socket(me);
       break
     }
  od;
  if
  :: handed_over && me > 0 -> SEEN(reach_replaced_twice)
  :: else
  fi;
over:
  atomic { state[me] = gone; waited_for[me] = 0; terminated[me] = 0; accepting[me] = 0; successor = 0; handed_over = 0 }
}

active proctype clients() {
  byte connects;
  do
  :: atomic { connects < CONNECTS && file && SOCKETS > 0 -> queue++; connects++ }
  :: connects == CONNECTS || told_to_end -> break
  od
}

/* Sends SIGTERM once to a process that serves, or never. */
active proctype operator() {
end:
  if
  :: atomic { SERVING(0) -> terminated[0] = 1; told_to_end = 1 }
  :: atomic { SERVING(1) -> terminated[1] = 1; told_to_end = 1 }
  :: atomic { SERVING(2) -> terminated[2] = 1; told_to_end = 1 }
  fi
}

/* Looks after every step. */
active proctype watch() {
end:
  atomic {
    state[0] != off && !heard &&
      !(file && (accepting[0] || accepting[1] || accepting[2])) ->
    MUST(someone_accepts, false)
  }
}

/* Looks when nobody can go on. */
active proctype verdict() {
end:
  timeout ->
  MUST(one_serves, SERVE == (heard -> 0 : 1));
  MUST(no_file_left, !(heard && file))
}

init {
  run program(0)
}

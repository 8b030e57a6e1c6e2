/* link: the life of virtual connections across two loops of a gateway (spec/link.md 5 "Several loops", 7, 9, 10;
 * gateway/link/switch.h, switch_dial.cc, mail.h).
 *
 *     clients 0, 1  <->  loop A: client's ends  -- a_to_b: mail, in order -->  loop B: server's ends  <->  a server
 *                                               <-- b_to_a: mail, in order --
 *
 * Endpoints are as bad as they can be: they dial, send data on any id, close any id, vanish, in any order, A_ACTS times on
 * one loop and B_ACTS on the other. What a loop sends to an endpoint is judged as it is sent. Only the properties
 * know the serial number of a virtual connection (ids are used again), and who sent a frame or Close that came by mail.
 * Left out: bounds, policies, and dials within one loop, which are one step there.
 */
#include "properties.pml"

#ifndef A_ACTS
#define A_ACTS 4
#endif
#ifndef B_ACTS
#define B_ACTS 3
#endif
#define IDS 2
#define SERIALS 4
#define MAILS 9

PROPERTY(no_stranger);      /* 5, Data: a frame reaches the other end of the connection on which it was sent, nobody else */
PROPERTY(answered_once);    /* 5, Dial: one answer for each, as long as the one who dialed is there */
PROPERTY(id_is_free);       /* 5, Dial: the next id is not alive, at neither end */
PROPERTY(accept_first);     /* 5, Order, and 10: Accept, then Connect */
PROPERTY(told_before_data); /* 5, Order: data and Close come behind Accept or Connect */
PROPERTY(close_last);       /* 5, Order: nothing comes behind Close, and no second one */
PROPERTY(close_reaches_both); /* 5, Close: both ends hear of the end, whoever of them is there */
PROPERTY(own_end_only);     /* 5, Close, and 10: nobody ends what is somebody else's */

mtype = { server_here, server_gone, dial_server, dial_reserved, dial_refused, data_to_server, close_to_server,
          dial_client, connect, data_to_client, close_to_client };
mtype = { none, reserved, announced };
mtype = { reach_client_dial, reach_server_dial, reach_refused, reach_server_just_gone, reach_crossed_data,
          reach_crossed_closes, reach_client_just_gone, reach_foreign_data, reach_id_again, reach_id_skipped,
          reach_data_both_ways };

/* kind, connection, client, serial, registration; of data and Close the client, or the registration, that sent it */
chan a_to_b = [MAILS] of { mtype, byte, byte, byte, byte };
chan b_to_a = [MAILS] of { mtype, byte, byte, byte, byte };
byte mail_about[IDS + 1]; /* how much of an id is in the mail */

/* Loop A. */
bit here[2] = 1;
mtype client_end[IDS + 1] = none;
byte owner[IDS + 1], client_serial[IDS + 1];
byte unanswered[2]; /* dials of each client */
byte known; /* the registration that dials go to; 0: none */
byte next_id = 1; /* where the counter stands */
/* Loop B. */
bit server_end[IDS + 1];
byte server_serial[IDS + 1];
byte registration, registrations, pending; /* of the server that is there; its dials without an answer */

/* What endpoints were told, by serial number. */
byte serials;
byte client_of[SERIALS + 1], server_of[SERIALS + 1];
bit client_told[SERIALS + 1], client_closed[SERIALS + 1], server_told[SERIALS + 1], server_closed[SERIALS + 1];
bit was_data_up, was_data_down;

inline mail_b(kind, id, client, serial, number) {
  mail_about[id]++;
  assert(nfull(a_to_b));
  a_to_b ! kind(id, client, serial, number)
}
inline mail_a(kind, id, client, serial, number) {
  mail_about[id]++;
  assert(nfull(b_to_a));
  b_to_a ! kind(id, client, serial, number)
}

/* ConnectionIds, with blocks of one id: the counter's next, or the one behind that if it is alive. An id is alive
 * from its dial until the client's end is gone; nobody looks at the server's end, or at what is in the mail.
 */
#define FREE(id) (client_end[id] == none)
#define NEXT_FREE (FREE(next_id) -> next_id : IDS + 1 - next_id)
/* Assumed: mail about an id is read before the counter comes to that id again. */
#ifdef MUTATION_MAIL_IS_LATE
#define IN_TIME true
#else
#define IN_TIME (mail_about[NEXT_FREE] == 0)
#endif
#define ID_LEFT (serials < SERIALS && (FREE(1) || FREE(2)) && IN_TIME)

inline take_id(client, number) {
#ifdef MUTATION_ID_AT_ONCE
  id = (FREE(1) -> 1 : 2);
#else
#ifdef MUTATION_LIVING_ID
  id = next_id;
#else
  id = NEXT_FREE;
#endif
#endif
  if
  :: id != next_id -> SEEN(reach_id_skipped)
  :: id == next_id && client_serial[id] > 0 -> SEEN(reach_id_again)
  :: else
  fi;
  MUST(id_is_free, client_end[id] == none && !server_end[id]);
  next_id = IDS + 1 - id;
  serials++;
  client_of[serials] = client;
  server_of[serials] = number;
  owner[id] = client;
  client_serial[id] = serials
}

/* What endpoints are told. */
inline answer_client(client) { /* Accept or Refuse */
  MUST(answered_once, unanswered[client] > 0);
  unanswered[client]--
}
inline answer_server() {
  MUST(answered_once, pending > 0);
  pending--
}
inline connect_at_client(id) {
  MUST(accept_first, server_told[client_serial[id]] && !client_told[client_serial[id]]);
  client_told[client_serial[id]] = 1
}
inline open_at_server(id, serial) { /* Accept or Connect */
  MUST(id_is_free, !server_end[id]);
  MUST(no_stranger, server_of[serial] == registration);
  server_end[id] = 1;
  server_serial[id] = serial;
  server_told[serial] = 1
}
inline close_at_client(id) {
  MUST(told_before_data, client_told[client_serial[id]]);
  MUST(close_last, !client_closed[client_serial[id]]);
  client_closed[client_serial[id]] = 1
}
inline close_at_server(id) {
  MUST(told_before_data, server_told[server_serial[id]]);
  MUST(close_last, !server_closed[server_serial[id]]);
  server_closed[server_serial[id]] = 1
}

inline end_by_client(id, client) { /* the other end hears of it by mail */
  client_end[id] = none;
  mail_b(close_to_server, id, client, client_serial[id], 0)
}
inline end_by_server(id) {
  server_end[id] = 0;
  mail_a(close_to_client, id, 0, server_serial[id], registration)
}
/* Section 5, "A physical connection ends". */
inline lose_client(client) {
  here[client] = 0;
  unanswered[client] = 0;
  for (id : 1 .. IDS) {
    if
    :: client_end[id] != none && owner[id] == client -> end_by_client(id, client)
    :: else
    fi
  }
}
inline lose_server() {
  for (id : 1 .. IDS) {
    if
    :: server_end[id] -> end_by_server(id)
    :: else
    fi
  }
  mail_a(server_gone, 0, 0, 0, registration);
  registration = 0;
  pending = 0
}

active proctype loop_a() {
  byte id, client, serial, number, acts;
  mtype kind;
end:
  do
  :: atomic {
#ifdef MUTATION_MAIL_OUT_OF_ORDER
       if
       :: b_to_a ? kind(id, client, serial, number)
       :: b_to_a ?? data_to_client(id, client, serial, number) -> kind = data_to_client
       fi;
#else
       b_to_a ? kind(id, client, serial, number) ->
#endif
       mail_about[id]--;
       if
       :: kind == server_here -> known = number
       :: kind == server_gone -> known = (known == number -> 0 : known)
       :: kind == dial_client ->
          if
          :: here[client] && ID_LEFT ->
             take_id(client, number);
#ifdef MUTATION_CONNECT_AT_ONCE
             client_end[id] = announced; /* the original: Connect first */
             connect_at_client(id);
#else
             client_end[id] = reserved;
#endif
             mail_b(dial_reserved, id, client, serials, number)
          :: else ->
             SEEN(reach_refused);
#ifndef MUTATION_DIAL_UNANSWERED
             mail_b(dial_refused, 0, client, 0, number)
#endif
          fi
       :: kind == connect ->
          if
          :: client_end[id] == none -> SEEN(reach_client_just_gone)
          :: else ->
             connect_at_client(id);
             client_end[id] = announced;
             SEEN(reach_server_dial)
          fi
       :: kind == data_to_client ->
          if
          :: client_end[id] == none -> SEEN(reach_crossed_data)
          :: else ->
             MUST(told_before_data, client_told[client_serial[id]]);
             MUST(close_last, !client_closed[client_serial[id]]);
             MUST(no_stranger, serial == client_serial[id] && number == server_of[serial] && here[client_of[serial]]);
             was_data_down = 1
          fi
       :: kind == close_to_client ->
          if
          :: client_end[id] == none -> SEEN(reach_crossed_closes)
          :: else ->
             MUST(own_end_only, serial == client_serial[id] && number == server_of[serial]);
             if
             :: client_end[id] == reserved /* the client never heard of it */
             :: else -> close_at_client(id)
             fi;
             client_end[id] = none
          fi
#ifdef MUTATION_REFUSED_LATE
       :: kind == dial_refused -> client_end[id] = none; answer_client(client)
#endif
       fi;
       id = 0; client = 0; serial = 0; number = 0; kind = 0
     }
  :: atomic { /* an endpoint acts */
       acts < A_ACTS -> acts++;
       if
       :: here[0] -> client = 0
       :: here[1] -> client = 1
       :: !here[0] && !here[1]
       fi;
       if
       :: id = 1
       :: client_end[2] != none -> id = 2
       fi;
       if
       :: here[client] -> /* Dial; the answer leaves at once */
          unanswered[client]++;
          if
          :: known != 0 && ID_LEFT ->
             take_id(client, known);
             client_end[id] = announced;
             answer_client(client);
             client_told[serials] = 1;
             mail_b(dial_server, id, client, serials, known)
#ifndef MUTATION_REFUSED_SILENTLY
          :: else -> answer_client(client)
#else
          :: else
#endif
          fi
       :: here[client] && client_end[id] == announced -> /* data */
          if
#ifndef MUTATION_DATA_OF_ANYONE
          :: owner[id] != client -> SEEN(reach_foreign_data); lose_client(client)
#endif
          :: else ->
             mail_b(data_to_server, id, client, client_serial[id], 0)
          fi
       :: here[client] && client_end[id] == announced -> /* Close; of what is not open, or not its own: ignored */
          if
#ifndef MUTATION_CLOSE_OF_ANYONE
          :: owner[id] != client
#endif
          :: else ->
             close_at_client(id);
#ifdef MUTATION_TWO_CLOSES
             mail_b(close_to_server, id, client, client_serial[id], 0) /* and waits for the other end's Close */
#else
             end_by_client(id, client)
#endif
          fi
       :: here[client] -> lose_client(client)
       :: else
       fi;
       id = 0; client = 0
     }
  od
}

/* The server of the mail is still there. */
#ifdef MUTATION_ANY_REGISTRATION
#define SAME_SERVER (registration != 0)
#else
#define SAME_SERVER (registration != 0 && registration == number)
#endif

active proctype loop_b() {
  byte id, client, serial, number, acts;
  mtype kind;
end:
  do
  :: atomic {
       a_to_b ? kind(id, client, serial, number) ->
       mail_about[id]--;
       if
       :: kind == dial_server ->
          if
          :: !SAME_SERVER ->
             SEEN(reach_server_just_gone);
#ifdef MUTATION_REFUSED_LATE
             mail_a(dial_refused, id, client, serial, number)
#else
#ifndef MUTATION_NO_CLOSE_BACK
             mail_a(close_to_client, id, 0, serial, number)
#endif
#endif
          :: else ->
             MUST(accept_first, client_told[serial]);
             open_at_server(id, serial);
             SEEN(reach_client_dial)
          fi
       :: kind == dial_refused ->
          if
          :: SAME_SERVER -> answer_server()
          :: else
          fi
       :: kind == dial_reserved ->
          if
          :: !SAME_SERVER -> mail_a(close_to_client, id, 0, serial, number)
          :: else ->
             answer_server();
             open_at_server(id, serial);
             mail_a(connect, id, 0, serial, 0)
          fi
       :: kind == data_to_server ->
          if
          :: !server_end[id] -> SEEN(reach_crossed_data)
          :: else ->
             MUST(told_before_data, server_told[server_serial[id]]);
             MUST(close_last, !server_closed[server_serial[id]]);
             MUST(no_stranger, serial == server_serial[id] && client == client_of[serial]);
             MUST(no_stranger, server_of[serial] == registration);
             was_data_up = 1
          fi
       :: kind == close_to_server ->
          if
          :: !server_end[id] -> SEEN(reach_crossed_closes)
          :: else ->
             MUST(own_end_only, serial == server_serial[id] && client == client_of[serial]);
             close_at_server(id);
#ifdef MUTATION_TWO_CLOSES
             end_by_server(id)
#else
             server_end[id] = 0
#endif
          fi
       fi;
       if
       :: was_data_up && was_data_down -> SEEN(reach_data_both_ways)
       :: else
       fi;
       id = 0; client = 0; serial = 0; number = 0; kind = 0
     }
  :: atomic { /* the server acts */
       acts < B_ACTS -> acts++;
       if
       :: id = 1
       :: server_end[2] -> id = 2
       fi;
       if
       :: registration == 0 -> /* comes, or comes back: section 9 */
          registrations++;
          registration = registrations;
          mail_a(server_here, 0, 0, 0, registration)
       :: registration != 0 -> pending++; mail_a(dial_client, 0, 0, 0, registration)
       :: registration != 0 && server_end[id] -> mail_a(data_to_client, id, 0, server_serial[id], registration)
       :: registration != 0 && server_end[id] -> close_at_server(id); end_by_server(id)
       :: registration != 0 -> lose_server()
       fi;
       id = 0
     }
  od
}

/* Looks when all mail is read and nobody acts any more. */
active proctype verdict() {
  byte serial;
end:
  timeout ->
  atomic {
    MUST(answered_once, pending == 0 && unanswered[0] == 0 && unanswered[1] == 0);
    MUST(close_reaches_both, (client_end[1] != none) == server_end[1] && (client_end[2] != none) == server_end[2]);
    MUST(close_reaches_both, client_end[1] != reserved && client_end[2] != reserved);
    for (serial : 1 .. SERIALS) {
      if
      :: serial <= serials &&
           !(client_end[1] != none && client_serial[1] == serial) &&
           !(client_end[2] != none && client_serial[2] == serial) ->
         MUST(close_reaches_both, !client_told[serial] || !here[client_of[serial]] || client_closed[serial]);
         MUST(close_reaches_both, !server_told[serial] || server_of[serial] != registration || server_closed[serial])
      :: else
      fi
    }
  }
}

// What a switch has done so far; one set per loop, added up by whoever scrapes.
#pragma once

#include "wayport/base/counters.h"

namespace wayport::link {

struct SwitchCounters {
  // Now.
  Gauge clients;
  Gauge servers;       // authenticated
  Gauge handshakes;    // servers that are not yet
  Gauge virtuals;      // client's ends on this loop, so that a sum over loops counts each connection once
  Gauge queued_bytes;  // unsent, all connections of this loop; as of the last turn's end
  Gauge slow;          // connections that left bytes unsent
  Gauge paused;        // clients that are not read

  // Traffic, counted where it leaves: on the receiver's loop.
  Counter frames_to_clients;
  Counter bytes_to_clients;
  Counter frames_to_servers;
  Counter bytes_to_servers;
  Counter frames_over_mail;  // came from another loop; part of the above
  Counter pings;

  // Dials.
  Counter dials;  // by clients and servers
  Counter dials_accepted;
  Counter refused_absent;       // no such id on the other side, or it was going
  Counter refused_client_full;  // client_virtual_max
  Counter refused_virtual_max;  // virtual_max
  Counter refused_draining;
  Counter refused_mail_full;  // mail_bytes_max

  // The ordinary ends of virtual connections, and what crosses them.
  Counter closed_by_endpoint;  // a Close that named a connection of its sender
  Counter closed_by_loss;      // one end's physical connection went
  Counter strays;              // data for a connection that is not there, answered by Close
  Counter crossed;             // data that met a Close between two loops
  Counter closes_ignored;      // Close for a connection that is not there
  Counter foreign_closes;      // Close for a connection of somebody else, ignored (the original obeys it)

  // Connections that were not let in.
  Counter refused_clients;     // clients_max
  Counter refused_servers;     // servers_max
  Counter refused_handshakes;  // handshakes_max

  // Physical connections that were closed, by cause.
  Counter malformed;      // broken frame or command
  Counter auth_failures;  // wrong answer to the challenge
  Counter too_large;      // length above MaxPacket
  Counter foreign_data;   // data on a connection of somebody else
  Counter idle;
  Counter handshake_timeouts;
  Counter cut_slow;           // SlowPolicy::cut
  Counter cut_commands;       // command_reserve_bytes
  Counter cut_process_bytes;  // process_bytes_max
  Counter cut_dials;          // server_dials_max
  Counter replaced;           // close_replaced_server

  // Virtual connections that were closed for a bound.
  Counter closed_virtual_queue;  // virtual_queue
  Counter closed_client_queue;   // client_queue
  Counter closed_server_queue;   // server_queue
  Counter closed_process_bytes;  // process_bytes_max
  Counter closed_mail_full;      // mail_bytes_max
  Counter pauses;                // SlowPolicy::pause

  // Server ids.
  Counter takeovers;  // a server took an id that another held
};

}  // namespace wayport::link

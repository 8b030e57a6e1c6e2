// Reference: the switches of a link gateway, written to be read, with maps and queues and no care for speed. What the
// real ones do has to be what this does, frame by frame (arena.h).
//
// It knows connections ("peers") by number, in order of opening. Loops tell each other steps, in a queue per ordered
// pair; one step is one message of the real mail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "wayport/base/time.h"
#include "wayport/framing/link/packet.h"
#include "wayport/gateway/link/mail.h"
#include "wayport/gateway/link/options.h"
#include "wayport/gateway/link/port.h"

namespace wayport::link::testing {

class Reference {
 public:
  struct Unsent {
    std::uint32_t connection;
    std::size_t bytes;
  };
  struct Peer {
    unsigned number = 0;
    unsigned loop = 0;
    Side side = Side::client;
    std::uint32_t id = 0;
    std::uint64_t registration = 0;
    bool authenticated = false;
    bool open = true;    // false: closed by whomever
    bool ended = false;  // and its ends are gone
    TimePoint last_frame{};
    std::vector<std::uint32_t> ends;  // its connections, oldest first
    std::set<std::uint32_t> pausing;  // ends because of which it is not read
    std::size_t ahead_bytes = 0;      // mailed since the last marks
    std::size_t ahead_messages = 0;
    unsigned marks = 0;      // not answered
    std::size_t dials = 0;   // under way to other loops
    std::string out;         // what it was sent
    std::size_t unsent = 0;  // truth
    std::size_t known = 0;   // what its loop believes
    bool slow = false;
    std::size_t untracked = 0;       // of known, from before it was slow
    std::deque<Unsent> backlog;      // the rest of known, once it is slow
    std::set<std::uint32_t> paused;  // connections of its backlog whose client is paused
  };

  Reference(const SwitchOptions& options, unsigned loops, std::uint32_t first_connection_id, TimePoint now);

  // Events, as Switch has them. open() tells whether it was let in.
  bool open(Side side, unsigned loop, TimePoint now);
  bool authenticate(unsigned number, std::uint32_t id, TimePoint now);
  void frame(unsigned number, const std::string& frame, TimePoint now);
  void malformed(unsigned number);
  void hang_up(unsigned number);
  void drain(unsigned number, std::size_t bytes, bool tell);
  // `stuck`: who keeps what is unsent.
  void end_turn(unsigned loop, const std::set<unsigned>& stuck);
  // Who is due has no order within a millisecond: `closed` is the order in which the real switch closed them. False: it
  // closed others.
  bool tick(unsigned loop, TimePoint now, const std::vector<unsigned>& closed);
  void collect(unsigned from, unsigned to);
  // How many steps the oldest batch has.
  std::size_t front_size(unsigned from, unsigned to) const;
  void deliver(unsigned from, unsigned to, TimePoint now);
  void set_draining(unsigned loop, bool on) { loops_[loop].draining = on; }

  std::vector<Peer>& peers() { return peers_; }
  // To whom something was sent, in this order, since the last call.
  std::vector<unsigned> take_sent_to() { return std::exchange(sent_to_, {}); }
  bool reading(const Peer& peer) const { return peer.pausing.empty() && peer.marks == 0; }
  std::vector<std::uint32_t> connections() const;
  // Numbers of the two ends, where they are known.
  std::optional<unsigned> client_of(std::uint32_t connection) const;
  std::optional<unsigned> server_of(std::uint32_t connection) const;

 private:
  struct ClientEnd {
    unsigned client;
    unsigned server_loop;
    bool announced;
  };
  struct ServerEnd {
    unsigned server;
    unsigned client_loop;
  };
  struct Holder {
    std::uint64_t registration;
    unsigned server;
  };
  struct Step {
    MailKind kind;
    std::uint32_t connection = 0;
    std::uint32_t id = 0;
    unsigned server = 0;
    std::uint64_t registration = 0;
    std::string frame{};
  };
  struct Loop {
    TimePoint now{};
    TimePoint next_poll = kNever;
    bool draining = false;
    std::map<std::uint32_t, Holder> servers;
    std::vector<unsigned> touched;
    std::vector<unsigned> slow;
    std::vector<unsigned> doomed;
    std::uint64_t next_client_id = 0;
  };
  struct Box {
    std::vector<Step> outbox;
    std::size_t outbox_bytes = 0;
    std::deque<std::vector<Step>> batches;
  };

  Box& box(unsigned from, unsigned to) { return boxes_[from * loops_.size() + to]; }
  const QueueLimits& limits(const Peer& peer) const {
    return peer.side == Side::client ? options_.client_queue : options_.server_queue;
  }
  ClientEnd* client_end(unsigned loop, std::uint32_t connection);
  ServerEnd* server_end(unsigned loop, std::uint32_t connection);
  std::optional<std::uint32_t> new_connection();
  std::optional<std::uint32_t> reserve(unsigned loop, std::uint32_t client_id, unsigned server_loop);
  void dial(Peer& from, std::uint32_t id);
  void take_step(unsigned from, unsigned to, Step step);
  void post(unsigned from, unsigned to, Step step);
  void broadcast(unsigned from, const Step& step);
  void send(Peer& to, const Command& command);
  bool forward(Peer& to, std::uint32_t connection, const std::string& frame, bool from_client, bool& pause);
  void to_client(std::uint32_t connection, const std::string& frame);
  void to_server(std::uint32_t connection, const std::string& frame);
  void charge(Peer& to, std::uint32_t connection, const std::string& frame);
  void look(Peer& peer);
  void end_by_client(std::uint32_t connection, bool tell);
  void end_by_server(std::uint32_t connection, bool tell);
  void remove_client_end(std::uint32_t connection);
  void remove_server_end(std::uint32_t connection);
  void pause(std::uint32_t connection, bool on);
  void doom(Peer& peer);
  void settle(unsigned loop);
  void detach(Peer& peer);
  std::size_t known_on(unsigned loop) const;

  const SwitchOptions options_;
  std::vector<Peer> peers_;
  std::vector<unsigned> sent_to_;
  std::vector<Loop> loops_;
  std::vector<Box> boxes_;
  std::map<std::uint32_t, ClientEnd> client_ends_;
  std::map<std::uint32_t, ServerEnd> server_ends_;
  std::uint32_t next_connection_;
  std::uint64_t registrations_ = 0;
};

}  // namespace wayport::link::testing

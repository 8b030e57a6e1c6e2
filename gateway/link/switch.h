// Switch: the link gateway of one loop as a state machine (spec/link.md 5 to 9). Frames, events and time go in; frames,
// closes and mail for the other loops come out. No sockets, no clock, no threads: the host (the driver, or a test)
// supplies them.
//
//     loop A                                            loop B
//     client ---- end (24 bytes) ----- mail ----- end (28 bytes) ---- server
//                 of the client                   of the server
//
// A virtual connection has two ends, one on the loop of each of its physical connections; both may be the same loop. The
// server's end is the one that counts as the connection (dumps, owner of its existence); the client's end holds the
// place in ClientMaxConn. Who closes removes its end, tells its endpoint, and mails the other; what crosses that mail is
// dropped. Mail of one loop to another is read in the order of writing, and that alone gives Accept before data, Connect
// before data, Close last:
//
//   client dials   A knows the servers (a small table, the same on each loop but for mail under way), so it answers at
//                  once: Refuse, or Accept, and mails dial_server. B sends Connect, or mails close_to_client if the
//                  server has just gone. So answers to one client keep the order of its dials.
//   server dials   The client's id tells its loop. B mails dial_client; A looks the client up and takes a place and an
//                  id (dial_reserved), or not (dial_refused); B sends Accept and mails connect; A sends Connect. One id
//                  is always answered by the same loop, so answers keep the order, too.
//
// Use: handle_*() tells what happened, and calls the host back meanwhile; handle_frame() per frame, end_turn() once per
// turn, tick() at next_due(). A host call only notes what to do: it must not call the switch.
//
// Not thread-safe: everything on its loop. Allocates nothing per frame. Bounds: SwitchOptions (group.options()), each
// with a counter in counters().
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/base/intrusive_list.h"
#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/base/timer_wheel.h"
#include "wayport/framing/link/frame_reader.h"
#include "wayport/framing/link/packet.h"
#include "wayport/gateway/link/counters.h"
#include "wayport/gateway/link/group.h"
#include "wayport/gateway/link/id_table.h"
#include "wayport/gateway/link/mail.h"
#include "wayport/gateway/link/port.h"
#include "wayport/gateway/link/slab.h"

namespace wayport::link {

// What the switch needs from its surroundings. Called on the switch's loop, from inside its calls.
class SwitchHost {
 public:
  // Queues a whole frame for a connection, behind all that was sent before. It is expected to leave at the turn's end.
  virtual void send(Port& to, Bytes frame) = 0;  // copies
  virtual void send(Port& to, Chain&& frame) = 0;
  // How many of the bytes sent have not gone to the kernel (Stream::queued()).
  virtual std::size_t unsent(const Port& port) = 0;
  // SlowPolicy::pause: handle_frame() is not to be called for it while off. On at first.
  virtual void set_reading(Port& port, bool on) = 0;
  // Close the physical connection at once, without waiting for unsent bytes (the original drops them, too). Nothing is
  // sent to it from now; handle_closed() must follow, later.
  virtual void close(Port& port, const CloseReason& reason) = 0;
  // No frame came for the idle time-out. True: the host has dealt with it (snet breaks its current TCP connection and
  // waits for the next), and the time starts again. False: the connection is closed.
  virtual bool idle_expired(Port&) { return false; }
  // Call end_turn() at the end of this turn, and then move the outboxes on their way. Once per turn.
  virtual void turn_end_soon() = 0;

 protected:
  ~SwitchHost() = default;
};

// One virtual connection, for dumps.
struct VirtualInfo {
  std::uint32_t connection;
  std::uint32_t client_id;
  std::uint32_t server_id;
  unsigned client_loop;
};

class Switch {
 public:
  // `loop` < group.loops(): which of the group's switches this is. The group and the host outlive it.
  Switch(SwitchGroup& group, unsigned loop, SwitchHost& host, TimePoint now);
  // Drops all ports, without a word to anyone.
  ~Switch();
  Switch(const Switch&) = delete;
  Switch& operator=(const Switch&) = delete;

  // --- physical connections ---

  // One was accepted. A client is usable at once; a server sends frames after handle_authenticated(). nullptr: a bound is
  // reached (clients_max, handshakes_max), close it. `context` is the host's. The port lives until handle_closed().
  [[nodiscard]] Port* handle_opened(Side side, void* context, TimePoint now);
  // The server proved that it knows the key. False: it was closed meanwhile, or servers_max is reached.
  bool handle_authenticated(Port& server, std::uint32_t server_id, TimePoint now);
  // A whole frame came. False: do not give it more (closing, or paused; see port.closing() and port.paused()); what was
  // read and not decoded stays with the stream. A frame that has a chain may lose it.
  bool handle_frame(Port& from, Frame& frame, TimePoint now);
  // Its bytes are no frames (FrameReader's error), or its answer to the challenge is none: counts, and closes it.
  void handle_malformed(Port& from, const Error& error);
  // Its stream has room again (StreamEvents::on_writable).
  void handle_writable(Port& port);
  // The physical connection is gone, for whatever reason; frees the port.
  void handle_closed(Port& port);

  // --- other loops ---

  // Reads and clears `batch`, which `from` wrote; may keep its memory.
  void handle_mail(unsigned from, MailBatch& batch, TimePoint now);
  // What is for another loop, in order. At the end of a turn the driver moves it into the mailbox; if that is full, it
  // stays, grows, and is tried again next turn (mail_bytes_max bounds it).
  MailBatch& outbox(unsigned to) noexcept { return outboxes_[to]; }

  // --- turns and time ---

  // After the streams of this turn were flushed: asks the host what is left unsent of what was sent in this turn.
  void end_turn();
  // Runs what is due at `now`: idle time-outs, handshakes, looking at slow receivers.
  void tick(TimePoint now);
  // tick() has nothing to do before this.
  TimePoint next_due() const noexcept;

  // --- commands ---

  // Closes a physical connection for the host's own reasons.
  void close(Port& port, CloseReason reason);
  // All of them, as at the end of the program.
  void close_all(const CloseReason& reason);
  // While on, every dial is refused; what exists goes on.
  void set_draining(bool on) noexcept { draining_ = on; }

  // --- looking ---

  SwitchCounters& counters() noexcept { return counters_; }
  const SwitchCounters& counters() const noexcept { return counters_; }
  const SwitchOptions& options() const noexcept { return options_; }
  unsigned loop() const noexcept { return loop_; }
  std::size_t port_count() const noexcept { return ports_.size() - free_ports_.size(); }
  // Client's and server's ends on this loop.
  std::size_t client_ends() const noexcept { return client_ends_.size(); }
  std::size_t server_ends() const noexcept { return server_ends_.size(); }
  // Whom a dial of `server_id` by a client of this loop would reach: loop and registration.
  std::optional<std::pair<unsigned, std::uint64_t>> find_server(std::uint32_t server_id) const noexcept;
  template <class F>
  void for_each_port(F&& visit) const {
    for (const std::unique_ptr<Port>& port : ports_) {
      if (port) visit(static_cast<const Port&>(*port));
    }
  }
  // Those whose server is on this loop.
  template <class F>
  void for_each_virtual(F&& visit) const {
    server_table_.for_each([&](std::uint32_t connection, std::uint32_t slot) {
      const ServerEnd& end = server_ends_[slot];
      visit(VirtualInfo{connection, end.client_id, ports_[end.port]->id_, end.loop});
    });
  }
  // What virtual connections cost: tables and ends, free places included.
  std::size_t virtual_heap_bytes() const noexcept {
    return client_table_.heap_bytes() + server_table_.heap_bytes() + client_ends_.heap_bytes() +
           server_ends_.heap_bytes();
  }

 private:
  friend class Port;
  static constexpr std::uint32_t kNone = 0xffffffff;

  // The client's end of a virtual connection.
  struct ClientEnd {
    std::uint32_t connection = 0;
    std::uint32_t port = 0;  // of the client
    std::uint32_t next = 0;  // of that port's ends
    std::uint32_t previous = 0;
    std::uint32_t other = 0;  // the server's end, if that is on this loop
    std::uint16_t loop = 0;   // of the server
    bool announced = false;   // the client knows of it; false only between dial_reserved and connect
    bool paused = false;      // asks that the client is not read
  };
  static_assert(sizeof(ClientEnd) == 24);
  struct ServerEnd {
    std::uint32_t connection = 0;
    std::uint32_t port = 0;
    std::uint32_t next = 0;
    std::uint32_t previous = 0;
    std::uint32_t other = 0;  // the client's end, if that is on this loop
    std::uint32_t client_id = 0;
    std::uint32_t loop = 0;  // of the client
  };
  static_assert(sizeof(ServerEnd) == 28);
  // Who has a server id, on whichever loop.
  struct Registration {
    std::uint64_t number = 0;
    std::uint32_t port = 0;
    std::uint32_t loop = 0;
    std::uint32_t next = 0;  // Slab's
  };
  enum class Admission : std::uint8_t {
    take,
    take_and_pause,  // and do not read the sender
    close,           // the virtual connection
    gone,            // the receiver was cut
  };

  // --- switch.cc: ports, frames, the ends ---
  void handle_command(Port& from, Frame& frame);
  void data_from_client(Port& from, Frame& frame);
  void data_from_server(Port& from, Frame& frame);
  void close_from_client(Port& from, std::uint32_t connection);
  void close_from_server(Port& from, std::uint32_t connection);
  void foreign_data(Port& from, std::uint32_t connection);
  template <class End>
  void link_end(Slab<End>& ends, Port& port, std::uint32_t slot) noexcept;
  template <class End>
  void unlink_end(Slab<End>& ends, std::uint32_t slot) noexcept;
  std::uint32_t add_client_end(Port& client, std::uint32_t connection, unsigned server_loop);
  std::uint32_t add_server_end(Port& server, std::uint32_t connection, std::uint32_t client_id, unsigned client_loop);
  void remove_client_end(std::uint32_t slot);
  void remove_server_end(std::uint32_t slot);
  // Both ends go, as the named one wants; its own endpoint hears of it only if `tell`.
  void end_by_client(std::uint32_t slot, bool tell);
  void end_by_server(std::uint32_t slot, bool tell);
  // The port will be closed when the current event is done (settle()). Nothing is sent to it from now.
  void doom(Port& port, CloseReason reason);
  void start_closing(Port& port);
  void settle();
  void detach(Port& port);
  void on_port_timer(Port& port);
  void arm_idle(Port& port);
  Duration idle_timeout(const Port& port) const noexcept {
    return port.side_ == Side::client ? options_.client_idle_timeout : options_.server_idle_timeout;
  }

  // --- switch_dial.cc: dials, server ids, mail ---
  void dial_from_client(Port& client, std::uint32_t server_id);
  void dial_from_server(Port& server, std::uint32_t client_id);
  std::uint32_t reserve(std::uint32_t client_id, unsigned server_loop);
  std::uint32_t new_client_id() noexcept;
  void register_server(Port& server);
  void unregister_server(Port& server);
  void set_registration(std::uint32_t server_id, const Registration& registration);
  void erase_registration(std::uint32_t server_id, std::uint64_t number);
  void replaced(Port& server);
  void broadcast(const Mail& mail);
  void handle_server_mail(unsigned from, const Mail& mail);
  void handle_one(unsigned from, Mail& mail);
  // nullptr: gone.
  Port* server_of(const Mail& mail) noexcept;
  MailBatch& open_outbox(unsigned to);
  void mail(unsigned to, const Mail& command);
  bool mail_frame(unsigned to, MailKind kind, Frame& frame);

  // --- switch_queue.cc: sending, bounds, slow receivers ---
  const QueueLimits& limits(const Port& port) const noexcept {
    return port.side_ == Side::client ? options_.client_queue : options_.server_queue;
  }
  void send_command(Port& to, const Command& command);
  void forward_to_client(std::uint32_t slot, Frame& frame);
  void forward_to_server(std::uint32_t slot, Frame& frame);
  void send_frame(Port& to, Frame& frame, Counter& frames, Counter& bytes);
  Admission admit(Port& to, std::uint32_t connection, std::size_t size, bool from_client) {
    if (!to.backlog_ && to.queued_ + size <= limits(to).bytes_max && queued_ + size <= queued_max_) [[likely]] {
      return Admission::take;
    }
    return admit_slowly(to, connection, size, from_client);
  }
  Admission admit_slowly(Port& to, std::uint32_t connection, std::size_t size, bool from_client);
  bool make_room(std::size_t size);
  void charge(Port& to, std::uint32_t connection, std::size_t size);
  // Asks the host how much is unsent, and resumes whom that allows.
  void refresh(Port& port);
  void become_slow(Port& port);
  void forget_queue(Port& port) noexcept;
  void pause_client_end(std::uint32_t slot, bool on);
  void pause_client(Port& client, bool on);
  void count_ahead(Port& client, std::size_t size);
  void handle_mark_seen(std::uint32_t client_id);
  void pause_sender(std::uint32_t server_slot);
  void resume_sender(std::uint32_t connection);
  void ask_for_turn_end() {
    if (!std::exchange(turn_end_asked_, true)) host_.turn_end_soon();
  }

  SwitchGroup& group_;
  const SwitchOptions& options_;
  const unsigned loop_;
  SwitchHost& host_;
  SwitchCounters counters_;

  TimePoint now_;
  TimerWheel wheel_;
  TimePoint next_poll_ = kNever;  // of slow_

  std::vector<std::unique_ptr<Port>> ports_;  // by index
  std::vector<std::uint32_t> free_ports_;
  IdTable clients_;  // of this loop: id -> port
  std::uint64_t next_client_id_;
  IdTable servers_;  // of all loops: id -> registration
  Slab<Registration> registrations_;

  IdTable client_table_;  // connection -> client's end
  Slab<ClientEnd> client_ends_;
  IdTable server_table_;  // connection -> server's end
  Slab<ServerEnd> server_ends_;

  std::size_t queued_ = 0;        // the sum over ports
  const std::size_t queued_max_;  // this loop's share of process_bytes_max
  std::vector<Port*> touched_;    // sent to since end_turn(); null: gone
  List<Port> slow_;               // in the order of becoming so
  std::vector<std::pair<Port*, CloseReason>> doomed_;
  std::vector<MailBatch> outboxes_;  // by loop
  std::vector<MailBatch> spares_;    // by loop: empty, with the memory of what came from there
  bool turn_end_asked_ = false;
  bool draining_ = false;
  bool settling_ = false;
};

inline void Port::on_timer() { owner_.on_port_timer(*this); }

}  // namespace wayport::link

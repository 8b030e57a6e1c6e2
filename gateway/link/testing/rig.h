// Rig: a link gateway without sockets. Switches on one to several loops, wires to clients and servers, virtual time.
//
//     Rig rig;                                        // one loop
//     Wire& server = rig.server(123);                 // accepted and authenticated
//     Wire& client = rig.client();
//     rig.receive(client, command(Command::dial(123)));
//     EXPECT_EQ(client.take(), command(Command::accept(1, 123)));
//
// Everything that a call brings about has happened when it returns: mail is carried until none is left, turns end, and
// what was sent has left, except to wires that are stuck. With settings.manual_mail the test carries the mail.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/framing/link/frame_reader.h"
#include "wayport/framing/link/packet.h"
#include "wayport/gateway/link/mail.h"
#include "wayport/gateway/link/options.h"
#include "wayport/gateway/link/switch.h"

namespace wayport::link::testing {

std::string command(const Command& command);
std::string data(std::uint32_t connection, std::string_view payload);
// Whole frames of a stream of well-formed ones.
std::vector<std::string> frames_of(std::string_view stream);

// One physical connection.
struct Wire {
  // What the switch sent since the last take().
  std::string take() { return std::exchange(out, {}); }

  unsigned number = 0;  // in order of opening
  unsigned loop = 0;
  Side side = Side::client;
  Port* port = nullptr;  // null: gone, or never let in
  FrameReader reader{};
  std::string out{};
  std::string unread{};  // received, not decoded: paused or unfinished
  bool reading = true;
  bool closed = false;  // by the switch, for `reason`
  CloseReason reason{};
  bool stuck = false;      // keeps what was sent unsent
  std::size_t unsent = 0;  // bytes
};

struct RigSettings {
  SwitchOptions options{};
  unsigned loops = 1;
  std::uint32_t first_connection_id = 1;
  std::uint64_t hash_seed = 20261121;
  bool manual_mail = false;
};

class Rig {
 public:
  explicit Rig(RigSettings settings = {});
  ~Rig();
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  // Wires live as long as the rig. port == nullptr: it was not let in.
  Wire& open(Side side, unsigned loop = 0);
  Wire& client(unsigned loop = 0) { return open(Side::client, loop); }
  Wire& server(std::uint32_t id, unsigned loop = 0);
  bool authenticate(Wire& server, std::uint32_t id);
  // Bytes come from the peer, in pieces of at most `step` bytes.
  void receive(Wire& wire, std::string_view bytes, std::size_t step = SIZE_MAX);
  // The peer hangs up.
  void hang_up(Wire& wire);
  // `bytes` of what is unsent leave; the switch hears of it by itself, or at its next look.
  void drain(Wire& wire, std::size_t bytes, bool tell = true);
  // Time passes, in steps of at most a millisecond where something is due.
  void advance(Duration by);

  // --- for those who carry mail and end turns themselves ---
  void set_now(TimePoint now) { now_ = now; }
  TimePoint now() const { return now_; }
  void tick(unsigned loop);
  // What was sent has left, but for wires that are stuck; then the switch looks.
  void end_turn(unsigned loop);
  // Takes what a switch has for another. Batches are delivered in this order.
  void collect_mail(unsigned from, unsigned to);
  std::size_t batches(unsigned from, unsigned to) const { return mailbox(from, to).size(); }
  // Messages in the oldest batch. REQUIRES: there is one.
  std::size_t front_size(unsigned from, unsigned to) const { return mailbox(from, to).front().count(); }
  void deliver(unsigned from, unsigned to);
  // Everything above until nothing is left to do.
  void run_to_quiet();

  Switch& at(unsigned loop);
  unsigned loops() const { return group_.loops(); }
  SwitchGroup& group() { return group_; }
  const std::vector<std::unique_ptr<Wire>>& wires() const { return wires_; }
  // Closed by the switch, in this order, since the last call.
  std::vector<Wire*> take_closed() { return std::exchange(closed_, {}); }
  // To whom something was sent, by number and in this order, since the last call.
  std::vector<unsigned> take_sent_to() { return std::exchange(sent_to_, {}); }
  std::uint64_t sum(Counter SwitchCounters::* counter) const;
  std::int64_t sum(Gauge SwitchCounters::* gauge) const;
  // What the host answers when a wire idles: it lives on (snet).
  bool keep_idle = false;

 private:
  struct Host;
  const std::deque<MailBatch>& mailbox(unsigned from, unsigned to) const { return mailboxes_[from * loops() + to]; }
  void show(Wire& wire);
  // The physical connections that switches closed are gone.
  void bury();
  void finish();

  const bool manual_mail_;
  TimePoint now_{std::chrono::hours(1)};
  SwitchGroup group_;
  std::vector<std::unique_ptr<Host>> loops_;
  std::vector<std::unique_ptr<Wire>> wires_;
  std::vector<std::deque<MailBatch>> mailboxes_;
  std::vector<Wire*> closing_;
  std::vector<Wire*> closed_;
  std::vector<unsigned> sent_to_;
};

}  // namespace wayport::link::testing

// A client and a server of snet, the real cores of both, over a link that delivers late and in pieces and cuts, and with
// somebody without the key who repeats or invents a request. What they do is recorded as steps of
// spec/models/snet_reconnect.pml, for spec/models/trace.sh to judge: this checks nothing itself.
//
//   recorded                  read off
//   written, received         Session::counters()
//   generation                Session::generation(), less the one of the first handshake
//   sent                      what was written, less what resume() said is missing and was not yet handed down
//   last, carrier, c_ended    which connection the driver's part (below) uses; whether a core gave the session up
//   a byte that is read       its value as the application gets it, which is its position; NONE if it was skipped
//   a byte that is sent       its position, if it is as it was sent first; else NONE
//   counters that are told    the bytes of the request and of the answer
//
// The driver's part (who is closed when, where a piece goes) is small and here; that of the program is
// transport/snet/{reconnector,snet_server,snet_stream}. Time does not pass: whatever a timer would end ends at random.
// One byte of a stream is one message of the model, and so is each message of a handshake, which arrives in pieces here and
// counts when it is whole. Of the bytes that a core takes at once only the state before the first is known.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "wayport/base/chain.h"
#include "wayport/transport/snet/crypto.h"
#include "wayport/transport/snet/handshake.h"
#include "wayport/transport/snet/session.h"

namespace wayport::models {

inline constexpr int kNone = 255;  // NONE of the model

struct State {
  std::uint64_t c_written = 0, c_received = 0, c_sent = 0;
  bool c_ended = false;
  int last = 0;
  std::uint64_t s_written = 0, s_received = 0, s_sent = 0, s_generation = 0;
  int s_carrier = 0;
};

struct Row {
  std::string step;
  int connection = 0;
  std::array<std::string, 3> gives{"0", "0", "0"};
  std::optional<State> before{};
};

using Trace = std::vector<Row>;

// As trace.sh reads it.
std::string to_text(const Trace& trace);

// What the driver's part does wrong, so that the model has something to refuse.
enum class Fault : std::uint8_t {
  none,
  no_skip,         // tells its session that the peer knows of every byte
  freeze,          // the first proof takes the old connection away
  keep_old,        // goes on reading the old connection after a resume
  write_detached,  // writes without a connection
};

struct RecorderOptions {
  std::uint64_t seed = 1;
  std::size_t ring = 8;         // RING
  std::size_t wire = 8;         // WIRE: messages on their way, each direction of a connection
  int cuts = 5;                 // CUTS
  std::size_t bytes_max = 200;  // of each direction; less than UP and DOWN
  Fault fault = Fault::none;
};

class SnetRecorder {
 public:
  explicit SnetRecorder(const RecorderOptions& options);

  void act();     // a random one of the events that are possible now
  void settle();  // no more cuts and no new bytes: what is under way arrives
  // Nothing more can happen: the session was given up.
  bool over() const noexcept { return ended_; }
  // The trace so far, and its end.
  Trace trace() const;
  // Whether the fault has made a difference.
  bool went_wrong() const noexcept { return went_wrong_; }
  // What each application got is what the other wrote.
  bool caught_up() const { return server_read_ == client_wrote_ && client_read_ == server_wrote_; }

 private:
  struct Message {
    std::string bytes;
    std::size_t taken = 0;
  };
  struct Connection {
    std::deque<Message> up, down;
    bool cut = false;
    bool client_closed = false;
    bool server_closed = false;
    bool answered = false;
    std::uint32_t generation = 0;  // when it was answered
    std::optional<transport::snet::ServerHandshake> handshake;
  };

  State state() const;
  Row& record(std::string step, int connection);
  std::size_t random(std::size_t below) { return random_() % below; }
  Connection& connection(int k) { return connections_.at(k); }
  int forger() const noexcept { return 2 * options_.cuts + 1; }
  bool overtaken(const Connection& half) const noexcept {
    return half.answered && half.generation != server_.generation();
  }
  bool resuming() const { return carrier_ != kNone && carrier_ != last_ && connections_.at(last_).answered; }

  // Each is one kind of event. False: not possible now, and nothing happened.
  bool client_writes();
  bool server_writes();
  bool client_hands_down(std::size_t most);
  bool server_hands_down(std::size_t most);
  bool deliver_up(int k, std::size_t bytes);
  bool deliver_down(std::size_t bytes);
  bool network_cuts();
  bool client_sees_end();
  bool client_asks();
  bool server_sees_end(int k);
  bool server_closes_overtaken(int k);
  bool forger_asks();
  bool forger_proves();

  void at_server(int k, std::string bytes);
  void server_judges(int k);
  void server_proves(int k);
  void server_reads(int k, std::string bytes);
  void at_client(std::string bytes);
  void client_judges();
  void close_server(int k);
  void forget(int k);

  class Drawn final : public transport::snet::RandomSource {
   public:
    explicit Drawn(std::uint64_t seed) : random_(seed) {}
    void fill(MutableBytes bytes) override {
      for (std::byte& byte : bytes) byte = static_cast<std::byte>(random_());
    }

   private:
    std::mt19937_64 random_;
  };

  const RecorderOptions options_;
  std::mt19937_64 random_;
  Drawn drawn_;
  transport::snet::Session client_, server_;
  std::array<std::size_t, 18> weights_{};
  bool at_once_;  // whoever was overtaken is closed at once; else it happens to be, some time
  std::map<int, Connection> connections_;
  std::optional<transport::snet::ClientResume> resume_;
  std::string answer_;  // as far as it came
  int last_ = 0;
  bool client_on_ = true;
  int carrier_ = 0;
  int cuts_ = 0;
  bool ended_ = false;
  bool quiet_ = false;
  bool went_wrong_ = false;
  bool forger_proved_ = false;
  std::string overheard_;
  std::string client_missing_, server_missing_;  // to be sent again, and not yet handed down
  std::uint64_t client_sent_ = 0, server_sent_ = 0;
  std::string client_wire_, server_wire_;  // each byte as it was first sent
  std::string client_wrote_, server_wrote_, client_read_, server_read_;
  Trace rows_;
};

}  // namespace wayport::models

// Arena: the real switches and the reference are told the same, operation by operation, with mail between loops carried
// whenever it happens to be; they have to send the same frames to everyone, in the same order, and close the same.
//
// Besides, and without the reference: what arrives at each endpoint has to make sense to it. Data comes in order and
// whole, between Accept or Connect and Close; each dial has one answer; in the end both ends agree on what is open, and
// nothing is left behind when all have gone. A difference aborts (WAYPORT_ASSERT) with what differs on stderr.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "wayport/gateway/link/testing/reference.h"
#include "wayport/gateway/link/testing/rig.h"

namespace wayport::link::testing {

// Where an arena takes its decisions from: a random number generator, or the input of a fuzzer.
class Choices {
 public:
  virtual ~Choices() = default;
  // 0 <= result < limit; limit > 0.
  virtual std::uint32_t below(std::uint32_t limit) = 0;
};

class Arena {
 public:
  // Options, loops and the first connection id are chosen, too.
  explicit Arena(Choices& choices);
  ~Arena();

  // One operation, and the comparison.
  void step();
  // Everyone hangs up, all mail is read, nothing is left.
  void finish();

  // How often what happened, to see that all of it does.
  const std::map<std::string, std::uint64_t>& seen() const { return seen_; }

 private:
  // What an endpoint knows of a connection by what it was sent.
  struct View {
    bool open = false;
    bool was_open = false;
    std::uint32_t next_data = 0;  // number in the next frame
  };
  struct Endpoint {
    std::map<std::uint32_t, View> connections;
    std::map<std::uint32_t, std::size_t> dials;   // unanswered, by id
    std::map<std::uint32_t, std::uint32_t> sent;  // data frames, by connection
    std::map<std::uint32_t, std::size_t> strays;  // Close that may come for what is not there
  };

  static RigSettings settings(Choices& choices);
  bool chance(std::uint32_t of) { return choices_.below(of) == 0; }
  // A wire that is connected; null: there is none.
  Wire* any(bool readable);
  std::uint32_t any_connection();
  std::uint32_t server_id();
  std::uint32_t id_to_dial(Side dialer);
  void open_one();
  void authenticate_one();
  void send_frame(Wire& wire, const std::string& frame);
  void dial_one();
  void data_one();
  void close_one();
  void hostile_one();
  void drain_one();
  void collect_all(unsigned from);
  void deliver_one();
  void pass_time();
  void compare();
  void watch(Wire& wire, const std::string& out);
  void to_quiet();
  void check_agreement();

  Choices& choices_;
  const RigSettings settings_;
  Rig rig_;
  Reference reference_;
  std::vector<Endpoint> endpoints_;  // by number
  std::set<unsigned> stuck_;
  std::map<std::string, std::uint64_t> seen_;
};

}  // namespace wayport::link::testing

// Carrier: carries packets between the two devices of a Plumbing through two LinkEmulators, and obeys the lines that come to
// its control socket, until it is told to end.
//
// Not on base/loop.h: a link of 10 Gbit/s sends a packet each microsecond, and the loop's timers are of milliseconds. One
// thread, which sleeps in ppoll() with the resolution of the clock.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/base/socket.h"
#include "wayport/base/system_clock.h"
#include "wayport/integration/emulator/link_control.h"
#include "wayport/integration/emulator/link_emulator.h"
#include "wayport/integration/emulator/plumbing.h"

namespace wayport::emulator {

struct CarrierOptions {
  std::array<LinkOptions, 2> link;  // left, right
  std::uint64_t seed = 1;
  DirectionNames names = {"left", "right"};
};

// How long ask_control() waits each time for the link emulator to take a line or to answer.
inline constexpr std::chrono::milliseconds kControlPatience{5000};

// A listening control socket; a path, or "@name". A path is removed at the end. In the way may be the socket of this user's
// process that has ended, and nothing else.
class ControlSocket {
 public:
  static Result<ControlSocket> listen(const std::string& address);
  ControlSocket(ControlSocket&&) = default;
  ControlSocket& operator=(ControlSocket&&) = delete;
  ~ControlSocket();
  int fd() const noexcept { return fd_.get(); }

 private:
  ControlSocket() = default;
  Fd fd_;
  std::string path_;  // empty: nothing to remove
};
// Sends a line, returns the answer.
Result<std::string> ask_control(const std::string& address, const std::string& line,
                                std::chrono::milliseconds patience = kControlPatience);

class Carrier {
 public:
  static constexpr std::size_t kConnectionsMax = 16;  // on the control socket; above, the oldest one goes
  static constexpr std::size_t kPacketsPerTurnMax = 256;

  // SIGTERM and SIGINT are blocked, and `signals` is a signalfd of them.
  Carrier(Plumbing& plumbing, ControlSocket& control, int signals, const CarrierOptions& options);

  // Until a signal comes, or a device is taken away.
  Result<void> run();

 private:
  struct Connection {
    Fd fd;
    std::string line;
  };
  struct Direction {
    LinkEmulator link;
    std::uint64_t ignored = 0;       // packets of a family that the link does not carry
    std::uint64_t write_failed = 0;  // the kernel did not take them
  };

  Result<void> read_packets(std::size_t side);
  void write_packets(std::size_t side);
  void accept_connections();
  bool serve(Connection& connection);  // false: it is over
  MoreCounts more_counts(std::size_t side);

  Plumbing& plumbing_;
  ControlSocket& control_;
  const int signals_;
  SystemClock clock_;
  std::array<Direction, 2> directions_;
  LinkControl line_control_;
  std::vector<Connection> connections_;
  std::vector<std::byte> packet_;
};

}  // namespace wayport::emulator

// SocketListener: accepts from one listening stream socket and hands the connections out to loops. What tcp and unix
// share.
//
// Bounded per turn (kAcceptsPerTurn). At most ListenOptions::handshakes_max connections are on their way to other
// loops; then accepting rests until some have arrived. When the process or the system is out of descriptors or memory
// it never spins: one waiting connection is shed with a reserve descriptor, and accepting rests for 50 ms, doubling to
// 1 s.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "wayport/base/log.h"
#include "wayport/transport/drop_watch.h"
#include "wayport/transport/incoming_gate.h"
#include "wayport/transport/transports.h"

namespace wayport::transport {

// Makes an accepted socket one of ours (socket options, who the peer is). Runs on the connection's loop, perhaps on
// several at once.
using AdoptSocket = std::function<Result<PeerInfo>(int fd, const SocketAddress& remote)>;

class SocketListener final : public Listener, private FdEvents, private Timer, private DropWatched {
 public:
  static constexpr int kAcceptsPerTurn = 64;

  // `fd` is bound, listening and non-blocking.
  SocketListener(Loop& loop, Fd fd, Address address, const ListenOptions& options, AdoptSocket adopt);
  ~SocketListener() override;

  void start(OnIncoming on_incoming) override;
  void pause(bool paused) override;
  const Address& address() const noexcept override { return address_; }
  std::vector<int> inheritable_fds() const override;
  void take_back() override { handed_over_ = false; }
  void finish(std::move_only_function<void()> done) override;

 private:
  struct Shared;
  struct Finish;

  void on_fd(std::uint32_t events) override;
  void on_timer() override;

  // One connection of the queue. False: there was none, or accepting rests.
  bool accept_one();
  void hand_over(Fd fd, const SocketAddress& remote);
  void handle_exhaustion(int error);
  void rest(Duration how_long);
  void update_watch();
  void note(LogLevel level, std::string_view event, int error);

  Loop& loop_;
  const int backlog_;
  Fd fd_;
  Address address_;
  std::vector<Loop*> loops_;
  std::size_t next_loop_ = 0;
  Log* log_;
  LogLimit log_limit_;
  std::shared_ptr<Shared> shared_;
  Fd reserve_;
  Duration backoff_{0};
  bool started_ = false;
  bool paused_ = false;
  bool watched_ = false;
  mutable bool handed_over_ = false;
  std::shared_ptr<Finish> finish_;
};

}  // namespace wayport::transport

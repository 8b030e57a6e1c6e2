// What a Peer is made of: what its loops share, and each loop's share. Internal to rpc.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <unordered_set>
#include <utility>
#include <vector>

#include "wayport/base/task_group.h"
#include "wayport/rpc/peer.h"
#include "wayport/rpc/route_tree.h"
#include "wayport/rpc/session_table.h"

namespace wayport::rpc {

class PreSession;

// What all loops share. Owned together by the peer and by everything that may call back.
struct PeerShared {
  explicit PeerShared(PeerOptions peer_options, const transport::Transports& given)
      : options(std::move(peer_options)),
        transports(given),
        session_options(std::make_shared<const SessionOptions>(options.session)),
        table([this](const std::shared_ptr<SessionDriver>& session) { on_ended(session); }) {}

  const PeerOptions options;
  const transport::Transports transports;
  const std::shared_ptr<const SessionOptions> session_options;
  framing::CodecRegistry codecs;
  RouteTree routes;
  SessionTable table;
  std::atomic<bool> closing{false};   // sessions that still arrive are drained
  std::atomic<bool> aborting{false};  // they are rejected

 private:
  void on_ended(const std::shared_ptr<SessionDriver>& session);
};

// On loop 0. Shared with a graceful end, which may outlive the peer's interest.
struct Listening : std::enable_shared_from_this<Listening> {
  std::vector<std::unique_ptr<transport::Listener>> listeners;

  // `done` runs here once the last listener has finished.
  void finish(std::move_only_function<void()> done);
  // At once: who is connected and not a session yet is rejected.
  void clear();

 private:
  void one_finished();
  void tell();

  std::vector<std::move_only_function<void()>> waiting_;
  std::size_t open_ = 0;  // listeners that have not finished
  bool finishing_ = false;
};

// One dial in progress. Whoever sets `over` reports its outcome.
struct PendingDial {
  std::unique_ptr<transport::Dial> dial;
  std::move_only_function<void(Result<Session>)> done;
  std::shared_ptr<Canceler> canceler;
  PreSession* handshake = nullptr;  // while plugins talk before the session
  bool over = false;
};

// The AcceptGuards that have begun for one connection; they end with it.
class AcceptTicket {
 public:
  AcceptTicket(std::shared_ptr<const PeerShared> shared, const transport::PeerInfo& peer);
  ~AcceptTicket();
  AcceptTicket(const AcceptTicket&) = delete;
  AcceptTicket& operator=(const AcceptTicket&) = delete;

  const Status& status() const noexcept { return status_; }  // not ok: reject

 private:
  const std::shared_ptr<const PeerShared> shared_;
  transport::PeerInfo peer_;  // without its TLS part
  std::size_t begun_ = 0;
  Status status_;
};

// One loop's share of a peer; on its loop, but for the counters.
struct LoopState {
  LoopState(Loop& loop, Runtime& runtime, std::shared_ptr<PeerShared> all);

  // Coroutine handlers, and handshakes of plugins.
  void cancel_tasks();
  // A close has begun: handshakes that are under way get kHandshakeGrace, as those do that come yet.
  void hurry_handshakes();
  static constexpr Duration kHandshakeGrace = std::chrono::seconds(1);

  const std::shared_ptr<PeerShared> shared;
  framing::ProtocolContext context;
  SessionCounters counters;
  LogLimit protocol_errors;
  LogLimit handler_errors;
  LogLimit refused_handshakes;
  TaskGroup tasks;
  TaskGroup handshakes;       // of accepted connections
  TaskGroup dial_handshakes;  // of dialled ones; as many as the application dials
  std::unordered_set<PreSession*> open_handshakes;
  LoopEnvironment environment;
  std::unordered_set<std::shared_ptr<PendingDial>> dials;
};

void end_dial(LoopState& state, const std::shared_ptr<PendingDial>& pending, Result<Session> result);
void cancel_dials(LoopState& state);

// Runs `work` on the loop and waits for it; directly when called there.
void run_on(Loop& loop, std::move_only_function<void()> work);

}  // namespace wayport::rpc

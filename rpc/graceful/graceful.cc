#include "wayport/rpc/graceful/graceful.h"

#include <utility>

namespace wayport::rpc {

class Graceful::Served final : public transport::Drainable {
 public:
  explicit Served(Peer& peer) : peer_(peer) {}

  std::vector<int> hand_over_listeners() override { return peer_.hand_over_listeners(); }
  void take_back_listeners() override { peer_.take_back_listeners(); }
  void close_async(std::move_only_function<void()> done) override { peer_.close_async(std::move(done)); }
  std::size_t abort() override {
    const std::size_t sessions = peer_.session_count();
    peer_.abort_sessions();
    return sessions;
  }

 private:
  Peer& peer_;
};

Graceful::Graceful(const std::vector<Peer*>& peers) {
  for (Peer* const peer : peers) served_.push_back(std::make_unique<Served>(*peer));
}

Graceful::~Graceful() = default;

Result<std::unique_ptr<Graceful>> Graceful::start(Runtime& runtime, const std::vector<Peer*>& peers,
                                                  ProcessStart& start, GracefulOptions options) {
  std::unique_ptr<Graceful> graceful(new Graceful(peers));
  std::vector<transport::Drainable*> served;
  for (const std::unique_ptr<Served>& peer : graceful->served_) served.push_back(peer.get());
  WAYPORT_TRY_ASSIGN(graceful->process_,
                     transport::GracefulProcess::start(runtime, std::move(served), start, std::move(options)));
  return graceful;
}

}  // namespace wayport::rpc

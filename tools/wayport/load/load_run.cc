#include <algorithm>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "wayport/base/loop.h"
#include "wayport/base/timer_wheel.h"
#include "wayport/rpc/peer.h"
#include "wayport/rpc/pool/session_pool.h"
#include "wayport/tools/wayport/load/call_tally.h"
#include "wayport/tools/wayport/load/load.h"

namespace wayport::tools {
namespace {

// A call waits for a session, has its time, and may be made again; what has no outcome then, never gets one.
Duration outcome_time(const LoadRunOptions& options) { return 3 * options.timeout + std::chrono::seconds(10); }

std::string how(const rpc::Status& status) {
  return std::to_string(status.code) + (status.never_executed ? " not executed" : " in doubt");
}

// One client: a pool of one session, and places in each of which one call follows the other. On the pool's loop, but for what
// says otherwise.
class Client : public std::enable_shared_from_this<Client> {
 public:
  Client(rpc::Peer& peer, const LoadRunOptions& options, std::size_t index, std::uint64_t id)
      : options_(options), id_(id), pool_(peer, pool_options(options, index)) {
    for (std::size_t i = 0; i < options.outstanding; ++i) places_.push_back(std::make_unique<Place>(*this));
  }

  // Any thread. `done` runs on the loop once the last call has its outcome.
  void start(TimePoint due, std::function<void()> done) {
    due_ = due;
    last_reply_ = due - options_.time;
    done_ = std::move(done);
    pool_.loop().post([this] {
      padding_.assign(options_.padding, 'x');
      for (const auto& place : places_) call(*place);
    });
  }
  const rpc::SessionPoolCounters& counters() const noexcept { return pool_.counters(); }
  Loop& loop() const noexcept { return pool_.loop(); }
  // On the loop: no more calls.
  void end_soon() { due_ = TimePoint::min(); }
  // On the loop: what still comes is not counted, and `done` is not called any more.
  CallTally abandon() {
    abandoned_ = true;
    // They belong to the loop, and may be destroyed elsewhere.
    for (const auto& place : places_) loop().disarm(*place);
    return tally_;
  }

 private:
  struct Place final : Timer {
    explicit Place(Client& client) : client(client) {}
    void on_timer() override { client.call(*this); }
    Client& client;
  };

  static rpc::SessionPoolOptions pool_options(const LoadRunOptions& options, std::size_t index) {
    rpc::SessionPoolOptions pool;
    pool.addresses = options.addresses;
    std::ranges::rotate(pool.addresses,
                        pool.addresses.begin() + static_cast<std::ptrdiff_t>(index % options.addresses.size()));
    pool.backoff = {.min = std::chrono::milliseconds(20), .max = std::chrono::milliseconds(500)};
    pool.dial.timeout = std::chrono::seconds(3);
    pool.wait_max = options.timeout;
    return pool;
  }

  void call(Place& place) {
    if (pool_.loop().now() >= due_) {
      if (++ended_ == places_.size()) {
        // Silence until the end is a stall, too.
        tally_.add_stall(pool_.loop().now() - last_reply_);
        done_();
      }
      return;
    }
    std::string body = std::to_string(id_) + ":" + std::to_string(tally_.begun++) + ":" + padding_;
    rpc::PoolCallOptions call;
    call.call.timeout = options_.timeout;
    pool_.pull_async<std::string>("/load/once", body, call,
                                  [self = shared_from_this(), &place, body](const rpc::Reply<std::string>& reply) {
                                    self->take(place, body, reply);
                                  });
  }

  void take(Place& place, const std::string& body, const rpc::Reply<std::string>& reply) {
    if (abandoned_) return;
    const TimePoint now = pool_.loop().now();
    if (!reply.ok()) {
      ++tally_.failed[how(reply.status())];
    } else {
      ++(*reply == body ? tally_.replied : tally_.wrong);
      // The first one had to wait for the first dial, which nothing has disturbed.
      if (replied_once_) tally_.add_stall(now - last_reply_);
      replied_once_ = true;
      last_reply_ = now;
    }
    pool_.loop().arm(place, now + options_.pause);
  }

  const LoadRunOptions& options_;
  const std::uint64_t id_;
  rpc::SessionPool pool_;
  std::vector<std::unique_ptr<Place>> places_;
  CallTally tally_;
  TimePoint due_{};
  TimePoint last_reply_{};
  std::size_t ended_ = 0;
  bool replied_once_ = false;
  bool abandoned_ = false;
  std::string padding_;
  std::function<void()> done_;
};

}  // namespace

int load_run(Runtime& runtime, const LoadRunOptions& options, Console& console, Interrupt& interrupt) {
  rpc::Peer peer(runtime, {});
  if (const Result<void> started = peer.start(); !started) {
    console.err << "error: " << started.error().to_string() << "\n";
    return kExitFailure;
  }
  std::random_device random;
  std::vector<std::shared_ptr<Client>> clients;
  for (std::size_t i = 0; i < options.clients; ++i) {
    const std::uint64_t id = (std::uint64_t{random()} << 20) + i;
    clients.push_back(std::make_shared<Client>(peer, options, i, id));
  }
  std::size_t running = clients.size();
  std::mutex mutex;
  std::condition_variable changed;
  const TimePoint due = runtime.clock().now() + options.time;
  for (const auto& client : clients) {
    client->start(due, [&] {
      const std::lock_guard lock(mutex);
      --running;
      changed.notify_all();
    });
  }
  std::unique_lock lock(mutex);
  bool told = false;
  TimePoint hopeless = after(due, outcome_time(options));
  while (running != 0 && runtime.clock().now() < hopeless) {
    changed.wait_for(lock, std::chrono::milliseconds(100));
    if (!told && interrupt.raised()) {
      told = true;
      hopeless = std::min(hopeless, after(runtime.clock().now(), outcome_time(options)));
      for (const auto& client : clients) client->loop().post([&client = *client] { client.end_soon(); });
    }
  }
  lock.unlock();
  CallTally all;
  std::uint64_t dials = 0, dials_failed = 0, repeated = 0;
  for (const auto& client : clients) {
    std::promise<CallTally> tally;
    client->loop().post([&] { tally.set_value(client->abandon()); });
    all.add(tally.get_future().get());
    dials += client->counters().dials.read();
    dials_failed += client->counters().dials_failed.read();
    repeated += client->counters().pulls_repeated.read();
  }
  clients.clear();
  peer.close_blocking();
  std::string json = all.to_json();
  json.pop_back();
  console.out << "RESULT " << json << ",\"dials\":" << dials << ",\"dials_failed\":" << dials_failed
              << ",\"repeated\":" << repeated << "}" << std::endl;
  if (all.wrong != 0 || all.ended() != all.begun) {
    console.err << "error: " << all.wrong << " wrong replies, " << all.begun - all.ended()
                << " calls without outcome\n";
    return kExitFailure;
  }
  return kExitSuccess;
}

}  // namespace wayport::tools

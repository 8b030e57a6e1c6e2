#include "wayport/tools/bench/work_load.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "wayport/base/log.h"
#include "wayport/base/runtime.h"
#include "wayport/rpc/plugins/limiter/limiter.h"
#include "wayport/rpc/session_core.h"
#include "wayport/tools/bench/rpc_load.h"

namespace wayport::tools {
namespace {

constexpr const char* kWorkUri = "/work";
constexpr const char* kBlockUri = "/block";
constexpr const char* kRefusalsUri = "/refusals";

std::uint64_t cpu_ns() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

// CPU time, so that a call costs the same when the machine has other things to do.
void compute(std::chrono::microseconds time) {
  const std::uint64_t end = cpu_ns() + static_cast<std::uint64_t>(time.count()) * 1000;
  while (cpu_ns() < end) {
  }
}

// Whether a refusal is queued in the turn that read the request: a turn's time is read once.
class RefusalTurns final : public rpc::Plugin, public rpc::PostWriteReply {
 public:
  std::string_view name() const noexcept override { return "refusal_turns"; }
  rpc::Status post_write_reply(const rpc::OutgoingView& reply) override {
    if (reply.packet.header.status_code != rpc::code::kServiceUnavailable) return {};
    ++(reply.session.host().now() == reply.started ? same_ : later_);
    return {};
  }
  std::vector<std::uint64_t> counts() const { return {same_.load(), later_.load()}; }

 private:
  std::atomic<std::uint64_t> same_{0};
  std::atomic<std::uint64_t> later_{0};
};

}  // namespace

std::string to_argument(const WorkOptions& options) {
  return "work/" + std::to_string(options.work.count()) + "/" + std::to_string(options.block.count()) + "/" +
         std::to_string(options.turn_budget.count());
}

WorkOptions work_options_of(const std::string& argument) {
  long work = 0;
  long block = 0;
  long budget = 0;
  if (std::sscanf(argument.c_str(), "work/%ld/%ld/%ld", &work, &block, &budget) != 3) {
    throw std::invalid_argument("not the options of a work server: " + argument);
  }
  return {std::chrono::microseconds(work), std::chrono::microseconds(block), std::chrono::microseconds(budget)};
}

void add_work(rpc::Peer& peer, const WorkOptions& options) {
  if (options.turn_budget > std::chrono::microseconds::zero()) {
    peer.plugins().add(std::make_shared<rpc::plugins::CallLimiter>(
        rpc::plugins::CallLimiterOptions{.turn_budget = options.turn_budget}));
  }
  auto turns = std::make_shared<RefusalTurns>();
  peer.plugins().add(turns);
  rpc::Router router = peer.router();
  router.on_pull(kWorkUri, [time = options.work](rpc::RawBodyView body) {
    if (time > time.zero()) compute(time);
    return body;
  });
  router.on_pull(kBlockUri, [time = options.block] { std::this_thread::sleep_for(time); }, {.blocking = true});
  router.on_pull(kRefusalsUri, [turns] { return turns->counts(); });
}

struct WorkClient::Implementation {
  Implementation() : runtime({.loops = 1, .log = &null_log()}), peer(runtime, {.session = rpc_options()}) {}
  ~Implementation() {
    sessions.clear();
    peer.close_blocking();
  }

  void begin(const WorkLoad& wanted, std::promise<WorkRound>& promise) {
    finished = &promise;
    load = wanted;
    round = {};
    under_way = 0;
    blocking_due = 0;
    start = now_ns();
    end = start + static_cast<std::uint64_t>(load.load.time.count());
    pacer.emplace(load.load, start);
    if (pacer->open()) pace.emplace(runtime.loop(0), [this] { on_due(); });
    on_due();
  }

  void on_due() {
    pacer->send_due(now_ns(), [this](std::uint64_t due) {
      send(due);
      for (blocking_due += load.blocking; blocking_due >= 1; blocking_due -= 1) block();
    });
    if (pacer->open() && !pacer->all_sent()) pace->arm(pacer->next_due());
    finish_if_done();
  }

  void send(std::uint64_t due) {
    ++round.sent;
    ++under_way;
    next_session().pull_async<framing::RawBody>(kWorkUri, body, options, [this, due](const auto& reply) {
      const std::uint64_t now = now_ns();
      if (reply.ok()) {
        if (now <= end) round.done.add(now - due);
      } else if (reply.status().code == rpc::code::kServiceUnavailable &&
                 reply.status().origin == rpc::Status::Origin::remote) {
        if (now <= end) round.refused.add(now - due);
      } else {
        ++round.failed;
      }
      --under_way;
      pacer->reply(due, true, 0, [this](std::uint64_t next_due) { send(next_due); });
      finish_if_done();
    });
  }

  void block() {
    ++under_way;
    next_session().pull_async(kBlockUri, framing::NoBody(), options, [this](const auto& reply) {
      ++(reply.ok() ? round.blocked : round.failed);
      --under_way;
      finish_if_done();
    });
  }

  const rpc::Session& next_session() { return sessions[next++ % sessions.size()]; }

  // Later: this may be called by what it destroys.
  void finish_if_done() {
    if (!pacer->all_sent() || under_way != 0 || finished == nullptr) return;
    runtime.loop(0).post([this, promise = std::exchange(finished, nullptr)] {
      pace.reset();
      round.seconds = static_cast<double>(end - start) * 1e-9;
      promise->set_value(std::move(round));
    });
  }

  Runtime runtime;
  rpc::Peer peer;
  std::vector<rpc::Session> sessions;
  const framing::RawBody body{framing::kCodecString, std::string(40, 'x')};
  const rpc::CallOptions options{.body_codec = framing::kCodecProtobuf};
  // Of the round, on the loop.
  WorkLoad load;
  WorkRound round;
  std::optional<Pacer> pacer;
  std::optional<LoopPace> pace;
  std::promise<WorkRound>* finished = nullptr;
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  std::size_t under_way = 0;
  std::size_t next = 0;
  double blocking_due = 0;
};

WorkClient::WorkClient(std::unique_ptr<Implementation> implementation) : implementation_(std::move(implementation)) {}
WorkClient::~WorkClient() = default;

Result<std::unique_ptr<WorkClient>> WorkClient::connect(const std::string& address, std::size_t sessions) {
  auto implementation = std::make_unique<Implementation>();
  WAYPORT_TRY(implementation->peer.start());
  for (std::size_t i = 0; i < sessions; ++i) {
    WAYPORT_TRY_ASSIGN(rpc::Session session, implementation->peer.dial_blocking(address));
    implementation->sessions.push_back(std::move(session));
  }
  return std::unique_ptr<WorkClient>(new WorkClient(std::move(implementation)));
}

WorkRound WorkClient::run(const WorkLoad& load) {
  std::promise<WorkRound> promise;
  std::future<WorkRound> round = promise.get_future();
  implementation_->runtime.loop(0).post([&] { implementation_->begin(load, promise); });
  return round.get();
}

Result<std::array<std::uint64_t, 2>> WorkClient::refusals() {
  const rpc::Reply<std::vector<std::uint64_t>> reply =
      implementation_->sessions.front().pull_blocking<std::vector<std::uint64_t>>(kRefusalsUri, framing::NoBody(),
                                                                                  {.body_codec = framing::kCodecJson});
  if (!reply.ok() || reply->size() != 2) return fail(ErrorCode::internal, "/refusals: " + reply.status().to_string());
  return std::array{(*reply)[0], (*reply)[1]};
}

}  // namespace wayport::tools

#include "wayport/tools/bench/rpc_load.h"

#include <future>
#include <optional>
#include <utility>

#include "wayport/base/log.h"
#include "wayport/base/runtime.h"

namespace wayport::tools {
namespace {

class RpcClient final : public LoadClient {
 public:
  explicit RpcClient(const Exchange& exchange)
      : exchange_(exchange),
        runtime_({.loops = 1, .log = &null_log()}),
        peer_(runtime_, {.session = rpc_options()}),
        raw_(exchange.raw_request()) {}
  ~RpcClient() override {
    session_ = {};
    peer_.close_blocking();
  }

  Result<void> connect(const std::string& address) {
    WAYPORT_TRY(peer_.start());
    WAYPORT_TRY_ASSIGN(session_, peer_.dial_blocking(address));
    return {};
  }

  std::size_t request_bytes() const override { return exchange_.request_bytes(); }
  std::size_t reply_bytes() const override { return exchange_.reply_bytes(); }

  Result<Round> run(const Load& load) override {
    std::promise<Round> finished;
    std::future<Round> round = finished.get_future();
    session_.loop().post([&] {
      finished_ = &finished;
      pacer_.emplace(load, now_ns());
      if (pacer_->open()) pace_.emplace(session_.loop(), [this] { on_due(); });
      on_due();
    });
    return round.get();
  }

 private:
  void on_due() {
    pacer_->send_due(now_ns(), [this](std::uint64_t due) { send(due); });
    if (pacer_->open() && !pacer_->all_sent()) pace_->arm(pacer_->next_due());
    finish_if_done();
  }

  void send(std::uint64_t due) {
    const std::uint64_t number = next_number_++;
    if (exchange_.kind == BodyKind::raw) {
      Exchange::number_raw(raw_, number);
      session_.pull_async<framing::RawBody>(kEchoUri, raw_, options_, [this, due, number](const auto& reply) {
        if (!reply.ok()) return failed();
        const std::uint64_t got = exchange_.raw_number(as_bytes(reply->bytes));
        replied(due, got == number && reply->codec_id == framing::kCodecString, got);
      });
    } else {
      Exchange::number_sum(sum_, number);
      session_.pull_async<Sum>(kSumUri, sum_, options_, [this, due, number](const auto& reply) {
        if (!reply.ok()) return failed();
        replied(due, reply->a() == Exchange::expected_sum(number), static_cast<std::uint64_t>(reply->a()));
      });
    }
  }

  void replied(std::uint64_t due, bool right, std::uint64_t content) {
    pacer_->reply(due, right, content, [this](std::uint64_t next) { send(next); });
    finish_if_done();
  }
  void failed() {
    pacer_->failed();
    finish_if_done();
  }

  // Later: this may be called by what it destroys.
  void finish_if_done() {
    if (!pacer_->done() || finished_ == nullptr) return;
    session_.loop().post([this, finished = std::exchange(finished_, nullptr)] {
      pace_.reset();
      finished->set_value(pacer_->finish());
    });
  }

  const Exchange exchange_;
  Runtime runtime_;
  rpc::Peer peer_;
  rpc::Session session_;
  const rpc::CallOptions options_{.body_codec = framing::kCodecProtobuf};
  std::uint64_t next_number_ = 1;
  framing::RawBody raw_;
  Sum sum_;
  std::optional<Pacer> pacer_;
  std::optional<LoopPace> pace_;
  std::promise<Round>* finished_ = nullptr;
};

}  // namespace

rpc::SessionOptions rpc_options() {
  rpc::SessionOptions options;
  options.header_codec = framing::kCodecProtobuf;
  options.body_codec = framing::kCodecProtobuf;
  return options;
}

void add_routes(rpc::Router router) {
  router.on_pull(kEchoUri, [](rpc::RawBodyView body) { return body; });
  router.on_pull(kSumUri, [](const Sum& request) { return Exchange::add(request); });
}

Result<std::unique_ptr<LoadClient>> connect_rpc(const std::string& address, const Exchange& exchange) {
  auto client = std::make_unique<RpcClient>(exchange);
  WAYPORT_TRY(client->connect(address));
  return client;
}

}  // namespace wayport::tools

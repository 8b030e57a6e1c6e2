#include "wayport/tools/bench/packet_load.h"

#include <deque>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "wayport/base/loop.h"
#include "wayport/framing/body_ops.h"
#include "wayport/framing/codec.h"
#include "wayport/framing/codec_registry.h"
#include "wayport/framing/packet.h"
#include "wayport/rpc/packets/packet_stream.h"
#include "wayport/transport/address.h"
#include "wayport/transport/default_transports.h"
#include "wayport/transport/stream.h"

namespace wayport::tools {
namespace {

using framing::OutgoingBody;
using framing::OutgoingPacket;
using framing::PacketView;

// What the connections of one loop share.
struct Wire {
  framing::CodecRegistry codecs;
  rpc::PacketEnvironment environment{codecs};

  void set_body(OutgoingPacket& packet, const Sum& sum) {
    packet.body.form = OutgoingBody::Form::value;
    packet.body.codec = codecs.find(framing::kCodecProtobuf);
    packet.body.value = {&framing::body_ops<Sum>(), &sum};
  }
};

// All connections of a server.
class ServedStreams final : public rpc::PacketEvents {
 public:
  explicit ServedStreams(Wire& wire) : wire_(wire) {}
  void add(std::unique_ptr<transport::Stream> stream) {
    const auto added = rpc::PacketStream::create(std::move(stream), wire_.environment, *this);
    streams_.emplace(added.get(), added);
  }

 private:
  bool on_packet(rpc::PacketStream& stream, const PacketView& request) override {
    if (const Result<void> answered = answer(stream, request); !answered) {
      stream.close({CloseReason::By::local, answered.error()});
    }
    return true;
  }
  Result<void> answer(rpc::PacketStream& stream, const PacketView& request) {
    OutgoingPacket reply = reply_packet(request.header);
    Sum sum;
    if (request.header.uri == kSumUri) {
      WAYPORT_TRY(stream.decode_to(request, sum));
      sum = Exchange::add(sum);
      wire_.set_body(reply, sum);
    } else {
      reply.body.form = OutgoingBody::Form::verbatim;
      reply.body.bytes = request.body_with_codec;
    }
    return stream.send(reply);
  }
  void on_writable(rpc::PacketStream&) override {}
  void on_read_end(rpc::PacketStream& stream) override {
    stream.close(CloseReason::peer(ErrorCode::peer_closed, "the client left"));
  }
  void on_closed(rpc::PacketStream& stream, const CloseReason&) override { streams_.erase(&stream); }

  Wire& wire_;
  std::map<const rpc::PacketStream*, std::shared_ptr<rpc::PacketStream>> streams_;
};

class PacketClient final : public LoadClient, private rpc::PacketEvents {
 public:
  explicit PacketClient(const Exchange& exchange) : exchange_(exchange), raw_(exchange.raw_request()) {}

  Result<void> connect(const std::string& text) {
    WAYPORT_TRY_ASSIGN(const transport::Address address, transport::Address::parse(text));
    std::optional<Result<std::unique_ptr<transport::Stream>>> dialed;
    const auto dial = transports_.dial(loop_, address, {}, [&](auto result) {
      dialed.emplace(std::move(result));
      loop_.stop();
    });
    loop_.run();
    WAYPORT_TRY_ASSIGN(std::unique_ptr<transport::Stream> stream, *std::move(dialed));
    stream_ = rpc::PacketStream::create(std::move(stream), wire_.environment, *this);
    return {};
  }

  std::size_t request_bytes() const override { return exchange_.request_bytes(); }
  std::size_t reply_bytes() const override { return exchange_.reply_bytes(); }

  Result<Round> run(const Load& load) override {
    pacer_.emplace(load, now_ns());
    std::optional<LoopPace> pace;
    const auto on_due = [&] {
      pacer_->send_due(now_ns(), [this](std::uint64_t due) { send(due); });
      if (pacer_->open() && !pacer_->all_sent()) pace->arm(pacer_->next_due());
      if (pacer_->done()) loop_.stop();
    };
    if (pacer_->open()) pace.emplace(loop_, on_due);
    on_due();
    loop_.run();
    if (broken_) return fail(*broken_);
    return pacer_->finish();
  }

 private:
  void send(std::uint64_t due) {
    const std::uint64_t number = next_number_++;
    OutgoingPacket packet = pull_packet(exchange_, number);
    if (exchange_.kind == BodyKind::raw) {
      Exchange::number_raw(raw_, number);
      packet.body.form = OutgoingBody::Form::encoded;
      packet.body.codec_id = raw_.codec_id;
      packet.body.bytes = as_bytes(raw_.bytes);
    } else {
      Exchange::number_sum(sum_, number);
      wire_.set_body(packet, sum_);
    }
    dues_.push_back(due);
    if (!stream_->send(packet)) pacer_->failed();
  }

  bool on_packet(rpc::PacketStream&, const PacketView& packet) override {
    const std::uint64_t number = expected_number_++;
    bool right = packet.header.seq == number && packet.header.type == framing::kTypeReply;
    std::uint64_t content = 0;
    if (exchange_.kind == BodyKind::raw) {
      content = exchange_.raw_number(packet.body);
      right &= content == number;
    } else {
      Sum sum;
      right &= stream_->decode_to(packet, sum).has_value() && sum.a() == Exchange::expected_sum(number);
      content = static_cast<std::uint64_t>(sum.a());
    }
    const std::uint64_t due = dues_.front();
    dues_.pop_front();
    pacer_->reply(due, right, content, [this](std::uint64_t next) { send(next); });
    if (pacer_->done()) loop_.stop();
    return true;
  }
  void on_writable(rpc::PacketStream&) override {}
  void on_read_end(rpc::PacketStream&) override {
    stream_->close(CloseReason::peer(ErrorCode::peer_closed, "the server left"));
  }
  void on_closed(rpc::PacketStream&, const CloseReason& reason) override {
    broken_ = reason.error;
    loop_.stop();
  }

  const Exchange exchange_;
  Loop loop_;
  const transport::Transports transports_ = transport::default_transports();
  Wire wire_;
  std::shared_ptr<rpc::PacketStream> stream_;
  std::optional<Error> broken_;
  std::uint64_t next_number_ = 1;
  std::uint64_t expected_number_ = 1;
  std::deque<std::uint64_t> dues_;
  framing::RawBody raw_;
  Sum sum_;
  std::optional<Pacer> pacer_;
};

}  // namespace

struct PacketServer::Implementation {
  Loop loop;
  transport::Transports transports = transport::default_transports();
  Wire wire;
  ServedStreams streams{wire};
  std::vector<std::unique_ptr<transport::Listener>> listeners;

  Result<std::string> listen(const std::string& text) {
    WAYPORT_TRY_ASSIGN(const transport::Address address, transport::Address::parse(text));
    WAYPORT_TRY_ASSIGN(std::unique_ptr<transport::Listener> listener, transports.listen(loop, address, {}));
    listener->start([this](std::unique_ptr<transport::Incoming> incoming) { streams.add(incoming->accept()); });
    listeners.push_back(std::move(listener));
    return listeners.back()->address().to_string();
  }
};

PacketServer::PacketServer() : implementation_(std::make_unique<Implementation>()) {
  thread_ = std::thread([this] { implementation_->loop.run(); });
}

PacketServer::~PacketServer() {
  implementation_->loop.stop();
  thread_.join();
}

Result<std::string> PacketServer::listen(const std::string& address) {
  std::promise<Result<std::string>> bound;
  auto result = bound.get_future();
  implementation_->loop.post([&] { bound.set_value(implementation_->listen(address)); });
  return result.get();
}

Result<std::unique_ptr<LoadClient>> connect_packets(const std::string& address, const Exchange& exchange) {
  auto client = std::make_unique<PacketClient>(exchange);
  WAYPORT_TRY(client->connect(address));
  return client;
}

}  // namespace wayport::tools

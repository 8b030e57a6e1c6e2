// What one small packet costs (run with --config=rel):
//   Decode, Encode       a packet of 64 bytes, protobuf or json header
//   Read                 50 such packets in one push, through PacketReader, per packet
//   DecodeEscapedUri     a json header whose uri has to be unescaped
// Each also reports allocations per packet, which must be 0.
#include <benchmark/benchmark.h>

#include <string>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/framing/codec_registry.h"
#include "wayport/framing/packet_reader.h"
#include "wayport/framing/teleport/protocol.h"
#include "wayport/framing/testing/allocation_count.h"

namespace wayport::framing {
namespace {

const CodecRegistry kCodecs;

OutgoingPacket packet_of_64_bytes(std::uint8_t header_codec) {
  static const std::string text(64, 'x');
  OutgoingPacket packet{{.seq = 1'000'000, .type = kTypePull, .uri = "/home/echo"}, header_codec, {}};
  const std::size_t fixed = header_codec == 'p' ? 4 + 1 + 18 + 4 + 1 : 4 + 1 + 44 + 4 + 1;
  packet.body = {.form = OutgoingBody::Form::encoded, .bytes = as_bytes(text).first(64 - fixed), .codec_id = 's'};
  return packet;
}
std::string encoded(const OutgoingPacket& packet) {
  ProtocolContext context{kCodecs};
  Chain to;
  if (!teleport_protocol().encode(packet, context, to)) std::abort();
  return to.to_string();
}

// Counts what runs while it lives; says so at the end.
class Allocations {
 public:
  explicit Allocations(benchmark::State& state) : state_(state), before_(testing::allocation_count()) {}
  ~Allocations() {
    const auto count = static_cast<double>(testing::allocation_count() - before_);
    state_.counters["allocations"] = benchmark::Counter(count, benchmark::Counter::kAvgIterations);
    if (count > 1000 && count > 0.01 * static_cast<double>(state_.iterations())) state_.SkipWithError("it allocates");
  }

 private:
  benchmark::State& state_;
  std::uint64_t before_;
};

void decode(benchmark::State& state, const std::string& bytes) {
  const Protocol& protocol = teleport_protocol();
  ProtocolContext context{kCodecs};
  Allocations allocations(state);
  for (auto _ : state) {
    DecodeState decoding;
    PacketView packet;
    const Result<std::size_t> taken = protocol.decode(as_bytes(bytes), context, decoding, packet);
    benchmark::DoNotOptimize(packet);
    if (!taken || *taken != bytes.size()) return state.SkipWithError("not decoded");
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}
void encode(benchmark::State& state, const OutgoingPacket& packet) {
  const Protocol& protocol = teleport_protocol();
  ProtocolContext context{kCodecs};
  Chain to;
  Allocations allocations(state);
  for (auto _ : state) {
    if (!protocol.encode(packet, context, to)) return state.SkipWithError("not encoded");
    if (to.size() >= 32 * 1024) to.clear();  // as a flush would
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

void DecodeProtobufHeader(benchmark::State& state) { decode(state, encoded(packet_of_64_bytes('p'))); }
void DecodeJsonHeader(benchmark::State& state) { decode(state, encoded(packet_of_64_bytes('j'))); }
void DecodeEscapedUri(benchmark::State& state) {
  decode(state, encoded({{.seq = 7, .type = kTypePull, .uri = "/home/echo?a=1&b=2"}, 'j', {}}));
}
void EncodeProtobufHeader(benchmark::State& state) { encode(state, packet_of_64_bytes('p')); }
void EncodeJsonHeader(benchmark::State& state) { encode(state, packet_of_64_bytes('j')); }

void Read(benchmark::State& state) {
  const std::string one = encoded(packet_of_64_bytes('p'));
  std::string push;
  for (int i = 0; i < 50; ++i) push += one;
  ProtocolContext context{kCodecs};
  PacketReader reader;
  std::size_t count = 0;
  Allocations allocations(state);
  for (auto _ : state) {
    const Result<std::size_t> consumed =
        reader.read(as_bytes(push), teleport_protocol(), context, [&count](const PacketView& packet) {
          count += packet.header.seq == 1'000'000;
          return true;
        });
    if (!consumed || *consumed != push.size()) return state.SkipWithError("not read");
  }
  if (count != 50 * static_cast<std::size_t>(state.iterations())) state.SkipWithError("packets are missing");
  state.SetItemsProcessed(50 * static_cast<std::int64_t>(state.iterations()));
}

BENCHMARK(DecodeProtobufHeader);
BENCHMARK(DecodeJsonHeader);
BENCHMARK(DecodeEscapedUri);
BENCHMARK(EncodeProtobufHeader);
BENCHMARK(EncodeJsonHeader);
BENCHMARK(Read);

}  // namespace
}  // namespace wayport::framing

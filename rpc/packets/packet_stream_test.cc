#include "wayport/rpc/packets/packet_stream.h"

#include <gmock/gmock.h>
#include <google/protobuf/wrappers.pb.h>
#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "wayport/framing/flatbuffer.h"
#include "wayport/framing/jsonl/protocol.h"
#include "wayport/framing/testing/allocation_count.h"
#include "wayport/rpc/packets/packet_test_generated.h"
#include "wayport/transport/testing/fragmenting_stream.h"
#include "wayport/transport/testing/memory_stream.h"
#include "wayport/transport/testing/recorder.h"

namespace wayport::rpc {
namespace {

using framing::NoBody;
using framing::OutgoingPacket;
using framing::PacketHeader;
using framing::PacketView;
using framing::RawBody;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using transport::FragmentingStream;
using transport::MemoryOptions;
using transport::MemoryPair;
using transport::RecordingEvents;

using namespace std::chrono_literals;

struct Recorded final : PacketEvents {
  std::vector<std::uint64_t> seqs;
  std::vector<std::string> texts;  // of string bodies
  std::size_t writables = 0;
  std::size_t read_ends = 0;
  std::size_t closes = 0;
  std::optional<CloseReason> closed;
  std::function<bool(PacketStream&, const PacketView&)> then_packet;
  std::function<void(PacketStream&)> then_writable, then_read_end, then_closed;

  bool on_packet(PacketStream& stream, const PacketView& packet) override {
    EXPECT_EQ(closes, 0u);
    seqs.push_back(packet.header.seq);
    if (packet.body_codec == framing::kCodecString) {
      texts.push_back(stream.decode<std::string>(packet).value_or("undecodable"));
    }
    // The callback may destroy the function it is in.
    const auto then = then_packet;
    return !then || then(stream, packet);
  }
  void on_writable(PacketStream& stream) override {
    ++writables;
    if (const auto then = then_writable) then(stream);
  }
  void on_read_end(PacketStream& stream) override {
    ++read_ends;
    if (const auto then = then_read_end) then(stream);
  }
  void on_closed(PacketStream& stream, const CloseReason& reason) override {
    ++closes;
    closed = reason;
    if (const auto then = then_closed) then(stream);
  }
};

PacketHeader header_of(std::uint64_t seq, std::int32_t gzip = 0) {
  return {.seq = seq, .type = framing::kTypePush, .uri = "/a", .gzip = gzip};
}

class ThrowingCodec final : public framing::Codec {
 public:
  std::uint8_t id() const noexcept override { return 't'; }
  std::string_view name() const noexcept override { return "throwing"; }
  Result<void> encode(const framing::BodyView&, Chain& to) const override {
    to.append(std::string_view("half"));
    throw std::runtime_error("cannot encode");
  }
  Result<void> decode(Bytes, const framing::BodyTarget&) const override { throw std::runtime_error("cannot decode"); }
};

class PacketStreamTest : public ::testing::Test {
 protected:
  // Both ends packet streams.
  void make(PacketStreamOptions a_options = {}, PacketStreamOptions b_options = {}, const MemoryOptions& memory = {}) {
    MemoryPair pair = transport::make_memory_pair(loop, loop, memory);
    a = PacketStream::create(std::move(pair.a), environment, a_events, std::move(a_options));
    b = PacketStream::create(std::move(pair.b), environment, b_events, std::move(b_options));
  }
  // One end is bytes.
  void make_raw(PacketStreamOptions options = {}, const MemoryOptions& memory = {}) {
    MemoryPair pair = transport::make_memory_pair(loop, loop, memory);
    a = PacketStream::create(std::move(pair.a), environment, a_events, std::move(options));
    raw = std::move(pair.b);
    raw->start(raw_events);
  }
  // What a packet stream sends when `send` has run.
  std::string bytes_of(const std::function<void(PacketStream&)>& send, PacketStreamOptions options = {}) {
    MemoryPair pair = transport::make_memory_pair(loop, loop);
    Recorded events;
    RecordingEvents bytes;
    const auto stream = PacketStream::create(std::move(pair.a), environment, events, std::move(options));
    pair.b->start(bytes);
    send(*stream);
    loop.drain();
    return bytes.received;
  }
  static void send_text(PacketStream& stream, std::uint64_t seq, const std::string& text, std::int32_t gzip = 0) {
    const Result<void> sent = stream.send_value(header_of(seq, gzip), framing::kCodecString, text);
    EXPECT_TRUE(sent) << sent.error().to_string();
  }
  std::string text_packet(std::uint64_t seq, const std::string& text, std::int32_t gzip = 0) {
    return bytes_of([&](PacketStream& stream) { send_text(stream, seq, text, gzip); });
  }

  ManualClock clock;
  Loop loop{LoopOptions{.clock = &clock}};
  framing::CodecRegistry codecs;
  PacketEnvironment environment{codecs};
  Recorded a_events, b_events;
  RecordingEvents raw_events;
  std::shared_ptr<PacketStream> a, b;
  std::unique_ptr<transport::Stream> raw;
};

TEST_F(PacketStreamTest, CarriesEveryCodecPlainAndCompressed) {
  for (const std::int32_t gzip : {0, 6}) {
    make();
    google::protobuf::StringValue message;
    message.set_value(std::string(300, 'p'));
    flatbuffers::FlatBufferBuilder builder;
    builder.Finish(test::CreateMoveDirect(builder, "knight", 42));
    const framing::FlatBuffer<test::Move> move(std::move(builder));
    EXPECT_TRUE(a->send_value(header_of(1, gzip), framing::kCodecJson, std::vector<int>{1, 2, 3}));
    EXPECT_TRUE(a->send_value(header_of(2, gzip), framing::kCodecProtobuf, message));
    EXPECT_TRUE(a->send_value(header_of(3, gzip), framing::kCodecString, std::string(500, 's')));
    EXPECT_TRUE(a->send_value(header_of(4, gzip), framing::kCodecFlatbuffers, move));
    EXPECT_TRUE(a->send_value(header_of(5), 0, RawBody{'x', "raw"}));
    EXPECT_TRUE(a->send_value(header_of(6), 0, NoBody{}));
    EXPECT_TRUE(a->send_empty(header_of(7)));
    std::size_t right = 0;
    b_events.then_packet = [&](PacketStream& stream, const PacketView& packet) {
      EXPECT_EQ(packet.header.uri, "/a");
      switch (packet.header.seq) {
        case 1:
          right += stream.decode<std::vector<int>>(packet).value() == std::vector<int>{1, 2, 3};
          break;
        case 2:
          right += stream.decode<google::protobuf::StringValue>(packet).value().value() == message.value();
          break;
        case 3:
          right += stream.decode<std::string>(packet).value() == std::string(500, 's');
          break;
        case 4: {
          framing::FlatBuffer<test::Move> received;
          EXPECT_TRUE(stream.decode_to(packet, received));
          right += received->x() == 42;
          break;
        }
        case 5:
          right += stream.decode<RawBody>(packet).value() == RawBody{'x', "raw"};
          break;
        default:
          right += !packet.has_body_codec;
      }
      return true;
    };
    b_events.seqs.clear();
    loop.drain();
    EXPECT_EQ(right, 7u);
    EXPECT_THAT(b_events.seqs, ElementsAre(1, 2, 3, 4, 5, 6, 7));
  }
  EXPECT_EQ(environment.counters.packets_read.read(), 14u);
  EXPECT_EQ(environment.counters.packets_written.read(), 14u);
  EXPECT_EQ(environment.counters.bytes_read.read(), environment.counters.bytes_written.read());
}

TEST_F(PacketStreamTest, AnotherProtocol) {
  PacketStreamOptions options{.protocol = &framing::jsonl_protocol()};
  make(options, options);
  send_text(*a, 9, "line");
  loop.drain();
  EXPECT_THAT(b_events.texts, ElementsAre("line"));
}

TEST_F(PacketStreamTest, EverySplitGivesTheSamePackets) {
  const std::string large(70'000, 'l');
  const std::string bytes = text_packet(1, "one") + text_packet(2, std::string(80, 'z'), 5) + text_packet(3, "three");
  for (std::size_t size = 1; size <= bytes.size(); ++size) {
    MemoryPair pair = transport::make_memory_pair(loop, loop);
    Recorded events;
    const auto stream = PacketStream::create(
        std::make_unique<FragmentingStream>(std::move(pair.a), std::vector<std::size_t>{size}), environment, events);
    pair.b->start(raw_events);
    pair.b->write(transport::chain_of(bytes));
    loop.drain();
    EXPECT_THAT(events.texts, ElementsAre("one", std::string(80, 'z'), "three")) << "pieces of " << size;
  }
  // Larger than what is decoded in place.
  MemoryPair pair = transport::make_memory_pair(loop, loop);
  Recorded events;
  const auto stream = PacketStream::create(
      std::make_unique<FragmentingStream>(std::move(pair.a), std::vector<std::size_t>{999, 1}), environment, events);
  pair.b->start(raw_events);
  pair.b->write(transport::chain_of(text_packet(1, large) + text_packet(2, "after")));
  loop.drain();
  EXPECT_THAT(events.texts, ElementsAre(large, "after"));
}

TEST_F(PacketStreamTest, PacketLimit) {
  make_raw({.limits = {.packet_bytes_max = 2000}});
  raw->write(transport::chain_of(text_packet(1, std::string(1000, 'x'))));
  loop.drain();
  EXPECT_THAT(a_events.seqs, ElementsAre(1));
  raw->write(transport::chain_of(text_packet(2, std::string(3000, 'x')) + text_packet(3, "never")));
  loop.drain();
  EXPECT_THAT(a_events.seqs, ElementsAre(1));
  ASSERT_EQ(a_events.closes, 1u);
  EXPECT_EQ(a_events.closed->error.code, ErrorCode::too_large);
  EXPECT_EQ(a_events.closed->by, CloseReason::By::local);
  EXPECT_THAT(a_events.closed->error.detail, HasSubstr("mem://"));
  EXPECT_EQ(environment.counters.read_errors.read(), 1u);
}

TEST_F(PacketStreamTest, InflatedLimitOfEachStream) {
  make({.limits = {.inflated_bytes_max = 999}}, {.limits = {.inflated_bytes_max = 1000}});
  const std::string text(1000, 'x');
  send_text(*a, 1, text, 6);
  send_text(*b, 2, text, 6);
  std::optional<Error> refused;
  a_events.then_packet = [&](PacketStream& stream, const PacketView& packet) {
    const Result<std::string> decoded = stream.decode<std::string>(packet);
    if (!decoded) refused = decoded.error();
    return true;
  };
  loop.drain();
  EXPECT_THAT(b_events.texts, ElementsAre(text));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, ErrorCode::too_large);
  EXPECT_TRUE(a->open()) << "a body that cannot be decoded does not end the stream";
}

TEST_F(PacketStreamTest, MalformedInputClosesWithTheReason) {
  make_raw();
  raw->write(transport::chain_of(text_packet(1, "good") + std::string(64, '\xff')));
  loop.drain();
  EXPECT_THAT(a_events.texts, ElementsAre("good"));
  ASSERT_EQ(a_events.closes, 1u);
  EXPECT_THAT((std::vector{ErrorCode::malformed, ErrorCode::too_large, ErrorCode::unsupported}),
              ::testing::Contains(a_events.closed->error.code));
  ASSERT_TRUE(a->close_reason());
  EXPECT_EQ(a->close_reason()->error.detail, a_events.closed->error.detail);
  EXPECT_FALSE(a->open());
  EXPECT_EQ(a->send_empty(header_of(1)).error().code, ErrorCode::local_closed);
}

TEST_F(PacketStreamTest, TruncatedPacketIsAnError) {
  for (const std::size_t body : {std::size_t{10}, std::size_t{60'000}}) {
    const std::string bytes = text_packet(1, std::string(body, 'b'));
    for (const std::size_t size : {std::size_t{1}, bytes.size() / 2, bytes.size() - 1}) {
      Recorded events;
      MemoryPair pair = transport::make_memory_pair(loop, loop);
      const auto stream = PacketStream::create(std::move(pair.a), environment, events);
      RecordingEvents other;
      pair.b->start(other);
      pair.b->write(transport::chain_of(bytes.substr(0, size)));
      pair.b->shutdown_write();
      loop.drain();
      EXPECT_THAT(events.seqs, IsEmpty());
      EXPECT_EQ(events.read_ends, 0u);
      ASSERT_EQ(events.closes, 1u) << size;
      EXPECT_EQ(events.closed->error.code, ErrorCode::malformed);
      EXPECT_THAT(events.closed->error.detail, HasSubstr("of which " + std::to_string(size) + " bytes had come"));
    }
  }
}

TEST_F(PacketStreamTest, OrderlyEndOnBothSides) {
  make();
  b_events.then_read_end = [](PacketStream& stream) {
    send_text(stream, 2, "still works");
    stream.shutdown_write();
  };
  send_text(*a, 1, "last");
  a->shutdown_write();
  EXPECT_EQ(a->send_empty(header_of(3)).error().code, ErrorCode::local_closed);
  loop.drain();
  EXPECT_THAT(b_events.texts, ElementsAre("last"));
  EXPECT_THAT(a_events.texts, ElementsAre("still works"));
  EXPECT_EQ(a_events.closes, 1u);
  EXPECT_EQ(b_events.closes, 1u);
  EXPECT_EQ(a_events.closed->error.code, ErrorCode::peer_closed);
  EXPECT_EQ(a->send_empty(header_of(4)).error().code, ErrorCode::peer_closed);
}

TEST_F(PacketStreamTest, OutputBound) {
  const std::size_t size = text_packet(1, "text").size();
  make_raw({.output_bytes_max = 2 * size}, {.window_bytes = size});
  send_text(*a, 1, "text");
  send_text(*a, 2, "text");
  EXPECT_EQ(a->queued(), 2 * size);
  const Result<void> third = a->send_value(header_of(3), framing::kCodecString, std::string("text"));
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, ErrorCode::overloaded);
  EXPECT_THAT(third.error().detail, HasSubstr("output_bytes_max (" + std::to_string(2 * size) + ")"));
  EXPECT_EQ(a->queued(), 2 * size);
  EXPECT_EQ(environment.counters.sends_refused.read(), 1u);
  // What the stream holds counts, too: the window takes one packet.
  raw->read(false);
  loop.drain();
  ASSERT_EQ(a->queued(), size);
  send_text(*a, 4, "text");
  EXPECT_EQ(a->send_empty(header_of(5)).error().code, ErrorCode::overloaded);
  raw->read(true);
  loop.drain();
  EXPECT_EQ(a->queued(), 0u);
  EXPECT_EQ(raw_events.received.size(), 3 * size);
  // Alone over the bound: waiting would not help.
  const Result<void> large = a->send_value(header_of(6), framing::kCodecString, std::string(2 * size, 'x'));
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, ErrorCode::too_large);
}

TEST_F(PacketStreamTest, HighWaterTellsAndMayStopReading) {
  for (const auto when_full :
       {PacketStreamOptions::WhenFull::keep_reading, PacketStreamOptions::WhenFull::stop_reading}) {
    Recorded answering;
    a_events = {};
    MemoryPair pair = transport::make_memory_pair(
        loop, loop, {.window_bytes = 4096, .stream = {.high_water_bytes = 8192, .low_water_bytes = 1024}});
    const auto server = PacketStream::create(std::move(pair.a), environment, answering, {.when_full = when_full});
    const auto client = PacketStream::create(std::move(pair.b), environment, a_events);
    answering.then_packet = [](PacketStream& stream, const PacketView& packet) {
      send_text(stream, packet.header.seq, std::string(20'000, 'a'));
      return true;
    };
    client->read(false);
    send_text(*client, 1, "first");
    loop.drain();
    EXPECT_TRUE(server->full());
    send_text(*client, 2, "second");
    loop.drain();
    const bool stopped = when_full == PacketStreamOptions::WhenFull::stop_reading;
    EXPECT_EQ(answering.seqs.size(), stopped ? 1u : 2u);
    client->read(true);
    loop.drain();
    EXPECT_THAT(a_events.seqs, ElementsAre(1, 2));
    EXPECT_FALSE(server->full());
    EXPECT_GE(answering.writables, 1u);
  }
}

TEST_F(PacketStreamTest, PausesAfterAPacketAndResumes) {
  make();
  b_events.then_packet = [](PacketStream&, const PacketView& packet) { return packet.header.seq % 2 == 0; };
  for (std::uint64_t seq = 1; seq <= 4; ++seq) send_text(*a, seq, std::to_string(seq));
  a->shutdown_write();
  loop.drain();
  EXPECT_THAT(b_events.seqs, ElementsAre(1));
  EXPECT_EQ(b_events.read_ends, 0u);
  b->read(true);
  loop.drain();
  EXPECT_THAT(b_events.seqs, ElementsAre(1, 2, 3));
  b->read(true);
  loop.drain();
  EXPECT_THAT(b_events.seqs, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(b_events.read_ends, 1u);
  EXPECT_EQ(b_events.closes, 0u) << "packets that waited are no truncated packet";
}

TEST_F(PacketStreamTest, DropInsideAnyCallback) {
  const auto drop = [&](PacketStream&) { b.reset(); };
  make();
  b_events.then_packet = [&](PacketStream&, const PacketView&) {
    b.reset();
    return true;
  };
  send_text(*a, 1, "1");
  send_text(*a, 2, "2");
  loop.drain();
  EXPECT_THAT(b_events.seqs, ElementsAre(1));
  EXPECT_EQ(b_events.closes, 0u);

  a_events = {};
  b_events = {};
  b_events.then_read_end = drop;
  make();
  a->shutdown_write();
  loop.drain();
  EXPECT_EQ(b_events.read_ends, 1u);
  EXPECT_EQ(b_events.closes, 0u);

  a_events = {};
  b_events = {};
  b_events.then_closed = drop;
  make();
  b->abort("enough");
  loop.drain();
  EXPECT_EQ(b_events.closes, 1u);
  EXPECT_FALSE(b);

  a_events = {};
  b_events = {};
  b_events.then_writable = drop;
  make({}, {}, {.window_bytes = 1024, .stream = {.high_water_bytes = 2048, .low_water_bytes = 512}});
  send_text(*b, 1, std::string(10'000, 'w'));
  loop.drain();
  EXPECT_EQ(b_events.writables, 1u);
  EXPECT_FALSE(b);
}

TEST_F(PacketStreamTest, CloseInsideOnPacketShowsNoMore) {
  make();
  b_events.then_packet = [](PacketStream& stream, const PacketView&) {
    send_text(stream, 7, "bye");
    stream.close("done", 1s);
    EXPECT_FALSE(stream.open());
    return true;
  };
  send_text(*a, 1, "1");
  send_text(*a, 2, "2");
  a_events.then_read_end = [](PacketStream& stream) { stream.close("they left"); };
  loop.drain();
  loop.advance(2s);
  EXPECT_THAT(b_events.seqs, ElementsAre(1));
  EXPECT_THAT(a_events.texts, ElementsAre("bye")) << "lingering sends what was sent";
  EXPECT_EQ(b_events.closes, 1u);
  EXPECT_EQ(b_events.closed->error.detail, "done");
  EXPECT_EQ(a_events.closes, 1u);
  b->abort("again");
  loop.drain();
  EXPECT_EQ(b_events.closes, 1u);
}

TEST_F(PacketStreamTest, AbortDropsTheOutput) {
  make();
  send_text(*a, 1, "lost");
  a->abort("now");
  EXPECT_EQ(a->send_empty(header_of(2)).error().code, ErrorCode::local_closed);
  loop.drain();
  EXPECT_EQ(a_events.closes, 1u);
  EXPECT_THAT(b_events.seqs, IsEmpty());
}

TEST_F(PacketStreamTest, WhatThrowsBecomesAnError) {
  ASSERT_TRUE(codecs.add(std::make_shared<ThrowingCodec>()));
  make();
  const Result<void> sent = a->send_value(header_of(1), 't', std::string("x"));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, ErrorCode::internal);
  EXPECT_THAT(sent.error().detail, HasSubstr("cannot encode"));
  EXPECT_EQ(a->queued(), 0u);
  EXPECT_EQ(a->send_value(header_of(1), '?', 1).error().code, ErrorCode::unsupported);
  EXPECT_EQ(a->send_value(header_of(1, 99), framing::kCodecString, std::string("x")).has_value(), false);
  EXPECT_EQ(a->queued(), 0u) << "nothing of a packet that failed stays";
  EXPECT_TRUE(a->send_value(header_of(2), 0, RawBody{'t', "body"}));
  std::optional<Error> decoded;
  b_events.then_packet = [&](PacketStream& stream, const PacketView& packet) -> bool {
    decoded = stream.decode<std::string>(packet).error();
    throw std::runtime_error("from on_packet");
  };
  loop.drain();
  ASSERT_TRUE(decoded);
  EXPECT_THAT(decoded->detail, HasSubstr("cannot decode"));
  ASSERT_EQ(b_events.closes, 1u);
  EXPECT_EQ(b_events.closed->error.code, ErrorCode::internal);
  EXPECT_THAT(b_events.closed->error.detail, HasSubstr("from on_packet"));
}

TEST_F(PacketStreamTest, IdAndStore) {
  make({.id = "alice"});
  EXPECT_EQ(a->id(), "alice");
  EXPECT_EQ(b->id(), "mem://");
  b->set_id("bob");
  EXPECT_EQ(b->id(), "bob");
  b->store().set("level", 7);
  EXPECT_EQ(b->store().get<int>("level"), 7);
}

TEST_F(PacketStreamTest, LastHandleGoesOnAnotherThread) {
  make();
  b_events.then_read_end = [](PacketStream& stream) { stream.close("they left"); };
  std::thread([gone = std::move(a)]() mutable { gone.reset(); }).join();
  EXPECT_EQ(b_events.closes, 0u);
  loop.drain();
  EXPECT_EQ(a_events.closes, 0u);
  EXPECT_EQ(b_events.closes, 1u);
}

// Takes everything and shows what it is told to show.
class NullStream final : public transport::Stream {
 public:
  explicit NullStream(Loop& loop) : loop_(loop) {}
  void start(transport::StreamEvents& to) override { events = &to; }
  void read(bool) override {}
  transport::Pressure write(Chain&& chain, bool) override {
    written += chain.size();
    chain.clear();
    return transport::Pressure::none;
  }
  std::size_t queued() const noexcept override { return 0; }
  void shutdown_write() override {}
  void close(CloseReason, transport::Linger) override {}
  void replace_events(transport::StreamEvents& to) override { events = &to; }
  const transport::PeerInfo& peer() const noexcept override { return peer_; }
  Loop& loop() const noexcept override { return loop_; }

  transport::StreamEvents* events = nullptr;
  std::size_t written = 0;

 private:
  Loop& loop_;
  transport::PeerInfo peer_;
};

TEST_F(PacketStreamTest, AllocatesNothingPerMessage) {
  std::string bytes;
  for (std::uint64_t seq = 1; seq <= 100; ++seq) bytes += text_packet(seq, "some text");
  struct Echo final : PacketEvents {
    std::string text;
    std::size_t answered = 0;
    bool on_packet(PacketStream& stream, const PacketView& packet) override {
      answered += stream.decode_to(packet, text) && stream.send_value(packet.header, framing::kCodecString, text);
      return true;
    }
    void on_writable(PacketStream&) override {}
    void on_read_end(PacketStream&) override {}
    void on_closed(PacketStream&, const CloseReason&) override {}
  } echo;
  auto owned = std::make_unique<NullStream>(loop);
  NullStream& stream = *owned;
  const auto packets = PacketStream::create(std::move(owned), environment, echo);
  std::uint64_t allocations = 0;
  for (int round = 0; round < 3; ++round) {
    allocations = framing::testing::allocation_count();
    stream.events->on_bytes({reinterpret_cast<std::byte*>(bytes.data()), bytes.size()}, false);
    loop.drain();
    allocations = framing::testing::allocation_count() - allocations;
  }
  EXPECT_EQ(allocations, 0u);
  EXPECT_EQ(echo.answered, 300u);
  EXPECT_EQ(stream.written, 3 * bytes.size());
}

}  // namespace
}  // namespace wayport::rpc

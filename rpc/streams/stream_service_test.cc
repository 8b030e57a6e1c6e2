// Streams between peers over real loopback sockets. Nothing waits for time to pass; conditions are looked at in turns of
// a loop, with a generous end.
#include "wayport/rpc/streams/stream_service.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <vector>

#include "wayport/base/co.h"
#include "wayport/base/log_testing.h"
#include "wayport/rpc/plugins/limiter/limiter.h"
#include "wayport/rpc/session_driver.h"

namespace wayport::rpc {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Hash {
 public:
  Hash() { EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr); }
  void add(Bytes bytes) {
    EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
    size += bytes.size();
  }
  std::string result() {
    std::byte digest[32];
    EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(digest), nullptr);
    return to_hex(digest) + "/" + std::to_string(size);
  }
  std::uint64_t size = 0;

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_{EVP_MD_CTX_new(), EVP_MD_CTX_free};
};

// Looks at a condition from a coroutine, at most 30 s.
template <class F>
asio::awaitable<bool> until(F condition) {
  for (int looks = 0; looks < 30'000; ++looks) {
    if (condition()) co_return true;
    static_cast<void>(co_await sleep_for(*Loop::current(), milliseconds(1)));
  }
  co_return false;
}

std::vector<std::byte> pattern(std::size_t size, unsigned seed) {
  std::vector<std::byte> bytes(size);
  std::uint64_t state = seed;
  for (std::byte& each : bytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    each = static_cast<std::byte>(state >> 56);
  }
  return bytes;
}

// Pieces of odd sizes until `total`; then the end.
asio::awaitable<std::string> send(BodyWriter& writer, std::uint64_t total, unsigned seed) {
  const std::vector<std::byte> piece = pattern(50'021, seed);
  Hash hash;
  while (hash.size < total) {
    const Bytes next = Bytes(piece).first(std::min<std::uint64_t>(piece.size(), total - hash.size));
    const Reply<void> written = co_await writer.write(next);
    if (!written.ok()) co_return written.status().to_string();
    hash.add(next);
  }
  writer.finish();
  co_return hash.result();
}
asio::awaitable<std::string> receive(BodyReader& reader) {
  std::vector<std::byte> buffer(30'011);
  Hash hash;
  while (true) {
    const Reply<std::size_t> size = co_await reader.read(buffer);
    if (!size.ok()) co_return size.status().to_string();
    if (*size == 0) co_return hash.result();
    hash.add(Bytes(buffer).first(*size));
  }
}

asio::awaitable<void> drain(Stream& stream) { static_cast<void>(co_await stream.reader.drain()); }

struct Ends {
  std::string address = "tcp://127.0.0.1:0";
  SessionOptions session{};
  StreamOptions server_streams{};
  StreamOptions client_streams{};
};

class StreamServiceTest : public ::testing::Test {
 protected:
  StreamServiceTest() : runtime({.loops = 2, .log = &log}) {}
  // Every stream of every test is forgotten; and handlers are done before what they look at goes.
  void TearDown() override {
    if (session) session.abort("the test is over");
    if (serving) EXPECT_TRUE(forgotten());
    session = {};
    client.reset();
    server.reset();
  }

  // Between the two: test-specific handlers.
  void make(Ends ends = {}) {
    server.emplace(runtime, PeerOptions{.listen = {ends.address}, .session = ends.session});
    client.emplace(runtime, PeerOptions{.session = ends.session});
    serving.emplace(*server, ends.server_streams);
    opening.emplace(*client, ends.client_streams);
  }
  // The session lives on loop 1; coroutines of the tests run on `loop`.
  void connect() {
    ASSERT_TRUE(server->start().has_value());
    ASSERT_TRUE(client->start().has_value());
    DialOptions how;
    how.loop = &runtime.loop(1);
    const Result<Session> dialled = client->dial_blocking(server->addresses().at(0), how);
    ASSERT_TRUE(dialled.has_value()) << dialled.error().to_string();
    session = *dialled;
  }
  template <class T>
  T run(asio::awaitable<T> task, std::size_t loop = 1) {
    return start(std::move(task), loop).get();
  }
  template <class T>
  std::future<T> start(asio::awaitable<T> task, std::size_t loop = 1) {
    auto promise = std::make_shared<std::promise<T>>();
    std::future<T> future = promise->get_future();
    static_cast<void>(
        asio::co_spawn(runtime.loop(loop).asio(), fulfil(std::move(task), std::move(promise)), asio::use_future));
    return future;
  }
  // use_future asks for a T() that replies do not have.
  template <class T>
  static asio::awaitable<void> fulfil(asio::awaitable<T> task, std::shared_ptr<std::promise<T>> promise) {
    promise->set_value(co_await std::move(task));
  }
  Reply<Stream> open(std::string target) { return run(opening->open(session, std::move(target))); }
  static std::uint64_t sum(const StreamService& service, Counter StreamCounters::* counter) {
    return (service.counters(0).*counter).read() + (service.counters(1).*counter).read();
  }
  static std::int64_t sum(const StreamService& service, Gauge StreamCounters::* gauge) {
    return (service.counters(0).*gauge).read() + (service.counters(1).*gauge).read();
  }
  // Everything of every stream is gone at the end, on both sides.
  bool forgotten() {
    return run(until(
        [this] { return sum(*serving, &StreamCounters::streams) + sum(*opening, &StreamCounters::streams) == 0; }));
  }
  asio::awaitable<std::int32_t> read_status(Stream& stream) {
    co_return (co_await stream.reader.read(100)).status().code;
  }
  asio::awaitable<std::int32_t> write_status(Stream& stream, std::size_t size) {
    const std::vector<std::byte> bytes(size);
    co_return (co_await stream.writer.write(bytes)).status().code;
  }

  MemoryLog log;
  Runtime runtime;
  std::optional<Peer> server;
  std::optional<Peer> client;
  std::optional<StreamService> serving;
  std::optional<StreamService> opening;
  Session session;
};

struct Variant {
  std::size_t loop;  // 1: the session's
  std::uint8_t header_codec;
  std::int32_t gzip;
  std::uint64_t bytes;
};
class BigBodies : public StreamServiceTest, public ::testing::WithParamInterface<Variant> {};
INSTANTIATE_TEST_SUITE_P(
    Variants, BigBodies,
    ::testing::Values(Variant{1, 'j', 0, 64u << 20}, Variant{0, 'p', 0, 64u << 20}, Variant{1, 'p', 1, 4u << 20}),
    [](const auto& info) {
      return std::string(info.index == 0 ? "OnTheLoop" : info.index == 1 ? "FromAnotherLoop" : "Compressed");
    });

TEST_P(BigBodies, ArriveWholeInBothDirectionsAtOnceWhileNoMoreThanAWindowWaits) {
  const Variant setup = GetParam();
  Ends ends;
  ends.session.header_codec = setup.header_codec;
  ends.session.gzip = setup.gzip;
  make(ends);
  std::promise<std::string> server_got;
  serving->on_open("/both", [&](Stream& stream) -> asio::awaitable<void> {
    std::future<std::string> sending =
        asio::co_spawn(co_await asio::this_coro::executor, send(stream.writer, setup.bytes, 2), asio::use_future);
    server_got.set_value(co_await receive(stream.reader));
    EXPECT_TRUE(co_await until([&] { return sending.wait_for(seconds(0)) == std::future_status::ready; }));
  });
  connect();
  Reply<Stream> stream = run(opening->open(session, "/both"), setup.loop);
  ASSERT_TRUE(stream.ok()) << stream.status().to_string();
  std::future<std::string> sent = start(send(stream->writer, setup.bytes, 1), setup.loop);
  std::future<std::string> got = start(receive(stream->reader), setup.loop);
  const std::string client_sent = sent.get();
  EXPECT_EQ(server_got.get_future().get(), client_sent);
  EXPECT_TRUE(client_sent.ends_with("/" + std::to_string(setup.bytes))) << client_sent;
  const std::string client_got = got.get();
  EXPECT_TRUE(client_got.ends_with("/" + std::to_string(setup.bytes))) << client_got;
  EXPECT_NE(client_got, client_sent);
  for (const StreamService* service : {&*serving, &*opening}) {
    const std::int64_t peak = sum(*service, &StreamCounters::buffered_bytes_peak);
    EXPECT_GT(peak, 0);
    EXPECT_LE(peak, 256 << 10);
    EXPECT_EQ(sum(*service, &StreamCounters::bytes_sent), setup.bytes);
    EXPECT_EQ(sum(*service, &StreamCounters::bytes_received), setup.bytes);
    EXPECT_EQ(sum(*service, &StreamCounters::violations), 0u);
  }
  stream = Status::make(1);
  EXPECT_TRUE(forgotten());
}

TEST_F(StreamServiceTest, ASlowReaderStopsTheWriterAtTheWindow) {
  make();
  std::atomic<bool> read_on = false;
  serving->on_open("/slow", [&](Stream& stream) -> asio::awaitable<void> {
    EXPECT_TRUE(co_await until([&] { return read_on.load(); }));
    EXPECT_EQ(*co_await stream.reader.drain(), 1u << 20);
  });
  connect();
  Reply<Stream> stream = open("/slow");
  std::future<std::int32_t> written = start(write_status(*stream, 1 << 20));
  const std::int64_t window = 256 << 10;
  EXPECT_TRUE(run(until([&] { return sum(*serving, &StreamCounters::buffered_bytes) == window; })));
  // Whatever else the writer would do, it would have done in the turns that these pulls take.
  for (int i = 0; i < 20; ++i) static_cast<void>(session.pull_blocking("/nothing"));
  EXPECT_EQ(written.wait_for(seconds(0)), std::future_status::timeout);
  EXPECT_EQ(sum(*opening, &StreamCounters::bytes_sent), static_cast<std::uint64_t>(window));
  read_on = true;
  EXPECT_EQ(written.get(), code::kOk);
  stream->writer.finish();
  EXPECT_EQ(*run(stream->reader.drain()), 0u);
  EXPECT_EQ(sum(*serving, &StreamCounters::buffered_bytes_peak), window);
}

TEST_F(StreamServiceTest, ALimiterLimitsWhatOpensAndDropsNoPiece) {
  make();
  server->plugins().add(std::make_shared<plugins::CallLimiter>(
      plugins::CallLimiterOptions{.total = {.per_second = 0.001, .burst = 1}, .per_source = {}}));
  serving->on_open("/drain", drain);
  connect();
  Reply<Stream> stream = open("/drain");
  EXPECT_EQ(run(write_status(*stream, 1 << 20)), code::kOk);
  stream->writer.finish();
  EXPECT_EQ(*run(stream->reader.drain()), 0u);
  EXPECT_EQ(open("/drain").status().code, code::kServiceUnavailable);
}

TEST_F(StreamServiceTest, AStuckStreamLetsAnotherGoOn) {
  make();
  std::atomic<bool> read_on = false;
  serving->on_open("/stuck", [&](Stream& stream) -> asio::awaitable<void> {
    EXPECT_TRUE(co_await until([&] { return read_on.load(); }));
    EXPECT_TRUE((co_await stream.reader.drain()).ok());
  });
  serving->on_open("/drain", drain);
  connect();
  Reply<Stream> stuck = open("/stuck");
  std::future<std::int32_t> waits = start(write_status(*stuck, 1 << 20));
  Reply<Stream> other = open("/drain");
  EXPECT_EQ(run(write_status(*other, 4 << 20)), code::kOk);
  other->writer.finish();
  EXPECT_TRUE(run(other->reader.drain()).ok());
  EXPECT_EQ(waits.wait_for(seconds(0)), std::future_status::timeout);
  read_on = true;
  EXPECT_EQ(waits.get(), code::kOk);
  stuck->writer.finish();
  EXPECT_TRUE(run(stuck->reader.drain()).ok());
}

// Small windows, and so little room in the session's output that streams wait for it all the time.
TEST_F(StreamServiceTest, ManyStreamsShareAnOutputThatIsFullMostOfTheTime) {
  Ends ends;
  ends.server_streams.window_bytes = ends.client_streams.window_bytes = 50'000;
  ends.server_streams.unsent_bytes_max = ends.client_streams.unsent_bytes_max = 20'000;
  make(ends);
  serving->on_open("/echo", [](Stream& stream) -> asio::awaitable<Status> {
    while (true) {
      const Chain piece = *co_await stream.reader.read(10'000);
      if (piece.empty()) co_return Status();
      const std::string bytes = piece.to_string();
      if (Reply<void> written = co_await stream.writer.write(as_bytes(bytes)); !written.ok())
        co_return written.status();
    }
  });
  connect();
  constexpr std::size_t kStreams = 32;
  std::vector<Reply<Stream>> streams;
  for (std::size_t i = 0; i < kStreams; ++i) streams.push_back(open("/echo"));
  std::vector<std::future<std::string>> sent;
  std::vector<std::future<std::string>> got;
  for (std::size_t i = 0; i < kStreams; ++i) {
    const std::size_t loop = i % 2;
    sent.push_back(start(send(streams[i]->writer, 300'000, static_cast<unsigned>(i)), loop));
    got.push_back(start(receive(streams[i]->reader), loop));
  }
  for (std::size_t i = 0; i < kStreams; ++i) EXPECT_EQ(got[i].get(), sent[i].get()) << i;
  EXPECT_GT(sum(*serving, &StreamCounters::output_blocked), 0u);
  EXPECT_LE(sum(*serving, &StreamCounters::buffered_bytes_peak), 50'000 * static_cast<std::int64_t>(kStreams));
  streams.clear();
  EXPECT_TRUE(forgotten());
}

TEST_F(StreamServiceTest, TheAcceptingEndOpensStreamsToo) {
  make();
  opening->on_open("/report", [](Stream& stream) -> asio::awaitable<Status> {
    const std::string text = std::string(stream.path()) + " " + std::string(stream.raw_query());
    co_return (co_await stream.writer.write(as_bytes(text))).status();
  });
  server->router().on_pull("/fetch", [this](Context& context) -> asio::awaitable<std::string> {
    Reply<Stream> stream = co_await serving->open(context.session(), "/rep%6frt?a=b");
    stream->writer.finish();
    co_return (*co_await stream->reader.read(1000)).to_string();
  });
  connect();
  EXPECT_EQ(*session.pull_blocking<std::string>("/fetch"), "/report a=b");
}

TEST_F(StreamServiceTest, AHandlerThatFailsAbortsWithItsStatus) {
  make();
  serving->on_open("/status", [](Stream&) -> asio::awaitable<void> {
    throw StatusError(1234, "no room");
    co_return;
  });
  serving->on_open("/returned", [](Stream&) -> asio::awaitable<Status> { co_return Status::make(1235); });
  serving->on_open("/thrown", [](Stream&) -> asio::awaitable<void> {
    throw std::runtime_error("secret");
    co_return;
  });
  connect();
  Reply<Stream> status = open("/status");
  const Status why = run(status->reader.read(1)).status();
  EXPECT_EQ(why.code, 1234);
  EXPECT_EQ(why.text, "no room");
  EXPECT_EQ(why.origin, Status::Origin::remote);
  EXPECT_EQ(run(write_status(*status, 1)), 1234);
  Reply<Stream> returned = open("/returned");
  EXPECT_EQ(run(read_status(*returned)), 1235);
  Reply<Stream> thrown = open("/thrown");
  const Status hidden = run(thrown->reader.read(1)).status();
  EXPECT_EQ(hidden.code, code::kInternal);
  EXPECT_EQ(hidden.text.find("secret"), std::string::npos);
  EXPECT_EQ(sum(*serving, &StreamCounters::handler_exceptions), 1u);
  EXPECT_TRUE(session.healthy());
}

TEST_F(StreamServiceTest, EitherSideMayAbortAndTheOtherOneHearsWhy) {
  make();
  std::promise<std::int32_t> handler_saw;
  serving->on_open("/listen", [&](Stream& stream) -> asio::awaitable<void> {
    handler_saw.set_value((co_await stream.reader.drain()).status().code);
  });
  serving->on_open("/abort", [](Stream& stream) -> asio::awaitable<void> {
    static_cast<void>(co_await stream.reader.read(10));
    stream.writer.abort(Status::make(1002, "enough"));
  });
  connect();
  Reply<Stream> ours = open("/listen");
  EXPECT_EQ(run(write_status(*ours, 100)), code::kOk);
  ours->abort(Status::make(1001, "changed my mind"));
  EXPECT_EQ(handler_saw.get_future().get(), 1001);
  EXPECT_EQ(run(read_status(*ours)), 1001);
  Reply<Stream> theirs = open("/abort");
  EXPECT_EQ(run(write_status(*theirs, 1 << 20)), 1002);
  EXPECT_EQ(run(read_status(*theirs)), 1002);
  ours = Status::make(1);
  theirs = Status::make(1);
  EXPECT_TRUE(forgotten());
}

TEST_F(StreamServiceTest, DroppedReadersStopAndDroppedWritersAbort) {
  make();
  std::promise<std::int32_t> handler_saw;
  serving->on_open("/refuse", [](Stream& stream) -> asio::awaitable<void> {
    stream.reader = BodyReader();
    static_cast<void>(co_await stream.writer.write(as_bytes("not that one")));
  });
  serving->on_open("/listen", [&](Stream& stream) -> asio::awaitable<void> {
    handler_saw.set_value((co_await stream.reader.drain()).status().code);
  });
  connect();
  Reply<Stream> refused = open("/refuse");
  EXPECT_EQ(run(write_status(*refused, 1 << 20)), code::kCanceled);
  EXPECT_EQ((*run(refused->reader.read(100))).to_string(), "not that one");
  EXPECT_EQ(*run(refused->reader.drain()), 0u);
  Reply<Stream> dropped = open("/listen");
  EXPECT_EQ(run(write_status(*dropped, 100)), code::kOk);
  dropped->writer = BodyWriter();
  EXPECT_EQ(handler_saw.get_future().get(), code::kCanceled);
  refused = Status::make(1);
  dropped = Status::make(1);
  EXPECT_TRUE(forgotten());
}

TEST_F(StreamServiceTest, ReaderAndWriterMayOutliveTheirHandler) {
  make();
  std::promise<BodyReader> kept;
  serving->on_open("/keep", [&](Stream& stream) -> asio::awaitable<void> {
    kept.set_value(std::move(stream.reader));
    co_return;
  });
  connect();
  Reply<Stream> stream = open("/keep");
  BodyReader reader = kept.get_future().get();
  std::future<std::string> sent = start(send(stream->writer, 1 << 20, 3));
  EXPECT_EQ(run(receive(reader)), sent.get());
}

TEST_F(StreamServiceTest, TheEndOfTheSessionEndsStreamsOnBothSidesWith101) {
  make();
  std::promise<Status> handler_saw;
  serving->on_open("/listen", [&](Stream& stream) -> asio::awaitable<void> {
    handler_saw.set_value((co_await stream.reader.drain()).status());
  });
  serving->on_open("/deaf", [&](Stream& stream) -> asio::awaitable<void> {
    EXPECT_EQ((co_await stream.writer.write(std::vector<std::byte>(1 << 20))).status().code, code::kConnectionClosed);
  });
  connect();
  Reply<Stream> stream = open("/listen");
  Reply<Stream> deaf = open("/deaf");
  EXPECT_EQ(run(write_status(*stream, 100'000)), code::kOk);
  std::future<std::int32_t> waits = start(read_status(*stream));
  std::future<std::int32_t> writes = start(write_status(*deaf, 1 << 20));
  session.abort("in the middle");
  EXPECT_EQ(waits.get(), code::kConnectionClosed);
  EXPECT_EQ(writes.get(), code::kConnectionClosed);
  const Status seen = handler_saw.get_future().get();
  EXPECT_EQ(seen.code, code::kConnectionClosed);
  EXPECT_EQ(seen.origin, Status::Origin::local);
  EXPECT_EQ(run(write_status(*stream, 1)), code::kConnectionClosed);
  EXPECT_EQ(open("/listen").status().code, code::kWriteFailed);
  stream = Status::make(1);
  deaf = Status::make(1);
  EXPECT_TRUE(forgotten());
}

TEST_F(StreamServiceTest, AGracefulCloseEndsStreamsWith101) {
  make();
  std::promise<std::int32_t> handler_saw;
  serving->on_open("/listen", [&](Stream& stream) -> asio::awaitable<void> {
    handler_saw.set_value((co_await stream.reader.drain()).status().code);
  });
  connect();
  Reply<Stream> stream = open("/listen");
  session.close();
  EXPECT_EQ(handler_saw.get_future().get(), code::kConnectionClosed);
  EXPECT_EQ(run(write_status(*stream, 1)), code::kConnectionClosed);
}

TEST_F(StreamServiceTest, StreamsAreOpenedUpToTheBoundOfEitherEnd) {
  Ends ends;
  ends.server_streams.streams_max = 2;
  ends.client_streams.streams_max = 3;
  make(ends);
  serving->on_open("/drain", drain);
  connect();
  Reply<Stream> first = open("/drain");
  Reply<Stream> second = open("/drain");
  EXPECT_TRUE(first.ok() && second.ok());
  const Reply<Stream> third = open("/drain");
  EXPECT_EQ(third.status().code, code::kServiceUnavailable);
  EXPECT_EQ(third.status().origin, Status::Origin::remote);
  EXPECT_EQ(sum(*serving, &StreamCounters::refused), 1u);
  first = Status::make(1);
  EXPECT_TRUE(run(until([this] { return sum(*serving, &StreamCounters::streams) == 1; })));
  EXPECT_TRUE(open("/drain").ok());
  // Ours: those that wait for an answer count, too.
  std::vector<std::future<Reply<Stream>>> many;
  for (int i = 0; i < 5; ++i) many.push_back(start(opening->open(session, "/drain")));
  int local = 0;
  for (auto& each : many) {
    const Reply<Stream> outcome = each.get();
    local += !outcome.ok() && outcome.status().origin == Status::Origin::local;
  }
  EXPECT_GT(local, 0);
}

TEST_F(StreamServiceTest, WhatIsNotServedIs404AndTargetsHaveABound) {
  Ends ends;
  ends.server_streams.target_bytes_max = 10;
  make(ends);
  serving->on_open("/0123456", [](Stream&) -> asio::awaitable<void> { co_return; });
  EXPECT_THROW(serving->on_open("/0123456", [](Stream&) -> asio::awaitable<void> { co_return; }), std::logic_error);
  connect();
  EXPECT_EQ(open("/none").status().code, code::kNotFound);
  EXPECT_TRUE(open("/0123456?").ok());
  EXPECT_TRUE(open("/0123456?a").ok());
  EXPECT_EQ(open("/0123456?aa").status().code, code::kBadUri);
  EXPECT_EQ(open("/%zz").status().code, code::kBadUri);
  EXPECT_TRUE(forgotten());
}

TEST_F(StreamServiceTest, APeerWithoutStreamsSays404) {
  Peer plain(runtime, {.listen = {"tcp://127.0.0.1:0"}});
  ASSERT_TRUE(plain.start().has_value());
  make();
  connect();
  const Result<Session> other = client->dial_blocking(plain.addresses().at(0));
  const Reply<Stream> stream = run(opening->open(*other, "/any"));
  EXPECT_EQ(stream.status().code, code::kNotFound);
}

TEST_F(StreamServiceTest, AnOpenThatNobodyAnswersTimesOut) {
  Peer silent(runtime, {.listen = {"tcp://127.0.0.1:0"}});
  std::atomic<bool> leave = false;
  silent.router().on_pull("/wayport/stream/open", [&](Context&) -> asio::awaitable<void> {
    EXPECT_TRUE(co_await until([&] { return leave.load(); }));
  });
  ASSERT_TRUE(silent.start().has_value());
  Ends ends;
  ends.client_streams.open_timeout = milliseconds(20);
  make(ends);
  connect();
  const Result<Session> other = client->dial_blocking(silent.addresses().at(0));
  EXPECT_EQ(run(opening->open(*other, "/any")).status().code, code::kTimeout);
  EXPECT_TRUE(forgotten());
  leave = true;
  silent.close_blocking();
}

TEST_F(StreamServiceTest, AReadThatNothingComesForTimesOutOnBothEnds) {
  Ends ends;
  ends.server_streams.idle_timeout = milliseconds(20);
  make(ends);
  std::promise<std::int32_t> handler_saw;
  serving->on_open("/listen", [&](Stream& stream) -> asio::awaitable<void> {
    handler_saw.set_value((co_await stream.reader.drain()).status().code);
  });
  connect();
  Reply<Stream> stream = open("/listen");
  EXPECT_EQ(handler_saw.get_future().get(), code::kTimeout);
  EXPECT_EQ(run(read_status(*stream)), code::kTimeout);
  EXPECT_EQ(sum(*serving, &StreamCounters::idle_timeouts), 1u);
}

TEST_F(StreamServiceTest, ACanceledReadAbortsItsStream) {
  make();
  std::promise<std::int32_t> handler_saw;
  serving->on_open("/listen", [&](Stream& stream) -> asio::awaitable<void> {
    handler_saw.set_value((co_await stream.reader.drain()).status().code);
  });
  connect();
  Reply<Stream> stream = open("/listen");
  asio::cancellation_signal signal;
  std::atomic<bool> reads = false;
  const auto reading = [&]() -> asio::awaitable<std::int32_t> {
    reads = true;
    co_return co_await read_status(*stream);
  };
  std::future<std::int32_t> waits =
      asio::co_spawn(runtime.loop(1).asio(), reading(), asio::bind_cancellation_slot(signal.slot(), asio::use_future));
  EXPECT_TRUE(run(until([&] { return reads.load(); })));
  runtime.loop(1).post([&] { signal.emit(asio::cancellation_type::all); });
  EXPECT_EQ(waits.get(), code::kCanceled);
  EXPECT_EQ(handler_saw.get_future().get(), code::kCanceled);
}

TEST_F(StreamServiceTest, OneReadAndOneWriteAtATime) {
  make();
  std::atomic<bool> leave = false;
  serving->on_open(
      "/deaf", [&](Stream&) -> asio::awaitable<void> { EXPECT_TRUE(co_await until([&] { return leave.load(); })); });
  connect();
  Reply<Stream> stream = open("/deaf");
  std::future<std::int32_t> first_read = start(read_status(*stream));
  std::future<std::int32_t> first_write = start(write_status(*stream, 1 << 20));
  EXPECT_TRUE(run(until([&] { return sum(*opening, &StreamCounters::bytes_sent) == 256u << 10; })));
  EXPECT_EQ(run(read_status(*stream)), code::kConflict);
  EXPECT_EQ(run(write_status(*stream, 1)), code::kConflict);
  EXPECT_EQ(run(stream->reader.read(std::size_t{0})).status().code, code::kWriteFailed);
  stream->abort(Status::make(1003));
  EXPECT_EQ(first_read.get(), 1003);
  EXPECT_EQ(first_write.get(), 1003);
  leave = true;
  EXPECT_TRUE(run(until([this] { return sum(*serving, &StreamCounters::streams) == 0; })));
}

// --- peers that do not keep the rules: raw packets ---

class HostilePeer : public StreamServiceTest {
 protected:
  void make_and_open(Ends ends = {}) {
    make(std::move(ends));
    serving->on_open("/listen", [&](Stream& stream) -> asio::awaitable<void> {
      handler_saw.set_value((co_await stream.reader.drain()).status());
    });
    connect();
    const Reply<std::string> credit =
        session.pull_blocking<std::string>("/wayport/stream/open?mine=1&credit=0", std::string("/listen"), how());
    EXPECT_EQ(credit.value(), std::to_string(256 << 10));
  }
  static CallOptions how() {
    CallOptions options;
    options.body_codec = 's';
    return options;
  }
  void push(const std::string& uri, const std::string& body = {}, CallOptions options = how()) {
    EXPECT_TRUE(session.push(uri, body, options).has_value());
  }
  void expect_broken(std::string_view why) {
    const Status saw = handler_saw.get_future().get();
    EXPECT_EQ(saw.code, code::kBadUri);
    EXPECT_NE(saw.text.find(why), std::string::npos) << saw.text;
    EXPECT_EQ(sum(*serving, &StreamCounters::violations), 1u);
    EXPECT_TRUE(run(until([this] { return sum(*serving, &StreamCounters::streams) == 0; })));
    EXPECT_EQ(sum(*serving, &StreamCounters::buffered_bytes), 0);
    EXPECT_TRUE(session.healthy());
  }
  std::promise<Status> handler_saw;
};

TEST_F(HostilePeer, DataBeyondTheWindowCostsTheStreamOnly) {
  make_and_open();
  push("/wayport/stream/data?mine=1&at=0", std::string((256 << 10) + 1, 'x'));
  expect_broken("credit is 262144");
}
TEST_F(HostilePeer, CompressedDataIsInflatedNoFurtherThanTheWindow) {
  make_and_open();
  CallOptions zipped = how();
  zipped.gzip = 9;
  push("/wayport/stream/data?mine=1&at=0", std::string(32 << 20, 'x'), zipped);
  expect_broken("stream 1 is broken");
}
TEST_F(HostilePeer, DataThatDoesNotInflateCostsTheStreamOnly) {
  make_and_open();
  // A byte slice goes out as it is, but its header says that it is compressed.
  session.driver()->loop().post([this] {
    const framing::RawBody raw{0, "s\x1f\x8bgarbage"};
    CallOptions zipped;
    zipped.gzip = 6;
    EXPECT_TRUE(session.push("/wayport/stream/data?mine=1&at=0", raw, zipped).has_value());
  });
  expect_broken("stream 1 is broken");
}
TEST_F(HostilePeer, DataOfAnotherCodecCostsTheStreamOnly) {
  make_and_open();
  CallOptions json;
  json.body_codec = 'j';
  push("/wayport/stream/data?mine=1&at=0", "text", json);
  expect_broken("codec");
}
TEST_F(HostilePeer, NumbersThatAreNoneCostTheStreamOnly) {
  make_and_open();
  push("/wayport/stream/credit?mine=1&to=-1");
  expect_broken("malformed credit");
}
TEST_F(HostilePeer, CreditBeyondTheLargestNumberCostsTheStreamOnly) {
  make_and_open();
  push("/wayport/stream/credit?mine=1&to=9223372036854775808");
  expect_broken("malformed credit");
}

TEST_F(HostilePeer, WhatNamesNoStreamIsIgnoredAndCounted) {
  make_and_open();
  push("/wayport/stream/data?mine=2&at=0", "x");
  push("/wayport/stream/data?yours=1&at=0", "x");
  push("/wayport/stream/end?mine=x&size=0");
  push("/wayport/stream/stop");
  EXPECT_TRUE(run(until([this] {
    return sum(*serving, &StreamCounters::messages_unmatched) == 2 &&
           sum(*serving, &StreamCounters::messages_malformed) == 2;
  })));
  push("/wayport/stream/data?mine=1&at=0", "abc");
  push("/wayport/stream/end?mine=1&size=3");
  EXPECT_TRUE(handler_saw.get_future().get().ok());
}

TEST_F(HostilePeer, OpensThatCannotBeAreRefused) {
  make_and_open();
  const auto refused = [this](const std::string& query, const std::string& target) {
    return session.pull_blocking<std::string>("/wayport/stream/open" + query, target, how()).status().code;
  };
  EXPECT_EQ(refused("", "/listen"), code::kBadUri);
  EXPECT_EQ(refused("?mine=2&credit=-1", "/listen"), code::kBadUri);
  EXPECT_EQ(refused("?mine=0&credit=1", "/listen"), code::kBadUri);
  EXPECT_EQ(refused("?mine=1&credit=1", "/listen"), code::kConflict);
  CallOptions json;
  json.body_codec = 'j';
  EXPECT_EQ(session.pull_blocking<std::string>("/wayport/stream/open?mine=2&credit=1", std::string("/listen"), json)
                .status()
                .code,
            code::kUnsupportedCodec);
  EXPECT_EQ(sum(*serving, &StreamCounters::refused), 5u);
}

// All the credit in the world, and nothing is read from the connection.
TEST_F(StreamServiceTest, APeerThatNeverReadsItsConnectionCostsBoundedMemory) {
  Ends ends;
  ends.server_streams.unsent_bytes_max = 100'000;
  make(ends);
  Session from_server;  // set by the handler before it writes
  std::promise<std::int32_t> handler_saw;
  serving->on_open("/endless", [&](Stream& stream) -> asio::awaitable<void> {
    from_server = stream.session();
    const std::vector<std::byte> much(1 << 20);
    Reply<void> written;
    while (written.ok()) written = co_await stream.writer.write(much);
    handler_saw.set_value(written.status().code);
  });
  connect();
  // Our end is on loop 1, which will stand still; the server's must not be.
  const auto server_loop = [this] {
    const Loop* loop = nullptr;
    server->for_each([&](const Session& each) {
      if (each.remote() == session.local()) loop = &each.loop();
    });
    return loop;
  };
  while (!run(until([&] { return server_loop() != nullptr; })) || server_loop() == &runtime.loop(1)) {
    DialOptions again;
    again.loop = &runtime.loop(1);
    session = *client->dial_blocking(server->addresses().at(0), again);
  }
  std::promise<void> stand_still;
  std::promise<void> stands;
  CallOptions how;
  how.body_codec = 's';
  const Reply<std::string> credit = session.pull_blocking<std::string>(
      "/wayport/stream/open?mine=1&credit=9223372036854775807", std::string("/endless"), how);
  ASSERT_TRUE(credit.ok());
  ASSERT_TRUE(run(until([&] { return sum(*serving, &StreamCounters::bytes_sent) > 0; })));
  runtime.loop(1).post([&] {
    stands.set_value();
    stand_still.get_future().wait();
  });
  stands.get_future().wait();
  EXPECT_TRUE(run(until([&] { return sum(*serving, &StreamCounters::output_blocked) > 20; }), 0));
  std::promise<std::size_t> unsent;
  runtime.loop(0).post([&] { unsent.set_value(from_server.driver()->unsent()); });
  EXPECT_LE(unsent.get_future().get(), 100'000u + 17'000u);
  stand_still.set_value();
  session.abort("enough");
  EXPECT_EQ(handler_saw.get_future().get(), code::kConnectionClosed);
  from_server = {};
}

TEST_F(StreamServiceTest, OptionsThatCannotBeAreRefused) {
  Peer peer(runtime);
  StreamOptions options;
  options.window_bytes = 0;
  EXPECT_THROW(StreamService(peer, options), std::invalid_argument);
  options = {};
  options.chunk_bytes = 0;
  EXPECT_THROW(StreamService(peer, options), std::invalid_argument);
  options = {};
  options.prefix = "streams";
  EXPECT_THROW(StreamService(peer, options), std::invalid_argument);
}

}  // namespace
}  // namespace wayport::rpc

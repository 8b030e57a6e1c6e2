#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "wayport/gateway/relay/relay.h"
#include "wayport/transport/default_transports.h"
#include "wayport/transport/testing/connect.h"
#include "wayport/transport/testing/memory_stream.h"
#include "wayport/transport/testing/recorder.h"

namespace wayport::relay {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using transport::chain_of;
using transport::connect_through;
using transport::Connection;
using transport::make_memory_pair;
using transport::MemoryPair;
using transport::RecordingEvents;
using transport::run_until;
using transport::Stream;

// A real websocket client, the relay, and a backend in memory.
class RelayMessages : public testing::Test {
 protected:
  void join(const std::string& parameters = "messages=1", const RelayOptions& options = {}) {
    auto connected =
        connect_through(transport::default_transports(), loop, "ws://127.0.0.1:0?" + parameters, "?messages=1");
    ASSERT_TRUE(connected) << connected.error().to_string();
    connection = *std::move(connected);
    connection.client->start(client);
    MemoryPair pair = make_memory_pair(loop, loop);
    outside = std::move(pair.a);
    outside->start(backend);
    relay = std::make_unique<Relay>(RelayEndpoint{.stream = std::move(connection.server), .messages = true},
                                    RelayEndpoint{.stream = std::move(pair.b)}, options,
                                    [this](const RelayReport& r) { report = r; });
    relay->start();
  }
  void send(std::string_view text) { connection.client->write(chain_of(text), true); }

  ManualClock clock;
  Loop loop{LoopOptions{.clock = &clock}};
  Connection connection;
  std::unique_ptr<Stream> outside;
  RecordingEvents client, backend;
  std::unique_ptr<Relay> relay;
  std::optional<RelayReport> report;
};

TEST_F(RelayMessages, EachMessageGetsItsLengthAlsoAnEmptyOne) {
  join();
  send("hello");
  send("");
  send(std::string(300, 'x'));
  const std::string wanted =
      std::string("\5\0\0\0hello", 9) + std::string(4, '\0') + std::string("\x2c\1\0\0", 4) + std::string(300, 'x');
  ASSERT_TRUE(run_until(loop, [&] { return backend.received.size() >= wanted.size(); }));
  EXPECT_EQ(backend.received, wanted);
  EXPECT_EQ(relay->bytes_from(RelaySide::client), 305u) << "without the prefixes";
}

TEST_F(RelayMessages, AMessageInPiecesIsPassedOnWhole) {
  join();
  connection.client->write(chain_of("one "), false);
  loop.run_turn(10ms);
  loop.run_turn(10ms);
  EXPECT_EQ(backend.received, "");
  connection.client->write(chain_of("two"), true);
  ASSERT_TRUE(run_until(loop, [&] { return backend.received.size() == 11; }));
  EXPECT_EQ(backend.received, std::string("\7\0\0\0one two", 11));
}

TEST_F(RelayMessages, TheBackendsBytesLeaveAsMessages) {
  join();
  outside->write(chain_of("answer"));
  ASSERT_TRUE(run_until(loop, [&] { return client.message_ends == 1; }));
  EXPECT_EQ(client.received, "answer");
}

TEST_F(RelayMessages, AMessageOfMessageBytesMaxPassesAndALargerOneIsClosedWith1009) {
  RelayOptions options;
  options.message_bytes_max = 1000;
  join("messages=1", options);
  send(std::string(1000, 'a'));
  ASSERT_TRUE(run_until(loop, [&] { return backend.received.size() == 1004; }));
  send(std::string(1001, 'b'));
  ASSERT_TRUE(run_until(loop, [&] { return report && client.closed; }));
  EXPECT_EQ(report->end, RelayEnd::client_failed);
  EXPECT_THAT(to_string(report->client), HasSubstr("message_bytes_max is 1000"));
  EXPECT_EQ(client.closed->error.code, ErrorCode::too_large);
  EXPECT_EQ(backend.received.size(), 1004u);
  EXPECT_TRUE(backend.closed || backend.read_ends);
}

TEST_F(RelayMessages, AMessageThatIsFinishedWithinMessageTimeoutPassesAndASlowerOneIsClosedWith1008) {
  RelayOptions options;
  options.message_timeout = 10s;
  join("messages=1", options);
  const auto piece = [&](std::string_view text, bool last) {
    connection.client->write(chain_of(text), last);
    const std::uint64_t wanted = relay->bytes_from(RelaySide::client) + text.size();
    ASSERT_TRUE(run_until(loop, [&] { return relay->bytes_from(RelaySide::client) == wanted; }));
  };
  // A message may wait for the next as long as it likes.
  loop.advance(1h);
  piece("in ", false);
  loop.advance(9900ms);
  piece("time", true);
  ASSERT_TRUE(run_until(loop, [&] { return backend.received.size() == 11; }));
  loop.advance(1h);
  ASSERT_FALSE(report);
  // Another piece now and then buys no time.
  for (int i = 0; i < 5; ++i) {
    piece("x", false);
    if (i < 4) loop.advance(2s);
  }
  loop.advance(1900ms);
  EXPECT_FALSE(report);
  loop.advance(200ms);
  ASSERT_TRUE(run_until(loop, [&] { return report && client.closed; }));
  EXPECT_EQ(report->end, RelayEnd::client_failed);
  EXPECT_EQ(report->message_timeouts, 1u);
  EXPECT_EQ(report->client.error.code, ErrorCode::timed_out);
  EXPECT_THAT(to_string(report->client), HasSubstr("of which 5 bytes came, within message_timeout 10s"));
  EXPECT_THAT(to_string(*client.closed), HasSubstr("1008"));
  EXPECT_EQ(backend.received.size(), 11u);
  EXPECT_TRUE(backend.closed || backend.read_ends);
}

TEST_F(RelayMessages, WithoutMessageTimeoutAMessageMayTakeForEver) {
  RelayOptions options;
  options.message_timeout = 0s;
  join("messages=1", options);
  connection.client->write(chain_of("one "), false);
  ASSERT_TRUE(run_until(loop, [&] { return relay->bytes_from(RelaySide::client) == 4; }));
  loop.advance(100h);
  EXPECT_FALSE(report);
  connection.client->write(chain_of("two"), true);
  ASSERT_TRUE(run_until(loop, [&] { return backend.received.size() == 11; }));
}

TEST_F(RelayMessages, TheClientsCloseFrameIsTheBackendsEndAndTheAnswerStillArrives) {
  join();
  send("ask");
  connection.client->shutdown_write();
  ASSERT_TRUE(run_until(loop, [&] { return backend.read_ends == 1; }));
  EXPECT_EQ(backend.received, std::string("\3\0\0\0ask", 7));
  outside->write(chain_of("answer"));
  outside->shutdown_write();
  ASSERT_TRUE(run_until(loop, [&] { return report && client.closed; }));
  EXPECT_EQ(client.received, "answer");
  EXPECT_EQ(client.read_ends, 1u);
  EXPECT_EQ(report->end, RelayEnd::both_ended);
  EXPECT_EQ(report->first_end, RelaySide::client);
}

TEST_F(RelayMessages, TheBackendsEndIsClose1000AfterTheLastMessage) {
  join();
  outside->write(chain_of("last"));
  outside->shutdown_write();
  ASSERT_TRUE(run_until(loop, [&] { return client.read_ends == 1; }));
  EXPECT_EQ(client.received, "last");
  connection.client->shutdown_write();
  ASSERT_TRUE(run_until(loop, [&] { return report.has_value(); }));
  EXPECT_EQ(report->end, RelayEnd::both_ended);
  EXPECT_EQ(report->first_end, RelaySide::backend);
}

TEST_F(RelayMessages, TheBackendsResetIsClose1011) {
  join();
  outside->read(false);
  send("never read");
  ASSERT_TRUE(run_until(loop, [&] { return relay->bytes_from(RelaySide::client) == 10; }));
  loop.run_turn();
  outside.reset();
  ASSERT_TRUE(run_until(loop, [&] { return report && client.closed; }));
  EXPECT_EQ(report->end, RelayEnd::backend_failed);
  EXPECT_EQ(client.read_ends, 0u) << "no end in order";
  EXPECT_EQ(client.closed->error.code, ErrorCode::internal) << "1011";
}

}  // namespace
}  // namespace wayport::relay

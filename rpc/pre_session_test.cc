// What happens to a connection before its session: guards, and raw packets in post_dial and post_accept.
#include "wayport/rpc/pre_session.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <mutex>

#include "wayport/base/log_testing.h"
#include "wayport/base/socket.h"
#include "wayport/framing/teleport/protocol.h"
#include "wayport/rpc/peer.h"
#include "wayport/rpc/plugin.h"

namespace wayport::rpc {
namespace {

// Asks for a word; gives who knows it that word as id.
class Door final : public Plugin, public PostAccept {
 public:
  std::string_view name() const noexcept override { return "door"; }
  asio::awaitable<Status> post_accept(PreSession& session) override {
    EXPECT_FALSE(session.dialled());
    Result<PreSession::Packet> packet = co_await session.receive();
    if (!packet) {
      last_error_ = packet.error().code;
      failed.set_value();
      co_return Status::make(code::kUnauthorized, packet.error().detail);
    }
    const Result<std::string> word = session.decode<std::string>(*packet);
    const framing::PacketHeader answer{packet->seq, framing::kTypeReply, packet->uri, 0, code::kOk, {}};
    if (!word || *word == "wrong") co_return Status::make(code::kUnauthorized, "the word is wrong");
    session.set_id("user-" + *word);
    session.store().set("word", *word);
    EXPECT_TRUE(session.send_value(answer, framing::kCodecString, std::string("welcome")).has_value());
    co_return Status();
  }
  ErrorCode last_error() const { return last_error_; }
  std::promise<void> failed;

 private:
  std::atomic<ErrorCode> last_error_{ErrorCode::internal};
};

class Knock final : public Plugin, public PostDial {
 public:
  explicit Knock(std::string word) : word_(std::move(word)) {}
  std::string_view name() const noexcept override { return "knock"; }
  asio::awaitable<Status> post_dial(PreSession& session) override {
    EXPECT_TRUE(session.dialled());
    const framing::PacketHeader hello{7, framing::kTypePull, "/door", 0, 0, {}};
    EXPECT_TRUE(session.send_value(hello, framing::kCodecString, word_).has_value());
    Result<PreSession::Packet> packet = co_await session.receive();
    if (!packet) co_return Status::make(code::kUnauthorized, packet.error().detail);
    EXPECT_EQ(packet->seq, 7u);
    const Result<std::string> text = session.decode<std::string>(*packet);
    co_return text && *text == "welcome" ? Status() : Status::make(code::kUnauthorized, "not welcome");
  }

 private:
  std::string word_;
};

class PreSessionTest : public ::testing::Test {
 protected:
  PreSessionTest() : runtime({.loops = 1, .log = &log}) {}

  std::shared_ptr<Door> serve(PeerOptions options = {}) {
    options.listen = {"tcp://127.0.0.1:0"};
    server = std::make_unique<Peer>(runtime, std::move(options));
    auto door = std::make_shared<Door>();
    server->plugins().add(door);
    server->router().on_pull("/who", [](Context& context) {
      return context.session().id() + "/" + context.store().get<std::string>("word").value_or("none");
    });
    EXPECT_TRUE(server->start().has_value());
    return door;
  }
  Result<Session> dial(const std::string& word) {
    client = std::make_unique<Peer>(runtime);
    client->plugins().add(std::make_shared<Knock>(word));
    EXPECT_TRUE(client->start().has_value());
    return client->dial_blocking(server->addresses().at(0));
  }
  // A bare connection to the server, on which `bytes` are sent; they stay open until the test ends.
  Fd connect_raw(std::string_view bytes) {
    const std::string address = server->addresses().at(0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
    EXPECT_EQ(::write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    return fd;
  }

  MemoryLog log;
  Runtime runtime;
  std::unique_ptr<Peer> server;
  std::unique_ptr<Peer> client;
};

TEST_F(PreSessionTest, RawPacketsGoBothWaysAndIdAndStoreBecomeTheSessions) {
  serve();
  const Result<Session> session = dial("sesame");
  ASSERT_TRUE(session.has_value()) << session.error().to_string();
  EXPECT_EQ(*session->pull_blocking<std::string>("/who"), "user-sesame/sesame");
  EXPECT_TRUE(server->find("user-sesame"));
}

TEST_F(PreSessionTest, ARefusalFailsTheDialAndIsLogged) {
  serve();
  const Result<Session> session = dial("wrong");
  ASSERT_FALSE(session.has_value());
  EXPECT_EQ(session.error().code, ErrorCode::refused);
  server->close_blocking();
  EXPECT_EQ(log.count("the word is wrong"), 1u);
  EXPECT_EQ(server->session_count(), 0u);
}

TEST_F(PreSessionTest, WhoTakesAnIdClosesItsHolder) {
  serve();
  const Result<Session> first = dial("twin");
  ASSERT_TRUE(first.has_value());
  const std::unique_ptr<Peer> first_client = std::move(client);
  const Result<Session> second = dial("twin");
  ASSERT_TRUE(second.has_value());
  std::promise<void> closed;
  first->on_closed([&closed](const CloseReason&) { closed.set_value(); });
  closed.get_future().wait();
  EXPECT_TRUE(second->healthy());
}

TEST_F(PreSessionTest, AHandshakeThatTakesTooLongIsEnded) {
  const auto door = serve({.handshake_timeout = std::chrono::milliseconds(10)});
  const Fd silent = connect_raw("");
  door->failed.get_future().wait();
  EXPECT_EQ(door->last_error(), ErrorCode::timed_out);
  char byte = 0;
  EXPECT_EQ(::read(silent.get(), &byte, 1), 0);  // closed by the server
}

TEST_F(PreSessionTest, APacketOverTheHandshakesLimitIsRefusedByItsLength) {
  const auto door = serve({.handshake_bytes_max = 1024});
  const Fd hostile = connect_raw(std::string("\x00\x10\x00\x00j", 5));
  door->failed.get_future().wait();
  EXPECT_EQ(door->last_error(), ErrorCode::too_large);
}

TEST_F(PreSessionTest, APeerThatLeavesEndsTheHandshake) {
  const auto door = serve();
  {
    const Fd leaving = connect_raw("\x00");
  }
  door->failed.get_future().wait();
  EXPECT_EQ(door->last_error(), ErrorCode::peer_closed);
}

TEST_F(PreSessionTest, MoreHandshakesThanTheBoundAreRejected) {
  serve({.handshake_timeout = std::chrono::hours(1), .handshakes_per_loop_max = 1});
  const Fd first = connect_raw("");
  const Fd second = connect_raw("");
  // One of the two is rejected at once, and only one.
  std::array<pollfd, 2> both{{{first.get(), POLLIN, 0}, {second.get(), POLLIN, 0}}};
  EXPECT_EQ(::poll(both.data(), both.size(), -1), 1);
}

TEST_F(PreSessionTest, WhatFollowsTheHandshakeInTheSameSegmentReachesTheSession) {
  serve();
  framing::CodecRegistry codecs;
  framing::ProtocolContext context{codecs};
  Chain bytes;
  framing::OutgoingPacket packet;
  packet.header = {1, framing::kTypePull, "/door", 0, 0, {}};
  packet.body.form = framing::OutgoingBody::Form::encoded;
  packet.body.codec_id = framing::kCodecString;
  packet.body.bytes = as_bytes(std::string_view("eager"));
  ASSERT_TRUE(framing::teleport_protocol().encode(packet, context, bytes).has_value());
  packet.header.seq = 2;
  packet.header.uri = "/who";
  packet.body = {};
  ASSERT_TRUE(framing::teleport_protocol().encode(packet, context, bytes).has_value());
  const Fd eager = connect_raw(bytes.to_string());
  std::string answers;
  char piece[4096];
  while (answers.find("user-eager/eager") == std::string::npos) {
    const ssize_t got = ::read(eager.get(), piece, sizeof(piece));
    ASSERT_GT(got, 0) << "after " << answers;
    answers.append(piece, static_cast<std::size_t>(got));
  }
}

TEST_F(PreSessionTest, AClosingPeerEndsItsHandshakes) {
  serve({.session = {.close_timeout = std::chrono::hours(1)}, .handshake_timeout = std::chrono::hours(1)});
  const Fd silent = connect_raw("");
  server->close_blocking();
  char byte = 0;
  EXPECT_LE(::read(silent.get(), &byte, 1), 0);
}

TEST_F(PreSessionTest, ACloseWaitsForAHandshakeThatHasNotBegunYet) {
  serve();
  std::promise<void> busy;
  std::promise<void> go_on;
  runtime.loop(0).post([&] {
    busy.set_value();
    go_on.get_future().wait();
  });
  busy.get_future().wait();
  const Fd silent = connect_raw("");
  // What keeps the coroutine from starting in the turn that accepts.
  for (int i = 0; i < 10; ++i) asio::post(runtime.loop(0).asio(), [] {});
  std::promise<void> closed;
  server->close_async([&] { closed.set_value(); });
  go_on.set_value();
  closed.get_future().wait();
  char byte = 0;
  const ssize_t got = ::recv(silent.get(), &byte, 1, MSG_DONTWAIT);
  EXPECT_TRUE(got == 0 || (got < 0 && errno != EAGAIN)) << "the peer has closed, and the handshake goes on";
}

// Never hears from its server.
class Mute final : public Plugin, public PostDial {
 public:
  std::string_view name() const noexcept override { return "mute"; }
  asio::awaitable<Status> post_dial(PreSession& session) override {
    begun.set_value();
    Result<PreSession::Packet> packet = co_await session.receive();
    co_return packet ? Status() : Status::make(code::kUnauthorized, packet.error().detail);
  }
  std::promise<void> begun;
};

class MuteTest : public PreSessionTest {
 protected:
  MuteTest() {
    serve({.handshake_timeout = std::chrono::hours(1)});
    client = std::make_unique<Peer>(runtime, PeerOptions{.handshake_timeout = std::chrono::hours(1)});
    client->plugins().add(mute);
    EXPECT_TRUE(client->start().has_value());
  }
  std::future<ErrorCode> dial_and_wait_for_the_handshake(DialOptions options = {}) {
    auto outcome = std::make_shared<std::promise<ErrorCode>>();
    client->dial_async(server->addresses().at(0), std::move(options),
                       [outcome](const Result<Session>& session) { outcome->set_value(session.error().code); });
    mute->begun.get_future().wait();
    return outcome->get_future();
  }
  const std::shared_ptr<Mute> mute = std::make_shared<Mute>();
};

TEST_F(MuteTest, AnAbortEndsADialInItsHandshake) {
  std::future<ErrorCode> outcome = dial_and_wait_for_the_handshake();
  client->abort_sessions();
  EXPECT_EQ(outcome.get(), ErrorCode::local_closed);
}

TEST_F(MuteTest, ACloseEndsADialInItsHandshake) {
  std::future<ErrorCode> outcome = dial_and_wait_for_the_handshake();
  client->close_blocking();
  EXPECT_EQ(outcome.get(), ErrorCode::local_closed);
}

TEST_F(MuteTest, ACanceledDialEndsItsHandshakeToo) {
  DialOptions options;
  options.canceler = std::make_shared<Canceler>();
  std::future<ErrorCode> outcome = dial_and_wait_for_the_handshake(options);
  options.canceler->cancel();
  EXPECT_EQ(outcome.get(), ErrorCode::canceled);
  client->close_blocking();  // waits for the handshake, which had an hour
  EXPECT_EQ(client->session_count(), 0u);
}

// --- guards of accepted connections, and the ends of sessions ---

class Turnstile final : public Plugin, public AcceptGuard, public PostStart, public PostDisconnect {
 public:
  explicit Turnstile(int max) : max_(max) {}
  std::string_view name() const noexcept override { return "turnstile"; }
  Status begin_session(const transport::PeerInfo& peer) override {
    EXPECT_FALSE(peer.remote.ip().empty());
    if (inside == max_) return Status::make(code::kServiceUnavailable, "full");
    ++inside;
    return {};
  }
  void end_session(const transport::PeerInfo&) noexcept override { --inside; }
  void post_start(const Session& session) override {
    EXPECT_TRUE(session.healthy());
    ++starts;
  }
  void post_disconnect(const Session&, const CloseReason& reason) override {
    EXPECT_FALSE(reason.error.detail.empty());
    ++ends;
  }
  std::atomic<int> inside{0};
  std::atomic<int> starts{0};
  std::atomic<int> ends{0};

 private:
  const int max_;
};

TEST_F(PreSessionTest, AcceptGuardsAreAPairAroundEachConnection) {
  server = std::make_unique<Peer>(runtime, PeerOptions{.listen = {"tcp://127.0.0.1:0"}});
  const auto turnstile = std::make_shared<Turnstile>(1);
  server->plugins().add(turnstile);
  server->plugins().add(std::make_shared<Door>());
  ASSERT_TRUE(server->start().has_value());
  const Result<Session> first = dial("one");
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(turnstile->inside, 1);
  const std::unique_ptr<Peer> first_client = std::move(client);
  EXPECT_FALSE(dial("two").has_value());
  EXPECT_EQ(turnstile->inside, 1);
  first->close();
  server->close_blocking();
  EXPECT_EQ(turnstile->inside, 0);
  EXPECT_EQ(turnstile->starts, 1);
  EXPECT_EQ(turnstile->ends, 1);
}

TEST_F(PreSessionTest, AGuardEndsWhenTheHandshakeFails) {
  server = std::make_unique<Peer>(runtime, PeerOptions{.listen = {"tcp://127.0.0.1:0"}});
  const auto turnstile = std::make_shared<Turnstile>(1);
  server->plugins().add(turnstile);
  server->plugins().add(std::make_shared<Door>());
  ASSERT_TRUE(server->start().has_value());
  EXPECT_FALSE(dial("wrong").has_value());
  server->close_blocking();
  EXPECT_EQ(turnstile->inside, 0);
  EXPECT_EQ(turnstile->ends, 0);
}

}  // namespace
}  // namespace wayport::rpc

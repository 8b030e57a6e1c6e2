// What a handler and a caller may see and choose, one promise each, between two real peers (rpc/FEATURES.md).
#include <gtest/gtest.h>

#include <array>
#include <future>
#include <mutex>

#include "wayport/base/log_testing.h"
#include "wayport/rpc/peer.h"
#include "wayport/rpc/plugin.h"

namespace wayport::rpc {
namespace {

// What arrived last, as packets show it.
class Watch final : public Plugin, public PostReadReplyHeader, public PostReadPullHeader {
 public:
  struct Seen {
    std::uint8_t header_codec = 0;
    std::uint8_t body_codec = 0;
    std::int32_t gzip = 0;
    std::int32_t status_code = 0;
    std::string status;
  };
  std::string_view name() const noexcept override { return "watch"; }
  Status post_read_reply_header(const IncomingReply& reply) override { return note(reply_, reply.packet); }
  Status post_read_pull_header(Call& call) override { return note(pull_, call.packet()); }
  Seen reply() const { return read(reply_); }
  Seen pull() const { return read(pull_); }

 private:
  Status note(Seen& seen, const framing::PacketView& packet) {
    const std::lock_guard lock(mutex_);
    seen = {packet.header_codec, packet.body_codec, packet.header.gzip, packet.header.status_code,
            std::string(packet.header.status)};
    return {};
  }
  Seen read(const Seen& seen) const {
    const std::lock_guard lock(mutex_);
    return seen;
  }
  mutable std::mutex mutex_;
  Seen reply_;
  Seen pull_;
};

class PeerFeatures : public ::testing::Test {
 protected:
  PeerFeatures() : runtime({.loops = 1, .log = &log}) {}

  void make(PeerOptions server_options = {.listen = {"tcp://127.0.0.1:0"}}, PeerOptions client_options = {}) {
    server = std::make_unique<Peer>(runtime, std::move(server_options));
    client = std::make_unique<Peer>(runtime, std::move(client_options));
    server->plugins().add(server_watch);
    client->plugins().add(client_watch);
    server->router().on_pull("/echo", [](std::string text) { return text; });
  }
  Session dial(std::size_t address = 0) {
    if (server->addresses().empty()) {
      EXPECT_TRUE(server->start().has_value());
      EXPECT_TRUE(client->start().has_value());
    }
    Result<Session> session = client->dial_blocking(server->addresses().at(address));
    EXPECT_TRUE(session.has_value()) << (session ? "" : session.error().to_string());
    return session ? *session : Session();
  }

  const std::shared_ptr<Watch> server_watch = std::make_shared<Watch>();
  const std::shared_ptr<Watch> client_watch = std::make_shared<Watch>();
  MemoryLog log;
  Runtime runtime;
  std::unique_ptr<Peer> server;
  std::unique_ptr<Peer> client;
};

TEST_F(PeerFeatures, ListensOnSeveralAddressesAndIsServerAndClientAtOnce) {
  make({.listen = {"tcp://127.0.0.1:0", "unix://@wayport-peer-features"}});
  for (const std::size_t address : {0u, 1u}) {
    EXPECT_EQ(*dial(address).pull_blocking<std::string>("/echo", std::string("x")), "x");
  }
  // A peer dials itself as any other.
  Result<Session> own = server->dial_blocking(server->addresses().at(1));
  ASSERT_TRUE(own.has_value());
  EXPECT_EQ(*own->pull_blocking<std::string>("/echo", std::string("self")), "self");
}

TEST_F(PeerFeatures, AContextShowsTheWholeRequest) {
  make();
  std::promise<std::array<std::string, 7>> seen;
  server->router().on_pull("/a/b c", [&seen](Context& context) {
    context.store().set("visits", 1);
    const Query query = context.query();
    seen.set_value({std::string(context.uri()), std::string(context.path()), std::string(context.raw_query()),
                    std::string(query_value(query, "x")), context.ip(), context.session().remote(),
                    std::to_string(context.header().status_code) + " " + std::string(context.header().status)});
  });
  const Session session = dial();
  ASSERT_TRUE(
      session.pull_blocking("/a/b%20c?x=1%2b1&y=2", framing::NoBody(), {.status_code = 7, .status = "up"}).ok());
  const auto [uri, path, raw_query, x, ip, remote, status] = seen.get_future().get();
  EXPECT_EQ(uri, "/a/b%20c?x=1%2b1&y=2");
  EXPECT_EQ(path, "/a/b c");
  EXPECT_EQ(raw_query, "x=1%2b1&y=2");
  EXPECT_EQ(x, "1+1");
  EXPECT_EQ(ip, "127.0.0.1");
  EXPECT_EQ(remote, session.local());
  EXPECT_EQ(status, "7 up");
}

TEST_F(PeerFeatures, AHandlerChoosesTheCodecAndCompressionOfItsReply) {
  make();
  server->router().on_pull("/text", [](Context& context) {
    context.set_reply_codec(framing::kCodecString);
    context.set_reply_gzip(5);
    return std::string(1000, 'a');
  });
  const Session session = dial();
  EXPECT_EQ(session.pull_blocking<std::string>("/text")->size(), 1000u);
  EXPECT_EQ(client_watch->reply().body_codec, framing::kCodecString);
  EXPECT_EQ(client_watch->reply().gzip, 5);
}

TEST_F(PeerFeatures, EachPacketMayChooseItsCodecsCompressionAndStatus) {
  make();
  const Session session = dial();
  CallOptions options;
  options.header_codec = framing::kCodecProtobuf;
  options.body_codec = framing::kCodecString;
  options.gzip = 3;
  options.status_code = 9;
  options.status = "note";
  EXPECT_EQ(*session.pull_blocking<std::string>("/echo", std::string("x"), options), "x");
  const Watch::Seen pull = server_watch->pull();
  EXPECT_EQ(pull.header_codec, framing::kCodecProtobuf);
  EXPECT_EQ(pull.body_codec, framing::kCodecString);
  EXPECT_EQ(pull.gzip, 3);
  EXPECT_EQ(pull.status_code, 9);
  EXPECT_EQ(pull.status, "note");
  EXPECT_EQ(client_watch->reply().header_codec, framing::kCodecProtobuf);
  EXPECT_EQ(client_watch->reply().status_code, code::kOk);
}

TEST_F(PeerFeatures, APeerHasDefaultCodecsAndCompression) {
  PeerOptions options;
  options.session.header_codec = framing::kCodecProtobuf;
  options.session.body_codec = framing::kCodecString;
  options.session.gzip = 1;
  make({.listen = {"tcp://127.0.0.1:0"}}, std::move(options));
  const Session session = dial();
  EXPECT_EQ(*session.pull_blocking<std::string>("/echo", std::string("x")), "x");
  const Watch::Seen pull = server_watch->pull();
  EXPECT_EQ(pull.header_codec, framing::kCodecProtobuf);
  EXPECT_EQ(pull.body_codec, framing::kCodecString);
  EXPECT_EQ(pull.gzip, 1);
}

TEST_F(PeerFeatures, ASessionsReadTimeoutMayBeSetWhileItLives) {
  make();
  const Session session = dial();
  ASSERT_TRUE(session.pull_blocking<std::string>("/echo", std::string("x")).ok());
  session.set_write_timeout(std::chrono::seconds(5));
  session.set_read_timeout(std::chrono::milliseconds(5));
  std::promise<CloseReason> closed;
  session.on_closed([&closed](const CloseReason& reason) { closed.set_value(reason); });
  const CloseReason reason = closed.get_future().get();
  EXPECT_EQ(reason.by, CloseReason::By::local);
  EXPECT_EQ(reason.error.code, ErrorCode::timed_out);
  EXPECT_NE(reason.error.detail.find("read_timeout 5ms"), std::string::npos);
}

TEST_F(PeerFeatures, APullTellsItsCost) {
  make();
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  std::promise<void> running;
  server->router().on_pull("/wait",
                           [&running, released] {
                             running.set_value();
                             released.wait();
                           },
                           {.blocking = true});
  const Session session = dial();
  std::future<Reply<void>> reply = session.pull_future("/wait");
  running.get_future().wait();
  const auto begin = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(3)) {
    // The cost is at least what passes here.
  }
  release.set_value();
  EXPECT_GE(reply.get().cost(), std::chrono::milliseconds(2));
  EXPECT_EQ(session.pull_blocking("/nothing").cost() > Duration::zero(), true);
  session.abort();
  EXPECT_EQ(session.pull_blocking("/echo").cost(), Duration::zero());  // never sent
}

}  // namespace
}  // namespace wayport::rpc

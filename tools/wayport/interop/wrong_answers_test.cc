// Goal: each check of a client sees the answer that breaks it. Method: the client runs in this process, at a peer, or a
// stream server, that is right but for one thing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "wayport/base/chain.h"
#include "wayport/base/co.h"
#include "wayport/base/log.h"
#include "wayport/base/runtime.h"
#include "wayport/framing/codec.h"
#include "wayport/rpc/handlers.h"
#include "wayport/rpc/peer.h"
#include "wayport/tools/wayport/console.h"
#include "wayport/tools/wayport/interop/interop.h"
#include "wayport/transport/default_transports.h"

namespace wayport::tools::interop {
namespace {

using ::testing::HasSubstr;

struct Ended {
  int exit_code = -1;
  std::string out;
  std::string err;
};

// A client of this process.
Ended run_client(const std::string& role, const std::string& what, const std::string& address,
                 std::map<std::string, std::string> variables = {}) {
  variables.insert({{"ROLE", role},
                    {"CASE", what},
                    {"ADDRESS", address},
                    {"SEED", "7"},
                    {"TIMEOUT", "30"},
                    {"VERSION", "2.5"},
                    {"CODEC", "json"},
                    {"HEADER", "json"},
                    {"GZIP", "0"},
                    {"COUNT", "5"},
                    {"BYTES", "100000"}});
  const auto lookup = [&](const char* name) -> const char* {
    const auto found = variables.find(std::string_view(name).substr(std::string_view("INTEROP_").size()).data());
    return found == variables.end() ? nullptr : found->second.c_str();
  };
  Runtime runtime({.loops = 1, .log = &null_log()});
  std::istringstream in;
  std::ostringstream out, err;
  Console console{in, out, err};
  Interrupt interrupt;
  const int code = interop(runtime, {}, lookup, console, interrupt);
  return {code, out.str(), err.str()};
}

void expect_failed(const Ended& ended, const std::string& expected, const std::string& came) {
  EXPECT_EQ(ended.exit_code, 1);
  EXPECT_EQ(ended.out, "");
  EXPECT_THAT(ended.err, HasSubstr("expected " + expected));
  EXPECT_THAT(ended.err, HasSubstr("; came: " + came));
}

// --- Teleport ---

class WrongPeer {
 public:
  using Routes = std::function<void(rpc::Router&)>;
  explicit WrongPeer(const Routes& routes, rpc::SessionOptions session = {})
      : peer_(runtime_, {.listen = {"tcp://127.0.0.1:0"}, .session = session}) {
    rpc::Router router = peer_.router().group("/interop");
    routes(router);
    const Result<void> started = peer_.start();
    EXPECT_TRUE(started) << started.error().to_string();
  }
  std::string address() const { return peer_.addresses()[0]; }

 private:
  Runtime runtime_{{.loops = 1, .log = &null_log()}};
  rpc::Peer peer_;
};

void right_echo(rpc::Router& router) {
  router.on_pull("/echo", [](rpc::RawBodyView body) { return body; });
}

TEST(WrongAnswers, AnotherText) {
  const WrongPeer peer([](rpc::Router& router) {
    router.on_pull("/echo", [](std::string text) { return text.empty() ? text : text.substr(1) + text[0] + "x"; });
    router.on_pull("/back", [](std::string) { return std::string("something"); });
    router.on_pull("/query", [](rpc::Context& context) { return std::string(context.raw_query().substr(2)); });
  });
  expect_failed(run_client("client", "echo", peer.address(), {{"BYTES", "50"}}), "status 200 and ", "");
  expect_failed(run_client("client", "large", peer.address(), {{"BYTES", "50"}}), "status 200 and 50 bytes",
                "51 bytes");
  expect_failed(run_client("client", "back", peer.address()), "status 200 and ", "9 bytes \"something\"");
  // The first value has nothing to decode.
  expect_failed(run_client("client", "query", peer.address()), "status 200 and ", "");
}

TEST(WrongAnswers, NoAnswerAtAll) {
  const WrongPeer peer([](rpc::Router& router) {
    router.on_pull("/echo", [](rpc::Context& context, std::string text) -> asio::awaitable<std::string> {
      static_cast<void>(co_await sleep_for(context.session().loop(), std::chrono::hours(1)));
      co_return text;
    });
  });
  expect_failed(run_client("client", "large", peer.address(), {{"TIMEOUT", "1"}}), "status 200 and ", "504 no reply");
}

TEST(WrongAnswers, AnotherNumber) {
  const WrongPeer peer([](rpc::Router& router) {
    router.on_pull("/length",
                   [](std::string text) { return static_cast<std::int64_t>(text.size() == 3 ? 4 : text.size()); });
    router.on_push("/note", [] {});
    router.on_pull("/notes", [] { return std::int64_t{6}; });
  });
  expect_failed(run_client("client", "concurrent", peer.address()), "status 200 and 3 of /interop/length", "4");
  expect_failed(run_client("client", "push", peer.address()), "status 200 and 5 of /interop/notes", "6");
}

TEST(WrongAnswers, ATextForANumber) {
  const WrongPeer peer(
      [](rpc::Router& router) { router.on_pull("/length", [](std::string) { return std::string("1"); }); });
  expect_failed(run_client("client", "concurrent", peer.address()), "status 200 and 1 of /interop/length", "502 ");
}

TEST(WrongAnswers, TheOtherOrder) {
  const WrongPeer peer([](rpc::Router& router) { router.on_pull("/slow", [](std::int64_t ms) { return ms; }); });
  expect_failed(run_client("client", "order", peer.address()), "the answer to 0 ms in front of that to 300 ms",
                "it behind");
}

TEST(WrongAnswers, AnotherStatus) {
  for (const auto& [code, text, came] :
       {std::tuple(1002, "interop", "1002 interop"), {1001, "another", "1001 another"}, {200, "", "200"}}) {
    const WrongPeer peer([&](rpc::Router& router) {
      right_echo(router);
      router.on_pull(
          "/fail", [code, text](std::int64_t) { return code == 200 ? rpc::Status() : rpc::Status::make(code, text); });
      router.on_pull("/absent", [] { return std::string("here"); });
    });
    expect_failed(run_client("client", "status", peer.address()), "status 1001 interop of /interop/fail", came);
    expect_failed(run_client("client", "not-found", peer.address()), "status 404 ", "200");
  }
}

TEST(WrongAnswers, AStatusThatEndsTheSession) {
  const WrongPeer peer([](rpc::Router& router) {
    right_echo(router);
    router.on_pull("/fail", [](rpc::Context& context, std::int64_t code) {
      context.session().close();
      return rpc::Status::make(static_cast<std::int32_t>(code), "interop");
    });
  });
  expect_failed(run_client("client", "status", peer.address()), "status 200 and ", "");
}

TEST(WrongAnswers, ABodyThatNobodyCanReadIsAnswered) {
  const WrongPeer peer([](rpc::Router& router) {
    router.on_pull("/length", [](rpc::Context& context, rpc::RawBodyView body) {
      context.set_reply_codec(framing::kCodecJson);
      return static_cast<std::int64_t>(body.bytes().size());
    });
  });
  for (const std::string codec : {"json", "protobuf", "plain"}) {
    expect_failed(run_client("client", "bad-body", peer.address(), {{"CODEC", codec}}),
                  "a status other than 200, or the end of the session", "200");
  }
}

TEST(WrongAnswers, ABodyThatNobodyCanReadIsWaitedForInVain) {
  const WrongPeer peer([](rpc::Router& router) {
    router.on_pull("/length", [](rpc::Context& context, rpc::RawBodyView) -> asio::awaitable<std::int64_t> {
      static_cast<void>(co_await sleep_for(context.session().loop(), std::chrono::hours(1)));
      co_return 1;
    });
  });
  expect_failed(run_client("client", "bad-body", peer.address(), {{"TIMEOUT", "1"}}), "a status other than 200",
                "504 ");
}

TEST(WrongAnswers, NoLimitOrTooLowAOne) {
  const WrongPeer none(right_echo);
  expect_failed(run_client("client", "limit", none.address()), "the end of the session for an echo of 70000 bytes",
                "200");
  rpc::SessionOptions low;
  low.limits.packet_bytes_max = 50'000;
  const WrongPeer lower(right_echo, low);
  expect_failed(run_client("client", "limit", lower.address()), "status 200 and 60000 bytes", "101 ");
}

TEST(WrongAnswers, NobodyThere) {
  expect_failed(run_client("client", "echo", "tcp://127.0.0.1:1"), "a session", "refused: ");
  expect_failed(run_client("stream-client", "stream", "tcp://127.0.0.1:1"), "a connection", "refused: ");
}

// --- streams ---

// Echoes, changed by `change`, which gets what was received so far and the bytes; closes when it says so.
class WrongEcho {
 public:
  enum class Then : std::uint8_t { go_on, end };
  using Change = std::function<Then(std::uint64_t received, MutableBytes bytes, Chain& answer)>;

  explicit WrongEcho(Change change) : change_(std::move(change)) {
    on_loop([this] {
      Result<std::unique_ptr<transport::Listener>> listener =
          all_.listen(loop(), transport::Address::of("tcp", "127.0.0.1", 0), {});
      ASSERT_TRUE(listener) << listener.error().to_string();
      listener_ = *std::move(listener);
      listener_->start([this](std::unique_ptr<transport::Incoming> incoming) {
        connection_ = std::make_unique<Connection>(*this, incoming->accept());
      });
      address_ = listener_->address().to_string();
    });
  }
  ~WrongEcho() {
    on_loop([this] {
      connection_.reset();
      listener_.reset();
    });
  }
  const std::string& address() const { return address_; }

 private:
  class Connection final : private transport::StreamEvents {
   public:
    Connection(WrongEcho& owner, std::unique_ptr<transport::Stream> stream)
        : owner_(owner), stream_(std::move(stream)) {
      stream_->start(*this);
    }

   private:
    std::size_t on_bytes(MutableBytes bytes, bool) override {
      Chain answer;
      const Then then = owner_.change_(received_, bytes, answer);
      received_ += bytes.size();
      stream_->write(std::move(answer));
      if (then == Then::end) stream_->shutdown_write();
      return bytes.size();
    }
    void on_writable() override {}
    void on_read_end() override { stream_->shutdown_write(); }
    void on_closed(const CloseReason&) override {}

    WrongEcho& owner_;
    const std::unique_ptr<transport::Stream> stream_;
    std::uint64_t received_ = 0;
  };

  Loop& loop() { return runtime_.loop(0); }
  void on_loop(std::move_only_function<void()> work) {
    std::promise<void> done;
    loop().post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }

  const Change change_;
  const transport::Transports all_ = transport::default_transports();
  std::string address_;
  std::unique_ptr<transport::Listener> listener_;
  std::unique_ptr<Connection> connection_;
  Runtime runtime_{{.loops = 1, .log = &null_log()}};
};
using Then = WrongEcho::Then;

TEST(WrongStreams, OneOtherByte) {
  const WrongEcho server([](std::uint64_t received, MutableBytes bytes, Chain& answer) {
    if (received <= 70'000 && 70'000 < received + bytes.size()) bytes[70'000 - received] ^= std::byte{1};
    answer.append(Bytes(bytes));
    return Then::go_on;
  });
  expect_failed(run_client("stream-client", "stream", server.address()), "byte 70000 to be ", "");
}

TEST(WrongStreams, AnEarlyEnd) {
  for (const char* what : {"stream", "stream-half", "stream-slow"}) {
    const WrongEcho server([](std::uint64_t received, MutableBytes bytes, Chain& answer) {
      if (received == 0) answer.append(Bytes(bytes.first(100)));
      return Then::end;
    });
    expect_failed(run_client("stream-client", what, server.address()), "100000 bytes back", "100, then ");
  }
}

TEST(WrongStreams, MoreThanWasSent) {
  const WrongEcho server([](std::uint64_t received, MutableBytes bytes, Chain& answer) {
    answer.append(Bytes(bytes));
    if (received + bytes.size() == 100'000) answer.append(std::string_view("x"));
    return Then::go_on;
  });
  expect_failed(run_client("stream-client", "stream-half", server.address()), "100000 bytes back", "more");
}

TEST(WrongStreams, NothingComesBack) {
  const WrongEcho server([](std::uint64_t, MutableBytes, Chain&) { return Then::go_on; });
  expect_failed(run_client("stream-client", "stream", server.address(), {{"TIMEOUT", "1"}}), "", "nothing within 1s");
}

}  // namespace
}  // namespace wayport::tools::interop

// A client, a proxy and its backends, all real peers on loopback. What has to happen first is waited for.
#include "wayport/rpc/plugins/proxy/proxy.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <mutex>
#include <set>
#include <thread>

#include "wayport/base/bytes.h"
#include "wayport/base/log_testing.h"
#include "wayport/framing/body.h"
#include "wayport/rpc/plugin.h"
#include "wayport/rpc/plugins/alias/alias.h"

namespace wayport::rpc {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A packet as one end saw it.
struct Seen {
  std::string uri;
  std::string body;  // with codec
  std::string status;
  std::int32_t type = 0;
  std::int32_t gzip = 0;
  std::int32_t status_code = 0;
  std::uint8_t header_codec = 0;

  static Seen of(const framing::PacketView& packet) {
    const framing::PacketHeader& header = packet.header;
    return {std::string(header.uri),
            std::string(as_text(packet.body_with_codec)),
            std::string(header.status),
            header.type,
            header.gzip,
            header.status_code,
            packet.header_codec};
  }
};

// Keeps what it is shown.
class Witness final : public Plugin, public PreReadReplyBody, public PostReadPullHeader, public PostReadPushHeader {
 public:
  std::string_view name() const noexcept override { return "witness"; }
  Status pre_read_reply_body(const IncomingReply& reply) override { return note(Seen::of(reply.packet)); }
  Status post_read_pull_header(Call& call) override { return note(Seen::of(call.packet())); }
  Status post_read_push_header(Call& call) override { return note(Seen::of(call.packet())); }
  Seen last() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }

 private:
  Status note(Seen seen) {
    const std::lock_guard lock(mutex_);
    if (!seen.uri.starts_with(ReverseProxy::kLoopPath)) seen_ = std::move(seen);
    return {};
  }
  mutable std::mutex mutex_;
  Seen seen_;
};

struct Server {
  std::atomic<int> executed{0};
  std::atomic<int> pushed{0};
  std::atomic<bool> healthy{true};
  std::atomic<int> loop_answer{404};  // to loop checks; 0: none
  std::atomic<int> loop_checks{0};
  std::shared_ptr<Witness> witness = std::make_shared<Witness>();
  std::vector<std::unique_ptr<DeferredCall>> held;  // on the loop
  std::unique_ptr<Peer> peer;

  std::string address() const { return peer->addresses().at(0); }
};

class ReverseProxyTest : public ::testing::Test {
 protected:
  static constexpr std::size_t kLoops = 1;  // so that balancing is one sequence

  ReverseProxyTest() {
    EXPECT_TRUE(back.start());
    client.plugins().add(witness);
    EXPECT_TRUE(client.start());
  }
  ~ReverseProxyTest() override { release_all(); }

  Server& serve(const std::string& address = "tcp://127.0.0.1:0") {
    Server& server = *servers.emplace_back(std::make_unique<Server>());
    server.peer = std::make_unique<Peer>(runtime, PeerOptions{.listen = {address}});
    server.peer->plugins().add(server.witness);
    Router router = server.peer->router();
    const std::string name = std::to_string(servers.size() - 1);
    router.on_pull("/who", [&server, name] {
      server.executed.fetch_add(1);
      return name;
    });
    router.on_pull("/twice", [&server](int v) {
      server.executed.fetch_add(1);
      return 2 * v;
    });
    router.on_pull("/echo", [](Context&, RawBodyView body) { return body; });
    router.on_pull("/refuse",
                   [](Context& context) { context.call().reply_forwarded(as_bytes("jnull"), 0, -7, "no & never"); });
    router.on_pull("/nothing", [](Context& context) { context.call().reply_forwarded({}, 0, 0, "code zero"); });
    router.on_pull("/hold", [&server](Context& context) {
      server.executed.fetch_add(1);
      server.held.push_back(context.call().defer());
    });
    router.on_pull("/drop", [&server](Context& context) {
      server.executed.fetch_add(1);
      context.session().abort("dropped");
    });
    router.on_pull("/health",
                   [&server] { return server.healthy.load() ? Status() : Status::make(code::kServiceUnavailable); });
    router.on_pull(std::string(ReverseProxy::kLoopPath), [&server](Context& context) {
      server.loop_checks.fetch_add(1);
      if (const int answer = server.loop_answer.load(); answer != 0) return context.call().fail(Status::make(answer));
      server.held.push_back(context.call().defer());
    });
    router.on_push("/note", [&server](Context&, RawBodyView) { server.pushed.fetch_add(1); });
    const Result<void> started = server.peer->start();
    EXPECT_TRUE(started) << started.error().to_string();
    return server;
  }
  void start_proxy(ReverseProxyOptions options) {
    auto made = ReverseProxy::make(back, std::move(options));
    ASSERT_TRUE(made) << made.error().to_string();
    proxy = *std::move(made);
    proxy->attach(front.router());
    ASSERT_TRUE(front.start());
    proxy->start();
    auto dialed = client.dial_blocking(front.addresses().at(0));
    ASSERT_TRUE(dialed) << dialed.error().to_string();
    session = *dialed;
  }
  // Waits for what other threads do.
  static bool until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + seconds(20);
    while (!done() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
    return done();
  }
  void on_loop(const std::function<void()>& work) {
    std::promise<void> done;
    runtime.loop(0).post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }
  void release(Server& server) {
    on_loop([&] {
      for (const auto& call : server.held) {
        if (call) call->reply_empty();
      }
      server.held.clear();
    });
  }
  void release_all() {
    for (const auto& server : servers) release(*server);
  }
  std::size_t usable(std::size_t at) const { return static_cast<std::size_t>(proxy->backends().at(at).loops_usable); }
  bool until_usable(std::size_t count) {
    return until([&] {
      std::size_t in = 0;
      for (const BackendStatus& status : proxy->backends()) in += status.loops_usable != 0;
      return in == count;
    });
  }
  const ReverseProxyCounters& counters() const { return proxy->counters(0); }
  std::string who() {
    Reply<std::string> reply = session.pull_blocking<std::string>("/who");
    return reply.ok() ? *reply : reply.status().to_string();
  }

  MemoryLog log;
  Runtime runtime{{.loops = kLoops, .log = &log}};
  std::shared_ptr<Witness> witness = std::make_shared<Witness>();
  std::vector<std::unique_ptr<Server>> servers;
  Peer back{runtime};
  Peer front{runtime, {.listen = {"tcp://127.0.0.1:0"}}};
  Peer client{runtime};
  std::unique_ptr<ReverseProxy> proxy;
  Session session;
};

TEST_F(ReverseProxyTest, PullsAndRepliesGoOnAsTheyCame) {
  Server& server = serve();
  start_proxy({.backends = {{server.address()}}});
  CallOptions options;
  options.header_codec = 'p';
  options.gzip = 5;
  options.status_code = 77;
  options.status = "as told";
  const std::string text(3000, 'x');
  const Reply<std::string> echoed = session.pull_blocking<std::string>("/%65cho?a=1&b=%20", text, options);
  ASSERT_TRUE(echoed.ok()) << echoed.status().to_string();
  EXPECT_EQ(*echoed, text);
  const Seen there = server.witness->last();
  EXPECT_EQ(there.uri, "/%65cho?a=1&b=%20");
  EXPECT_EQ(there.gzip, 5);
  EXPECT_EQ(there.status_code, 77);
  EXPECT_EQ(there.status, "as told");
  EXPECT_EQ(there.header_codec, 'p');
  EXPECT_LT(there.body.size(), 1000u);  // still compressed
  const Seen here = witness->last();
  EXPECT_EQ(here.uri, there.uri);
  EXPECT_EQ(here.gzip, 5);
  EXPECT_EQ(here.status_code, 200);
  EXPECT_EQ(here.status, "OK");
  EXPECT_EQ(here.header_codec, 'p');
  EXPECT_EQ(here.body, there.body);
  EXPECT_EQ(counters().replies.read(), 1u);
}

TEST_F(ReverseProxyTest, BodiesThatNobodyCanDecodeGoThrough) {
  Server& server = serve();
  start_proxy({.backends = {{server.address()}}});
  for (const std::string body : {"", "j", "\x01garbage", "j{not json"}) {
    const Reply<framing::RawBody> echoed = session.pull_blocking<framing::RawBody>("/echo", framing::RawBody{0, body});
    ASSERT_TRUE(echoed.ok()) << echoed.status().to_string();
    EXPECT_EQ(server.witness->last().body, body);
    EXPECT_EQ(witness->last().body, body);
  }
}

TEST_F(ReverseProxyTest, ErrorRepliesKeepCodeTextAndBody) {
  Server& server = serve();
  start_proxy({.backends = {{server.address()}}});
  const Reply<void> refused = session.pull_blocking("/refuse");
  EXPECT_EQ(refused.status().code, -7);
  EXPECT_EQ(refused.status().text, "no & never");
  EXPECT_EQ(witness->last().body, "jnull");
  const Reply<void> zero = session.pull_blocking("/nothing");
  EXPECT_EQ(zero.status().code, 0);
  EXPECT_EQ(zero.status().text, "code zero");
  EXPECT_EQ(session.pull_blocking("/none").status().code, code::kNotFound);  // the backend's
  EXPECT_EQ(proxy->backends()[0].failures, 0u);
}

TEST_F(ReverseProxyTest, PushesGoOnAsTheyCame) {
  Server& server = serve();
  start_proxy({.backends = {{server.address()}}});
  CallOptions options;
  options.status_code = 3;
  ASSERT_TRUE(session.push("/note?x=y", framing::RawBody{0, "\x02zz"}, options));
  ASSERT_TRUE(until([&] { return server.pushed.load() == 1; }));
  const Seen there = server.witness->last();
  EXPECT_EQ(there.uri, "/note?x=y");
  EXPECT_EQ(there.body, "\x02zz");
  EXPECT_EQ(there.status_code, 3);
  EXPECT_EQ(counters().pushes.read(), 1u);
}

TEST_F(ReverseProxyTest, RoundRobinTakesBackendsInTurn) {
  Server& a = serve();
  Server& b = serve();
  start_proxy({.backends = {{a.address()}, {b.address()}}, .balance = Balance::round_robin});
  ASSERT_TRUE(until_usable(2));
  for (int i = 0; i < 10; ++i) who();
  EXPECT_EQ(a.executed.load(), 5);
  EXPECT_EQ(b.executed.load(), 5);
}

TEST_F(ReverseProxyTest, LeastOutstandingGoesToTheIdleBackend) {
  Server& a = serve();
  Server& b = serve();
  start_proxy({.backends = {{a.address()}, {b.address()}}});
  ASSERT_TRUE(until_usable(2));
  auto held = session.pull_future<void>("/hold");
  ASSERT_TRUE(until([&] { return a.executed.load() + b.executed.load() == 1; }));
  Server& busy = a.executed.load() == 1 ? a : b;
  for (int i = 0; i < 6; ++i) who();
  EXPECT_EQ(busy.executed.load(), 1);
  release(busy);
  EXPECT_TRUE(held.get().ok());
}

TEST_F(ReverseProxyTest, HashKeepsASourceAtItsBackendAndAKeyAtItsOwn) {
  std::vector<Backend> backends;
  for (int i = 0; i < 4; ++i) backends.push_back({serve().address(), "backend " + std::to_string(i)});
  start_proxy({.backends = backends, .balance = Balance::hash});
  ASSERT_TRUE(until_usable(4));
  const std::string first = who();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(who(), first);
  auto other = client.dial_blocking(front.addresses().at(0));  // the same address, another port
  ASSERT_TRUE(other);
  EXPECT_EQ(other->pull_blocking<std::string>("/who").value(), first);
}

TEST_F(ReverseProxyTest, HashByKeySpreadsKeys) {
  std::vector<Backend> backends;
  for (int i = 0; i < 4; ++i) backends.push_back({serve().address(), "backend " + std::to_string(i)});
  start_proxy({.backends = backends, .balance = Balance::hash, .key = [](const Call& call) {
                 return hash_text(query_value(parse_query(call.raw_query()), "user"));
               }});
  ASSERT_TRUE(until_usable(4));
  std::set<std::string> used;
  for (int user = 0; user < 40; ++user) {
    const std::string uri = "/who?user=" + std::to_string(user);
    const std::string at = session.pull_blocking<std::string>(uri).value();
    EXPECT_EQ(session.pull_blocking<std::string>(uri).value(), at);
    used.insert(at);
  }
  EXPECT_EQ(used.size(), 4u);
}

TEST_F(ReverseProxyTest, ALostBackendIs502WithItsNameAndNothingRunsTwice) {
  Server& server = serve();
  start_proxy({.backends = {{server.address(), "db-7"}}});
  const Reply<void> lost = session.pull_blocking("/drop");
  EXPECT_EQ(lost.status().code, 502);
  EXPECT_EQ(lost.status().text, "backend db-7 was lost before it replied; perhaps it was executed");
  EXPECT_EQ(server.executed.load(), 1);
  EXPECT_EQ(counters().retries.read(), 0u);
  EXPECT_EQ(counters().backends_lost.read(), 1u);
  EXPECT_EQ(log.count("call not forwarded"), 1u);
}

TEST_F(ReverseProxyTest, AnIdempotentPullIsMadeAgainElsewhereAndNotForEver) {
  Server& a = serve();
  Server& b = serve();
  Server& c = serve();
  start_proxy({.backends = {{a.address()}, {b.address()}, {c.address()}},
               .retries_max = 1,
               .idempotent = [](std::string_view path) { return path == "/drop"; }});
  ASSERT_TRUE(until_usable(3));
  EXPECT_EQ(session.pull_blocking("/drop").status().code, 502);
  EXPECT_EQ(a.executed.load() + b.executed.load() + c.executed.load(), 2);
  EXPECT_LE(std::max({a.executed.load(), b.executed.load(), c.executed.load()}), 1);
  EXPECT_EQ(counters().retries.read(), 1u);
}

TEST_F(ReverseProxyTest, ABackendThatClosesGracefullyLosesNoPullAndRunsNoneTwice) {
  constexpr int kPulls = 2000;
  constexpr int kOutstanding = 64;
  Server& going = serve();
  Server& staying = serve();
  start_proxy({.backends = {{going.address()}, {staying.address()}}});
  ASSERT_TRUE(until_usable(2));
  std::atomic<int> made{0};
  std::atomic<int> done{0};
  std::atomic<int> failed{0};
  std::promise<void> all;
  std::promise<void> third;
  std::function<void()> next = [&] {
    const int number = made.fetch_add(1);
    if (number >= kPulls) return;
    session.pull_async<int>("/twice", number, {}, [&, number](Reply<int> reply) {
      if (!reply.ok() || *reply != 2 * number) failed.fetch_add(1);
      const int count = done.fetch_add(1) + 1;
      if (count == kPulls / 3) third.set_value();
      if (count == kPulls) return all.set_value();
      next();
    });
  };
  for (int i = 0; i < kOutstanding; ++i) next();
  third.get_future().wait();
  going.peer->close_blocking();
  ASSERT_EQ(all.get_future().wait_for(seconds(60)), std::future_status::ready);
  EXPECT_EQ(failed.load(), 0);
  EXPECT_EQ(going.executed.load() + staying.executed.load(), kPulls);
}

TEST_F(ReverseProxyTest, WithoutABackendTheCallerIsTold) {
  start_proxy({.wait_max = milliseconds(30)});
  const Reply<void> none = session.pull_blocking("/who");
  EXPECT_EQ(none.status().code, 503);
  EXPECT_EQ(none.status().text, "no backends are configured");
  Server& gone = serve();
  const std::string address = gone.address();
  gone.peer->close_blocking();
  ASSERT_TRUE(proxy->set_backends({{address}}));
  const Reply<void> down = session.pull_blocking("/who");
  EXPECT_EQ(down.status().code, 503);
  EXPECT_EQ(down.status().text, "no backend was free within wait_max 30ms");
  EXPECT_EQ(counters().refused.read(), 2u);
  ASSERT_TRUE(session.push("/note"));
  ASSERT_TRUE(until([&] { return counters().pushes_dropped.read() == 1; }));
}

TEST_F(ReverseProxyTest, ZeroWaitMaxRefusesAtOnce) {
  start_proxy({.backends = {{"tcp://127.0.0.1:1"}}, .wait_max = Duration::zero()});
  EXPECT_EQ(session.pull_blocking("/who").status().text, "no backend is in rotation");
  EXPECT_EQ(counters().waited.read(), 0u);
}

TEST_F(ReverseProxyTest, CallsAndPushesWaitForABackendThatComes) {
  Server& first = serve();
  const std::string address = first.address();
  first.peer->close_blocking();
  first.peer.reset();
  start_proxy(
      {.backends = {{address}}, .redial = {.min = milliseconds(1), .max = milliseconds(5)}, .wait_max = seconds(20)});
  auto waits = session.pull_future<int>("/twice", 21);
  ASSERT_TRUE(session.push("/note"));
  ASSERT_TRUE(until([&] { return counters().waited.read() == 2; }));
  Server& second = serve(address);
  EXPECT_EQ(waits.get().value(), 42);
  EXPECT_TRUE(until([&] { return second.pushed.load() == 1; }));
}

TEST_F(ReverseProxyTest, AWaitingPullWhoseCallerHasGoneIsNotForwarded) {
  Server& server = serve();
  start_proxy({.wait_max = seconds(60)});
  ASSERT_TRUE(proxy->set_backends({{"tcp://127.0.0.1:1"}}));  // down
  auto call = session.pull_future<std::string>("/who");
  ASSERT_TRUE(until([&] { return counters().waited.read() == 1; }));
  const auto gone = std::chrono::steady_clock::now();
  session.abort("gone");
  EXPECT_FALSE(call.get().ok());
  ASSERT_TRUE(until([&] { return front.session_count() == 0; }));
  EXPECT_LT(std::chrono::steady_clock::now() - gone, SessionOptions().close_timeout);  // nothing held the session
  EXPECT_EQ(counters().abandoned.read(), 1u);
  EXPECT_EQ(counters().refused.read(), 0u);
  ASSERT_TRUE(proxy->set_backends({{server.address()}}));
  auto again = client.dial_blocking(front.addresses().at(0));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->pull_blocking<std::string>("/who").value(), "0");
  EXPECT_EQ(server.executed.load(), 1);
}

TEST_F(ReverseProxyTest, AWaitingPullThatItsRoutesDeadlineAnsweredIsNotForwarded) {
  Server& server = serve();
  front.router().on_pull("/twice", [this](Context& context) { proxy->handler()(context); },
                         {.deadline = milliseconds(20)});
  start_proxy({.wait_max = seconds(60)});
  ASSERT_TRUE(proxy->set_backends({{"tcp://127.0.0.1:1"}}));  // down
  EXPECT_EQ(session.pull_blocking<int>("/twice", 4).status().code, 504);
  ASSERT_TRUE(proxy->set_backends({{server.address()}}));
  EXPECT_EQ(who(), "0");
  EXPECT_EQ(server.executed.load(), 1);
  EXPECT_EQ(counters().abandoned.read(), 1u);
}

TEST_F(ReverseProxyTest, APushWaitsLongerThanItsSession) {
  Server& server = serve();
  start_proxy({.wait_max = seconds(60)});
  ASSERT_TRUE(proxy->set_backends({{"tcp://127.0.0.1:1"}}));  // down
  ASSERT_TRUE(session.push("/note"));
  ASSERT_TRUE(until([&] { return counters().waited.read() == 1; }));
  session.abort("gone");
  // Long enough for a sweep: a pull of somebody else goes and is let go.
  auto other = client.dial_blocking(front.addresses().at(0));
  ASSERT_TRUE(other);
  auto call = other->pull_future<std::string>("/who");
  ASSERT_TRUE(until([&] { return counters().waited.read() == 2; }));
  other->abort("gone");
  ASSERT_TRUE(until([&] { return counters().abandoned.read() == 1; }));
  ASSERT_TRUE(proxy->set_backends({{server.address()}}));
  EXPECT_TRUE(until([&] { return server.pushed.load() == 1; }));
  EXPECT_EQ(server.executed.load(), 0);
}

TEST_F(ReverseProxyTest, WhatWaitsIsRefusedWhenNoBackendsAreLeft) {
  start_proxy({.wait_max = seconds(60)});
  ASSERT_TRUE(proxy->set_backends({{"tcp://127.0.0.1:1"}}));
  auto call = session.pull_future<std::string>("/who");
  ASSERT_TRUE(session.push("/note"));
  ASSERT_TRUE(until([&] { return counters().waited.read() == 2; }));
  ASSERT_TRUE(proxy->set_backends({}));
  ASSERT_EQ(call.wait_for(seconds(20)), std::future_status::ready);
  const Reply<std::string> reply = call.get();
  EXPECT_EQ(reply.status().code, 503);
  EXPECT_EQ(reply.status().text, "no backends are configured");
  EXPECT_EQ(counters().refused.read(), 1u);
  EXPECT_EQ(counters().pushes_dropped.read(), 1u);
}

TEST_F(ReverseProxyTest, APathThatAHookChangedGoesOnAndIsTheOneThatIsJudged) {
  const std::string odd = "/a b%/?#\xc3\xa4";
  front.plugins().add(std::make_shared<PathAlias>(PathAlias::Map{{"/old", "/echo"},
                                                                 {"/odd", odd},
                                                                 {"/slashes", "//twice"},
                                                                 {"/gone", "/drop"},

                                                                 {"/told", "/note"}}));
  Server& server = serve();
  std::mutex mutex;
  std::vector<std::string> judged;
  start_proxy({.backends = {{server.address()}}, .retries_max = 1, .idempotent = [&](std::string_view path) {
                 const std::lock_guard lock(mutex);
                 judged.emplace_back(path);
                 return path == "/drop";
               }});
  EXPECT_TRUE(session.pull_blocking("/old?x=%20&y=1#part", framing::RawBody{0, "x"}).ok());
  EXPECT_EQ(server.witness->last().uri, "/echo?x=%20&y=1");
  EXPECT_EQ(session.pull_blocking("/odd").status().code, 404);
  EXPECT_EQ(server.witness->last().uri, "/a%20b%25/%3F%23%C3%A4");
  EXPECT_EQ(session.pull_blocking("/slashes?q").status().code, 404);
  EXPECT_EQ(server.witness->last().uri, "/%2Ftwice?q");
  // What nobody changed stays as it came.
  EXPECT_EQ(session.pull_blocking("/%74wice?x#part", 1).ok(), true);
  EXPECT_EQ(server.witness->last().uri, "/%74wice?x#part");
  ASSERT_TRUE(session.push("/told?a"));
  ASSERT_TRUE(until([&] { return server.pushed.load() == 1; }));
  EXPECT_EQ(server.witness->last().uri, "/note?a");
  const int before = server.executed.load();
  EXPECT_EQ(session.pull_blocking("/gone").status().code, 502);
  EXPECT_EQ(server.executed.load(), before + 2);  // once more
  const std::lock_guard lock(mutex);
  ASSERT_FALSE(judged.empty());
  EXPECT_EQ(judged.front(), "/drop");
}

TEST_F(ReverseProxyTest, WaitingIsBoundedInNumberAndInBytes) {
  start_proxy(
      {.backends = {{"tcp://127.0.0.1:1"}}, .wait_max = seconds(20), .waiting_max = 3, .waiting_bytes_max = 100});
  auto a = session.pull_future<void>("/a", framing::RawBody{0, std::string(60, 'x')});
  ASSERT_TRUE(until([&] { return counters().waited.read() == 1; }));
  const Reply<void> large = session.pull_blocking("/b", framing::RawBody{0, std::string(37, 'x')});  // 62 + 39 bytes
  EXPECT_EQ(large.status().code, 503);
  EXPECT_NE(large.status().text.find("waiting_bytes_max"), std::string::npos);
  auto b = session.pull_future<void>("/b", framing::RawBody{0, std::string(34, 'x')});  // 62 + 36
  auto c = session.pull_future<void>("/", framing::RawBody{0, ""});                     // 99
  ASSERT_TRUE(until([&] { return counters().waited.read() == 3; }));
  const Reply<void> many = session.pull_blocking("/", framing::RawBody{0, ""});
  EXPECT_EQ(many.status().code, 503);
  EXPECT_NE(many.status().text.find("waiting_max is reached: 3 calls wait"), std::string::npos) << many.status().text;
  EXPECT_EQ(counters().refused.read(), 2u);
  proxy.reset();  // whoever waits is told
  EXPECT_EQ(a.get().status().text, "the proxy is closing");
  EXPECT_EQ(b.get().status().code, 503);
  EXPECT_EQ(c.get().status().code, 503);
  EXPECT_EQ(session.pull_blocking("/who").status().text, "the proxy is closing");
}

TEST_F(ReverseProxyTest, CallsAboveCallsMaxWaitForAReply) {
  Server& server = serve();
  start_proxy({.backends = {{server.address()}}, .calls_max = 2, .wait_max = seconds(20)});
  auto a = session.pull_future<void>("/hold");
  auto b = session.pull_future<void>("/hold");
  ASSERT_TRUE(until([&] { return server.executed.load() == 2; }));
  auto c = session.pull_future<int>("/twice", 4);
  ASSERT_TRUE(until([&] { return counters().waited.read() >= 1; }));
  EXPECT_EQ(server.executed.load(), 2);
  EXPECT_EQ(proxy->backends()[0].outstanding, 2);
  release(server);
  EXPECT_EQ(c.get().value(), 8);
  EXPECT_TRUE(a.get().ok());
  EXPECT_TRUE(b.get().ok());
}

TEST_F(ReverseProxyTest, ABackendThatDoesNotAnswerIs504ThenLeftOutThenTriedAgain) {
  Server& slow = serve();
  Server& good = serve();
  start_proxy({.backends = {{slow.address(), "slow"}, {good.address(), "good"}},
               .balance = Balance::round_robin,
               .call_timeout = seconds(1),
               .health = {.failures_max = 2, .ejection = {.min = milliseconds(50), .max = milliseconds(50)}}});
  ASSERT_TRUE(until_usable(2));
  std::vector<std::future<Reply<void>>> calls;
  for (int i = 0; i < 4; ++i) calls.push_back(session.pull_future<void>("/hold"));
  for (auto& call : calls) {
    const Reply<void> reply = call.get();
    EXPECT_EQ(reply.status().code, 504);
    EXPECT_NE(reply.status().text.find("gave no reply within 1s"), std::string::npos) << reply.status().text;
  }
  EXPECT_EQ(counters().timed_out.read(), 4u);
  EXPECT_EQ(counters().ejections.read(), 2u);
  EXPECT_EQ(log.count("backend left out after failures"), 2u);
  // Both are out; the next call waits until the first may be tried again.
  EXPECT_EQ(who().size(), 1u);
  EXPECT_EQ(proxy->backends()[0].failures + proxy->backends()[1].failures, 4u);
}

TEST_F(ReverseProxyTest, ActiveChecksTakeABackendOutAndInAgain) {
  Server& a = serve();
  Server& b = serve();
  start_proxy({.backends = {{a.address()}, {b.address()}},
               .balance = Balance::round_robin,
               .health = {.fall = 2, .rise = 2},
               .check_uri = "/health",
               .check_interval = milliseconds(10)});
  ASSERT_TRUE(until_usable(2));
  a.healthy.store(false);
  ASSERT_TRUE(until([&] { return usable(0) == 0; }));
  const int before = a.executed.load();
  for (int i = 0; i < 6; ++i) EXPECT_EQ(who(), "1");
  EXPECT_EQ(a.executed.load(), before);
  EXPECT_GE(counters().checks_failed.read(), 2u);
  a.healthy.store(true);
  ASSERT_TRUE(until_usable(2));
  for (int i = 0; i < 6; ++i) who();
  EXPECT_EQ(a.executed.load(), before + 3);
}

TEST_F(ReverseProxyTest, AProxyThatLeadsToItselfIsFoundOut) {
  const std::string address = "unix://@wayport-proxy-loop-" + std::to_string(::getpid());
  auto made = ReverseProxy::make(back, {.backends = {{address, "myself"}}, .wait_max = milliseconds(20)});
  ASSERT_TRUE(made);
  proxy = *std::move(made);
  Peer looped(runtime, {.listen = {address}});
  proxy->attach(looped.router());
  ASSERT_TRUE(looped.start());
  proxy->start();
  ASSERT_TRUE(until([&] { return counters().loops_found.read() == 1; }));
  auto dialed = client.dial_blocking(address);
  ASSERT_TRUE(dialed);
  EXPECT_EQ(dialed->pull_blocking("/who").status().code, 503);
  EXPECT_EQ(log.count("it leads back to this proxy"), 1u);
  proxy.reset();
}

TEST_F(ReverseProxyTest, ALoopThroughAnotherProxyIsFoundOut) {
  Peer middle(runtime, {.listen = {"tcp://127.0.0.1:0"}});
  auto other = ReverseProxy::make(back, {.wait_max = milliseconds(20)});
  ASSERT_TRUE(other);
  (*other)->attach(middle.router());
  ASSERT_TRUE(middle.start());
  (*other)->start();
  ASSERT_TRUE((*other)->set_backends({{serve().address()}}));
  start_proxy(
      {.backends = {{middle.addresses().at(0)}}, .wait_max = milliseconds(20), .check_interval = milliseconds(10)});
  // What is behind the middle answers: no loop.
  ASSERT_TRUE(until_usable(1));
  ASSERT_TRUE((*other)->set_backends({{front.addresses().at(0)}}));
  ASSERT_TRUE(until([&] { return (*other)->counters(0).loops_found.read() == 1; }));
  EXPECT_EQ(session.pull_blocking("/who").status().code, 503);
  other->reset();
}

TEST_F(ReverseProxyTest, ABackendComesIntoRotationOnlyWhenItsLoopCheckWasAnswered) {
  for (const int refusal : {502, 503, 504}) {
    Server& server = serve();
    server.loop_answer.store(refusal);
    if (!proxy) start_proxy({.check_interval = milliseconds(10)});
    ASSERT_TRUE(proxy->set_backends({{server.address(), "late"}}));
    ASSERT_TRUE(until([&] { return server.loop_checks.load() >= 3; }));  // asked again and again
    EXPECT_EQ(usable(0), 0u) << refusal;
    server.loop_answer.store(404);
    ASSERT_TRUE(until_usable(1)) << refusal;
    EXPECT_EQ(who().size(), 1u);
  }
  EXPECT_GE(log.count("it did not answer whether it leads back"), 1u);
  EXPECT_EQ(counters().loops_found.read(), 0u);
}

TEST_F(ReverseProxyTest, ABackendThatIsSilentToItsLoopCheckIsAskedAgain) {
  Server& server = serve();
  server.loop_answer.store(0);
  start_proxy(
      {.backends = {{server.address()}}, .check_interval = milliseconds(10), .check_timeout = milliseconds(100)});
  ASSERT_TRUE(until([&] { return server.loop_checks.load() >= 2; }));
  EXPECT_EQ(usable(0), 0u);
  server.loop_answer.store(404);
  EXPECT_TRUE(until_usable(1));
}

TEST_F(ReverseProxyTest, ProxiesThatOnlyLeadToEachOtherCarryNothing) {
  Peer middle(runtime, {.listen = {"tcp://127.0.0.1:0"}});
  auto other = ReverseProxy::make(back, {.wait_max = milliseconds(20), .check_interval = milliseconds(10)});
  ASSERT_TRUE(other);
  (*other)->attach(middle.router());
  ASSERT_TRUE(middle.start());
  start_proxy(
      {.backends = {{middle.addresses().at(0)}}, .wait_max = milliseconds(20), .check_interval = milliseconds(10)});
  (*other)->start();
  ASSERT_TRUE((*other)->set_backends({{front.addresses().at(0)}}));
  const std::uint64_t before = (*other)->counters(0).pulls.read();
  ASSERT_TRUE(until([&] { return (*other)->counters(0).pulls.read() >= before + 3; }));  // checks of the first
  EXPECT_EQ(session.pull_blocking("/who").status().code, 503);
  EXPECT_EQ(usable(0), 0u);
  EXPECT_EQ((*other)->backends()[0].loops_usable, 0);
  other->reset();
}

TEST_F(ReverseProxyTest, BackendsMayComeAndGoWhileCallsAreUnderWay) {
  Server& a = serve();
  Server& b = serve();
  start_proxy({.backends = {{a.address()}}});
  EXPECT_EQ(who(), "0");
  auto held = session.pull_future<void>("/hold");
  ASSERT_TRUE(until([&] { return a.executed.load() == 2; }));
  ASSERT_TRUE(proxy->set_backends({{b.address()}}));
  EXPECT_EQ(who(), "1");
  release(a);
  EXPECT_TRUE(held.get().ok());  // the one that went still answers
  EXPECT_TRUE(until([&] { return a.peer->session_count() == 0; }));
}

// Front, back and backends on several loops, with backends that come and go meanwhile.
TEST(ReverseProxyLoops, EachLoopForwardsByItselfAndBackendsMayChangeUnderLoad) {
  constexpr int kSessions = 6;
  constexpr int kPulls = 300;
  Runtime runtime({.loops = 3, .log = &null_log()});
  std::atomic<int> executed{0};
  std::vector<std::unique_ptr<Peer>> servers;
  std::vector<Backend> backends;
  for (int i = 0; i < 3; ++i) {
    Peer& server = *servers.emplace_back(std::make_unique<Peer>(runtime, PeerOptions{.listen = {"tcp://127.0.0.1:0"}}));
    server.router().on_pull("/twice", [&](int v) {
      executed.fetch_add(1);
      return 2 * v;
    });
    ASSERT_TRUE(server.start());
    backends.push_back({server.addresses().at(0)});
  }
  Peer back(runtime);
  Peer front(runtime, {.listen = {"tcp://127.0.0.1:0"}});
  Peer client(runtime);
  auto made = ReverseProxy::make(back, {.backends = backends});
  ASSERT_TRUE(made);
  std::unique_ptr<ReverseProxy> proxy = *std::move(made);
  proxy->attach(front.router());
  ASSERT_TRUE(front.start() && back.start() && client.start());
  proxy->start();
  std::vector<std::future<Reply<int>>> replies;
  std::vector<Session> sessions;
  for (int i = 0; i < kSessions; ++i) sessions.push_back(client.dial_blocking(front.addresses().at(0)).value());
  for (int number = 0; number < kPulls; ++number) {
    replies.push_back(sessions[static_cast<std::size_t>(number) % kSessions].pull_future<int>("/twice", number));
    if (number % 50 != 0) continue;
    std::vector<Backend> fewer = backends;
    fewer.erase(fewer.begin() + number / 50 % 3);
    ASSERT_TRUE(proxy->set_backends(fewer));
  }
  for (int number = 0; number < kPulls; ++number) {
    const Reply<int> reply = replies[static_cast<std::size_t>(number)].get();
    ASSERT_TRUE(reply.ok()) << reply.status().to_string();
    EXPECT_EQ(*reply, 2 * number);
  }
  EXPECT_EQ(executed.load(), kPulls);
  std::uint64_t taken = 0;
  std::size_t busy_loops = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    taken += proxy->counters(i).pulls.read();
    busy_loops += proxy->counters(i).pulls.read() != 0;
  }
  EXPECT_EQ(taken, static_cast<std::uint64_t>(kPulls));
  EXPECT_GT(busy_loops, 1u);
  proxy.reset();
}

TEST_F(ReverseProxyTest, WhatCannotBeIsRefused) {
  const auto error = [&](ReverseProxyOptions options) {
    const auto made = ReverseProxy::make(back, std::move(options));
    return made ? std::string() : made.error().detail;
  };
  const std::string one = "tcp://a:1";
  EXPECT_EQ(error({.backends = {{one}}, .retries_max = 7}), "");
  EXPECT_NE(error({.retries_max = 8}), "");
  EXPECT_NE(error({.sessions_per_backend = 0}), "");
  EXPECT_NE(error({.calls_max = 0}), "");
  EXPECT_NE(error({.call_timeout = Duration::zero()}), "");
  EXPECT_EQ(error({.check_uri = "/h", .check_interval = milliseconds(10)}), "");
  EXPECT_NE(error({.check_uri = "/h", .check_interval = milliseconds(9)}), "");
  EXPECT_NE(error({.check_interval = milliseconds(9)}), "");  // of loop checks
  EXPECT_EQ(error({.backends = {{one, "x", 1000}}, .backends_max = 1}), "");
  EXPECT_NE(error({.backends = {{one, "x", 1001}}}), "");
  EXPECT_NE(error({.backends = {{one, "x", 0}}}), "");
  EXPECT_EQ(error({.backends = {{one}, {one}}}), "ReverseProxyOptions::backends: two are called tcp://a:1");
  EXPECT_EQ(error({.backends = {{one}, {"tcp://a:2"}}, .backends_max = 1}),
            "ReverseProxyOptions::backends_max reached: 2 backends, 1 allowed");
  EXPECT_NE(error({.backends = {{"tcp://a:b"}}}), "");
}

}  // namespace
}  // namespace wayport::rpc

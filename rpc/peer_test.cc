// Peers over real loopback sockets with their loops on threads of their own. Nothing waits for time to pass; what has
// to happen first is waited for.
#include "wayport/rpc/peer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/json.hpp>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <string_view>
#include <thread>

#include "wayport/base/log_testing.h"
#include "wayport/framing/jsonl/protocol.h"
#include "wayport/rpc/pull_queue.h"
#include "wayport/transport/default_transports.h"

namespace wayport::rpc {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Opens once; any number of threads wait. Waiting has a generous end, so that a failure is a message and not a hang.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  bool wait() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, seconds(30), [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

class Home {
 public:
  int sum(std::array<int, 2> v) const { return v[0] + v[1]; }
  asio::awaitable<std::string> get_later(Context&, std::string text) { co_return "later:" + text; }
  void note(const std::string& text) { noted.push_back(text); }
  std::vector<std::string> noted;
};

class PeerTest : public ::testing::TestWithParam<const char*> {
 protected:
  PeerTest() : runtime({.loops = 2, .log = &log}) {}

  PeerOptions server_options() const { return {.listen = {GetParam()}}; }

  // Runs a coroutine on a loop of the runtime and waits for its result.
  template <class T>
  T run(asio::awaitable<T> task) {
    return asio::co_spawn(runtime.loop(0).asio(), std::move(task), asio::use_future).get();
  }
  Session dial(Peer& client, const Peer& server, DialOptions options = {}) {
    Result<Session> session = client.dial_blocking(server.addresses().at(0), std::move(options));
    EXPECT_TRUE(session.has_value()) << (session ? "" : session.error().to_string());
    return session ? *session : Session();
  }
  static void start(Peer& peer) {
    const Result<void> started = peer.start();
    ASSERT_TRUE(started.has_value()) << started.error().to_string();
  }
  // Waits until the session's end was told to everybody on its loop.
  static CloseReason wait_closed(const Session& session) {
    std::promise<CloseReason> closed;
    std::future<CloseReason> future = closed.get_future();
    session.on_closed([&closed](const CloseReason& reason) { closed.set_value(reason); });
    return future.get();
  }

  // Gates outlive the peers of a test, whose handlers may still look at them.
  Gate& gate() { return gates.emplace_back(); }

  std::deque<Gate> gates;
  MemoryLog log;
  Runtime runtime;
};

std::string transport_name(const ::testing::TestParamInfo<const char*>& info) {
  const std::array names = {"tcp4", "tcp6", "unix", "ws"};
  return names.at(info.index);
}
INSTANTIATE_TEST_SUITE_P(Transports, PeerTest,
                         ::testing::Values("tcp://127.0.0.1:0", "tcp://[::1]:0", "unix://@wayport-peer-test",
                                           "ws://127.0.0.1:0"),
                         transport_name);

TEST_P(PeerTest, HandlersOfEveryShapeAnswer) {
  Peer server(runtime, server_options());
  auto home = std::make_shared<Home>();
  Router router = server.router();
  router.on_pull("/plain", [](std::array<int, 2> v) { return v[0] + v[1]; });
  router.on_pull("/context", [](Context& context) { return std::string(context.path()); });
  router.on_pull("/void", [] {});
  router.on_pull("/status", [](Context&) { return Status::make(1001, "mine"); });
  router.on_pull("/reply", [](int v) -> Reply<int> {
    if (v < 0) return Status::make(2000, "negative");
    return v * 2;
  });
  router.on_pull("/coroutine",
                 [](Context&, std::string text) -> asio::awaitable<std::string> { co_return "co:" + text; });
  router.on_pull("/blocking", [](std::string text) { return "block:" + text; }, {.blocking = true});
  router.on_pull("/dynamic", [](boost::json::value value) { return value.as_object().at("key"); });
  auto controller = router.group("/V1").controller("pkg.HomePage", home);
  controller.on_pull("Sum", &Home::sum);
  controller.on_pull("GetLater", &Home::get_later);
  start(server);
  Peer client(runtime);
  start(client);
  const Session session = dial(client, server);

  EXPECT_EQ(*session.pull_blocking<int>("/plain", std::array{1, 2}), 3);
  EXPECT_EQ(*session.pull_blocking<std::string>("/context?q=1"), "/context");
  EXPECT_TRUE(session.pull_blocking("/void").ok());
  EXPECT_EQ(session.pull_blocking("/status").status().code, 1001);
  EXPECT_EQ(*session.pull_blocking<int>("/reply", 4), 8);
  EXPECT_EQ(session.pull_blocking<int>("/reply", -4).status().text, "negative");
  EXPECT_EQ(*session.pull_blocking<std::string>("/coroutine", std::string("x")), "co:x");
  EXPECT_EQ(*session.pull_blocking<std::string>("/blocking", std::string("x")), "block:x");
  EXPECT_EQ(*session.pull_blocking<int>("/dynamic", boost::json::value{{"key", 7}}), 7);
  EXPECT_EQ(*session.pull_blocking<int>("/V1/home_page/sum", std::array{3, 4}), 7);
  EXPECT_EQ(*session.pull_blocking<std::string>("/V1/home_page/get_later", std::string("x")), "later:x");
}

TEST_P(PeerTest, PullsCompleteAsCoroutineCallbackFutureOrIntoOneQueue) {
  Peer server(runtime, server_options());
  server.router().on_pull("/double", [](int v) { return v * 2; });
  start(server);
  Peer client(runtime);
  start(client);
  const Session session = dial(client, server);

  const auto coroutine = [](Session s) -> asio::awaitable<int> { co_return *co_await s.pull<int>("/double", 4); };
  EXPECT_EQ(run(coroutine(session)), 8);
  EXPECT_EQ(*session.pull_future<int>("/double", 5).get(), 10);
  std::promise<int> called;
  session.pull_async<int>("/double", 6, {}, [&](Reply<int> reply) { called.set_value(*reply); });
  EXPECT_EQ(called.get_future().get(), 12);

  constexpr std::size_t kPulls = 100;
  PullQueue<int> queue(kPulls);
  for (std::uint64_t i = 0; i < kPulls; ++i) {
    ASSERT_TRUE(session.pull_into(queue, i, "/double", static_cast<int>(i)).has_value());
  }
  const Result<void> beyond = session.pull_into(queue, kPulls, "/double", 0);
  std::map<std::uint64_t, int> seen;
  while (seen.size() < kPulls) {
    auto completion = queue.next(seconds(30));
    ASSERT_TRUE(completion.has_value());
    seen[completion->tag] = *completion->reply;
  }
  for (const auto& [tag, value] : seen) EXPECT_EQ(value, static_cast<int>(tag) * 2);
  ASSERT_FALSE(beyond.has_value());
  EXPECT_EQ(beyond.error().code, ErrorCode::overloaded);
  EXPECT_FALSE(queue.try_next().has_value());
}

TEST_P(PeerTest, TheServerPullsAndPushesBackOnTheSameSession) {
  Peer server(runtime, server_options());
  server.router().on_pull("/relay", [](Context& context, std::string text) -> asio::awaitable<std::string> {
    const Session back = context.session();
    EXPECT_TRUE(back.push("/note", "note:" + text).has_value());
    co_return *co_await back.pull<std::string>("/client/echo", text) + "!";
  });
  start(server);
  Peer client(runtime);
  Gate& noted = gate();
  std::string note;
  client.router().on_pull("/client/echo", [](std::string text) { return "echo:" + text; });
  client.router().on_push("/note", [&](std::string text) { note = std::move(text), noted.open(); });
  start(client);
  const Session session = dial(client, server);
  EXPECT_EQ(*session.pull_blocking<std::string>("/relay", std::string("x")), "echo:x!");
  ASSERT_TRUE(noted.wait());
  EXPECT_EQ(note, "note:x");
}

TEST_P(PeerTest, UnknownRoutesBindLateAndSayWhichCodecTheyFound) {
  Peer server(runtime, server_options());
  server.router().on_unknown_pull([](Context& context) -> Reply<std::string> {
    const Result<int> value = context.bind<int>();
    return std::string(context.path()) + " " + std::string(context.body_codec_name()) + " " +
           (value ? std::to_string(*value) : "unbound");
  });
  start(server);
  Peer client(runtime);
  start(client);
  const Session session = dial(client, server);
  EXPECT_EQ(*session.pull_blocking<std::string>("/any", 5), "/any json 5");
  EXPECT_EQ(*session.pull_blocking<std::string>("/any", std::string("x"), {.body_codec = 's'}), "/any string unbound");
  EXPECT_EQ(*session.pull_blocking<std::string>("/any", 6, {.gzip = 5}), "/any json 6");
}

TEST_P(PeerTest, CallsTimeOutOrAreCanceledAndTheSessionLives) {
  Peer server(runtime, server_options());
  Gate& release = gate();
  server.router().on_pull("/stuck", [&] { EXPECT_TRUE(release.wait()); }, {.blocking = true});
  server.router().on_pull("/echo", [](RawBodyView body) { return body; });
  start(server);
  Peer client(runtime);
  start(client);
  const Session session = dial(client, server);

  const Reply<void> late = session.pull_blocking("/stuck", framing::NoBody(), {.timeout = milliseconds(20)});
  EXPECT_EQ(late.status().code, code::kTimeout);
  EXPECT_EQ(late.status().origin, Status::Origin::local);

  auto canceler = std::make_shared<Canceler>();
  std::future<Reply<void>> canceled = session.pull_future("/stuck", framing::NoBody(), {.canceler = canceler});
  canceler->cancel();
  EXPECT_EQ(canceled.get().status().code, code::kCanceled);

  asio::cancellation_signal signal;
  const auto waiting = [](Session s) -> asio::awaitable<std::int32_t> {
    co_return (co_await s.pull("/stuck")).status().code;
  };
  std::future<std::int32_t> coroutine = asio::co_spawn(runtime.loop(0).asio(), waiting(session),
                                                       asio::bind_cancellation_slot(signal.slot(), asio::use_future));
  runtime.loop(0).post([&] { signal.emit(asio::cancellation_type::all); });
  EXPECT_EQ(coroutine.get(), code::kCanceled);

  EXPECT_EQ(*session.pull_blocking<std::string>("/echo", std::string("alive")), "alive");
  release.open();
}

TEST_P(PeerTest, ABlockingPullOrDialOnALoopThreadIsRefusedAtOnce) {
  Peer server(runtime, server_options());
  server.router().on_pull("/inner",
                          [](Context& context) { return context.session().pull_blocking("/never").status().code; });
  start(server);
  Peer client(runtime);
  start(client);
  const Session session = dial(client, server);
  EXPECT_EQ(*session.pull_blocking<int>("/inner"), code::kWriteFailed);
  std::promise<ErrorCode> dialled;
  runtime.loop(0).post([&] { dialled.set_value(client.dial_blocking("tcp://127.0.0.1:1").error().code); });
  EXPECT_EQ(dialled.get_future().get(), ErrorCode::invalid_argument);
}

TEST_P(PeerTest, ABlockingHandlerMayPullBlockinglyOnItsOwnSession) {
  Peer server(runtime, server_options());
  server.router().on_pull("/ask_back",
                          [](Context& context) { return *context.session().pull_blocking<std::string>("/name"); },
                          {.blocking = true});
  start(server);
  Peer client(runtime);
  client.router().on_pull("/name", [] { return std::string("client"); });
  start(client);
  EXPECT_EQ(*dial(client, server).pull_blocking<std::string>("/ask_back"), "client");
}

TEST_P(PeerTest, APullInsideAHandlerReturnsWhenTheConnectionDrops) {
  Peer server(runtime, server_options());
  Gate& returned = gate();
  std::atomic<std::int32_t> inner{0};
  server.router().on_pull("/ask_back", [&](Context& context) -> asio::awaitable<void> {
    const Reply<void> reply = co_await context.session().pull("/silent");
    inner = reply.status().code;
    returned.open();
  });
  start(server);
  Peer client(runtime);
  Gate& asked = gate();
  client.router().on_pull("/silent", [&]() -> asio::awaitable<void> {
    asked.open();
    co_await asio::this_coro::executor;
    static_cast<void>(co_await async_callback<bool>([](Completion<bool> done) {
      auto held = std::make_shared<Completion<bool>>(std::move(done));
      return [held] {};
    }));
  });
  start(client);
  const Session session = dial(client, server);
  std::future<Reply<void>> outer = session.pull_future("/ask_back");
  ASSERT_TRUE(asked.wait());
  session.abort();
  EXPECT_EQ(outer.get().status().code, code::kConnectionClosed);
  ASSERT_TRUE(returned.wait());
  EXPECT_EQ(inner, code::kConnectionClosed);
}

TEST_P(PeerTest, CloseFinishesRunningHandlersAndDeliversTheirReplies) {
  Peer server(runtime, server_options());
  Gate& started = gate();
  Gate& release = gate();
  server.router().on_pull("/slow",
                          [&] {
                            started.open();
                            EXPECT_TRUE(release.wait());
                            return std::string("finished");
                          },
                          {.blocking = true});
  start(server);
  Peer client(runtime);
  start(client);
  const Session session = dial(client, server);
  std::future<Reply<std::string>> slow = session.pull_future<std::string>("/slow");
  ASSERT_TRUE(started.wait());
  std::promise<void> closed;
  server.close_async([&] { closed.set_value(); });
  const std::string address = server.addresses().at(0);
  release.open();
  EXPECT_EQ(*slow.get(), "finished");
  closed.get_future().wait();
  EXPECT_EQ(server.session_count(), 0u);
  EXPECT_EQ(wait_closed(session).by, CloseReason::By::peer);
  EXPECT_FALSE(client.dial_blocking(address).has_value()) << "the listeners are closed, too";
}

TEST_P(PeerTest, BothSidesMayCloseAtTheSameTimeWithPullsOutstanding) {
  Peer server(runtime, server_options());
  Peer client(runtime);
  for (Peer* peer : {&server, &client}) {
    peer->router().on_pull("/slow", [](int v) { return v; }, {.blocking = true});
    start(*peer);
  }
  const Session session = dial(client, server);
  std::vector<std::future<Reply<int>>> replies;
  for (int i = 0; i < 50; ++i) replies.push_back(session.pull_future<int>("/slow", i));
  server.for_each([&](const Session& back) {
    for (int i = 0; i < 50; ++i) replies.push_back(back.pull_future<int>("/slow", i));
  });
  std::promise<void> closed;
  server.close_async([&] { closed.set_value(); });
  client.close_blocking();
  closed.get_future().wait();
  for (std::future<Reply<int>>& reply : replies) {
    const Status status = reply.get().status();  // each has exactly one outcome
    EXPECT_TRUE(status.ok() || status.code == code::kConnectionClosed || status.code == code::kWriteFailed ||
                status.code == code::kServiceUnavailable)
        << status.to_string();
  }
}

TEST_P(PeerTest, DestroyingAPeerEndsWhatIsLeft) {
  auto server = std::make_unique<Peer>(runtime, server_options());
  Gate& started = gate();
  server->router().on_pull("/forever", [&]() -> asio::awaitable<void> {
    started.open();
    static_cast<void>(co_await sleep_for(*Loop::current(), std::chrono::hours(1)));
  });
  start(*server);
  Peer client(runtime);
  start(client);
  const Session session = dial(client, *server);
  std::future<Reply<void>> pull = session.pull_future("/forever");
  ASSERT_TRUE(started.wait());
  server.reset();
  EXPECT_EQ(pull.get().status().code, code::kConnectionClosed);
}

TEST_P(PeerTest, SessionsAreFoundRenamedCountedAndOneIdIsHeldByOneSession) {
  Peer server(runtime, server_options());
  server.router().on_pull("/id", [](Context& context, std::string id) {
    context.session().rename(id);
    return context.session().id();
  });
  start(server);
  Peer client(runtime);
  start(client);
  const Session first = dial(client, server, {.session_id = "one"});
  const Session second = dial(client, server, {.session_id = "two"});
  EXPECT_EQ(client.find("one"), first);
  EXPECT_EQ(client.find("two"), second);
  EXPECT_EQ(client.session_count(), 2u);
  EXPECT_FALSE(client.find("three"));
  EXPECT_EQ(*first.pull_blocking<std::string>("/id", std::string("user-1")), "user-1");
  EXPECT_TRUE(server.find("user-1"));
  EXPECT_EQ(*second.pull_blocking<std::string>("/id", std::string("user-1")), "user-1");
  wait_closed(first);
  EXPECT_TRUE(server.find("user-1"));
  EXPECT_TRUE(second.healthy());
  EXPECT_FALSE(first.healthy());
  EXPECT_EQ(client.session_count(), 1u);
}

TEST_P(PeerTest, DefaultIdsNeverCloseAnotherSession) {
  Peer server(runtime, server_options());
  start(server);
  Peer client(runtime);
  start(client);
  std::vector<Session> sessions;
  for (int i = 0; i < 20; ++i) sessions.push_back(dial(client, server));
  for (const Session& session : sessions) {
    EXPECT_TRUE(session.healthy());
    EXPECT_EQ(client.find(session.id()), session);
  }
}

TEST_P(PeerTest, OutcomesArriveWithoutAnybodyHoldingTheSession) {
  Peer server(runtime, server_options());
  Gate& asked = gate();
  server.router().on_pull("/forever", [&]() -> asio::awaitable<void> {
    asked.open();
    static_cast<void>(co_await sleep_for(*Loop::current(), std::chrono::hours(1)));
  });
  start(server);
  Gate& closed = gate();
  PeerOptions options;
  options.on_session = [&](const Session& session) { session.on_closed([&](const CloseReason&) { closed.open(); }); };
  Peer client(runtime, options);
  start(client);
  std::future<Reply<void>> pull = dial(client, server, {.session_id = "one"}).pull_future("/forever");
  ASSERT_TRUE(asked.wait());
  client.find("one").abort();
  EXPECT_EQ(pull.get().status().code, code::kConnectionClosed);
  EXPECT_TRUE(closed.wait());
}

TEST_P(PeerTest, ARenameAfterTheEndTakesNoId) {
  Peer server(runtime, server_options());
  Gate& asked = gate();
  Gate& gone = gate();
  Gate& renamed = gate();
  server.router().on_pull("/login",
                          [&](Context& context) {
                            asked.open();
                            EXPECT_TRUE(gone.wait());
                            context.session().rename("user-1");
                            renamed.open();
                          },
                          {.blocking = true});
  start(server);
  Peer client(runtime);
  start(client);
  const Session session = dial(client, server);
  std::future<Reply<void>> login = session.pull_future("/login");
  ASSERT_TRUE(asked.wait());
  std::vector<Session> at_server;
  server.for_each([&](const Session& each) { at_server.push_back(each); });
  session.abort();
  for (const Session& each : at_server) {
    each.abort();
    wait_closed(each);
  }
  gone.open();
  ASSERT_TRUE(renamed.wait());
  EXPECT_FALSE(server.find("user-1"));
  EXPECT_FALSE(login.get().ok());
}

TEST_P(PeerTest, HooksAndCompletionsThatThrowAreLoggedAndHurtNobody) {
  PeerOptions options = server_options();
  options.on_session = [](const Session&) { throw std::runtime_error("on_session threw"); };
  options.on_session_closed = [](const Session&, const CloseReason&) { throw 1; };
  Peer server(runtime, options);
  server.router().on_pull("/echo", [](int v) { return v; });
  start(server);
  Peer client(runtime);
  start(client);
  const Session session = dial(client, server);
  std::promise<void> completed;
  session.pull_async<int>("/echo", 1, {}, [&](Reply<int>) {
    completed.set_value();
    throw 2;
  });
  completed.get_future().wait();
  EXPECT_EQ(*session.pull_blocking<int>("/echo", 5), 5);
  session.on_closed([](const CloseReason&) { throw 3; });
  session.close();
  wait_closed(session);
  EXPECT_EQ(*dial(client, server).pull_blocking<int>("/echo", 6), 6);
  EXPECT_GE(log.count("a callback threw"), 2u);
}

TEST_P(PeerTest, ManyThreadsShareOneSession) {
  Peer server(runtime, server_options());
  std::atomic<int> pushed{0};
  Gate& all = gate();
  constexpr int kThreads = 4;
  constexpr int kEach = 200;
  server.router().on_pull("/echo", [](int v) { return v; });
  server.router().on_push("/count", [&] {
    if (++pushed == kThreads * kEach) all.open();
  });
  start(server);
  Peer client(runtime);
  start(client);
  const Session session = dial(client, server);
  std::vector<std::jthread> threads;
  std::atomic<int> right{0};
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        right += *session.pull_blocking<int>("/echo", t * kEach + i) == t * kEach + i;
        EXPECT_TRUE(session.push("/count").has_value());
      }
    });
  }
  threads.clear();
  EXPECT_EQ(right, kThreads * kEach);
  EXPECT_TRUE(all.wait());
}

TEST_P(PeerTest, SessionsBeyondTheBoundAreRejectedAndTheOthersNoticeNothing) {
  PeerOptions options = server_options();
  options.sessions_max = 2;
  Peer server(runtime, options);
  server.router().on_pull("/echo", [](int v) { return v; });
  start(server);
  Peer client(runtime);
  start(client);
  const Session first = dial(client, server);
  const Session second = dial(client, server);
  EXPECT_EQ(*first.pull_blocking<int>("/echo", 1), 1);
  EXPECT_EQ(*second.pull_blocking<int>("/echo", 2), 2);
  // A websocket is refused before its upgrade, so that the dial fails; others notice when they use the connection.
  const Result<Session> third = client.dial_blocking(server.addresses().at(0));
  EXPECT_EQ(third.has_value(), !std::string_view(GetParam()).starts_with("ws"));
  if (third) {
    EXPECT_FALSE(third->pull_blocking<int>("/echo", 3).ok());
  } else {
    EXPECT_EQ(third.error().code, ErrorCode::overloaded);
  }
  EXPECT_EQ(*first.pull_blocking<int>("/echo", 4), 4);
}

TEST_P(PeerTest, AnOverLimitPacketEndsOnlyItsOwnSession) {
  PeerOptions options = server_options();
  options.session.limits.packet_bytes_max = 1000;
  Peer server(runtime, options);
  std::atomic<int> ran{0};
  server.router().on_pull("/echo", [&](std::string text) { return ++ran, text; });
  start(server);
  Peer client(runtime);
  start(client);
  const Session bad = dial(client, server);
  const Session good = dial(client, server);
  EXPECT_EQ(bad.pull_blocking<std::string>("/echo", std::string(2000, 'x')).status().code, code::kConnectionClosed);
  EXPECT_EQ(*good.pull_blocking<std::string>("/echo", std::string("fits")), "fits");
  EXPECT_EQ(ran, 1);
  EXPECT_GE(log.count("session closed"), 1u);
}

TEST_P(PeerTest, TheWireFormatIsChosenPerListenerAndPerDial) {
  SessionOptions lines;
  lines.protocol = &framing::jsonl_protocol();
  Peer server(runtime, {.listen = {ListenAt(GetParam(), lines)}});
  server.router().on_pull("/sum", [](std::array<int, 2> v) { return v[0] + v[1]; });
  start(server);
  Peer client(runtime);
  start(client);
  const Session session = dial(client, server, {.session = lines});
  EXPECT_EQ(*session.pull_blocking<int>("/sum", std::array{20, 22}), 42);
  EXPECT_EQ(session.pull_blocking<int>("/none").status().code, 404);
}

class PeerErrors : public PeerTest {};
INSTANTIATE_TEST_SUITE_P(Once, PeerErrors, ::testing::Values("tcp://127.0.0.1:0"));

TEST_P(PeerErrors, RegistrationMistakesAreNamed) {
  Peer peer(runtime);
  peer.router().on_pull("/a", [] {});
  EXPECT_THROW(peer.router().on_pull("a/", [] {}), std::logic_error);
  peer.router().on_push("/a", [] {});
  start(peer);
  EXPECT_THROW(peer.router().on_pull("/b", [] {}), std::logic_error);
}

TEST_P(PeerErrors, StartIsAllOrNothingAndNamesTheAddress) {
  Peer first(runtime, server_options());
  start(first);
  Peer second(runtime, {.listen = {"tcp://127.0.0.1:0", first.addresses().at(0).c_str()}});
  const Result<void> started = second.start();
  ASSERT_FALSE(started.has_value());
  EXPECT_NE(started.error().detail.find(first.addresses().at(0)), std::string::npos) << started.error().detail;
  EXPECT_TRUE(second.addresses().empty());
}

TEST_P(PeerErrors, DialsFailWithTheirReasonAndCanBeCanceled) {
  Peer client(runtime);
  start(client);
  EXPECT_EQ(client.dial_blocking("tcp://127.0.0.1:1").error().code, ErrorCode::refused);
  EXPECT_EQ(client.dial_blocking("nonsense://x").error().code, ErrorCode::unsupported);
  EXPECT_EQ(client.dial_blocking("tcp://").error().code, ErrorCode::invalid_argument);

  auto canceler = std::make_shared<Canceler>();
  canceler->cancel();
  EXPECT_EQ(client.dial_blocking("tcp://127.0.0.1:1", {.canceler = canceler}).error().code, ErrorCode::canceled);
}

TEST_P(PeerErrors, AnInsecureDialIsLoggedInTheRuntimesLog) {
  Peer client(runtime);
  start(client);
  EXPECT_FALSE(client.dial_blocking("tls://127.0.0.1:1?insecure=1").has_value());
  EXPECT_EQ(log.count("insecure"), 1u);
}

TEST_P(PeerErrors, WrappedStreamsAreSessionsLikeOthers) {
  Peer server(runtime, server_options());
  server.router().on_pull("/echo", [](int v) { return v; });
  start(server);
  Peer client(runtime);
  start(client);
  const transport::Transports transports = transport::default_transports();
  Loop& loop = runtime.loop(1);
  std::promise<Session> wrapped;
  std::unique_ptr<transport::Dial> dial;
  loop.post([&] {
    dial = transports.dial(loop, *transport::Address::parse(server.addresses().at(0)), {},
                           [&](Result<std::unique_ptr<transport::Stream>> stream) {
                             wrapped.set_value(*client.wrap(*std::move(stream), {}, "wrapped"));
                           });
  });
  const Session session = wrapped.get_future().get();
  EXPECT_EQ(*session.pull_blocking<int>("/echo", 5), 5);
  EXPECT_EQ(client.find("wrapped"), session);
  std::promise<void> done;
  loop.post([&] { dial.reset(), done.set_value(); });
  done.get_future().wait();
}

}  // namespace
}  // namespace wayport::rpc

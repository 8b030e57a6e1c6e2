// Plugins on real peers: which hooks run, in which order, and what their refusals do (spec/teleport 11).
#include "wayport/rpc/plugin.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>

#include "wayport/base/log_testing.h"
#include "wayport/rpc/peer.h"

namespace wayport::rpc {
namespace {

using Names = std::vector<std::string>;

// What happened, in order; hooks may be told to refuse, by name.
class Journal {
 public:
  Status note(const std::string& hook) {
    const std::lock_guard lock(mutex_);
    names_.push_back(hook);
    const auto refused = refusals_.find(hook);
    if (refused == refusals_.end()) return {};
    if (refused->second.code == kThrow) throw std::runtime_error("boom");
    if (refused->second.code == kThrowStatus) throw StatusError(1002, "thrown");
    return refused->second;
  }
  void refuse(const std::string& hook, Status status) {
    const std::lock_guard lock(mutex_);
    refusals_[hook] = std::move(status);
  }
  Names take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(names_, {});
  }

  static constexpr std::int32_t kThrow = -1;
  static constexpr std::int32_t kThrowStatus = -2;

 private:
  std::mutex mutex_;
  Names names_;
  std::map<std::string, Status> refusals_;
};

// Hooks that may be anywhere.
class RoutePlugin : public Plugin,
                    public PostReg,
                    public CallGuard,
                    public PreReadPullBody,
                    public PostReadPullBody,
                    public PreReadPushBody,
                    public PostReadPushBody,
                    public PreWriteReply,
                    public PostWriteReply {
 public:
  RoutePlugin(Journal& journal, std::string name) : journal_(journal), name_(std::move(name)) {}
  std::string_view name() const noexcept override { return name_; }
  Result<void> post_reg(Registration& registration) override {
    const Status status = note("reg " + registration.route().path);
    if (!status.ok()) return fail(ErrorCode::invalid_argument, status.text);
    return {};
  }
  Status begin_call(Call&) override { return note("begin_call"); }
  void end_call(const Call&, std::int32_t status) noexcept override {
    static_cast<void>(note("end_call " + std::to_string(status)));
  }
  Status pre_read_pull_body(Call&) override { return note("pre_read_pull_body"); }
  Status post_read_pull_body(Call&, const framing::BodyTarget&) override { return note("post_read_pull_body"); }
  Status pre_read_push_body(Call&) override { return note("pre_read_push_body"); }
  Status post_read_push_body(Call&, const framing::BodyTarget&) override { return note("post_read_push_body"); }
  Status pre_write_reply(OutgoingView&) override { return note("pre_write_reply"); }
  Status post_write_reply(const OutgoingView& reply) override {
    EXPECT_GT(reply.packet_bytes, 0u);
    return note("post_write_reply");
  }

 protected:
  Status note(const std::string& hook) { return journal_.note(name_.empty() ? hook : name_ + ":" + hook); }

 private:
  Journal& journal_;
  std::string name_;
};

class PeerPlugin final : public RoutePlugin,
                         public PreReadHeader,
                         public PostReadPullHeader,
                         public PostReadPushHeader,
                         public PostReadReplyHeader,
                         public PreReadReplyBody,
                         public PostReadReplyBody,
                         public PreWritePull,
                         public PostWritePull,
                         public PreWritePush,
                         public PostWritePush {
 public:
  using RoutePlugin::RoutePlugin;
  Status pre_read_header(SessionCore&) override { return note("pre_read_header"); }
  Status post_read_pull_header(Call&) override { return note("post_read_pull_header"); }
  Status post_read_push_header(Call&) override { return note("post_read_push_header"); }
  Status post_read_reply_header(const IncomingReply&) override { return note("post_read_reply_header"); }
  Status pre_read_reply_body(const IncomingReply&) override { return note("pre_read_reply_body"); }
  Status post_read_reply_body(const IncomingReply&, const framing::BodyTarget&) override {
    return note("post_read_reply_body");
  }
  Status pre_write_pull(OutgoingView&) override { return note("pre_write_pull"); }
  Status post_write_pull(const OutgoingView& pull) override {
    EXPECT_GT(pull.packet_bytes, 0u);
    return note("post_write_pull");
  }
  Status pre_write_push(OutgoingView&) override { return note("pre_write_push"); }
  Status post_write_push(const OutgoingView&) override { return note("post_write_push"); }
};

class PluginTest : public ::testing::Test {
 protected:
  PluginTest() : runtime({.loops = 1, .log = &log}) {}

  void serve(PeerOptions options = {.listen = {"tcp://127.0.0.1:0"}}) {
    server = std::make_unique<Peer>(runtime, std::move(options));
    client = std::make_unique<Peer>(runtime);
    server->router().on_pull("/echo", [this](std::string text) {
      static_cast<void>(server_journal.note("handler"));
      return text;
    });
    server->router().on_push("/note", [this](std::string) { static_cast<void>(server_journal.note("handler")); });
    server->router().on_pull("/fail", [] { return Status::make(1001, "mine"); });
  }
  Session dial() {
    const Result<void> served = server->start();
    EXPECT_TRUE(served.has_value()) << (served ? "" : served.error().to_string());
    const Result<void> started = client->start();
    EXPECT_TRUE(started.has_value());
    Result<Session> session = client->dial_blocking(server->addresses().at(0));
    EXPECT_TRUE(session.has_value()) << (session ? "" : session.error().to_string());
    return session ? *session : Session();
  }
  // All that was sent before has been handled: pushes and pulls of a session stay in order.
  static void settle(const Session& session) { static_cast<void>(session.pull_blocking("/nothing/settle")); }
  static CloseReason wait_closed(const Session& session) {
    std::promise<CloseReason> closed;
    session.on_closed([&closed](const CloseReason& reason) { closed.set_value(reason); });
    return closed.get_future().get();
  }

  MemoryLog log;
  Journal server_journal;
  Journal client_journal;
  Runtime runtime;
  std::unique_ptr<Peer> server;
  std::unique_ptr<Peer> client;
};

// --- order ---

TEST_F(PluginTest, HooksOfAPullRunInOrder) {
  serve();
  server->plugins().add(std::make_shared<PeerPlugin>(server_journal, ""));
  client->plugins().add(std::make_shared<PeerPlugin>(client_journal, ""));
  const Session session = dial();
  EXPECT_EQ(server_journal.take(), (Names{"reg /echo", "reg /note", "reg /fail", "pre_read_header"}));
  EXPECT_EQ(client_journal.take(), (Names{"pre_read_header"}));
  EXPECT_EQ(*session.pull_blocking<std::string>("/echo", std::string("x")), "x");
  EXPECT_EQ(server_journal.take(),
            (Names{"post_read_pull_header", "begin_call", "pre_read_pull_body", "post_read_pull_body", "handler",
                   "pre_write_reply", "post_write_reply", "end_call 200", "pre_read_header"}));
  Names seen = client_journal.take();
  if (seen.back() == "pre_read_header") seen.pop_back();  // runs after the completion that woke us
  EXPECT_EQ(seen, (Names{"pre_write_pull", "post_write_pull", "post_read_reply_header", "pre_read_reply_body",
                         "post_read_reply_body"}));
}

TEST_F(PluginTest, HooksOfAPushRunInOrder) {
  serve();
  server->plugins().add(std::make_shared<PeerPlugin>(server_journal, ""));
  client->plugins().add(std::make_shared<PeerPlugin>(client_journal, ""));
  const Session session = dial();
  server_journal.take();
  client_journal.take();
  ASSERT_TRUE(session.push("/note", std::string("x")).has_value());
  settle(session);
  Names seen = server_journal.take();
  seen.resize(7);
  EXPECT_EQ(seen, (Names{"post_read_push_header", "begin_call", "pre_read_push_body", "post_read_push_body", "handler",
                         "end_call 200", "pre_read_header"}));
  seen = client_journal.take();
  seen.resize(2);
  EXPECT_EQ(seen, (Names{"pre_write_push", "post_write_push"}));
}

TEST_F(PluginTest, WithoutARouteOnlyThePeersReplyHooksRun) {
  serve();
  server->plugins().add(std::make_shared<PeerPlugin>(server_journal, ""));
  Router group = server->router().group("/g");
  group.plugins().add(std::make_shared<RoutePlugin>(server_journal, "group"));
  group.on_pull("/there", [] {});
  const Session session = dial();
  server_journal.take();
  EXPECT_EQ(session.pull_blocking("/g/missing").status().code, code::kNotFound);
  EXPECT_EQ(server_journal.take(), (Names{"post_read_pull_header", "begin_call", "pre_write_reply", "post_write_reply",
                                          "end_call 404", "pre_read_header"}));
  EXPECT_EQ(session.pull_blocking("/%zz").status().code, code::kBadUri);
  EXPECT_EQ(server_journal.take(),
            (Names{"post_read_pull_header", "pre_write_reply", "post_write_reply", "pre_read_header"}));
}

TEST_F(PluginTest, AnErrorReplySkipsThePostBodyHook) {
  serve();
  client->plugins().add(std::make_shared<PeerPlugin>(client_journal, ""));
  const Session session = dial();
  client_journal.take();
  EXPECT_EQ(session.pull_blocking("/fail").status().code, 1001);
  Names seen = client_journal.take();
  seen.resize(4);
  EXPECT_EQ(seen, (Names{"pre_write_pull", "post_write_pull", "post_read_reply_header", "pre_read_reply_body"}));
}

TEST_F(PluginTest, LevelsRunFromTheOutsideIn) {
  serve();
  server->plugins().add(std::make_shared<RoutePlugin>(server_journal, "p1"));
  server->plugins().add(std::make_shared<RoutePlugin>(server_journal, "p2"));
  Router outer = server->router().group("/outer");
  Router inner = outer.group("/inner");
  inner.on_pull("/x", [] {}, {.plugins = {std::make_shared<RoutePlugin>(server_journal, "route")}});
  outer.plugins().add(std::make_shared<RoutePlugin>(server_journal, "outer"));
  inner.plugins().add(std::make_shared<RoutePlugin>(server_journal, "inner"));
  const Session session = dial();
  server_journal.take();
  EXPECT_TRUE(session.pull_blocking("/outer/inner/x").ok());
  Names begun;
  for (const std::string& name : server_journal.take()) {
    if (name.ends_with("pre_read_pull_body")) begun.push_back(name.substr(0, name.find(':')));
  }
  EXPECT_EQ(begun, (Names{"p1", "p2", "outer", "inner", "route"}));
}

// --- refusals ---

struct Refusal {
  const char* hook;
  bool of_server;
  // What the pull of /echo ends with.
  std::int32_t code;
  const char* text;
  bool handler_ran;
};

class PullRefusal : public PluginTest, public ::testing::WithParamInterface<Refusal> {};
INSTANTIATE_TEST_SUITE_P(
    Hooks, PullRefusal,
    ::testing::Values(
        Refusal{"post_read_pull_header", true, 1003, "no", false}, Refusal{"begin_call", true, 1003, "no", false},
        Refusal{"pre_read_pull_body", true, 1003, "no", false}, Refusal{"post_read_pull_body", true, 1003, "no", false},
        Refusal{"pre_write_reply", true, 200, "", true}, Refusal{"post_write_reply", true, 200, "", true},
        Refusal{"pre_write_pull", false, 100, R"({"code":1003,"message":"no"})", false},
        Refusal{"post_write_pull", false, 200, "", true}, Refusal{"post_read_reply_header", false, 1003, "no", true},
        Refusal{"pre_read_reply_body", false, 1003, "no", true},
        Refusal{"post_read_reply_body", false, 1003, "no", true}),
    [](const auto& info) { return std::string(info.param.hook); });

TEST_P(PullRefusal, HasTheEffectOfTheOriginal) {
  const Refusal& expected = GetParam();
  serve();
  server->plugins().add(std::make_shared<PeerPlugin>(server_journal, ""));
  client->plugins().add(std::make_shared<PeerPlugin>(client_journal, ""));
  const Session session = dial();
  (expected.of_server ? server_journal : client_journal).refuse(expected.hook, Status::make(1003, "no"));
  const Reply<std::string> reply = session.pull_blocking<std::string>("/echo", std::string("x"));
  EXPECT_EQ(reply.ok() ? code::kOk : reply.status().code, expected.code);
  EXPECT_EQ(reply.status().text, expected.text);
  const Names seen = server_journal.take();
  EXPECT_EQ(std::count(seen.begin(), seen.end(), "handler"), expected.handler_ran ? 1 : 0);
  EXPECT_TRUE(session.healthy());
  EXPECT_EQ(std::string(expected.hook) == "pre_write_pull", reply.status().never_executed);
}

class PushRefusal : public PluginTest, public ::testing::WithParamInterface<Refusal> {};
INSTANTIATE_TEST_SUITE_P(Hooks, PushRefusal,
                         ::testing::Values(Refusal{"post_read_push_header", true, 200, "", false},
                                           Refusal{"begin_call", true, 200, "", false},
                                           Refusal{"pre_read_push_body", true, 200, "", false},
                                           Refusal{"post_read_push_body", true, 200, "", false},
                                           Refusal{"pre_write_push", false, 1003, "nothing was sent", false},
                                           Refusal{"post_write_push", false, 1003, "the push was sent", true}),
                         [](const auto& info) { return std::string(info.param.hook); });

TEST_P(PushRefusal, HasTheEffectOfTheOriginal) {
  const Refusal& expected = GetParam();
  serve();
  server->plugins().add(std::make_shared<PeerPlugin>(server_journal, ""));
  client->plugins().add(std::make_shared<PeerPlugin>(client_journal, ""));
  const Session session = dial();
  if (!expected.of_server) client_journal.refuse(expected.hook, Status::make(1003, "no"));
  if (expected.of_server) server_journal.refuse(expected.hook, Status::make(1003, "no"));
  // On the loop, where the outcome of the hooks is known at once.
  std::promise<Result<void>> pushed;
  session.loop().post([&] { pushed.set_value(session.push("/note", std::string("x"))); });
  const Result<void> outcome = pushed.get_future().get();
  EXPECT_EQ(outcome.has_value(), expected.code == code::kOk);
  if (!outcome) EXPECT_NE(outcome.error().detail.find(expected.text), std::string::npos) << outcome.error().detail;
  settle(session);
  const Names seen = server_journal.take();
  EXPECT_EQ(std::count(seen.begin(), seen.end(), "handler"), expected.handler_ran ? 1 : 0);
  EXPECT_TRUE(session.healthy());
}

TEST_F(PluginTest, ARefusedReadEndsTheSession) {
  serve();
  server->plugins().add(std::make_shared<PeerPlugin>(server_journal, ""));
  const Session session = dial();
  server_journal.refuse("pre_read_header", Status::make(1003, "enough"));
  // The hook runs after each packet: this one is answered, and is the last.
  static_cast<void>(session.pull_blocking("/echo", std::string("x")));
  EXPECT_EQ(session.pull_blocking("/echo", std::string("y")).ok(), false);
  EXPECT_EQ(wait_closed(session).error.code, ErrorCode::peer_closed);
}

TEST_F(PluginTest, WhatAHookThrowsIsAStatus) {
  serve();
  server->plugins().add(std::make_shared<PeerPlugin>(server_journal, ""));
  const Session session = dial();
  server_journal.refuse("pre_read_pull_body", Status::make(Journal::kThrow, "-"));
  const Status thrown = session.pull_blocking<std::string>("/echo", std::string("x")).status();
  EXPECT_EQ(thrown.code, code::kInternal);
  EXPECT_NE(thrown.text.find("boom"), std::string::npos);
  server_journal.refuse("pre_read_pull_body", Status::make(Journal::kThrowStatus, "-"));
  EXPECT_EQ(session.pull_blocking<std::string>("/echo", std::string("x")).status().code, 1002);
}

// --- guards ---

TEST_F(PluginTest, EachGuardThatBeganEndsOnce) {
  serve();
  server->plugins().add(std::make_shared<RoutePlugin>(server_journal, "a"));
  server->plugins().add(std::make_shared<RoutePlugin>(server_journal, "b"));
  const Session session = dial();
  server_journal.take();
  server_journal.refuse("b:begin_call", Status::make(code::kServiceUnavailable, "full"));
  EXPECT_EQ(session.pull_blocking("/echo", std::string("x")).status().code, code::kServiceUnavailable);
  const Names seen = server_journal.take();
  EXPECT_EQ(std::count(seen.begin(), seen.end(), "a:end_call 503"), 1);
  EXPECT_EQ(std::count(seen.begin(), seen.end(), "b:end_call 503"), 0);
}

TEST_F(PluginTest, AGuardEndsWhenTheSessionIsGoneBeforeTheAnswer) {
  serve();
  std::promise<void> running;
  server->router().on_pull("/hang", [&running](Context& context) -> asio::awaitable<void> {
    running.set_value();
    static_cast<void>(co_await context.session().closed());
  });
  server->plugins().add(std::make_shared<RoutePlugin>(server_journal, ""));
  const Session session = dial();
  server_journal.take();
  session.pull_async("/hang", framing::NoBody(), {}, [](const Reply<void>&) {});
  running.get_future().wait();
  server->for_each([](const Session& theirs) { theirs.abort(); });
  server->close_blocking();
  const Names seen = server_journal.take();
  EXPECT_EQ(std::count(seen.begin(), seen.end(), "end_call 0"), 1);
}

// --- containers ---

TEST_F(PluginTest, ContainersAddFindListAndRemove) {
  serve();
  PluginContainer& plugins = server->plugins();
  plugins.add(std::make_shared<RoutePlugin>(server_journal, "a"));
  plugins.add(std::make_shared<RoutePlugin>(server_journal, "b"));
  EXPECT_EQ(plugins.list().size(), 2u);
  EXPECT_NE(plugins.find_as<RoutePlugin>("b"), nullptr);
  EXPECT_EQ(plugins.find_as<PeerPlugin>("b"), nullptr);
  EXPECT_EQ(plugins.find("c"), nullptr);
  EXPECT_TRUE(plugins.remove("a"));
  EXPECT_FALSE(plugins.remove("a"));
  EXPECT_THROW(plugins.add(std::make_shared<RoutePlugin>(server_journal, "b")), std::logic_error);
  dial();
  EXPECT_THROW(plugins.add(std::make_shared<RoutePlugin>(server_journal, "d")), std::logic_error);
  EXPECT_THROW(plugins.remove("b"), std::logic_error);
  server_journal.take();
}

template <class Hook>
class Only;
// clang-format off
template <> class Only<PreReadHeader> final : public Plugin, public PreReadHeader {
  std::string_view name() const noexcept override { return "only"; }
  Status pre_read_header(SessionCore&) override { return {}; }
};
template <> class Only<PostReadPushHeader> final : public Plugin, public PostReadPushHeader {
  std::string_view name() const noexcept override { return "only"; }
  Status post_read_push_header(Call&) override { return {}; }
};
template <> class Only<PostWritePush> final : public Plugin, public PostWritePush {
  std::string_view name() const noexcept override { return "only"; }
  Status post_write_push(const OutgoingView&) override { return {}; }
};
template <> class Only<PostDial> final : public Plugin, public PostDial {
  std::string_view name() const noexcept override { return "only"; }
  asio::awaitable<Status> post_dial(PreSession&) override { co_return Status(); }
};
template <> class Only<PostDisconnect> final : public Plugin, public PostDisconnect {
  std::string_view name() const noexcept override { return "only"; }
  void post_disconnect(const Session&, const CloseReason&) override {}
};
template <> class Only<void> final : public Plugin {
  std::string_view name() const noexcept override { return "only"; }
};
// clang-format on

template <class Hook>
std::string refusal_by(Router group) {
  try {
    group.plugins().add(std::make_shared<Only<Hook>>());
  } catch (const std::logic_error& error) {
    return error.what();
  }
  return "not refused";
}

TEST_F(PluginTest, AHookThatCanNeverRunIsRefusedWithTheReason) {
  serve();
  Router group = server->router().group("/g");
  EXPECT_NE(refusal_by<PreReadHeader>(group).find("pre_read_header can never run here"), std::string::npos);
  EXPECT_NE(refusal_by<PostReadPushHeader>(group).find("post_read_push_header can never run"), std::string::npos);
  EXPECT_NE(refusal_by<PostWritePush>(group).find("post_write_push can never run"), std::string::npos);
  EXPECT_NE(refusal_by<PostDial>(group).find("post_dial can never run"), std::string::npos);
  EXPECT_NE(refusal_by<PostDisconnect>(group).find("post_disconnect can never run"), std::string::npos);
  EXPECT_NE(refusal_by<void>(group).find("implements no hook"), std::string::npos);
  EXPECT_THROW(group.on_pull("/x", [] {}, {.plugins = {std::make_shared<Only<PostDial>>()}}), std::logic_error);
}

TEST_F(PluginTest, PostRegMayRefuseTheStart) {
  serve();
  server->plugins().add(std::make_shared<RoutePlugin>(server_journal, "strict"));
  server_journal.refuse("strict:reg /note", Status::make(1, "no notes"));
  const Result<void> started = server->start();
  ASSERT_FALSE(started.has_value());
  EXPECT_EQ(started.error().detail, "plugin strict refuses push route /note: no notes");
}

class Rename final : public Plugin, public PostReg, public PostReadPullHeader {
  std::string_view name() const noexcept override { return "rename"; }
  Result<void> post_reg(Registration& registration) override {
    if (registration.route().path != "/echo") return {};
    return registration.add_alias("/other");
  }
  Status post_read_pull_header(Call& call) override {
    if (call.path() == "/old") call.set_path("/new");
    return {};
  }
};

TEST_F(PluginTest, AliasesAndRewrittenPathsFindTheRouteAndKeepTheQuery) {
  serve();
  server->router().on_pull(
      "/new", [](Context& context) { return std::string(context.path()) + "?" + std::string(context.raw_query()); });
  server->plugins().add(std::make_shared<Rename>());
  const Session session = dial();
  EXPECT_EQ(*session.pull_blocking<std::string>("/other", std::string("x")), "x");
  EXPECT_EQ(*session.pull_blocking<std::string>("/old?a=%20b"), "/new?a=%20b");
  EXPECT_EQ(server->router().core().routes(Call::Kind::pull), (Names{"/echo", "/fail", "/new"}));
}

// Pulls and pushes again before and after each of its session's packets of that kind.
class Nest final : public Plugin, public PreWritePull, public PostWritePull, public PreWritePush {
 public:
  std::string_view name() const noexcept override { return "nest"; }
  Status pre_write_pull(OutgoingView& pull) override { return again(pull); }
  Status post_write_pull(const OutgoingView& pull) override { return again(pull); }
  Status pre_write_push(OutgoingView& push) override {
    if (push.packet.header.uri == "/note?outer") EXPECT_TRUE(session_of(push.session).push("/note?inner"));
    return {};
  }
  std::atomic<int> inner{0};

 private:
  Status again(const OutgoingView& pull) {
    if (pull.packet.header.uri != "/who?outer") return {};
    session_of(pull.session)
        .pull_async<std::string>("/who?inner", framing::NoBody(), {}, [this](const Reply<std::string>& reply) {
          inner += reply.ok() && *reply == "inner" ? 1 : 0;
        });
    return {};
  }
};

TEST_F(PluginTest, AHookMayPullAndPushOnTheSessionThatItIsCalledFor) {
  serve();
  server->router().on_pull("/who", [](Context& context) { return std::string(context.raw_query()); });
  const auto nest = std::make_shared<Nest>();
  client->plugins().add(nest);
  const Session session = dial();
  EXPECT_EQ(*session.pull_blocking<std::string>("/who?outer"), "outer");
  std::promise<Result<void>> pushed;
  session.loop().post([&] { pushed.set_value(session.push("/note?outer")); });
  EXPECT_TRUE(pushed.get_future().get().has_value());
  EXPECT_EQ(*session.pull_blocking<std::string>("/who?last"), "last");
  EXPECT_EQ(nest->inner, 2);
}

TEST_F(PluginTest, AtSeveralLevelsAPluginStillRunsOncePerCall) {
  serve();
  const auto plugin = std::make_shared<RoutePlugin>(server_journal, "p");
  server->plugins().add(plugin);
  Router group = server->router().group("/g");
  group.plugins().add(plugin);
  group.on_pull("/x", [] {}, {.plugins = {plugin}});
  const Session session = dial();
  server_journal.take();
  EXPECT_TRUE(session.pull_blocking("/g/x").ok());
  const Names seen = server_journal.take();
  EXPECT_EQ(std::count(seen.begin(), seen.end(), "p:begin_call"), 1);
}

// --- what runs once the peer listens, and before it closes ---

class Sign final : public Plugin, public PostListen, public PreClose {
 public:
  explicit Sign(bool refuses) : refuses_(refuses) {}
  std::string_view name() const noexcept override { return "sign"; }
  Result<void> post_listen(Peer& peer) override {
    EXPECT_FALSE(peer.addresses().empty());
    ++listens;
    if (refuses_) throw std::runtime_error("no such service");
    return {};
  }
  void pre_close(Peer&) noexcept override { ++closes; }
  int listens = 0;
  int closes = 0;

 private:
  const bool refuses_;
};

TEST_F(PluginTest, APluginHearsThatThePeerListensAndThatItCloses) {
  serve();
  const auto sign = std::make_shared<Sign>(false);
  server->plugins().add(sign);
  static_cast<void>(dial());
  EXPECT_EQ(sign->listens, 1);
  server->close_blocking();
  EXPECT_EQ(sign->closes, 1);
}

TEST_F(PluginTest, APluginMayRefuseTheStartOnceThePeerListens) {
  serve();
  server->plugins().add(std::make_shared<Sign>(true));
  const Result<void> started = server->start();
  ASSERT_FALSE(started.has_value());
  EXPECT_NE(started.error().detail.find("no such service"), std::string::npos) << started.error().detail;
  EXPECT_TRUE(server->addresses().empty());
}

// --- deadlines of routes ---

TEST_F(PluginTest, ADeadlineAnswersForACoroutineAndForABlockingHandler) {
  serve();
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  std::promise<bool> deadline_seen;
  server->router().on_pull("/coroutine",
                           [&deadline_seen](Context& context) -> asio::awaitable<std::string> {
                             deadline_seen.set_value(context.deadline() != kNever);
                             static_cast<void>(co_await context.session().closed());
                             co_return "late";
                           },
                           {.deadline = std::chrono::milliseconds(5)});
  server->router().on_pull("/blocking",
                           [released] {
                             released.wait();
                             return std::string("late");
                           },
                           {.blocking = true, .deadline = std::chrono::milliseconds(5)});
  server->router().on_pull("/quick", []() -> asio::awaitable<std::string> { co_return "in time"; },
                           {.deadline = std::chrono::seconds(30)});
  const Session session = dial();
  const Status first = session.pull_blocking("/coroutine").status();
  EXPECT_EQ(first.code, code::kTimeout);
  EXPECT_EQ(first.text, "no answer within the route's deadline of 5ms");
  EXPECT_EQ(first.origin, Status::Origin::remote);
  EXPECT_TRUE(deadline_seen.get_future().get());
  EXPECT_EQ(session.pull_blocking("/blocking").status().code, code::kTimeout);
  release.set_value();
  EXPECT_EQ(*session.pull_blocking<std::string>("/quick"), "in time");
  EXPECT_EQ(server->counters(0).deadlines_missed.read(), 2u);
}

}  // namespace
}  // namespace wayport::rpc

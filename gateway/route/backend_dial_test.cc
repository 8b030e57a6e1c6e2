// Dials in virtual time, with a transport and name servers that do what a test says.
#include "wayport/gateway/route/backend_dial.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "wayport/gateway/route/own_addresses.h"
#include "wayport/transport/testing/memory_stream.h"
#include "wayport/transport/testing/memory_transport.h"

namespace wayport::route {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Something that happens after a time, unless it is destroyed first.
template <class Base>
class Later final : public Base, private Timer {
 public:
  Later(Loop& loop, Duration when, std::move_only_function<void()> call) : call_(std::move(call)) {
    loop.arm(*this, after(loop.now(), when));
  }

 private:
  void on_timer() override {
    auto call = std::move(call_);
    call();  // `this` may be gone
  }
  std::move_only_function<void()> call_;
};

struct Answer {
  Duration when{0};
  std::optional<Error> error{};
};

class FakeTransport final : public transport::Transport {
 public:
  std::unique_ptr<transport::Dial> dial(const transport::Transports&, Loop& loop, const transport::Address& address,
                                        const transport::DialOptions& options,
                                        transport::OnDialed on_done) const override {
    dialed.push_back(address.to_string() + " at " + format_duration(loop.now() - begin));
    EXPECT_GT(options.timeout, Duration::zero());
    const auto found = answers.find(address.host());
    const Answer answer = found == answers.end() ? Answer{} : found->second;
    return std::make_unique<Later<transport::Dial>>(
        loop, answer.when, [this, &loop, answer, on_done = std::move(on_done)]() mutable {
          if (answer.error) return on_done(fail(*answer.error));
          transport::MemoryPair pair = transport::make_memory_pair(loop, loop);
          others.push_back(std::move(pair.b));
          on_done(std::move(pair.a));
        });
  }
  Result<std::unique_ptr<transport::Listener>> listen(const transport::Transports&, Loop&, const transport::Address&,
                                                      const transport::ListenOptions&) const override {
    return fail(ErrorCode::unsupported, "dials only");
  }

  std::map<std::string, Answer> answers;
  TimePoint begin{};
  mutable std::vector<std::string> dialed;
  mutable std::vector<std::unique_ptr<transport::Stream>> others;
};

class FakeNames final : public NameLookup {
 public:
  struct Reply {
    std::vector<std::string> addresses;
    Duration when{0};
    std::optional<Error> error{};
  };
  std::unique_ptr<transport::Lookup> lookup(Loop& loop, const std::string& name, std::uint16_t port,
                                            transport::OnResolved on_done) override {
    asked.push_back(name);
    auto& list = replies[name];
    Reply reply = list.empty() ? Reply{{}, Duration{0}, Error{ErrorCode::not_found, "no such name", {}}} : list.front();
    if (list.size() > 1) list.erase(list.begin());
    return std::make_unique<Later<transport::Lookup>>(loop, reply.when,
                                                      [reply, port, on_done = std::move(on_done)]() mutable {
                                                        if (reply.error) return on_done(fail(*reply.error));
                                                        std::vector<SocketAddress> found;
                                                        for (const std::string& ip : reply.addresses)
                                                          found.push_back(*SocketAddress::from_ip(ip, port));
                                                        on_done(std::move(found));
                                                      });
  }

  std::map<std::string, std::vector<Reply>> replies;  // one after the other, the last again and again
  std::vector<std::string> asked;
};

class BackendDialTest : public ::testing::Test {
 protected:
  BackendDialTest() {
    fake->begin = loop.now();
    for (const char* const scheme : {"tcp", "kcp", "tls"}) transports.add(scheme, fake);
  }
  void allow(const std::vector<std::string>& rules) { list = std::make_shared<AllowList>(*AllowList::parse(rules)); }
  void dial(const std::vector<std::string>& texts) {
    std::vector<Backend> backends;
    for (const std::string& text : texts) backends.push_back(*Backend::parse(text));
    dialing = dial_backend(loop, transports, names, list, backends, options, [this](BackendOutcome got) {
      EXPECT_FALSE(outcome.has_value()) << "once";
      outcome.emplace(std::move(got));
      ended = loop.now() - fake->begin;
    });
    EXPECT_FALSE(outcome.has_value()) << "never from inside the call";
  }
  // "ADDRESS by RULE", or "dial_refused: why".
  std::string result() {
    if (!outcome) return "nothing yet";
    if (!*outcome) return std::string(to_string(outcome->error().code)) + ": " + outcome->error().reason;
    return (*outcome)->address + " by " + (*outcome)->rule;
  }
  std::string run(const std::vector<std::string>& texts, Duration time = seconds(60)) {
    dial(texts);
    loop.advance(time);
    return result();
  }
  static Answer refused(Duration when = Duration{0}) { return {when, Error{ErrorCode::refused, "said no", {}}}; }
  static Answer silent() { return {std::chrono::hours(24), Error{ErrorCode::internal, "never", {}}}; }

  ManualClock clock;
  Loop loop{{.clock = &clock}};
  std::shared_ptr<FakeTransport> fake = std::make_shared<FakeTransport>();
  transport::Transports transports;
  FakeNames names;
  std::shared_ptr<const AllowList> list = std::make_shared<AllowList>();
  BackendDialOptions options;
  std::unique_ptr<BackendDial> dialing;
  std::optional<BackendOutcome> outcome;
  Duration ended{0};
};

TEST_F(BackendDialTest, AnAllowedAddressIsDialedAsItIs) {
  allow({"10.0.0.0/8:80", "[2001:db8::]/32:*"});
  EXPECT_EQ(run({"10.0.0.1:80"}), "tcp://10.0.0.1:80 by 10.0.0.0/8:80");
  EXPECT_TRUE((*outcome)->stream);
  EXPECT_EQ((*outcome)->attempts, 1u);
  EXPECT_THAT(names.asked, IsEmpty());
  outcome.reset();
  EXPECT_EQ(run({"[2001:db8::1]:80"}), "tcp://[2001:db8::1]:80 by [2001:db8::]/32:*");
}

TEST_F(BackendDialTest, NothingIsDialedOrLookedUpThatNoRuleAllows) {
  EXPECT_THAT(run({"10.0.0.1:80"}), HasSubstr("forbidden: 10.0.0.1 port 80 is refused: there are no allow rules"));
  outcome.reset();
  EXPECT_THAT(run({"backend.example:80"}), HasSubstr("forbidden: "));
  allow({"10.0.0.0/8:443", "*:443 public"});
  outcome.reset();
  EXPECT_THAT(run({"backend.example:80"}), HasSubstr("forbidden: backend.example:80 matches no allow rule"));
  EXPECT_THAT(names.asked, IsEmpty());
  EXPECT_THAT(fake->dialed, IsEmpty());
  EXPECT_EQ(ended, 2 * seconds(60)) << "at once";
}

TEST_F(BackendDialTest, TheCheckedAddressIsDialedAndTheNameNeverAskedAgain) {
  allow({"10.0.0.0/8:80"});
  // A name that points elsewhere the second time.
  names.replies["rebind.example"] = {{{"10.0.0.1"}}, {{"127.0.0.1"}}};
  fake->answers["10.0.0.1"] = silent();
  EXPECT_THAT(run({"rebind.example:80"}), HasSubstr("dial_timeout: "));
  EXPECT_THAT(names.asked, ElementsAre("rebind.example"));
  EXPECT_THAT(fake->dialed,
              ElementsAre("tcp://10.0.0.1:80 at 0s", "tcp://10.0.0.1:80 at 5.1s", "tcp://10.0.0.1:80 at 10.2s"));
}

TEST_F(BackendDialTest, OneBadAddressOfAnAnswerRefusesAllOfIt) {
  allow({"10.0.0.0/8:80", "0.0.0.0/0:80"});
  for (const char* const bad :
       {"127.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "fe80::1"}) {
    names.replies["rebind.example"] = {{{"10.0.0.1", bad}}};
    outcome.reset();
    EXPECT_THAT(run({"rebind.example:80"}), HasSubstr("forbidden: rebind.example:80 is ")) << bad;
  }
  EXPECT_THAT(fake->dialed, IsEmpty());
}

TEST_F(BackendDialTest, TheNextAddressIsTriedWhenOneFailsOrIsSlow) {
  allow({"10.0.0.0/8:80"});
  names.replies["b.example"] = {{{"10.0.0.1", "10.0.0.2", "10.0.0.3"}}};
  fake->answers["10.0.0.1"] = refused(milliseconds(10));
  fake->answers["10.0.0.2"] = silent();
  EXPECT_EQ(run({"b.example:80"}), "tcp://10.0.0.3:80 by 10.0.0.0/8:80");
  EXPECT_THAT(fake->dialed,
              ElementsAre("tcp://10.0.0.1:80 at 0s", "tcp://10.0.0.2:80 at 10ms", "tcp://10.0.0.3:80 at 260ms"));
  EXPECT_EQ((*outcome)->attempts, 1u);
  EXPECT_EQ((*outcome)->backend, "b.example:80");
}

TEST_F(BackendDialTest, AnAttemptAndAllTogetherAreBounded) {
  allow({"10.0.0.0/8:80"});
  fake->answers["10.0.0.1"] = silent();
  EXPECT_EQ(
      run({"10.0.0.1:80"}),
      "dial_timeout: no connection to 10.0.0.1:80 within 5s (dial_timeout); no connection to 10.0.0.1:80 in the time "
      "of all attempts (3 attempts)");
  EXPECT_THAT(fake->dialed,
              ElementsAre("tcp://10.0.0.1:80 at 0s", "tcp://10.0.0.1:80 at 5.1s", "tcp://10.0.0.1:80 at 10.2s"));
  EXPECT_EQ(ended, seconds(15));
  outcome.reset();
  options.retries = 0;
  const Duration before = loop.now() - fake->begin;
  EXPECT_EQ(run({"10.0.0.1:80"}), "dial_timeout: no connection to 10.0.0.1:80 within 5s (dial_timeout)");
  EXPECT_EQ(ended - before, seconds(5));
}

TEST_F(BackendDialTest, ABackendThatComesUpIsFoundByARetry) {
  allow({"10.0.0.0/8:80"});
  fake->answers["10.0.0.1"] = silent();
  dial({"10.0.0.1:80"});
  loop.advance(milliseconds(5050));
  EXPECT_EQ(result(), "nothing yet");
  fake->answers.clear();
  loop.advance(milliseconds(50));
  EXPECT_EQ(result(), "tcp://10.0.0.1:80 by 10.0.0.0/8:80");
  EXPECT_EQ((*outcome)->attempts, 2u);
}

TEST_F(BackendDialTest, AttemptsGoAroundTheBackends) {
  allow({"10.0.0.0/8:80"});
  options.retries = 3;
  for (const char* const ip : {"10.0.0.1", "10.0.0.2"}) fake->answers[ip] = silent();
  EXPECT_THAT(run({"10.0.0.1:80", "192.168.0.1:80", "10.0.0.2:80"}),
              AllOf(HasSubstr("dial_timeout: "), HasSubstr("192.168.0.1")));
  EXPECT_THAT(fake->dialed, ElementsAre("tcp://10.0.0.1:80 at 0s", "tcp://10.0.0.2:80 at 5s",
                                        "tcp://10.0.0.1:80 at 10.1s", "tcp://10.0.0.2:80 at 15.2s"));
  EXPECT_EQ(ended, seconds(20));
}

TEST_F(BackendDialTest, OnlyATimeOutIsTriedAgain) {
  allow({"10.0.0.0/8:80"});
  options.retries = 4;
  fake->answers["10.0.0.1"] = refused();
  fake->answers["10.0.0.2"] = silent();
  fake->answers["10.0.0.3"] = {Duration{0}, Error{ErrorCode::unreachable, "no way", {}}};
  fake->answers["10.0.0.4"] = {Duration{0}, Error{ErrorCode::timed_out, "its own", {}}};
  EXPECT_THAT(run({"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"}),
              AllOf(HasSubstr("dial_timeout: "), HasSubstr("(5 attempts)")));
  EXPECT_THAT(fake->dialed, ElementsAre("tcp://10.0.0.1:80 at 0s", "tcp://10.0.0.2:80 at 0s", "tcp://10.0.0.3:80 at 5s",
                                        "tcp://10.0.0.4:80 at 5s", "tcp://10.0.0.2:80 at 5.1s"));
}

TEST_F(BackendDialTest, WhoSaidNoIsNotAskedAgainAndTheAnswerComesAtOnce) {
  allow({"10.0.0.0/8:80"});
  fake->answers["10.0.0.1"] = refused();
  fake->answers["10.0.0.2"] = refused();
  dial({"10.0.0.1:80", "10.0.0.2:80"});
  loop.advance(milliseconds(1));
  EXPECT_THAT(result(), HasSubstr("dial_refused: "));
  EXPECT_THAT(fake->dialed, ElementsAre("tcp://10.0.0.1:80 at 0s", "tcp://10.0.0.2:80 at 0s"));
  outcome.reset();
  fake->answers["10.0.0.1"] = {Duration{0}, Error{ErrorCode::unreachable, "no way", {}}};
  dial({"10.0.0.1:80"});
  loop.advance(milliseconds(1));
  EXPECT_THAT(result(), HasSubstr("dial_unreachable: "));
  outcome.reset();
  dial({"absent.example:80"});
  loop.advance(milliseconds(1));
  EXPECT_EQ(result(), "resolve_failed: not_found: no such name");
}

TEST_F(BackendDialTest, NamesThatTurnOutToBeForbiddenAreLookedUpInTheTimeOfTheAttempts) {
  allow({"10.0.0.0/8:80"});
  std::vector<std::string> backends;
  for (int i = 0; i < 20; ++i) {
    const std::string name = "bad" + std::to_string(i) + ".example";
    names.replies[name] = {{{"127.0.0.1"}, seconds(2)}};
    backends.push_back(name + ":80");
  }
  options.retries = 0;
  EXPECT_THAT(run(backends), HasSubstr("resolve_failed: "));
  EXPECT_EQ(ended, seconds(5));
  EXPECT_EQ(names.asked.size(), 3u);
  outcome.reset();
  options.retries = 1;
  fake->begin = loop.now();
  EXPECT_THAT(run(backends), HasSubstr("in the time of all attempts"));
  EXPECT_EQ(ended, seconds(10));
  // What is left of it is a dial's.
  outcome.reset();
  options.retries = 0;
  fake->begin = loop.now();
  fake->answers["10.0.0.1"] = silent();
  EXPECT_THAT(run({backends[0], "10.0.0.1:80"}), HasSubstr("no connection to 10.0.0.1:80 within 5s (dial_timeout)"));
  EXPECT_THAT(fake->dialed, ElementsAre("tcp://10.0.0.1:80 at 2s"));
  EXPECT_EQ(ended, seconds(5));
}

TEST_F(BackendDialTest, ARefusedNameCostsTheOthersNothing) {
  allow({"10.0.0.0/8:80"});
  options.retries = 0;
  names.replies["bad.example"] = {{{"127.0.0.1"}}};
  EXPECT_EQ(run({"bad.example:80", "10.0.0.2:80"}), "tcp://10.0.0.2:80 by 10.0.0.0/8:80");
}

TEST_F(BackendDialTest, FailedLookupsAreResolveFailed) {
  allow({"10.0.0.0/8:80"});
  EXPECT_THAT(run({"absent.example:80"}), HasSubstr("resolve_failed: not_found: no such name"));
  outcome.reset();
  options.retries = 0;
  names.replies["slow.example"] = {{{"10.0.0.1"}, seconds(6)}};
  EXPECT_EQ(run({"slow.example:80"}), "resolve_failed: no address of slow.example:80 within 5s (dial_timeout)");
  outcome.reset();
  options.retries = 1;
  names.replies["late.example"] = {{{}, Duration{0}, Error{ErrorCode::timed_out, "servers", {}}}, {{"10.0.0.1"}}};
  EXPECT_EQ(run({"late.example:80"}), "tcp://10.0.0.1:80 by 10.0.0.0/8:80");
}

TEST_F(BackendDialTest, ErrorsOfDialsHaveTheirCodes) {
  allow({"10.0.0.0/8:80"});
  options.retries = 0;
  const std::pair<ErrorCode, const char*> codes[] = {{ErrorCode::refused, "dial_refused: "},
                                                     {ErrorCode::unreachable, "dial_unreachable: "},
                                                     {ErrorCode::timed_out, "dial_timeout: "},
                                                     {ErrorCode::overloaded, "overloaded: "},
                                                     {ErrorCode::malformed, "internal: "}};
  for (const auto& [code, expected] : codes) {
    fake->answers["10.0.0.1"] = {Duration{0}, Error{code, "why", {}}};
    outcome.reset();
    EXPECT_THAT(run({"10.0.0.1:80"}), HasSubstr(expected));
  }
}

TEST_F(BackendDialTest, TheTransportIsTheBackendsOrTheRoutes) {
  allow({"10.0.0.0/8:80", "*:443 public"});
  options.transport = *BackendTransport::parse("kcp?fec=10,3");
  EXPECT_THAT(run({"10.0.0.1:80"}), HasSubstr(" by "));
  outcome.reset();
  names.replies["b.example."] = {{{"8.8.8.8"}}};
  EXPECT_THAT(run({"tls://b.example.:443?ca=x"}), HasSubstr(" by "));
  outcome.reset();
  EXPECT_THAT(run({"tcp://10.0.0.1:80"}), HasSubstr(" by "));
  ASSERT_EQ(fake->dialed.size(), 3u);
  EXPECT_THAT(fake->dialed[0], HasSubstr("kcp://10.0.0.1:80?fec=10,3 "));
  EXPECT_THAT(fake->dialed[1], HasSubstr("tls://8.8.8.8:443?ca=x&name=b.example "));
  EXPECT_THAT(fake->dialed[2], HasSubstr("tcp://10.0.0.1:80 "));
}

TEST_F(BackendDialTest, AllAddressesAreCheckedAndTheFirstOnesDialed) {
  allow({"10.0.0.0/8:80"});
  options.retries = 0;
  options.addresses_max = 2;
  for (const char* const ip : {"10.0.0.1", "10.0.0.2", "10.0.0.3"}) fake->answers[ip] = refused();
  names.replies["b.example"] = {{{"10.0.0.1", "10.0.0.2", "10.0.0.3"}}};
  EXPECT_THAT(run({"b.example:80"}), HasSubstr("dial_refused"));
  EXPECT_EQ(fake->dialed.size(), 2u);
  names.replies["b.example"] = {{{"10.0.0.1", "10.0.0.2", "127.0.0.1"}}};
  outcome.reset();
  EXPECT_THAT(run({"b.example:80"}), HasSubstr("forbidden"));
  EXPECT_EQ(fake->dialed.size(), 2u);
}

TEST_F(BackendDialTest, ACanceledDialNeverCallsBack) {
  allow({"10.0.0.0/8:80"});
  names.replies["b.example"] = {{{"10.0.0.1"}, milliseconds(10)}};
  fake->answers["10.0.0.1"] = {milliseconds(10)};
  for (int when = 0; when < 25; ++when) {
    dial({"b.example:80"});
    loop.advance(milliseconds(when));
    if (outcome) {
      EXPECT_GE(when, 20);
      outcome.reset();
      continue;
    }
    dialing.reset();
    loop.advance(seconds(1));
    EXPECT_FALSE(outcome.has_value()) << when;
  }
  EXPECT_FALSE(outcome.has_value());
  // Also between the decision and the end of the turn.
  dial({"127.0.0.1:80"});
  dialing.reset();
  loop.drain();
  EXPECT_FALSE(outcome.has_value());
}

TEST_F(BackendDialTest, GoesThroughARealTransportOfMemory) {
  allow({"10.0.0.0/8:80"});
  // The memory transport knows names only; the checked address is one.
  auto memory = std::make_shared<transport::MemoryTransport>();
  transports.add("tcp", memory);
  EXPECT_THAT(run({"10.0.0.1:80"}), HasSubstr("dial_refused"));
  const auto listener = memory->listen(transports, loop, transport::Address::of("tcp", "10.0.0.1", 80), {});
  ASSERT_TRUE(listener.has_value());
  std::unique_ptr<transport::Stream> accepted;
  (*listener)->start([&](std::unique_ptr<transport::Incoming> incoming) { accepted = incoming->accept(); });
  outcome.reset();
  EXPECT_EQ(run({"10.0.0.1:80"}), "tcp://10.0.0.1:80 by 10.0.0.0/8:80");
  EXPECT_TRUE(accepted);
}

TEST(OwnEndpoints, ListOneListenerAndAllInterfacesOfAListenerOfEveryAddress) {
  const std::vector<transport::Address> listeners = {transport::Address::of("tcp", "10.9.8.7", 7000),
                                                     *transport::Address::parse("tcp://:7001"),
                                                     *transport::Address::parse("unix://@x")};
  const Result<std::vector<OwnEndpoint>> own = own_endpoints(listeners);
  ASSERT_TRUE(own.has_value());
  std::vector<std::string> texts;
  for (const OwnEndpoint& one : *own) texts.push_back(one.address.to_string() + " " + std::to_string(one.port));
  EXPECT_THAT(texts, ::testing::IsSupersetOf({"10.9.8.7 7000", ":: 7001", "127.0.0.1 7001"}));
  EXPECT_EQ(std::ranges::count(texts, "10.9.8.7 7000"), 1);
  AllowList allow = *AllowList::parse(std::vector<std::string>{"10.0.0.0/8:*", "127.0.0.0/8:*"});
  allow.set_own(*own);
  EXPECT_FALSE(allow.decide(*parse_target("10.9.8.7:7000")).allowed());
  EXPECT_FALSE(allow.decide(*parse_target("127.0.0.1:7001")).allowed());
  EXPECT_TRUE(allow.decide(*parse_target("127.0.0.1:7002")).allowed());
}

TEST(IpOf, DropsPortAndZone) {
  EXPECT_EQ(ip_of(*SocketAddress::from_ip("10.0.0.1", 80)), IpAddress::parse("10.0.0.1"));
  EXPECT_EQ(ip_of(*SocketAddress::from_ip("fe80::1%lo", 80)), IpAddress::parse("fe80::1"));
  EXPECT_EQ(ip_of(*SocketAddress::from_unix("@x")), std::nullopt);
}

}  // namespace
}  // namespace wayport::route

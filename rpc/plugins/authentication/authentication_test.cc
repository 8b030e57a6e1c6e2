// Whole handshakes between real peers in virtual time; attackers are plugins that send what they like.
#include "wayport/rpc/plugins/authentication/authentication.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <boost/json.hpp>
#include <functional>
#include <string>

#include "wayport/base/co.h"
#include "wayport/base/socket.h"
#include "wayport/framing/base64.h"
#include "wayport/rpc/plugins/authentication/auth_dials.h"
#include "wayport/rpc/plugins/authentication/jwt.h"
#include "wayport/rpc/plugins/authentication/shared_secret.h"
#include "wayport/rpc/plugins/authentication/shared_secret_proof.h"
#include "wayport/rpc/plugins/testing/manual_peers.h"
#include "wayport/rpc/pre_session.h"
#include "wayport/transport/testing/memory_transport.h"

namespace wayport::rpc {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::ManualPeers;
using ::testing::Not;
using namespace std::chrono_literals;
using Packet = PreSession::Packet;

const std::string kSecret = "0123456789abcdef0123456789abcdef";
const std::string kOther = "fedcba9876543210fedcba9876543210";

SecretKeys keys(const std::string& id = "k1", const std::string& secret = kSecret, const std::string& identity = {}) {
  SecretKeys made;
  EXPECT_TRUE(made.add(id, secret, identity).has_value());
  return made;
}

std::string base64(Bytes bytes) {
  std::string text(framing::base64_size(bytes.size()), '\0');
  framing::write_base64(text.data(), bytes);
  return text;
}

// A dialling or accepting side that says what the test wants.
class Scripted final : public Plugin, public PostDial, public PostAccept {
 public:
  using Script = std::function<asio::awaitable<Status>(PreSession&)>;
  explicit Scripted(Script script) : script_(std::move(script)) {}
  std::string_view name() const noexcept override { return "scripted"; }
  asio::awaitable<Status> post_dial(PreSession& session) override { return script_(session); }
  asio::awaitable<Status> post_accept(PreSession& session) override { return script_(session); }

 private:
  Script script_;
};

// Connections in memory that look to the dialling side as if they went elsewhere.
class Disguise final : public transport::Transport {
 public:
  using Paint = std::function<void(transport::PeerInfo&)>;
  explicit Disguise(Paint paint) : paint_(std::move(paint)) {}

  std::unique_ptr<transport::Dial> dial(const transport::Transports& all, Loop& loop, const transport::Address& address,
                                        const transport::DialOptions& options,
                                        transport::OnDialed on_done) const override {
    return memory_.dial(all, loop, address, options, [paint = paint_, done = std::move(on_done)](auto stream) mutable {
      if (stream) *stream = std::make_unique<Painted>(*std::move(stream), paint);
      done(std::move(stream));
    });
  }
  Result<std::unique_ptr<transport::Listener>> listen(const transport::Transports& all, Loop& loop,
                                                      const transport::Address& address,
                                                      const transport::ListenOptions& options) const override {
    return memory_.listen(all, loop, address, options);
  }

 private:
  class Painted final : public transport::Stream {
   public:
    Painted(std::unique_ptr<transport::Stream> stream, const Paint& paint) : stream_(std::move(stream)) {
      paint(peer_);
    }
    void start(transport::StreamEvents& events) override { stream_->start(events); }
    void read(bool on) override { stream_->read(on); }
    transport::Pressure write(Chain&& chain, bool end) override { return stream_->write(std::move(chain), end); }
    std::size_t queued() const noexcept override { return stream_->queued(); }
    void shutdown_write() override { stream_->shutdown_write(); }
    void close(CloseReason reason, transport::Linger linger) override { stream_->close(std::move(reason), linger); }
    void replace_events(transport::StreamEvents& events) override { stream_->replace_events(events); }
    const transport::PeerInfo& peer() const noexcept override { return peer_; }
    Loop& loop() const noexcept override { return stream_->loop(); }
    unsigned scratch_depth() const noexcept override { return stream_->scratch_depth(); }

   private:
    std::unique_ptr<transport::Stream> stream_;
    transport::PeerInfo peer_;
  };

  const Paint paint_;
  transport::MemoryTransport memory_;
};

Disguise::Paint looks_like(const char* scheme, const char* ip, std::optional<bool> tls_verified = {},
                           std::string server_name = "orders.example") {
  return [=](transport::PeerInfo& peer) {
    peer.scheme = scheme;
    peer.remote = SocketAddress::from_ip(ip, 9090).value();
    if (!tls_verified) return;
    transport::TlsPeer tls;
    tls.verified = *tls_verified;
    tls.server_name = server_name;
    peer.tls = std::make_unique<const transport::TlsPeer>(std::move(tls));
  };
}

class AuthenticationTest : public ::testing::Test {
 protected:
  AuthenticationTest() { reset(); }
  void reset() {
    session = Session();
    client.reset();
    server.reset();
    server = world.listening();
    client = world.dialling();
    server->router().on_pull("/who", [](Context& context) { return authenticated_identity(context.session()); });
  }
  void connect() {
    world.start(*server);
    world.start(*client);
    Result<Session> dialled = world.dial(*client);
    refused = dialled ? "" : dialled.error().to_string();
    if (dialled) session = *dialled;
    world.settle();
  }
  std::string who() {
    const Reply<std::string> reply = world.pull<std::string>(session, "/who");
    return reply ? *reply : reply.status().to_string();
  }
  std::string log() {
    std::string all;
    for (const std::string& line : world.log.lines()) all += line + "\n";
    return all;
  }
  // What the server says to a client that sends these pulls one after the other, whatever the answers.
  std::vector<Packet> answers_to(std::vector<std::pair<std::string, std::string>> pulls) {
    std::vector<Packet> answers;
    client->plugins().add(std::make_shared<Scripted>([&, pulls](PreSession& s) { return say(s, pulls, answers); }));
    connect();
    return answers;
  }
  static asio::awaitable<Status> say(PreSession& session, std::vector<std::pair<std::string, std::string>> pulls,
                                     std::vector<Packet>& answers) {
    std::uint64_t seq = 1;
    for (const auto& [uri, body] : pulls) {
      framing::OutgoingPacket packet;
      packet.header = {seq++, framing::kTypePull, uri, 0, 0, {}};
      packet.body.form = framing::OutgoingBody::Form::encoded;
      packet.body.codec_id = framing::kCodecJson;
      packet.body.bytes = as_bytes(body);
      static_cast<void>(session.send(packet));
      const Result<Packet> answer = co_await session.receive();
      if (!answer) break;
      answers.push_back(*answer);
      if (answer->status_code != code::kOk) break;
    }
    co_return Status::make(code::kUnauthorized, "the script is over");
  }

  // The end of a dial from a peer with `of_client` to one with `of_server` over a connection that looks so.
  Result<Session> dial_disguised(Disguise::Paint paint, std::shared_ptr<Plugin> of_client,
                                 std::shared_ptr<Plugin> of_server) {
    reset();
    const std::string scheme = "disguise" + std::to_string(++disguises);
    world.transports.add(scheme, std::make_shared<Disguise>(std::move(paint)));
    PeerOptions options;
    options.listen = {scheme + "://server"};
    server = world.dialling(std::move(options));
    client = world.dialling();
    server->plugins().add(std::move(of_server));
    client->plugins().add(std::move(of_client));
    world.start(*server);
    world.start(*client);
    Result<Session> dialled = fail(ErrorCode::internal, "the dial never ended");
    client->dial_async(scheme + "://server", {}, [&](Result<Session> result) { dialled = std::move(result); });
    world.settle();
    return dialled;
  }

  // Mallory knows no secret: `victim` dials him, and he passes its handshake on to the server. Whether he is in. He may say
  // in the hello whatever `server_name` is.
  bool relayed(Peer& victim, const std::string& server_name = {}) {
    struct {
      std::optional<Packet> hello, challenge, proof, verdict;
    } seen;
    PeerOptions at;
    at.listen = {"mem://mallory"};
    const std::unique_ptr<Peer> trap = world.dialling(std::move(at));
    trap->plugins().add(std::make_shared<Scripted>([&](PreSession& s) -> asio::awaitable<Status> {
      if (!co_await take(s, seen.hello) || !co_await arrived(seen.challenge)) co_return over();
      pass_on(s, *seen.challenge);
      if (!co_await take(s, seen.proof) || !co_await arrived(seen.verdict)) co_return over();
      pass_on(s, *seen.verdict);
      co_return over();
    }));
    client->plugins().add(std::make_shared<Scripted>([&](PreSession& s) -> asio::awaitable<Status> {
      if (!co_await arrived(seen.hello)) co_return over();
      Packet changed = *seen.hello;
      if (!server_name.empty()) {
        boost::json::value body = boost::json::parse(std::string_view(changed.body_with_codec).substr(1));
        body.as_object()["server"] = server_name;
        changed.body_with_codec = changed.body_with_codec.substr(0, 1) + boost::json::serialize(body);
      }
      pass_on(s, changed);
      if (!co_await take(s, seen.challenge) || !co_await arrived(seen.proof)) co_return over();
      pass_on(s, *seen.proof);
      if (!co_await take(s, seen.verdict)) co_return over();
      co_return seen.verdict->status_code == code::kOk ? Status() : over();
    }));
    world.start(*server);
    world.start(*client);
    world.start(*trap);
    if (&victim != server.get()) world.start(victim);
    std::optional<Result<Session>> mallory;
    victim.dial_async("mem://mallory", {}, [](const Result<Session>&) {});
    client->dial_async(ManualPeers::kAddress, {}, [&](Result<Session> result) { mallory = std::move(result); });
    for (int i = 0; i < 1000 && !mallory; ++i) world.advance(1ms);
    world.advance(1s);
    EXPECT_TRUE(seen.hello.has_value()) << "the victim did not begin";
    EXPECT_TRUE(mallory.has_value());
    if (mallory && *mallory) session = **mallory;
    return mallory && mallory->has_value();
  }
  static Status over() { return Status::make(code::kUnauthorized, "the script is over"); }
  static asio::awaitable<bool> take(PreSession& from, std::optional<Packet>& to) {
    const Result<Packet> packet = co_await from.receive();
    if (packet) to = *packet;
    co_return packet.has_value();
  }
  asio::awaitable<bool> arrived(const std::optional<Packet>& what) {
    for (int i = 0; i < 100 && !what; ++i) static_cast<void>(co_await sleep_for(world.loop(), 1ms));
    co_return what.has_value();
  }
  static void pass_on(PreSession& to, const Packet& packet) {
    framing::OutgoingPacket same;
    same.header = {packet.seq, packet.type, packet.uri, packet.gzip, packet.status_code, packet.status};
    same.header_codec = to.options().header_codec;
    same.body.form = framing::OutgoingBody::Form::verbatim;
    same.body.bytes = as_bytes(packet.body_with_codec);
    static_cast<void>(to.send(same));
  }

  int disguises = 0;
  ManualPeers world;
  std::unique_ptr<Peer> server;
  std::unique_ptr<Peer> client;
  Session session;
  std::string refused;
};

using SharedSecret = AuthenticationTest;
using Jwt = AuthenticationTest;

std::string hello(std::string_view key = "k1") {
  return R"({"key":")" + std::string(key) + R"(","nonce":")" + base64(AuthNonce{}) + R"("})";
}

TEST_F(SharedSecret, BothSidesProveTheirKeyAndTheServerKnowsWhoItIs) {
  const auto accepts =
      std::make_shared<SharedSecretServer>(keys("k1", kSecret, "alice"), SharedSecretServerOptions{"ctx"});
  const auto proves = std::make_shared<SharedSecretClient>(keys(), SharedSecretClientOptions{"ctx"});
  server->plugins().add(accepts);
  client->plugins().add(proves);
  connect();
  ASSERT_EQ(refused, "");
  EXPECT_EQ(who(), "alice");
  EXPECT_EQ(authenticated_identity(session), "") << "the server's side only";
  EXPECT_EQ(accepts->counters().accepted, 1u);
  EXPECT_EQ(proves->counters().accepted, 1u);
  EXPECT_NE(ManualPeers::only_session(*server).id(), "alice");
}

TEST_F(SharedSecret, TheIdentityMayBecomeTheSessionsId) {
  SharedSecretServerOptions options;
  options.session_id_is_identity = true;
  server->plugins().add(std::make_shared<SharedSecretServer>(keys("k1", kSecret, "alice"), options));
  client->plugins().add(std::make_shared<SharedSecretClient>(keys()));
  connect();
  EXPECT_TRUE(server->find("alice"));
}

TEST_F(SharedSecret, TheWrongSecretKeyIdOrContextIsRefusedInOneWayAndLoggedInDetail) {
  struct Case {
    SecretKeys keys;
    std::string context;
    std::string logged;
  };
  for (const Case& wrong : {Case{keys("k1", kOther), "", "proof for key k1 is wrong"},
                            Case{keys("k2"), "", "key k2 is unknown"}, Case{keys(), "elsewhere", "another context"}}) {
    SCOPED_TRACE(wrong.logged);
    reset();
    world.log.clear();
    world.advance(1h);
    const auto accepts = std::make_shared<SharedSecretServer>(keys());
    server->plugins().add(accepts);
    client->plugins().add(std::make_shared<SharedSecretClient>(wrong.keys, SharedSecretClientOptions{wrong.context}));
    connect();
    EXPECT_THAT(refused, HasSubstr("the server refused; its log says why"));
    EXPECT_THAT(log(), HasSubstr(wrong.logged));
    EXPECT_THAT(log(), AllOf(Not(HasSubstr(kSecret)), Not(HasSubstr(kOther))));
    EXPECT_EQ(accepts->counters().refused, 1u);
    EXPECT_EQ(server->session_count(), 0u);
  }
}

TEST_F(SharedSecret, KnownAndUnknownKeysAreAnsweredAlike) {
  std::vector<std::vector<Packet>> all;
  for (const char* key : {"k1", "nobody"}) {
    reset();
    server->plugins().add(std::make_shared<SharedSecretServer>(keys()));
    all.push_back(answers_to({{std::string(kAuthHelloUri), hello(key)},
                              {std::string(kAuthProofUri), R"({"proof":")" + base64(AuthProof{}) + R"("})"}}));
  }
  for (const std::vector<Packet>& answers : all) {
    ASSERT_EQ(answers.size(), 2u);
    EXPECT_EQ(answers[0].status_code, code::kOk);
    EXPECT_EQ(answers[0].body_with_codec.size(), all[0][0].body_with_codec.size());
    EXPECT_EQ(answers[1].status_code, code::kUnauthorized);
    EXPECT_EQ(answers[1].status, "Unauthorized");
    EXPECT_EQ(answers[1].body_with_codec, "");
  }
  EXPECT_NE(all[0][0].body_with_codec, all[1][0].body_with_codec) << "nonces";
}

TEST_F(SharedSecret, MalformedHellosAreRefused) {
  const std::string uri(kAuthHelloUri);
  for (const auto& [where, body] : std::vector<std::pair<std::string, std::string>>{
           {uri, ""},
           {uri, "{"},
           {uri, "{}"},
           {uri, R"({"key":"k1"})"},
           {uri, R"({"key":"","nonce":")" + base64(AuthNonce{}) + R"("})"},
           {uri, R"({"key":"k1","nonce":"AAAA"})"},
           {uri, R"({"key":7,"nonce":")" + base64(AuthNonce{}) + R"("})"},
           {uri, hello(std::string(257, 'k'))},
           {std::string(kAuthProofUri), R"({"proof":")" + base64(AuthProof{}) + R"("})"},
           {"/who", ""}}) {
    SCOPED_TRACE(where + " " + body);
    reset();
    server->plugins().add(std::make_shared<SharedSecretServer>(keys()));
    const std::vector<Packet> answers = answers_to({{where, body}});
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_EQ(answers[0].status_code, code::kUnauthorized);
    EXPECT_EQ(answers[0].uri, where);
  }
}

TEST_F(SharedSecret, AReflectedOrReplayedProofIsWorthNothing) {
  server->plugins().add(std::make_shared<SharedSecretServer>(keys()));
  std::vector<std::int32_t> statuses;
  std::string attack;
  const auto script = [&](PreSession& s) -> asio::awaitable<Status> {
    static_cast<void>(s.send_value({1, framing::kTypePull, kAuthHelloUri, 0, 0, {}}, framing::kCodecJson,
                                   boost::json::parse(hello())));
    const Result<Packet> challenge = co_await s.receive();
    if (!challenge) co_return Status::make(code::kUnauthorized, "no challenge");
    const boost::json::value body = boost::json::parse(std::string_view(challenge->body_with_codec).substr(1));
    const std::string nonce = *framing::from_base64(std::string(body.at("nonce").as_string()));
    const AuthNonce zeros{};
    // An old proof is one over the nonce of an earlier server.
    const AuthTranscript seen{"", "k1", "", zeros, attack == "replay" ? Bytes(zeros) : as_bytes(nonce)};
    const AuthProof proof = auth_proof(kSecret, attack == "reflect" ? AuthRole::server : AuthRole::client, seen);
    boost::json::object answer{{"proof", base64(proof)}};
    static_cast<void>(s.send_value({2, framing::kTypePull, kAuthProofUri, 0, 0, {}}, framing::kCodecJson,
                                   boost::json::value(answer)));
    const Result<Packet> verdict = co_await s.receive();
    statuses.push_back(verdict ? verdict->status_code : -1);
    co_return Status::make(code::kUnauthorized, "the script is over");
  };
  client->plugins().add(std::make_shared<Scripted>(script));
  world.start(*server);
  world.start(*client);
  for (const char* which : {"reflect", "replay", "none"}) {
    attack = which;
    EXPECT_FALSE(world.dial(*client).has_value());
  }
  EXPECT_EQ(statuses, (std::vector<std::int32_t>{code::kUnauthorized, code::kUnauthorized, code::kOk}));
}

TEST_F(SharedSecret, APeerThatDialsAndAcceptsRefusesItsOwnProofFromSomebodyElse) {
  const auto accepts = std::make_shared<SharedSecretServer>(keys("k1", kSecret, "alice"));
  server->plugins().add(accepts);
  server->plugins().add(std::make_shared<SharedSecretClient>(keys()));
  EXPECT_FALSE(relayed(*server));
  EXPECT_EQ(accepts->counters().refused, 1u);
  EXPECT_EQ(accepts->counters().accepted, 0u);
  EXPECT_THAT(log(), HasSubstr("its hello is that of a dial of our own"));
}

TEST_F(SharedSecret, APeerThatDialsAndAcceptsDoesBothWithOthers) {
  for (Peer* peer : {server.get(), client.get()}) {
    peer->plugins().add(std::make_shared<SharedSecretServer>(keys("k1", kSecret, "alice")));
    peer->plugins().add(std::make_shared<SharedSecretClient>(keys()));
  }
  connect();
  ASSERT_EQ(refused, "");
  EXPECT_EQ(who(), "alice");
}

TEST_F(SharedSecret, AHelloIsOnesOwnForAsLongAsItsHandshakeLasts) {
  const auto dials = std::make_shared<AuthDials>();
  const AuthDials::Nonce nonce(kAuthNonceBytes, std::byte{7});
  {
    const AuthDials::Entry entry(dials, nonce);
    EXPECT_TRUE(dials->contains(nonce));
    EXPECT_FALSE(dials->contains(AuthDials::Nonce(kAuthNonceBytes)));
  }
  EXPECT_FALSE(dials->contains(nonce));
}

// What the README says: without names, and without TLS, whoever passes all packets on is believed.
TEST_F(SharedSecret, AProofThatSomebodyPassesOnHoldsOnlyWhereTheClientMeantItTo) {
  const auto victim = [&](const std::string& means) {
    std::unique_ptr<Peer> peer = world.dialling();
    peer->plugins().add(std::make_shared<SharedSecretClient>(keys(), SharedSecretClientOptions{.server = means}));
    return peer;
  };
  SharedSecretServerOptions options;
  server->plugins().add(std::make_shared<SharedSecretServer>(keys("k1", kSecret, "alice"), options));
  EXPECT_TRUE(relayed(*victim("mallory.example")));
  EXPECT_EQ(who(), "alice");

  options.names = {"orders.example"};
  for (const char* claimed : {"", "orders.example"}) {
    SCOPED_TRACE(claimed);
    reset();
    world.log.clear();
    world.advance(1h);
    server->plugins().add(std::make_shared<SharedSecretServer>(keys("k1", kSecret, "alice"), options));
    EXPECT_FALSE(relayed(*victim("mallory.example"), claimed));
    EXPECT_THAT(log(),
                HasSubstr(*claimed ? "its proof for key k1 is wrong"
                                   : "meant for mallory.example, which is none of SharedSecretServerOptions::names"));
  }
}

TEST_F(SharedSecret, ClientsSayWhomTheyMeanByVerifiedNameElseByAddress) {
  const auto accepted = [&](Disguise::Paint paint, std::vector<std::string> names, std::string means = {}) {
    SharedSecretServerOptions options;
    options.names = std::move(names);
    const Result<Session> dialled = dial_disguised(
        std::move(paint), std::make_shared<SharedSecretClient>(keys(), SharedSecretClientOptions{.server = means}),
        std::make_shared<SharedSecretServer>(keys(), options));
    if (!dialled) EXPECT_THAT(dialled.error().to_string(), HasSubstr("the server refused; its log says why"));
    return dialled.has_value();
  };
  const auto tcp = looks_like("tcp", "10.0.0.7");
  const auto verified = looks_like("tls", "10.0.0.7", true);
  const auto unverified = looks_like("tls", "10.0.0.7", false);
  EXPECT_TRUE(accepted(tcp, {"10.0.0.7:9090"}));
  EXPECT_TRUE(accepted(looks_like("tcp", "2001:db8::7"), {"other", "[2001:DB8::7]:9090"}));
  EXPECT_FALSE(accepted(tcp, {"10.0.0.8:9090"}));
  EXPECT_FALSE(accepted(tcp, {"10.0.0.7"}));
  EXPECT_TRUE(accepted(verified, {"ORDERS.example"}));
  EXPECT_FALSE(accepted(verified, {"10.0.0.7:9090"}));
  EXPECT_FALSE(accepted(unverified, {"orders.example"})) << "anybody may have any name";
  EXPECT_TRUE(accepted(unverified, {"10.0.0.7:9090"}));
  EXPECT_TRUE(accepted(looks_like("tls", "10.0.0.7", true, ""), {"10.0.0.7:9090"})) << "dialled by address";
  EXPECT_TRUE(accepted(verified, {"here"}, "here"));
  EXPECT_FALSE(accepted(verified, {"orders.example"}, "here"));
  EXPECT_TRUE(accepted(verified, {})) << "not checked";
  EXPECT_FALSE(accepted([](transport::PeerInfo&) {}, {"here"})) << "it has neither";
}

TEST_F(SharedSecret, NamesOfServersAreBounded) {
  const std::string longest(kAuthServerBytesMax, 'n');
  SharedSecretServerOptions options;
  options.names = {longest};
  server->plugins().add(std::make_shared<SharedSecretServer>(keys(), options));
  client->plugins().add(std::make_shared<SharedSecretClient>(keys(), SharedSecretClientOptions{.server = longest}));
  connect();
  EXPECT_EQ(refused, "");
  EXPECT_THROW(SharedSecretClient(keys(), {.server = longest + "n"}), std::logic_error);
  for (const std::string& bad : {longest + "n", std::string()}) {
    options.names = {bad};
    EXPECT_THROW(SharedSecretServer(keys(), options), std::logic_error);
  }
  reset();
  server->plugins().add(std::make_shared<SharedSecretServer>(keys()));
  const std::string said = R"({"key":"k1","server":")" + longest + R"(n","nonce":")" + base64(AuthNonce{}) + R"("})";
  const std::vector<Packet> answers = answers_to({{std::string(kAuthHelloUri), said}});
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].status_code, code::kUnauthorized);
}

TEST_F(SharedSecret, AServerWithoutTheKeyIsFoundOut) {
  const auto script = [](PreSession& s) -> asio::awaitable<Status> {
    for (const char* body : {R"({"nonce":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="})",
                             R"({"proof":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="})"}) {
      const Result<Packet> request = co_await s.receive();
      if (!request) co_return Status();
      static_cast<void>(s.send_value({request->seq, framing::kTypeReply, request->uri, 0, code::kOk, "OK"},
                                     framing::kCodecJson, boost::json::parse(body)));
    }
    co_return Status();
  };
  server->plugins().add(std::make_shared<Scripted>(script));
  const auto proves = std::make_shared<SharedSecretClient>(keys());
  client->plugins().add(proves);
  connect();
  EXPECT_THAT(refused, HasSubstr("did not prove that it has key k1"));
  EXPECT_EQ(proves->counters().refused, 1u);
}

TEST_F(SharedSecret, AServerWithoutThePluginAnswers404AndIsRefused) {
  client->plugins().add(std::make_shared<SharedSecretClient>(keys()));
  connect();
  EXPECT_THAT(refused, HasSubstr("does not know this authentication (404)"));
}

TEST_F(SharedSecret, AClientWithoutThePluginGets401AndTheEnd) {
  server->plugins().add(std::make_shared<SharedSecretServer>(keys()));
  connect();
  ASSERT_EQ(refused, "") << "it has not said anything yet";
  EXPECT_THAT(who(), HasSubstr("401"));
  world.settle();
  EXPECT_FALSE(session.healthy());
  EXPECT_THAT(log(), HasSubstr("Does it have the client's plugin?"));
}

TEST_F(SharedSecret, AClientThatSaysNothingIsClosedAfterTheHandshakeTimeout) {
  server->plugins().add(std::make_shared<SharedSecretServer>(keys()));
  connect();
  world.advance(9s);
  EXPECT_TRUE(session.healthy());
  world.advance(2s);
  EXPECT_FALSE(session.healthy());
  EXPECT_THAT(log(), HasSubstr("before it said who it is: timed_out"));
}

TEST_F(SharedSecret, KeysRotateWithoutARestart) {
  const auto accepts = std::make_shared<SharedSecretServer>(keys("old"));
  const auto proves = std::make_shared<SharedSecretClient>(keys("old"));
  server->plugins().add(accepts);
  client->plugins().add(proves);
  connect();
  EXPECT_EQ(who(), "old");
  SecretKeys both = keys("old");
  ASSERT_TRUE(both.add("new", kOther).has_value());
  accepts->set_keys(both);
  EXPECT_TRUE(world.dial(*client).has_value());
  proves->set_keys(both);  // the last one is used
  EXPECT_TRUE(world.dial(*client).has_value());
  accepts->set_keys(keys("new", kOther));
  EXPECT_TRUE(world.dial(*client).has_value());
  proves->set_keys(both, "old");
  EXPECT_FALSE(world.dial(*client).has_value());
  EXPECT_EQ(who(), "old") << "sessions stay";
}

TEST_F(SharedSecret, PluginsWithoutAKeyAreRefused) {
  EXPECT_THROW(SharedSecretServer{SecretKeys()}, std::logic_error);
  EXPECT_THROW(SharedSecretClient{SecretKeys()}, std::logic_error);
  SharedSecretClientOptions other;
  other.key_id = "none";
  EXPECT_THROW(SharedSecretClient(keys(), other), std::logic_error);
  SharedSecretServer server_plugin(keys());
  EXPECT_THROW(server_plugin.set_keys({}), std::logic_error);
}

// --- tokens ---

constexpr std::int64_t kWallTime = 1'800'000'000;

std::string base64url(std::string_view bytes) {
  std::string text = base64(as_bytes(bytes));
  while (text.ends_with('=')) text.pop_back();
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}
std::string token(const std::string& claims, const std::string& secret = kSecret) {
  const std::string part = base64url(R"({"alg":"HS256","typ":"JWT"})") + "." + base64url(claims);
  std::string mac(32, '\0');
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(part.data()), part.size(), reinterpret_cast<unsigned char*>(mac.data()),
       nullptr);
  return part + "." + base64url(mac);
}
framing::JwtVerifier verifier(const std::string& secret = kSecret) {
  return *framing::JwtVerifier::make({*framing::JwtKey::secret("", framing::JwtAlgorithm::hs256, secret)});
}
JwtServerOptions jwt_options() {
  return {.clock = [] { return std::chrono::sys_seconds(std::chrono::seconds(kWallTime)); }};
}
std::shared_ptr<JwtClient> shows(std::string text) {
  return std::make_shared<JwtClient>(std::move(text), JwtClientOptions{.allow_plain_text = true});
}

const std::string kAlice = R"({"sub":"alice","exp":1800000600,"role":"admin"})";

TEST_F(Jwt, AValidTokenNamesTheClientAndItsClaimsStay) {
  JwtServerOptions options = jwt_options();
  options.session_id_is_identity = true;
  server->plugins().add(std::make_shared<JwtServer>(verifier(), options));
  client->plugins().add(shows(token(kAlice)));
  connect();
  ASSERT_EQ(refused, "");
  EXPECT_EQ(who(), "alice");
  const Session served = server->find("alice");
  ASSERT_TRUE(served);
  EXPECT_EQ(jwt_claims(served)->text("role"), "admin");
  EXPECT_FALSE(jwt_claims(session).has_value());
}

TEST_F(Jwt, EveryOtherTokenIsRefusedInOneWayAndLoggedInDetailWithoutIt) {
  for (const auto& [shown, logged] : std::vector<std::pair<std::string, std::string>>{
           {token(kAlice, kOther), "signature is wrong"},
           {token(R"({"sub":"alice","exp":1799999000})"), "expired"},
           {token(R"({"sub":"alice"})"), "never expires"},
           {token(R"({"exp":1800000600})"), "no usable text in the claim sub"},
           {token(R"({"sub":7,"exp":1800000600})"), "no usable text in the claim sub"},
           {token(R"({"sub":")" + std::string(257, 'a') + R"(","exp":1800000600})"), "no usable text"},
           {"", "three parts"},
           {std::string(5000, 'a'), "token_bytes_max"}}) {
    SCOPED_TRACE(logged);
    reset();
    world.log.clear();
    world.advance(1h);
    server->plugins().add(std::make_shared<JwtServer>(verifier(), jwt_options()));
    client->plugins().add(shows(shown));
    connect();
    EXPECT_THAT(refused, HasSubstr("the server refused; its log says why"));
    EXPECT_THAT(log(), HasSubstr(logged));
    if (shown.size() > 20) EXPECT_THAT(log(), Not(HasSubstr(shown.substr(shown.size() - 20))));
  }
}

TEST_F(Jwt, WhatIsNoTokenRequestGets401) {
  for (const auto& [where, body] : std::vector<std::pair<std::string, std::string>>{
           {std::string(kAuthJwtUri), "nonsense"}, {"/who", "{}"}, {std::string(kAuthHelloUri), hello()}}) {
    reset();
    server->plugins().add(std::make_shared<JwtServer>(verifier(), jwt_options()));
    const std::vector<Packet> answers = answers_to({{where, body}});
    ASSERT_EQ(answers.size(), 1u) << where;
    EXPECT_EQ(answers[0].status_code, code::kUnauthorized);
  }
}

TEST_F(Jwt, ATokenIsNotSentInPlainText) {
  server->plugins().add(std::make_shared<JwtServer>(verifier(), jwt_options()));
  client->plugins().add(std::make_shared<JwtClient>(token(kAlice)));
  connect();
  EXPECT_THAT(refused, AllOf(HasSubstr("could be stolen"), HasSubstr("allow_plain_text")));
}

TEST_F(Jwt, ATokenIsSentOnlyToAVerifiedServerOrWithinThisMachine) {
  const auto outcome = [&](Disguise::Paint paint, bool allow = false) {
    const auto accepts = std::make_shared<JwtServer>(verifier(), jwt_options());
    const Result<Session> dialled = dial_disguised(
        std::move(paint), std::make_shared<JwtClient>(token(kAlice), JwtClientOptions{.allow_plain_text = allow}),
        accepts);
    EXPECT_EQ(accepts->counters().accepted, dialled ? 1u : 0u);
    return dialled ? "sent" : dialled.error().to_string();
  };
  EXPECT_EQ(outcome(looks_like("tls", "10.0.0.7", true)), "sent");
  EXPECT_THAT(outcome(looks_like("tls", "10.0.0.7", false)),
              AllOf(HasSubstr("could be stolen"), HasSubstr("certificate is not verified")));
  EXPECT_THAT(outcome(looks_like("tcp", "10.0.0.7")), AllOf(HasSubstr("could be stolen"), HasSubstr("dial tls://")));
  EXPECT_EQ(outcome(looks_like("tls", "10.0.0.7", false), true), "sent");
  EXPECT_EQ(outcome(looks_like("tcp", "127.0.0.1")), "sent");
  EXPECT_EQ(outcome(looks_like("tls", "::1", false)), "sent");
}

TEST_F(Jwt, EachDialAsksForAFreshToken) {
  const auto accepts = std::make_shared<JwtServer>(verifier(), jwt_options());
  server->plugins().add(accepts);
  int asked = 0;
  client->plugins().add(std::make_shared<JwtClient>(
      [&asked]() -> Result<std::string> {
        if (++asked == 3) return fail(ErrorCode::io, "the token file is gone");
        return token(kAlice);
      },
      JwtClientOptions{.allow_plain_text = true}));
  connect();
  EXPECT_TRUE(world.dial(*client).has_value());
  const Result<Session> third = world.dial(*client);
  ASSERT_FALSE(third.has_value());
  EXPECT_THAT(third.error().to_string(), HasSubstr("the token file is gone"));
  accepts->set_verifier(verifier(kOther));
  EXPECT_FALSE(world.dial(*client).has_value());
  EXPECT_EQ(asked, 4);
}

TEST_F(Jwt, BothWaysTogetherAreBothAskedFor) {
  server->plugins().add(std::make_shared<SharedSecretServer>(keys()));
  server->plugins().add(std::make_shared<JwtServer>(verifier(), jwt_options()));
  client->plugins().add(std::make_shared<SharedSecretClient>(keys()));
  client->plugins().add(shows(token(kAlice)));
  connect();
  ASSERT_EQ(refused, "");
  EXPECT_EQ(who(), "alice") << "the last one names it";
}

}  // namespace
}  // namespace wayport::rpc

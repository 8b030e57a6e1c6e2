// The 35 observed behaviours of the original, each asked of our server. Where ours differs on purpose, the expectation
// says why.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>

#include "wayport/base/bytes.h"
#include "wayport/transport/snet/hand_client.h"
#include "wayport/transport/snet/snet_vectors.h"

namespace wayport::transport {
namespace {

using namespace std::chrono_literals;
using ::testing::DoubleNear;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

const std::string kZeros(24, '\0');

std::string bytes_of(const snet::Behaviour& behaviour, const std::string& key) { return *from_hex(behaviour.at(key)); }

// A server with the listener's defaults but for these.
struct Server : SnetNetwork {
  explicit Server(const std::string& parameters = "", Duration handshake_timeout = 1s) {
    listen(parameters, {.handshake_timeout = handshake_timeout});
  }
  SnetEnd& session(std::size_t index = 0) { return *accepted.at(index); }
};

// What comes of bytes sent to a fresh connection: the answer, and when it ended.
void expect_reaction(const std::string& sent, const std::string& answer, double seconds, double before = 0) {
  Server server;
  RawConnection connection(server);
  if (before > 0) server.loop.advance(std::chrono::milliseconds(static_cast<int>(before * 1000)));
  connection.send(sent);
  EXPECT_THAT(connection.seconds_until_end(), DoubleNear(seconds, 0.02));
  EXPECT_EQ(connection.received(), answer);
  EXPECT_TRUE(server.accepted.empty());
  EXPECT_EQ(server.counters.handshakes_failed, 1u);
}

std::string hello(std::uint64_t public_key) {
  std::string bytes(9, '\0');
  store_le(reinterpret_cast<std::byte*>(bytes.data() + 1), public_key);
  return bytes;
}

// The original goes on with a constant key. No honest peer has one of these, so ours refuses them.
void expect_weak_key_refused(std::uint64_t public_key) { expect_reaction(hello(public_key), "", 0); }

void expect_refusal(Server& server, HandClient& client, const std::string& request) {
  const auto attempt = client.ask(request);
  EXPECT_EQ(to_hex(as_bytes(attempt->received())), to_hex(as_bytes(kZeros)));
  EXPECT_THAT(attempt->seconds_until_end(), DoubleNear(0, 0.02));
  EXPECT_FALSE(server.session().events.closed);
}

void expect_ping(HandClient& client, SnetEnd& session) {
  session.events.received.clear();
  client.write("ping");
  EXPECT_EQ(session.events.received, "ping");
  session.write("pong");
  client.net.loop.drain();
  EXPECT_EQ(client.read(), "pong");
}

using Check = std::function<void(const snet::Behaviour&)>;

// A challenge of the application goes through the session and comes back hashed: here, only that it arrives as written,
// which is what the original's gateway gets wrong when its stream is encrypted.
void expect_challenge_arrives(bool encrypt, const std::string& challenge) {
  Server server(encrypt ? "?encrypt=1" : "");
  HandClient client(server, {.encrypt = encrypt});
  std::string buffer = challenge;
  server.session().write(buffer);
  server.loop.drain();
  EXPECT_EQ(buffer, challenge);
  EXPECT_EQ(client.read(), challenge);
}

// A reconnect while the server holds the old connection for alive: answered at once, and only its proof ends the old
// one. The original answers when its reader wakes up, which may be never.
void expect_reconnect_over_a_live_connection() {
  Server server;
  HandClient client(server);
  expect_ping(client, server.session());
  const std::unique_ptr<RawConnection> old = std::exchange(client.connection, std::make_unique<RawConnection>(server));
  EXPECT_TRUE(client.resume());
  EXPECT_TRUE(old->ended());
  expect_ping(client, server.session());
  EXPECT_EQ(server.snet->counters().resumed, 1u);
}

const std::map<std::string, Check>& checks() {
  static const std::map<std::string, Check> all = {
      {"unpatched-gateway-dh-keys-repeat-across-restarts",
       [](const snet::Behaviour& original) {
         // Ours come from a secure generator.
         std::string keys;
         for (int start = 0; start < 2; ++start) {
           Server server;
           server.all.add("snet", std::make_shared<SnetTransport>());
           server.listener.reset();
           server.listen();
           RawConnection connection(server);
           connection.send(hello(25));
           ASSERT_EQ(connection.received().size(), 24u);
           std::string key = connection.received().substr(0, 8);
           std::ranges::reverse(key);
           EXPECT_EQ(original.at("run2").find(to_hex(as_bytes(key))), std::string::npos);
           EXPECT_NE(keys, key);
           keys = key;
         }
       }},
      {"handshake-public-key-zero",
       [](const snet::Behaviour& original) { expect_reaction(bytes_of(original, "sent"), "", 0); }},
      {"first-byte-0x01", [](const snet::Behaviour& original) { expect_reaction(bytes_of(original, "sent"), "", 0); }},
      {"stall-before-type-byte", [](const snet::Behaviour&) { expect_reaction("", "", 1); }},
      {"stall-after-type-byte",
       [](const snet::Behaviour&) {
         expect_reaction(std::string(1, '\0'), "", 1);
         expect_reaction("\xff", "", 1);
       }},
      {"type-byte-at-0.8s-then-stall",
       [](const snet::Behaviour&) {
         // The original starts its timer again and holds the place for 1.8 s. Ours allows one time for the whole.
         expect_reaction(std::string(1, '\0'), "", 0.2, 0.8);
       }},
      {"stall-after-public-key",
       [](const snet::Behaviour&) {
         Server server;
         RawConnection connection(server);
         connection.send(hello(25));
         EXPECT_EQ(connection.received().size(), 24u);
         EXPECT_THAT(connection.seconds_until_end(), DoubleNear(1, 0.02));
         EXPECT_EQ(connection.received().size(), 24u);
       }},
      {"handshake-bad-md5",
       [](const snet::Behaviour&) {
         Server server;
         RawConnection connection(server);
         connection.send(hello(25));
         connection.send(std::string(16, 'm'));
         EXPECT_THAT(connection.seconds_until_end(), DoubleNear(0, 0.02));
         EXPECT_EQ(connection.received().size(), 24u);
         EXPECT_TRUE(server.accepted.empty());
       }},
      {"weak-public-key-1", [](const snet::Behaviour&) { expect_weak_key_refused(1); }},
      {"weak-public-key-p-plus-1", [](const snet::Behaviour&) { expect_weak_key_refused(0xffff'ffff'ffff'ffc6); }},
      {"weak-public-key-p", [](const snet::Behaviour&) { expect_weak_key_refused(0xffff'ffff'ffff'ffc5); }},
      {"reconnect-unknown-id",
       [](const snet::Behaviour& original) {
         Server server;
         HandClient client(server);
         expect_refusal(server, client, bytes_of(original, "request"));
         EXPECT_EQ(bytes_of(original, "response"), kZeros);
       }},
      {"reconnect-bad-request-md5",
       [](const snet::Behaviour&) {
         Server server;
         HandClient client(server);
         std::string request = client.request();
         request.back() = static_cast<char>(request.back() ^ 1);
         expect_refusal(server, client, request);
       }},
      {"session-unaffected-by-bad-request",
       [](const snet::Behaviour&) {
         Server server;
         HandClient client(server);
         expect_refusal(server, client, client.request().substr(0, 25) + std::string(16, 'm'));
         expect_ping(client, server.session());
       }},
      {"reconnect-while-old-tcp-alive", [](const snet::Behaviour&) { expect_reconnect_over_a_live_connection(); }},
      {"old-connection-after-that",
       [](const snet::Behaviour&) {
         // An attempt that never proves itself leaves the old connection as it was, while it lasts and afterwards.
         Server server;
         HandClient client(server);
         const auto attempt = client.ask(client.request());
         EXPECT_NE(attempt->received(), kZeros);
         expect_ping(client, server.session());
         EXPECT_THAT(attempt->seconds_until_end(), DoubleNear(1, 0.02));
         expect_ping(client, server.session());
       }},
      {"reconnect-stale-old-tcp", [](const snet::Behaviour&) { expect_reconnect_over_a_live_connection(); }},
      {"reconnect-stale-old-tcp-idle-shorter",
       [](const snet::Behaviour&) { expect_reconnect_over_a_live_connection(); }},
      {"reconnect-read-count-too-high",
       [](const snet::Behaviour&) {
         Server server;
         HandClient client(server);
         expect_ping(client, server.session());
         expect_refusal(server, client, client.request({.written = 4, .received = 5}));
       }},
      {"reconnect-write-count-too-low",
       [](const snet::Behaviour&) {
         Server server;
         HandClient client(server);
         expect_ping(client, server.session());
         expect_refusal(server, client, client.request({.written = 3, .received = 4}));
       }},
      {"reconnect-bad-challenge-md5",
       [](const snet::Behaviour&) {
         Server server;
         HandClient client(server);
         const auto attempt = client.ask(client.request());
         EXPECT_EQ(attempt->received().size(), 24u);
         EXPECT_NE(attempt->received(), kZeros);
         attempt->send(std::string(16, 'm'));
         EXPECT_THAT(attempt->seconds_until_end(), DoubleNear(0, 0.02));
         EXPECT_EQ(attempt->received().size(), 24u);
         EXPECT_EQ(server.snet->counters().resumes_failed, 1u);
         expect_ping(client, server.session());
       }},
      {"reconnect-after-failed-attempts",
       [](const snet::Behaviour&) {
         Server server;
         HandClient client(server);
         client.connection = std::make_unique<RawConnection>(server);
         client.ask(client.request().substr(0, 30));
         client.ask("\xff" + std::string(40, 'r'));
         client.ask(client.request())->send(std::string(16, 'm'));
         EXPECT_TRUE(client.resume());
         expect_ping(client, server.session());
       }},
      {"reconnect-rewrite-through-gateway",
       [](const snet::Behaviour& original) {
         // The counters of the recorded exchange: 36 bytes written and 18 received by the client, 27 and 27 by the server.
         Server server;
         HandClient client(server);
         client.write(std::string(27, 'u'));
         client.session->write(chain_of("lost 9 up"));
         server.session().write(std::string(18, 'd'));
         server.loop.drain();
         EXPECT_EQ(client.read().size(), 18u);
         server.session().write("lost 9 dn");
         server.loop.drain();
         EXPECT_EQ(to_hex(as_bytes(client.request()).subspan(9, 16)), original.at("request").substr(18, 32));
         EXPECT_TRUE(client.resume());
         EXPECT_EQ(to_hex(as_bytes(client.connection->received()).first(16)), original.at("response").substr(0, 32));
         EXPECT_EQ(client.read(), "lost 9 dn");
         EXPECT_THAT(server.session().events.received, HasSubstr("lost 9 up"));
         EXPECT_EQ(server.session().events.received.size(), 36u);
       }},
      {"confirm-and-retransmit-in-one-segment",
       [](const snet::Behaviour&) {
         Server server;
         HandClient client(server);
         client.session->write(chain_of("lost "));
         EXPECT_TRUE(client.resume("and new"));
         EXPECT_EQ(server.session().events.received, "lost and new");
       }},
      {"reconnect-slot-held-by-silent-peer",
       [](const snet::Behaviour&) {
         // The original lets nobody else try while one attempt is silent. Ours tries them side by side.
         Server server;
         HandClient client(server);
         const std::string replayed = client.request();
         const auto silent = client.ask(replayed);
         const auto again = client.ask(replayed);
         EXPECT_TRUE(client.resume());
         EXPECT_TRUE(silent->ended());
         EXPECT_TRUE(again->ended());
         expect_ping(client, server.session());
       }},
      {"idle-timeout-under-snet",
       [](const snet::Behaviour&) {
         // The original's gateway sets a read deadline on the connection below, so idleness looks like a broken link. Ours
         // has none there: whoever uses the stream times it, and closes the session itself.
         Server server;
         HandClient client(server);
         server.loop.advance(1h);
         EXPECT_FALSE(client.connection->ended());
         expect_ping(client, server.session());
       }},
      {"idle-not-rearmed-after-reconnect",
       [](const snet::Behaviour&) {
         // As above: there is no deadline below that could be forgotten.
         Server server;
         HandClient client(server);
         EXPECT_TRUE(client.resume());
         server.loop.advance(1h);
         EXPECT_FALSE(client.connection->ended());
         expect_ping(client, server.session());
       }},
      {"client-fin-under-snet",
       [](const snet::Behaviour&) {
         Server server("?wait=2s");
         HandClient client(server);
         client.connection->end->stream->shutdown_write();
         server.loop.advance(1990ms);
         EXPECT_FALSE(server.session().events.closed);
         server.loop.advance(20ms);
         EXPECT_THAT(server.session().closed(), HasSubstr("timed_out"));
         EXPECT_EQ(server.session().events.read_ends, 0u);
         EXPECT_EQ(server.snet->counters().expired, 1u);
       }},
      {"reconnect-huge-write-count",
       [](const snet::Behaviour& original) {
         // The original dies of it. Ours refuses: no ring is that large, and nothing is allocated for a claim.
         Server server;
         HandClient client(server);
         expect_ping(client, server.session());
         expect_refusal(server, client, client.request({.written = std::uint64_t{1} << 62, .received = 4}));
         EXPECT_EQ(original.at("request").substr(18, 16), "0000000000000040");
         expect_ping(client, server.session());
       }},
      {"reconnect-1TiB-write-count",
       [](const snet::Behaviour&) {
         Server server;
         HandClient client(server);
         expect_refusal(server, client, client.request({.written = std::uint64_t{1} << 40, .received = 0}));
         expect_ping(client, server.session());
       }},
      {"server-auth-over-plain-snet",
       [](const snet::Behaviour& original) { expect_challenge_arrives(false, bytes_of(original, "challenge")); }},
      {"server-auth-over-encrypted-snet",
       [](const snet::Behaviour&) {
         // The original encrypts in the caller's buffer, which then hashes ciphertext. Ours leaves the caller's bytes alone.
         expect_challenge_arrives(true, "8 bytes.");
       }},
      {"writers-stall-behind-pending-reconnect",
       [](const snet::Behaviour& original) {
         // Nothing stalls here: a request without its proof touches nothing.
         Server server;
         HandClient client(server);
         const std::string before = bytes_of(original, "delivered_before");
         server.session().write(before);
         server.loop.drain();
         EXPECT_EQ(client.read(), before);
         const auto pending = client.ask(client.request());
         server.session().write("during");
         server.loop.drain();
         EXPECT_EQ(client.read(), "during");
         pending->end->stream->close(CloseReason::local(ErrorCode::local_closed, "gone"), {});
         server.session().write("after");
         server.loop.drain();
         EXPECT_EQ(client.read(), "after");
       }},
      {"double-reconnect-with-slow-reader",
       [](const snet::Behaviour&) {
         // The original delivers "0123456789" twice. Ours counts what waits for its reader as received.
         for (const bool encrypt : {false, true}) {
           Server server(encrypt ? "?encrypt=1" : "");
           HandClient client(server, {.encrypt = encrypt});
           server.session().stream->read(false);
           client.session->write(chain_of("0123456789"));
           EXPECT_TRUE(client.resume());
           EXPECT_TRUE(client.resume());
           client.write("END");
           server.session().stream->read(true);
           server.loop.drain();
           EXPECT_EQ(server.session().events.received, "0123456789END");
         }
       }},
      {"go-endpoint-over-encrypted-server-snet",
       [](const snet::Behaviour&) {
         // As server-auth-over-encrypted-snet: both sides see the same challenge here.
         expect_challenge_arrives(true, "another.");
       }},
  };
  return all;
}

TEST(Behaviours, AreAllOfTheFile) {
  std::vector<std::string> ours, theirs;
  for (const auto& [name, check] : checks()) ours.push_back(name);
  for (const auto& [name, behaviour] : snet::snet_vectors().behaviours) theirs.push_back(name);
  EXPECT_EQ(theirs.size(), 35u);
  EXPECT_THAT(ours, ElementsAreArray(theirs));
}

class BehaviourTest : public ::testing::TestWithParam<std::string> {};

TEST_P(BehaviourTest, IsAsInTheOriginalOrBetter) {
  checks().at(GetParam())(snet::snet_vectors().behaviours.at(GetParam()));
}

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const auto& [name, check] : checks()) all.push_back(name);
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, BehaviourTest, ::testing::ValuesIn(names()), [](const auto& info) {
  std::string name = info.param;
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
});

// A recorded reconnect, sent again later by somebody else.
TEST(Replay, OfAnOldRequestDisturbsNothing) {
  Server server;
  HandClient client(server);
  expect_ping(client, server.session());
  const std::string recorded = client.request();
  ASSERT_TRUE(client.resume());
  // While the counters still fit, it is answered, and fails for want of a proof.
  const auto fits = client.ask(recorded);
  EXPECT_NE(fits->received(), kZeros);
  fits->send(client.proof(*fits).substr(0, 15) + "x");
  EXPECT_TRUE(fits->ended());
  expect_ping(client, server.session());
  // Afterwards it is refused at once.
  expect_refusal(server, client, recorded);
  expect_ping(client, server.session());
}

TEST(Replay, OfAProofIsWorthless) {
  Server server;
  HandClient client(server);
  const auto first = client.ask(client.request());
  const std::string proof = client.proof(*first);
  const auto second = client.ask(client.request());
  second->send(proof);
  EXPECT_TRUE(second->ended());
  first->send(proof);
  EXPECT_FALSE(first->ended());
  EXPECT_EQ(server.snet->counters().resumed, 1u);
}

// One reconnect more than attempts= displaces the oldest, so that replays cannot lock the client out.
TEST(Replay, TakesNoPlaceFromTheClient) {
  Server server("?attempts=2");
  HandClient client(server);
  const auto first = client.ask(client.request());
  const auto second = client.ask(client.request());
  EXPECT_FALSE(first->ended());
  const auto third = client.ask(client.request());
  EXPECT_TRUE(first->ended());
  EXPECT_FALSE(second->ended());
  EXPECT_EQ(server.snet->counters().resumes_displaced, 1u);
  EXPECT_TRUE(client.resume());
  EXPECT_TRUE(third->ended());
}

// Bytes that the old connection still delivers while the new one proves itself come once.
TEST(Resume, CountsWhatArrivesDuringTheProofOnce) {
  for (const bool encrypt : {false, true}) {
    Server server(encrypt ? "?encrypt=1" : "");
    HandClient client(server, {.encrypt = encrypt});
    client.write("first ");
    const auto next = client.ask(client.request());
    client.write("second ");
    EXPECT_EQ(server.session().events.received, "first second ");
    server.session().write("down");
    server.loop.drain();
    const std::string proof = client.proof(*next);
    std::optional<Chain> missing = client.session->resume(0, 6);
    next->send(proof + missing->to_string() + client.session->write(chain_of("third")).to_string());
    EXPECT_EQ(server.session().events.received, "first second third");
    // "down" went over both connections: on the new one it follows the answer.
    EXPECT_EQ(next->received().size(), 24u + 4u);
  }
}

}  // namespace
}  // namespace wayport::transport

#include "wayport/transport/tls/tls_transport.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "wayport/base/log_testing.h"
#include "wayport/transport/tcp/tcp_transport.h"
#include "wayport/transport/testing/certificates.h"
#include "wayport/transport/testing/connect.h"
#include "wayport/transport/testing/memory_transport.h"
#include "wayport/transport/testing/recorder.h"
#include "wayport/transport/unix/unix_transport.h"

namespace wayport::transport {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

using namespace std::chrono_literals;

// An authority, a server with a certificate for "server.test" and 127.0.0.1, and a client with one of its own; over
// tcp, unix sockets and memory.
class TlsTest : public ::testing::Test {
 protected:
  TlsTest() {
    all.add("tls", std::make_shared<TlsTransport>(&log));
    all.add("tcp", std::make_shared<TcpTransport>());
    all.add("unix", std::make_shared<UnixTransport>());
    all.add("mem", std::make_shared<MemoryTransport>());
    listen_options.log = &log;
    listen_options.counters = &counters;
  }
  ~TlsTest() override {
    EXPECT_THAT(client_events.faults, IsEmpty());
    EXPECT_THAT(server_events.faults, IsEmpty());
  }

  // "cert=...&key=..." of files just written.
  std::string identity(const TestAuthority& issuer, const std::string& file, const CertificateRequest& request) {
    const IssuedCertificate issued = issuer.issue(request);
    return "cert=" + directory.write(file + ".pem", issued.cert_pem) +
           "&key=" + directory.write(file + ".key", issued.key_pem);
  }
  std::string server_identity() {
    return identity(authority, "server", {.dns_names = {"server.test"}, .ip_addresses = {"127.0.0.1"}});
  }
  std::string client_identity() { return identity(authority, "client", {.common_name = "client one"}); }
  std::string ca() { return "ca=" + directory.write("ca.pem", authority.cert_pem()); }

  Result<Connection> connect(const std::string& server_parameters, const std::string& client_parameters) {
    return connect_through(all, loop, "tls://127.0.0.1:0?" + server_parameters,
                           client_parameters.empty() ? "" : "?" + client_parameters, listen_options, dial_options);
  }
  // Connected, and both ends started.
  void connected(const std::string& server_parameters, const std::string& client_parameters) {
    Result<Connection> made = connect(server_parameters, client_parameters);
    ASSERT_TRUE(made) << made.error().to_string();
    c = *std::move(made);
    c.client->start(client_events);
    c.server->start(server_events);
  }
  void connected() { connected(server_identity(), ca()); }
  std::string error_of(const std::string& server_parameters, const std::string& client_parameters) {
    const Result<Connection> made = connect(server_parameters, client_parameters);
    EXPECT_FALSE(made);
    return made ? "" : made.error().to_string();
  }
  bool until(const std::function<bool()>& done) { return run_until(loop, done); }
  static CloseReason bye() { return CloseReason::local(ErrorCode::local_closed, "bye"); }

  MemoryLog log;
  ListenerCounters counters;
  ListenOptions listen_options;
  DialOptions dial_options;
  Transports all;
  TestDirectory directory;
  TestAuthority authority;
  Loop loop;
  RecordingEvents client_events, server_events;
  Connection c;
};

TEST_F(TlsTest, BytesGoBothWaysAndBothEndsKnowThePeer) {
  connected(server_identity(), ca() + "&name=server.test");
  c.client->write(chain_of("ping"));
  c.server->write(chain_of("pong"));
  EXPECT_TRUE(until([&] { return client_events.received == "pong" && server_events.received == "ping"; }));
  const TlsPeer& server = *c.client->peer().tls;
  EXPECT_EQ(server.protocol, "TLSv1.3");
  EXPECT_THAT(server.cipher, StartsWith("TLS_"));
  EXPECT_TRUE(server.verified);
  EXPECT_FALSE(server.resumed);
  EXPECT_EQ(server.subject, "CN=test");
  EXPECT_EQ(server.subject_alt_names, "DNS:server.test, IP Address:127.0.0.1");
  EXPECT_EQ(server.fingerprint_sha256.size(), 64u);
  const TlsPeer& client = *c.server->peer().tls;
  EXPECT_EQ(client.server_name, "server.test");
  EXPECT_FALSE(client.verified);
  EXPECT_EQ(client.subject, "");
  EXPECT_THAT(c.server->peer().remote_url(), StartsWith("tls://127.0.0.1:"));
  EXPECT_THAT(c.listener->address().to_string(), StartsWith("tls://127.0.0.1:"));
}

TEST_F(TlsTest, WorksOverUnixSocketsAndMemory) {
  for (const std::string& below :
       {"tls+unix://@wayport-tls-" + std::to_string(::getpid()), std::string("tls+mem://somewhere")}) {
    Result<Connection> made = connect_through(all, loop, below + "?" + server_identity(), "?name=server.test&" + ca());
    ASSERT_TRUE(made) << made.error().to_string();
    RecordingEvents client, server;
    made->client->start(client);
    made->server->start(server);
    made->client->write(chain_of("x"));
    EXPECT_TRUE(until([&] { return server.received == "x"; }));
    EXPECT_EQ(made->server->peer().unix_peer.has_value(), below.starts_with("tls+unix"));
  }
}

TEST_F(TlsTest, PayloadsArriveWholeInEverySizeAroundARecord) {
  connected();
  std::string sent;
  for (const std::size_t size : {1, 2, 16383, 16384, 16385, 32768, 65536, 300000}) {
    std::string text(size, static_cast<char>('a' + size % 26));
    sent += text;
    c.client->write(chain_of(text));
    EXPECT_TRUE(until([&] { return server_events.received.size() == sent.size(); })) << size;
  }
  EXPECT_TRUE(server_events.received == sent);
}

TEST_F(TlsTest, UnconsumedBytesAreShownAgainContiguous) {
  connected();
  server_events.consume = [](MutableBytes bytes) { return bytes.size() / 3 * 3; };
  for (const char* piece : {"a", "bcd", "efgh", "i"}) {
    c.client->write(chain_of(piece));
    loop.drain();
  }
  EXPECT_TRUE(until([&] { return server_events.received == "abcdefghi"; }));
}

// --- whom to trust ---

TEST_F(TlsTest, AnUnknownAuthorityIsRefusedWithTheReason) {
  const TestAuthority stranger("stranger");
  const std::string foreign = "ca=" + directory.write("stranger.pem", stranger.cert_pem());
  EXPECT_THAT(error_of(server_identity(), foreign),
              AllOf(StartsWith("refused: tls handshake with tls://127.0.0.1:"), HasSubstr("certificate not accepted: "),
                    HasSubstr("unable to get local issuer")));
  EXPECT_THAT(error_of(server_identity(), ""), HasSubstr("unable to get local issuer")) << "the system's store";
}

TEST_F(TlsTest, AnotherNameIsRefused) {
  EXPECT_THAT(error_of(server_identity(), ca() + "&name=other.test"),
              HasSubstr("certificate not accepted: hostname mismatch"));
  EXPECT_THAT(error_of(identity(authority, "s", {.dns_names = {"server.test"}}), ca()),
              HasSubstr("certificate not accepted: IP address mismatch"));
  // A name in the common name does not count, nor does an address as a name.
  EXPECT_THAT(error_of(identity(authority, "s", {.common_name = "127.0.0.1", .dns_names = {"127.0.0.1"}}), ca()),
              HasSubstr("IP address mismatch"));
}

TEST_F(TlsTest, WildcardsAreForOneLabel) {
  const std::string server = identity(authority, "s", {.dns_names = {"*.server.test"}});
  EXPECT_TRUE(connect(server, ca() + "&name=a.server.test"));
  EXPECT_THAT(error_of(server, ca() + "&name=a.b.server.test"), HasSubstr("hostname mismatch"));
  EXPECT_THAT(error_of(server, ca() + "&name=server.test"), HasSubstr("hostname mismatch"));
}

TEST_F(TlsTest, ExpiredAndNotYetValidCertificatesAreRefused) {
  const std::string expired =
      identity(authority, "old", {.ip_addresses = {"127.0.0.1"}, .valid_from = -7200s, .valid_for = 3600s});
  EXPECT_THAT(error_of(expired, ca()), HasSubstr("certificate has expired"));
  const std::string early = identity(authority, "new", {.ip_addresses = {"127.0.0.1"}, .valid_from = 3600s});
  EXPECT_THAT(error_of(early, ca()), HasSubstr("certificate is not yet valid"));
}

TEST_F(TlsTest, InsecureVerifiesNothingAndSaysSoEachTime) {
  const TestAuthority stranger;
  const std::string server = identity(stranger, "s", {});
  for (std::size_t i = 1; i <= 2; ++i) {
    const Result<Connection> made = connect(server, "insecure=1");
    ASSERT_TRUE(made) << made.error().to_string();
    EXPECT_FALSE(made->client->peer().tls->verified);
    EXPECT_EQ(log.count("tls peer is not verified (insecure=1)"), i);
  }
}

TEST_F(TlsTest, ClientsAreKnownByTheirCertificate) {
  connected(server_identity() + "&" + ca(), ca() + "&" + client_identity());
  EXPECT_TRUE(c.server->peer().tls->verified);
  EXPECT_EQ(c.server->peer().tls->subject, "CN=client one");
}

TEST_F(TlsTest, AClientWithoutACertificateIsRefusedUnlessItIsOptional) {
  const std::string server = server_identity() + "&" + ca();
  // In TLS 1.3 the client is done before the server has judged it: it learns when it reads.
  Result<Connection> ignored = connect(server + "&optional_client=1", ca());
  ASSERT_TRUE(ignored) << ignored.error().to_string();
  EXPECT_FALSE(ignored->server->peer().tls->verified);

  auto listener = all.listen(loop, *Address::parse("tls://127.0.0.1:0?" + server), listen_options);
  ASSERT_TRUE(listener) << listener.error().to_string();
  bool accepted = false;
  (*listener)->start([&](std::unique_ptr<Incoming>) { accepted = true; });
  DialOutcome dial;
  dial_into(dial, all, loop, dial_address(**listener, "?" + ca()));
  ASSERT_TRUE(until([&] { return dial.done(); }));
  ASSERT_TRUE(*dial.result) << dial.error();
  std::unique_ptr<Stream> stream = *std::move(*dial.result);
  stream->start(client_events);
  EXPECT_TRUE(until([&] { return client_events.closed.has_value(); }));
  EXPECT_EQ(client_events.closed->error.code, ErrorCode::refused);
  EXPECT_THAT(client_events.closed->error.detail, HasSubstr("certificate required"));
  EXPECT_FALSE(accepted);
  EXPECT_EQ(counters.handshakes_failed.load(), 1u);
  EXPECT_EQ(log.count("peer did not return a certificate"), 1u);
}

TEST_F(TlsTest, AClientOfAnUnknownAuthorityIsRefused) {
  const TestAuthority stranger;
  const std::string own_ca = ca();
  auto listener =
      all.listen(loop, *Address::parse("tls://127.0.0.1:0?" + server_identity() + "&" + own_ca), listen_options);
  ASSERT_TRUE(listener);
  bool accepted = false;
  (*listener)->start([&](std::unique_ptr<Incoming>) { accepted = true; });
  DialOutcome dial;
  dial_into(dial, all, loop, dial_address(**listener, "?" + own_ca + "&" + identity(stranger, "x", {})));
  ASSERT_TRUE(until([&] { return dial.done() && counters.handshakes_failed == 1; }));
  EXPECT_FALSE(accepted);
  EXPECT_EQ(log.count("certificate not accepted: unable to get local issuer certificate"), 1u);
}

// --- choices ---

TEST_F(TlsTest, TheCertificateIsChosenByTheNameThatIsAskedFor) {
  const std::string server = server_identity() + "&" +
                             identity(authority, "b", {.common_name = "b", .dns_names = {"b.test"}}) + "&" +
                             identity(authority, "c", {.common_name = "c", .dns_names = {"*.c.test"}});
  const auto subject_for = [&](const std::string& name) {
    const Result<Connection> made = connect(server, ca() + "&name=" + name);
    return made ? made->client->peer().tls->subject : made.error().to_string();
  };
  EXPECT_EQ(subject_for("server.test"), "CN=test");
  EXPECT_EQ(subject_for("b.test"), "CN=b");
  EXPECT_EQ(subject_for("x.c.test"), "CN=c");
  EXPECT_EQ(subject_for("127.0.0.1"), "CN=test") << "no name: the default";
  EXPECT_THAT(subject_for("unknown.test"), HasSubstr("hostname mismatch")) << "the default again";
}

TEST_F(TlsTest, AlpnIsTheServersFirstChoice) {
  connected(server_identity() + "&alpn=h2,foo", ca() + "&alpn=bar,foo,h2");
  EXPECT_EQ(c.client->peer().tls->alpn, "h2");
  EXPECT_EQ(c.server->peer().tls->alpn, "h2");
  const Result<Connection> silent = connect(server_identity() + "&alpn=h2", ca());
  ASSERT_TRUE(silent);
  EXPECT_EQ(silent->client->peer().tls->alpn, "");
  EXPECT_THAT(error_of(server_identity() + "&alpn=h2", ca() + "&alpn=bar"),
              AllOf(StartsWith("refused:"), HasSubstr("no application protocol")));
}

TEST_F(TlsTest, SessionsAreResumedPerPlaceAndName) {
  const std::string server = server_identity();
  auto listener = all.listen(loop, *Address::parse("tls://127.0.0.1:0?" + server), listen_options);
  ASSERT_TRUE(listener);
  std::vector<std::unique_ptr<Stream>> accepted;
  (*listener)->start([&](std::unique_ptr<Incoming> incoming) { accepted.push_back(incoming->accept()); });
  const auto resumed = [&](const std::string& parameters) {
    DialOutcome dial;
    dial_into(dial, all, loop, dial_address(**listener, "?" + ca() + parameters));
    const std::size_t before = accepted.size();
    EXPECT_TRUE(until([&] { return dial.done() && accepted.size() > before; }));
    std::unique_ptr<Stream> stream = *std::move(*dial.result);
    RecordingEvents client, other;
    stream->start(client);
    accepted.back()->start(other);
    accepted.back()->write(chain_of("x"));  // behind the tickets
    EXPECT_TRUE(until([&] { return client.received == "x"; }));
    const bool yes = stream->peer().tls->resumed;
    EXPECT_TRUE(stream->peer().tls->verified);
    stream.reset();
    accepted.pop_back();
    return yes;
  };
  EXPECT_FALSE(resumed(""));
  EXPECT_TRUE(resumed(""));
  EXPECT_TRUE(resumed(""));
  EXPECT_FALSE(resumed("&name=server.test"));
  EXPECT_TRUE(resumed("&name=server.test"));
}

TEST_F(TlsTest, CertificatesAreReloadedWhenTheirFilesChange) {
  ManualClock clock;
  Loop manual({.clock = &clock});
  const auto write = [&](const std::string& name) {
    return identity(authority, "s", {.common_name = name, .ip_addresses = {"127.0.0.1"}});
  };
  const std::string server = write("first");
  const std::string trust = ca();
  auto listener = all.listen(manual, *Address::parse("tls://127.0.0.1:0?" + server), listen_options);
  ASSERT_TRUE(listener);
  (*listener)->start([&](std::unique_ptr<Incoming>) {});
  const auto subject = [&] {
    DialOutcome dial;
    dial_into(dial, all, manual, dial_address(**listener, "?" + trust));
    EXPECT_TRUE(run_until(manual, [&] { return dial.done(); }));
    return dial.done() && *dial.result ? (**dial.result)->peer().tls->subject : dial.error();
  };
  EXPECT_EQ(subject(), "CN=first");
  write("second");
  EXPECT_EQ(subject(), "CN=first") << "not looked at again so soon";
  manual.advance(5s);
  EXPECT_EQ(subject(), "CN=second");
  EXPECT_EQ(log.count("tls certificates reloaded"), 1u);

  directory.write("s.pem", "broken");
  manual.advance(5s);
  EXPECT_EQ(subject(), "CN=second");
  manual.advance(5s);
  EXPECT_EQ(subject(), "CN=second");
  EXPECT_EQ(log.count("tls certificates not reloaded, the old ones stay"), 1u);
  write("third");
  manual.advance(5s);
  EXPECT_EQ(subject(), "CN=third");
}

TEST_F(TlsTest, AddressesThatCannotWorkAreRefusedByName) {
  const auto listen_error = [&](const std::string& parameters) {
    const auto listener = all.listen(loop, *Address::parse("tls://127.0.0.1:0" + parameters), {});
    return listener ? "" : listener.error().to_string();
  };
  const std::string server = server_identity();
  EXPECT_THAT(listen_error(""), HasSubstr("a listener needs cert="));
  EXPECT_THAT(listen_error("?cert=/nonexistent"),
              AllOf(HasSubstr("certificate /nonexistent"), HasSubstr("No such file")));
  EXPECT_THAT(listen_error("?" + server + "&cert=x"), HasSubstr("each cert needs its key"));
  EXPECT_THAT(listen_error("?" + server + "&ca=/nonexistent"), HasSubstr("cannot trust /nonexistent"));
  EXPECT_THAT(listen_error("?" + server + "&insecure=1"), HasSubstr("unknown parameter \"insecure\""));
  EXPECT_THAT(listen_error("?" + server + "&optional_client=1"), HasSubstr("means nothing without ca="));
  EXPECT_THAT(listen_error("?" + server + "&alpn=a,,b"), HasSubstr("alpn=a,,b"));
  EXPECT_THAT(listen_error("?" + server + "&nonesuch=1"), HasSubstr("tcp address: unknown parameter \"nonesuch\""));
  EXPECT_THAT(listen_error("?" + server + "&reload=1s&reload=2s"), HasSubstr("\"reload\" is given twice"));
  const IssuedCertificate other = authority.issue({});
  EXPECT_THAT(listen_error("?cert=" + directory.write("c", authority.issue({}).cert_pem) +
                           "&key=" + directory.write("k", other.key_pem)),
              HasSubstr("key values mismatch"));
  EXPECT_EQ(listen_error("?cert=" + directory.write("both.pem", other.cert_pem + other.key_pem)), "");

  const auto dial_error = [&](const std::string& address) {
    DialOutcome dial;
    dial_into(dial, all, loop, address);
    EXPECT_FALSE(dial.done()) << "called back from inside dial()";
    EXPECT_TRUE(until([&] { return dial.done(); }));
    return dial.error();
  };
  EXPECT_THAT(dial_error("tls://127.0.0.1:1?verify=0"), HasSubstr("unknown parameter \"verify\""));
  EXPECT_THAT(dial_error("tls://127.0.0.1:1?optional_client=1"), HasSubstr("unknown parameter \"optional_client\""));
  EXPECT_THAT(dial_error("tls+unix://@x"), HasSubstr("no name= to expect"));
  EXPECT_THAT(dial_error("tls+nonesuch://h:1"), HasSubstr("no transport for \"nonesuch\""));
  EXPECT_THAT(dial_error("tls://127.0.0.1:1?ca=/nonexistent"), HasSubstr("cannot trust /nonexistent"));
  EXPECT_THAT(dial_error("tls://127.0.0.1:1?" + ca()), StartsWith("refused: cannot connect to tcp://127.0.0.1:1"));
}

// --- hostile and broken peers ---

TEST_F(TlsTest, GarbageInsteadOfAHandshakeIsRefusedAndLogged) {
  auto listener = all.listen(loop, *Address::parse("tls://127.0.0.1:0?" + server_identity()), listen_options);
  ASSERT_TRUE(listener);
  (*listener)->start([&](std::unique_ptr<Incoming>) { ADD_FAILURE() << "accepted"; });
  const std::string plain = "tcp://127.0.0.1:" + std::to_string((*listener)->address().port());
  std::size_t sent = 0;
  for (const std::string& garbage :
       {std::string("GET / HTTP/1.0\r\n\r\n"), std::string(70'000, '\xff'),
        std::string("\x16\x03\x01\x00\x05hello", 10), std::string("\x17\x03\x03\x00\x01x", 6)}) {
    DialOutcome dial;
    dial_into(dial, all, loop, plain);
    ASSERT_TRUE(until([&] { return dial.done(); }));
    std::unique_ptr<Stream> stream = *std::move(*dial.result);
    RecordingEvents client;
    stream->start(client);
    stream->write(chain_of(garbage));
    ++sent;
    EXPECT_TRUE(until([&] { return counters.handshakes_failed == sent; })) << sent;
    stream->close(bye());
    EXPECT_TRUE(until([&] { return client.closed.has_value(); }));
  }
  EXPECT_GE(log.count("tls handshake failed"), 1u);
}

TEST_F(TlsTest, GarbageFromTheServerIsAnErrorOfTheDial) {
  auto listener = all.listen(loop, *Address::parse("tcp://127.0.0.1:0"), {});
  ASSERT_TRUE(listener);
  std::unique_ptr<Stream> accepted;
  (*listener)->start([&](std::unique_ptr<Incoming> incoming) {
    accepted = incoming->accept();
    accepted->start(server_events);
    accepted->write(chain_of("SSH-2.0-OpenSSH\r\n"));
  });
  DialOutcome dial;
  dial_into(dial, all, loop, "tls://127.0.0.1:" + std::to_string((*listener)->address().port()) + "?insecure=1");
  ASSERT_TRUE(until([&] { return dial.done(); }));
  EXPECT_THAT(dial.error(), AllOf(StartsWith("malformed: tls handshake with"), HasSubstr("wrong version number")));
}

// A client and a server whose connection runs through two bare streams, so that a test can tamper with it.
class TlsWireTest : public TlsTest {
 protected:
  void connect_through_wire() {
    const std::string server = server_identity();
    listener = *all.listen(loop, *Address::parse("tls://127.0.0.1:0?" + server), listen_options);
    listener->start([&](std::unique_ptr<Incoming> incoming) { c.server = incoming->accept(); });
    relay = *all.listen(loop, *Address::parse("tcp://127.0.0.1:0"), {});
    relay->start([&](std::unique_ptr<Incoming> incoming) {
      to_client = incoming->accept();
      dial_into(onward, all, loop, "tcp://127.0.0.1:" + std::to_string(listener->address().port()));
    });
    dial_into(dial, all, loop, "tls://127.0.0.1:" + std::to_string(relay->address().port()) + "?" + ca());
    ASSERT_TRUE(until([&] { return onward.done(); }));
    to_server = *std::move(*onward.result);
    to_client->start(from_client);
    to_server->start(from_server);
    from_client.consume = [&](MutableBytes bytes) { return pass(bytes, *to_server); };
    from_server.consume = [&](MutableBytes bytes) { return pass(bytes, *to_client); };
    ASSERT_TRUE(until([&] { return dial.done() && c.server; }));
    ASSERT_TRUE(*dial.result) << dial.error();
    c.client = *std::move(*dial.result);
    c.client->start(client_events);
    c.server->start(server_events);
  }
  static std::size_t pass(MutableBytes bytes, Stream& to) {
    to.write(chain_of(as_text(bytes)));
    return bytes.size();
  }

  std::unique_ptr<Listener> listener, relay;
  DialOutcome dial, onward;
  std::unique_ptr<Stream> to_client, to_server;
  RecordingEvents from_client, from_server;
};

TEST_F(TlsWireTest, GarbageAfterTheHandshakeClosesAsMalformed) {
  connect_through_wire();
  c.client->write(chain_of("fine"));
  ASSERT_TRUE(until([&] { return server_events.received == "fine"; }));
  to_server->write(chain_of(std::string("\x17\x03\x03\x00\x07garbage", 12)));
  EXPECT_TRUE(until([&] { return server_events.closed.has_value(); }));
  EXPECT_EQ(server_events.closed->by, CloseReason::By::peer);
  EXPECT_EQ(server_events.closed->error.code, ErrorCode::malformed);
  EXPECT_EQ(server_events.received, "fine");
}

TEST_F(TlsWireTest, ATamperedRecordClosesAndThePeerIsTold) {
  connect_through_wire();
  from_client.consume = [&](MutableBytes bytes) {
    bytes.back() ^= std::byte{1};
    return pass(bytes, *to_server);
  };
  c.client->write(chain_of("secret"));
  EXPECT_TRUE(until([&] { return server_events.closed && client_events.closed; }));
  EXPECT_THAT(server_events.closed->error.to_string(), AllOf(StartsWith("malformed:"), HasSubstr("bad record mac")));
  EXPECT_THAT(client_events.closed->error.to_string(),
              AllOf(StartsWith("refused:"), HasSubstr("alert bad record mac")));
  EXPECT_EQ(server_events.received, "");
}

TEST_F(TlsWireTest, AnEndWithoutCloseNotifyIsTruncation) {
  connect_through_wire();
  c.client->write(chain_of("half a mess"));
  ASSERT_TRUE(until([&] { return server_events.received == "half a mess"; }));
  to_server->shutdown_write();
  EXPECT_TRUE(until([&] { return server_events.closed.has_value(); }));
  EXPECT_EQ(server_events.read_ends, 0u);
  EXPECT_EQ(server_events.closed->by, CloseReason::By::peer);
  EXPECT_EQ(server_events.closed->error.code, ErrorCode::peer_closed);
  EXPECT_THAT(server_events.closed->error.detail, HasSubstr("truncated"));
}

TEST_F(TlsTest, AnEndDuringTheHandshakeIsPeerClosed) {
  auto listener = all.listen(loop, *Address::parse("tcp://127.0.0.1:0"), {});
  ASSERT_TRUE(listener);
  (*listener)->start([](std::unique_ptr<Incoming>) {});
  DialOutcome dial;
  dial_into(dial, all, loop, "tls://127.0.0.1:" + std::to_string((*listener)->address().port()) + "?insecure=1");
  ASSERT_TRUE(until([&] { return dial.done(); }));
  EXPECT_THAT(dial.error(), StartsWith("peer_closed:"));
}

TEST_F(TlsTest, ASilentServerTimesTheDialOut) {
  ManualClock clock;
  Loop manual({.clock = &clock});
  auto listener = all.listen(manual, *Address::parse("tcp://127.0.0.1:0"), {});
  ASSERT_TRUE(listener);
  DialOutcome dial;
  dial_into(dial, all, manual, "tls://127.0.0.1:" + std::to_string((*listener)->address().port()) + "?insecure=1",
            {.timeout = 3s});
  manual.advance(2999ms);
  EXPECT_FALSE(dial.done());
  manual.advance(2ms);
  EXPECT_THAT(dial.error(), AllOf(StartsWith("timed_out: no tls handshake with tls://"), HasSubstr("within 3s")));
}

TEST_F(TlsTest, DestroyingADialCancelsItAtEveryStep) {
  const std::string server = server_identity();
  const std::string trust = ca();
  bool finished = false;
  for (int turns = 0; !finished; ++turns) {
    ASSERT_LT(turns, 1000);
    auto listener = all.listen(loop, *Address::parse("tls://127.0.0.1:0?" + server), listen_options);
    ASSERT_TRUE(listener);
    (*listener)->start([](std::unique_ptr<Incoming>) {});
    DialOutcome dial;
    dial_into(dial, all, loop, dial_address(**listener, "?" + trust));
    for (int i = 0; i < turns && !dial.done(); ++i) loop.run_turn(1ms);
    finished = dial.done();
    dial.dial.reset();
    loop.drain();
    EXPECT_EQ(dial.done(), finished);
  }
}

TEST_F(TlsTest, ASilentClientTimesOutAndHandshakesAreBounded) {
  ManualClock clock;
  Loop manual({.clock = &clock});
  listen_options.handshakes_max = 2;
  listen_options.handshake_timeout = 4s;
  auto listener = all.listen(manual, *Address::parse("tls://127.0.0.1:0?" + server_identity()), listen_options);
  ASSERT_TRUE(listener);
  (*listener)->start([](std::unique_ptr<Incoming>) {});
  const std::string plain = "tcp://127.0.0.1:" + std::to_string((*listener)->address().port());
  DialOutcome dials[3];
  RecordingEvents events[3];
  for (int i = 0; i < 3; ++i) {
    dial_into(dials[i], all, manual, plain);
    ASSERT_TRUE(run_until(manual, [&] { return dials[i].done(); }));
    (**dials[i].result)->start(events[i]);
    EXPECT_TRUE(run_until(manual, [&] { return counters.accepted == static_cast<std::uint64_t>(i) + 1; }));
    manual.drain();
  }
  EXPECT_EQ(counters.handshakes_refused.load(), 1u);
  EXPECT_EQ(events[2].read_ends, 1u);
  manual.advance(3999ms);
  EXPECT_EQ(counters.handshakes_failed.load(), 0u);
  manual.advance(2ms);
  EXPECT_EQ(counters.handshakes_failed.load(), 2u);
  EXPECT_EQ(log.count("no tls handshake within 4s"), 2u);
  DialOutcome good;
  dial_into(good, all, manual, dial_address(**listener, "?" + ca()));
  EXPECT_TRUE(run_until(manual, [&] { return good.done(); }));
  EXPECT_EQ(good.error(), "") << "there is room again";
}

TEST_F(TlsTest, AListenerThatGoesEndsItsHandshakes) {
  auto listener = all.listen(loop, *Address::parse("tls://127.0.0.1:0?" + server_identity()), listen_options);
  ASSERT_TRUE(listener);
  (*listener)->start([](std::unique_ptr<Incoming>) { ADD_FAILURE() << "accepted"; });
  DialOutcome dial;
  dial_into(dial, all, loop, "tcp://127.0.0.1:" + std::to_string((*listener)->address().port()));
  ASSERT_TRUE(until([&] { return dial.done() && counters.accepted == 1; }));
  (**dial.result)->start(client_events);
  listener->reset();
  EXPECT_TRUE(until([&] { return client_events.read_ends == 1; }));
}

TEST_F(TlsTest, HandshakesRunOnTheLoopsTheyAreHandedTo) {
  Loop other;
  listen_options.loops = {&other};
  auto listener = all.listen(loop, *Address::parse("tls://127.0.0.1:0?" + server_identity()), listen_options);
  ASSERT_TRUE(listener);
  Loop* on = nullptr;
  (*listener)->start([&](std::unique_ptr<Incoming> incoming) {
    on = Loop::current();
    EXPECT_EQ(&incoming->accept()->loop(), &other);
  });
  DialOutcome first, second;
  dial_into(first, all, loop, dial_address(**listener, "?" + ca()));
  EXPECT_TRUE(until([&] {
    other.run_turn();
    return on != nullptr;
  }));
  EXPECT_EQ(on, &other);
  // One that is under way there when the listener goes.
  dial_into(second, all, loop, dial_address(**listener, "?" + ca()));
  EXPECT_TRUE(until([&] { return counters.accepted == 2; }));
  other.run_turn();
  listener->reset();
}

// --- the ends ---

TEST_F(TlsTest, HalfClosingWorksInBothDirections) {
  connected();
  c.client->write(chain_of("last"));
  client_events.call([&] { c.client->shutdown_write(); });
  EXPECT_TRUE(until([&] { return server_events.read_ends == 1; }));
  EXPECT_EQ(server_events.received, "last");
  EXPECT_FALSE(server_events.closed);
  c.server->write(chain_of("still"));
  EXPECT_TRUE(until([&] { return client_events.received == "still"; }));
  c.server->shutdown_write();
  EXPECT_TRUE(until([&] { return client_events.closed && server_events.closed; }));
  EXPECT_EQ(client_events.read_ends, 1u);
  EXPECT_EQ(client_events.closed->error.code, ErrorCode::peer_closed);
}

TEST_F(TlsTest, CloseWithLingerDeliversEverythingAndEndsInOrder) {
  connected();
  const std::string large(5 << 20, 'x');
  c.client->write(chain_of(large));
  c.client->close(bye(), {.time = 20s});
  server_events.then_read_end = [&] { c.server->close(bye()); };
  EXPECT_TRUE(until([&] { return client_events.closed && server_events.closed; }));
  EXPECT_EQ(server_events.received.size(), large.size());
  EXPECT_EQ(server_events.read_ends, 1u);
  EXPECT_EQ(client_events.closed->error.detail, "bye");
}

TEST_F(TlsTest, AnAbortIsTruncationForThePeer) {
  connected();
  loop.drain();  // unread tickets would make it a reset
  c.client->close(bye());
  EXPECT_TRUE(until([&] { return client_events.closed && server_events.closed; }));
  EXPECT_THAT(server_events.closed->error.detail, HasSubstr("truncated"));
}

TEST_F(TlsTest, MayBeDroppedInsideEveryCallback) {
  for (int which = 0; which < 4; ++which) {
    dial_options.stream.high_water_bytes = 1;
    Result<Connection> made = connect(server_identity(), ca());
    ASSERT_TRUE(made) << made.error().to_string();
    RecordingEvents dropper, other;
    made->client->start(dropper);
    made->server->start(other);
    const auto drop = [&] { made->client.reset(); };
    if (which == 0) dropper.then_bytes = drop;
    if (which == 1) dropper.then_writable = drop;
    if (which == 2) dropper.then_read_end = drop;
    if (which == 3) dropper.then_closed = drop;
    made->server->write(chain_of("x"));
    made->client->write(chain_of("x"));
    if (which == 2) made->server->shutdown_write();
    if (which == 3) made->client->close(bye());
    EXPECT_TRUE(until([&] { return !made->client; })) << which;
    EXPECT_THAT(dropper.faults, IsEmpty());
  }
}

TEST_F(TlsTest, AReplacedConsumerSeesTheRest) {
  connected();
  RecordingEvents next;
  server_events.consume = [&](MutableBytes) {
    c.server->replace_events(next);
    return std::size_t{2};
  };
  c.client->write(chain_of("hssession"));
  EXPECT_TRUE(until([&] { return next.received == "session"; }));
  EXPECT_EQ(server_events.received, "hs");
}

// --- pressure ---

TEST_F(TlsTest, AConsumerMayStopInTheMiddleOfAFlood) {
  connected();
  const std::string flood(3 << 20, 'x');
  bool stop = true;
  server_events.consume = [&](MutableBytes bytes) {
    if (!stop) return bytes.size();
    c.server->read(false);
    return std::size_t{1};
  };
  c.client->write(chain_of(flood));
  EXPECT_TRUE(until([&] { return server_events.received.size() == 1; }));
  loop.drain();
  EXPECT_EQ(server_events.received.size(), 1u);
  stop = false;
  c.server->read(true);
  EXPECT_TRUE(until([&] { return server_events.received.size() == flood.size(); }));
  EXPECT_FALSE(server_events.closed);
}

TEST_F(TlsTest, PressureIsToldAndEnds) {
  dial_options.stream = {.high_water_bytes = 100'000, .low_water_bytes = 10'000};
  connected();
  c.server->read(false);
  while (c.client->write(chain_of(std::string(50'000, 'x'))) == Pressure::none || c.client->queued() < 6'000'000)
    loop.drain();
  const std::size_t before = client_events.writables;
  loop.drain();
  EXPECT_EQ(client_events.writables, before);
  c.server->read(true);
  EXPECT_TRUE(until([&] { return client_events.writables == before + 1 && c.client->queued() == 0; }));
}

TEST_F(TlsTest, TheHardBoundClosesWithOverloaded) {
  dial_options.stream.queue_bytes_max = 1'000'000;
  connected();
  c.server->read(false);
  c.client->write(chain_of(std::string(1'000'000, 'x')));
  EXPECT_EQ(c.client->queued(), 1'000'000u);
  c.client->write(chain_of("x"));
  EXPECT_TRUE(until([&] { return client_events.closed.has_value(); }));
  EXPECT_EQ(client_events.closed->error.code, ErrorCode::overloaded);
}

// Goal: two peers that only write while they are pressed, and read always, do not block each other.
TEST_F(TlsTest, BothSidesFloodingEachOtherDoNotDeadlock) {
  dial_options.stream = {.high_water_bytes = 64 * 1024, .low_water_bytes = 16 * 1024};
  listen_options.stream = dial_options.stream;
  connected();
  constexpr std::size_t kTotal = 8 << 20;
  struct Side {
    Stream& stream;
    RecordingEvents& events;
    std::size_t sent = 0;
    void pump() {
      while (sent < kTotal) {
        sent += 10'000;
        if (stream.write(chain_of(std::string(10'000, 'x'))) == Pressure::high) return;
      }
    }
  };
  Side sides[2] = {{*c.client, client_events}, {*c.server, server_events}};
  for (Side& side : sides) {
    side.events.then_writable = [&side] { side.pump(); };
    side.pump();
  }
  EXPECT_TRUE(
      until([&] { return client_events.received.size() >= kTotal && server_events.received.size() >= kTotal; }));
}

TEST_F(TlsTest, GivesTheSameBytesHoweverTheRecordsAreChopped) {
  // The pieces are made by the consumer's side of a memory stream that shows few bytes at a time.
  for (const std::size_t piece : {1, 2, 3, 5, 8, 1000}) {
    Transports chopped;
    chopped.add("tls", std::make_shared<TlsTransport>());
    chopped.add("mem", std::make_shared<MemoryTransport>(MemoryOptions{.show_bytes_max = piece}));
    ManualClock clock;
    Loop manual({.clock = &clock});
    Result<Connection> made =
        connect_through(chopped, manual, "tls+mem://x?" + server_identity(), "?name=server.test&" + ca());
    ASSERT_TRUE(made) << made.error().to_string();
    RecordingEvents client, server;
    made->client->start(client);
    made->server->start(server);
    const std::string text(20'000, 'x');
    made->client->write(chain_of(text));
    made->client->shutdown_write();
    EXPECT_TRUE(run_until(manual, [&] { return server.read_ends == 1; }));
    EXPECT_EQ(server.received.size(), text.size());
  }
}

TEST_F(TlsTest, ReportsWhatAnIdleConnectionCosts) {
  std::vector<Connection> idle;
  const std::string server = server_identity();
  auto listener = all.listen(loop, *Address::parse("tls://127.0.0.1:0?" + server), listen_options);
  ASSERT_TRUE(listener);
  std::vector<std::unique_ptr<Stream>> streams;
  (*listener)->start([&](std::unique_ptr<Incoming> incoming) { streams.push_back(incoming->accept()); });
  std::vector<std::unique_ptr<RecordingEvents>> events;
  const auto connect_one = [&] {
    DialOutcome dial;
    dial_into(dial, all, loop, dial_address(**listener, "?" + ca()));
    const std::size_t before = streams.size();
    ASSERT_TRUE(until([&] { return dial.done() && streams.size() > before; }));
    streams.push_back(*std::move(*dial.result));
    for (std::size_t i = before; i < streams.size(); ++i) {
      events.push_back(std::make_unique<RecordingEvents>());
      streams[i]->start(*events.back());
    }
    loop.drain();
  };
  for (int i = 0; i < 10; ++i) connect_one();
  const std::size_t before = ::mallinfo2().uordblks;
  constexpr int kPairs = 50;
  for (int i = 0; i < kPairs; ++i) connect_one();
  const std::size_t both = ::mallinfo2().uordblks;
  for (std::size_t i = 20; i < streams.size(); i += 2) streams[i].reset();  // the accepted ones
  loop.run_turn();
  const std::size_t server_bytes = (both - ::mallinfo2().uordblks) / kPairs;
  const std::size_t client_bytes = (::mallinfo2().uordblks - before) / kPairs;
  std::printf("an idle TLS stream (tcp below it and the test's recorder included): server %zu, client %zu bytes\n",
              server_bytes, client_bytes);
  EXPECT_LT(server_bytes, 24u * 1024);
  EXPECT_LT(client_bytes, 24u * 1024);
}

}  // namespace
}  // namespace wayport::transport

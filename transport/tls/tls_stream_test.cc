// TlsStream by itself, in memory: what addresses cannot ask for, and every failure of the stream below.
#include "wayport/transport/tls/tls_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <memory>
#include <optional>
#include <string>

#include "wayport/transport/testing/certificates.h"
#include "wayport/transport/testing/failing_stream.h"
#include "wayport/transport/testing/fragmenting_stream.h"
#include "wayport/transport/testing/memory_stream.h"
#include "wayport/transport/testing/recorder.h"
#include "wayport/transport/tls/tls_context.h"
#include "wayport/transport/tls/tls_options.h"

namespace wayport::transport {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

using namespace std::chrono_literals;

struct End {
  std::unique_ptr<TlsStream> stream;
  RecordingEvents events;
  std::optional<Result<void>> handshake;
  SSL* raw = nullptr;

  void begin(std::unique_ptr<Stream> lower, tls::Connection connection) {
    raw = connection.get();
    stream = std::make_unique<TlsStream>(std::move(lower), std::move(connection), StreamOptions{});
    stream->handshake([this](Result<void> done) {
      handshake = std::move(done);
      stream->start(events);
    });
  }
  bool shaken() const { return handshake && *handshake; }
};

class TlsStreamTest : public ::testing::Test {
 protected:
  TlsStreamTest() {
    const IssuedCertificate issued = authority.issue({.dns_names = {"server.test"}});
    TlsOptions server_options;
    server_options.certificates = {{directory.write("cert", issued.cert_pem), directory.write("key", issued.key_pem)}};
    TlsOptions client_options;
    client_options.ca = directory.write("ca", authority.cert_pem());
    for_servers = *TlsContext::for_servers(server_options);
    for_clients = *TlsContext::for_clients(client_options);
  }
  ~TlsStreamTest() override {
    EXPECT_THAT(client.events.faults, IsEmpty());
    EXPECT_THAT(server.events.faults, IsEmpty());
  }

  tls::Connection client_connection(int version_max = 0) {
    tls::Connection connection = *for_clients->make_client("server.test", "place");
    if (version_max) ::SSL_set_max_proto_version(connection.get(), version_max);
    return connection;
  }
  void connect(int version_max = 0) {
    MemoryPair pair = make_memory_pair(loop, loop);
    server.begin(std::move(pair.b), *for_servers->make_server());
    client.begin(std::move(pair.a), client_connection(version_max));
    loop.drain();
    ASSERT_TRUE(client.shaken() && server.shaken());
  }

  TestDirectory directory;
  TestAuthority authority;
  std::shared_ptr<const TlsContext> for_servers, for_clients;
  ManualClock clock;
  Loop loop{LoopOptions{.clock = &clock}};
  End client, server;
};

TEST_F(TlsStreamTest, Tls12TalksHalfClosesAndEndsInOrder) {
  connect(TLS1_2_VERSION);
  EXPECT_EQ(client.stream->peer().tls->protocol, "TLSv1.2");
  client.stream->write(chain_of("ping"), false);
  client.stream->shutdown_write();
  loop.drain();
  EXPECT_EQ(server.events.received, "ping");
  EXPECT_EQ(server.events.read_ends, 1u);
  server.stream->write(chain_of("pong"), false);
  server.stream->shutdown_write();
  loop.drain();
  EXPECT_EQ(client.events.received, "pong");
  EXPECT_TRUE(client.events.closed && server.events.closed);
}

// However slowly the peer reads after both ends were said; who takes nothing is given up.
TEST_F(TlsStreamTest, AHalfClosedClientThatReadsSlowlyGetsTheWholeAnswer) {
  for (const bool reads : {true, false}) {
    client = {};
    server = {};
    connect();
    client.stream->shutdown_write();
    loop.drain();
    ASSERT_EQ(server.events.read_ends, 1u);
    client.stream->read(false);
    // Each below high water, so that all of it is sealed.
    server.stream->write(chain_of(std::string(250'000, 'x')), false);
    loop.drain();
    server.stream->write(chain_of(std::string(250'000, 'y')), false);
    server.stream->shutdown_write();
    loop.advance(20s);
    EXPECT_FALSE(server.events.closed);
    client.stream->read(reads);
    loop.advance(11s);
    ASSERT_TRUE(server.events.closed);
    EXPECT_EQ(client.events.received.size(), reads ? 500'000u : 0u);
    EXPECT_EQ(client.events.closed.has_value(), reads);
    EXPECT_EQ(server.events.closed->error.code, reads ? ErrorCode::peer_closed : ErrorCode::timed_out)
        << to_string(*server.events.closed);
  }
}

TEST_F(TlsStreamTest, Tls12SessionsAreResumedMoreThanOnce) {
  for (const bool resumed : {false, true, true}) {
    client.handshake.reset();
    server.handshake.reset();
    client.stream.reset();
    server.stream.reset();
    connect(TLS1_2_VERSION);
    EXPECT_EQ(client.stream->peer().tls->resumed, resumed);
  }
}

TEST_F(TlsStreamTest, Tls11IsRefused) {
  MemoryPair pair = make_memory_pair(loop, loop);
  server.begin(std::move(pair.b), *for_servers->make_server());
  tls::Connection old = client_connection();
  ::SSL_set_security_level(old.get(), 0);
  ::SSL_set_min_proto_version(old.get(), TLS1_VERSION);
  ::SSL_set_max_proto_version(old.get(), TLS1_1_VERSION);
  client.begin(std::move(pair.a), std::move(old));
  loop.drain();
  ASSERT_TRUE(server.handshake && !*server.handshake);
  EXPECT_EQ(server.handshake->error().code, ErrorCode::refused);
  EXPECT_THAT(server.handshake->error().detail, HasSubstr("unsupported protocol"));
}

TEST_F(TlsStreamTest, RenegotiationIsRefusedByBothSides) {
  connect(TLS1_2_VERSION);
  EXPECT_EQ(::SSL_renegotiate(client.raw), 0);
  EXPECT_EQ(::SSL_renegotiate(server.raw), 0);
}

TEST_F(TlsStreamTest, AKeyUpdateIsAnsweredWhileNothingIsWritten) {
  connect();
  client.stream->write(chain_of("before"), false);
  loop.drain();
  ASSERT_EQ(::SSL_key_update(client.raw, SSL_KEY_UPDATE_REQUESTED), 1);
  client.stream->write(chain_of(" after"), false);
  loop.drain();
  EXPECT_EQ(server.events.received, "before after");
  server.stream->write(chain_of("answered"), false);
  loop.drain();
  EXPECT_EQ(client.events.received, "answered");
}

TEST_F(TlsStreamTest, BytesSentRightBehindTheHandshakeWaitForTheConsumer) {
  MemoryPair pair = make_memory_pair(loop, loop);
  server.stream = std::make_unique<TlsStream>(std::move(pair.b), *for_servers->make_server(), StreamOptions{});
  server.stream->handshake([this](Result<void> done) { server.handshake = std::move(done); });
  client.begin(std::move(pair.a), client_connection());
  loop.drain();
  ASSERT_TRUE(client.shaken() && server.shaken());
  client.stream->write(chain_of("eager"), false);
  client.stream->shutdown_write();
  loop.drain();
  server.stream->start(server.events);
  loop.drain();
  EXPECT_EQ(server.events.received, "eager");
  EXPECT_EQ(server.events.read_ends, 1u);
}

TEST_F(TlsStreamTest, AConnectionThatDiedBeforeStartIsTold) {
  MemoryPair pair = make_memory_pair(loop, loop);
  server.stream = std::make_unique<TlsStream>(std::move(pair.b), *for_servers->make_server(), StreamOptions{});
  server.stream->handshake([this](Result<void> done) { server.handshake = std::move(done); });
  client.begin(std::move(pair.a), client_connection());
  loop.drain();
  client.stream.reset();
  loop.drain();
  server.stream->start(server.events);
  loop.drain();
  EXPECT_TRUE(server.events.closed);
}

// Goal: whichever operation of the stream below fails, both ends hear of it and nothing is left. Method: fail the n-th
// for n = 0, 1, 2, ... until nothing fails any more.
TEST_F(TlsStreamTest, AConversationEndsOnBothSidesWhicheverOperationBelowFails) {
  std::size_t failed = 0;
  for (std::size_t n = 0;; ++n, ++failed) {
    ASSERT_LT(n, 1000u);
    const auto count = std::make_shared<FailCount>(n);
    MemoryPair pair = make_memory_pair(loop, loop);
    End a, b;
    a.events.then_read_end = [&] { a.stream->shutdown_write(); };
    b.events.then_read_end = [&] { b.stream->shutdown_write(); };
    b.begin(std::make_unique<FailingStream>(std::move(pair.b), count), *for_servers->make_server());
    a.begin(std::make_unique<FailingStream>(std::move(pair.a), count), *for_clients->make_client("server.test", ""));
    loop.drain();
    if (a.shaken()) {
      a.stream->write(chain_of("hello"), false);
      a.stream->shutdown_write();
    }
    if (b.shaken()) b.stream->write(chain_of("hi"), false);
    loop.drain();
    for (End* end : {&a, &b}) {
      if (end->handshake && !*end->handshake) end->stream->close(CloseReason::local(ErrorCode::local_closed, ""), {});
    }
    loop.advance(std::chrono::seconds(5));
    for (const End* end : {&a, &b}) {
      EXPECT_TRUE(end->handshake) << n;
      EXPECT_TRUE(end->events.closed) << n;
      EXPECT_THAT(end->events.faults, IsEmpty()) << n;
    }
    if (!count->reached()) {
      EXPECT_EQ(a.events.received, "hi");
      EXPECT_EQ(b.events.received, "hello");
      break;
    }
  }
  EXPECT_GE(failed, 10u);
}

TEST_F(TlsStreamTest, GivesTheSameBytesForEverySplitOfTheWire) {
  const std::string text(40'000, 'x');
  for (const std::size_t piece : {1, 2, 3, 5, 8, 4096}) {
    MemoryPair pair = make_memory_pair(loop, loop);
    End a, b;
    b.begin(std::make_unique<FragmentingStream>(std::move(pair.b), std::vector<std::size_t>{piece}),
            *for_servers->make_server());
    a.begin(std::move(pair.a), *for_clients->make_client("server.test", ""));
    loop.drain();
    ASSERT_TRUE(a.shaken() && b.shaken()) << piece;
    a.stream->write(chain_of(text), false);
    loop.drain();
    EXPECT_TRUE(b.events.received == text) << piece;
  }
}

TEST(TlsSessionCache, KeepsTheNewestOfEachPlaceAndABoundedNumberOfPlaces) {
  const tls::Context context(::SSL_CTX_new(::TLS_client_method()));
  TlsSessionCache cache;
  for (std::size_t i = 0; i < TlsSessionCache::kPlacesMax + 1; ++i) {
    cache.put("place " + std::to_string(i), tls::Session(::SSL_SESSION_new()));
  }
  EXPECT_EQ(cache.size(), TlsSessionCache::kPlacesMax);
  EXPECT_FALSE(cache.take("place 0"));
  EXPECT_TRUE(cache.take("place 1"));
  EXPECT_FALSE(cache.take("elsewhere"));
}

}  // namespace
}  // namespace wayport::transport

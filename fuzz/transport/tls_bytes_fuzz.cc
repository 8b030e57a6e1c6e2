// Bytes that come instead of TLS, in the middle of a handshake or after it, never reach the consumer as if the peer had
// sent them. Once the wire has ended, too, both ends have within seconds: the handshake failed, or the stream closed, for
// a reason that blames the peer.
//
// Input: first byte: where the bytes come in. Then pieces: a length byte and so many bytes, each arriving on its own.
//
// Not all of it follows from the input: OpenSSL draws its keys itself, so bytes of handshakes differ from run to run.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "wayport/base/loop.h"
#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/transport/stream.h"
#include "wayport/transport/testing/certificates.h"
#include "wayport/transport/testing/memory_stream.h"
#include "wayport/transport/testing/recorder.h"
#include "wayport/transport/tls/tls_context.h"
#include "wayport/transport/tls/tls_options.h"
#include "wayport/transport/tls/tls_stream.h"

namespace {

using namespace wayport;
using namespace wayport::transport;

struct Contexts {
  Contexts() {
    const TestDirectory directory;
    const TestAuthority authority;
    const IssuedCertificate issued = authority.issue({.dns_names = {"server.test"}});
    TlsOptions server;
    server.certificates = {{directory.write("cert", issued.cert_pem), directory.write("key", issued.key_pem)}};
    TlsOptions client;
    client.ca = directory.write("ca", authority.cert_pem());
    for_servers = *TlsContext::for_servers(server);
    for_clients = *TlsContext::for_clients(client);
  }
  std::shared_ptr<const TlsContext> for_servers, for_clients;
};

// One end: TLS over a memory stream.
struct End {
  std::unique_ptr<TlsStream> stream;
  RecordingEvents events;
  std::optional<Result<void>> handshake;

  void begin(std::unique_ptr<Stream> lower, tls::Connection connection) {
    stream = std::make_unique<TlsStream>(std::move(lower), std::move(connection), StreamOptions{});
    stream->handshake([this](Result<void> done) {
      handshake = std::move(done);
      stream->start(events);
      if (!*handshake) stream->close(CloseReason::local(ErrorCode::local_closed, "no handshake"), {});
    });
  }
  void check(std::string_view sent) const {
    WAYPORT_ASSERT(sent.starts_with(events.received), "bytes came through that nobody sealed");
    for (const std::string& fault : events.faults) WAYPORT_ASSERT(false, fault.c_str());
    if (handshake && !*handshake) WAYPORT_ASSERT(is_of_the_peer(handshake->error().code), "not what a peer can do");
    if (!events.closed) return;
    const bool ours = events.closed->error.code == ErrorCode::local_closed;  // begin() closes what has no handshake
    WAYPORT_ASSERT(
        handshake && (ours ? !*handshake
                           : events.closed->by == CloseReason::By::peer && is_of_the_peer(events.closed->error.code)),
        "a close that does not blame the peer");
  }
  static bool is_of_the_peer(ErrorCode code) {
    return code == ErrorCode::malformed || code == ErrorCode::refused || code == ErrorCode::peer_closed;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Contexts contexts;
  if (size == 0 || size > 100'000) return 0;
  const unsigned where = *data++ % 4;
  --size;

  ManualClock clock;
  Loop loop(LoopOptions{.clock = &clock});
  // client -- client_wire | server_wire -- server; what passes between is the fuzzer's.
  MemoryPair left = make_memory_pair(loop, loop);
  MemoryPair right = make_memory_pair(loop, loop);
  RecordingEvents client_wire, server_wire;
  client_wire.consume = [&](MutableBytes bytes) {
    if (right.a) right.a->write(chain_of(as_text(bytes)));
    return bytes.size();
  };
  server_wire.consume = [&](MutableBytes bytes) {
    if (left.b) left.b->write(chain_of(as_text(bytes)));
    return bytes.size();
  };
  left.b->start(client_wire);
  right.a->start(server_wire);
  End client, server;
  server.begin(std::move(right.b), *contexts.for_servers->make_server());
  const bool to_server = where != 2;
  if (where != 0) client.begin(std::move(left.a), *contexts.for_clients->make_client("server.test", ""));
  if (where == 1) {
    loop.run_turn();
    loop.run_turn();
  } else {
    loop.drain();
  }
  if (where >= 2) {
    WAYPORT_ASSERT(client.handshake && *client.handshake && server.handshake && *server.handshake, "no handshake");
    client.stream->write(chain_of("from the client"), false);
    server.stream->write(chain_of("from the server"), false);
    loop.drain();
  }
  while (size != 0) {
    const std::size_t piece = std::min<std::size_t>(*data++, --size);
    Stream& wire = to_server ? *right.a : *left.b;
    wire.write(chain_of({reinterpret_cast<const char*>(data), piece}));
    data += piece;
    size -= piece;
    loop.drain();
    client.check("from the server");
    server.check("from the client");
  }
  // The wire ends where the bytes came in, and then on the other side, whose end may have had no word of it.
  for (std::unique_ptr<Stream>* const wire : {to_server ? &right.a : &left.b, to_server ? &left.b : &right.a}) {
    wire->reset();
    loop.advance(std::chrono::seconds(5));
    client.check("from the server");
    server.check("from the client");
    const End& end = wire == &right.a ? server : client;
    if (end.stream) WAYPORT_ASSERT(end.events.closed.has_value(), "the end of the wire went unnoticed");
  }
  return 0;
}

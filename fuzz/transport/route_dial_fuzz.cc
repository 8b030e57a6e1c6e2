// Whatever a gateway answers, a route dial ends once, and never gives bytes of the answer to its caller as the backend's:
// a stream shows exactly what follows a whole success message.
//
// Input: pieces, a length byte and so many bytes, each arriving on its own; then the gateway's end.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/base/loop.h"
#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/framing/route/handshake.h"
#include "wayport/transport/address.h"
#include "wayport/transport/route/route_transport.h"
#include "wayport/transport/testing/connect.h"
#include "wayport/transport/testing/memory_transport.h"
#include "wayport/transport/testing/recorder.h"
#include "wayport/transport/transports.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport;
  using namespace wayport::transport;
  if (size > 100'000) return 0;

  ManualClock clock;
  Loop loop(LoopOptions{.clock = &clock});
  Transports all;
  all.add("mem", std::make_shared<MemoryTransport>());
  all.add("route", std::make_shared<RouteTransport>());
  RecordingEvents gateway_events, client_events;
  std::unique_ptr<Stream> gateway, client;
  const auto listener = *all.listen(loop, *Address::parse("mem://gw"), {});
  listener->start([&](std::unique_ptr<Incoming> one) {
    gateway = one->accept();
    gateway->start(gateway_events);
  });
  DialOutcome outcome;
  dial_into(outcome, all, loop, "route+mem://gw/127.0.0.1:9000");
  loop.drain();
  WAYPORT_ASSERT(gateway_events.received == std::string("\x0e\0\0\0", 4) + "127.0.0.1:9000",
                 "the identify comes first");

  std::string sent;
  const auto take_stream = [&] {
    loop.drain();
    if (client || !outcome.done() || !*outcome.result) return;
    client = **std::move(outcome.result);
    client->start(client_events);
    loop.drain();
  };
  while (size > 0) {
    const std::size_t piece = std::min(static_cast<std::size_t>(*data++), --size);
    sent.append(reinterpret_cast<const char*>(data), piece);
    if (gateway && !gateway_events.closed) gateway->write(chain_of(std::string_view(sent).substr(sent.size() - piece)));
    data += piece;
    size -= piece;
    take_stream();
  }
  if (!gateway_events.closed) gateway->shutdown_write();
  take_stream();
  loop.advance(std::chrono::seconds(30));
  WAYPORT_ASSERT(client || outcome.done(), "a dial ends");

  route::AnswerReader reader;
  const Result<std::size_t> taken = reader.read(as_bytes(sent));
  const bool accepted = taken && reader.verdict() == route::AnswerReader::Verdict::accepted;
  WAYPORT_ASSERT(accepted == (client != nullptr), "a stream comes of a success message, and of nothing else");
  if (accepted) WAYPORT_ASSERT(client_events.received == sent.substr(*taken), "and shows what follows it");
  const std::string fault = client_events.faults.empty() ? "" : client_events.faults.front();
  WAYPORT_ASSERT(fault.empty(), fault.c_str());
  if (!client) WAYPORT_ASSERT(outcome.result->error().code != ErrorCode::internal, "it is the gateway's fault");
  return 0;
}

// A route gateway on loops of its own, and around it backends and clients on one loop of the test. Over real sockets of
// the loopback.
#pragma once

#include <boost/json/object.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "wayport/base/log_testing.h"
#include "wayport/base/loop.h"
#include "wayport/base/runtime.h"
#include "wayport/gateway/relay/relay.h"
#include "wayport/gateway/route/route_gateway.h"
#include "wayport/transport/default_transports.h"
#include "wayport/transport/testing/certificates.h"
#include "wayport/transport/testing/connect.h"
#include "wayport/transport/testing/recorder.h"

namespace wayport::route::testing {

std::string pattern(std::size_t size, unsigned seed);
// Without the length in front of each message.
std::string without_prefixes(std::string_view bytes);
std::size_t open_descriptors();

// A stream that somebody has, and what it was told.
struct End {
  void send(std::string_view bytes) { stream->write(transport::chain_of(bytes)); }
  bool over() const { return events.closed.has_value(); }

  std::unique_ptr<transport::Stream> stream;
  transport::RecordingEvents events;
};

class Backend {
 public:
  Backend(const transport::Transports& all, Loop& loop, const std::string& url);

  std::uint16_t port() const { return listener_->address().port(); }
  std::string target() const { return "127.0.0.1:" + std::to_string(port()); }
  End& last() { return *ends.back(); }

  bool reads = true;  // those that come from now on
  std::vector<std::unique_ptr<End>> ends;

 private:
  std::unique_ptr<transport::Listener> listener_;
};

// Certificates for 127.0.0.1, as parameters of addresses.
struct Tls {
  Tls();
  std::string listen;  // "cert=F&key=F"
  std::string dial;    // "ca=F"

 private:
  transport::TestAuthority authority_;
  transport::TestDirectory directory_;
};
const Tls& tls();

// The transports of this build, of which tcp dials another port than it is told, and shows what accepted connections
// read in pieces of `piece` bytes (0: as it comes).
class Redirected {
 public:
  explicit Redirected(std::size_t piece = 0);
  void to(std::uint16_t named, std::uint16_t meant);

  transport::Transports all = transport::default_transports();

 private:
  class Tcp;
  std::shared_ptr<Tcp> tcp_;
};

// spec/vectors/route.json
boost::json::object vectors();

class LiveRoute {
 public:
  explicit LiveRoute(RouteGatewayOptions options, unsigned loops = 2);
  ~LiveRoute();

  // Through the gateway's n-th address, by the product's own client. What names no backend is for `parameters`.
  std::unique_ptr<End> client(const std::string& target, std::size_t listener = 0, const std::string& parameters = "");
  // The error of such a dial; "": there was none.
  std::string refusal(const std::string& target, std::size_t listener = 0, const std::string& parameters = "");
  // Bytes as they are, to a listener that is a byte stream.
  std::unique_ptr<End> raw(std::size_t listener = 0);
  bool becomes(const std::function<bool()>& holds) { return transport::run_until(loop, holds); }
  std::uint64_t sum(Counter RouteCounters::* counter) const;
  std::int64_t sum(Gauge RouteCounters::* gauge) const;
  std::uint64_t refused(RouteError code) const;
  std::uint64_t ended(relay::RelayEnd end) const;

  Loop loop;  // of clients and backends
  transport::Transports all = transport::default_transports();
  MemoryLog log;
  Runtime runtime;
  RouteGateway gateway;
  std::string failed;  // why it did not start

 private:
  std::string dial_url(const std::string& target, std::size_t listener, const std::string& parameters) const;
};

}  // namespace wayport::route::testing

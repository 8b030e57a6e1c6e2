#include "wayport/tools/bench/servers.h"

#include <unistd.h>

#include <exception>
#include <functional>
#include <memory>

#include "wayport/base/log.h"
#include "wayport/base/runtime.h"
#include "wayport/rpc/peer.h"
#include "wayport/tools/bench/machine.h"
#include "wayport/tools/bench/packet_load.h"
#include "wayport/tools/bench/raw_echo.h"
#include "wayport/tools/bench/rpc_load.h"
#include "wayport/tools/bench/work_load.h"
#include "wayport/transport/address.h"

namespace wayport::tools {
namespace {

// Loopback with bbr, which is the default here and there, measures bbr.
constexpr const char* kCongestion = "congestion=reno";

std::string unix_name(const std::string& what) { return "wayport-bench-" + std::to_string(::getpid()) + "-" + what; }

std::string listen_address(const std::string& transport, const std::string& certificate, const std::string& key) {
  if (transport == "unix") return "unix://@" + unix_name("server");
  if (transport == "tls")
    return std::string("tls://127.0.0.1:0?cert=") + certificate + "&key=" + key + "&" + kCongestion;
  return std::string("tcp://127.0.0.1:0?") + kCongestion;
}

// What the other side dials, from what was bound.
std::string dial_address(const std::string& transport, const std::string& bound, const std::string& certificate) {
  const Result<transport::Address> address = transport::Address::parse(bound);
  if (!address) return bound;
  const std::string at = "127.0.0.1:" + std::to_string(address->port());
  if (transport == "tcp") return "tcp://" + at + "?" + kCongestion;
  if (transport == "tls") return "tls://" + at + "?ca=" + certificate + "&" + kCongestion;
  return bound;
}

// Both kinds of servers: an address in, the bound one out.
using Listen = std::function<Result<std::string>(const std::string& address)>;

int serve(const std::vector<std::string>& transports, const std::string& certificate, const std::string& key,
          const Listen& listen) {
  const RawEchoServer raw(unix_name("raw"));
  Hello hello{{"raw-tcp", std::to_string(raw.port())}, {"raw-unix", "@" + unix_name("raw")}};
  for (const std::string& transport : transports) {
    const Result<std::string> bound = listen(listen_address(transport, certificate, key));
    if (bound) {
      hello[transport] = dial_address(transport, *bound, certificate);
    } else {
      hello[transport + "-error"] = bound.error().to_string();
    }
  }
  return answer_parent(hello);
}

// A peer for each address: a transport that is missing does not take the others with it.
class RpcServers {
 public:
  explicit RpcServers(std::function<void(rpc::Peer&)> add) : add_(std::move(add)) {}
  Result<std::string> listen(const std::string& address) {
    auto peer = std::make_unique<rpc::Peer>(runtime_, rpc::PeerOptions{.listen = {address}, .session = rpc_options()});
    add_(*peer);
    WAYPORT_TRY(peer->start());
    peers_.push_back(std::move(peer));
    return peers_.back()->addresses().front();
  }

 private:
  const std::function<void(rpc::Peer&)> add_;
  Runtime runtime_{{.loops = 1, .log = &null_log()}};
  std::vector<std::unique_ptr<rpc::Peer>> peers_;
};

std::string argument_of(const ServerOptions& options) {
  switch (options.kind) {
    case ServerKind::rpc:
      return "rpc";
    case ServerKind::packet:
      return "packet";
    case ServerKind::work:
      return to_argument(options.work);
  }
  return {};
}

}  // namespace

Result<Servers> Servers::start(std::size_t own_arguments, const ServerOptions& options) {
  WAYPORT_TRY_ASSIGN(SelfSigned certificate, SelfSigned::make());
  std::vector<std::string> arguments{kServeArgument, argument_of(options), std::to_string(options.core),
                                     certificate.certificate(), certificate.key()};
  arguments.insert(arguments.end(), options.transports.begin(), options.transports.end());
  WAYPORT_TRY_ASSIGN(Child child, Child::start(own_arguments, std::move(arguments)));
  return Servers(std::move(certificate), std::move(child));
}

Result<std::string> Servers::address(const std::string& transport) const {
  const Hello& hello = child_.hello();
  if (const auto found = hello.find(transport); found != hello.end()) return found->second;
  const auto why = hello.find(transport + "-error");
  return fail(ErrorCode::unsupported,
              "the server does not listen on " + transport + (why != hello.end() ? ": " + why->second : ""));
}

std::string Servers::raw_address(const std::string& transport) const {
  return child_.hello().at(transport == "unix" ? "raw-unix" : "raw-tcp");
}

int serve_bench(const std::vector<std::string>& arguments) {
  constexpr std::size_t kFixed = 4;
  if (arguments.size() < kFixed) return 2;
  try {
    count_allocations();
    raise_descriptor_limit();
    if (const int core = std::stoi(arguments[1]); core >= 0) pin_to_core(core);
    const std::string& certificate = arguments[2];
    const std::string& key = arguments[3];
    const std::vector<std::string> transports(arguments.begin() + kFixed, arguments.end());
    if (arguments[0] == "rpc") {
      RpcServers servers([](rpc::Peer& peer) { add_routes(peer.router()); });
      return serve(transports, certificate, key, [&](const std::string& address) { return servers.listen(address); });
    }
    if (arguments[0].starts_with("work")) {
      RpcServers servers([work = work_options_of(arguments[0])](rpc::Peer& peer) { add_work(peer, work); });
      return serve(transports, certificate, key, [&](const std::string& address) { return servers.listen(address); });
    }
    PacketServer server;
    return serve(transports, certificate, key, [&](const std::string& address) { return server.listen(address); });
  } catch (const std::exception& error) {
    return refuse_parent(error.what());
  }
}

}  // namespace wayport::tools

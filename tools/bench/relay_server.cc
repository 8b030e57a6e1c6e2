#include "wayport/tools/bench/relay_server.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <cstring>
#include <exception>
#include <future>
#include <memory>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/base/log.h"
#include "wayport/base/runtime.h"
#include "wayport/framing/route/handshake.h"
#include "wayport/gateway/route/route_gateway.h"
#include "wayport/tools/bench/machine.h"
#include "wayport/tools/bench/raw_bulk.h"
#include "wayport/tools/bench/raw_socket.h"
#include "wayport/tools/bench/usage.h"
#include "wayport/transport/address.h"
#include "wayport/transport/kcp/testing/lossy_link.h"

namespace wayport::tools {
namespace {

using transport::kcp::testing::LossyLink;

constexpr const char* kBackend = "backend";
constexpr const char* kGateway = "gateway";
constexpr const char* kLossy = "lossy";

int serve_backend() {
  const RawBackend backend;
  return answer_parent(
      {{"source", std::to_string(backend.source_port())}, {"echo", std::to_string(backend.echo_port())}}, [&] {
        return std::map<std::string, std::uint64_t>{{"source_bytes", backend.source_bytes()},
                                                    {"echo_bytes", backend.echo_bytes()}};
      });
}

std::map<std::string, std::uint64_t> counters_of(const route::RouteGateway& gateway) {
  std::map<std::string, std::uint64_t> sums;
  for (std::size_t loop = 0; loop < gateway.loop_count(); ++loop) {
    const route::RouteCounters& counters = gateway.counters(loop);
    sums["joined"] += counters.joined.read();
    sums["joined_spliced"] += counters.joined_spliced.read();
    for (const Counter& refused : counters.refused) sums["refused"] += refused.read();
  }
  return sums;
}

int serve_gateway(const std::string& listen, const std::string& backend_transport, bool zero_copy) {
  Runtime runtime({.loops = 1, .log = &null_log()});
  route::RouteOptions options;
  options.listen = {listen};
  options.allow = {"127.0.0.1:*"};
  options.open_relay = true;
  options.backend_transport = backend_transport;
  options.success_message = "";
  options.zero_copy = zero_copy;
  route::RouteGateway gateway(runtime, {.routes = {options}});
  if (const Result<void> started = gateway.start(); !started) return refuse_parent(started.error().to_string());
  const std::uint16_t port = transport::Address::parse(gateway.addresses().at(0)).value().port();
  return answer_parent({{"port", std::to_string(port)}}, [&gateway] { return counters_of(gateway); });
}

int serve_lossy(std::uint16_t target, double loss) {
  Runtime runtime({.loops = 1, .log = &null_log()});
  std::unique_ptr<LossyLink> link;
  const auto on_loop = [&runtime](const auto& work) {
    std::promise<void> done;
    runtime.loop(0).post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  };
  on_loop([&] {
    link = std::make_unique<LossyLink>(runtime.loop(0), SocketAddress::from_ip("127.0.0.1", target).value());
    link->up.loss = link->down.loss = loss;
  });
  const int code = answer_parent({{"port", std::to_string(link->port())}});
  on_loop([&] { link.reset(); });
  return code;
}

Result<Child> start_child(std::size_t own_arguments, int core, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {kServeRelayArgument, std::to_string(core)});
  return Child::start(own_arguments, std::move(arguments));
}

Result<void> receive_exactly(int fd, MutableBytes to) {
  if (::recv(fd, to.data(), to.size(), MSG_WAITALL) == static_cast<ssize_t>(to.size())) return {};
  return fail(ErrorCode::peer_closed, "the route gateway did not answer");
}

}  // namespace

Result<BackendChild> BackendChild::start(std::size_t own_arguments, int core) {
  WAYPORT_TRY_ASSIGN(Child child, start_child(own_arguments, core, {kBackend}));
  return BackendChild(std::move(child));
}

Result<GatewayChild> GatewayChild::start(std::size_t own_arguments, int core, const GatewayChildOptions& options) {
  WAYPORT_TRY_ASSIGN(Child child, start_child(own_arguments, core,
                                              {kGateway, options.listen, options.backend_transport,
                                               options.zero_copy ? "splice" : "copy"}));
  return GatewayChild(std::move(child));
}

Result<LossyChild> LossyChild::start(std::size_t own_arguments, int core, std::uint16_t target, double loss) {
  WAYPORT_TRY_ASSIGN(Child child,
                     start_child(own_arguments, core, {kLossy, std::to_string(target), std::to_string(loss)}));
  return LossyChild(std::move(child));
}

Result<void> ask_for_backend(int fd, std::uint16_t backend_port) {
  const timeval patience{.tv_sec = kRawPatienceMs / 1000, .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  const std::string identify = "127.0.0.1:" + std::to_string(backend_port);
  std::byte length[route::kLengthBytes];
  store_le(length, static_cast<std::uint32_t>(identify.size()));
  std::string frame(reinterpret_cast<const char*>(length), sizeof(length));
  frame += identify;
  if (::send(fd, frame.data(), frame.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(frame.size())) {
    return fail(ErrorCode::peer_closed, "the route gateway took no identify");
  }
  WAYPORT_TRY(receive_exactly(fd, length));
  const std::uint32_t size = load_le<std::uint32_t>(length);
  if (size == route::kErrorAnswerWord) {
    return fail(ErrorCode::refused, "the route gateway does not reach the backend at " + identify);
  }
  if (size > route::kSuccessBytesMax) return fail(ErrorCode::malformed, "the answer is not a route gateway's");
  std::vector<std::byte> message(size);
  return message.empty() ? Result<void>() : receive_exactly(fd, message);
}

int serve_relay(const std::vector<std::string>& arguments) {
  if (arguments.size() < 2) return 2;
  try {
    count_allocations();
    raise_descriptor_limit();
    if (const int core = std::stoi(arguments[0]); core >= 0) pin_to_core(core);
    const std::string& what = arguments[1];
    if (what == kBackend) return serve_backend();
    if (what == kGateway && arguments.size() == 5) {
      return serve_gateway(arguments[2], arguments[3], arguments[4] == "splice");
    }
    if (what == kLossy && arguments.size() == 4) {
      return serve_lossy(static_cast<std::uint16_t>(std::stoul(arguments[2])), std::stod(arguments[3]));
    }
    return 2;
  } catch (const std::exception& error) {
    return refuse_parent(error.what());
  }
}

}  // namespace wayport::tools

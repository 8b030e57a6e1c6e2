#include "wayport/tools/demos/through_gateway.h"

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "wayport/base/co.h"
#include "wayport/base/runtime.h"
#include "wayport/gateway/link/link_gateway.h"
#include "wayport/rpc/peer.h"
#include "wayport/tools/demos/server.h"
#include "wayport/transport/default_transports.h"
#include "wayport/transport/link/link_transport.h"
#include "wayport/transport/snet/cutting_transport.h"
#include "wayport/transport/tcp/tcp_transport.h"
#include "wayport/transport/testing/certificates.h"

namespace wayport::tools {
namespace {

using std::chrono::milliseconds;
using transport::CuttingTransport;

constexpr const char* kServerId = "42";

transport::Transports with_link(Log& log) {
  transport::Transports all = transport::default_transports(&log);
  all.add("link", std::make_shared<transport::LinkTransport>(&log));
  return all;
}

link::LinkGatewayOptions gateway_options() {
  link::LinkGatewayOptions options;
  options.listen_clients = {"snet+tcp://127.0.0.1:0"};
  options.listen_servers = {"snet+tcp://127.0.0.1:0"};
  options.key = "demo";
  return options;
}

class ThroughGateway {
 public:
  ThroughGateway(Report& report, Log& log)
      : report_(report),
        key_file_(directory_.write("key", "demo")),
        gateway_runtime_({.loops = 1, .log = &log}),
        gateway_(gateway_runtime_, gateway_options()),
        transports_(with_link(log)),
        server_runtime_({.loops = 1, .log = &log}),
        tcp_(std::make_shared<CuttingTransport>(std::make_shared<transport::TcpTransport>())),
        client_transports_(with_link(log)),
        client_runtime_({.loops = 1, .log = &log}) {
    client_transports_.add("tcp", tcp_);
  }
  ~ThroughGateway() {
    if (client_) client_->close_blocking();
    if (server_) server_->close_blocking();
  }

  void run() {
    const Result<void> started = gateway_.start();
    expect(started.has_value(), started ? "" : started.error().to_string());
    report_.section("link gateway",
                    "clients at " + gateway_.client_addresses()[0] + ", servers at " + gateway_.server_addresses()[0]);
    report_.step("server connects", [this] { return start_server(); });
    report_.step("dial by id", [this] { return dial(); });
    if (!session_) return;
    report_.step("cut in a call", [this] { return cut(); });
    report_.step("server closes", [this] { return end(); });
  }

 private:
  std::string start_server() {
    rpc::PeerOptions options;
    options.listen = {"link+" + gateway_.server_addresses()[0] + "/" + kServerId + "?key_file=" + key_file_};
    options.transports = &transports_;
    server_ = std::make_unique<rpc::Peer>(server_runtime_, options);
    server_->router().on_pull("/work", [this](rpc::Context& context, int ms) -> boost::asio::awaitable<int> {
      working_.put(ms);
      static_cast<void>(co_await sleep_for(context.session().loop(), milliseconds(ms)));
      co_return ms;
    });
    const Result<void> started = server_->start();
    expect(started.has_value(), started ? "" : started.error().to_string());
    for (int i = 0; gateway_.counters(0).servers.read() == 0; ++i) {
      expect(i < 4000, "the gateway does not see the server");
      std::this_thread::sleep_for(milliseconds(5));
    }
    return std::string("a peer is server ") + kServerId + " of the gateway; it listens on no port";
  }

  std::string dial() {
    rpc::PeerOptions options;
    options.transports = &client_transports_;
    client_ = std::make_unique<rpc::Peer>(client_runtime_, options);
    const Result<void> started = client_->start();
    expect(started.has_value(), started ? "" : started.error().to_string());
    const Result<rpc::Session> session =
        client_->dial_blocking("link+" + gateway_.client_addresses()[0] + "/" + kServerId);
    expect(session.has_value(), session ? "" : session.error().to_string());
    session_ = *session;
    expect(gateway_.virtual_count() == 1, "there is no virtual connection");
    return std::string("a session with server ") + kServerId + ", as a virtual connection of the gateway";
  }

  std::string cut() {
    std::future<rpc::Reply<int>> work = session_.pull_future<int>("/work", 300);
    expect(working_.take() == 300, "the server does not work");
    const std::size_t dials = tcp_->dials;
    std::promise<void> done;
    client_runtime_.loop(0).post([&] {
      tcp_->cut_all();
      done.set_value();
    });
    done.get_future().wait();
    expect(tcp_->cuts == 1, "nothing was cut");
    const rpc::Reply<int> reply = work.get();
    expect(reply.ok(), reply.status().to_string());
    expect(*reply == 300, "another answer");
    expect(tcp_->dials == dials + 1, "the client did not connect again");
    expect(session_.healthy() && gateway_.virtual_count() == 1, "it was not the same session");
    return "the client's tcp connection was cut while /work of 300 ms ran: snet connected again, and the call was "
           "answered\n"
           "on the same session and the same virtual connection";
  }

  std::string end() {
    server_->close_blocking();
    for (int i = 0; session_.healthy() || gateway_.virtual_count() != 0; ++i) {
      expect(i < 4000, "the session or its virtual connection does not end");
      std::this_thread::sleep_for(milliseconds(5));
    }
    return "the server closed: the session ended, and the gateway forgot its virtual connection";
  }

  Report& report_;
  const transport::TestDirectory directory_;
  const std::string key_file_;
  Inbox<int> working_;
  Runtime gateway_runtime_;
  link::LinkGateway gateway_;
  const transport::Transports transports_;
  Runtime server_runtime_;
  const std::shared_ptr<CuttingTransport> tcp_;
  transport::Transports client_transports_;
  Runtime client_runtime_;
  std::unique_ptr<rpc::Peer> server_;
  std::unique_ptr<rpc::Peer> client_;
  rpc::Session session_;
};

}  // namespace

void talk_through_gateway(Report& report, Log& log) {
  try {
    ThroughGateway(report, log).run();
  } catch (const std::exception& error) {
    const std::string why = error.what();
    report.step("gateway", [&why]() -> std::string { throw StepFailed(why); });
  }
}

}  // namespace wayport::tools

// Against websockets not written here: the distribution's python3-websockets, as client and as server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "wayport/base/testing/process.h"
#include "wayport/transport/tcp/tcp_transport.h"
#include "wayport/transport/testing/certificates.h"
#include "wayport/transport/testing/connect.h"
#include "wayport/transport/testing/recorder.h"
#include "wayport/transport/tls/tls_transport.h"
#include "wayport/transport/ws/handshake.h"
#include "wayport/transport/ws/ws_transport.h"

namespace wayport::transport {
namespace {

using wayport::testing::Finished;
using wayport::testing::Process;
using wayport::testing::runfile;

// The distribution's own, whatever else the PATH offers.
constexpr const char* kPython = "/usr/bin/python3";

class WsInterop : public ::testing::Test {
 protected:
  WsInterop() {
    all.add("ws", std::make_shared<WsTransport>());
    all.add("wss", std::make_shared<WsTransport>());
    all.add("tls", std::make_shared<TlsTransport>());
    all.add("tcp", std::make_shared<TcpTransport>());
  }

  Transports all;
  Loop loop;
};

// Sends each message back.
class Echo final : public StreamEvents {
 public:
  explicit Echo(std::unique_ptr<Stream> its) : stream(std::move(its)) { stream->start(*this); }

  std::unique_ptr<Stream> stream;
  bool closed = false;

 private:
  std::size_t on_bytes(MutableBytes bytes, bool message_end) override {
    Chain chain;
    chain.append(Bytes(bytes));
    stream->write(std::move(chain), message_end);
    return bytes.size();
  }
  void on_writable() override {}
  void on_read_end() override { stream->shutdown_write(); }
  void on_closed(const CloseReason&) override { closed = true; }
};

class WsInteropClient : public WsInterop {
 protected:
  void serve(const std::string& address, const std::string& scheme, const std::string& ca) {
    auto listener = all.listen(loop, *Address::parse(address), {});
    ASSERT_TRUE(listener) << listener.error().to_string();
    std::list<Echo> echoes;
    (*listener)->start([&](std::unique_ptr<Incoming> incoming) {
      const std::string_view path = incoming->peer().http->path();
      if (path == "/echo") {
        echoes.emplace_back(incoming->accept());
      } else if (path == "/401") {
        incoming->reject({ErrorCode::refused, "no token", ws::http_status(401)});
      } else if (path == "/403") {
        incoming->reject({ErrorCode::refused, "", {}});
      } else if (path == "/502") {
        incoming->reject({ErrorCode::unreachable, "", {}});
      } else {
        incoming->reject({ErrorCode::not_found, "", {}});
      }
    });
    std::vector<std::string> arguments = {kPython, runfile("transport/ws/testing/ws_client.py"),
                                          scheme + "://127.0.0.1:" + std::to_string((*listener)->address().port())};
    if (!ca.empty()) arguments.push_back(ca);
    Process client(arguments);
    // Its three connections; what comes after them is only refused.
    EXPECT_TRUE(run_until(
        loop, [&] { return echoes.size() == 3 && std::ranges::all_of(echoes, &Echo::closed); },
        std::chrono::seconds(60)));
    std::atomic<bool> over = false;
    std::thread waiting([&] {
      const Finished finished = client.finish();
      EXPECT_EQ(finished.exit_code, 0) << finished.err;
      EXPECT_EQ(finished.out, "all as it should be\n") << finished.err;
      over = true;
    });
    EXPECT_TRUE(run_until(loop, [&] { return over.load(); }, std::chrono::seconds(90)));
    waiting.join();
  }
};

TEST_F(WsInteropClient, PythonTalksToOurListener) {
  serve("ws://127.0.0.1:0?messages=1&protocol=v1&protocol=v2", "ws", "");
}

TEST_F(WsInteropClient, PythonTalksToOurListenerOverTls) {
  const TestDirectory directory;
  const TestAuthority authority;
  const IssuedCertificate issued = authority.issue({.ip_addresses = {"127.0.0.1"}});
  serve("wss://127.0.0.1:0?messages=1&protocol=v1&cert=" + directory.write("s.pem", issued.cert_pem) +
            "&key=" + directory.write("s.key", issued.key_pem),
        "wss", directory.write("ca.pem", authority.cert_pem()));
}

TEST_F(WsInterop, WeTalkToPythonsServer) {
  Process server({kPython, runfile("transport/ws/testing/ws_server.py")});
  const std::string line = server.wait_for_line("port ");
  ASSERT_FALSE(line.empty());
  const std::string url = "ws://127.0.0.1:" + line.substr(5);
  const auto dial = [&](const std::string& rest) {
    auto outcome = std::make_unique<DialOutcome>();
    dial_into(*outcome, all, loop, url + rest);
    EXPECT_TRUE(run_until(loop, [&] { return outcome->done(); }));
    return std::move(*outcome->result);
  };

  auto made = dial("/x?messages=1&protocol=v1&message=2MiB");
  ASSERT_TRUE(made) << made.error().to_string();
  Stream& stream = **made;
  EXPECT_EQ(stream.peer().http->subprotocol, "v1");
  RecordingEvents events;
  stream.start(events);
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{125}, std::size_t{126}, std::size_t{65536}, std::size_t{900'000}}) {
    events.received.clear();
    const std::size_t before = events.message_ends;
    stream.write(chain_of(std::string(size, 'm')), true);
    ASSERT_TRUE(run_until(loop, [&] { return events.message_ends > before || events.closed; })) << size;
    EXPECT_EQ(events.received, std::string(size, 'm'));
  }
  // In three fragments there, in two here; its ping in between costs it a second if nobody answers.
  events.received.clear();
  const std::size_t before = events.message_ends;
  stream.write(chain_of("frag"));
  loop.run_turn();
  stream.write(chain_of("ments"), true);
  ASSERT_TRUE(run_until(loop, [&] { return events.message_ends > before; }));
  EXPECT_EQ(events.received, "abc");

  stream.write(chain_of("bye"), true);
  ASSERT_TRUE(run_until(loop, [&] { return events.closed.has_value(); }));
  EXPECT_THAT(to_string(*events.closed), ::testing::HasSubstr("code 4001: \"as you wish\""));

  auto refused = dial("/no");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().cause, ws::http_status(401));

  // Our end first.
  made = dial("/y");
  ASSERT_TRUE(made) << made.error().to_string();
  RecordingEvents second;
  (*made)->start(second);
  (*made)->write(chain_of("last"));
  ASSERT_TRUE(run_until(loop, [&] { return second.received == "last"; }));
  (*made)->shutdown_write();
  ASSERT_TRUE(run_until(loop, [&] { return second.closed.has_value(); }));
  EXPECT_EQ(second.closed->error.code, ErrorCode::peer_closed) << to_string(*second.closed);
  EXPECT_THAT(to_string(*second.closed), ::testing::HasSubstr("ended in order"));
  EXPECT_THAT(events.faults, ::testing::IsEmpty());
}

}  // namespace
}  // namespace wayport::transport

// Goal: what the users of gogateway-light run, runs here: a backend over tcp and kcp, players over tcp, kcp and websocket,
// the program in between with the file that they have. Method: all of them as processes on ports of the loopback.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <string>

#include "wayport/base/testing/process.h"
#include "wayport/transport/testing/certificates.h"

namespace wayport::integration {
namespace {

using testing::Finished;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Process;
using testing::ProcessOptions;
using testing::runfile;

// Of the address in a line.
std::string port_of(const std::string& line) {
  const std::size_t begin = line.find("://") + 3;
  const std::string place = line.substr(begin, line.find_first_of("?/\" ", begin) - begin);
  return place.substr(place.rfind(':') + 1);
}

class ExamplesTest : public ::testing::Test {
 protected:
  // `common`: more lines of [common].
  void start_gateway(const std::string& common) {
    const std::string config = directory.write(
        "config.toml",
        "[tcpgate]\nport = 0\nenabled = true\ndial_timeout = 5\nzero_copy = true\n"
        "[kcpgate]\nport = 0\nenabled = true\ndial_timeout = 5\nzero_copy = false\n"
        "[wsgate]\nport = 0\nenabled = true\ndial_timeout = 5\nzero_copy = false\n"
        "[common]\ndial_retry = 1\nheader_identify = \"ipHost\"\n"
        "success_resp_message = \"b2s=\"\nconnect_timeout = 5\n" +
            common + "[allow]\ntargets = [\"127.0.0.1:" + tcp_port + "\", \"127.0.0.1:" + kcp_port + "\"]\n");
    gateway = std::make_unique<Process>(
        std::vector<std::string>{runfile("gateway/wayport-gateway"), "gogateway", "--config", config},
        ProcessOptions{.directory = directory.path()});
    tcp_gate = port_of(gateway->wait_for_error_line("route=tcp address="));
    kcp_gate = port_of(gateway->wait_for_error_line("route=kcp address="));
    ws_gate = port_of(gateway->wait_for_error_line("route=ws address="));
  }
  ExamplesTest() {
    tcp_port = port_of(backend.wait_for_line("listening on tcp:"));
    kcp_port = port_of(backend.wait_for_line("listening on kcp:"));
  }
  ~ExamplesTest() override {
    for (Process* const process : {gateway.get(), &backend}) {
      if (process == nullptr) continue;
      process->signal(SIGTERM);
      EXPECT_EQ(process->finish().exit_code, 0);
    }
  }
  void play(const std::string& url) const {
    const Finished client = testing::run({runfile("integration/examples/client"), url, "one", "two"});
    EXPECT_EQ(client.exit_code, 0) << client.err;
    EXPECT_THAT(client.out, HasSubstr("hello\n"));
    EXPECT_THAT(client.out, HasSubstr("echo: one\n"));
    EXPECT_THAT(client.out, HasSubstr("echo: two\n"));
    EXPECT_THAT(client.err, IsEmpty());
  }

  transport::TestDirectory directory;
  Process backend{{runfile("integration/examples/backend"), "tcp://127.0.0.1:0", "kcp://127.0.0.1:0?fec=10,3"}};
  std::unique_ptr<Process> gateway;
  std::string tcp_port, kcp_port, tcp_gate, kcp_gate, ws_gate;
};

TEST_F(ExamplesTest, PlayersOfEveryTransportReachOneTcpServer) {
  start_gateway("kcp_reciprocity = false\n");
  const std::string to = "/127.0.0.1:" + tcp_port;
  play("route+tcp://127.0.0.1:" + tcp_gate + to);
  play("route+kcp://127.0.0.1:" + kcp_gate + to + "?fec=10,3");
  play("route+ws://127.0.0.1:" + ws_gate + to);
}

TEST_F(ExamplesTest, WithReciprocityKcpPlayersReachAKcpServer) {
  start_gateway("kcp_reciprocity = true\n");
  play("route+kcp://127.0.0.1:" + kcp_gate + "/127.0.0.1:" + kcp_port + "?fec=10,3");
  play("route+tcp://127.0.0.1:" + tcp_gate + "/127.0.0.1:" + tcp_port);
}

TEST_F(ExamplesTest, ABackendThatIsNotAllowedIsRefusedInWords) {
  start_gateway("");
  const Finished client = testing::run(
      {runfile("integration/examples/client"), "route+tcp://127.0.0.1:" + tcp_gate + "/127.0.0.1:" + tcp_gate, "one"});
  EXPECT_EQ(client.exit_code, 1);
  EXPECT_THAT(client.err, HasSubstr("the gateway answered \"error\""));
}

}  // namespace
}  // namespace wayport::integration

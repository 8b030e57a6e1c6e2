// Goal: every case of integration/CONTRACT.md passes between two processes of this program, and what has to fail does.
// Method: both roles as processes on the loopback; the server's address is what it prints behind READY; links and routes go
// through a process of wayport-gateway. Clients at servers that answer wrongly are in wrong_answers_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wayport/tools/wayport/testing/served.h"
#include "wayport/transport/testing/certificates.h"

namespace wayport::tools::interop {
namespace {

using ::testing::AllOf;
using testing::Finished;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Process;
using testing::ProcessOptions;
using ::testing::StartsWith;

using Variables = std::vector<std::pair<std::string, std::string>>;

Variables operator+(Variables left, const Variables& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

// Of any case; a later value of a variable wins.
const Variables kCommon = {{"SEED", "7"}, {"TIMEOUT", "30"}};
const Variables kTeleport = {{"VERSION", "2.5"}, {"CODEC", "json"}, {"HEADER", "json"},
                             {"GZIP", "0"},      {"COUNT", "20"},   {"BYTES", "2000"}};
const Variables kLink = {{"ID", "42"}, {"KEY", "secret"}, {"COUNT", "150"}, {"BYTES", "3000"}};

ProcessOptions environment(const Variables& variables) {
  std::map<std::string, std::string> last;
  for (const auto& [name, value] : kCommon + variables) last[name] = value;
  ProcessOptions options;
  for (const auto& [name, value] : last) options.environment.push_back("INTEROP_" + name + "=" + value);
  return options;
}
std::vector<std::string> command(std::vector<std::string> more = {}) {
  more.insert(more.begin(), {testing::wayport_program(), "interop"});
  return more;
}

// A process that serves, until it is gone.
class Server {
 public:
  explicit Server(const Variables& variables, const std::vector<std::string>& arguments = {})
      : process_(command(arguments), environment(variables)) {
    const std::string line = process_.wait_for_line("READY");
    ready_ = !line.empty();
    if (line.size() > kReady.size()) address_ = line.substr(kReady.size());
  }
  bool ready() const { return ready_; }
  const std::string& address() const { return address_; }
  Finished end() {
    process_.signal(SIGTERM);
    return process_.finish();
  }
  Finished wait() { return process_.finish(); }

 private:
  static constexpr std::string_view kReady = "READY ";
  Process process_;
  bool ready_ = false;
  std::string address_;
};

Finished client(const Variables& variables) { return testing::run(command(), environment(variables)); }

void expect_passed(const Finished& ended) {
  EXPECT_EQ(ended.exit_code, 0) << ended.err;
  EXPECT_THAT(ended.out, AllOf(StartsWith("RESULT {\"milliseconds\":"), HasSubstr("}\n")));
  EXPECT_THAT(ended.err, IsEmpty());
}
void expect_failed(const Finished& ended, const std::string& why) {
  EXPECT_EQ(ended.exit_code, 1);
  EXPECT_THAT(ended.out, IsEmpty());
  EXPECT_THAT(ended.err, AllOf(HasSubstr("expected "), HasSubstr("; came: "), HasSubstr(why)));
}
void expect_ended(const Finished& ended) {
  EXPECT_EQ(ended.exit_code, 0) << ended.err;
  EXPECT_THAT(ended.err, IsEmpty());
}

// A pair of roles at one address.
void expect_pair_passes(const std::string& role, const std::string& what, const std::string& listen,
                        const Variables& more, const std::string& dial_parameters = {}) {
  SCOPED_TRACE(what + " over " + listen);
  const std::string prefix = role.empty() ? "" : role + "-";
  Server server(more + Variables{{"ROLE", prefix + "server"}, {"CASE", what}, {"ADDRESS", listen}});
  ASSERT_TRUE(server.ready());
  expect_passed(client(
      more + Variables{{"ROLE", prefix + "client"}, {"CASE", what}, {"ADDRESS", server.address() + dial_parameters}}));
  expect_ended(server.end());
}

// --- Teleport ---

class TeleportCase : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(All, TeleportCase,
                         ::testing::Values("echo", "large", "concurrent", "order", "push", "status", "not-found",
                                           "bad-body", "query", "back", "limit"),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           std::erase(name, '-');
                           return name;
                         });

TEST_P(TeleportCase, PassesInEachCodec) {
  for (const std::string codec : {"json", "protobuf", "plain"}) {
    const std::string other = codec == "json" ? "protobuf" : "json";
    expect_pair_passes(
        "", GetParam(), "tcp://127.0.0.1:0",
        kTeleport + Variables{{"CODEC", codec}, {"HEADER", other}, {"GZIP", codec == "plain" ? "0" : "5"}});
  }
}

TEST(Teleport, PassesInEachRelease) {
  for (const std::string version : {"2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6"}) {
    expect_pair_passes("", "push", "tcp://127.0.0.1:0", kTeleport + Variables{{"VERSION", version}});
  }
}

TEST(Teleport, PassesOverEachTransport) {
  for (const std::string transport : {"ws", "kcp", "snet+tcp"}) {
    expect_pair_passes("", "back", transport + "://127.0.0.1:0", kTeleport);
  }
  const testing::TlsFiles files;
  const std::string parameters = files.listen_url().substr(files.listen_url().find('?'));
  for (const std::string transport : {"tls", "wss"}) {
    expect_pair_passes("", "back", transport + "://127.0.0.1:0" + parameters, kTeleport, files.dial_parameters());
  }
}

// --- links ---

// A gateway of the program that the images have, on free ports.
class LinkGateway {
 public:
  LinkGateway()
      : process_({testing::runfile("gateway/wayport-gateway"), "fastway", "-ClientAddr=tcp://127.0.0.1:0",
                  "-ServerAddr=tcp://127.0.0.1:0", "-ServerAuthKey=secret", "-ClientMaxConn=0", "-PidFile="}) {
    for (std::string* const to : {&clients, &servers}) {
      const std::string line = process_.wait_for_error_line("link gateway listens for ");
      *to = line.substr(line.find("address=") + 8);
    }
    EXPECT_FALSE(process_.wait_for_error_line("ready pid=").empty());
  }
  void kill() {
    process_.signal(SIGKILL);
    process_.finish();
  }

  std::string clients;
  std::string servers;

 private:
  Process process_;
};

Variables link_server(const LinkGateway& gateway, const std::string& what) {
  return kLink + Variables{{"ROLE", "link-server"}, {"CASE", what}, {"ADDRESS", gateway.servers}};
}
Variables link_client(const LinkGateway& gateway, const std::string& what) {
  return kLink + Variables{{"ROLE", "link-client"}, {"CASE", what}, {"ADDRESS", gateway.clients}};
}

class LinkCase : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(All, LinkCase, ::testing::Values("echo", "max", "many", "unknown", "close", "dialed"),
                         [](const auto& parameter) { return parameter.param; });

TEST_P(LinkCase, Passes) {
  const LinkGateway gateway;
  const std::string what = "link-" + GetParam();
  Server server(link_server(gateway, what));
  ASSERT_TRUE(server.ready());
  EXPECT_EQ(server.address(), "");  // it listens nowhere
  expect_passed(client(link_client(gateway, what)));
  expect_ended(server.end());
}

TEST(Link, AServerWithAWrongKeyIsRefused) {
  const LinkGateway gateway;
  Server refused(link_server(gateway, "link-key"));
  EXPECT_FALSE(refused.ready());
  expect_ended(refused.wait());
}

TEST(Link, NoGatewayIsNoRefusal) {
  LinkGateway gateway;
  gateway.kill();
  Server server(link_server(gateway, "link-key"));
  EXPECT_FALSE(server.ready());
  expect_failed(server.wait(), "expected a connection to the gateway; came: refused");
}

TEST(Link, AServerThatTheGatewayDoesNotTakeSaysSo) {
  const LinkGateway gateway;
  Server server(link_server(gateway, "link-echo") + Variables{{"KEY", "another"}});
  EXPECT_FALSE(server.ready());
  expect_failed(server.wait(), "expected that the gateway takes the server; came: ");
}

TEST(Link, AServerThatLosesItsGatewaySaysSo) {
  LinkGateway gateway;
  Server server(link_server(gateway, "link-echo"));
  ASSERT_TRUE(server.ready());
  gateway.kill();
  const Finished ended = server.wait();
  EXPECT_EQ(ended.exit_code, 1);
  EXPECT_THAT(ended.err, HasSubstr("expected the gateway's connection until SIGTERM; came: "));
}

TEST(Link, AClientWithoutAServerFails) {
  const LinkGateway gateway;
  expect_failed(client(link_client(gateway, "link-echo")), "expected a virtual connection to 42; came: refused");
}

TEST(Link, AMissingMessageIsSeen) {
  const LinkGateway gateway;
  Server server(link_server(gateway, "link-echo"), {"--broken", "frame"});
  ASSERT_TRUE(server.ready());
  expect_failed(client(link_client(gateway, "link-echo")), "expected the echo of message 100 ");
  // Ninety-nine messages are not affected; the server counts on.
  expect_passed(client(link_client(gateway, "link-echo") + Variables{{"COUNT", "40"}}));
  expect_ended(server.end());
}

TEST(Link, TheLastMissingMessageIsWaitedForInVain) {
  const LinkGateway gateway;
  Server server(link_server(gateway, "link-echo"), {"--broken", "frame"});
  ASSERT_TRUE(server.ready());
  expect_failed(client(link_client(gateway, "link-echo") + Variables{{"COUNT", "100"}, {"TIMEOUT", "1"}}),
                "expected the echo of message 100; came: nothing within 1s");
  expect_ended(server.end());
}

// --- streams ---

const Variables kStream = {{"BYTES", "300000"}};

TEST(Stream, PassesOverEachTransport) {
  for (const std::string transport : {"tcp", "ws", "kcp", "snet+tcp"}) {
    expect_pair_passes("stream", "stream", transport + "://127.0.0.1:0", kStream);
  }
  expect_pair_passes("stream", "stream", "kcp://127.0.0.1:0?fec=10,3", kStream, "?fec=10,3");
  const testing::TlsFiles files;
  const std::string parameters = files.listen_url().substr(files.listen_url().find('?'));
  for (const std::string transport : {"tls", "wss", "snet+tls"}) {
    expect_pair_passes("stream", "stream", transport + "://127.0.0.1:0" + parameters, kStream, files.dial_parameters());
  }
  expect_pair_passes("stream", "stream-half", "tls://127.0.0.1:0" + parameters, kStream, files.dial_parameters());
}

TEST(Stream, CasesPass) {
  expect_pair_passes("stream", "stream", "tcp://127.0.0.1:0", {{"BYTES", "0"}});
  expect_pair_passes("stream", "stream-half", "tcp://127.0.0.1:0", {{"BYTES", "0"}});
  expect_pair_passes("stream", "stream-half", "tcp://127.0.0.1:0", kStream);
  expect_pair_passes("stream", "stream-cut", "snet+tcp://127.0.0.1:0", kStream);
}

TEST(Stream, ASlowReaderReadsWhatItSays) {
  Server server({{"ROLE", "stream-server"}, {"CASE", "stream-slow"}, {"ADDRESS", "tcp://127.0.0.1:0"}});
  ASSERT_TRUE(server.ready());
  const Finished passed =
      client({{"ROLE", "stream-client"}, {"CASE", "stream-slow"}, {"ADDRESS", server.address()}, {"BYTES", "2000000"}});
  expect_passed(passed);
  // Two seconds at 64 KiB/s are not enough for two megabytes.
  const std::string_view result = "RESULT {\"milliseconds\":";
  EXPECT_GE(std::stoi(passed.out.substr(result.size())), 2000) << passed.out;
  expect_ended(server.end());
}

TEST(Stream, PassesThroughALink) {
  const LinkGateway gateway;
  const transport::TestDirectory directory;
  const std::string key = directory.write("key", "secret");
  Server server(kStream + Variables{{"ROLE", "stream-server"},
                                    {"CASE", "stream"},
                                    {"ADDRESS", "link+" + gateway.servers + "/42?key_file=" + key}});
  ASSERT_TRUE(server.ready());
  expect_passed(
      client(kStream +
             Variables{{"ROLE", "stream-client"}, {"CASE", "stream"}, {"ADDRESS", "link+" + gateway.clients + "/42"}}));
  expect_ended(server.end());
}

TEST(Stream, AListenerOfALinkIsNotReadyWithoutAGateway) {
  LinkGateway gateway;
  gateway.kill();
  const transport::TestDirectory directory;
  Server server({{"ROLE", "stream-server"},
                 {"CASE", "stream"},
                 {"TIMEOUT", "1"},
                 {"ADDRESS", "link+" + gateway.servers + "/42?key_file=" + directory.write("key", "secret")}});
  EXPECT_FALSE(server.ready());
  expect_failed(server.wait(), "timed_out: no gateway has taken us within 1s");
}

// --- routes ---

class RouteGateway {
 public:
  // Allows the loopback, but for one address of it.
  RouteGateway() : process_(arguments()) {
    for (std::string* const to : {&tcp, &kcp, &ws}) {
      const std::string line = process_.wait_for_error_line("route gateway listens");
      const std::size_t begin = line.find("://");
      const std::string scheme = to == &tcp ? "tcp" : to == &kcp ? "kcp" : "ws";
      *to = "route+" + scheme + line.substr(begin, line.find_first_of("?\"", begin) - begin) + "/";
    }
    EXPECT_FALSE(process_.wait_for_error_line("ready pid=").empty());
  }

  std::string tcp;
  std::string kcp;
  std::string ws;

 private:
  std::vector<std::string> arguments() const {
    const std::string file =
        directory_.write("gateway.toml",
                         "[[route]]\n"
                         "listen = [\"tcp://127.0.0.1:0\", \"kcp://127.0.0.1:0\", \"ws://127.0.0.1:0\"]\n"
                         "allow = [\"127.0.0.1:*\"]\n"
                         "[process]\npid_file = \"\"\n");
    return {testing::runfile("gateway/wayport-gateway"), "--config", file};
  }

  const transport::TestDirectory directory_;
  Process process_;
};

TEST(Route, StreamsPass) {
  const RouteGateway gateway;
  for (const std::string what : {"stream", "stream-half"}) {
    Server server({{"ROLE", "stream-server"}, {"CASE", what}, {"ADDRESS", "tcp://127.0.0.1:0"}});
    ASSERT_TRUE(server.ready());
    const std::string backend = server.address().substr(server.address().find("://") + 3);
    for (const std::string* const through : {&gateway.tcp, &gateway.kcp, &gateway.ws}) {
      SCOPED_TRACE(what + " through " + *through);
      const Finished ended =
          client(kStream + Variables{{"ROLE", "stream-client"}, {"CASE", what}, {"ADDRESS", *through + backend}});
      if (what == "stream-half" && through != &gateway.tcp) {
        EXPECT_EQ(ended.exit_code, 127);
      } else {
        expect_passed(ended);
      }
    }
    expect_ended(server.end());
  }
}

TEST(Route, ARefusalIsWhatItIs) {
  const RouteGateway gateway;
  const Variables refused = {{"ROLE", "stream-client"}, {"CASE", "route-refused"}};
  for (const std::string* const through : {&gateway.tcp, &gateway.kcp, &gateway.ws}) {
    expect_passed(client(refused + Variables{{"ADDRESS", *through + "127.0.0.2:9"}}));
  }
  Server server({{"ROLE", "stream-server"}, {"CASE", "stream"}, {"ADDRESS", "tcp://127.0.0.1:0"}});
  ASSERT_TRUE(server.ready());
  const std::string backend = server.address().substr(server.address().find("://") + 3);
  expect_failed(client(refused + Variables{{"ADDRESS", gateway.tcp + backend}}),
                "expected the refusal of the gateway; came: a connection");
  // Who has no gateway was not refused by one.
  expect_ended(server.end());
  expect_failed(client(refused + Variables{{"ADDRESS", "route+tcp://" + backend + "/127.0.0.1:1"}}),
                "expected the refusal of the gateway; came: refused: ");
}

TEST(Route, AnotherCertificateIsNoRefusal) {
  const testing::TlsFiles files;
  const testing::TlsFiles others;
  Server server({{"ROLE", "stream-server"}, {"CASE", "stream"}, {"ADDRESS", files.listen_url()}});
  ASSERT_TRUE(server.ready());
  const std::string place = server.address().substr(server.address().find("://") + 3);
  const std::string dial = "route+tls://" + place + "/127.0.0.1:1";
  expect_failed(
      client({{"ROLE", "stream-client"}, {"CASE", "route-refused"}, {"ADDRESS", dial + others.dial_parameters()}}),
      "expected the refusal of the gateway; came: ");
}

// --- the program ---

TEST(Interop, AWrongStatusIsSeen) {
  const Variables status = kTeleport + Variables{{"CASE", "status"}};
  Server server(status + Variables{{"ROLE", "server"}, {"ADDRESS", "tcp://127.0.0.1:0"}}, {"--broken", "status"});
  ASSERT_TRUE(server.ready());
  const Variables dial = {{"ROLE", "client"}, {"ADDRESS", server.address()}};
  expect_failed(client(status + dial), "expected status 1001 interop of /interop/fail; came: 1002 interop");
  // And nothing else.
  for (const std::string what : {"echo", "order", "not-found", "query"}) {
    expect_passed(client(kTeleport + dial + Variables{{"CASE", what}}));
  }
  expect_ended(server.end());
}

TEST(Interop, WhatIsNotSupportedPrintsNothing) {
  const Variables base = kTeleport + Variables{{"ROLE", "server"}, {"CASE", "echo"}, {"ADDRESS", "tcp://127.0.0.1:0"}};
  for (const Variables& change : std::initializer_list<Variables>{{{"ROLE", "gateway"}},
                                                                  {{"CASE", "juggle"}},
                                                                  {{"ADDRESS", "quic://127.0.0.1:0"}},
                                                                  {{"CODEC", "xml"}},
                                                                  {{"VERSION", "3.0"}}}) {
    const Finished ended = client(base + change);
    EXPECT_EQ(ended.exit_code, 127) << change[0].second;
    EXPECT_EQ(ended.out, "");
    EXPECT_THAT(ended.err, HasSubstr(" is not supported\n"));
  }
}

TEST(Interop, AMistakeIsNoLackOfSupport) {
  const Finished missing = testing::run(command(), ProcessOptions{.environment = {"INTEROP_ROLE=server"}});
  EXPECT_EQ(missing.exit_code, 2);
  EXPECT_EQ(missing.out, "");
  EXPECT_EQ(missing.err, "error: INTEROP_CASE is not set\n");
  EXPECT_EQ(testing::wayport({"interop", "--broken", "everything"}).exit_code, 2);
}

TEST(Interop, HelpNamesTheContract) {
  const Finished help = testing::wayport({"interop", "--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, AllOf(HasSubstr("integration/CONTRACT.md"), HasSubstr("--broken"), HasSubstr("127"),
                              HasSubstr("Example:\n  ")));
}

TEST(Interop, AnAddressThatIsTakenIsNoReadyServer) {
  Server first({{"ROLE", "stream-server"}, {"CASE", "stream"}, {"ADDRESS", "tcp://127.0.0.1:0"}});
  ASSERT_TRUE(first.ready());
  for (const Variables& role : {Variables{{"ROLE", "stream-server"}, {"CASE", "stream"}},
                                kTeleport + Variables{{"ROLE", "server"}, {"CASE", "echo"}}}) {
    Server second(role + Variables{{"ADDRESS", first.address()}});
    EXPECT_FALSE(second.ready());
    expect_failed(second.wait(), "expected that it listens; came: ");
  }
  expect_ended(first.end());
}

}  // namespace
}  // namespace wayport::tools::interop

// The wayport program from outside: exit codes, what goes to which output, limits, time-outs, signals, secrets.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>

#include <fstream>
#include <iterator>
#include <string>

#include "wayport/base/log.h"
#include "wayport/base/runtime.h"
#include "wayport/base/socket.h"
#include "wayport/rpc/peer.h"
#include "wayport/tools/wayport/testing/served.h"

namespace wayport::tools {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using testing::Finished;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Process;
using testing::Served;
using ::testing::StartsWith;
using testing::wayport;
using testing::wayport_program;

// --- the command line ---

TEST(CommandLine, ExplainsEveryCommandWithAnExample) {
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"serve"}, {"call"}, {"push"}, {"listen"}, {"pipe"}, {"decode"}, {"decode", "teleport"}}) {
    std::vector<std::string> arguments = command;
    arguments.emplace_back("--help");
    const Finished help = wayport(arguments);
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_THAT(help.out, HasSubstr("Example:\n  ")) << command.back();
    EXPECT_THAT(help.out, HasSubstr("wayport " + command.front()));
    EXPECT_EQ(help.err, "");
  }
  const Finished all = wayport({"--help"});
  EXPECT_EQ(all.exit_code, 0);
  for (const char* command :
       {"serve", "call", "push", "listen", "pipe", "decode", "bench", "--version", "--log-level"}) {
    EXPECT_THAT(all.out, HasSubstr(command));
  }
  EXPECT_THAT(wayport({"--version"}).out, StartsWith("wayport "));
}

TEST(CommandLine, RefusesWhatItDoesNotKnowWithTwo) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"dance"},
      {"call"},
      {"call", "tcp://127.0.0.1:1"},
      {"call", "tcp://127.0.0.1:1", "/x", "--codec", "xml"},
      {"call", "tcp://127.0.0.1:1", "/x", "--header-codec", "string"},
      {"call", "tcp://127.0.0.1:1", "/x", "--gzip", "10"},
      {"call", "tcp://127.0.0.1:1", "/x", "--gzip", "fast"},
      {"call", "tcp://127.0.0.1:1", "/x", "--timeout", "soon"},
      {"call", "tcp://127.0.0.1:1", "/x", "--timeout", "0s"},
      {"call", "tcp://127.0.0.1:1", "/x", "--peer-version", "1.9"},
      {"call", "tcp://127.0.0.1:1", "/x", "--read-limit", "much"},
      {"call", "tcp://127.0.0.1:1", "/x", "--codec", "raw", "--body", "jx", "--gzip", "1"},
      {"serve"},
      {"serve", "--listen", "tcp://127.0.0.1:0", "--peer-version", "2.0", "--peer-version", "2.5"},
      {"pipe"},
      {"pipe", "tcp://127.0.0.1:1", "--timeout", "0s"},
      {"decode"},
      {"decode", "teleport", "--in", "morse"},
      {"--log-level", "loud", "listen", "tcp://127.0.0.1:1"},
  };
  for (const std::vector<std::string>& arguments : wrong) {
    const Finished refused = wayport(arguments);
    EXPECT_EQ(refused.exit_code, 2) << ::testing::PrintToString(arguments);
    EXPECT_EQ(refused.out, "");
    EXPECT_NE(refused.err, "");
  }
}

TEST(CommandLine, RefusesABodyThatIsNoJsonBeforeItDials) {
  const Finished refused = wayport({"call", "tcp://127.0.0.1:1", "/x", "--body", "{\"a\":"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, StartsWith("error: invalid_argument: the body is no JSON ("));
}

TEST(CommandLine, BlanksSecretsInTheProcessList) {
  Served served;
  std::ifstream file("/proc/" + std::to_string(served.process().pid()) + "/cmdline");
  const std::string shown{std::istreambuf_iterator<char>(file), {}};
  EXPECT_THAT(shown, AllOf(HasSubstr("serve"), HasSubstr("/cert.pem&key=***"), Not(HasSubstr("key.pem"))));
}

// --- call and push ---

class Program : public ::testing::Test {
 protected:
  Finished call(std::vector<std::string> arguments, std::string_view input = {}) {
    arguments.insert(arguments.begin(), {"call", url()});
    return wayport(arguments, input);
  }
  const std::string& url() { return served_.url("tcp"); }
  Served served_;
};

TEST_F(Program, PrintsDataOnStandardOutputAndErrorsElsewhere) {
  const Finished good = call({"/echo", "--body", "[1, 2]"});
  EXPECT_EQ(good.exit_code, 0);
  EXPECT_EQ(good.out, "[1, 2]");
  EXPECT_EQ(good.err, "");
  const Finished bad = call({"/fail?code=4711&text=%1b%5b2Jown"});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_EQ(bad.out, "");
  EXPECT_EQ(bad.err, "error: 4711 \\x1b[2Jown\n");
  // A status without text is named as far as it is known; code 0 is an error, too.
  EXPECT_EQ(call({"/fail?code=404"}).err, "error: 404 Not Found\n");
  EXPECT_EQ(call({"/fail?code=0&text=zero"}).err, "error: 0 zero\n");
  EXPECT_EQ(call({"/a%zz"}).err, "error: 400 parse \"/a%zz\": invalid URL escape \"%zz\"\n");
}

TEST_F(Program, AnswersInJsonForPrograms) {
  EXPECT_EQ(call({"/sum", "--body", "[1,2]", "--json"}).out,
            "{\"code\":200,\"codec\":\"json\",\"gzip\":0,\"body\":\"3\"}\n");
  EXPECT_EQ(call({"/echo", "--json"}).out, "{\"code\":200,\"codec\":null,\"gzip\":0,\"body\":\"\"}\n");
  EXPECT_EQ(call({"/echo", "--json", "--codec", "flatbuffers", "--gzip", "9", "--body", "-"}, "\xff\x01").out,
            "{\"code\":200,\"codec\":\"flatbuffers\",\"gzip\":9,\"body_hex\":\"ff01\"}\n");
  const Finished bad = call({"/fail?code=1001&text=no", "--json"});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_EQ(bad.out, "{\"code\":1001,\"text\":\"no\",\"origin\":\"remote\"}\n");
}

TEST_F(Program, GivesUpAfterTheTimeout) {
  const Finished late = call({"/sleep?ms=600000", "--timeout", "50ms", "--json"});
  EXPECT_EQ(late.exit_code, 1);
  EXPECT_THAT(late.out, AllOf(StartsWith("{\"code\":504,"), EndsWith("\"origin\":\"local\"}\n")));
  EXPECT_THAT(late.err, AllOf(StartsWith("error: 504 no reply from tcp://"), EndsWith("(from this side)\n")));
}

TEST_F(Program, ExplainsWhyItCannotDial) {
  const Finished refused = wayport({"call", "tcp://127.0.0.1:1", "/x"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, StartsWith("error: cannot dial tcp://127.0.0.1:1: refused: "));
  const Finished unknown = wayport({"push", "carrier-pigeon://h:1?key=secret", "/x"});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_THAT(unknown.err, AllOf(StartsWith("error: cannot dial "), Not(HasSubstr("secret"))));
  // A server that cannot be verified is not talked to.
  const std::string tls = served_.url("tls");
  const Finished unverified = wayport({"call", tls.substr(0, tls.find('?')), "/echo"});
  EXPECT_EQ(unverified.exit_code, 1);
  EXPECT_THAT(unverified.err, StartsWith("error: cannot dial tls://127.0.0.1:"));
}

TEST_F(Program, PushesToAnotherReleaseAreRefusedByIt) {
  // To 2.5 the push type of 2.0 is unsupported: it closes.
  EXPECT_EQ(wayport({"push", url(), "/log", "--peer-version", "2.0", "--body", "1"}).out, "");
  EXPECT_THAT(served_.process().wait_for_error_line("unsupported packet type"), HasSubstr("type=4"));
}

TEST_F(Program, APushThatIsNotTakenIsNoSuccess) {
  served_.process().signal(SIGSTOP);
  // More than sockets hold.
  const std::string body(20'000'000, 'x');
  const Finished stuck =
      wayport({"push", url(), "/log", "--codec", "string", "--body", "-", "--timeout", "300ms"}, body);
  EXPECT_EQ(stuck.exit_code, 1);
  EXPECT_EQ(stuck.err, "error: the peer did not take the push within 300ms\n");
  served_.process().signal(SIGCONT);
  EXPECT_NE(served_.process().wait_for_error_line("the stream ended inside a packet"), "");
}

// --- limits ---

// The size of a request for /echo with a string body of `bytes`.
std::size_t packet_bytes(std::size_t bytes) {
  const std::size_t header = 1 + std::string_view(R"({"type":1,"uri":"/echo"})").size();
  return 8 + header + 1 + bytes;
}

TEST(Limits, TheServerTakesAPacketOfItsLimitAndClosesForOneByteMore) {
  const std::size_t body = 1000;
  Served served({"--read-limit", std::to_string(packet_bytes(body))});
  for (const std::string_view transport : Served::kTransports) {
    SCOPED_TRACE(transport);
    const std::string& url = served.url(transport);
    Process other({wayport_program(), "listen", url});
    ASSERT_NE(other.wait_for_line("connected to "), "");

    const std::string fits(body, 'x');
    EXPECT_EQ(wayport({"call", url, "/echo", "--codec", "string", "--body", fits}).out, fits);
    const Finished refused = wayport({"call", url, "/echo", "--codec", "string", "--body", fits + "y"});
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_THAT(refused.err, StartsWith("error: 101 Connection Closed"));
    EXPECT_THAT(served.process().wait_for_error_line("session closed"),
                AllOf(HasSubstr("error=too_large"), HasSubstr(std::to_string(packet_bytes(body)))));
    // The others have not noticed.
    EXPECT_EQ(wayport({"call", url, "/echo", "--codec", "string", "--body", fits}).exit_code, 0);
    EXPECT_EQ(wayport({"call", url, "/broadcast?path=/still/here", "--body", "1"}).out, "1");
    EXPECT_NE(other.wait_for_line("push /still/here"), "");
  }
}

TEST_F(Program, TheCallerBoundsWhatItReadsAndInflates) {
  const std::string body(5000, 'x');
  const Finished too_large = call({"/echo", "--codec", "string", "--body", body, "--read-limit", "1000"});
  EXPECT_EQ(too_large.exit_code, 1);
  EXPECT_THAT(call({"--log-level", "warning", "/echo", "--body", "\"" + body + "\"", "--read-limit", "1000"}).err,
              HasSubstr("warning session closed"));
  EXPECT_THAT(too_large.err, AllOf(StartsWith("error: 101 "), HasSubstr("too_large"), HasSubstr("1000")));
  const std::vector<std::string> inflating = {"/echo", "--codec", "string", "--gzip",
                                              "9",     "--body",  body,     "--inflate-limit"};
  std::vector<std::string> at_limit = inflating;
  at_limit.emplace_back("5000");
  EXPECT_EQ(call(at_limit).out, body);
  std::vector<std::string> above = inflating;
  above.emplace_back("4999");
  const Finished bomb = call(above);
  EXPECT_EQ(bomb.exit_code, 1);
  EXPECT_THAT(bomb.err, AllOf(StartsWith("error: 502 "), HasSubstr("4999")));
}

// --- serve and listen ---

TEST_F(Program, ListenPrintsEveryPushAndAnswersPulls) {
  Process listening({wayport_program(), "listen", url(), "--json"});
  const std::string connected = listening.wait_for_line("connected");
  const std::size_t at = connected.find("\"id\":\"") + 6;
  const std::string id = connected.substr(at, connected.find('"', at) - at);
  EXPECT_EQ(call({"/broadcast?path=/any/path", "--body", "[1]"}).out, "1");
  EXPECT_EQ(listening.wait_for_line("push"),
            "{\"push\":\"/any/path\",\"from\":\"" + url() + "\",\"codec\":\"json\",\"body\":\"[1]\"}");
  EXPECT_EQ(
      call({"/broadcast?path=/zipped", "--body", "a body, a body, a body", "--codec", "string", "--gzip", "9"}).out,
      "1");
  EXPECT_THAT(listening.wait_for_line("push"), HasSubstr("\"body\":\"a body, a body, a body\""));
  EXPECT_EQ(call({"/relay?path=/sum&to=" + id, "--body", "[20,22]"}).out, "42");
  EXPECT_EQ(call({"/relay?path=/nowhere&to=" + id}).err, "error: 404 Not Found\n");
  listening.signal(SIGTERM);
  const Finished ended = listening.finish();
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_EQ(ended.err, "");
}

TEST_F(Program, ListenEndsWithTheReasonWhenTheServerGoes) {
  Process listening({wayport_program(), "listen", url()});
  ASSERT_NE(listening.wait_for_line("connected to "), "");
  served_.process().signal(SIGTERM);
  EXPECT_EQ(served_.process().finish().exit_code, 0);
  const Finished ended = listening.finish();
  EXPECT_EQ(ended.exit_code, 1);
  EXPECT_THAT(ended.err, AllOf(StartsWith("error: the session ended: "), HasSubstr("peer_closed")));
}

TEST_F(Program, ServeEndsGracefullyOnEitherSignal) {
  for (const int number : {SIGTERM, SIGINT}) {
    Served served;
    // A session whose handler runs when the signal comes; the answered echo proves that the sleep was begun.
    Runtime runtime({.loops = 1, .log = &null_log()});
    rpc::Peer peer(runtime);
    ASSERT_TRUE(peer.start());
    const Result<rpc::Session> session = peer.dial_blocking(served.url("tcp"));
    ASSERT_TRUE(session);
    std::future<rpc::Reply<int>> slept = session->pull_future<int>("/sleep?ms=300");
    EXPECT_TRUE(session->pull_blocking<int>("/echo", 1));
    served.process().signal(number);
    const rpc::Reply<int> reply = slept.get();
    EXPECT_TRUE(reply) << reply.status().to_string();
    const Finished ended = served.process().finish();
    EXPECT_EQ(ended.exit_code, 0);
    EXPECT_EQ(ended.err, "");
  }
}

TEST_F(Program, ServeEndsAtOnceOnTheSecondSignal) {
  Runtime runtime({.loops = 1, .log = &null_log()});
  rpc::Peer peer(runtime);
  ASSERT_TRUE(peer.start());
  const Result<rpc::Session> session = peer.dial_blocking(url());
  ASSERT_TRUE(session);
  std::future<rpc::Reply<int>> slept = session->pull_future<int>("/sleep?ms=600000");
  EXPECT_TRUE(session->pull_blocking<int>("/echo", 1));
  served_.process().signal(SIGTERM);
  // It closes its listeners first, and waits for the handler then.
  while (peer.dial_blocking(url())) {
  }
  served_.process().signal(SIGTERM);
  EXPECT_EQ(served_.process().finish().exit_code, 1);
  EXPECT_FALSE(slept.get());
}

TEST_F(Program, PipeEndsWhenBothSidesHave) {
  for (const std::string_view transport : Served::kTransports) {
    const Finished ended = wayport({"pipe", served_.url(transport)});
    EXPECT_EQ(ended.exit_code, 0) << transport << ": " << ended.err;
    EXPECT_EQ(ended.out, "");
    EXPECT_EQ(ended.err, "");
  }
  const Finished nobody = wayport({"pipe", "tcp://127.0.0.1:1?nodelay=1"}, "lost");
  EXPECT_EQ(nobody.exit_code, 1);
  EXPECT_EQ(nobody.out, "");
  EXPECT_THAT(nobody.err, AllOf(StartsWith("error: tcp://127.0.0.1:1: "), HasSubstr("refused")));
}

TEST(Pipe, ASignalEndsItWhileItWaits) {
  const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  // Its input has ended; the peer's side has not.
  Process process({wayport_program(), "pipe", "tcp://127.0.0.1:" + std::to_string(ntohs(address.sin_port))});
  const Fd peer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_EQ(::send(peer.get(), "ready\n", 6, MSG_NOSIGNAL), 6);
  ASSERT_EQ(process.wait_for_line("ready"), "ready");
  process.signal(SIGTERM);
  const Finished ended = process.finish();
  EXPECT_EQ(ended.exit_code, 1);
  EXPECT_EQ(ended.out, "ready\n");
  EXPECT_THAT(ended.err, HasSubstr("interrupted before both directions had ended"));
}

TEST(Serve, TellsWhichAddressItCannotHave) {
  Served served;
  const Finished taken = wayport({"serve", "--listen", "tcp://127.0.0.1:0", "--listen", served.url("tcp")});
  EXPECT_EQ(taken.exit_code, 1);
  EXPECT_EQ(taken.out, "");
  EXPECT_THAT(taken.err, AllOf(StartsWith("error: "), HasSubstr("cannot listen on " + served.url("tcp"))));
}

TEST(Serve, GivesEveryAddressItsRelease) {
  Process serving({wayport_program(), "serve", "--json", "--listen", "tcp://127.0.0.1:0", "--peer-version", "2.0",
                   "--listen", "tcp://127.0.0.1:0", "--peer-version", "2.6"});
  std::vector<std::string> urls;
  for (int i = 0; i < 2; ++i) {
    const std::string line = serving.wait_for_line("{\"listening\":\"tcp://");
    ASSERT_GT(line.size(), 16u);
    urls.push_back(line.substr(14, line.size() - 16));
  }
  for (const auto& [version, url] : {std::pair<std::string, std::string>("2.0", urls[0]), {"2.6", urls[1]}}) {
    EXPECT_EQ(wayport({"push", url, "/log", "--peer-version", version, "--body", version}).exit_code, 0);
    EXPECT_THAT(serving.wait_for_line("\"push\":\"/log\""),
                EndsWith("\"codec\":\"json\",\"body\":\"" + version + "\"}"));
  }
}

// --- decode ---

TEST(Decode, ReadsHexFromStandardInput) {
  const std::string packet = "00000014 7010011a0f2f67726f75702f686f6d652f737472 0000000e 7368656c6c6f20776179706f7274";
  const Finished decoded = wayport({"decode", "teleport"}, packet + "\n");
  EXPECT_EQ(decoded.exit_code, 0);
  EXPECT_EQ(decoded.out,
            "       0  pull   seq=0 uri=/group/home/str header=protobuf/19 body=string/13 size=42 : hello wayport\n");
  const Finished cut = wayport({"decode", "teleport", "--in", "hex", "--json"}, packet.substr(0, 41));
  EXPECT_EQ(cut.exit_code, 1);
  EXPECT_THAT(cut.out, StartsWith("{\"offset\":0,\"error\":{\"code\":\"peer_closed\""));
  EXPECT_THAT(cut.err, StartsWith("error: the stream does not decode to its end"));
}

}  // namespace
}  // namespace wayport::tools

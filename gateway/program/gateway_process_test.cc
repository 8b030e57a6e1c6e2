// Goal: an operator may stop the original and start this program in its place. Method: the program as a real process in
// a directory of its own, driven by signals and files as operators do, with plain sockets for clients and servers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "wayport/base/socket.h"
#include "wayport/base/testing/process.h"
#include "wayport/framing/link/packet.h"
#include "wayport/gateway/program/testing/raw_link.h"
#include "wayport/transport/testing/certificates.h"

namespace wayport::gateway {
namespace {

using gateway::testing::RawLink;
using link::Command;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using wayport::testing::Finished;
using wayport::testing::Process;
using wayport::testing::ProcessOptions;

const std::string& program() {
  static const std::string path = wayport::testing::runfile("gateway/wayport-gateway");
  return path;
}

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

class ProgramTest : public ::testing::Test {
 protected:
  // Successors become children of the test when their parents end.
  ProgramTest() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }
  ~ProgramTest() override {
    if (successor > 0) ::kill(successor, SIGKILL);
  }

  std::string at(const std::string& name) const { return directory.path() + "/" + name; }
  std::string write(const std::string& name, const std::string& text) const { return directory.write(name, text); }

  // `fastway` with two ports of 127.0.0.1 and an admin listener, until it serves.
  void start(std::vector<std::string> more = {}, std::vector<std::string> environment = {}) {
    std::vector<std::string> arguments = {program(),     "fastway",    "-ClientAddr", "127.0.0.1:0", "-ServerAddr",
                                          "127.0.0.1:0", "-AdminAddr", ":0",          "-Loops",      "2"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    start_as(arguments, std::move(environment));
  }
  void start_as(const std::vector<std::string>& arguments, std::vector<std::string> environment = {}) {
    process = std::make_unique<Process>(
        arguments, ProcessOptions{.directory = directory.path(), .environment = std::move(environment)});
    wait_until_it_serves();
  }
  void wait_until_it_serves() {
    clients = after(process->wait_for_error_line("setup client listener at - "), " - ");
    servers = after(process->wait_for_error_line("setup server listener at - "), " - ");
    admin = after(process->wait_for_error_line("admin listener at - "), " - ");
    pid = std::atoi(text_of(at("fastway.pid")).c_str());
  }
  static std::string after(const std::string& line, const std::string& mark) {
    const std::size_t found = line.find(mark);
    return found == std::string::npos ? std::string() : line.substr(found + mark.size());
  }
  // To the process that the pid file names.
  void signal(int number) const { ::kill(pid, number); }
  void command(const std::string& text) const {
    write("fastway.cmd", text);
    signal(SIGUSR1);
  }
  void restart() {
    signal(SIGUSR2);
    wait_until_it_serves();
    successor = pid;
  }
  // SIGTERM, and how it ended.
  Finished stop() {
    signal(SIGTERM);
    Finished finished = process->finish();
    successor = -1;
    return finished;
  }
  Finished run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), program());
    return wayport::testing::run(arguments, ProcessOptions{.directory = directory.path()});
  }
  int health(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"health", admin};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments).exit_code;
  }
  // From the admin listener.
  std::string http_get(const std::string& path) const {
    const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_storage where{};
    const auto port = static_cast<std::uint16_t>(std::atoi(admin.c_str() + admin.rfind(':') + 1));
    const socklen_t size = SocketAddress::from_ip("127.0.0.1", port)->store(where);
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&where), size), 0);
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n";
    EXPECT_EQ(::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL), ssize_t(request.size()));
    std::string answer;
    char piece[4096];
    for (ssize_t got; (got = ::recv(socket.get(), piece, sizeof(piece), 0)) > 0;) {
      answer.append(piece, static_cast<std::size_t>(got));
    }
    return answer;
  }
  // A server with an id, and a client that has a virtual connection to it.
  void join(std::uint32_t id = 7, const std::string& key = "") {
    server = std::make_unique<RawLink>(servers);
    server->authenticate(key, id);
    server->send(Command::ping());
    ASSERT_EQ(server->next(), "Ping");
    client = std::make_unique<RawLink>(clients);
    client->send(Command::dial(id));
    ASSERT_THAT(client->next(), StartsWith("Accept "));
    ASSERT_THAT(connection_text = server->next(), StartsWith("Connect "));
    connection = static_cast<std::uint32_t>(std::atoi(connection_text.c_str() + 8));
  }
  void expect_traffic() {
    client->send(connection, "there");
    EXPECT_EQ(server->next(), "Data " + std::to_string(connection) + " there");
    server->send(connection, "and back");
    EXPECT_EQ(client->next(), "Data " + std::to_string(connection) + " and back");
  }

  const transport::TestDirectory directory;
  std::unique_ptr<Process> process;
  std::unique_ptr<RawLink> server;
  std::unique_ptr<RawLink> client;
  std::string connection_text;
  std::uint32_t connection = 0;
  std::string clients;
  std::string servers;
  std::string admin;
  pid_t pid = -1;
  pid_t successor = -1;
};

// --- start and end ---

TEST_F(ProgramTest, SaysWhoItIsInAPidFileAndEndsAtSigtermAndSigint) {
  for (const int number : {SIGTERM, SIGINT}) {
    write("fastway.pid", "an old one, longer than any number");
    start();
    EXPECT_EQ(text_of(at("fastway.pid")), std::to_string(process->pid()));
    struct stat status{};
    ASSERT_EQ(::stat(at("fastway.pid").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0133, 0u);
    join();
    expect_traffic();
    signal(number);
    const Finished finished = process->finish();
    EXPECT_EQ(finished.exit_code, 0);
    EXPECT_THAT(finished.err, HasSubstr("fastway killed"));
    EXPECT_FALSE(exists(at("fastway.pid")));
    EXPECT_THAT(client->next(), AnyOf("end", StartsWith("Close ")));
  }
}

TEST_F(ProgramTest, APidFileThatIsALinkIsRefusedBeforeAPortIsBound) {
  const std::string target = write("target", "precious");
  ASSERT_EQ(::symlink(target.c_str(), at("fastway.pid").c_str()), 0);
  const Finished finished = run({"fastway", "-ClientAddr", "127.0.0.1:0", "-ServerAddr", "127.0.0.1:0"});
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_THAT(finished.err, AllOf(HasSubstr("fastway.pid"), HasSubstr("symbolic link"), Not(HasSubstr("listen"))));
  EXPECT_EQ(text_of(target), "precious");
}

TEST_F(ProgramTest, BadFlagsEndInOneLineBeforeAPortIsBound) {
  const Finished finished = run({"fastway", "-ClientAddr=:0", "-ServerSendChanSize=0"});
  EXPECT_EQ(finished.exit_code, 2);
  EXPECT_THAT(finished.err, StartsWith("error: -ServerSendChanSize is 0; it has to be 1 to "));
  EXPECT_FALSE(exists(at("fastway.pid")));
  EXPECT_EQ(run({"fastway", "-ClientAdr=:0"}).exit_code, 2);
}

TEST_F(ProgramTest, AnAddressInUseIsFatalAndNamed) {
  start();
  const Finished finished = run({"fastway", "-ClientAddr", clients, "-ServerAddr", "127.0.0.1:0", "-PidFile="});
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_THAT(finished.err, HasSubstr(clients));
  EXPECT_EQ(text_of(at("fastway.pid")), std::to_string(process->pid()));
  EXPECT_EQ(stop().exit_code, 0);
}

TEST_F(ProgramTest, HelpAndVersionAreThere) {
  const Finished help = run({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, AllOf(HasSubstr("Examples:"), HasSubstr("fastway"), HasSubstr("health"), HasSubstr("--check")));
  EXPECT_THAT(run({"fastway", "-h"}).out, AllOf(HasSubstr("-ServerAuthPassword"), HasSubstr("Example:")));
  EXPECT_THAT(run({"health", "--help"}).out, HasSubstr("HEALTHCHECK"));
  EXPECT_THAT(run({"--version"}).out, HasSubstr("wayport-gateway"));
  EXPECT_EQ(run({}).exit_code, 2);
  EXPECT_EQ(run({"fast"}).exit_code, 2);
}

TEST_F(ProgramTest, WithDrainTimeSigtermWaitsForVirtualConnections) {
  start({"-DrainTime", "1h"});
  join();
  EXPECT_EQ(health(), 0);
  signal(SIGTERM);
  EXPECT_NE(process->wait_for_error_line("told to end"), "");
  // Dials are refused, what is there goes on, and probes see it.
  while (health() == 0) {
  }
  client->send(Command::dial(7));
  EXPECT_EQ(client->next(), "Refuse 7");
  expect_traffic();
  const Finished probe = run({"health", admin});
  EXPECT_EQ(probe.exit_code, 1);
  EXPECT_THAT(probe.err, HasSubstr("503 draining"));
  client->send(Command::close(connection));
  const Finished finished = process->finish();
  EXPECT_EQ(finished.exit_code, 0);
  EXPECT_FALSE(exists(at("fastway.pid")));
}

// --- control ---

TEST_F(ProgramTest, Sigusr1RunsWhatStandsInTheCommandFile) {
  start();
  join();
  command("help\n");
  EXPECT_NE(process->wait_for_error_line("lookup goroutine [#detail]"), "");
  EXPECT_NE(process->wait_for_error_line("command done command=help"), "");

  command("  cpuprof start \r\n");
  EXPECT_NE(process->wait_for_error_line("command=\"cpuprof start\""), "");
  command("cpuprof start");
  EXPECT_THAT(process->wait_for_error_line("a command failed"), HasSubstr("already"));
  command("cpuprof stop");
  EXPECT_NE(process->wait_for_error_line("samples written to fastway.cpu.prof"), "");
  // What pprof reads begins with the words 0, 3, 0, sampling period, 0.
  const std::string profile = text_of(at("fastway.cpu.prof"));
  ASSERT_GE(profile.size(), 5 * sizeof(std::uint64_t));
  const auto* const words = reinterpret_cast<const std::uint64_t*>(profile.data());
  EXPECT_EQ(words[0], 0u);
  EXPECT_EQ(words[1], 3u);
  EXPECT_EQ(words[2], 0u);
  command("cpuprof stop");
  EXPECT_THAT(process->wait_for_error_line("a command failed"), HasSubstr("start one first"));

  // As documented and as the original wants it.
  for (const std::string lookup : {"lookup goroutine", "lookup goroutine 2"}) {
    command(lookup);
    EXPECT_NE(process->wait_for_error_line("written to fastway.goroutine.prof"), "");
    EXPECT_THAT(text_of(at("fastway.goroutine.prof")),
                AllOf(ContainsRegex("# threads\nthread=[0-9]+ name=.* state=[RS] "), HasSubstr("name=wayport-0 "),
                      ContainsRegex("# sessions\n.*client=1 "), HasSubstr("server=7 "),
                      ContainsRegex("# virtual connections\n.*" + std::to_string(connection))));
    ::unlink(at("fastway.goroutine.prof").c_str());
  }
  command("lookup threadcreate 0");
  EXPECT_NE(process->wait_for_error_line("written to fastway.threadcreate.prof"), "");
  EXPECT_THAT(text_of(at("fastway.threadcreate.prof")), HasSubstr("name=wayport-1 "));
  command("lookup block 0");
  EXPECT_NE(process->wait_for_error_line("written to fastway.block.prof"), "");
  EXPECT_THAT(text_of(at("fastway.block.prof")), StartsWith("# queues\n"));
  command("lookup gc 0");
  EXPECT_THAT(process->wait_for_error_line("command=\"lookup gc 0\""), HasSubstr("resident "));

  command("lookup heap 0");
  const std::string heap = process->wait_for_error_line("lookup heap 0");
#if !defined(__has_feature)
#define __has_feature(x) 0
#endif
#if __has_feature(address_sanitizer)
  EXPECT_THAT(heap, HasSubstr("sanitizer"));
#else
  EXPECT_THAT(heap, HasSubstr("written to fastway.heap.prof"));
  EXPECT_THAT(text_of(at("fastway.heap.prof")),
              AllOf(ContainsRegex("^heap profile: +[0-9]+: +[0-9]+ \\[ *[0-9]+: +[0-9]+\\] @ heap_v2/524288\n"),
                    HasSubstr("MAPPED_LIBRARIES:\n")));
#endif
  expect_traffic();
  EXPECT_EQ(stop().exit_code, 0);
}

TEST_F(ProgramTest, CommandFilesAreUntrusted) {
  start();
  signal(SIGUSR1);
  EXPECT_THAT(process->wait_for_error_line("no command"), HasSubstr("fastway.cmd"));
  for (const char* const text : {"halt", "lookup heap 12345", "lookup heap; rm -rf", "", "lookup\nheap"}) {
    command(text);
    EXPECT_THAT(process->wait_for_error_line("unsupported command: "), Not(HasSubstr("\x1b"))) << text;
  }
  command("\x1b[2J");
  EXPECT_THAT(process->wait_for_error_line("unsupported command: "), HasSubstr("x1b[2J"));
  command(std::string(5000, 'x'));
  EXPECT_THAT(process->wait_for_error_line("no command"), HasSubstr("more than 4096 bytes"));
  // Nothing is written through a link, and none is read.
  const std::string target = write("target", "precious");
  ASSERT_EQ(::symlink(target.c_str(), at("fastway.cpu.prof").c_str()), 0);
  ASSERT_EQ(::symlink(target.c_str(), at("fastway.goroutine.prof").c_str()), 0);
  for (const char* const text : {"cpuprof start", "lookup goroutine 0"}) {
    command(text);
    EXPECT_THAT(process->wait_for_error_line("a command failed"), HasSubstr("symbolic link"));
  }
  EXPECT_EQ(text_of(target), "precious");
  const std::string help = write("other.cmd", "help");
  ::unlink(at("fastway.cmd").c_str());
  ASSERT_EQ(::symlink(help.c_str(), at("fastway.cmd").c_str()), 0);
  signal(SIGUSR1);
  EXPECT_THAT(process->wait_for_error_line("no command"), HasSubstr("symbolic link"));
  ::unlink(at("fastway.cmd").c_str());
  ASSERT_EQ(::mkfifo(at("fastway.cmd").c_str(), 0600), 0);
  signal(SIGUSR1);
  EXPECT_THAT(process->wait_for_error_line("no command"), HasSubstr("no regular file"));
  EXPECT_EQ(health(), 0);
  EXPECT_EQ(stop().exit_code, 0);
}

// --- restart ---

TEST_F(ProgramTest, Sigusr2ReplacesItWhileOldConnectionsGoOn) {
  start({"-DrainTime", "1h", "-ServerAuthKey", "secret"});
  join(7, "secret");
  const std::string address = clients;
  const pid_t old = pid;
  // Nobody who connects meanwhile is refused, by whichever process.
  std::atomic<bool> stop_connecting = false;
  int connected = 0;
  int refused = 0;
  std::thread connecting([&] {
    while (!stop_connecting) ++(RawLink(address).connected() ? connected : refused);
  });
  restart();
  stop_connecting = true;
  connecting.join();
  EXPECT_NE(pid, old);
  EXPECT_EQ(clients, address);
  EXPECT_GT(connected, 0);
  EXPECT_EQ(refused, 0);
  // The old process still carries what it had, and takes no dials once every loop has heard that the new one is ready.
  EXPECT_TRUE(process->wait_until_error_has("link gateway drains"));
  expect_traffic();
  client->send(Command::dial(7));
  EXPECT_EQ(client->next(), "Refuse 7");
  // The new one knows the key, and serves who comes to it.
  const std::unique_ptr<RawLink> old_server = std::move(server);
  const std::unique_ptr<RawLink> old_client = std::move(client);
  const std::uint32_t old_connection = connection;
  join(8, "secret");
  expect_traffic();
  old_client->send(Command::close(old_connection));
  EXPECT_NE(process->wait_for_error_line("fastway replaced"), "");
  expect_traffic();
  EXPECT_EQ(text_of(at("fastway.pid")), std::to_string(pid));
  EXPECT_EQ(health(), 0);
  client->send(Command::close(connection));  // it would be waited for
  const Finished finished = stop();
  EXPECT_EQ(finished.exit_code, 0);  // the first one's
  EXPECT_FALSE(exists(at("fastway.pid")));
}

TEST_F(ProgramTest, WithoutDrainTimeEverybodyComesBackToTheNewProcess) {
  start();
  join();
  restart();
  EXPECT_THAT(client->next(), AnyOf("end", StartsWith("Close ")));
  join();
  expect_traffic();
  EXPECT_EQ(stop().exit_code, 0);
}

TEST_F(ProgramTest, ANewProcessThatFailsLeavesTheOldOneServing) {
  const std::string key = write("key", "secret\n");
  start({"-ServerAuthKeyFile", key});
  ::unlink(key.c_str());
  signal(SIGUSR2);
  EXPECT_THAT(process->wait_for_error_line("the restart failed"), HasSubstr("exit code 2"));
  join(7, "secret");
  expect_traffic();
  EXPECT_EQ(text_of(at("fastway.pid")), std::to_string(process->pid()));
  EXPECT_EQ(stop().exit_code, 0);
  EXPECT_FALSE(exists(at("fastway.pid")));
}

// --- secrets ---

TEST_F(ProgramTest, KeysComeFromFlagFileOrEnvironmentAndAreNotInTheProcessList) {
  const std::string key = write("key", "secret\n");
  const std::vector<std::vector<std::string>> flags = {
      {"-ServerAuthKey", "secret"}, {"--ServerAuthPassword=secret"}, {"-ServerAuthKeyFile", key}, {}};
  for (const std::vector<std::string>& each : flags) {
    start(each, each.empty() ? std::vector<std::string>{"WAYPORT_SERVER_AUTH_KEY=secret"} : std::vector<std::string>{});
    EXPECT_THAT(text_of("/proc/" + std::to_string(pid) + "/cmdline"), Not(HasSubstr("secret")));
    RawLink stranger(servers);
    stranger.authenticate("guess", 7);
    EXPECT_EQ(stranger.next(), "end");
    join(7, "secret");
    expect_traffic();
    EXPECT_EQ(stop().exit_code, 0);
  }
}

// --- admin ---

TEST_F(ProgramTest, TheAdminListenerShowsWhatHappens) {
  start();
  join();
  expect_traffic();
  EXPECT_THAT(admin, StartsWith("127.0.0.1:"));
  EXPECT_EQ(health(), 0);
  EXPECT_EQ(run({"health", "http://" + admin + "/healthz"}).out, "ok\n");
  EXPECT_EQ(run({"health", "http://" + admin + "/nope"}).exit_code, 1);
  const std::string metrics = http_get("/metrics");
  EXPECT_THAT(metrics, AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("text/plain; version=0.0.4"),
                             HasSubstr("# TYPE wayport_link_connections gauge\n"),
                             HasSubstr("\nwayport_link_connections{kind=\"client\"} 1\n"),
                             HasSubstr("\nwayport_link_connections{kind=\"server\"} 1\n"),
                             HasSubstr("\nwayport_link_virtual_connections 1\n"),
                             HasSubstr("\nwayport_link_frames_total{to=\"client\"} 1\n"),
                             HasSubstr("\nwayport_link_dials_accepted_total 1\n"),
                             HasSubstr("\nprocess_resident_memory_bytes ")));
  EXPECT_THAT(http_get("/readyz"), AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("\r\n\r\nready\n")));
  EXPECT_EQ(stop().exit_code, 0);
}

TEST_F(ProgramTest, HealthExitsZeroOnlyIfReady) {
  start();
  EXPECT_EQ(health(), 0);
  EXPECT_EQ(run({"health", "http://" + servers, "--timeout", "100ms"}).exit_code, 1);  // no HTTP there
  EXPECT_EQ(run({"health"}).exit_code, 2);
  EXPECT_EQ(run({"health", admin, "--timeout", "now"}).exit_code, 2);
  EXPECT_EQ(stop().exit_code, 0);
  const Finished finished = run({"health", admin});
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_THAT(finished.err, AllOf(StartsWith("error: "), HasSubstr(admin)));
}

// --- configuration ---

TEST_F(ProgramTest, AFileSaysTheSameAsFlagsAndMore) {
  const transport::TestAuthority authority;
  const transport::IssuedCertificate issued = authority.issue({.ip_addresses = {"127.0.0.1"}});
  const std::string cert = write("cert.pem", issued.cert_pem);
  const std::string private_key = write("key.pem", issued.key_pem);
  const std::string ca = write("ca.pem", authority.cert_pem());
  const std::string config = write("gateway.toml",
                                   "[link]\n"
                                   "client_address = \"127.0.0.1:0\"\n"
                                   "server_address = [\"127.0.0.1:0\", \"tls://127.0.0.1:0?cert=" +
                                       cert + "&key=" + private_key +
                                       "\"]\n"
                                       "server_auth_key = \"secret\"\n"
                                       "client_max_conn = 1\n"
                                       "[admin]\n"
                                       "address = \"tls://127.0.0.1:0?cert=" +
                                       cert + "&key=" + private_key +
                                       "\"\n"
                                       "[process]\n"
                                       "loops = 1\n");
  const Finished checked = run({"--config", config, "--check"});
  EXPECT_EQ(checked.exit_code, 0) << checked.err;
  EXPECT_EQ(checked.out, config + ": ok\n");
  EXPECT_FALSE(exists(at("fastway.pid")));

  start_as({program(), "--config", config});
  join(7, "secret");
  expect_traffic();
  client->send(Command::dial(7));
  EXPECT_EQ(client->next(), "Refuse 7");
  EXPECT_THAT(admin, StartsWith("tls://127.0.0.1:"));
  EXPECT_EQ(run({"health", admin + "?ca=" + ca}).exit_code, 0);
  EXPECT_EQ(run({"health", admin}).exit_code, 1);  // nobody vouches for it
  EXPECT_EQ(stop().exit_code, 0);
}

TEST_F(ProgramTest, MistakesInAFileAreNamedByLine) {
  const std::string config = write("gateway.toml", "[link]\nclient_address = \"127.0.0.1:0\"\nclient_max_con = 3\n");
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"--config", config, "--check"}, {"--config", config}}) {
    const Finished finished = run(arguments);
    EXPECT_EQ(finished.exit_code, 2);
    EXPECT_THAT(finished.err, StartsWith("error: " + config + ":3: [link] client_max_con is not known; the keys are "));
  }
  EXPECT_EQ(run({"--config", at("nowhere.toml")}).exit_code, 2);
  EXPECT_EQ(run({"--check"}).exit_code, 2);
}

TEST_F(ProgramTest, CheckReadsCertificatesAndParametersButBindsNothingOfIt) {
  start();
  const auto check = [&](const std::string& address) {
    const std::string config = write("check.toml", "[link]\nclient_address = \"" + address + "\"\n");
    return run({"--config", config, "--check"});
  };
  EXPECT_EQ(check(clients).exit_code, 0);  // in use
  EXPECT_EQ(check("unix://" + at("socket") + "?mode=0660").exit_code, 0);
  EXPECT_FALSE(exists(at("socket")));
  EXPECT_EQ(check("snet+tcp://:4900?encrypt=1&buffer=64KiB").exit_code, 0);
  for (const char* const wrong :
       {"tls://:4900?cert=/nowhere.pem", "tcp://:4900?nodelai=1", "ftp://:4900", "snet+tcp://:4900?buffer=2GiB"}) {
    const Finished finished = check(wrong);
    EXPECT_EQ(finished.exit_code, 2) << wrong;
    EXPECT_THAT(finished.err, StartsWith("error: ")) << wrong;
  }
  EXPECT_EQ(stop().exit_code, 0);
}

// --- under others' hands ---

TEST_F(ProgramTest, UnderNohupAHangUpIsNothing) {
  ::signal(SIGHUP, SIG_IGN);  // as nohup starts it
  start();
  ::signal(SIGHUP, SIG_DFL);
  signal(SIGHUP);
  EXPECT_EQ(health(), 0);
  restart();
  signal(SIGHUP);
  EXPECT_EQ(health(), 0);
  EXPECT_EQ(stop().exit_code, 0);
  // And without, it ends and leaves its pid file, as the original.
  start();
  signal(SIGHUP);
  EXPECT_EQ(process->finish().exit_code, -SIGHUP);
  EXPECT_TRUE(exists(at("fastway.pid")));
}

TEST_F(ProgramTest, ALogFileIsAppendedToAlsoAfterItWasCut) {
  write("log", "from before\n");
  process = std::make_unique<Process>(std::vector<std::string>{program(), "fastway", "-ClientAddr", "127.0.0.1:0",
                                                               "-ServerAddr", "127.0.0.1:0", "-LogFile", "log"},
                                      ProcessOptions{.directory = directory.path()});
  const auto logged = [&](const std::string& text) {
    for (int i = 0; i < 10'000'000; ++i) {
      if (text_of(at("log")).contains(text)) return true;
      std::this_thread::yield();
    }
    return false;
  };
  ASSERT_TRUE(logged("setup server listener"));
  EXPECT_THAT(text_of(at("log")), StartsWith("from before\n"));
  pid = process->pid();
  // logrotate's copytruncate.
  ASSERT_EQ(::truncate(at("log").c_str(), 0), 0);
  command("nonsense");
  ASSERT_TRUE(logged("unsupported command: nonsense"));
  EXPECT_THAT(text_of(at("log")), AllOf(StartsWith("20"), Not(HasSubstr(std::string(1, '\0')))));
  EXPECT_EQ(stop().exit_code, 0);
}

}  // namespace
}  // namespace wayport::gateway

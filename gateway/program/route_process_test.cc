// Goal: an operator may stop gogateway-light, start this program with the same file, and look after it as after any daemon.
// Method: the program as a real process, driven by signals and files, with plain sockets for clients and backends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/socket.h"
#include "wayport/base/testing/process.h"
#include "wayport/transport/testing/certificates.h"

namespace wayport::gateway {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
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

// What does not come fails its test, and does not wait for ever.
void be_impatient(const Fd& socket) {
  const timeval patience{.tv_sec = 20, .tv_usec = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

std::uint16_t port_of(const std::string& line) {
  const std::size_t found = line.find("://");
  const std::size_t begin = found == std::string::npos ? 0 : found + 3;
  const std::string place = line.substr(begin, line.find_first_of("?/\" \n", begin) - begin);
  return static_cast<std::uint16_t>(std::atoi(place.c_str() + place.rfind(':') + 1));
}

Fd connect_to(std::uint16_t port) {
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  be_impatient(socket);
  sockaddr_storage where{};
  const socklen_t size = SocketAddress::from_ip("127.0.0.1", port)->store(where);
  EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&where), size), 0);
  return socket;
}
void send_all(const Fd& socket, const std::string& text) {
  EXPECT_EQ(::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
}
// Until `size` bytes, or the end.
std::string receive(const Fd& socket, std::size_t size) {
  std::string text;
  char piece[4096];
  while (text.size() < size) {
    const ssize_t got = ::recv(socket.get(), piece, std::min(sizeof(piece), size - text.size()), 0);
    if (got <= 0) break;
    text.append(piece, static_cast<std::size_t>(got));
  }
  return text;
}

class Backend {
 public:
  Backend() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_storage where{};
    const socklen_t size = SocketAddress::from_ip("127.0.0.1", 0)->store(where);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&where), size), 0);
    EXPECT_EQ(::listen(listener_.get(), 16), 0);
    be_impatient(listener_);
  }
  std::string name() const {
    sockaddr_in where{};
    socklen_t size = sizeof(where);
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&where), &size);
    return "127.0.0.1:" + std::to_string(ntohs(where.sin_port));
  }
  Fd accept() const {
    Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_TRUE(socket);
    be_impatient(socket);
    return socket;
  }

 private:
  Fd listener_;
};

std::string identify(const std::string& name) {
  std::string frame(4, '\0');
  store_le(reinterpret_cast<std::byte*>(frame.data()), static_cast<std::uint32_t>(name.size()));
  return frame + name;
}
const std::string kOk("\2\0\0\0ok", 6);

class RouteProgramTest : public ::testing::Test {
 protected:
  // Successors become children of the test when their parents end.
  RouteProgramTest() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }
  ~RouteProgramTest() override {
    if (successor > 0) ::kill(successor, SIGKILL);
  }

  std::string at(const std::string& name) const { return directory.path() + "/" + name; }
  std::string write(const std::string& name, const std::string& text) const { return directory.write(name, text); }
  Finished run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), program());
    return wayport::testing::run(arguments, ProcessOptions{.directory = directory.path()});
  }
  void start(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), program());
    process = std::make_unique<Process>(arguments, ProcessOptions{.directory = directory.path()});
    pid = process->pid();
  }
  std::string listening() { return after(process->wait_for_error_line("route gateway listens"), "address="); }
  static std::string after(const std::string& line, const std::string& mark) {
    const std::size_t found = line.find(mark);
    return found == std::string::npos ? std::string() : line.substr(found + mark.size());
  }
  // Signals are obeyed from then on.
  void wait_until_ready() {
    ASSERT_THAT(process->wait_for_error_line("info  ready"), HasSubstr("pid="));
    ready = true;
  }
  Finished stop() {
    if (!ready) wait_until_ready();
    ::kill(pid, SIGTERM);
    Finished finished = process->finish();
    successor = -1;
    return finished;
  }
  // Names `backend` and says something; the backend's connection.
  static Fd join(const Fd& client, const Backend& backend) {
    send_all(client, identify(backend.name()) + "hello");
    Fd server = backend.accept();
    EXPECT_EQ(receive(server, 5), "hello");
    EXPECT_EQ(receive(client, kOk.size()), kOk);
    return server;
  }
  static std::string refused(std::uint16_t port, const std::string& name) {
    const Fd client = connect_to(port);
    send_all(client, identify(name));
    return receive(client, 100);
  }

  const transport::TestDirectory directory;
  std::unique_ptr<Process> process;
  pid_t pid = -1;
  pid_t successor = -1;
  bool ready = false;
  const Backend backend;
  const Backend other;
};

TEST_F(RouteProgramTest, TheOriginalsFileNeedsAnAllowList) {
  const std::string gate = "[tcpgate]\nport = 0\nenabled = true\n";
  const std::string config = write("config.toml", gate);
  for (const std::vector<std::string>& more : std::vector<std::vector<std::string>>{{}, {"--check"}}) {
    std::vector<std::string> arguments = {"gogateway", "--config", config};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished finished = run(arguments);
    EXPECT_EQ(finished.exit_code, 2);
    EXPECT_THAT(finished.err, AllOf(StartsWith("error: " + config), HasSubstr("\n[allow]\ntargets = [")));
  }
  EXPECT_EQ(run({"gogateway", "--config", config, "--allow-any-target", "--check"}).exit_code, 0);
  write("config.toml", gate + "[allow]\ntargets = [\"" + backend.name() + "\"]\n");
  const Finished checked = run({"gogateway", "--config", config, "--check"});
  EXPECT_EQ(checked.exit_code, 0) << checked.err;
  EXPECT_EQ(checked.out, config + ": ok\n");
}

TEST_F(RouteProgramTest, AResolverThatCannotBeMadeIsNamedByFileAndLine) {
  const std::string config = write("gateway.toml",
                                   "[[route]]\nlisten = \"tcp://127.0.0.1:0\"\nallow = \"10.0.0.1:80\"\n"
                                   "resolver = \"jwt\"\nresolver_settings = { keyz = 1 }\n");
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"--config", config, "--check"}, {"--config", config}}) {
    const Finished finished = run(arguments);
    EXPECT_EQ(finished.exit_code, 2);
    EXPECT_THAT(finished.err, AllOf(StartsWith("error: " + config + ":1: route route: "), HasSubstr("keyz")));
  }
}

// By --check and at the start, before the first port is bound, and at a reload.
TEST_F(RouteProgramTest, AnAddressThatCannotBeUsedIsNamedByFileAndLine) {
  const std::string good = "[[route]]\nname = \"good\"\nlisten = \"tcp://127.0.0.1:0\"\nallow = \"10.0.0.1:80\"\n";
  const std::string bad = "[[route]]\nname = \"bad\"\nallow = \"10.0.0.1:80\"\n";
  struct Case {
    std::string line;
    std::string key;
    std::string word;
  };
  for (const Case& c :
       {Case{"listen = \"tcp://127.0.0.1:0?bogus=1\"\n", "listen", "bogus"},
        Case{"listen = \"tls://127.0.0.1:0?cert=/nowhere.pem\"\n", "listen", "/nowhere.pem"},
        Case{"listen = \"tcp://127.0.0.1:0\"\nbackend_transport = \"kpc\"\n", "backend_transport", "kpc"},
        Case{"listen = \"tcp://127.0.0.1:0\"\nbackend_transport = \"tls?ca=/nowhere.pem\"\n", "backend_transport",
             "/nowhere.pem"}}) {
    SCOPED_TRACE(c.line);
    const std::string config = write("gateway.toml", good + bad + c.line);
    for (const std::vector<std::string>& arguments :
         std::vector<std::vector<std::string>>{{"--config", config, "--check"}, {"--config", config}}) {
      const Finished finished = run(arguments);
      EXPECT_EQ(finished.exit_code, 2);
      EXPECT_THAT(finished.err,
                  AllOf(StartsWith("error: " + config + ":5: route bad: " + c.key + ": "), HasSubstr(c.word)));
    }
  }
}

TEST_F(RouteProgramTest, ALogThatCannotBeWrittenIsRefusedByTheCheckToo) {
  const std::string config = write("config.toml", "[tcpgate]\nport = 0\nenabled = true\n[allow]\ntargets = [\"" +
                                                      backend.name() + "\"]\n[log]\ninfofilePath = \"/nowhere/log\"\n");
  for (const std::vector<std::string>& more : std::vector<std::vector<std::string>>{{}, {"--check"}}) {
    std::vector<std::string> arguments = {"gogateway", "--config", config};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished finished = run(arguments);
    EXPECT_EQ(finished.exit_code, 2);
    EXPECT_THAT(finished.err, AllOf(StartsWith("error: " + config + ": [log] the file"), HasSubstr("/nowhere/log")));
  }
}

TEST_F(RouteProgramTest, TheCheckNotesWhatHasNoEffect) {
  const std::string config =
      write("config.toml",
            "[kcpgate]\nport = 0\nenabled = true\nzero_copy = true\n[allow]\ntargets = [\"" + backend.name() + "\"]\n");
  const Finished checked = run({"gogateway", "--config", config, "--check"});
  EXPECT_EQ(checked.exit_code, 0) << checked.err;
  EXPECT_THAT(checked.out,
              AllOf(StartsWith("note: route \"kcp\": "), HasSubstr("zero_copy"), HasSubstr("clients over kcp")));
  EXPECT_TRUE(checked.out.ends_with(config + ": ok\n"));
}

TEST_F(RouteProgramTest, JoinsWhomTheFileAllowsAndNobodyElse) {
  start(
      {"gogateway", "--config",
       write("config.toml", "[tcpgate]\nport = 0\nenabled = true\n[allow]\ntargets = [\"" + backend.name() + "\"]\n")});
  const std::uint16_t port = port_of(listening());
  const Fd client = connect_to(port);
  const Fd server = join(client, backend);
  send_all(server, "there you are");
  EXPECT_EQ(receive(client, 13), "there you are");
  // Half-close: the answer to the end comes whole.
  ::shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(receive(server, 1), "");
  send_all(server, "bye");
  ::shutdown(server.get(), SHUT_RDWR);
  EXPECT_EQ(receive(client, 100), "bye");
  EXPECT_EQ(refused(port, other.name()), "error");
  EXPECT_EQ(refused(port, "169.254.169.254:80"), "error");
  EXPECT_EQ(stop().exit_code, 0);
}

TEST_F(RouteProgramTest, ALongAllowListOfEverythingWarns) {
  start({"gogateway", "--config", write("config.toml", "[tcpgate]\nport = 0\nenabled = true\n"), "--allow-any-target"});
  EXPECT_THAT(process->wait_for_error_line("warning"), HasSubstr("OPEN RELAY"));
  // This machine's own addresses are no target even then.
  EXPECT_EQ(refused(port_of(listening()), backend.name()), "error");
  EXPECT_EQ(stop().exit_code, 0);
}

TEST_F(RouteProgramTest, SighupReadsTheFileAgainAndOpensTheLogsAnew) {
  const std::string admin = "unix://@wayport-admin-" + std::to_string(::getpid());
  const auto config = [&](const std::string& name) {
    return write("config.toml",
                 "[log]\ninfofilePath = \"info.log\"\nerrorfilePath = \"error.log\"\n[tcpgate]\nport = 0\n"
                 "enabled = true\n[allow]\ntargets = [\"" +
                     name + "\"]\n[admin]\naddress = \"" + admin + "\"\n");
  };
  start({"gogateway", "--config", config(backend.name())});
  const auto logged = [this](const std::string& file, const std::string& text) {
    for (const auto due = std::chrono::steady_clock::now() + std::chrono::seconds(20);
         std::chrono::steady_clock::now() < due;) {
      if (const std::string all = text_of(at(file)); all.contains(text)) return all;
      std::this_thread::yield();
    }
    return std::string();
  };
  const std::uint16_t port = port_of(after(logged("info.log", "info  ready"), "address="));
  ready = true;
  ASSERT_NE(port, 0);
  const Fd client = connect_to(port);
  const Fd server = join(client, backend);
  EXPECT_EQ(refused(port, other.name()), "error");
  EXPECT_THAT(logged("error.log", "code=forbidden"), HasSubstr("route client refused"));

  config(other.name());
  ASSERT_EQ(::rename(at("info.log").c_str(), at("info.log.1").c_str()), 0);
  ::kill(pid, SIGHUP);
  EXPECT_THAT(logged("info.log", "the configuration was read again"), HasSubstr("read again"));
  const Fd second = connect_to(port);
  const Fd second_server = join(second, other);
  EXPECT_EQ(refused(port, backend.name()), "error");
  // Who was joined before stays so.
  send_all(client, "still here");
  EXPECT_EQ(receive(server, 10), "still here");

  // What is not of routes takes a restart, and is not kept quiet.
  write("config.toml", text_of(at("config.toml")) + "[process]\nloops = 1\n");
  ::kill(pid, SIGHUP);
  EXPECT_THAT(logged("error.log", "takes a restart"), HasSubstr("changed in more than routes"));

  // A file that is wrong changes nothing.
  write("config.toml", "[tcpgate]\nprot = 1\n");
  ::kill(pid, SIGHUP);
  EXPECT_THAT(logged("error.log", "the configuration is not taken"), HasSubstr("prot is not known"));
  const Fd third = connect_to(port);
  const Fd third_server = join(third, other);
  EXPECT_EQ(run({"health", admin}).exit_code, 0);
  EXPECT_EQ(stop().exit_code, 0);
}

TEST_F(RouteProgramTest, Sigusr2ReplacesItWithTcpAndUdpSockets) {
  start({"--config", write("gateway.toml",
                           "[[route]]\nname = \"a\"\nlisten = [\"tcp://127.0.0.1:0\", \"kcp://127.0.0.1:0\"]\n"
                           "allow = \"" +
                               backend.name() + "\"\n[process]\npid_file = \"pid\"\ndrain_seconds = 20\n")});
  const std::string tcp = listening();
  const std::string kcp = listening();
  wait_until_ready();
  const Fd client = connect_to(port_of(tcp));
  const Fd server = join(client, backend);
  ::kill(pid, SIGUSR2);
  EXPECT_EQ(listening(), tcp);
  EXPECT_EQ(listening(), kcp);
  wait_until_ready();
  pid = successor = std::atoi(text_of(at("pid")).c_str());
  // The old process carries on what it has; new ones go to the new process.
  send_all(client, "old");
  EXPECT_EQ(receive(server, 3), "old");
  const Fd second = connect_to(port_of(tcp));
  const Fd second_server = join(second, backend);
  ::shutdown(client.get(), SHUT_RDWR);
  EXPECT_EQ(receive(server, 1), "");
  ::shutdown(server.get(), SHUT_RDWR);
  ::shutdown(second.get(), SHUT_RDWR);
  ::shutdown(second_server.get(), SHUT_RDWR);
  EXPECT_EQ(stop().exit_code, 0);
}

TEST_F(RouteProgramTest, MetricsShowRoutesAndLinksOfOneProcess) {
  start({"--config", write("gateway.toml",
                           "[link]\nclient_address = \"127.0.0.1:0\"\nserver_address = \"127.0.0.1:0\"\n"
                           "[[route]]\nname = \"web\"\nlisten = \"tcp://127.0.0.1:0\"\nallow = \"" +
                               backend.name() + "\"\n[admin]\naddress = \":0\"\n")});
  const std::uint16_t port = port_of(listening());
  const std::string admin = after(process->wait_for_error_line("admin listener at - "), " - ");
  const Fd client = connect_to(port);
  const Fd server = join(client, backend);
  EXPECT_EQ(refused(port, other.name()), "error");
  const Fd scraper = connect_to(port_of(admin));
  send_all(scraper, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string page = receive(scraper, 1 << 20);
  EXPECT_THAT(page,
              AllOf(HasSubstr("wayport_link_connections{kind=\"client\"} 0\n"),
                    HasSubstr("wayport_route_connections{phase=\"relay\"} 1\n"),
                    HasSubstr("wayport_route_refused_total{code=\"forbidden\"} 1\n"),
                    HasSubstr("wayport_route_admitted_connections{route=\"web\"}"), HasSubstr("wayport_draining 0\n")));
  EXPECT_EQ(stop().exit_code, 0);
}

}  // namespace
}  // namespace wayport::gateway

// Goal: the kernel's packets go through the link, in each way that the program can be placed, and nothing of it stays behind.
// Method: the program as a process among network namespaces of the test's own; one thread plays all machines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "wayport/base/testing/process.h"
#include "wayport/integration/emulator/own_networks.h"

namespace wayport::emulator {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Machine;
using ::testing::StartsWith;
using wayport::testing::Finished;
using wayport::testing::Process;
using Time = std::chrono::steady_clock;

constexpr auto kPatience = 30s;

const std::string& program() {
  static const std::string path = wayport::testing::runfile("integration/emulator/wayport-link-emulator");
  return path;
}

// False: nothing came in time.
bool wait_readable(const Fd& fd, Time::duration limit = kPatience) {
  pollfd waiting{fd.get(), POLLIN, 0};
  return ::poll(&waiting, 1, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(limit).count())) == 1;
}
void send_to(const Fd& from, const SocketAddress& to, const std::string& text) {
  sockaddr_storage name{};
  const socklen_t size = to.store(name);
  ASSERT_EQ(::sendto(from.get(), text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&name), size),
            static_cast<ssize_t>(text.size()));
}
// Empty: none came in time.
std::string receive(const Fd& at, SocketAddress* from = nullptr) {
  if (!wait_readable(at)) return {};
  char text[2048];
  sockaddr_storage name{};
  socklen_t size = sizeof(name);
  const ssize_t got = ::recvfrom(at.get(), text, sizeof(text), 0, reinterpret_cast<sockaddr*>(&name), &size);
  if (from != nullptr) *from = SocketAddress::from(reinterpret_cast<const sockaddr*>(&name), size);
  return got > 0 ? std::string(text, static_cast<std::size_t>(got)) : std::string();
}

class EmulatorProcess : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!testing::enter_own_networks()) {
      GTEST_SKIP() << "needs the privilege to make network namespaces and to open /dev/net/tun";
    }
  }

  void start(const Machine& machine, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), program());
    machine.in([&] { process = std::make_unique<Process>(arguments); });
    runs_at = &machine;
    ASSERT_THAT(process->wait_for_line("ready "), HasSubstr("control"));
  }
  Finished run(const Machine& machine, std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), program());
    Finished finished;
    machine.in([&] { finished = wayport::testing::run(arguments); });
    return finished;
  }
  std::string ctl(std::vector<std::string> words) const {
    words.insert(words.begin(), "ctl");
    return run(*runs_at, std::move(words)).out;
  }
  // Of `stats`.
  std::uint64_t count(const std::string& direction, const std::string& name) const {
    const std::string stats = ctl({"stats"});
    const std::size_t from = stats.find("\"" + direction + "\"");
    const std::size_t at = stats.find("\"" + name + "\":", from);
    EXPECT_NE(at, std::string::npos) << name << " in " << stats;
    return at == std::string::npos ? 0 : std::strtoull(stats.c_str() + at + name.size() + 3, nullptr, 10);
  }
  bool wait_for_count(const std::string& direction, const std::string& name, std::uint64_t least) const {
    for (const auto due = Time::now() + kPatience; Time::now() < due;) {
      if (count(direction, name) >= least) return true;
    }
    return false;
  }
  Finished stop() {
    process->signal(SIGTERM);
    return process->finish();
  }

  // There and back; nullopt: lost.
  std::optional<Time::duration> echo(const Fd& client, const Fd& server, const SocketAddress& to) {
    const std::string text = "ping " + std::to_string(++pings);
    const auto begin = Time::now();
    send_to(client, to, text);
    SocketAddress from;
    if (receive(server, &from) != text) return std::nullopt;
    send_to(server, from, text);
    if (receive(client) != text) return std::nullopt;
    return Time::now() - begin;
  }
  void expect_round_trips(const Fd& client, const Fd& server, const std::string& to, Time::duration least) {
    const SocketAddress where = *SocketAddress::from_ip(to, local_address(server.get())->port());
    for (int i = 0; i < 5; ++i) {
      const std::optional<Time::duration> took = echo(client, server, where);
      ASSERT_TRUE(took.has_value());
      EXPECT_GE(*took, least);
    }
  }
  bool fast_round_trip(const Fd& client, const Fd& server, const std::string& to, Time::duration below) {
    const SocketAddress where = *SocketAddress::from_ip(to, local_address(server.get())->port());
    for (int i = 0; i < 20; ++i) {
      const std::optional<Time::duration> took = echo(client, server, where);
      if (took && *took < below) return true;
    }
    return false;
  }

  std::unique_ptr<Process> process;
  const Machine* runs_at = nullptr;
  int pings = 0;
};

// Two machines with nothing but the link between them.
class Joined : public EmulatorProcess {
 protected:
  void SetUp() override {
    EmulatorProcess::SetUp();
    if (IsSkipped()) return;
    left = std::make_unique<Machine>();
    right = std::make_unique<Machine>();
  }
  void join(std::vector<std::string> more) {
    std::vector<std::string> arguments = {"join", "--left", "netns=" + left->path() + ",address=10.9.0.1/24", "--right",
                                          "netns=" + right->path() + ",address=10.9.0.2/24"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    start(*left, arguments);
    client = left->udp("10.9.0.1");
    server = right->udp("10.9.0.2");
    there = *SocketAddress::from_ip("10.9.0.2", local_address(server.get())->port());
  }

  std::unique_ptr<Machine> left, right;
  Fd client, server;
  SocketAddress there;
};

TEST_F(Joined, DelayIsPaidInEachDirectionAndCanBeChanged) {
  join({"--both", "delay=20ms"});
  expect_round_trips(client, server, "10.9.0.2", 40ms);
  EXPECT_EQ(ctl({"set", "left", "delay=60ms"}), "ok\n");
  expect_round_trips(client, server, "10.9.0.2", 80ms);
  EXPECT_EQ(ctl({"set", "both", "perfect"}), "ok\n");
  EXPECT_TRUE(fast_round_trip(client, server, "10.9.0.2", 20ms));
}

TEST_F(Joined, LossIsAsOftenAsItSaysAndEveryPacketIsAccountedFor) {
  constexpr int kSent = 2000;
  join({"--from-left", "loss=10%", "--seed", "42"});
  int received = 0;
  for (int i = 0; i < kSent; ++i) {
    send_to(client, there, "packet");
    while (wait_readable(server, 0ms) && receive(server) == "packet") ++received;
  }
  ASSERT_TRUE(wait_for_count("left", "packets_in", kSent));
  while (wait_readable(server, 0ms) && receive(server) == "packet") ++received;
  EXPECT_EQ(count("left", "packets_in"), static_cast<std::uint64_t>(kSent));
  EXPECT_EQ(count("left", "lost") + static_cast<std::uint64_t>(received), static_cast<std::uint64_t>(kSent));
  EXPECT_NEAR(static_cast<double>(count("left", "lost")), kSent * 0.1, 5 * std::sqrt(kSent * 0.1 * 0.9));
  EXPECT_EQ(count("left", "device_dropped"), 0u);
  EXPECT_EQ(count("right", "packets_in"), 0u);
}

TEST_F(Joined, TheRateBoundsWhatArrives) {
  constexpr int kPackets = 100;
  const std::string text(972, 'x');  // 1000 bytes with the heads of IP and UDP
  join({"--from-left", "rate=2Mbit"});
  const auto begin = Time::now();
  for (int i = 0; i < kPackets; ++i) send_to(client, there, text);
  for (int i = 0; i < kPackets; ++i) ASSERT_EQ(receive(server), text);
  EXPECT_GE(Time::now() - begin, kPackets * 4ms);
  EXPECT_LT(Time::now() - begin, kPackets * 4ms * 4);
  // The queue keeps 10 of a burst of 50.
  EXPECT_EQ(ctl({"set", "left", "rate=8kbit", "queue=10000"}), "ok\n");
  for (int i = 0; i < 50; ++i) send_to(client, there, text);
  ASSERT_TRUE(wait_for_count("left", "queue_dropped", 40));
  EXPECT_EQ(count("left", "queue_dropped"), 40u);
  EXPECT_EQ(count("left", "queued_bytes_most"), static_cast<std::uint64_t>(kPackets * 1000));
}

TEST_F(Joined, NothingPassesALinkThatIsDown) {
  join({});
  expect_round_trips(client, server, "10.9.0.2", 0ms);
  EXPECT_EQ(ctl({"down"}), "ok\n");
  send_to(client, there, "lost");
  ASSERT_TRUE(wait_for_count("left", "down_dropped", 1));
  EXPECT_EQ(ctl({"up"}), "ok\n");
  send_to(client, there, "arrives");
  EXPECT_EQ(receive(server), "arrives");
}

// A client of the control socket.
struct ControlClient {
  explicit ControlClient(const Machine& machine) {
    machine.in([this] { fd = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)); });
    sockaddr_storage name{};
    const socklen_t size = SocketAddress::from_unix("@wayport-link-emulator")->store(name);
    machine.in([&] { EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), size), 0); });
  }
  // Until `bytes` have come, or the end.
  std::string ask(const std::string& lines, std::size_t bytes) const {
    EXPECT_EQ(::send(fd.get(), lines.data(), lines.size(), MSG_NOSIGNAL), static_cast<ssize_t>(lines.size()));
    std::string answer;
    char text[4096];
    while (answer.size() < bytes && wait_readable(fd)) {
      const ssize_t size = ::recv(fd.get(), text, sizeof(text), 0);
      if (size <= 0) return answer + "end";
      answer.append(text, static_cast<std::size_t>(size));
    }
    return answer;
  }
  Fd fd;
};

TEST_F(Joined, ItsControlSocketBoundsLinesAndConnections) {
  join({});
  const ControlClient first(*left);
  const std::string answers =
      "ok\nerror: \"\" is none of set, up, down, show, stats, help\nleft: delay=1ms; right: perfect\n";
  EXPECT_EQ(first.ask("set left delay=1ms\r\n\nshow\n", answers.size()), answers);
  const std::string padded = "up" + std::string(1022, ' ');
  EXPECT_EQ(first.ask(padded + "\n", 3), "ok\n");
  EXPECT_EQ(first.ask(padded + " ", 3), "end");
  const ControlClient oldest(*left);
  EXPECT_EQ(oldest.ask("up\n", 3), "ok\n");
  std::vector<std::unique_ptr<ControlClient>> others;
  for (int i = 0; i < 15; ++i) {
    others.push_back(std::make_unique<ControlClient>(*left));
    EXPECT_EQ(others.back()->ask("up\n", 3), "ok\n");
  }
  EXPECT_EQ(oldest.ask("up\n", 3), "ok\n");
  const ControlClient seventeenth(*left);
  EXPECT_EQ(seventeenth.ask("up\n", 3), "ok\n");
  char none = 0;
  EXPECT_EQ(::recv(oldest.fd.get(), &none, 1, 0), 0);
  EXPECT_EQ(others[0]->ask("up\n", 3), "ok\n");
}

TEST_F(Joined, ItsDevicesGoWithIt) {
  join({});
  const auto devices = [](const Machine& machine) { return machine.netlink().devices()->size(); };
  EXPECT_EQ(devices(*left), 2u);
  EXPECT_EQ(devices(*right), 2u);
  EXPECT_EQ(stop().exit_code, 0);
  EXPECT_EQ(devices(*left), 1u);
  EXPECT_EQ(devices(*right), 1u);
}

TEST_F(Joined, ADeviceThatIsRemovedEndsIt) {
  join({});
  right->remove_device("wplink-right");
  const Finished ended = process->finish();
  EXPECT_EQ(ended.exit_code, 1);
  EXPECT_THAT(ended.err, HasSubstr("read from a device of the link"));
}

TEST_F(Joined, ARouteThatIsThereStaysAndIsTold) {
  Machine other;
  left->connect("eth0", "10.9.1.1/24", other, "eth0", "10.9.1.2/24");
  EXPECT_EQ(run(*left, {"add-route", "10.8.0.0/16", "10.9.1.2"}).exit_code, 0);
  const std::vector<Route> before = *left->netlink().routes(254);
  const Finished again = run(*left, {"add-route", "10.8.0.0/16", "10.9.1.3"});
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_THAT(again.err, HasSubstr("there is a route to 10.8.0.0/16 already"));
  const Finished joined = run(*left, {"join", "--left", "address=10.9.0.1/24,route=10.8.0.0/16", "--right",
                                      "netns=" + right->path() + ",address=10.9.0.2/24"});
  EXPECT_EQ(joined.exit_code, 1);
  EXPECT_THAT(joined.err, HasSubstr("there is a route to 10.8.0.0/16 already"));
  EXPECT_EQ(*left->netlink().routes(254), before);
}

TEST_F(Joined, ItsControlSocketHearsItsOwnUserOnly) {
  join({});
  Fd fd;
  left->in([&fd] { fd = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)); });
  sockaddr_storage name{};
  const socklen_t size = SocketAddress::from_unix("@wayport-link-emulator")->store(name);
  constexpr uid_t kNobody = 65534;
  const uid_t own = ::geteuid();
  if (::seteuid(kNobody) != 0) GTEST_SKIP() << "needs the privilege to become another user";
  const int connected = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), size);
  ASSERT_EQ(::seteuid(own), 0);
  ASSERT_EQ(connected, 0);
  EXPECT_THAT(receive(fd), HasSubstr("error: only root"));
  char none = 0;
  ASSERT_TRUE(wait_readable(fd));
  EXPECT_EQ(::recv(fd.get(), &none, 1, 0), 0);
  EXPECT_EQ(ctl({"show"}), "left: perfect; right: perfect\n");
}

// A directory that goes with it. Not in $TEST_TMPDIR, which is too long for the path of a socket.
struct Directory {
  Directory() { EXPECT_NE(::mkdtemp(path.data()), nullptr); }
  ~Directory() { std::filesystem::remove_all(path); }
  std::string path = "/tmp/wplink-XXXXXX";
};

TEST_F(Joined, AtThePathOfItsControlSocketOnlyADeadSocketIsReplaced) {
  const Directory directory;
  const std::string path = directory.path + "/control";
  std::ofstream(path) << "precious";
  const std::vector<std::string> command = {
      "join",      "--left", "address=10.9.0.1/24", "--right", "netns=" + right->path() + ",address=10.9.0.2/24",
      "--control", path};
  Finished refused = run(*left, command);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("no socket"));
  EXPECT_TRUE(std::filesystem::is_regular_file(path));
  std::filesystem::remove(path);

  start(*left, command);
  refused = run(*left, command);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("another process listens there"));
  EXPECT_EQ(ctl({"--control", path, "show"}), "left: perfect; right: perfect\n");

  process->signal(SIGKILL);
  process->finish();
  EXPECT_TRUE(std::filesystem::is_socket(path));
  start(*left, command);
  EXPECT_EQ(ctl({"--control", path, "show"}), "left: perfect; right: perfect\n");
  EXPECT_EQ(stop().exit_code, 0);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(Joined, ASideThatIsTheOtherOneIsRefused) {
  const Finished refused = run(*left, {"join", "--left", "address=10.9.0.1/24", "--right", "address=10.9.0.2/24"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("same network namespace"));
}

// Two machines with a cable; the emulator is on the first one.
class Attached : public EmulatorProcess {
 protected:
  void SetUp() override {
    EmulatorProcess::SetUp();
    if (IsSkipped()) return;
    here = std::make_unique<Machine>();
    there = std::make_unique<Machine>();
    here->connect("eth0", "10.9.1.1/24", *there, "eth0", "10.9.1.2/24");
    there->add_address("eth0", "10.9.1.3/24");
    client = here->udp("0.0.0.0");
    server = there->udp("10.9.1.2");
    other_server = there->udp("10.9.1.3");
  }
  std::vector<Rule> rules() const { return *here->netlink().rules(); }
  // Line by line.
  std::string settings() const {
    Finished shown;
    here->in([&shown] {
      shown =
          wayport::testing::run({"/bin/sh", "-c",
                                 "cd /proc/sys/net/ipv4; cat ip_early_demux conf/eth0/forwarding conf/eth0/rp_filter "
                                 "conf/eth0/accept_local"});
    });
    return shown.out;
  }

  std::unique_ptr<Machine> here, there;
  Fd client, server, other_server;
};

TEST_F(Attached, BothDirectionsTakeTheLinkWhoeverBegins) {
  start(*here, {"attach", "--both", "delay=20ms"});
  expect_round_trips(client, server, "10.9.1.2", 40ms);
  const Fd listening = here->udp("10.9.1.1");
  expect_round_trips(server, listening, "10.9.1.1", 40ms);
  EXPECT_GE(count("out", "packets_out"), 10u);
  EXPECT_EQ(count("out", "packets_out"), count("in", "packets_out"));
}

TEST_F(Attached, TcpWorksThroughALinkThatLosesAndReorders) {
  start(*here, {"attach", "--both", "delay=1ms loss=2% duplicate=2% reorder=5%/3ms"});
  Fd listening, connection;
  there->in([&] { listening = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); });
  sockaddr_storage name{};
  socklen_t size = SocketAddress::from_ip("10.9.1.2", 0)->store(name);
  ASSERT_EQ(::bind(listening.get(), reinterpret_cast<const sockaddr*>(&name), size), 0);
  ASSERT_EQ(::listen(listening.get(), 1), 0);
  size = local_address(listening.get())->store(name);
  here->in([&] { connection = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); });
  ASSERT_EQ(::connect(connection.get(), reinterpret_cast<const sockaddr*>(&name), size), 0);
  const Fd accepted(::accept(listening.get(), nullptr, nullptr));
  ASSERT_TRUE(set_nonblocking(connection.get()).has_value());
  ASSERT_TRUE(set_nonblocking(accepted.get()).has_value());
  std::string sent(300'000, '\0');
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 7 + i / 251);
  std::string received;
  std::size_t written = 0;
  for (const auto due = Time::now() + kPatience; received.size() < sent.size() && Time::now() < due;) {
    const ssize_t wrote = ::send(connection.get(), sent.data() + written, sent.size() - written, MSG_NOSIGNAL);
    if (wrote > 0) written += static_cast<std::size_t>(wrote);
    wait_readable(accepted, 20ms);
    char buffer[65536];
    const ssize_t got = ::recv(accepted.get(), buffer, sizeof(buffer), 0);
    if (got > 0) received.append(buffer, static_cast<std::size_t>(got));
  }
  EXPECT_TRUE(received == sent) << received.size();
  EXPECT_GT(count("out", "lost") + count("in", "lost"), 0u);
  EXPECT_GT(count("out", "reordered"), 0u);
}

TEST_F(Attached, OnlyTheNamedPeersTakeTheLink) {
  start(*here, {"attach", "--peer", "10.9.1.2", "--both", "delay=50ms"});
  expect_round_trips(client, server, "10.9.1.2", 100ms);
  EXPECT_TRUE(fast_round_trip(client, other_server, "10.9.1.3", 50ms));
}

TEST_F(Attached, OutOnlyLeavesWhatComesInAlone) {
  start(*here, {"attach", "--out-only", "--out", "delay=30ms"});
  expect_round_trips(client, server, "10.9.1.2", 30ms);
  EXPECT_EQ(count("in", "packets_in"), 0u);
  EXPECT_GE(count("out", "packets_in"), 5u);
}

TEST_F(Attached, AnotherAddressAndAnotherDeviceTakeTheLinkToo) {
  start(*here, {"attach", "--both", "delay=20ms"});
  Machine third;
  here->connect("eth1", "10.9.2.1/24", third, "eth0", "10.9.2.2/24");
  const Fd far = third.udp("10.9.2.2");
  const SocketAddress where = *SocketAddress::from_ip("10.9.2.2", local_address(far.get())->port());
  // The program hears of the device a moment after the test.
  bool delayed = false;
  for (const auto due = Time::now() + kPatience; !delayed && Time::now() < due;) {
    const std::optional<Time::duration> took = echo(client, far, where);
    delayed = took && *took >= 40ms;
  }
  EXPECT_TRUE(delayed);
  expect_round_trips(client, far, "10.9.2.2", 40ms);
}

TEST_F(Attached, EverythingIsAsBeforeAfterwards) {
  const std::vector<Rule> before = rules();
  const std::string settings_before = settings();
  start(*here, {"attach", "--both", "delay=20ms"});
  EXPECT_NE(rules(), before);
  EXPECT_EQ(stop().exit_code, 0);
  EXPECT_EQ(rules(), before);
  EXPECT_EQ(settings(), settings_before);
  EXPECT_TRUE(fast_round_trip(client, server, "10.9.1.2", 20ms));
}

TEST_F(Attached, WhatAKilledOneLeftIsTakenAwayByTheNext) {
  const std::vector<Rule> before = rules();
  start(*here, {"attach", "--both", "delay=20ms"});
  process->signal(SIGKILL);
  process->finish();
  // Its devices are gone, so packets take the old way.
  EXPECT_TRUE(fast_round_trip(client, server, "10.9.1.2", 20ms));
  start(*here, {"attach", "--both", "delay=20ms"});
  expect_round_trips(client, server, "10.9.1.2", 40ms);
  EXPECT_EQ(stop().exit_code, 0);
  EXPECT_EQ(rules(), before);
}

TEST_F(Attached, ASecondOneIsRefusedAndHarmsNothing) {
  start(*here, {"attach", "--both", "delay=20ms"});
  const Finished refused = run(*here, {"attach", "--control", "@another"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("another link emulator runs"));
  expect_round_trips(client, server, "10.9.1.2", 40ms);
}

TEST_F(Attached, ARefusedOneChangesNoSetting) {
  // The first one leaves ip_early_demux as it is, the second one would change it.
  start(*here, {"attach", "--out-only"});
  const std::string before = settings();
  ASSERT_THAT(before, StartsWith("1\n"));
  EXPECT_EQ(run(*here, {"attach", "--control", "@another"}).exit_code, 1);
  EXPECT_EQ(settings(), before);
}

TEST_F(EmulatorProcess, ARouterDelaysWhatGoesThroughItAndAnswersForItselfAtOnce) {
  Machine client_machine, router, server_machine;
  client_machine.connect("eth0", "10.9.1.2/24", router, "eth0", "10.9.1.1/24");
  server_machine.connect("eth0", "10.9.2.2/24", router, "eth1", "10.9.2.1/24");
  EXPECT_EQ(run(client_machine, {"add-route", "10.9.2.0/24", "10.9.1.1"}).err, "");
  server_machine.add_route("10.9.1.0/24", "10.9.2.1");
  const std::vector<Rule> before = *router.netlink().rules();
  start(router, {"route", "--left", "eth0", "--right", "10.9.2.0/24", "--both", "delay=20ms"});
  const Fd client = client_machine.udp("10.9.1.2");
  const Fd server = server_machine.udp("10.9.2.2");
  expect_round_trips(client, server, "10.9.2.2", 40ms);
  const Fd own = router.udp("10.9.1.1");
  EXPECT_TRUE(fast_round_trip(client, own, "10.9.1.1", 20ms));
  EXPECT_EQ(stop().exit_code, 0);
  EXPECT_EQ(*router.netlink().rules(), before);
}

TEST(EmulatorCommandLine, MistakesAreRefusedBeforeAnythingIsMade) {
  std::vector<std::pair<std::vector<std::string>, std::string>> mistakes = {
      {{}, "subcommand"},
      {{"join", "--left", "address=10.9.0.1/24"}, "--right is required"},
      {{"join", "--left", "address=10.9.0.1", "--right", "netns=x"}, "address=IP/BITS is missing"},
      {{"join", "--left", "address=10.9.0.300/24", "--right", "address=10.9.0.2/24"}, "10.9.0.300/24"},
      {{"join", "--left", "address=10.9.0.1/24,mtu=3", "--right", "address=10.9.0.2/24"}, "mtu=3"},
      {{"join", "--left", "address=10.9.0.1/24,device=sixteen-letters-", "--right", "address=10.9.0.2/24"}, "1 to 15"},
      {{"route", "--left", "nowhere0", "--right", "nowhere1"}, "nowhere0"},
      {{"attach", "--peer", "here"}, "here"},
      {{"attach", "--peer", "fd00::1"}, "IPv4"},
      {{"attach", "--both", "loss=120%"}, "loss=120%"},
      {{"attach", "--out-only", "--in", "loss=1%"}, "--out-only"},
      {{"add-route", "10.0.0.0/8", "10.0.0.0/8"}, "gateway"}};
  std::vector<std::string> peers = {"attach", "--out-only", "--in", "loss=1%"};  // refused for that, with 64 peers
  for (int i = 0; i < 64; ++i) peers.insert(peers.end(), {"--peer", "10.0.0.1"});
  mistakes.emplace_back(peers, "--out-only");
  peers.insert(peers.end(), {"--peer", "10.0.0.1"});
  mistakes.emplace_back(peers, "--peer");
  for (const auto& [arguments, part] : mistakes) {
    std::vector<std::string> all = {program()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Finished refused = wayport::testing::run(all);
    EXPECT_EQ(refused.exit_code, 2) << part << ": " << refused.err;
    EXPECT_THAT(refused.err + refused.out, HasSubstr(part));
  }
}

TEST(EmulatorCommandLine, HelpHasExamplesAndNobodyAnswersWhereNobodyIs) {
  const Finished help = wayport::testing::run({program(), "--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, HasSubstr("wayport-link-emulator attach --peer"));
  EXPECT_THAT(help.err, IsEmpty());
  const Finished alone = wayport::testing::run({program(), "ctl", "--control", "@nobody-is-here", "stats"});
  EXPECT_EQ(alone.exit_code, 1);
  EXPECT_THAT(alone.err, HasSubstr("reach the link emulator"));
}

TEST(EmulatorCommandLine, WhoDoesNotAnswerIsWaitedForAsLongAsWasSaid) {
  const std::string name = "@silent-" + std::to_string(::getpid());
  const Fd silent(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage to{};
  const socklen_t size = SocketAddress::from_unix(name)->store(to);
  ASSERT_EQ(::bind(silent.get(), reinterpret_cast<const sockaddr*>(&to), size), 0);
  ASSERT_EQ(::listen(silent.get(), 1), 0);
  const auto begin = Time::now();
  const Finished alone = wayport::testing::run({program(), "ctl", "--control", name, "--patience", "0.1", "show"});
  EXPECT_EQ(alone.exit_code, 1);
  EXPECT_THAT(alone.err, HasSubstr("no answer in 100 ms"));
  EXPECT_GE(Time::now() - begin, 100ms);
  for (const char* const refused : {"0", "3601"}) {
    EXPECT_EQ(wayport::testing::run({program(), "ctl", "--control", name, "--patience", refused, "show"}).exit_code, 2);
  }
}

TEST(EmulatorCommandLine, WhatTheSystemRefusesIsNoMistakeInTheCommandLine) {
  const Finished refused =
      wayport::testing::run({program(), "join", "--left", "netns=/nowhere,address=10.9.0.1/24", "--right",
                             "address=10.9.0.2/24", "--control", "@refused-" + std::to_string(::getpid())});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("/nowhere"));
}

}  // namespace
}  // namespace wayport::emulator

#include "wayport/rpc/discovery/testing/etcd_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "wayport/base/socket.h"
#include "wayport/rpc/discovery/fill.h"

namespace wayport::rpc {
namespace {

constexpr auto kReadyWait = std::chrono::seconds(20);

Result<Fd> loopback_socket() {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail(system_error(errno, "a socket for etcd"));
  return fd;
}

// Ports that were free a moment ago.
Result<void> free_ports(std::uint16_t& first, std::uint16_t& second, std::uint16_t& third) {
  Fd held[3];
  std::uint16_t* const ports[] = {&first, &second, &third};
  WAYPORT_TRY_ASSIGN(const SocketAddress any, SocketAddress::from_ip("127.0.0.1", 0));
  sockaddr_storage raw{};
  const socklen_t size = any.store(raw);
  for (int i = 0; i < 3; ++i) {
    WAYPORT_TRY_ASSIGN(held[i], loopback_socket());
    if (::bind(held[i].get(), reinterpret_cast<const sockaddr*>(&raw), size) != 0) {
      return fail(system_error(errno, "a free port for etcd"));
    }
    WAYPORT_TRY_ASSIGN(const SocketAddress bound, local_address(held[i].get()));
    *ports[i] = bound.port();
  }
  return {};
}

}  // namespace

std::string EtcdProcess::url() const {
  return etcd::fill("{}://127.0.0.1:{}", tls_.cert.empty() ? "http" : "https", client_port_);
}

Result<std::unique_ptr<EtcdProcess>> EtcdProcess::start(EtcdProcessTls tls) {
  Error last;
  for (int tries = 0; tries < 3; ++tries) {
    std::unique_ptr<EtcdProcess> process(new EtcdProcess);
    const char* const base = ::getenv("TEST_TMPDIR");
    std::string directory = std::string(base != nullptr ? base : "/tmp") + "/etcd-XXXXXX";
    if (::mkdtemp(directory.data()) == nullptr) return fail(system_error(errno, "a directory for etcd"));
    process->directory_ = directory;
    process->tls_ = tls;
    WAYPORT_TRY(free_ports(process->client_port_, process->peer_port_, process->health_port_));
    Result<void> launched = process->launch();
    if (launched) return process;
    last = launched.error();
  }
  return fail(last);
}

EtcdProcess::~EtcdProcess() {
  kill();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void EtcdProcess::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

Result<void> EtcdProcess::restart() {
  kill();
  return launch();
}

Result<void> EtcdProcess::launch() {
  const std::string peer = etcd::fill("http://127.0.0.1:{}", peer_port_);
  const std::string log = directory_ + "/log";
  std::vector<std::string> arguments = {"etcd",
                                        "--name=test",
                                        "--data-dir=" + directory_ + "/data",
                                        "--listen-client-urls=" + url(),
                                        "--advertise-client-urls=" + url(),
                                        "--listen-peer-urls=" + peer,
                                        "--initial-advertise-peer-urls=" + peer,
                                        "--initial-cluster=test=" + peer,
                                        "--heartbeat-interval=10",
                                        "--election-timeout=100",
                                        "--unsafe-no-fsync",
                                        etcd::fill("--listen-metrics-urls=http://127.0.0.1:{}", health_port_)};
  if (!tls_.cert.empty()) {
    arguments.push_back("--cert-file=" + tls_.cert);
    arguments.push_back("--key-file=" + tls_.key);
  }
  if (!tls_.client_ca.empty()) {
    arguments.push_back("--client-cert-auth");
    arguments.push_back("--trusted-ca-file=" + tls_.client_ca);
  }
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  const int error = ::posix_spawnp(&pid_, "etcd", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    pid_ = -1;
    return fail(system_error(error, "etcd (Debian's package etcd-server)"));
  }
  const Fd watched(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  const auto until = std::chrono::steady_clock::now() + kReadyWait;
  bool ended = false;
  while (!ended && std::chrono::steady_clock::now() < until) {
    if (answers()) return {};
    pollfd ends{watched.get(), POLLIN, 0};
    ended = ::poll(&ends, 1, 20) > 0;
  }
  kill();
  std::ifstream file(log);
  std::string told{std::istreambuf_iterator<char>(file), {}};
  if (told.size() > 2000) told.erase(0, told.size() - 2000);
  return fail(ErrorCode::unreachable, etcd::fill("etcd {}: {}", ended ? "ended" : "does not answer", told));
}

// A linearizable read: it has a leader, and works.
bool EtcdProcess::answers() const {
  Result<Fd> fd = loopback_socket();
  const Result<SocketAddress> address = SocketAddress::from_ip("127.0.0.1", health_port_);
  if (!fd || !address) return false;
  sockaddr_storage raw{};
  const socklen_t size = address->store(raw);
  if (::connect(fd->get(), reinterpret_cast<const sockaddr*>(&raw), size) != 0) return false;
  const timeval wait{2, 0};
  ::setsockopt(fd->get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
  constexpr std::string_view request = "GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n";
  if (::send(fd->get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
    return false;
  }
  std::string answer;
  char piece[1024];
  for (ssize_t got = 0; (got = ::recv(fd->get(), piece, sizeof(piece), 0)) > 0;) {
    answer.append(piece, static_cast<std::size_t>(got));
    if (answer.size() > 64 * 1024) break;
  }
  return answer.contains("\"true\"");
}

}  // namespace wayport::rpc

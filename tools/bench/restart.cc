#include "wayport/tools/bench/restart.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "wayport/base/log.h"
#include "wayport/base/restart.h"
#include "wayport/base/runtime.h"
#include "wayport/base/socket.h"
#include "wayport/rpc/peer.h"
#include "wayport/rpc/pool/session_pool.h"
#include "wayport/tools/bench/restart_server.h"
#include "wayport/tools/bench/self_signed.h"

namespace wayport::tools {
namespace {

using Clock = std::chrono::steady_clock;
// For one process to come or go; not reached unless something is wrong.
constexpr std::chrono::seconds kPatience{60};
constexpr std::chrono::milliseconds kLook{2};
// Every n-th call is answered later by its handler, so that some are running when a process drains.
constexpr std::size_t kLaterEvery = 8;

// The socket that all servers serve, as a service manager would make it.
Result<Fd> listening_socket(const std::string& unix_name) {
  WAYPORT_TRY_ASSIGN(const SocketAddress where,
                     unix_name.empty() ? SocketAddress::from_ip("127.0.0.1", 0) : SocketAddress::from_unix(unix_name));
  Fd fd(::socket(where.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_storage address{};
  const socklen_t size = where.store(address);
  if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::listen(fd.get(), 4096) != 0) {
    return fail(system_error(errno, "a listening socket"));
  }
  return fd;
}

// The load and what came of it. Everything on the runtime's only loop, but for the constructor, run() and finish().
class Load {
 public:
  Load(const RestartOptions& options, std::string address, Log& log)
      : options_(options), address_(std::move(address)), runtime_({.loops = 1, .log = &log}), peer_(runtime_) {}
  ~Load() {
    pool_.reset();
    peer_.close_blocking();
  }

  Result<void> begin() {
    WAYPORT_TRY(peer_.start());
    pool_ = std::make_unique<rpc::SessionPool>(
        peer_, rpc::SessionPoolOptions{.addresses = {address_},
                                       .sessions = options_.sessions,
                                       .dial = {.loop = &runtime_.loop(0)},
                                       .backoff = {.min = std::chrono::milliseconds(1)}});
    runtime_.loop(0).post([this] {
      for (std::size_t i = 0; i < options_.outstanding; ++i) pull_from_pool();
      for (std::size_t i = 0; i < options_.fresh; ++i) dial_fresh(std::nullopt);
    });
    return {};
  }
  // Returns when the last call has its outcome.
  void finish() {
    runtime_.loop(0).post([this] {
      ending_ = true;
      tell_if_done();
    });
    done_.get_future().wait();
    // What the pool does after this is about a server that has ended.
    repeated_ += pool_->counters().pulls_repeated.read();
    refused_ += pool_->counters().dials_failed.read();
    pool_.reset();
  }
  // After finish().
  void report(const CallTable& table, RestartOutcome& outcome) const {
    outcome.calls = next_id_;
    outcome.connections = connections_;
    outcome.repeated = repeated_;
    outcome.lost = lost_;
    outcome.refused = refused_;
    outcome.first_trouble = trouble_;
    for (std::size_t id = 0; id < next_id_; ++id) {
      const std::uint32_t times = table.executed(id).load();
      outcome.not_executed += times == 0;
      outcome.executed_twice += times > 1;
    }
  }

 private:
  std::optional<std::int64_t> take_id() {
    if (ending_ || next_id_ == CallTable::kCallsMax) return std::nullopt;
    return static_cast<std::int64_t>(next_id_++);
  }
  static const char* uri_of(std::int64_t id) {
    return static_cast<std::size_t>(id) % kLaterEvery == 0 ? kCountLaterUri : kCountUri;
  }

  void pull_from_pool() {
    const std::optional<std::int64_t> id = take_id();
    if (!id) return;
    ++underway_;
    pool_->pull_async<std::int64_t>(uri_of(*id), *id, {}, [this, id = *id](const rpc::Reply<std::int64_t>& reply) {
      --underway_;
      if (!reply.ok() || *reply != id) lose("pool: ", reply);
      pull_from_pool();
      tell_if_done();
    });
  }

  // `again`: a call that was not executed.
  void dial_fresh(std::optional<std::int64_t> again) {
    const std::optional<std::int64_t> id = again ? again : take_id();
    if (!id) return;
    ++underway_;
    ++connections_;
    peer_.dial_async(address_, {.loop = &runtime_.loop(0)}, [this, id = *id](Result<rpc::Session> session) {
      if (!session) {
        ++refused_;
        ++lost_;
        if (trouble_.empty()) trouble_ = session.error().to_string();
        return end_fresh(std::nullopt);
      }
      session->pull_async<std::int64_t>(uri_of(id), id, {},
                                        [this, id, session = *session](const rpc::Reply<std::int64_t>& reply) {
                                          if (!reply.ok() && reply.status().never_executed) {
                                            ++repeated_;
                                            return end_fresh(id);
                                          }
                                          if (!reply.ok() && reply.status().code == rpc::code::kConnectionClosed)
                                            ++refused_;
                                          if (!reply.ok() || *reply != id) lose("fresh: ", reply);
                                          session.close();
                                          end_fresh(std::nullopt);
                                        });
    });
  }
  void end_fresh(std::optional<std::int64_t> again) {
    --underway_;
    dial_fresh(again);
    tell_if_done();
  }
  void lose(const char* who, const rpc::Reply<std::int64_t>& reply) {
    ++lost_;
    if (trouble_.empty()) trouble_ = who + (reply.ok() ? "another call's reply" : reply.status().to_string());
  }
  void tell_if_done() {
    if (ending_ && underway_ == 0 && !std::exchange(told_, true)) done_.set_value();
  }

  const RestartOptions options_;
  const std::string address_;
  Runtime runtime_;
  rpc::Peer peer_;
  std::unique_ptr<rpc::SessionPool> pool_;
  std::size_t next_id_ = 0;
  std::size_t underway_ = 0;
  std::uint64_t connections_ = 0;
  std::uint64_t repeated_ = 0;
  std::uint64_t lost_ = 0;
  std::uint64_t refused_ = 0;
  std::string trouble_;
  bool ending_ = false;
  bool told_ = false;
  std::promise<void> done_;
};

// The chain of servers. Each is a descendant of ours that comes to us when its parent has gone, so we see how it ends.
class ServerChain {
 public:
  explicit ServerChain(const CallTable& table) : table_(table) { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }
  ~ServerChain() {
    if (const pid_t last = table_.server().load(); last > 0) ::kill(last, SIGKILL);
  }

  Result<void> start(const ProgramStart& program, int socket) {
    Loop loop;
    std::optional<Result<pid_t>> outcome;
    const HandedSocket handed{socket, "bench.socket"};
    WAYPORT_TRY_ASSIGN(const auto successor, Successor::start(loop, program, {&handed, 1}, {}, [&](Result<pid_t> pid) {
                         outcome.emplace(std::move(pid));
                       }));
    while (!outcome) loop.run_turn(std::chrono::milliseconds(100));
    if (!*outcome) return fail(outcome->error());
    return wait_for_server(0).has_value() ? Result<void>{} : fail(ErrorCode::timed_out, "the server is not ready");
  }

  // Returns how long the takeover took. Both processes have done their part then.
  Result<Clock::duration> restart(std::uint64_t& exits_not_clean) {
    const pid_t old = table_.server().load();
    const Clock::time_point begun = Clock::now();
    if (::kill(old, SIGUSR2) != 0) return fail(system_error(errno, "the server " + std::to_string(old)));
    WAYPORT_TRY(wait_for_server(old));
    const Clock::duration took = Clock::now() - begun;
    WAYPORT_TRY_ASSIGN(const int status, wait_for_end(old));
    if (status != 0) ++exits_not_clean;
    return took;
  }

  Result<void> end(std::uint64_t& exits_not_clean) {
    const pid_t last = table_.server().load();
    ::kill(last, SIGTERM);
    WAYPORT_TRY_ASSIGN(const int status, wait_for_end(last));
    if (status != 0) ++exits_not_clean;
    table_.server().store(0);
    return {};
  }

 private:
  Result<void> wait_for_server(pid_t other_than) const {
    for (const auto due = Clock::now() + kPatience; Clock::now() < due; std::this_thread::sleep_for(kLook)) {
      if (table_.server().load() != other_than) return {};
    }
    return fail(ErrorCode::timed_out, "no new process has taken over; the server says why on standard error");
  }
  static Result<int> wait_for_end(pid_t pid) {
    for (const auto due = Clock::now() + kPatience; Clock::now() < due; std::this_thread::sleep_for(kLook)) {
      int status = 0;
      const pid_t ended = ::waitpid(pid, &status, WNOHANG);
      if (ended == pid) return status;
      // Not ours yet: its parent is just ending.
      if (ended < 0 && errno == ECHILD && ::kill(pid, 0) != 0)
        return fail(ErrorCode::io, "a server's end was not seen");
    }
    return fail(ErrorCode::timed_out, "the old process " + std::to_string(pid) + " does not end");
  }

  const CallTable& table_;
};

}  // namespace

Result<RestartOutcome> measure_restarts(std::size_t own_arguments, const RestartOptions& options) {
  RestartOutcome outcome;
  outcome.transport = options.transport;
  WAYPORT_TRY_ASSIGN(const CallTable table, CallTable::make());
  std::optional<SelfSigned> certificate;
  if (options.transport == "tls") {
    WAYPORT_TRY_ASSIGN(SelfSigned made, SelfSigned::make());
    certificate.emplace(std::move(made));
  }
  const std::string unix_name = options.transport == "unix" ? "@wayport-restart-" + std::to_string(::getpid()) : "";
  WAYPORT_TRY_ASSIGN(Fd socket, listening_socket(unix_name));
  std::string listen = "unix://" + unix_name;
  std::string dial = listen;
  if (unix_name.empty()) {
    WAYPORT_TRY_ASSIGN(const SocketAddress bound, local_address(socket.get()));
    listen = dial = options.transport + "://" + bound.to_string();
    if (certificate) {
      listen += "?cert=" + certificate->certificate() + "&key=" + certificate->key();
      dial += "?ca=" + certificate->certificate();
    }
  }
  WAYPORT_TRY_ASSIGN(ProgramStart program, ProgramStart::capture());
  program.arguments.resize(std::min(own_arguments, program.arguments.size()));
  for (const std::string& argument :
       {std::string(kServeRestartArgument), std::to_string(::getpid()), table.path(), listen}) {
    program.arguments.push_back(argument);
  }
  ServerChain servers(table);
  WAYPORT_TRY(servers.start(program, socket.get()));
  socket.reset();  // else connections would wait in its queue with nobody to accept

  // Says why, if a dial fails.
  LogOptions log_options;
  log_options.level = LogLevel::warning;
  WAYPORT_TRY_ASSIGN(const std::unique_ptr<Log> log, open_log(log_options));
  Load load(options, dial, *log);
  WAYPORT_TRY(load.begin());
  const auto pause = std::chrono::duration<double>(options.seconds / (options.restarts + 1));
  Result<void> trouble;
  Clock::duration longest{0};
  for (unsigned i = 0; i < options.restarts && trouble; ++i) {
    std::this_thread::sleep_for(pause);
    const Result<Clock::duration> took = servers.restart(outcome.exits_not_clean);
    if (took) {
      ++outcome.restarts;
      longest = std::max(longest, *took);
    } else {
      trouble = fail(took.error());
    }
  }
  std::this_thread::sleep_for(pause);
  load.finish();
  if (trouble) trouble = servers.end(outcome.exits_not_clean);
  if (!trouble) return fail(trouble.error());
  load.report(table, outcome);
  outcome.takeover_ms_max = std::chrono::duration<double, std::milli>(longest).count();
  return outcome;
}

}  // namespace wayport::tools

#include "wayport/tools/bench/restart_server.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <boost/asio/awaitable.hpp>
#include <cerrno>
#include <cstdlib>
#include <future>
#include <iostream>
#include <memory>
#include <utility>

#include "wayport/base/co.h"
#include "wayport/base/log.h"
#include "wayport/base/runtime.h"
#include "wayport/rpc/graceful/graceful.h"
#include "wayport/rpc/peer.h"

namespace wayport::tools {
namespace {

namespace asio = boost::asio;

constexpr Duration kLater = std::chrono::milliseconds(3);
constexpr Duration kWatchPeriod = std::chrono::seconds(1);

// A server whose client has died would stay for ever.
class ClientWatch final : public Timer {
 public:
  ClientWatch(Loop& loop, pid_t client) : loop_(loop), client_(client) {
    loop_.post([this] { on_timer(); });
  }
  void on_timer() override {
    if (::kill(client_, 0) != 0) std::_Exit(1);
    loop_.arm(*this, loop_.now() + kWatchPeriod);
  }

 private:
  Loop& loop_;
  const pid_t client_;
};

}  // namespace

Result<CallTable> CallTable::make() {
  const char* const base = std::getenv("TMPDIR");
  std::string path = std::string(base ? base : "/tmp") + "/wayport-restart-XXXXXX";
  const int fd = ::mkostemp(path.data(), O_CLOEXEC);
  if (fd < 0) return fail(system_error(errno, "a table of calls under " + path));
  if (::ftruncate(fd, sizeof(Memory)) != 0) {
    const int error = errno;
    ::close(fd);
    ::unlink(path.c_str());
    return fail(system_error(error, path));
  }
  return map(std::move(path), fd, true);
}

Result<CallTable> CallTable::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return fail(system_error(errno, path));
  return map(path, fd, false);
}

Result<CallTable> CallTable::map(std::string path, int fd, bool owned) {
  CallTable table;
  table.path_ = std::move(path);
  table.owned_ = owned;
  void* const memory = ::mmap(nullptr, sizeof(Memory), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  const int error = errno;
  ::close(fd);
  if (memory == MAP_FAILED) return fail(system_error(error, table.path_));
  table.memory_ = static_cast<Memory*>(memory);
  return table;
}

CallTable::CallTable(CallTable&& other) noexcept
    : path_(std::move(other.path_)),
      memory_(std::exchange(other.memory_, nullptr)),
      owned_(std::exchange(other.owned_, false)) {}

CallTable::~CallTable() {
  if (memory_) ::munmap(memory_, sizeof(Memory));
  if (owned_) ::unlink(path_.c_str());
}

int serve_restart(const std::vector<std::string>& arguments) {
  const auto refuse = [](const Error& why) {
    std::cerr << "bench: the server: " << why.to_string() << "\n";
    return 1;
  };
  if (arguments.size() != 3) return 2;
  Result<rpc::ProcessStart> start = rpc::ProcessStart::capture();
  if (!start) return refuse(start.error());
  const Result<CallTable> opened = CallTable::open(arguments[1]);
  if (!opened) return refuse(opened.error());
  const CallTable& table = *opened;
  LogOptions log_options;
  log_options.level = LogLevel::warning;
  const Result<std::unique_ptr<Log>> log = open_log(log_options);
  if (!log) return refuse(log.error());

  Runtime runtime({.loops = 2, .log = log->get()});
  rpc::Peer peer(runtime, {.listen = {arguments[2]}, .listen_options = {.inherited = &start->inherited}});
  peer.router().on_pull(kCountUri, [&table](std::int64_t id) -> rpc::Reply<std::int64_t> {
    if (id < 0 || static_cast<std::size_t>(id) >= CallTable::kCallsMax) return rpc::Status::make(rpc::code::kNotFound);
    table.executed(static_cast<std::size_t>(id)).fetch_add(1);
    return id;
  });
  peer.router().on_pull(kCountLaterUri,
                        [&table](rpc::Context& context, std::int64_t id) -> asio::awaitable<rpc::Reply<std::int64_t>> {
                          Loop& loop = context.session().loop();
                          if (id < 0 || static_cast<std::size_t>(id) >= CallTable::kCallsMax) {
                            co_return rpc::Status::make(rpc::code::kNotFound);
                          }
                          table.executed(static_cast<std::size_t>(id)).fetch_add(1);
                          if (!co_await sleep_for(loop, kLater)) co_return rpc::Status::make(rpc::code::kCanceled);
                          co_return id;
                        });
  if (const Result<void> started = peer.start(); !started) return refuse(started.error());
  ClientWatch watch(runtime.loop(0), std::atoi(arguments[0].c_str()));
  Result<std::unique_ptr<rpc::Graceful>> graceful = rpc::Graceful::start(runtime, {&peer}, *start);
  if (!graceful) return refuse(graceful.error());
  table.server().store(::getpid());
  const bool drained = (*graceful)->wait().drained;
  std::promise<void> unwatched;
  runtime.loop(0).post([&] {
    watch.unlink();
    unwatched.set_value();
  });
  unwatched.get_future().wait();
  return drained ? 0 : 1;
}

}  // namespace wayport::tools

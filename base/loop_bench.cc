// What the loop costs beside its bare system calls.
//
//   Post            function to the own loop, and run; batches of 1000
//   PostFromThread  one function to a loop that sleeps, and back: two wakes
//   MailboxBatch    messages to another loop in the same thread, per message
//   TimerArm        arm or move among 10,000 armed timers
//   TimerExpire     arm, and run in virtual time
//   AwaitCallback   suspend a coroutine in async_callback() and resume it
//   Echo            64-byte frames over a Unix socket pair, one outstanding; server CPU per frame in `cpu_ns`:
//                   raw epoll, Loop, Loop that sleeps in an io_context
#include <benchmark/benchmark.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "wayport/base/co.h"
#include "wayport/base/loop.h"
#include "wayport/base/mailbox.h"
#include "wayport/base/socket.h"
#include "wayport/base/task_group.h"

namespace wayport {
namespace {

void Post(benchmark::State& state) {
  constexpr int kBatch = 1000;
  Loop loop;
  std::uint64_t ran = 0;
  for (auto _ : state) {
    for (int i = 0; i < kBatch; ++i) loop.post([&ran] { ++ran; });
    loop.drain();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(ran));
}
BENCHMARK(Post);

void PostFromThread(benchmark::State& state) {
  Loop here;
  Loop there;
  std::thread thread([&] { there.run(); });
  for (auto _ : state) {
    bool back = false;
    there.post([&] { here.post([&] { back = true; }); });
    while (!back) here.run_turn(std::chrono::seconds(10));
  }
  there.stop();
  thread.join();
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(PostFromThread)->UseRealTime();

void MailboxBatch(benchmark::State& state) {
  struct Receiver final : MailboxReceiver<std::uint64_t> {
    void on_mail(std::span<std::uint64_t> batch) override { received += batch.size(); }
    std::uint64_t received = 0;
  } receiver;
  Loop from;
  Loop to;
  Mailbox<std::uint64_t> mailbox(from, to, receiver);
  const auto batch = static_cast<std::uint64_t>(state.range(0));
  for (auto _ : state) {
    for (std::uint64_t i = 0; i < batch; ++i) {
      if (!mailbox.try_send(std::uint64_t{i})) state.SkipWithError("full");
    }
    from.run_turn();
    to.run_turn();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(receiver.received));
}
BENCHMARK(MailboxBatch)->Arg(1)->Arg(32)->Arg(1000);

struct CountingTimer final : Timer {
  void on_timer() override { ++fired; }
  std::uint64_t fired = 0;
};

void TimerArm(benchmark::State& state) {
  ManualClock clock;
  Loop loop({.clock = &clock});
  std::vector<CountingTimer> timers(10'000);
  std::mt19937_64 random(1);
  std::vector<Duration> delays(4096);
  for (Duration& delay : delays) delay = std::chrono::milliseconds(random() % 60'000);
  std::size_t i = 0;
  for (auto _ : state) {
    loop.arm(timers[i % timers.size()], loop.now() + delays[i % delays.size()]);
    ++i;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(TimerArm);

void TimerExpire(benchmark::State& state) {
  ManualClock clock;
  TimerWheel wheel(clock.now());
  std::vector<CountingTimer> timers(10'000);
  std::mt19937_64 random(1);
  for (auto _ : state) {
    for (CountingTimer& timer : timers) wheel.arm(timer, clock.now() + std::chrono::milliseconds(random() % 10'000));
    for (int i = 0; i < 10'000; ++i) {
      clock.advance(std::chrono::milliseconds(1));
      wheel.expire(clock.now());
    }
  }
  state.SetItemsProcessed(state.iterations() * 10'000);
}
BENCHMARK(TimerExpire);

void AwaitCallback(benchmark::State& state) {
  Loop loop;
  Completion<int> waiting;
  std::uint64_t resumed = 0;
  const auto waiter = [&]() -> asio::awaitable<void> {
    while (true) {
      const Result<int> result = co_await async_callback<int>([&](Completion<int> done) { waiting = std::move(done); });
      if (!result) co_return;
      ++resumed;
    }
  };
  TaskGroup tasks(loop);
  if (!tasks.spawn(waiter())) state.SkipWithError("not started");
  loop.drain();
  loop.post([&] {
    for (auto _ : state) waiting(1);
  });
  loop.drain();
  state.SetItemsProcessed(static_cast<std::int64_t>(resumed));
}
BENCHMARK(AwaitCallback);

constexpr std::size_t kFrameBytes = 64;

struct Ends {
  Ends() {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) std::abort();
    client = Fd(fds[0]);
    server = Fd(fds[1]);
    static_cast<void>(set_nonblocking(server.get()));
  }
  Fd client;
  Fd server;
};

// False at the end of the stream.
bool echo_once(int fd) {
  std::array<char, 4096> buffer;
  const ssize_t size = ::recv(fd, buffer.data(), buffer.size(), 0);
  return size > 0 && ::send(fd, buffer.data(), static_cast<std::size_t>(size), MSG_NOSIGNAL) == size;
}

void serve_raw(int fd) {
  const Fd set(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  event.events = EPOLLIN;
  ::epoll_ctl(set.get(), EPOLL_CTL_ADD, fd, &event);
  while (::epoll_wait(set.get(), &event, 1, -1) >= 0) {
    if (!echo_once(fd)) return;
  }
}

struct EchoServer final : FdEvents, TurnEnd {
  EchoServer(Loop& on, int to) : loop(on), fd(to) {}
  void on_fd(std::uint32_t) override {
    const MutableBytes buffer = loop.scratch(0);
    const ssize_t size = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (size <= 0) return loop.stop();
    output.append(Bytes(buffer.data(), static_cast<std::size_t>(size)));
    loop.at_turn_end(*this);
  }
  void on_turn_end() override {
    const Bytes bytes = output.front();
    static_cast<void>(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL));
    output.clear();
  }
  Loop& loop;
  const int fd;
  Chain output;
};

void serve_loop(int fd, bool with_asio) {
  Loop loop;
  if (with_asio) loop.asio();
  EchoServer server(loop, fd);
  if (!loop.watch(fd, Interest::read, server)) std::abort();
  loop.run();
  loop.unwatch(fd, server);
}

void echo(benchmark::State& state, const std::function<void(int)>& serve) {
  Ends ends;
  double cpu_seconds = 0;
  std::thread thread([&] {
    serve(ends.server.get());
    timespec used{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    cpu_seconds = static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
  });
  std::array<char, kFrameBytes> frame{};
  for (auto _ : state) {
    if (::send(ends.client.get(), frame.data(), frame.size(), 0) != kFrameBytes ||
        ::recv(ends.client.get(), frame.data(), frame.size(), MSG_WAITALL) != kFrameBytes) {
      state.SkipWithError("the echo is broken");
      break;
    }
  }
  ends.client.reset();
  thread.join();
  state.SetItemsProcessed(state.iterations());
  state.counters["cpu_ns"] = cpu_seconds * 1e9 / static_cast<double>(state.iterations());
}

void EchoRawEpoll(benchmark::State& state) { echo(state, serve_raw); }
void EchoLoop(benchmark::State& state) {
  echo(state, [](int fd) { serve_loop(fd, false); });
}
void EchoLoopInAsio(benchmark::State& state) {
  echo(state, [](int fd) { serve_loop(fd, true); });
}
BENCHMARK(EchoRawEpoll)->UseRealTime();
BENCHMARK(EchoLoop)->UseRealTime();
BENCHMARK(EchoLoopInAsio)->UseRealTime();

}  // namespace
}  // namespace wayport

#include "wayport/rpc/handlers.h"

#include "wayport/rpc/session_driver.h"

namespace wayport::rpc::detail {
namespace {

SessionDriver& driver_of(const Call& call) { return static_cast<SessionDriver&>(call.session().host()); }

}  // namespace

void spawn_handler(DeferredCall& call, boost::asio::awaitable<void> task) {
  LoopEnvironment& environment = driver_of(call).environment();
  if (environment.tasks.running() >= environment.tasks_max) {
    environment.session.counters.handlers_refused.add();
    call.fail(Status::make(code::kServiceUnavailable, "too many coroutine handlers are running"));
    return;  // the task goes, and the call with it
  }
  // A group that is closing refuses too; then the end of the call answers it.
  static_cast<void>(environment.tasks.spawn(std::move(task)));
}

void run_blocking(std::unique_ptr<DeferredCall> call, std::move_only_function<void(Call&)> work,
                  std::move_only_function<void(Call&)> finish) {
  SessionDriver& driver = driver_of(*call);
  Loop& loop = driver.loop();
  DeferredCall* const waiting = call.get();
  std::move_only_function<void()> task = [&loop, call = std::move(call), work = std::move(work),
                                          finish = std::move(finish)]() mutable {
    work(*call);
    loop.post([call = std::move(call), finish = std::move(finish)]() mutable { finish(*call); });
  };
  if (driver.environment().workers.try_post(task)) return;
  driver.environment().session.counters.handlers_refused.add();
  waiting->fail(Status::make(code::kServiceUnavailable, "the worker pool's queue is full"));
}

void fail_with_exception(Call& call, std::exception_ptr exception) {
  call.session().fail_with_exception(call, std::move(exception));
}

}  // namespace wayport::rpc::detail

// SignalSet: process signals as callbacks on a loop.
//
// A signal belongs to at most one set. Signals that the process was started with as ignored (nohup, background jobs)
// stay ignored unless the options say otherwise. The end of a set changes no disposition: its signals are then caught
// and do nothing, so that a second Ctrl-C during shutdown neither kills nor calls. restore() gives them back.
//
// Used and destroyed on the loop's thread; the loop outlives it.
#pragma once

#include <signal.h>

#include <functional>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "wayport/base/loop.h"
#include "wayport/base/result.h"

namespace wayport {

struct SignalOptions {
  bool keep_ignored = true;  // a signal that is ignored when the set is made stays so
};

class SignalSet final : private FdEvents {
 public:
  using Handler = std::move_only_function<void(int signal)>;

  // Several signals of one kind that come close together may be one call.
  static Result<std::unique_ptr<SignalSet>> open(Loop& loop, std::initializer_list<int> signals, Handler handler,
                                                 SignalOptions options = {});
  ~SignalSet();
  SignalSet(const SignalSet&) = delete;
  SignalSet& operator=(const SignalSet&) = delete;

  // Puts back the dispositions that open() found.
  void restore() noexcept;

 private:
  struct Caught {
    int signal;
    struct sigaction before;
  };

  // Outlives the set while the handler destroys it.
  struct Callback {
    Handler handler;
    bool set_is_gone = false;
  };

  SignalSet(Loop& loop, Handler handler)
      : loop_(loop), callback_(std::make_shared<Callback>(Callback{std::move(handler)})) {}
  void on_fd(std::uint32_t events) override;
  void let_go() noexcept;

  Loop& loop_;
  const std::shared_ptr<Callback> callback_;
  int pipe_ = -1;  // index into the process's signal pipes
  std::vector<Caught> caught_;
};

}  // namespace wayport

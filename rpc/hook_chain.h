// Runs hooks one after the other until one refuses. Internal to rpc.
#pragma once

#include <exception>
#include <vector>

#include "wayport/rpc/status.h"

namespace wayport::rpc {

// What a hook threw, as the status that it stands for. Call it inside a catch block.
Status status_of_exception() noexcept;

template <class Hook, class Run>
Status run_chain(const std::vector<Hook*>& hooks, Run&& run) {
  for (Hook* hook : hooks) {
    try {
      if (Status status = run(*hook); !status.ok()) return status;
    } catch (...) {
      return status_of_exception();
    }
  }
  return {};
}

}  // namespace wayport::rpc

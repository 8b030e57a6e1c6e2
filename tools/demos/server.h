// One side of the demo: a peer that listens on one address, and on a second one where packets must be small. It keeps
// what it saw, so that the other side can check it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "wayport/base/runtime.h"
#include "wayport/rpc/peer.h"

namespace wayport::tools {

// Values that come from loops; whoever waits for one gets it, or gives up after a while.
template <class T>
class Inbox {
 public:
  void put(T value) {
    const std::lock_guard lock(mutex_);
    values_.push_back(std::move(value));
    changed_.notify_all();
  }
  std::optional<T> take() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::seconds(20), [this] { return !values_.empty(); })) return std::nullopt;
    T value = std::move(values_.front());
    values_.erase(values_.begin());
    return value;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<T> values_;
};

class DemoServer {
 public:
  static constexpr std::size_t kSmallLimit = 4096;  // of packets, at small_address()

  // Throws StepFailed when an address cannot be had.
  DemoServer(Log& log, const std::string& listen, const std::string& listen_small);

  rpc::Peer& peer() { return peer_; }
  std::string address() const { return peer_.addresses()[0]; }
  std::string small_address() const { return peer_.addresses()[1]; }

  Inbox<std::string> log_lines;               // what was pushed to /log
  Inbox<CloseReason> closed;                  // sessions that ended for a reason of their own
  std::atomic<std::uint8_t> header_codec{0};  // of the last request
  std::atomic<int> echoes{0};                 // times that /echo ran

 private:
  void add_routes();

  Runtime runtime_;
  rpc::Peer peer_;
};

}  // namespace wayport::tools

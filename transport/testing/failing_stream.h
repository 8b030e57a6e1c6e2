// Failing at the n-th operation: a loop over n = 0, 1, 2, ... until a run succeeds takes every error path.
//
//   for (std::size_t n = 0;; ++n) {
//     FailCount fail_at(n);
//     ... run the scenario over FailingStream(..., fail_at) or FailingTransport(..., fail_at) ...
//     if (!fail_at.reached()) break;
//   }
#pragma once

#include <cstddef>
#include <memory>

#include "wayport/transport/testing/stream_wrapper.h"
#include "wayport/transport/transports.h"

namespace wayport::transport {

// Counts operations of everything that shares it, and says which one is to fail. One operation fails, once.
class FailCount {
 public:
  explicit FailCount(std::size_t index) noexcept : left_(index) {}
  bool fails_now() noexcept {
    if (reached_) return false;
    reached_ = left_-- == 0;
    return reached_;
  }
  bool reached() const noexcept { return reached_; }

 private:
  std::size_t left_;
  bool reached_ = false;
};

// What `CloseReason` and `Error` of an injected failure say.
inline constexpr const char* kInjected = "injected failure";

// Operations: each write, shutdown, and each event on its way up. The failing one does not happen; the stream closes
// with By::system, io.
class FailingStream final : public StreamWrapper {
 public:
  FailingStream(std::unique_ptr<Stream> lower, std::shared_ptr<FailCount> count)
      : StreamWrapper(std::move(lower)), count_(std::move(count)) {}

  Pressure write(Chain&& chain, bool message_end) override;
  void shutdown_write() override;

 private:
  std::size_t on_bytes(MutableBytes bytes, bool message_end) override;
  void on_writable() override;
  void on_read_end() override;

  bool fails();

  const std::shared_ptr<FailCount> count_;
  bool failed_ = false;
};

// Operations: each dial, each listen, each accepted connection; and those of the streams that come of them.
class FailingTransport final : public Transport {
 public:
  FailingTransport(std::shared_ptr<const Transport> lower, std::shared_ptr<FailCount> count)
      : lower_(std::move(lower)), count_(std::move(count)) {}

  std::unique_ptr<Dial> dial(const Transports& all, Loop& loop, const Address& address, const DialOptions& options,
                             OnDialed on_done) const override;
  Result<std::unique_ptr<Listener>> listen(const Transports& all, Loop& loop, const Address& address,
                                           const ListenOptions& options) const override;

 private:
  const std::shared_ptr<const Transport> lower_;
  const std::shared_ptr<FailCount> count_;
};

}  // namespace wayport::transport

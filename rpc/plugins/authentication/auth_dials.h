// The handshakes that a client plugin has under way, so that the server plugin of the same peer knows a hello of its own.
// Internal to this package.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

namespace wayport::rpc {

// Any thread. As many as there are dials in their handshake.
class AuthDials {
 public:
  using Nonce = std::vector<std::byte>;

  // For as long as it lives, `nonce` is one of ours.
  class Entry {
   public:
    Entry(std::shared_ptr<AuthDials> dials, Nonce nonce) : dials_(std::move(dials)), nonce_(std::move(nonce)) {
      const std::lock_guard lock(dials_->mutex_);
      dials_->nonces_.insert(nonce_);
    }
    ~Entry() {
      const std::lock_guard lock(dials_->mutex_);
      dials_->nonces_.erase(nonce_);
    }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   private:
    const std::shared_ptr<AuthDials> dials_;
    const Nonce nonce_;
  };

  bool contains(const Nonce& nonce) const {
    const std::lock_guard lock(mutex_);
    return nonces_.contains(nonce);
  }

 private:
  mutable std::mutex mutex_;
  std::set<Nonce> nonces_;
};

}  // namespace wayport::rpc

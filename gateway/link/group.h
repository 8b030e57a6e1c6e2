// SwitchGroup: what the switches of one gateway, one per loop, have in common. Nothing in it is touched per frame.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "wayport/gateway/link/connection_ids.h"
#include "wayport/gateway/link/options.h"

namespace wayport::link {

// Outlives its switches. Thread-safe.
class SwitchGroup {
 public:
  // REQUIRES: options.validate(), 1 <= loops <= 256. `hash_seed`: random and secret, as peers choose what it hashes.
  SwitchGroup(const SwitchOptions& options, unsigned loops, std::uint64_t hash_seed,
              std::uint32_t first_connection_id = 1)
      : options_(options), loops_(loops), hash_seed_(hash_seed), ids_(options.virtual_max, first_connection_id) {
    WAYPORT_ASSERT(loops >= 1 && loops <= 256, "a gateway has 1 to 256 loops");
    WAYPORT_ASSERT(options.validate().has_value(), "options were validated");
  }
  SwitchGroup(const SwitchGroup&) = delete;
  SwitchGroup& operator=(const SwitchGroup&) = delete;

  const SwitchOptions& options() const noexcept { return options_; }
  unsigned loops() const noexcept { return loops_; }
  std::uint64_t hash_seed() const noexcept { return hash_seed_; }
  ConnectionIds& ids() noexcept { return ids_; }
  // Numbers of server registrations: the higher, the newer. Never 0, never twice.
  std::uint64_t next_registration() noexcept { return registration_.fetch_add(1, std::memory_order_relaxed) + 1; }

  // A count that may not exceed a bound.
  class Places {
   public:
    bool take(std::size_t max) noexcept {
      if (taken_.fetch_add(1, std::memory_order_relaxed) < max) return true;
      give();
      return false;
    }
    void give() noexcept { taken_.fetch_sub(1, std::memory_order_relaxed); }
    std::size_t taken() const noexcept { return taken_.load(std::memory_order_relaxed); }

   private:
    std::atomic<std::size_t> taken_{0};
  };
  Places clients;
  Places servers;
  Places handshakes;

  // Client ids are dealt out so that the id tells the loop: loop k (of n) gives k+1, k+1+n, k+1+2n ... Connections that
  // are handed to the loops in turn thus get 1, 2, 3 ... in the order of accepting.
  unsigned loop_of_client(std::uint32_t client_id) const noexcept { return (client_id - 1) % loops_; }

 private:
  const SwitchOptions options_;
  const unsigned loops_;
  const std::uint64_t hash_seed_;
  std::atomic<std::uint64_t> registration_{0};
  ConnectionIds ids_;
};

}  // namespace wayport::link

// PacketHub: packet streams by id, for broadcasts, kicks and "any of them" (spec/teleport 15, "pool, hub with random
// pick").
//
//   hub.set(stream);                                   // what it returns had this id before: close it
//   hub.range([](const auto& stream) { ...; return true; });
//   void on_closed(PacketStream& stream, const CloseReason&) override { hub.erase(stream); }
//
// Ownership: the hub holds a shared handle of each stream, so one that it holds stays alive. Whoever sets a stream
// erases it in on_closed(), by the stream and not by its id: a successor with the same id stays. A closed stream that
// is left in the hub is only memory; sending to it fails.
//
// Ids may come from peers: they are kept in order, never hashed, and bounded in length. The id under which a stream is
// held is the one it had when it was set, or was renamed to.
//
// Errors: `overloaded` (entries_max), `too_large` (id_bytes_max), `not_found`, `invalid_argument`.
//
// Threads: any. Nothing of the application runs under the hub's lock but PacketHubOptions::random. A stream that is
// found belongs to its own loop: post there to use it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/rpc/packets/packet_stream.h"

namespace wayport::rpc {

struct PacketHubOptions {
  std::size_t entries_max = 1'000'000;
  std::size_t id_bytes_max = 1024;
  // Uniform 64-bit numbers for pick(); called under the hub's lock, so it must not call the hub. Null: a generator that
  // the system's random source seeded; not for secrets.
  std::function<std::uint64_t()> random{};
};

class PacketHub {
 public:
  using Handle = std::shared_ptr<PacketStream>;

  explicit PacketHub(PacketHubOptions options = {});
  PacketHub(const PacketHub&) = delete;
  PacketHub& operator=(const PacketHub&) = delete;

  // Holds `stream` under its id. Returns who held that id before and no longer does, for the caller to close (the
  // original closes the old one, too); else null. A stream that is held already moves to its present id.
  Result<Handle> set(Handle stream);
  Handle get(std::string_view id) const;  // null: nobody
  // Changes the id under which a stream is held, and the stream's own. Returns whom it displaced, as set().
  Result<Handle> rename(std::string_view from, std::string to);
  // Returns who was held; null: nobody.
  Handle erase(std::string_view id);
  // Only if it is this stream that is held. True if it was.
  bool erase(const PacketStream& stream);

  // Visits all in the order of their ids until `visit` returns false; false then. The lock is not held during a visit,
  // which may use the hub: streams that stay under their ids are visited once, those that come or go meanwhile at most
  // once per id.
  bool range(const std::function<bool(const Handle&)>& visit) const;
  std::size_t count() const;
  // Any of them, each as likely; null: none is held. Constant time.
  Handle pick();
  // set() calls refused because of entries_max.
  std::uint64_t refused() const;

 private:
  using Ids = std::map<std::string, std::size_t, std::less<>>;  // to the index in entries_
  struct Entry {
    Handle stream;
    Ids::iterator id;
  };

  Result<void> check_id(std::string_view id) const;
  Handle take(std::size_t index);
  std::uint64_t next_random();

  const PacketHubOptions options_;
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;  // without gaps, in no order
  Ids ids_;
  std::unordered_map<const PacketStream*, std::size_t> streams_;  // keys are ours, no peer chooses them
  std::uint64_t random_state_;
  std::uint64_t refused_ = 0;
};

}  // namespace wayport::rpc

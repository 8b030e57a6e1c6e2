// SessionTable: every session of a peer, and which one holds which id. Thread-safe; touched when sessions come, go or
// change their id, never per message. Internal to rpc.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "wayport/rpc/session_driver.h"

namespace wayport::rpc {

class SessionTable final : public SessionRegistry {
 public:
  using OnEnded = std::function<void(const std::shared_ptr<SessionDriver>&)>;
  explicit SessionTable(OnEnded on_ended) : on_ended_(std::move(on_ended)) {}

  // A default id that is taken gets a suffix; a chosen one closes the session that had it.
  void add(const std::shared_ptr<SessionDriver>& session, std::string id, bool chosen);
  std::shared_ptr<SessionDriver> find(std::string_view id) const;
  std::vector<std::shared_ptr<SessionDriver>> all() const;
  // Also those that have ended and whose handlers still run.
  std::size_t size() const;
  std::size_t live() const;  // that have not ended
  // Somebody who is about to become a session: while one lives, the table does not count as empty.
  class Hold {
   public:
    explicit Hold(SessionTable& table);
    ~Hold();
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    SessionTable& table_;
  };
  // Runs `callback` once nothing is left: now, on this thread, or later, on the thread of the last to go.
  void when_empty(std::move_only_function<void()> callback);

  // --- SessionRegistry ---
  void rename(SessionDriver& session, std::string id) override;
  void ended(SessionDriver& session) override;
  void released(SessionDriver& session) override;

 private:
  // The session that held `id` before. Under the lock.
  std::shared_ptr<SessionDriver> take_id(SessionDriver& session, std::string id);

  const OnEnded on_ended_;
  mutable std::mutex mutex_;
  // Ids may be chosen by peers (authentication), so the table is one that cannot be flooded.
  std::map<std::string, SessionDriver*, std::less<>> by_id_;
  struct Entry {
    std::shared_ptr<SessionDriver> session;
    bool ended = false;  // holds no id any more, and takes none
  };
  // Gives up the id that the session holds. Under the lock.
  void drop_id(SessionDriver& session);
  std::unordered_map<SessionDriver*, Entry> all_;
  std::size_t live_ = 0;
  std::size_t holds_ = 0;
  std::uint64_t next_suffix_ = 1;
  std::vector<std::move_only_function<void()>> when_empty_;
};

}  // namespace wayport::rpc

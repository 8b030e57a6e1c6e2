#include "wayport/rpc/session_table.h"

namespace wayport::rpc {
namespace {

void close_because_id_was_taken(const std::shared_ptr<SessionDriver>& session) {
  if (!session) return;
  SessionDriver& driver = *session;
  driver.on_loop([&driver] {
    driver.begin_close(CloseReason::local(ErrorCode::local_closed, "another session took the id " + driver.id()));
  });
}

}  // namespace

void SessionTable::add(const std::shared_ptr<SessionDriver>& session, std::string id, bool chosen) {
  std::shared_ptr<SessionDriver> holder;
  {
    const std::lock_guard lock(mutex_);
    all_.emplace(session.get(), Entry{session});
    ++live_;
    if (!chosen) {
      const std::string base = id;
      while (id.empty() || by_id_.contains(id)) id = base + "#" + std::to_string(next_suffix_++);
    }
    holder = take_id(*session, std::move(id));
  }
  close_because_id_was_taken(holder);
}

std::shared_ptr<SessionDriver> SessionTable::take_id(SessionDriver& session, std::string id) {
  drop_id(session);
  session.set_id(id);
  const auto [entry, fresh] = by_id_.try_emplace(std::move(id), &session);
  if (fresh || entry->second == &session) return nullptr;
  SessionDriver* const holder = std::exchange(entry->second, &session);
  return holder->shared_from_this();
}

void SessionTable::drop_id(SessionDriver& session) {
  const auto held = by_id_.find(session.id());
  if (held != by_id_.end() && held->second == &session) by_id_.erase(held);
}

std::shared_ptr<SessionDriver> SessionTable::find(std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second->shared_from_this();
}

std::vector<std::shared_ptr<SessionDriver>> SessionTable::all() const {
  std::vector<std::shared_ptr<SessionDriver>> sessions;
  const std::lock_guard lock(mutex_);
  sessions.reserve(all_.size());
  for (const auto& entry : all_) sessions.push_back(entry.second.session);
  return sessions;
}

std::size_t SessionTable::size() const {
  const std::lock_guard lock(mutex_);
  return all_.size();
}

std::size_t SessionTable::live() const {
  const std::lock_guard lock(mutex_);
  return live_;
}

void SessionTable::when_empty(std::move_only_function<void()> callback) {
  {
    const std::lock_guard lock(mutex_);
    if (!all_.empty() || holds_ != 0) {
      when_empty_.push_back(std::move(callback));
      return;
    }
  }
  callback();
}

void SessionTable::rename(SessionDriver& session, std::string id) {
  std::shared_ptr<SessionDriver> holder;
  {
    const std::lock_guard lock(mutex_);
    const auto entry = all_.find(&session);
    if (entry == all_.end() || entry->second.ended) return;
    holder = take_id(session, std::move(id));
  }
  close_because_id_was_taken(holder);
}

void SessionTable::ended(SessionDriver& session) {
  {
    const std::lock_guard lock(mutex_);
    drop_id(session);
    if (const auto entry = all_.find(&session); entry != all_.end() && !entry->second.ended) {
      entry->second.ended = true;
      --live_;
    }
  }
  if (on_ended_) on_ended_(session.shared_from_this());
}

void SessionTable::released(SessionDriver& session) {
  std::shared_ptr<SessionDriver> last;
  std::vector<std::move_only_function<void()>> callbacks;
  {
    const std::lock_guard lock(mutex_);
    const auto found = all_.find(&session);
    if (found == all_.end()) return;
    last = std::move(found->second.session);
    all_.erase(found);
    if (all_.empty() && holds_ == 0) callbacks.swap(when_empty_);
  }
  for (auto& callback : callbacks) callback();
}

SessionTable::Hold::Hold(SessionTable& table) : table_(table) {
  const std::lock_guard lock(table_.mutex_);
  ++table_.holds_;
}

SessionTable::Hold::~Hold() {
  std::vector<std::move_only_function<void()>> callbacks;
  {
    const std::lock_guard lock(table_.mutex_);
    --table_.holds_;
    if (table_.all_.empty() && table_.holds_ == 0) callbacks.swap(table_.when_empty_);
  }
  for (auto& callback : callbacks) callback();
}

}  // namespace wayport::rpc

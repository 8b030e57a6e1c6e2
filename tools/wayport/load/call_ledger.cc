#include "wayport/tools/wayport/load/call_ledger.h"

namespace wayport::tools {

CallLedger::Entry CallLedger::enter(std::uint64_t caller, std::uint64_t call) {
  const std::lock_guard lock(mutex_);
  if (call >= kCallsMax) return Entry::no_room;
  auto found = seen_.find(caller);
  if (found == seen_.end()) {
    if (seen_.size() >= callers_max_) return Entry::no_room;
    found = seen_.try_emplace(caller).first;
  }
  std::vector<bool>& calls = found->second;
  if (call >= calls.size() + kAheadMax) return Entry::no_room;
  if (calls.size() <= call) {
    const std::uint64_t more = call + 1 - calls.size();
    if (more > bits_max_ - bits_) return Entry::no_room;
    bits_ += more;
    calls.resize(call + 1);
  }
  if (calls[call]) {
    ++totals_.doubled;
    return Entry::again;
  }
  calls[call] = true;
  ++totals_.executed;
  return Entry::first;
}

CallLedger::Totals CallLedger::totals() const {
  const std::lock_guard lock(mutex_);
  Totals totals = totals_;
  totals.callers = seen_.size();
  return totals;
}

}  // namespace wayport::tools

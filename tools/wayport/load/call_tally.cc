#include "wayport/tools/wayport/load/call_tally.h"

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>

namespace wayport::tools {

void CallTally::add_stall(Duration length) noexcept {
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(length).count();
  const auto end = std::ranges::find_if(kStallClasses, [ms](std::uint32_t limit) { return ms < limit; });
  ++stalls[static_cast<std::size_t>(end - kStallClasses.begin())];
  longest_stall = std::max(longest_stall, length);
}

void CallTally::add(const CallTally& other) {
  begun += other.begun;
  replied += other.replied;
  wrong += other.wrong;
  for (const auto& [how, count] : other.failed) failed[how] += count;
  for (std::size_t i = 0; i < stalls.size(); ++i) stalls[i] += other.stalls[i];
  longest_stall = std::max(longest_stall, other.longest_stall);
}

std::uint64_t CallTally::ended() const noexcept {
  std::uint64_t count = replied + wrong;
  for (const auto& [how, failures] : failed) count += failures;
  return count;
}

std::string CallTally::to_json() const {
  boost::json::object failures;
  for (const auto& [how, count] : failed) failures[how] = count;
  boost::json::object classes;
  for (std::size_t i = 0; i < stalls.size(); ++i) {
    const bool last = i == kStallClasses.size();
    classes[last ? ">=" + std::to_string(kStallClasses.back()) : "<" + std::to_string(kStallClasses[i])] = stalls[i];
  }
  boost::json::object object;
  object["begun"] = begun;
  object["replied"] = replied;
  object["wrong"] = wrong;
  object["failed"] = std::move(failures);
  object["without_outcome"] = begun - ended();
  object["stalls_ms"] = std::move(classes);
  object["longest_stall_ms"] = std::chrono::ceil<std::chrono::milliseconds>(longest_stall).count();
  return boost::json::serialize(object);
}

}  // namespace wayport::tools

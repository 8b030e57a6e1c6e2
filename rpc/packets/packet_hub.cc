#include "wayport/rpc/packets/packet_hub.h"

#include <array>
#include <optional>
#include <random>
#include <utility>

namespace wayport::rpc {
namespace {

// Handles taken per hold of the lock while visiting.
constexpr std::size_t kRangeStep = 64;

}  // namespace

PacketHub::PacketHub(PacketHubOptions options) : options_(std::move(options)) {
  std::random_device device;
  random_state_ = (static_cast<std::uint64_t>(device()) << 32) | device();
}

Result<void> PacketHub::check_id(std::string_view id) const {
  if (id.size() <= options_.id_bytes_max) return {};
  return fail(ErrorCode::too_large, "an id of " + std::to_string(id.size()) +
                                        " bytes is longer than PacketHubOptions::id_bytes_max (" +
                                        std::to_string(options_.id_bytes_max) + "): \"" + escape(id, 64) + "\"");
}

// Under the lock. The last entry moves into the gap.
PacketHub::Handle PacketHub::take(std::size_t index) {
  Handle taken = std::move(entries_[index].stream);
  ids_.erase(entries_[index].id);
  streams_.erase(taken.get());
  if (index + 1 != entries_.size()) {
    entries_[index] = std::move(entries_.back());
    entries_[index].id->second = index;
    streams_[entries_[index].stream.get()] = index;
  }
  entries_.pop_back();
  return taken;
}

Result<PacketHub::Handle> PacketHub::set(Handle stream) {
  if (!stream) return fail(ErrorCode::invalid_argument, "a hub holds no null stream");
  std::string id = stream->id();
  WAYPORT_TRY(check_id(id));
  const std::lock_guard lock(mutex_);
  Handle displaced;
  if (const auto held = ids_.find(id); held != ids_.end()) {
    if (entries_[held->second].stream == stream) return Handle();
    displaced = take(held->second);
  } else if (!streams_.contains(stream.get()) && entries_.size() >= options_.entries_max) {
    ++refused_;
    return fail(ErrorCode::overloaded, "the hub holds " + std::to_string(entries_.size()) +
                                           " streams, as many as PacketHubOptions::entries_max allows; \"" +
                                           escape(id, 64) + "\" was not added");
  }
  // Held under an earlier id: `stream` keeps it alive.
  if (const auto held = streams_.find(stream.get()); held != streams_.end()) take(held->second);
  const std::size_t index = entries_.size();
  const auto place = ids_.emplace(std::move(id), index).first;
  streams_.emplace(stream.get(), index);
  entries_.push_back({std::move(stream), place});
  return displaced;
}

PacketHub::Handle PacketHub::get(std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const auto held = ids_.find(id);
  return held == ids_.end() ? nullptr : entries_[held->second].stream;
}

Result<PacketHub::Handle> PacketHub::rename(std::string_view from, std::string to) {
  WAYPORT_TRY(check_id(to));
  const std::lock_guard lock(mutex_);
  const auto held = ids_.find(from);
  if (held == ids_.end()) {
    return fail(ErrorCode::not_found, "the hub holds no stream with the id \"" + escape(from, 64) + "\"");
  }
  const PacketStream* const stream = entries_[held->second].stream.get();
  Handle displaced;
  if (const auto other = ids_.find(to); other != ids_.end() && other != held) displaced = take(other->second);
  const std::size_t index = streams_.at(stream);
  auto node = ids_.extract(held);
  node.key() = to;
  entries_[index].id = ids_.insert(std::move(node)).position;
  entries_[index].stream->set_id(std::move(to));
  return displaced;
}

PacketHub::Handle PacketHub::erase(std::string_view id) {
  const std::lock_guard lock(mutex_);
  const auto held = ids_.find(id);
  return held == ids_.end() ? nullptr : take(held->second);
}

bool PacketHub::erase(const PacketStream& stream) {
  Handle taken;  // goes after the lock
  const std::lock_guard lock(mutex_);
  const auto held = streams_.find(&stream);
  if (held == streams_.end()) return false;
  taken = take(held->second);
  return true;
}

bool PacketHub::range(const std::function<bool(const Handle&)>& visit) const {
  std::optional<std::string> last;
  for (;;) {
    std::array<Handle, kRangeStep> step;
    std::size_t filled = 0;
    {
      const std::lock_guard lock(mutex_);
      auto at = last ? ids_.upper_bound(*last) : ids_.begin();
      for (; at != ids_.end() && filled < step.size(); ++at) {
        step[filled++] = entries_[at->second].stream;
        if (filled == step.size()) last = at->first;
      }
    }
    for (std::size_t i = 0; i < filled; ++i) {
      if (!visit(step[i])) return false;
    }
    if (filled < step.size()) return true;
  }
}

std::size_t PacketHub::count() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

PacketHub::Handle PacketHub::pick() {
  const std::lock_guard lock(mutex_);
  if (entries_.empty()) return nullptr;
  // The bias of the remainder is below entries_max / 2^64.
  return entries_[static_cast<std::size_t>(next_random() % entries_.size())].stream;
}

std::uint64_t PacketHub::refused() const {
  const std::lock_guard lock(mutex_);
  return refused_;
}

// SplitMix64 (Steele, Lea, Flood 2014): a Weyl sequence through a mixer.
std::uint64_t PacketHub::next_random() {
  if (options_.random) return options_.random();
  std::uint64_t mixed = random_state_ += 0x9e3779b97f4a7c15u;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
  return mixed ^ (mixed >> 31);
}

}  // namespace wayport::rpc

#include "wayport/rpc/plugins/proxy/balance.h"

#include <algorithm>

namespace wayport::rpc {
namespace {

std::uint64_t mix(std::uint64_t x) noexcept {  // splitmix64
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

std::uint64_t hash_text(std::string_view text) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return mix(hash);
}

void Health::answered() noexcept {
  failures_ = 0;
  if (ejections_ == 0) return;
  ejections_ = 0;
  ejected_until_ = TimePoint::min();
  ejection_.reset();
}

bool Health::failed(TimePoint now, std::uint64_t random) noexcept {
  // Calls that were under way when it was ejected say nothing new.
  if (options_.failures_max == 0 || now < ejected_until_) return false;
  ++failures_;
  if (ejections_ == 0 && failures_ < options_.failures_max) return false;
  failures_ = 0;
  ++ejections_;
  ejected_until_ = after(now, ejection_.next(random));
  return true;
}

bool Health::checked(bool good) noexcept {
  if (good != down_) {
    checks_ = 0;
    return false;
  }
  if (++checks_ < (down_ ? options_.rise : options_.fall)) return false;
  checks_ = 0;
  down_ = !down_;
  return true;
}

std::size_t Balancer::pick(std::span<const Candidate> candidates, std::uint64_t key) noexcept {
  switch (balance_) {
    case Balance::round_robin:
      return round_robin(candidates);
    case Balance::least_outstanding:
      return least_outstanding(candidates);
    case Balance::hash:
      return hash(candidates, key);
  }
  return kNone;
}

// Smooth weighted round robin: each usable one earns its weight per pick, the richest is taken and pays for all.
std::size_t Balancer::round_robin(std::span<const Candidate> candidates) noexcept {
  std::size_t best = kNone;
  std::int64_t total = 0;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& candidate = candidates[i];
    if (!candidate.usable) continue;
    total += candidate.weight;
    *candidate.share += candidate.weight;
    if (best == kNone || *candidate.share > *candidates[best].share) best = i;
  }
  if (best != kNone) *candidates[best].share -= total;
  return best;
}

std::size_t Balancer::least_outstanding(std::span<const Candidate> candidates) noexcept {
  std::size_t best = kNone;
  const std::size_t first = first_++;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const std::size_t at = (first + i) % candidates.size();
    const Candidate& candidate = candidates[at];
    if (!candidate.usable) continue;
    if (best == kNone ||
        (candidate.outstanding + 1) * candidates[best].weight < (candidates[best].outstanding + 1) * candidate.weight) {
      best = at;
    }
  }
  return best;
}

// Rendezvous hashing: the highest score of (key, backend) wins, so that a backend's going moves only its keys. With
// -weight / ln(u), u uniform in (0, 1), shares are as the weights.
std::size_t Balancer::hash(std::span<const Candidate> candidates, std::uint64_t key) noexcept {
  std::size_t best = kNone;
  double best_score = 0;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& candidate = candidates[i];
    if (!candidate.usable) continue;
    const double u = (static_cast<double>(mix(candidate.seed ^ mix(key)) >> 11) + 0.5) / 9007199254740992.0;
    const double score = -static_cast<double>(candidate.weight) / std::log(u);
    if (best != kNone && score <= best_score) continue;
    best = i;
    best_score = score;
  }
  return best;
}

}  // namespace wayport::rpc

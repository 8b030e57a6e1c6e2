#include "wayport/rpc/plugins/limiter/limiter.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <random>
#include <string>
#include <utility>

#include "wayport/base/socket.h"
#include "wayport/rpc/session_core.h"
#include "wayport/rpc/session_driver.h"

namespace wayport::rpc::plugins {
namespace {

using Verdict = Admission::Verdict;

// What a key is made of, in its upper half, so that kinds of sources never meet.
enum : std::uint64_t { kKindUnix = 1, kKindIpv4 = 4, kKindIpv6 = 6 };

Refusal refusal_of(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::source_at_once:
      return Refusal::source_at_once;
    case Verdict::source_per_second:
      return Refusal::source_per_second;
    case Verdict::total_at_once:
      return Refusal::total_at_once;
    default:
      return Refusal::total_per_second;
  }
}

bool is_admitted(Verdict verdict) noexcept { return verdict == Verdict::admitted || verdict == Verdict::untracked; }

std::string print(double number) {
  std::string text = std::to_string(number);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

std::string text_of(Refusal refusal, const char* what, const Limit& total, const Limit& per_source, Duration budget) {
  switch (refusal) {
    case Refusal::source_at_once:
      return "too many " + std::string(what) + " of this source at once: more than " +
             std::to_string(per_source.at_once);
    case Refusal::source_per_second:
      return "too many " + std::string(what) + " of this source: more than " + print(per_source.per_second) +
             " per second";
    case Refusal::total_at_once:
      return "too many " + std::string(what) + " at once: more than " + std::to_string(total.at_once);
    case Refusal::total_per_second:
      return "too many " + std::string(what) + ": more than " + print(total.per_second) + " per second";
    case Refusal::turn_budget:
      return "overloaded: handlers took more than turn_budget " + format_duration(budget);
  }
  return {};
}

SourceSeeds random_seeds() {
  std::random_device random;
  SourceSeeds seeds;
  for (std::uint64_t& seed : seeds) seed = (std::uint64_t{random()} << 32) | random();
  return seeds;
}

LimiterCounts sum_up(const PerThread<detail::LimiterCounters>& counters, const Admission& admission) {
  LimiterCounts counts;
  counters.for_each([&](const detail::LimiterCounters& one) {
    counts.admitted += one.admitted.read();
    for (std::size_t i = 0; i < kRefusals; ++i) counts.refused[i] += one.refused[i].read();
    counts.pushes_dropped += one.pushes_dropped.read();
    counts.untracked += one.untracked.read();
  });
  counts.at_once = admission.inside();
  counts.sources = admission.sources();
  return counts;
}

}  // namespace

std::string_view to_string(Refusal refusal) noexcept {
  static constexpr std::array<std::string_view, kRefusals> kNames = {
      "source_at_once", "source_per_second", "total_at_once", "total_per_second", "turn_budget"};
  return kNames[static_cast<std::size_t>(refusal)];
}

std::uint64_t LimiterCounts::refused_count() const noexcept {
  std::uint64_t sum = 0;
  for (const std::uint64_t count : refused) sum += count;
  return sum;
}

SourceKey source_of_address(const transport::PeerInfo& peer) noexcept {
  if (peer.remote.family() != AF_INET && peer.remote.family() != AF_INET6) {
    return {kKindUnix, peer.unix_peer ? std::uint64_t{peer.unix_peer->uid} : ~std::uint64_t{0}};
  }
  sockaddr_storage address{};
  peer.remote.store(address);
  if (address.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof(v4));
    return {kKindIpv4, v4.sin_addr.s_addr};
  }
  sockaddr_in6 v6{};
  std::memcpy(&v6, &address, sizeof(v6));
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
    std::uint32_t v4 = 0;
    std::memcpy(&v4, v6.sin6_addr.s6_addr + 12, sizeof(v4));
    return {kKindIpv4, v4};
  }
  std::uint64_t network = 0;
  std::memcpy(&network, v6.sin6_addr.s6_addr, sizeof(network));
  return {kKindIpv6, network};
}

// --- calls ---

CallLimiter::CallLimiter(CallLimiterOptions options)
    : options_(std::move(options)),
      admission_(options_.total, options_.per_source, options_.sources_max, random_seeds()) {
  for (std::size_t i = 0; i < kRefusals; ++i) {
    answers_[i] = Status::make(code::kServiceUnavailable, text_of(static_cast<Refusal>(i), "calls", options_.total,
                                                                  options_.per_source, options_.turn_budget) +
                                                              "; not executed, try again later");
  }
}

LimiterCounts CallLimiter::counts() const { return sum_up(counters_, admission_); }

SourceKey CallLimiter::source_of(const Call& call) const {
  if (!admission_.limits_sources()) return {};
  if (options_.source_of) return options_.source_of(call);
  return source_of_address(static_cast<SessionDriver&>(call.session().host()).peer());
}

bool CallLimiter::passes(const Call& call) const noexcept {
  return call.kind() == Call::Kind::push && (!options_.limit_pushes || (call.route() && call.route()->continuation));
}

Status CallLimiter::begin_call(Call& call) {
  if (passes(call)) return {};
  if (options_.turn_budget > Duration::zero() &&
      call.session().host().exact_now() - call.received() > options_.turn_budget) {
    return refuse(call, Refusal::turn_budget);
  }
  const Verdict verdict = admission_.enter(source_of(call), call.received());
  if (!is_admitted(verdict)) return refuse(call, refusal_of(verdict));
  detail::LimiterCounters& counters = counters_.local();
  counters.admitted.add();
  if (verdict == Verdict::untracked) counters.untracked.add();
  return {};
}

void CallLimiter::end_call(const Call& call, std::int32_t) noexcept {
  if (passes(call)) return;
  admission_.leave(source_of(call));
}

Status CallLimiter::refuse(Call& call, Refusal why) {
  detail::LimiterCounters& counters = counters_.local();
  counters.refused[static_cast<std::size_t>(why)].add();
  if (call.kind() == Call::Kind::push) counters.pushes_dropped.add();
  // Answered here, from a text that exists already; the status that is returned only says that it was.
  call.fail(answers_[static_cast<std::size_t>(why)]);
  return Status{.code = code::kServiceUnavailable, .text = {}};
}

// --- connections ---

ConnectionLimiter::ConnectionLimiter(ConnectionLimiterOptions options, const Clock* clock)
    : options_(std::move(options)),
      clock_(clock ? *clock : system_clock_),
      admission_(options_.total, options_.per_source, options_.sources_max, random_seeds()) {}

LimiterCounts ConnectionLimiter::counts() const { return sum_up(counters_, admission_); }

Status ConnectionLimiter::begin_session(const transport::PeerInfo& peer) {
  const Verdict verdict = admission_.enter(source_of_address(peer), clock_.now());
  detail::LimiterCounters& counters = counters_.local();
  if (!is_admitted(verdict)) {
    const Refusal why = refusal_of(verdict);
    counters.refused[static_cast<std::size_t>(why)].add();
    return Status::make(code::kServiceUnavailable,
                        text_of(why, "connections", options_.total, options_.per_source, Duration::zero()));
  }
  counters.admitted.add();
  if (verdict == Verdict::untracked) counters.untracked.add();
  return {};
}

void ConnectionLimiter::end_session(const transport::PeerInfo& peer) noexcept {
  admission_.leave(source_of_address(peer));
}

}  // namespace wayport::rpc::plugins

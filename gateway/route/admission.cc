#include "wayport/gateway/route/admission.h"

#include "wayport/base/bytes.h"

namespace wayport::route {
namespace {

Result<void> check(const char* name, std::size_t value, std::size_t least, std::size_t most) {
  if (value >= least && value <= most) return {};
  return fail(ErrorCode::invalid_argument, std::string(name) + " is " + std::to_string(value) + "; it has to be " +
                                               std::to_string(least) + " to " + std::to_string(most));
}

}  // namespace

Result<void> AdmissionLimits::validate() const {
  constexpr std::size_t kMost = 100'000'000;
  WAYPORT_TRY(check("connections_max", connections_max, 1, kMost));
  WAYPORT_TRY(check("handshakes_max", handshakes_max, 1, kMost));
  WAYPORT_TRY(check("source_connections_max", source_connections_max, 0, kMost));
  WAYPORT_TRY(check("source_handshakes_max", source_handshakes_max, 0, kMost));
  WAYPORT_TRY(check("source_bits_v4", source_bits_v4, 8, 32));
  WAYPORT_TRY(check("source_bits_v6", source_bits_v6, 16, 128));
  return {};
}

std::size_t Admission::Hash::operator()(const IpAddress& address) const noexcept {
  using Wide = unsigned __int128;
  const auto* const bytes = reinterpret_cast<const std::byte*>(address.bytes().data());
  const auto mix = [](std::uint64_t a, std::uint64_t b) {
    const Wide product = Wide{a} * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  };
  const std::uint64_t first = mix(load_be<std::uint64_t>(bytes) ^ seed, 0x9e3779b97f4a7c15ull ^ (seed << 1 | 1));
  return mix(load_be<std::uint64_t>(bytes + 8) ^ first, seed | 1) ^ (address.is_v4() ? seed : 0);
}

IpAddress Admission::source_of(const IpAddress& address) const noexcept {
  const IpAddress plain = address.unmapped();
  return plain.prefix(plain.is_v4() ? limits_.source_bits_v4 : limits_.source_bits_v6);
}

void Admission::set_limits(const AdmissionLimits& limits) {
  WAYPORT_ASSERT(limits.source_bits_v4 == limits_.source_bits_v4 && limits.source_bits_v6 == limits_.source_bits_v6,
                 "what is one source does not change");
  limits_ = limits;
}

Result<void> Admission::enter(const std::optional<IpAddress>& source) {
  const auto over = [](Counter& counter, const std::string& what, const char* limit, std::size_t value) {
    counter.add();
    return fail(ErrorCode::overloaded, what + "; at most " + std::to_string(value) + " are taken (" + limit + ")");
  };
  if (connections_ >= limits_.connections_max) {
    return over(counters_.refused_connections, "the route has " + std::to_string(connections_) + " connections",
                "connections_max", limits_.connections_max);
  }
  if (handshakes_ >= limits_.handshakes_max) {
    return over(counters_.refused_handshakes, "the route has " + std::to_string(handshakes_) + " handshakes",
                "handshakes_max", limits_.handshakes_max);
  }
  if (source) {
    const IpAddress prefix = source_of(*source);
    const auto found = sources_.find(prefix);
    const Source known = found == sources_.end() ? Source() : found->second;
    const auto name = [&] {
      const unsigned bits = prefix.is_v4() ? limits_.source_bits_v4 : limits_.source_bits_v6;
      return IpNetwork{prefix, bits}.to_string();
    };
    if (limits_.source_connections_max != 0 && known.connections >= limits_.source_connections_max) {
      return over(counters_.refused_source_connections,
                  name() + " has " + std::to_string(known.connections) + " connections", "source_connections_max",
                  limits_.source_connections_max);
    }
    if (limits_.source_handshakes_max != 0 && known.handshakes >= limits_.source_handshakes_max) {
      return over(counters_.refused_source_handshakes,
                  name() + " has " + std::to_string(known.handshakes) + " handshakes", "source_handshakes_max",
                  limits_.source_handshakes_max);
    }
    Source& entry = found == sources_.end() ? sources_[prefix] : found->second;
    ++entry.connections;
    ++entry.handshakes;
    counters_.sources.set(static_cast<std::int64_t>(sources_.size()));
  }
  ++connections_;
  ++handshakes_;
  counters_.admitted.add();
  counters_.connections.add();
  counters_.handshakes.add();
  return {};
}

void Admission::handshake_done(const std::optional<IpAddress>& source) {
  WAYPORT_ASSERT(handshakes_ > 0, "somebody was in a handshake");
  --handshakes_;
  counters_.handshakes.add(-1);
  if (!source) return;
  const auto found = sources_.find(source_of(*source));
  WAYPORT_ASSERT(found != sources_.end() && found->second.handshakes > 0, "one of this source was in a handshake");
  --found->second.handshakes;
}

void Admission::leave(const std::optional<IpAddress>& source, bool in_handshake) {
  if (in_handshake) handshake_done(source);
  WAYPORT_ASSERT(connections_ > 0, "somebody was here");
  --connections_;
  counters_.connections.add(-1);
  if (!source) return;
  const auto found = sources_.find(source_of(*source));
  WAYPORT_ASSERT(found != sources_.end() && found->second.connections > 0, "one of this source was here");
  if (--found->second.connections == 0) sources_.erase(found);
  counters_.sources.set(static_cast<std::int64_t>(sources_.size()));
}

}  // namespace wayport::route

// Admission: how many connections a route gateway takes, in all and from each source, and how many of them may still be
// in their handshake (spec/route.md 3.1). What is over a limit is refused at accept.
//
//     accept --enter(source)--> refused
//                          '--> handshake --handshake_done()--> relay --leave()--> gone
//
// A source is the prefix of an address, by default an IPv4 address or an IPv6 /64, which is what one customer has.
// Peers without an address (unix sockets, memory) share the limits of the gateway and have no source.
//
// Pure; not thread-safe: AdmissionGate (admission_gate.h) is, and gives back by itself. Bounded by connections_max.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "wayport/base/counters.h"
#include "wayport/base/result.h"
#include "wayport/gateway/route/ip_address.h"

namespace wayport::route {

struct AdmissionLimits {
  std::size_t connections_max = 100'000;  // handshakes included
  std::size_t handshakes_max = 10'000;
  // Of one source. 0: no limit.
  std::size_t source_connections_max = 10'000;
  std::size_t source_handshakes_max = 1'000;
  unsigned source_bits_v4 = 32;  // what is one source: 8 to 32
  unsigned source_bits_v6 = 64;  // 16 to 128

  Result<void> validate() const;
};

struct AdmissionCounters {
  Gauge connections;
  Gauge handshakes;
  Gauge sources;
  Counter admitted;
  Counter refused_connections;         // connections_max
  Counter refused_handshakes;          // handshakes_max
  Counter refused_source_connections;  // source_connections_max
  Counter refused_source_handshakes;   // source_handshakes_max
};

class Admission {
 public:
  // REQUIRES: limits.validate(). `seed`: random and secret; sources choose what it hashes.
  Admission(AdmissionLimits limits, std::uint64_t seed) : limits_(limits), sources_(16, Hash{seed}) {}

  // nullopt: no address. `overloaded` names the limit and the source.
  Result<void> enter(const std::optional<IpAddress>& source);
  // REQUIRES of both: enter() took one of that source, which has not left (nor finished its handshake).
  void handshake_done(const std::optional<IpAddress>& source);
  void leave(const std::optional<IpAddress>& source, bool in_handshake);

  // From now on; who is over a lower limit stays. REQUIRES: limits.validate(), and the same source_bits_*.
  void set_limits(const AdmissionLimits& limits);

  const AdmissionCounters& counters() const noexcept { return counters_; }
  const AdmissionLimits& limits() const noexcept { return limits_; }

 private:
  struct Source {
    std::size_t connections = 0;
    std::size_t handshakes = 0;
  };
  struct Hash {
    std::uint64_t seed;
    std::size_t operator()(const IpAddress& address) const noexcept;
  };
  IpAddress source_of(const IpAddress& address) const noexcept;

  AdmissionLimits limits_;
  std::size_t connections_ = 0;
  std::size_t handshakes_ = 0;
  std::unordered_map<IpAddress, Source, Hash> sources_;
  AdmissionCounters counters_;
};

}  // namespace wayport::route

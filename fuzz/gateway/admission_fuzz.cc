// Connections come, finish their handshake and go in any order: who is let in is what a slow count of all of them says, for
// any limits and any width of a source, and nothing is remembered of a source that has gone.
//
// Input: six bytes of limits; then one byte per step: the low bits say what happens, the rest to whom.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/gateway/route/admission.h"
#include "wayport/gateway/route/ip_address.h"

namespace {

using namespace wayport;
using namespace wayport::route;

struct Connection {
  std::optional<IpAddress> source;
  bool in_handshake = true;
};

constexpr std::array<const char*, 7> kSources = {"10.0.0.1",    "10.0.0.2",    "10.9.0.1",       "::ffff:10.0.0.1",
                                                 "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"};

// What an address counts as, from its bits as text.
std::string source_of(const IpAddress& address, const AdmissionLimits& limits) {
  const IpAddress plain = address.unmapped();
  std::string text = plain.is_v4() ? "4:" : "6:";
  const unsigned bits = plain.is_v4() ? limits.source_bits_v4 : limits.source_bits_v6;
  for (unsigned i = 0; i < bits; ++i) text += plain.bit(i) ? '1' : '0';
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 6) return 0;
  const AdmissionLimits limits{.connections_max = data[0] % 12u,
                               .handshakes_max = data[1] % 8u,
                               .source_connections_max = data[2] % 6u,
                               .source_handshakes_max = data[3] % 4u,
                               .source_bits_v4 = data[4] % 34u,
                               .source_bits_v6 = data[5] % 130u};
  const bool valid = limits.connections_max > 0 && limits.handshakes_max > 0 && limits.source_bits_v4 >= 8 &&
                     limits.source_bits_v4 <= 32 && limits.source_bits_v6 >= 16 && limits.source_bits_v6 <= 128;
  WAYPORT_ASSERT(limits.validate().has_value() == valid, "limits have ranges");
  if (!valid) return 0;
  Admission admission(limits, 42);
  std::vector<Connection> connections;
  for (std::size_t i = 6; i < size; ++i) {
    const unsigned who = data[i] >> 2;
    if ((data[i] & 3) <= 1) {
      Connection connection;
      if (who % 8 < kSources.size()) connection.source = IpAddress::parse(kSources[who % 8]);
      std::size_t handshakes = 0, of_source = 0, handshakes_of_source = 0;
      for (const Connection& each : connections) {
        const bool same = connection.source && each.source &&
                          source_of(*each.source, limits) == source_of(*connection.source, limits);
        handshakes += each.in_handshake;
        of_source += same;
        handshakes_of_source += same && each.in_handshake;
      }
      const auto full = [](std::size_t count, std::size_t most) { return most != 0 && count >= most; };
      const bool expected =
          !full(connections.size(), limits.connections_max) && !full(handshakes, limits.handshakes_max) &&
          !full(of_source, limits.source_connections_max) && !full(handshakes_of_source, limits.source_handshakes_max);
      const Result<void> entered = admission.enter(connection.source);
      WAYPORT_ASSERT(entered.has_value() == expected, "who is let in is what the count says");
      WAYPORT_ASSERT(entered || (entered.error().code == ErrorCode::overloaded &&
                                 entered.error().detail.find("_max") != std::string::npos),
                     "a refusal names its limit");
      if (entered) connections.push_back(connection);
    } else if (!connections.empty()) {
      Connection& one = connections[who % connections.size()];
      if ((data[i] & 3) == 2) {
        if (std::exchange(one.in_handshake, false)) admission.handshake_done(one.source);
      } else {
        admission.leave(one.source, one.in_handshake);
        connections.erase(connections.begin() + static_cast<std::ptrdiff_t>(who % connections.size()));
      }
    }
    const AdmissionCounters& counters = admission.counters();
    WAYPORT_ASSERT(counters.connections.read() == static_cast<std::int64_t>(connections.size()), "the gauge is right");
  }
  for (const Connection& each : connections) admission.leave(each.source, each.in_handshake);
  const AdmissionCounters& counters = admission.counters();
  WAYPORT_ASSERT(counters.connections.read() == 0 && counters.handshakes.read() == 0, "all have gone");
  WAYPORT_ASSERT(counters.sources.read() == 0, "and nothing of them is kept");
  return 0;
}

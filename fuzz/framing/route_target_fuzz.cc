// What is taken for a target is one: within its bounds, of the characters that a host may have, and its text names it
// again. What is refused says so in one short, printable line.
//
// Input: the text.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "wayport/base/bytes.h"
#include "wayport/base/result.h"
#include "wayport/framing/route/target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Result<route::Target> target = route::parse_target(text);
  if (!target) {
    const std::string& detail = target.error().detail;
    WAYPORT_ASSERT(target.error().code == ErrorCode::invalid_argument, "it is the client's own input");
    WAYPORT_ASSERT(detail.size() < 4 * route::kTargetBytesMax + 300, "an error is short");
    WAYPORT_ASSERT(
        std::ranges::none_of(detail, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }),
        "what the peer sent is escaped");
    return 0;
  }
  WAYPORT_ASSERT(text.size() <= route::kTargetBytesMax, "a bound holds");
  WAYPORT_ASSERT(target->port != 0, "a port is a port");
  const std::string_view allowed = target->kind == route::Target::Kind::name ? "abcdefghijklmnopqrstuvwxyz0123456789-."
                                   : target->kind == route::Target::Kind::ipv4 ? "0123456789."
                                                                               : "0123456789abcdef:.";
  WAYPORT_ASSERT(!target->host.empty() && target->host.find_first_not_of(allowed) == std::string::npos,
                 "a host has the characters of its kind");
  const Result<route::Target> again = route::parse_target(route::to_string(*target));
  WAYPORT_ASSERT(again && *again == *target, "the text of a target names it");
  const Result<route::Target> from_claims = route::make_target(target->host, target->port);
  WAYPORT_ASSERT(from_claims && *from_claims == *target, "and so do the claims of a token");
  return 0;
}

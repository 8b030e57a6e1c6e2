#include "wayport/framing/packet_reader.h"

#include <algorithm>

namespace wayport::framing {
namespace {

// Of a packet whose end is not known, no more is taken at a time: what follows it must be looked at in place.
constexpr std::size_t kBlindStepBytes = 16 * 1024;

}  // namespace

std::size_t PacketReader::collect(Bytes in) {
  std::vector<std::byte>& large = *large_;
  const bool end_known = state_.bytes_wanted > large.size();
  const std::size_t left = end_known ? state_.bytes_wanted - large.size() : kBlindStepBytes;
  const Bytes step = in.first(std::min(in.size(), left));
  const std::size_t needed = large.size() + step.size();
  if (needed > large.capacity()) {
    // Doubling keeps the copying linear; the announced length is a ceiling, never a reason to allocate.
    std::size_t capacity = std::max(needed, 2 * large.capacity());
    if (end_known) capacity = std::min(capacity, state_.bytes_wanted);
    large.reserve(capacity);
  }
  large.insert(large.end(), step.begin(), step.end());
  return step.size();
}

}  // namespace wayport::framing

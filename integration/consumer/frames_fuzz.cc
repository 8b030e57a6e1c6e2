// A fuzz target in a workspace of one's own: any split of the same bytes gives the same frames.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/framing/link/frame_reader.h"

namespace {

std::string frames_of(wayport::Bytes bytes, std::size_t step) {
  wayport::link::FrameReader reader(1000);
  std::string said, pending;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    pending += wayport::as_text(bytes.subspan(at, std::min(step, bytes.size() - at)));
    const auto taken = reader.read(wayport::as_bytes(pending), [&](wayport::link::Frame& frame) {
      wayport::Chain whole;
      frame.move_to(whole);
      said += std::to_string(frame.connection) + ":" + whole.to_string();
      return true;
    });
    if (!taken) return said + "!" + std::to_string(static_cast<int>(taken.error().code));
    pending.erase(0, *taken);
  }
  return said;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 10'000) return 0;
  const wayport::Bytes bytes(reinterpret_cast<const std::byte*>(data), size);
  if (frames_of(bytes, size + 1) != frames_of(bytes, 1)) std::abort();
  return 0;
}

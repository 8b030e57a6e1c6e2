#include "wayport/framing/teleport/version.h"

namespace wayport::framing {

std::optional<PeerVersion> parse_peer_version(std::string_view text) noexcept {
  if (text == "2.0") return PeerVersion::v2_0;
  if (text == "2.1" || text == "2.2" || text == "2.3" || text == "2.4") return PeerVersion::v2_1;
  if (text == "2.5") return PeerVersion::v2_5;
  if (text == "2.6") return PeerVersion::v2_6;
  return std::nullopt;
}

std::string_view to_string(PeerVersion version) noexcept {
  switch (version) {
    case PeerVersion::v2_0:
      return "2.0";
    case PeerVersion::v2_1:
      return "2.1";
    case PeerVersion::v2_5:
      return "2.5";
    case PeerVersion::v2_6:
      return "2.6";
  }
  return "?";
}

}  // namespace wayport::framing

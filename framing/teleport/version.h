// What the releases of Teleport do differently on the wire (spec/teleport 3, 5, 16). There is no way to ask a peer
// which one it is: configuration says so.
//
// Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "wayport/framing/packet.h"

namespace wayport::framing {

// Releases that behave alike on the wire share a value: v2_1 stands for 2.1 to 2.4.
enum class PeerVersion : std::uint8_t { v2_0, v2_1, v2_5, v2_6 };

// "2.0" to "2.6". nullopt: no such release.
std::optional<PeerVersion> parse_peer_version(std::string_view text) noexcept;
// "2.0", "2.1", "2.5", "2.6".
std::string_view to_string(PeerVersion version) noexcept;

// 4 for v2.0, 3 later.
constexpr std::int32_t push_type(PeerVersion version) noexcept {
  return version == PeerVersion::v2_0 ? kTypePushV20 : kTypePush;
}
// True if a packet of this type is a push in the eyes of that release. The other push type is unsupported there.
constexpr bool is_push(PeerVersion version, std::int32_t type) noexcept { return type == push_type(version); }

enum class PacketKind : std::uint8_t { pull, push, reply };

// How to send "no body" to that release.
//
// Every release takes BL = 0, for every kind of packet, and v2.0 takes nothing else; the originals from v2.2 on write
// BL = 1 for some kinds, none needs to see it. So the answer is the same today; a release that differs has its place
// here.
constexpr OutgoingBody::Form no_body_form(PeerVersion, PacketKind) noexcept { return OutgoingBody::Form::none; }

// True for the releases that answer an unsupported type with a packet of type 0 and status 410 and stay connected; the
// others close. Never answer a packet of type 0 itself: two such peers would do so for ever.
constexpr bool answers_unsupported_type(PeerVersion version) noexcept {
  return version == PeerVersion::v2_0 || version == PeerVersion::v2_1;
}

}  // namespace wayport::framing

// Raw packets of authentication: requests as pulls, answers as replies. Internal to this package.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>
#include <string_view>

#include "wayport/framing/codec.h"
#include "wayport/rpc/pre_session.h"
#include "wayport/rpc/status.h"
#include "wayport/transport/stream.h"

namespace wayport::rpc::auth {

// Whether a secret that is sent is read only by the server: encrypted towards one that proved its name, or nobody outside this
// machine sees it.
bool is_private(const transport::PeerInfo& peer);

// What a peer may hear of a refusal; everything else is for our log.
inline Status unauthorized(std::string why) { return Status::make(code::kUnauthorized, std::move(why)); }

// Answers 401 to `request` and gives `why` as the hook's status, which closes and is logged.
inline Status refuse(PreSession& session, const PreSession::Packet& request, std::string why) {
  framing::OutgoingPacket packet;
  packet.header = {request.seq, framing::kTypeReply, request.uri, 0, code::kUnauthorized, "Unauthorized"};
  packet.header_codec = session.options().header_codec;
  static_cast<void>(session.send(packet));
  return unauthorized(std::move(why));
}

inline framing::PacketHeader pull_header(std::uint64_t seq, std::string_view uri) {
  return {seq, framing::kTypePull, uri, 0, 0, {}};
}
inline framing::PacketHeader reply_header(const PreSession::Packet& request) {
  return {request.seq, framing::kTypeReply, request.uri, 0, code::kOk, "OK"};
}

// Empty: `packet` is the pull that is expected.
inline std::string unexpected_request(const PreSession::Packet& packet, std::string_view uri) {
  if (packet.type == framing::kTypePull && packet.uri == uri) return {};
  return "a pull of " + std::string(uri) + " was expected; it sent type " + std::to_string(packet.type) + " " +
         escape(packet.uri, 64) + ". Does it have the client's plugin?";
}

// Empty: `packet` is a good reply to the request of that seq.
inline std::string bad_reply(const PreSession::Packet& packet, std::uint64_t seq) {
  if (packet.type != framing::kTypeReply || packet.seq != seq) {
    return "the server sent type " + std::to_string(packet.type) + " seq " + std::to_string(packet.seq) +
           " instead of its answer";
  }
  if (packet.status_code == code::kNotFound) return "the server does not know this authentication (404)";
  if (packet.status_code == code::kUnauthorized) {
    return "the server refused; its log says why (unknown or wrong key, another context, an expired token)";
  }
  if (packet.status_code != code::kOk) {
    return "the server answered " + std::to_string(packet.status_code) + " " + escape(packet.status, 64);
  }
  return {};
}

}  // namespace wayport::rpc::auth

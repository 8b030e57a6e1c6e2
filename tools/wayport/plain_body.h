// Bodies for people and scripts: inflated, but not decoded, with the codec that they are in.
#pragma once

#include <cstdint>
#include <future>
#include <optional>
#include <string>
#include <string_view>

#include "wayport/base/result.h"
#include "wayport/framing/body.h"
#include "wayport/framing/packet.h"
#include "wayport/rpc/session.h"
#include "wayport/rpc/status.h"

namespace wayport::tools {

struct PlainBody {
  bool present = false;
  std::uint8_t codec = 0;
  std::int32_t gzip = 0;  // what the header says
  std::string bytes{};    // inflated if the header asks for it
};

// The body of a request in a handler. Errors: malformed or too_large, when it does not inflate.
Result<PlainBody> plain_body(const framing::PacketHeader& header, bool present, std::uint8_t codec, Bytes bytes,
                             std::size_t inflated_bytes_max);

// As Session::pull_future, for the body as plain_body() gives it.
std::future<rpc::Reply<PlainBody>> pull_plain(const rpc::Session& session, std::string_view uri,
                                              const std::optional<framing::RawBody>& body,
                                              const rpc::CallOptions& options);

}  // namespace wayport::tools

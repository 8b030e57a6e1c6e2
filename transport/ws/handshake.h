// The HTTP upgrade of websocket (RFC 6455, section 4), on whole heads: who has collected one, up to and with its empty
// line, is told what to answer. HTTP is parsed by Boost.Beast.
//
// Pure; thread-safe. Texts that come back are the peer's unless they say otherwise.
#pragma once

#include <array>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/transport/stream.h"
#include "wayport/transport/ws/ws_options.h"

namespace wayport::transport::ws {

// A status of HTTP as the cause of an Error: reject() answers with it, and a dial that is refused carries it.
const std::error_category& http_category() noexcept;
inline std::error_code http_status(int status) noexcept { return {status, http_category()}; }
// What an upgrade is refused with: the cause, if it is a status from 400 to 599; else by the code (spec/ws.md).
int status_of(const Error& error) noexcept;
// The error of a dial that was answered with that status.
Error error_of_status(int status, std::string_view who);

// Finds the end of a head in bytes that grow; `scanned` remembers. 0: not yet.
std::size_t find_head_end(Bytes bytes, std::size_t& scanned) noexcept;

struct Refusal {
  int status = 400;
  const char* why = "";  // static text, for the log
};

struct UpgradeRequest {
  std::unique_ptr<HttpRequest> http;
  std::string key;  // Sec-WebSocket-Key, checked
};
// Checks all that the RFC and `options` ask for, and agrees to a sub-protocol.
std::expected<UpgradeRequest, Refusal> read_request(std::string_view head, const WsOptions& options);
std::string upgrade_response(const UpgradeRequest& request);
std::string refusal_response(int status);

std::string make_key(const std::array<std::byte, 16>& random);
std::string request_text(const WsOptions& options, const std::string& key);
// The sub-protocol that was agreed. `who`: the peer's address, for errors.
Result<std::string> read_response(std::string_view head, const WsOptions& options, const std::string& key,
                                  const std::string& who);

}  // namespace wayport::transport::ws

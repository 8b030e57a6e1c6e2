#include "wayport/gateway/route/route_connection_identify.h"

#include <algorithm>
#include <optional>

#include "wayport/framing/base64.h"

namespace wayport::route {
namespace {

// Unpadded base64url, which is what may stand in a sub-protocol's name.
std::optional<std::string> from_base64url(std::string_view text) {
  if (text.contains('+') || text.contains('/') || text.contains('=')) return std::nullopt;
  std::string padded(text);
  std::ranges::replace(padded, '-', '+');
  std::ranges::replace(padded, '_', '/');
  padded.append((4 - padded.size() % 4) % 4, '=');
  return framing::from_base64(padded);
}

Result<std::string> checked(std::string identify, const char* where, std::size_t bytes_max) {
  if (identify.empty()) return fail(ErrorCode::malformed, std::string(where) + " has an empty identify");
  if (identify.size() > bytes_max) {
    return fail(ErrorCode::too_large, std::string(where) + " has an identify of " + std::to_string(identify.size()) +
                                          " bytes; at most " + std::to_string(bytes_max) + " are taken");
  }
  return identify;
}

// The first parameter of that name may be there and not decodable, which query() does not tell from absence.
bool has_parameter(std::string_view target, std::string_view key) {
  const std::size_t question = target.find('?');
  if (question == std::string_view::npos) return false;
  for (std::string_view rest = target.substr(question + 1); !rest.empty();) {
    const std::string_view item = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(item.size() + 1, rest.size()));
    if (item.substr(0, item.find('=')) == key) return true;
  }
  return false;
}

}  // namespace

Result<std::string> identify_of(const transport::HttpRequest& request, const WebsocketRouteOptions& options,
                                std::size_t identify_bytes_max) {
  const auto fixed = options.paths.find(std::string(request.path()));
  if (fixed != options.paths.end()) return fixed->second;
  if (!options.header.empty()) {
    if (const std::string* const value = request.header(options.header)) {
      return checked(*value, "the identify header", std::min(identify_bytes_max, options.header_bytes_max));
    }
  }
  const std::string& prefix = options.subprotocol_prefix;
  if (!prefix.empty() && request.subprotocol.starts_with(prefix)) {
    std::optional<std::string> decoded = from_base64url(std::string_view(request.subprotocol).substr(prefix.size()));
    if (!decoded) return fail(ErrorCode::malformed, "the sub-protocol's identify is no unpadded base64url");
    return checked(*std::move(decoded), "the sub-protocol", identify_bytes_max);
  }
  if (!options.query.empty() && has_parameter(request.target, options.query)) {
    std::optional<std::string> value = request.query(options.query);
    if (!value) return fail(ErrorCode::malformed, "the query's identify is not percent-coded as it should be");
    return checked(*std::move(value), "the query", identify_bytes_max);
  }
  return fail(ErrorCode::malformed, "the request names no backend");
}

}  // namespace wayport::route

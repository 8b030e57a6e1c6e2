#include "wayport/transport/route/route_options.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <string_view>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/framing/route/handshake.h"
#include "wayport/framing/route/target.h"
#include "wayport/transport/parameters.h"

namespace wayport::transport {
namespace {

constexpr const char* kIdentifyHeader = "server-identify";

std::unexpected<Error> bad(const Address& address, const std::string& why) {
  return fail(ErrorCode::invalid_argument, address.scheme() + " address: " + why);
}

Result<std::string> read_token(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(system_error(errno, "route: token_file " + path));
  std::string token(route::kIdentifyBytesMax + 3, '\0');  // a line end may follow
  file.read(token.data(), static_cast<std::streamsize>(token.size()));
  if (file.bad()) return fail(system_error(errno, "route: token_file " + path));
  token.resize(static_cast<std::size_t>(file.gcount()));
  if (token.ends_with('\n')) token.pop_back();
  if (token.ends_with('\r')) token.pop_back();
  if (token.empty()) return fail(ErrorCode::invalid_argument, "route: token_file " + path + " is empty");
  return token;
}

struct Identify {
  std::string text;
  std::string shown;
};

Result<Identify> read_identify(const Address& address) {
  const bool has_path = address.layers().back() != "unix" && address.path().size() > 1;
  const std::string* const identify = address.parameter("identify");
  const std::string* const token = address.parameter("token");
  const std::string* const token_file = address.parameter("token_file");
  const int given = int{has_path} + int{identify != nullptr} + int{token != nullptr} + int{token_file != nullptr};
  if (given != 1) {
    return bad(address, std::string(given == 0 ? "it names no backend" : "it names the backend more than once") +
                            "; one of the path /HOST:PORT, identify, token and token_file is needed");
  }
  if (has_path) {
    const Result<route::Target> target = route::parse_target(std::string_view(address.path()).substr(1));
    if (!target) return bad(address, target.error().detail);
    std::string text = route::to_string(*target);
    return Identify{text, text};
  }
  if (identify != nullptr) return Identify{*identify, escape(*identify)};
  if (token != nullptr) return Identify{*token, "the backend of a token"};
  WAYPORT_TRY_ASSIGN(std::string text, read_token(*token_file));
  return Identify{std::move(text), "the backend of the token in " + *token_file};
}

// What can be the value of a header and arrives as it was.
bool fits_a_header(std::string_view text) {
  return !text.starts_with(' ') && !text.ends_with(' ') &&
         std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; });
}

// `header` is repeatable: the caller's own stay.
Result<Address> with_header(const Address& address, std::string value) {
  value.insert(0, std::string(kIdentifyHeader) + ":");
  if (address.parameter("header") == nullptr) {
    Address with = address;
    with.set_parameter("header", std::move(value));
    return with;
  }
  Address one = Address::of("x", "x", 0);
  one.set_parameter("header", std::move(value));
  const std::string text = one.to_string();
  return Address::parse(address.to_string() + "&" + text.substr(text.find('?') + 1));
}

}  // namespace

Result<RouteOptions> RouteOptions::for_dial(const Address& address) {
  for (const char* name : {"identify", "token", "token_file", "success"}) {
    if (repeated_parameter(address, name).size() > 1) {
      return bad(address, "parameter \"" + std::string(name) + "\" is given twice");
    }
  }
  RouteOptions options;
  WAYPORT_TRY_ASSIGN(const auto success, bytes_parameter(address, "success"));
  if (success && *success >= route::kErrorAnswerWord) return bad_parameter(address, "success", "could be a refusal");
  if (success) options.success_bytes_max = static_cast<std::uint32_t>(*success);

  options.below = address.below("tcp", {"identify", "token", "token_file", "success"});
  if (options.below.layers().back() != "unix") options.below.set_path("");
  WAYPORT_TRY_ASSIGN(Identify identify, read_identify(address));
  options.who = "route to " + identify.shown + " through " + options.below.to_log();
  options.identify = std::move(identify.text);
  if (options.identify.empty()) return bad(address, "the identify is empty");
  if (options.identify.size() > route::kIdentifyBytesMax) {
    return fail(ErrorCode::too_large, address.scheme() + " address: an identify of more than " +
                                          std::to_string(route::kIdentifyBytesMax) + " bytes; no gateway takes that");
  }

  const std::string& next = options.below.layers().front();
  options.websocket = next == "ws" || next == "wss";
  if (!options.websocket) return options;
  if (!fits_a_header(options.identify)) {
    return bad(address, "the identify goes into a header of HTTP: printable ASCII, no blanks at its ends");
  }
  WAYPORT_TRY_ASSIGN(const auto messages, bool_parameter(address, "messages"));
  options.messages = messages.value_or(false);
  // Only so is an empty success message shown.
  options.below.set_parameter("messages", "1");
  WAYPORT_TRY_ASSIGN(options.below, with_header(options.below, options.identify));
  return options;
}

}  // namespace wayport::transport

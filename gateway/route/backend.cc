#include "wayport/gateway/route/backend.h"

#include <algorithm>

#include "wayport/base/bytes.h"

namespace wayport::route {
namespace {

bool has_layer(const transport::Address& address, std::string_view layer) {
  return std::ranges::find(address.layers(), layer) != address.layers().end();
}

// An address of a stack, at some place that is no more than an example.
Result<transport::Address> stack_address(const BackendTransport& how, const std::string& place) {
  WAYPORT_TRY_ASSIGN(transport::Address address, transport::Address::parse(how.scheme + "://" + place));
  for (const auto& [key, value] : how.parameters) address.set_parameter(key, value);
  return address;
}

Result<BackendTransport> transport_of(const transport::Address& address, std::string_view shown) {
  if (has_layer(address, "unix") || !address.path().empty()) {
    return fail(ErrorCode::invalid_argument,
                "\"" + escape(shown, 128) + "\": backends are reached by host and port; a path is not taken");
  }
  for (const auto& [key, value] : address.parameters()) {
    if (address.parameter(key) != &value) {
      return fail(ErrorCode::invalid_argument, "\"" + escape(shown, 128) + "\": " + key + " is given twice");
    }
  }
  return BackendTransport{address.scheme(), address.parameters()};
}

}  // namespace

Result<BackendTransport> BackendTransport::parse(std::string_view text) {
  const std::size_t question = text.find('?');
  const std::string scheme(text.substr(0, question));
  if (scheme.find_first_of(":/") != std::string::npos) {
    return fail(ErrorCode::invalid_argument,
                "\"" + escape(scheme, 64) + "\" is no transport of backends; write it as \"tcp\" or \"kcp?fec=10,3\"");
  }
  const std::string parameters(question == std::string_view::npos ? std::string_view() : text.substr(question));
  WAYPORT_TRY_ASSIGN(const transport::Address address,
                     transport::Address::parse(scheme + "://192.0.2.1:1" + parameters));
  // With any target it is a backend that can be written and read again.
  constexpr std::size_t kMost = Backend::kBytesMax - 300;
  if (const std::size_t size = address.to_string().size(); size > kMost) {
    return fail(ErrorCode::invalid_argument, "a transport of backends has at most " + std::to_string(kMost) +
                                                 " bytes, this one " + std::to_string(size));
  }
  return transport_of(address, scheme);
}

std::string BackendTransport::to_string() const {
  const Result<transport::Address> address = stack_address(*this, "192.0.2.1:1");
  if (!address) return scheme;
  const std::string text = address->to_log();
  const std::size_t question = text.find('?');
  return scheme + (question == std::string::npos ? "" : text.substr(question));
}

Result<Backend> Backend::parse(std::string_view text) {
  if (text.size() > kBytesMax) {
    return fail(ErrorCode::invalid_argument, "a backend has at most " + std::to_string(kBytesMax) +
                                                 " bytes, this one " + std::to_string(text.size()));
  }
  Backend backend;
  if (text.find("://") == std::string_view::npos) {
    WAYPORT_TRY_ASSIGN(backend.target, parse_target(text));
    return backend;
  }
  WAYPORT_TRY_ASSIGN(const transport::Address address, transport::Address::parse(text));
  WAYPORT_TRY_ASSIGN(backend.transport, transport_of(address, address.to_log()));
  WAYPORT_TRY_ASSIGN(backend.target, make_target(address.host(), address.port()));
  // Written again it may be longer: what has to be escaped is.
  if (const std::size_t size = backend.to_string().size(); size > kBytesMax) {
    return fail(ErrorCode::invalid_argument, "a backend has at most " + std::to_string(kBytesMax) +
                                                 " bytes, this one " + std::to_string(size) + " with what is escaped");
  }
  return backend;
}

std::string Backend::to_string() const {
  if (!transport) return route::to_string(target);
  const Result<transport::Address> address = stack_address(*transport, route::to_string(target));
  return address ? address->to_string() : transport->scheme + "://" + route::to_string(target);
}

std::string Backend::to_log() const {
  if (!transport) return route::to_string(target);
  const Result<transport::Address> address = stack_address(*transport, route::to_string(target));
  return address ? address->to_log() : transport->scheme + "://" + route::to_string(target);
}

Result<transport::Address> Backend::dial_address(const IpAddress& address,
                                                 const BackendTransport& route_transport) const {
  const BackendTransport& how = transport ? *transport : route_transport;
  const std::string host = address.is_v4() ? address.to_string() : "[" + address.to_string() + "]";
  WAYPORT_TRY_ASSIGN(transport::Address stack, stack_address(how, host + ":" + std::to_string(target.port)));
  if (target.is_literal()) return stack;
  const auto has = [&](std::string_view layer) { return has_layer(stack, layer); };
  if ((has("tls") || has("wss")) && !stack.parameter("name")) {
    stack.set_parameter("name", std::string(target.name_for_rules()));
  }
  if ((has("ws") || has("wss")) && !stack.parameter("host")) stack.set_parameter("host", route::to_string(target));
  return stack;
}

}  // namespace wayport::route

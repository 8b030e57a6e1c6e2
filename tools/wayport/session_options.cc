#include "wayport/tools/wayport/session_options.h"

#include "wayport/transport/address.h"

namespace wayport::tools {

rpc::SessionOptions session_options(const WireOptions& wire) {
  rpc::SessionOptions options;
  options.version = wire.version;
  options.limits = wire.limits;
  options.header_codec = wire.header_codec;
  return options;
}

rpc::Session connect(rpc::Peer& peer, std::string_view url, Duration timeout, Console& console) {
  if (const Result<void> started = peer.start(); !started) {
    console.err << "error: " << started.error().to_string() << "\n";
    return {};
  }
  Result<rpc::Session> session = peer.dial_blocking(url, {.timeout = timeout});
  if (session) return *std::move(session);
  console.err << "error: cannot dial " << place_of(url) << ": " << session.error().to_string() << "\n";
  return {};
}

std::string place_of(std::string_view url) {
  const Result<transport::Address> address = transport::Address::parse(url);
  // Not even its place can be told apart, and it may hold secrets.
  if (!address) return "the address";
  const std::string text = address->to_log();
  return text.substr(0, text.find('?'));
}

}  // namespace wayport::tools

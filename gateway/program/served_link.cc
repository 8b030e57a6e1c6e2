#include "wayport/gateway/program/served_link.h"

#include "wayport/gateway/program/link_metrics.h"
#include "wayport/gateway/program/place.h"

namespace wayport::gateway {
namespace {

link::LinkGatewayOptions options_of(const Settings& settings, transport::InheritedSockets& inherited,
                                    const transport::Transports& transports) {
  const LinkSettings& from = *settings.link;
  link::LinkGatewayOptions options;
  options.listen_clients = from.client_addresses;
  options.listen_servers = from.server_addresses;
  options.key = from.server_auth_key;
  options.switching = from.switching;
  options.listen_options.handshakes_max = from.transport_handshakes_max;
  options.listen_options.handshake_timeout = from.transport_handshake_timeout;
  options.listen_options.inherited = &inherited;
  options.drain = settings.drain;
  options.transports = &transports;
  return options;
}

}  // namespace

ServedLink::ServedLink(Runtime& runtime, const Settings& settings, transport::InheritedSockets& inherited,
                       const transport::Transports& transports)
    : alone_(settings.routes.empty()), gateway_(runtime, options_of(settings, inherited, transports)) {}

Result<void> ServedLink::reload(const Settings& settings) {
  if (settings.link && (!alone_ || settings.routes.empty())) return {};
  return fail(ErrorCode::invalid_argument, settings.link
                                               ? "the file has routes now; a restart (SIGUSR2) takes them"
                                               : "the file has no [link] any more; a restart (SIGUSR2) takes it away");
}

// The original's words: there are scripts that wait for them.
std::vector<std::string> ServedLink::listening() const {
  std::vector<std::string> lines;
  for (const std::string& address : gateway_.client_addresses()) {
    lines.push_back("setup client listener at - " + place_of(address));
  }
  for (const std::string& address : gateway_.server_addresses()) {
    lines.push_back("setup server listener at - " + place_of(address));
  }
  return lines;
}

void ServedLink::add_metrics(MetricsPage& page) const { add_link_metrics(page, gateway_); }

std::string ServedLink::dump_sessions() const {
  return "# sessions\n" + gateway_.dump(link::LinkDump::sessions) + "# virtual connections\n" +
         gateway_.dump(link::LinkDump::virtuals);
}

std::string ServedLink::dump_queues() const { return "# queues\n" + gateway_.dump(link::LinkDump::queues); }

std::size_t ServedLink::abort() {
  const std::size_t connections = gateway_.connection_count();
  gateway_.abort();
  return connections;
}

}  // namespace wayport::gateway

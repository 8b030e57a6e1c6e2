#include "wayport/gateway/program/route_metrics.h"

#include <atomic>
#include <iterator>
#include <string>
#include <vector>

#include "wayport/framing/route/route_error.h"
#include "wayport/gateway/relay/relay.h"
#include "wayport/gateway/route/route_counters.h"

namespace wayport::gateway {
namespace {

using Kind = MetricsPage::Kind;
using route::AdmissionCounters;
using route::RouteCounters;

// A family is a name and a help; its rows differ by one label. An empty label: the family has one row without any.
template <class Set, class Cell>
struct Row {
  const char* family;
  const char* help;
  const char* label;
  const char* value;
  Cell Set::* cell;
};

constexpr const char* kConnections = "wayport_route_connections";
constexpr const char* kConnectionsHelp = "Connections of clients now";
constexpr Row<RouteCounters, Gauge> kGauges[] = {
    {kConnections, kConnectionsHelp, "phase", "handshake", &RouteCounters::handshakes},
    {kConnections, kConnectionsHelp, "phase", "relay", &RouteCounters::relays},
    {"wayport_route_splicing", "Relays whose bytes do not pass through the process, as of the last second", "", "",
     &RouteCounters::splicing},
};

constexpr const char* kBytes = "wayport_route_bytes_total";
constexpr const char* kBytesHelp = "Bytes read from either side of relays";
constexpr const char* kWaits = "wayport_route_waits_total";
constexpr const char* kWaitsHelp = "Times one side was not read because the other was slow";
constexpr Row<RouteCounters, Counter> kCounters[] = {
    {"wayport_route_accepted_total", "Clients let in", "", "", &RouteCounters::accepted},
    {"wayport_route_identify_timeouts_total", "Clients that did not say in time whom they want", "", "",
     &RouteCounters::identify_timeouts},
    {"wayport_route_gone_total", "Clients that left before they had an answer", "", "", &RouteCounters::gone},
    {"wayport_route_reads_stopped_total", "Clients that sent more before the answer than is kept", "", "",
     &RouteCounters::reads_stopped},
    {"wayport_route_dials_total", "Clients for whom a backend was dialed", "", "", &RouteCounters::dials},
    {"wayport_route_dial_attempts_total", "Attempts of the dials that succeeded", "", "",
     &RouteCounters::dial_attempts},
    {"wayport_route_dials_canceled_total", "Dials given up because the client left or the gateway closed", "", "",
     &RouteCounters::dials_canceled},
    {"wayport_route_joined_total", "Clients joined to their backend", "", "", &RouteCounters::joined},
    {"wayport_route_joined_spliced_total", "Of them, those whose bytes did not pass through the process in the end", "",
     "", &RouteCounters::joined_spliced},
    {kBytes, kBytesHelp, "from", "client", &RouteCounters::bytes_from_clients},
    {kBytes, kBytesHelp, "from", "backend", &RouteCounters::bytes_from_backends},
    {"wayport_route_spliced_bytes_total", "Bytes that did not pass through the process", "", "",
     &RouteCounters::bytes_spliced},
    {kWaits, kWaitsHelp, "of", "client", &RouteCounters::client_waits},
    {kWaits, kWaitsHelp, "of", "backend", &RouteCounters::backend_waits},
    {"wayport_route_message_timeouts_total", "Clients whose websocket message did not end in time", "", "",
     &RouteCounters::message_timeouts},
};
// Whoever adds a counter gives it a row here.
static_assert(sizeof(RouteCounters) == std::size(kGauges) * sizeof(Gauge) + std::size(kCounters) * sizeof(Counter) +
                                           route::kRouteErrors.size() * sizeof(Counter) +
                                           route::kRelayEnds * sizeof(Counter));

constexpr Row<AdmissionCounters, Gauge> kAdmissionGauges[] = {
    {"wayport_route_admitted_connections", "Connections of each route now", "", "", &AdmissionCounters::connections},
    {"wayport_route_admitted_handshakes", "Of them, those that are not joined yet", "", "",
     &AdmissionCounters::handshakes},
    {"wayport_route_sources", "Addresses (prefixes) that have a connection", "", "", &AdmissionCounters::sources},
};
struct Bound {
  const char* name;
  Counter AdmissionCounters::* cell;
};
constexpr Bound kBounds[] = {
    {"connections_max", &AdmissionCounters::refused_connections},
    {"handshakes_max", &AdmissionCounters::refused_handshakes},
    {"source_connections_max", &AdmissionCounters::refused_source_connections},
    {"source_handshakes_max", &AdmissionCounters::refused_source_handshakes},
};

}  // namespace

void add_route_metrics(MetricsPage& page, const route::RouteGateway& gateway) {
  const auto sum = [&gateway](auto&& read) {
    double total = 0;
    for (std::size_t loop = 0; loop < gateway.loop_count(); ++loop) {
      total += static_cast<double>(read(gateway.counters(loop)));
    }
    return total;
  };
  for (const auto& row : kGauges) {
    page.add(row.family, row.help, Kind::gauge, {row.label, row.value},
             sum([&](const RouteCounters& counters) { return (counters.*row.cell).read(); }));
  }
  for (const auto& row : kCounters) {
    page.add(row.family, row.help, Kind::counter, {row.label, row.value},
             sum([&](const RouteCounters& counters) { return (counters.*row.cell).read(); }));
  }
  for (const route::RouteError code : route::kRouteErrors) {
    page.add("wayport_route_refused_total", "Clients refused", Kind::counter, {"code", std::string(to_string(code))},
             sum([code](const RouteCounters& counters) { return counters.refused_as(code).read(); }));
  }
  for (std::size_t end = 0; end < route::kRelayEnds; ++end) {
    page.add("wayport_route_ended_total", "Relays ended", Kind::counter,
             {"how", to_string(static_cast<relay::RelayEnd>(end))},
             sum([end](const RouteCounters& counters) { return counters.ended[end].read(); }));
  }
  const std::vector<route::RouteGateway::RouteInfo> routes = gateway.routes();
  for (const auto& row : kAdmissionGauges) {
    for (const auto& route : routes) {
      page.add(row.family, row.help, Kind::gauge, {"route", route.name},
               static_cast<double>(((*route.admission).*row.cell).read()));
    }
  }
  for (const Bound& bound : kBounds) {
    double total = 0;
    for (const auto& route : routes) total += static_cast<double>(((*route.admission).*bound.cell).read());
    page.add("wayport_route_turned_away_total", "Clients over a limit at accept", Kind::counter, {"bound", bound.name},
             total);
  }
  for (const auto& route : routes) {
    for (const route::ResolverCounter& counter : route.resolver_counters) {
      page.add("wayport_route_resolver", "What resolvers count, each in its own words", Kind::gauge,
               {"of", route.name + "." + std::string(counter.name)}, static_cast<double>(counter.value));
    }
  }
  const transport::ListenerCounters& listeners = gateway.listener_counters();
  const auto listener = [&page](const char* name, const char* help, const std::atomic<std::uint64_t>& count) {
    page.add(name, help, Kind::counter, static_cast<double>(count.load()));
  };
  listener("wayport_route_listener_accepted_total", "Connections taken from the kernel", listeners.accepted);
  listener("wayport_route_listener_exhausted_total", "Accepts that found no descriptor or memory", listeners.exhausted);
  listener("wayport_route_listener_handshakes_refused_total", "Handshakes of TLS and HTTP over their bound",
           listeners.handshakes_refused);
  listener("wayport_route_listener_handshakes_failed_total", "Handshakes of TLS and HTTP that failed",
           listeners.handshakes_failed);
}

}  // namespace wayport::gateway

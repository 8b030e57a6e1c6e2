#include "wayport/gateway/program/link_metrics.h"

#include <atomic>
#include <iterator>

#include "wayport/gateway/link/counters.h"

namespace wayport::gateway {
namespace {

using link::LinkDriverCounters;
using link::SwitchCounters;
using Kind = MetricsPage::Kind;

// A family is a name and a help; its rows differ by one label. An empty label: the family has one row without any.
template <class Set, class Cell>
struct Row {
  const char* family;
  const char* help;
  const char* label;
  const char* value;
  Cell Set::* cell;
};
using SwitchGauge = Row<SwitchCounters, Gauge>;
using SwitchCounter = Row<SwitchCounters, Counter>;
using DriverCounter = Row<LinkDriverCounters, Counter>;

constexpr const char* kConnections = "wayport_link_connections";
constexpr const char* kConnectionsHelp = "Physical connections now";
constexpr SwitchGauge kGauges[] = {
    {kConnections, kConnectionsHelp, "kind", "client", &SwitchCounters::clients},
    {kConnections, kConnectionsHelp, "kind", "server", &SwitchCounters::servers},
    {kConnections, kConnectionsHelp, "kind", "handshake", &SwitchCounters::handshakes},
    {"wayport_link_virtual_connections", "Virtual connections now", "", "", &SwitchCounters::virtuals},
    {"wayport_link_queued_bytes", "Unsent bytes of all connections", "", "", &SwitchCounters::queued_bytes},
    {"wayport_link_slow_connections", "Connections that left bytes unsent", "", "", &SwitchCounters::slow},
    {"wayport_link_paused_clients", "Clients that are not read", "", "", &SwitchCounters::paused},
};

constexpr const char* kFrames = "wayport_link_frames_total";
constexpr const char* kFramesHelp = "Data frames forwarded";
constexpr const char* kBytes = "wayport_link_bytes_total";
constexpr const char* kBytesHelp = "Bytes of data frames forwarded";
constexpr const char* kRefused = "wayport_link_dials_refused_total";
constexpr const char* kRefusedHelp = "Dials answered by Refuse";
constexpr const char* kEnded = "wayport_link_virtual_closed_total";
constexpr const char* kEndedHelp = "Virtual connections closed";
constexpr const char* kTurnedAway = "wayport_link_turned_away_total";
constexpr const char* kTurnedAwayHelp = "Connections that were not let in";
constexpr const char* kCut = "wayport_link_connections_cut_total";
constexpr const char* kCutHelp = "Physical connections that the gateway closed";
constexpr const char* kIgnored = "wayport_link_ignored_total";
constexpr const char* kIgnoredHelp = "What came for virtual connections that are not there, or are somebody else's";
constexpr SwitchCounter kCounters[] = {
    {kFrames, kFramesHelp, "to", "client", &SwitchCounters::frames_to_clients},
    {kFrames, kFramesHelp, "to", "server", &SwitchCounters::frames_to_servers},
    {kBytes, kBytesHelp, "to", "client", &SwitchCounters::bytes_to_clients},
    {kBytes, kBytesHelp, "to", "server", &SwitchCounters::bytes_to_servers},
    {"wayport_link_frames_between_loops_total", "Data frames from one loop to another", "", "",
     &SwitchCounters::frames_over_mail},
    {"wayport_link_pings_total", "Pings answered", "", "", &SwitchCounters::pings},
    {"wayport_link_dials_total", "Dials by clients and servers", "", "", &SwitchCounters::dials},
    {"wayport_link_dials_accepted_total", "Dials answered by Accept", "", "", &SwitchCounters::dials_accepted},
    {kRefused, kRefusedHelp, "reason", "absent", &SwitchCounters::refused_absent},
    {kRefused, kRefusedHelp, "reason", "client_full", &SwitchCounters::refused_client_full},
    {kRefused, kRefusedHelp, "reason", "virtual_max", &SwitchCounters::refused_virtual_max},
    {kRefused, kRefusedHelp, "reason", "draining", &SwitchCounters::refused_draining},
    {kRefused, kRefusedHelp, "reason", "mail_full", &SwitchCounters::refused_mail_full},
    {kEnded, kEndedHelp, "reason", "endpoint", &SwitchCounters::closed_by_endpoint},
    {kEnded, kEndedHelp, "reason", "connection_lost", &SwitchCounters::closed_by_loss},
    {kEnded, kEndedHelp, "reason", "virtual_queue", &SwitchCounters::closed_virtual_queue},
    {kEnded, kEndedHelp, "reason", "client_queue", &SwitchCounters::closed_client_queue},
    {kEnded, kEndedHelp, "reason", "server_queue", &SwitchCounters::closed_server_queue},
    {kEnded, kEndedHelp, "reason", "process_bytes", &SwitchCounters::closed_process_bytes},
    {kEnded, kEndedHelp, "reason", "mail_full", &SwitchCounters::closed_mail_full},
    {kIgnored, kIgnoredHelp, "what", "stray_data", &SwitchCounters::strays},
    {kIgnored, kIgnoredHelp, "what", "crossed_data", &SwitchCounters::crossed},
    {kIgnored, kIgnoredHelp, "what", "stray_close", &SwitchCounters::closes_ignored},
    {kIgnored, kIgnoredHelp, "what", "foreign_close", &SwitchCounters::foreign_closes},
    {kTurnedAway, kTurnedAwayHelp, "bound", "clients_max", &SwitchCounters::refused_clients},
    {kTurnedAway, kTurnedAwayHelp, "bound", "servers_max", &SwitchCounters::refused_servers},
    {kTurnedAway, kTurnedAwayHelp, "bound", "handshakes_max", &SwitchCounters::refused_handshakes},
    {kCut, kCutHelp, "reason", "malformed", &SwitchCounters::malformed},
    {kCut, kCutHelp, "reason", "auth", &SwitchCounters::auth_failures},
    {kCut, kCutHelp, "reason", "too_large", &SwitchCounters::too_large},
    {kCut, kCutHelp, "reason", "foreign_data", &SwitchCounters::foreign_data},
    {kCut, kCutHelp, "reason", "idle", &SwitchCounters::idle},
    {kCut, kCutHelp, "reason", "auth_timeout", &SwitchCounters::handshake_timeouts},
    {kCut, kCutHelp, "reason", "slow", &SwitchCounters::cut_slow},
    {kCut, kCutHelp, "reason", "command_reserve", &SwitchCounters::cut_commands},
    {kCut, kCutHelp, "reason", "process_bytes", &SwitchCounters::cut_process_bytes},
    {kCut, kCutHelp, "reason", "server_dials", &SwitchCounters::cut_dials},
    {kCut, kCutHelp, "reason", "replaced", &SwitchCounters::replaced},
    {"wayport_link_pauses_total", "Times a client was not read on", "", "", &SwitchCounters::pauses},
    {"wayport_link_takeovers_total", "Servers that took an id from another", "", "", &SwitchCounters::takeovers},
};

constexpr const char* kAccepted = "wayport_link_accepted_total";
constexpr const char* kAcceptedHelp = "Physical connections accepted";
constexpr const char* kRead = "wayport_link_read_bytes_total";
constexpr const char* kReadHelp = "Bytes read from connections";
constexpr DriverCounter kDriver[] = {
    {kAccepted, kAcceptedHelp, "side", "client", &LinkDriverCounters::accepted_clients},
    {kAccepted, kAcceptedHelp, "side", "server", &LinkDriverCounters::accepted_servers},
    {kRead, kReadHelp, "side", "client", &LinkDriverCounters::bytes_from_clients},
    {kRead, kReadHelp, "side", "server", &LinkDriverCounters::bytes_from_servers},
    {"wayport_link_copied_bytes_total", "Bytes of frames copied to an output", "", "",
     &LinkDriverCounters::bytes_copied},
    {"wayport_link_moved_bytes_total", "Bytes of frames moved to an output", "", "", &LinkDriverCounters::bytes_moved},
    {"wayport_link_mail_batches_total", "Batches sent to other loops", "", "", &LinkDriverCounters::mail_batches},
    {"wayport_link_mail_waits_total", "Batches that had to wait for another loop", "", "",
     &LinkDriverCounters::mail_waits},
};

// Whoever adds a counter gives it a row here.
static_assert(sizeof(SwitchCounters) == std::size(kGauges) * sizeof(Gauge) + std::size(kCounters) * sizeof(Counter));
static_assert(sizeof(LinkDriverCounters) == std::size(kDriver) * sizeof(Counter));

}  // namespace

void add_link_metrics(MetricsPage& page, const link::LinkGateway& gateway) {
  const auto sum = [&gateway](auto&& read) {
    double total = 0;
    for (std::size_t loop = 0; loop < gateway.loop_count(); ++loop) total += static_cast<double>(read(loop));
    return total;
  };
  for (const SwitchGauge& row : kGauges) {
    page.add(row.family, row.help, Kind::gauge, {row.label, row.value},
             sum([&](std::size_t loop) { return (gateway.counters(loop).*row.cell).read(); }));
  }
  for (const SwitchCounter& row : kCounters) {
    page.add(row.family, row.help, Kind::counter, {row.label, row.value},
             sum([&](std::size_t loop) { return (gateway.counters(loop).*row.cell).read(); }));
  }
  for (const DriverCounter& row : kDriver) {
    page.add(row.family, row.help, Kind::counter, {row.label, row.value},
             sum([&](std::size_t loop) { return (gateway.driver_counters(loop).*row.cell).read(); }));
  }
  const transport::ListenerCounters& listeners = gateway.listener_counters();
  const auto listener = [&page](const char* name, const char* help, const std::atomic<std::uint64_t>& count) {
    page.add(name, help, Kind::counter, static_cast<double>(count.load()));
  };
  listener("wayport_link_listener_accepted_total", "Connections taken from the kernel", listeners.accepted);
  listener("wayport_link_listener_exhausted_total", "Accepts that found no descriptor or memory", listeners.exhausted);
  listener("wayport_link_listener_handshakes_refused_total", "Handshakes of TLS and snet over their bound",
           listeners.handshakes_refused);
  listener("wayport_link_listener_handshakes_failed_total", "Handshakes of TLS and snet that failed",
           listeners.handshakes_failed);
}

}  // namespace wayport::gateway

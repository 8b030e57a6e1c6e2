// The benchmarks of relays: the route gateway (gateway/route) beside what one would take instead, in alternating rounds.
//
//   route   bulk bytes and small requests, spliced and copied, beside haproxy (as it likes, and made to splice) and no
//           gateway at all
//   ws      websocket messages to a tcp backend, beside websockify
//   kcp     a tunnel tcp -> kcp -> kcp -> tcp, beside kcptun with the same parameters
//
// Every program is a process of its own. Bulk bytes come from the backend: what limits them is sent by sockets whose
// congestion control is the same for all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/tools/bench/compare.h"
#include "wayport/tools/bench/report.h"
#include "wayport/tools/bench/side.h"

namespace wayport::tools {

enum class RelayKind : std::uint8_t { route, ws, kcp };
const char* to_string(RelayKind kind) noexcept;

struct RelayOptions {
  RelayKind kind = RelayKind::route;
  std::vector<std::size_t> outstanding{1, 64};  // small requests under way
  std::size_t message_bytes = 64;
  std::size_t chunk_kib = 256;  // of bulk bytes
  std::size_t chunks = 8;       // under way
  double seconds = 5;           // of each side of each row, all rounds together
  unsigned rounds = 5;
  Cores cores = Cores::apart;
  bool with_other = true;
  double loss = 0;  // kcp: part of the datagrams, in each direction
};

// What a row carries.
enum class RelayLoad : std::uint8_t {
  bulk,      // chunks from the backend
  echo,      // larger frames there and back
  exchange,  // small messages there and back
};
const char* to_string(RelayLoad load) noexcept;

struct RelaySide {
  std::string name;
  Side side;
  std::uint64_t answered = 0;  // messages, warm-ups included
  std::size_t reply_bytes = 0;
  // By RelayRow::reference's, medians of the rounds. 0: it is not there.
  double rate_ratio = 0;
  double cpu_ratio = 0;

  double gbit_per_second() const noexcept;
  double cpu_ms_per_gbit() const noexcept;         // of all processes of the gateway
  double client_cpu_ms_per_gbit() const noexcept;  // of the load
};

struct RelayRow {
  RelayLoad load = RelayLoad::bulk;
  std::size_t message_bytes = 0;
  std::size_t outstanding = 0;
  std::string reference{};  // the side of the other program whose numbers the ratios are by
  std::vector<RelaySide> sides{};
};

// Rows with the same processes.
struct RelaySection {
  std::string title;
  std::vector<RelayRow> rows{};
  // What the backend sent, and what the sides got.
  std::uint64_t backend_bytes = 0;
  std::uint64_t answered_bytes = 0;
  // Of our gateways, by their names: "joined", "joined_spliced", "refused".
  std::map<std::string, std::map<std::string, std::uint64_t>> gateways{};
  std::uint64_t connections = 0;  // that were made through each of them
};

struct RelayResults {
  std::string congestion;  // which control the sockets had, in words
  std::vector<RelaySection> sections;
  // Programs that are not there, or did not start: what is to be done about it.
  std::vector<std::string> missing;

  // Why these numbers are not to be believed; empty: nothing was lost, wrong or unexpected.
  std::string trouble() const;
};

Result<RelayResults> measure_relay(std::size_t own_arguments, const RelayOptions& options);
std::string relay_table(const Machine& machine, const RelayOptions& options, const RelayResults& results);
std::string relay_json(const Machine& machine, const RelayOptions& options, const RelayResults& results);

}  // namespace wayport::tools

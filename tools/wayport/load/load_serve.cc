#include <charconv>
#include <string>
#include <string_view>

#include "wayport/rpc/peer.h"
#include "wayport/tools/wayport/load/call_ledger.h"
#include "wayport/tools/wayport/load/load.h"

namespace wayport::tools {
namespace {

bool read_number(std::string_view text, std::uint64_t& to) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), to);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

int load_serve(Runtime& runtime, const LoadServeOptions& options, Console& console, Interrupt& interrupt) {
  CallLedger ledger(options.callers_max);
  rpc::PeerOptions peer_options;
  for (const std::string& address : options.addresses) peer_options.listen.emplace_back(address);
  rpc::Peer peer(runtime, std::move(peer_options));
  peer.router().on_pull("/load/once", [&ledger](rpc::Context&, std::string body) -> rpc::Reply<std::string> {
    const std::string_view text = body;
    const std::size_t first = text.find(':');
    const std::size_t second = first == text.npos ? text.npos : text.find(':', first + 1);
    std::uint64_t caller = 0, call = 0;
    if (second == text.npos || !read_number(text.substr(0, first), caller) ||
        !read_number(text.substr(first + 1, second - first - 1), call)) {
      return rpc::Status::make(rpc::code::kBadUri, "a body CALLER:CALL:PADDING was expected");
    }
    if (ledger.enter(caller, call) == CallLedger::Entry::no_room) {
      return rpc::Status::make(rpc::code::kServiceUnavailable, "no room for more callers or calls");
    }
    return body;
  });
  if (const Result<void> started = peer.start(); !started) {
    console.err << "error: " << started.error().to_string() << "\n";
    return kExitFailure;
  }
  console.out << "READY";
  for (const std::string& address : peer.addresses()) console.out << ' ' << address;
  console.out << std::endl;
  interrupt.wait();
  peer.close_blocking();
  const CallLedger::Totals totals = ledger.totals();
  console.out << "RESULT {\"executed\":" << totals.executed << ",\"doubled\":" << totals.doubled
              << ",\"callers\":" << totals.callers << "}" << std::endl;
  return totals.doubled == 0 ? kExitSuccess : kExitFailure;
}

}  // namespace wayport::tools

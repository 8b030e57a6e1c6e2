// Any table of backends: it is read to its end, or an error names the line; what was read is the same after it was
// printed; and every backend is dialed where it was checked, whatever else its text says.
#include <cstdint>
#include <string>
#include <string_view>

#include "wayport/base/result.h"
#include "wayport/framing/route/target.h"
#include "wayport/gateway/route/backend.h"
#include "wayport/gateway/route/backend_table.h"
#include "wayport/gateway/route/ip_address.h"
#include "wayport/transport/address.h"

namespace {

using namespace wayport;
using route::Backend;
using route::BackendTable;
using route::BackendTransport;
using route::IpAddress;

void check_backend(const Backend& backend) {
  const Result<Backend> again = Backend::parse(backend.to_string());
  WAYPORT_ASSERT(again && *again == backend, "what is printed is read as the same");
  for (const char* const ip : {"10.1.2.3", "2001:db8::7"}) {
    const Result<transport::Address> address = backend.dial_address(*IpAddress::parse(ip), BackendTransport{});
    WAYPORT_ASSERT(address && address->host() == ip && address->port() == backend.target.port, "the checked place");
    WAYPORT_ASSERT(
        address->path().empty() && address->scheme() == (backend.transport ? backend.transport->scheme : "tcp"),
        "by its own transport");
    WAYPORT_ASSERT(transport::Address::parse(address->to_string()).has_value(), "an address that can be read");
  }
}

// Entries come and go one by one, too. The last that a name got counts, and what is erased has gone.
void check_changes(const BackendTable& table, const BackendTable::Limits& limits) {
  BackendTable joined(limits);
  WAYPORT_ASSERT(joined.join(table) && joined == table, "a table joined to nothing is that table");
  const Result<BackendTable::Backends> one = BackendTable::parse_backends("10.9.9.9:1", limits);
  const bool full = joined.size() >= limits.entries_max && joined.find("a new one") == nullptr;
  WAYPORT_ASSERT(joined.add("a new one", *one).has_value() != full, "entries_max");
  if (full) return;
  WAYPORT_ASSERT(joined.find("a new one") && joined.erase("a new one") && !joined.erase("a new one"), "gone");
  WAYPORT_ASSERT(!joined.add("", *one) && !joined.add("x", {}), "nothing is no entry");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const BackendTable::Limits limits{.entries_max = 16, .backends_max = 4, .text_bytes_max = 16 * 1024};
  const Result<BackendTable> table = BackendTable::parse(text, limits);
  if (table) {
    WAYPORT_ASSERT(table->size() <= limits.entries_max, "bounded");
    const Result<BackendTable> again = BackendTable::parse(table->to_text(), limits);
    WAYPORT_ASSERT(again && *again == *table, "what is printed is read as the same");
    check_changes(*table, limits);
  } else {
    const std::string& detail = table.error().detail;
    WAYPORT_ASSERT(detail.size() < 4096 && (detail.starts_with("line ") || size > limits.text_bytes_max),
                   "names the line");
  }
  if (const Result<BackendTable::Backends> backends = BackendTable::parse_backends(text, limits)) {
    WAYPORT_ASSERT(!backends->empty() && backends->size() <= limits.backends_max, "bounded");
    for (const Backend& backend : *backends) check_backend(backend);
  }
  if (const Result<BackendTransport> how = BackendTransport::parse(text)) {
    WAYPORT_ASSERT(!how->scheme.empty() && how->scheme != "unix" && !how->scheme.ends_with("+unix"), "has a host");
    check_backend({*route::parse_target("backend.example:443"), *how});
  }
  return 0;
}

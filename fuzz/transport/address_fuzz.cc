// What parses prints to something that parses to the same, and nothing that parses holds a control character.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "wayport/base/result.h"
#include "wayport/transport/address.h"

namespace {

using wayport::Result;
using wayport::transport::Address;

void check_text(std::string_view text) {
  for (const char c : text) {
    WAYPORT_ASSERT(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "a control character was accepted");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Result<Address> address = Address::parse({reinterpret_cast<const char*>(data), size});
  if (!address) {
    check_text(address.error().detail);
    return 0;
  }
  check_text(address->host());
  check_text(address->path());
  for (const auto& [key, value] : address->parameters()) {
    check_text(key);
    check_text(value);
  }
  WAYPORT_ASSERT(!address->layers().empty(), "an address without layers");
  const std::string printed = address->to_string();
  // Coding may lengthen it beyond what is taken.
  if (printed.size() > wayport::transport::kAddressBytesMax) return 0;
  const Result<Address> again = Address::parse(printed);
  WAYPORT_ASSERT(again.has_value(), "what was printed does not parse");
  WAYPORT_ASSERT(*again == *address, "what was printed parses to something else");
  WAYPORT_ASSERT(again->to_string() == printed, "printing is not canonical");
  return 0;
}

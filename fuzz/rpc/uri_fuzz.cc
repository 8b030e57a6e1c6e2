// Any text: a uri parses or is refused with a text that quotes it; a path without escapes is found as it stands in the
// input; a query never yields more pairs than it has separators.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "wayport/base/result.h"
#include "wayport/rpc/route_name.h"
#include "wayport/rpc/uri.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport::rpc;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string storage;
  Uri uri;
  if (const wayport::Result<void> parsed = parse_uri(text, storage, uri); !parsed) {
    WAYPORT_ASSERT(parsed.error().detail.starts_with("parse \""), "Go's words");
  } else {
    WAYPORT_ASSERT(text.find(uri.raw_query) != std::string_view::npos, "the query is a piece of the input");
    WAYPORT_ASSERT(storage.empty() ? text.find(uri.path) != std::string_view::npos : uri.path.size() < text.size(),
                   "decoding never grows");
    const auto separators = static_cast<std::size_t>(std::count(uri.raw_query.begin(), uri.raw_query.end(), '&'));
    WAYPORT_ASSERT(parse_query(uri.raw_query).size() <= separators + 1, "a pair per separator");
  }
  const std::string path = join_path("/prefix", text);
  WAYPORT_ASSERT(join_path("", path) == path, "cleaning is idempotent");
  return 0;
}

// The uri of a pull or push, read as the original's URL parser reads it (spec/teleport 7).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wayport/base/result.h"

namespace wayport::rpc {

// A parsed uri. Views point into the text that was parsed, or into `storage` when the path had percent escapes.
struct Uri {
  std::string_view path;       // percent-decoded; what routes compare, exactly and case-sensitively
  std::string_view raw_query;  // between '?' and '#', as it came
};

// Only what a route needs: raw spaces, quotes, <, > and non-ASCII are accepted; a scheme and an authority are skipped;
// a fragment is dropped. Fails (malformed) with the text that the original sends with code 400, for instance `parse
// "/a%zz": invalid URL escape "%zz"`. No allocation when the path has no escapes.
Result<void> parse_uri(std::string_view text, std::string& storage, Uri& uri);

// Form-encoded parameters, in order; repeated keys keep all values; "+" and "%20" are spaces. Pairs that do not decode,
// and pairs with a semicolon, are left out, as the original does.
using Query = std::vector<std::pair<std::string, std::string>>;
Query parse_query(std::string_view raw_query);
// First value of `key`; empty if absent.
std::string_view query_value(const Query& query, std::string_view key) noexcept;

}  // namespace wayport::rpc

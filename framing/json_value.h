// JSON text to boost::json::value and back, with the manners of Go's encoding/json (json_text.h says why not Boost's
// own parser and serializer): numbers exact to the last digit, integers of 64 bits, last duplicate key wins, lone
// surrogates and broken UTF-8 become U+FFFD, nesting at most 64.
#pragma once

#include <boost/json/fwd.hpp>
#include <string_view>

#include "wayport/base/chain.h"
#include "wayport/base/result.h"

namespace wayport::framing {

// Replaces `to`, in whose storage everything is made. Whole numbers become int64 or, above its range, uint64; others,
// still larger ones and -0, double. malformed: no JSON, a number beyond double, nesting over 64, anything after the
// value.
Result<void> parse_json(std::string_view text, boost::json::value& to);

// Appends. invalid_argument: not a finite number, nesting over 64; then a part may have been appended.
Result<void> write_json(const boost::json::value& value, Chain& to);

}  // namespace wayport::framing

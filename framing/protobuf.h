// Protobuf messages as JSON, the way Go's encoding/json shows a generated struct, because that is what a Teleport peer
// sends and expects: field names as in the .proto file, 64-bit integers as numbers, enums as numbers, bytes in base64,
// zero values left out. (google::protobuf::util writes int64 as strings and names in camelCase: no Go peer reads that.)
//
// Reading is lenient: field names in any letter case or in camelCase, unknown keys ignored, missing ones and null leave
// their field, 64-bit integers also as strings, enums also by name.
//
// Needs the full runtime, not messages with `optimize_for = LITE_RUNTIME`. No protobuf header is needed here.
#pragma once

#include <boost/json/fwd.hpp>

#include "wayport/base/result.h"

namespace google::protobuf {
class Message;
}  // namespace google::protobuf

namespace wayport::framing {

// Defined in //framing:protobuf.
Result<void> protobuf_to_json(const google::protobuf::Message& from, boost::json::value& to);
Result<void> protobuf_from_json(const boost::json::value& from, google::protobuf::Message& to);

}  // namespace wayport::framing

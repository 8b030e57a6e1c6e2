// What a peer writes into a registry about itself, as JSON:
//
//   {"addresses":["tcp://10.0.0.7:9090"],"pull":["/home/sum"],"push":["/chat/say"],"labels":{"zone":"b"}}
//
// Absent and empty are the same; unknown keys are ignored, so that later versions may add some. Written by whoever can
// write to the registry: `malformed` or `too_large` for what is no record, never an assertion.
//
// Core: pure functions; no I/O.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/result.h"

namespace wayport::rpc {

struct ServiceRecord {
  std::vector<std::string> addresses;  // where to dial; at least one
  std::vector<std::string> pull;       // paths of its routes, if it tells them; sorted
  std::vector<std::string> push;
  std::map<std::string, std::string> labels;  // the application's

  friend bool operator==(const ServiceRecord&, const ServiceRecord&) = default;
};

inline constexpr std::size_t kServiceRecordBytesMax = 256 * 1024;
inline constexpr std::size_t kServiceAddressesMax = 64;

// invalid_argument: a text is not UTF-8 that JSON can carry; too_large: above kServiceRecordBytesMax.
Result<std::string> write_record(const ServiceRecord& record);
Result<ServiceRecord> read_record(std::string_view json);

// "/wayport/services/" + "home" + "/" + "7f3a": the key of one instance. invalid_argument: a part is empty, has a '/' or a
// control character, or is longer than 255 bytes.
Result<std::string> service_key(std::string_view prefix, std::string_view service, std::string_view instance);

// What to advertise of an address that is listened on: without parameters, which name files. invalid_argument: one that
// nobody else can dial (a host that means "any", a port that is not bound), with advice.
Result<std::string> advertised(std::string_view listened);

}  // namespace wayport::rpc

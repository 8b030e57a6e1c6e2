#include "wayport/transport/kcp/testing/kcp_vectors.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/result.h"

namespace wayport::transport::kcp::testing {

const boost::json::object& kcp_vectors() {
  static const boost::json::value kValue = [] {
    // Bazel runs tests in the runfiles of the main repository; imported, ours are beside it.
    std::vector<std::string> roots = {".", "../wayport"};
    if (const char* runfiles = std::getenv("TEST_SRCDIR")) roots.push_back(std::string(runfiles) + "/wayport");
    for (const std::string& root : roots) {
      std::ifstream file(root + "/spec/vectors/kcp.json", std::ios::binary);
      if (file) return boost::json::parse(std::string(std::istreambuf_iterator<char>(file), {}));
    }
    WAYPORT_ASSERT(false, "spec/vectors/kcp.json is not among the runfiles");
    return boost::json::value();
  }();
  return kValue.as_object();
}

std::string hex_of(const boost::json::value& value) {
  std::optional<std::string> bytes = from_hex(std::string_view(value.as_string().data(), value.as_string().size()));
  WAYPORT_ASSERT(bytes.has_value(), "bad hex in kcp.json");
  return *std::move(bytes);
}

}  // namespace wayport::transport::kcp::testing

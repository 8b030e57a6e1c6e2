// Any text as a gateway's TOML file: it is refused with file and line, or gives settings that are valid; which of the two
// does not depend on where in the file things stand.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/fuzz/gateway/settings_text.h"
#include "wayport/gateway/program/toml_settings.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport::gateway;
  static const std::vector<std::string> resolvers = {"ipHost", "jwt", "static"};
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  fuzzing::check_places(text, resolvers, [](const std::string& file) { return read_toml(file, "file", resolvers); });
  return 0;
}

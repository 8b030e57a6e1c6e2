// Any text as the config.toml of gogateway-light: it is refused with the file's name, or gives one to three valid routes,
// each of which may dial only what [allow] says, or anything if the operator has said so on the command line.
//
// Input: first byte: odd if --allow-any-target is given. Then the file.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/fuzz/gateway/settings_text.h"
#include "wayport/gateway/program/gogateway_settings.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport;
  using namespace wayport::gateway;
  static const std::vector<std::string> resolvers = {"host-ip", "ipHost", "jwt", "origin"};
  if (size == 0) return 0;
  const bool any = data[0] % 2 == 1;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto read = [any](const std::string& file) {
    return read_gogateway(file, "file", {.allow_any_target = any}, resolvers);
  };
  fuzzing::check_places(text, resolvers, read);

  const Result<Settings> settings = read(std::string(text));
  const Result<Settings> other = read_gogateway(text, "file", {.allow_any_target = !any}, resolvers);
  WAYPORT_ASSERT(!settings || !other, "[allow] and --allow-any-target exclude each other, and one of them is needed");
  if (!settings) return 0;
  WAYPORT_ASSERT(!settings->link && settings->routes.size() <= 3, "a route for each gate");
  for (const route::RouteOptions& route : settings->routes) {
    WAYPORT_ASSERT(route.open_relay == any && !route.allow.empty(), "only the operator opens a relay");
    WAYPORT_ASSERT(route.allow == settings->routes[0].allow, "[allow] is the same for all");
  }
  return 0;
}

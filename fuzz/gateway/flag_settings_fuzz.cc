// Any command line of the original: it is refused in one line, or gives settings that are valid; and once its secrets are
// blanked where the process list shows them, the key can be read nowhere, and all else is the same.
//
// Input: the arguments, separated by NUL.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/fuzz/gateway/settings_text.h"
#include "wayport/gateway/program/flag_settings.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport;
  using namespace wayport::gateway;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> arguments;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\0'), text.size());
    arguments.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  const Result<FlagSettings> read = read_flags(arguments);
  if (!read) {
    const std::string& why = read.error().detail;
    WAYPORT_ASSERT(!why.empty() && why.size() < 4096, "one line says why");
    WAYPORT_ASSERT(std::ranges::none_of(why, [](char c) { return c >= 0 && c < ' '; }), "and can be printed");
    return 0;
  }
  if (read->help) return 0;
  WAYPORT_ASSERT(read->settings.link && read->settings.validate(), "what is read is valid");

  for (const GoFlags::Place& place : read->secrets) {
    WAYPORT_ASSERT(place.argument < arguments.size() && place.offset <= arguments[place.argument].size(),
                   "places are inside the arguments");
    std::fill(arguments[place.argument].begin() + static_cast<std::ptrdiff_t>(place.offset),
              arguments[place.argument].end(), 'x');
  }
  Result<FlagSettings> blanked = read_flags(arguments);
  WAYPORT_ASSERT(blanked.has_value(), "blanks are no flags");
  const std::string& key = read->settings.link->server_auth_key;
  WAYPORT_ASSERT(blanked->settings.link->server_auth_key == std::string(key.size(), 'x'), "no byte of the key is left");
  blanked->settings.link->server_auth_key = key;
  WAYPORT_ASSERT(fuzzing::summary(blanked->settings) == fuzzing::summary(read->settings), "and all else is the same");
  return 0;
}

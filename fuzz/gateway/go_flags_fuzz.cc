// Any command line: GoFlags reads it to its end or says what is wrong, and what it read comes back the same from the
// other spelling (two dashes and "="). Arguments are separated by NUL.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/gateway/program/go_flags.h"

namespace {

using namespace wayport;
using gateway::GoFlags;

struct Values {
  Values() {
    flags.add("b", b, "");
    flags.add("i", i, "");
    flags.add("d", d, "");
    flags.add("s", s, "");
  }
  bool b = false;
  std::int64_t i = 0;
  Duration d{0};
  std::string s;
  GoFlags flags;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> arguments;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\0'), text.size());
    arguments.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  Values first;
  const Result<GoFlags::Parsed> parsed = first.flags.parse(arguments);
  if (!parsed) {
    WAYPORT_ASSERT(!parsed.error().detail.empty() && parsed.error().detail.size() < 1024, "one line says why");
    return 0;
  }
  WAYPORT_ASSERT(parsed->rest <= arguments.size(), "it stays within its arguments");
  if (parsed->help) return 0;

  const std::vector<std::string> again = {"--b=" + std::string(first.b ? "true" : "false"),
                                          "--i=" + std::to_string(first.i), "--d=" + format_duration(first.d),
                                          "--s=" + first.s};
  Values second;
  const Result<GoFlags::Parsed> reparsed = second.flags.parse(again);
  WAYPORT_ASSERT(reparsed && reparsed->rest == again.size(), "what was read can be written");
  WAYPORT_ASSERT(first.b == second.b && first.i == second.i && first.d == second.d && first.s == second.s,
                 "and is the same");
  for (const char* const name : {"b", "i", "d", "s"}) {
    for (const GoFlags::Place& place : first.flags.places(name)) {
      WAYPORT_ASSERT(place.argument < parsed->rest && place.offset <= arguments[place.argument].size(),
                     "places are inside the arguments");
    }
  }
  return 0;
}

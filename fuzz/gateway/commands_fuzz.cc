// Any text in fastway.cmd: it runs the one command that a slow and obvious reading (a regular expression, as the
// original has) says, or none, and an error is one printable line.
#include <algorithm>
#include <cstdint>
#include <regex>
#include <string>
#include <string_view>

#include "wayport/base/result.h"
#include "wayport/gateway/program/commands.h"

namespace {

using namespace wayport;
using gateway::Commands;

constexpr std::string_view kPatterns[] = {"help", "cpuprof start", "lookup heap [#detail]", "kick <id> [reason]"};
constexpr const char* kExpressions[] = {"help", "cpuprof start", "lookup heap( [0-9]{1,4})?", "kick [!-~]+( [!-~]+)?"};

// Runs of blanks and tabs are one blank; nothing at the ends. "\n" stays, and matches nothing.
std::string normalised(std::string_view text) {
  std::string words;
  for (const char c : gateway::trim(text)) {
    const char each = c == '\t' ? ' ' : c;
    if (each != ' ' || !words.ends_with(' ')) words += each;
  }
  return words;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Commands commands;
  for (const std::string_view pattern : kPatterns) {
    const Result<void> added = commands.add(
        std::string(pattern), "", [pattern](Commands::Arguments) { return Result<std::string>(std::string(pattern)); });
    WAYPORT_ASSERT(added.has_value(), "these are patterns");
  }
  const Result<std::string> said = commands.run(text);
  if (!said) {
    const std::string& why = said.error().detail;
    WAYPORT_ASSERT(why.size() < 2048 && std::ranges::none_of(why, [](char c) { return c >= 0 && c < ' '; }),
                   "errors are one printable line");
  }
  if (text.size() > 512) return 0;  // std::regex recurses for each character
  const std::string words = normalised(text);
  for (std::size_t i = 0; i < std::size(kPatterns); ++i) {
    const bool expected = std::regex_match(words, std::regex(kExpressions[i]));
    WAYPORT_ASSERT(expected == (said && *said == kPatterns[i]), "what runs is what the obvious reading says");
  }
  return 0;
}

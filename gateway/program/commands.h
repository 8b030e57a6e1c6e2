// Commands: the table of what an operator may tell a running gateway by SIGUSR1 and fastway.cmd (README.md).
//
//   commands.add("lookup heap [#detail]", "heap profile to fastway.heap.prof", [](Commands::Arguments arguments) -> ...);
//   const Result<std::string> said = commands.run(text_of_the_file);
//
// A pattern is words with one blank between them. A word in angle brackets stands for any one word, "<#name>" for a
// number of one to four digits; in square brackets the same, but it may be missing, and only at the end of a pattern.
// The text is trimmed (blanks, tabs, line ends) and must match as a whole; words may have several blanks and tabs
// between them. The first pattern that matches, in order of adding, runs.
//
// The text is whoever's can write the directory: bounded, and printed only escaped. Pure; not thread-safe.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/result.h"

namespace wayport::gateway {

class Commands {
 public:
  static constexpr std::size_t kTextBytesMax = 4096;
  static constexpr std::size_t kWordsMax = 16;
  static constexpr std::size_t kCommandsMax = 256;

  // What the bracketed words of the pattern were, in order; empty for those that are missing.
  using Arguments = std::span<const std::string_view>;
  // Gives what is to be logged, or why it failed.
  using Handler = std::function<Result<std::string>(Arguments)>;

  // Errors (invalid_argument): a pattern that is none, or that is there already; too many.
  Result<void> add(std::string pattern, std::string help, Handler handler);

  // Errors: not_found "unsupported command: TEXT", too_large, and the handler's own.
  Result<std::string> run(std::string_view text) const;

  // The whole table, a line each.
  std::string help() const;
  std::size_t size() const noexcept { return commands_.size(); }

 private:
  struct Word {
    enum class Kind : std::uint8_t { literal, any, number } kind = Kind::literal;
    bool optional = false;
    std::string text;
  };
  struct Command {
    std::string pattern;
    std::string help;
    std::vector<Word> words;
    Handler handler;
  };

  static Result<Word> parse_word(std::string_view text);
  static bool matches(const Word& pattern, std::string_view word) noexcept;

  std::vector<Command> commands_;
};

// Without blanks, tabs and line ends at both ends.
std::string_view trim(std::string_view text) noexcept;

}  // namespace wayport::gateway

#include "wayport/gateway/program/commands.h"

#include <algorithm>
#include <utility>

#include "wayport/base/bytes.h"

namespace wayport::gateway {
namespace {

constexpr std::string_view kBlanks = " \t";
constexpr std::string_view kEnds = " \t\r\n";
constexpr std::size_t kNumberDigitsMax = 4;

bool is_plain(char c) noexcept {
  return c > ' ' && c <= '~' && c != '<' && c != '>' && c != '[' && c != ']' && c != '#';
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty() && words.size() <= Commands::kWordsMax) {
    const std::size_t end = std::min(text.find_first_of(kBlanks), text.size());
    if (end != 0) words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

}  // namespace

std::string_view trim(std::string_view text) noexcept {
  const std::size_t first = text.find_first_not_of(kEnds);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kEnds) - first + 1);
}

Result<Commands::Word> Commands::parse_word(std::string_view text) {
  Word word;
  const std::string_view whole = text;
  const bool angle = text.starts_with('<') && text.ends_with('>');
  const bool square = text.starts_with('[') && text.ends_with(']');
  if (angle || square) {
    word.optional = square;
    word.kind = Word::Kind::any;
    text = text.substr(1, text.size() - 2);
    if (text.starts_with('#')) {
      word.kind = Word::Kind::number;
      text.remove_prefix(1);
    }
  }
  if (text.empty() || !std::ranges::all_of(text, is_plain)) {
    return fail(ErrorCode::invalid_argument, "\"" + escape(whole, 64) + "\" is no word of a command's pattern");
  }
  word.text = text;
  return word;
}

Result<void> Commands::add(std::string pattern, std::string help, Handler handler) {
  const std::string what = "command \"" + escape(pattern, 128) + "\": ";
  if (commands_.size() == kCommandsMax) {
    return fail(ErrorCode::invalid_argument, what + "there are " + std::to_string(kCommandsMax) + " already");
  }
  if (std::ranges::find(commands_, pattern, &Command::pattern) != commands_.end()) {
    return fail(ErrorCode::invalid_argument, what + "is there already");
  }
  Command command{.pattern = std::move(pattern), .help = std::move(help), .words = {}, .handler = std::move(handler)};
  std::string_view rest = command.pattern;
  for (;;) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    WAYPORT_TRY_ASSIGN(Word word, parse_word(rest.substr(0, end)));
    if (!word.optional && !command.words.empty() && command.words.back().optional) {
      return fail(ErrorCode::invalid_argument, what + "what may be missing comes last");
    }
    command.words.push_back(std::move(word));
    if (end == rest.size()) break;
    rest.remove_prefix(end + 1);
  }
  if (command.words.size() > kWordsMax || command.words.front().kind != Word::Kind::literal) {
    return fail(ErrorCode::invalid_argument,
                what + "it has at most " + std::to_string(kWordsMax) + " words, and the first is a name");
  }
  commands_.push_back(std::move(command));
  return {};
}

bool Commands::matches(const Word& pattern, std::string_view word) noexcept {
  switch (pattern.kind) {
    case Word::Kind::literal:
      return word == pattern.text;
    case Word::Kind::any:
      return std::ranges::all_of(word, [](char c) { return c > ' ' && c <= '~'; });
    case Word::Kind::number:
      return word.size() <= kNumberDigitsMax && std::ranges::all_of(word, [](char c) { return c >= '0' && c <= '9'; });
  }
  return false;
}

Result<std::string> Commands::run(std::string_view text) const {
  if (text.size() > kTextBytesMax) {
    return fail(ErrorCode::too_large, "a command has at most " + std::to_string(kTextBytesMax) + " bytes, not " +
                                          std::to_string(text.size()));
  }
  text = trim(text);
  const std::vector<std::string_view> words = split(text);
  for (const Command& command : commands_) {
    if (words.size() > command.words.size()) continue;
    std::vector<std::string_view> arguments;
    bool matched = true;
    for (std::size_t i = 0; matched && i < command.words.size(); ++i) {
      const Word& pattern = command.words[i];
      matched = i < words.size() ? matches(pattern, words[i]) : pattern.optional;
      if (pattern.kind != Word::Kind::literal) arguments.push_back(i < words.size() ? words[i] : std::string_view());
    }
    if (matched) return command.handler(arguments);
  }
  return fail(ErrorCode::not_found, "unsupported command: " + escape(text, 256));
}

std::string Commands::help() const {
  std::size_t width = 0;
  for (const Command& command : commands_) width = std::max(width, command.pattern.size());
  std::string text;
  for (const Command& command : commands_) {
    text += "  " + command.pattern + std::string(width - command.pattern.size() + 2, ' ') + command.help + "\n";
  }
  return text;
}

}  // namespace wayport::gateway

#include "wayport/integration/emulator/link_control.h"

#include <algorithm>
#include <optional>

#include "wayport/base/bytes.h"

namespace wayport::emulator {
namespace {

constexpr std::string_view kBlanks = " \t\r";

// The first word, which is taken off `rest`.
std::string_view word_of(std::string_view& rest) {
  rest.remove_prefix(std::min(rest.find_first_not_of(kBlanks), rest.size()));
  const std::string_view word = rest.substr(0, rest.find_first_of(kBlanks));
  rest.remove_prefix(word.size());
  return word;
}

}  // namespace

LinkControl::LinkControl(LinkEmulator& left, LinkEmulator& right, DirectionNames names,
                         std::function<MoreCounts(std::size_t)> more)
    : directions_{&left, &right}, names_(std::move(names)), more_(std::move(more)) {}

std::string LinkControl::handle_line(TimePoint now, std::string_view line) {
  Result<std::string> answer = carry_out(now, line);
  return answer ? *std::move(answer) : "error: " + answer.error().detail;
}

Result<std::string> LinkControl::carry_out(TimePoint now, std::string_view line) {
  if (line.size() > kLineBytesMax) {
    return fail(ErrorCode::too_large, "a line has at most " + std::to_string(kLineBytesMax) + " bytes");
  }
  std::string_view rest = line.substr(0, line.size() - (line.ends_with('\r') ? 1 : 0));
  const std::string_view command = word_of(rest);
  if (command == "set") {
    const std::string_view which = word_of(rest);
    return set(now, which, rest);
  }
  if (command == "up" || command == "down") {
    const std::string_view which = word_of(rest);
    if (!word_of(rest).empty())
      return fail(ErrorCode::invalid_argument, "one direction or none follows " + std::string(command));
    return set(now, which.empty() ? "both" : which, command);
  }
  if (!word_of(rest).empty()) {
    return fail(ErrorCode::invalid_argument, "nothing follows \"" + escape(command, 64) + "\"");
  }
  if (command == "show") {
    return names_[0] + ": " + to_string(directions_[0]->options()) + "; " + names_[1] + ": " +
           to_string(directions_[1]->options());
  }
  if (command == "stats") return stats();
  if (command == "help") {
    return "set " + names_[0] + "|" + names_[1] + "|both WORDS, up [WHICH], down [WHICH], show, stats, help";
  }
  return fail(ErrorCode::invalid_argument,
              "\"" + escape(command, 64) + "\" is none of set, up, down, show, stats, help");
}

Result<std::string> LinkControl::set(TimePoint now, std::string_view which, std::string_view words) {
  const bool both = which == "both";
  if (!both && which != names_[0] && which != names_[1]) {
    return fail(ErrorCode::invalid_argument,
                "\"" + escape(which, 64) + "\" is none of " + names_[0] + ", " + names_[1] + ", both");
  }
  if (words.find_first_not_of(kBlanks) == std::string_view::npos) {
    return fail(ErrorCode::invalid_argument, "say what to set, for instance delay=20ms");
  }
  // Both are judged before either is changed.
  std::array<std::optional<LinkOptions>, 2> wanted;
  for (std::size_t i = 0; i < 2; ++i) {
    if (both || which == names_[i]) {
      WAYPORT_TRY_ASSIGN(wanted[i], changed(directions_[i]->options(), words));
    }
  }
  for (std::size_t i = 0; i < 2; ++i) {
    if (wanted[i]) directions_[i]->configure(now, *wanted[i]);
  }
  return "ok";
}

std::string LinkControl::stats() const {
  std::string json = "{";
  for (std::size_t i = 0; i < 2; ++i) {
    const LinkCounters& c = directions_[i]->counters();
    // Options are words of ours: letters, digits and "=%./ ", nothing to escape.
    json += (i == 0 ? "\"" : ",\"") + names_[i] + "\":{\"options\":\"" + to_string(directions_[i]->options()) + "\"";
    MoreCounts counts = {{"packets_in", c.packets_in},
                         {"bytes_in", c.bytes_in},
                         {"packets_out", c.packets_out},
                         {"bytes_out", c.bytes_out},
                         {"lost", c.lost},
                         {"burst_lost", c.burst_lost},
                         {"queue_dropped", c.queue_dropped},
                         {"down_dropped", c.down_dropped},
                         {"held_dropped", c.held_dropped},
                         {"duplicated", c.duplicated},
                         {"corrupted", c.corrupted},
                         {"reordered", c.reordered},
                         {"waiting_packets", c.waiting_packets},
                         {"waiting_bytes", c.waiting_bytes},
                         {"queued_bytes", c.queued_bytes},
                         {"queued_bytes_most", c.queued_bytes_most}};
    if (more_) {
      for (auto& count : more_(i)) counts.push_back(std::move(count));
    }
    for (const auto& [name, value] : counts) json += ",\"" + name + "\":" + std::to_string(value);
    json += "}";
  }
  return json + "}";
}

}  // namespace wayport::emulator

// LinkControl: changes a link while it runs, by lines of text. One line in, one line out.
//
//   set left|right|both WORDS    changes options (link_options.h): set both delay=20ms loss=1%
//   down [left|right|both]       as set ... down: nothing passes, and what is under way is lost
//   up [left|right|both]
//   show                         the options of both directions
//   stats                        options and counters of both directions as one line of JSON
//   help
//
// Answers "ok", "error: WHY", or what was asked for. "left" is the direction of what comes from the left side. A line that
// cannot be carried out changes nothing. Pure, one thread; lines are the operator's, and at most kLineBytesMax long.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wayport/base/time.h"
#include "wayport/integration/emulator/link_emulator.h"

namespace wayport::emulator {

// Names of the two directions: {"left", "right"}, or {"out", "in"} at an endpoint.
using DirectionNames = std::array<std::string, 2>;

// What the driver counted besides, for `stats`.
using MoreCounts = std::vector<std::pair<std::string, std::uint64_t>>;

class LinkControl {
 public:
  static constexpr std::size_t kLineBytesMax = 1024;

  // `more`: of a direction, 0 or 1; may be empty.
  LinkControl(LinkEmulator& left, LinkEmulator& right, DirectionNames names,
              std::function<MoreCounts(std::size_t)> more = {});

  // Without the line's end; neither has the answer one.
  std::string handle_line(TimePoint now, std::string_view line);

 private:
  Result<std::string> carry_out(TimePoint now, std::string_view line);
  Result<std::string> set(TimePoint now, std::string_view which, std::string_view words);
  std::string stats() const;

  const std::array<LinkEmulator*, 2> directions_;
  const DirectionNames names_;
  const std::function<MoreCounts(std::size_t)> more_;
};

}  // namespace wayport::emulator

// GoFlags: command lines as Go's package flag reads them, which the originals used: one dash or two, "-name value" or
// "-name=value", durations and numbers as Go writes them. It ends at the first argument that is no flag, or behind "--".
//
//   std::int64_t chunk = 64;
//   GoFlags flags;
//   flags.add("MemPoolMinChunk", chunk, "smallest chunk, bytes");
//   const Result<GoFlags::Parsed> parsed = flags.parse(arguments);
//
// A flag given twice has its last value. A bool takes its value only after "=". "-h" and "-help" ask for help unless
// they are flags. Errors (`invalid_argument`) are worded as Go words them, so that who knows the original knows them.
//
// Pure; not thread-safe. The variables outlive it and are written by parse().
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/base/time.h"

namespace wayport::gateway {

class GoFlags {
 public:
  static constexpr std::size_t kArgumentsMax = 1024;  // more are an error

  // Where the value of a flag stands: argument, and its first character there. For blanking secrets.
  struct Place {
    std::size_t argument = 0;
    std::size_t offset = 0;
  };
  struct Parsed {
    bool help = false;     // was asked for; nothing behind it was read
    std::size_t rest = 0;  // index of the first argument that is no flag
  };

  // The variable's value at this moment is the default that usage() prints. REQUIRES: a name that is new, not empty, and
  // neither begins with a dash nor holds "=".
  void add(std::string name, bool& to, std::string help);
  void add(std::string name, std::int64_t& to, std::string help);  // of 64 bits: 10, -1, 0x10, 0b1, 0o17, 017, 1_000
  void add(std::string name, Duration& to, std::string help);
  void add(std::string name, std::string& to, std::string help);

  // On an error some variables may have been written.
  Result<Parsed> parse(std::span<const std::string> arguments);
  // Whether it was on the command line.
  bool given(std::string_view name) const noexcept;
  std::vector<Place> places(std::string_view name) const;
  // One entry for each flag, in order of adding, laid out as Go does.
  std::string usage() const;

 private:
  struct Flag {
    std::string name;
    std::string type;  // in usage(); empty for bool
    std::string help;
    std::string otherwise;
    std::function<Result<void>(std::string_view)> set;
    std::vector<Place> places;
  };

  void add_flag(Flag flag);
  Flag* find(std::string_view name) noexcept;

  std::vector<Flag> flags_;
};

// As strconv.ParseInt(text, 0, 64). Error: what is wrong, without the text.
Result<std::int64_t> parse_go_integer(std::string_view text);
// As strconv.ParseBool: 1, t, T, TRUE, true, True and their opposites.
Result<bool> parse_go_bool(std::string_view text);

}  // namespace wayport::gateway

// CallTally: how the calls of a load ended, and for how long a client had no reply. Not thread-safe; those of several
// loops are added up.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "wayport/base/time.h"

namespace wayport::tools {

struct CallTally {
  // Upper ends of the classes of stalls, in milliseconds; the last class has none.
  static constexpr std::array<std::uint32_t, 8> kStallClasses = {50, 100, 200, 500, 1000, 2000, 5000, 10000};

  std::uint64_t begun = 0;
  std::uint64_t replied = 0;  // with what was sent
  std::uint64_t wrong = 0;    // with something else
  // By status; "101 in doubt" may have been executed, "503 not executed" was not.
  std::map<std::string, std::uint64_t> failed;
  std::array<std::uint64_t, kStallClasses.size() + 1> stalls{};  // times without a reply of one client
  Duration longest_stall = Duration::zero();

  void add_stall(Duration length) noexcept;
  void add(const CallTally& other);
  std::uint64_t ended() const noexcept;  // outcomes of all kinds
  // One line of JSON.
  std::string to_json() const;
};

}  // namespace wayport::tools

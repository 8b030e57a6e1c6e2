// LoadOptions: what `wayport load` was told to do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "wayport/base/time.h"

namespace wayport::tools {

struct LoadServeOptions {
  std::vector<std::string> addresses;
  std::size_t callers_max = 10'000;  // whose calls are remembered; more are answered 503
};

struct LoadRunOptions {
  static constexpr std::size_t kClientsMax = 10'000;
  static constexpr std::size_t kOutstandingMax = 1000;
  static constexpr std::size_t kPaddingMax = 16u << 20;

  std::vector<std::string> addresses;             // each client begins with another one
  std::size_t clients = 1;                        // each with a session of its own
  std::size_t outstanding = 1;                    // calls of a client at one time
  Duration time = std::chrono::seconds(10);       // in which calls begin
  Duration pause = std::chrono::milliseconds(1);  // of a client, from a reply to the next call in its place
  Duration timeout = std::chrono::seconds(30);    // of one call
  std::size_t padding = 0;                        // bytes that each call and its reply carry beside the numbers
};

}  // namespace wayport::tools

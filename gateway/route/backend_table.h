// BackendTable: from identify strings to backends, as a file or a configuration has them.
//
//     # identify        backends, in the order in which they are tried
//     orders            10.0.0.7:9000 10.0.0.8:9000
//     billing           tls://billing.svc.local:443?ca=/etc/ca.pem
//
// One entry for each line; an identify has no blanks here (other ways to fill a table allow them). Pure; bounded by
// BackendTableLimits. Not thread-safe.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/gateway/route/backend.h"

namespace wayport::route {

struct BackendTableLimits {
  std::size_t entries_max = 100'000;
  std::size_t backends_max = 64;           // of one entry
  std::size_t text_bytes_max = 64u << 20;  // of a file
};

class BackendTable {
 public:
  using Backends = std::vector<Backend>;
  using Limits = BackendTableLimits;

  explicit BackendTable(Limits limits = {}) : limits_(limits) {}

  // Errors (invalid_argument, too_large) name the line.
  static Result<BackendTable> parse(std::string_view text, Limits limits = {});
  // The backends of one entry, separated by blanks or line ends. invalid_argument: one is bad, there is none, or more
  // than Limits::backends_max.
  static Result<Backends> parse_backends(std::string_view text, const Limits& limits = {});

  // invalid_argument: no identify, one over kIdentifyBytesMax, one that is there, or no backends; too_large: the
  // limits.
  Result<void> add(std::string identify, Backends backends);
  // The same, but replaces one that is there.
  Result<void> set(std::string identify, Backends backends);
  bool erase(std::string_view identify);
  // Adds what `other` has; invalid_argument: an identify is in both.
  Result<void> join(const BackendTable& other);

  // nullptr: absent. The backends stay as they are, whatever becomes of the table.
  std::shared_ptr<const Backends> find(std::string_view identify) const;
  std::size_t size() const noexcept { return entries_.size(); }
  std::string to_text()
      const;  // in order; parse gives the table back unless an identify has blanks, or begins with "#"

  friend bool operator==(const BackendTable& a, const BackendTable& b);

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>()(text); }
  };
  Result<void> check(std::string_view identify, const Backends& backends) const;

  Limits limits_;
  std::unordered_map<std::string, std::shared_ptr<const Backends>, Hash, std::equal_to<>> entries_;
};

}  // namespace wayport::route

// A certificate for 127.0.0.1 that signs itself, made for one run.
#pragma once

#include <string>

#include "wayport/base/result.h"

namespace wayport::tools {

// Owns a directory under $TMPDIR or /tmp with the two files, readable by this user only.
class SelfSigned {
 public:
  static Result<SelfSigned> make();
  SelfSigned(SelfSigned&& other) noexcept : directory_(std::move(other.directory_)) { other.directory_.clear(); }
  SelfSigned& operator=(SelfSigned&&) = delete;
  ~SelfSigned();

  std::string certificate() const { return directory_ + "/cert.pem"; }
  std::string key() const { return directory_ + "/key.pem"; }

 private:
  SelfSigned() = default;
  std::string directory_;
};

}  // namespace wayport::tools

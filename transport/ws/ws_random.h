// Where the mask keys of clients and the key of a handshake come from.
#pragma once

#include "wayport/base/bytes.h"

namespace wayport::transport::ws {

// The program's is OpenSSL's generator (ws_transport.h); tests script theirs.
class RandomSource {
 public:
  virtual ~RandomSource() = default;
  virtual void fill(MutableBytes bytes) = 0;  // thread-safe, if streams of several loops share it
};

}  // namespace wayport::transport::ws

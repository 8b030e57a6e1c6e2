#include "wayport/transport/kcp/kcp_random.h"

#include <openssl/rand.h>

#include <array>

#include "wayport/base/result.h"

namespace wayport::transport::kcp {

void random_bytes(MutableBytes to) {
  const int done = ::RAND_bytes(reinterpret_cast<unsigned char*>(to.data()), static_cast<int>(to.size()));
  WAYPORT_ASSERT(done == 1, "the system gives no random bytes");
}

std::uint64_t random_number() {
  std::array<std::byte, 8> bytes;
  random_bytes(bytes);
  return load_le<std::uint64_t>(bytes.data());
}

}  // namespace wayport::transport::kcp

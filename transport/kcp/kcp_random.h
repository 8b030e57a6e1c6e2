// Unpredictable numbers: convs, cookies, seeds of nonces and of hash tables. OpenSSL's generator; any thread.
#pragma once

#include <cstdint>

#include "wayport/base/bytes.h"

namespace wayport::transport::kcp {

void random_bytes(MutableBytes to);
std::uint64_t random_number();

}  // namespace wayport::transport::kcp

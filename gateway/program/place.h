// Addresses as log lines print them.
#pragma once

#include <string>
#include <string_view>

namespace wayport::gateway {

// "127.0.0.1:4900" of "tcp://127.0.0.1:4900?nodelay=1", as the originals print it; other transports keep their scheme. No
// parameters, so no secrets.
std::string place_of(std::string_view address);

}  // namespace wayport::gateway

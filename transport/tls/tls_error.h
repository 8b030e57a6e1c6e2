// OpenSSL's error queue as one line of text.
#pragma once

#include <string>
#include <string_view>

#include "wayport/base/result.h"

namespace wayport::transport {

// The reason of the earliest queued error ("wrong version number"), with the system's word if there is one; empties the
// queue. "" if it was empty.
std::string take_tls_reason();
// `what`: reason.
Error tls_error(ErrorCode code, std::string_view what);

}  // namespace wayport::transport

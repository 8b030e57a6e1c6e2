#include "wayport/transport/tls/tls_error.h"

#include <openssl/err.h>

#include "wayport/base/bytes.h"

namespace wayport::transport {

std::string take_tls_reason() {
  const char* data = nullptr;
  int flags = 0;
  const unsigned long first = ::ERR_get_error_all(nullptr, nullptr, nullptr, &data, &flags);
  if (first == 0) return "";
  std::string text;
  if (ERR_SYSTEM_ERROR(first)) {
    text = std::generic_category().message(ERR_GET_REASON(first));
  } else if (const char* reason = ::ERR_reason_error_string(first)) {
    text = reason;
  } else {
    text = "error " + std::to_string(first);
  }
  if (data && (flags & ERR_TXT_STRING) && *data) text += " (" + escape(data, 128) + ")";
  ::ERR_clear_error();
  return text;
}

Error tls_error(ErrorCode code, std::string_view what) {
  const std::string reason = take_tls_reason();
  return {code, std::string(what) + (reason.empty() ? "" : ": " + reason), {}};
}

}  // namespace wayport::transport

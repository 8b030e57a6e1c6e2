#include "wayport/rpc/status.h"

namespace wayport::rpc {

std::string_view status_text(std::int32_t status_code) noexcept {
  switch (status_code) {
    case 0:
      return "Undefined Status";
    case 100:
      return "Write Failed";
    case 101:
      return "Connection Closed";
    case 200:
      return "OK";
    case 400:
      return "Bad URI";
    case 401:
      return "Unauthorized";
    case 404:
      return "Not Found";
    case 409:
      return "Conflict";
    case 410:
      return "Unsupported transaction type";
    case 415:
      return "Unsupported codec type";
    case 499:
      return "Canceled";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 506:
      return "Variant Also Negotiates";
    case 507:
      return "Insufficient Storage";
    case 508:
      return "Loop Detected";
    case 510:
      return "Not Extended";
    case 511:
      return "Network Authentication Required";
    default:
      return {};
  }
}

std::string Status::to_string() const {
  std::string line = std::to_string(code);
  if (!text.empty()) line.append(" ").append(text);
  line.append(origin == Origin::remote ? " (from the peer)" : " (local)");
  return line;
}

Status Status::not_executed(std::int32_t code, std::string text) {
  Status status = make(code, std::move(text));
  status.never_executed = true;
  return status;
}

Status Status::make(std::int32_t code, std::string text) {
  Status status;
  status.code = code;
  status.text = text.empty() ? std::string(status_text(code)) : std::move(text);
  return status;
}

}  // namespace wayport::rpc

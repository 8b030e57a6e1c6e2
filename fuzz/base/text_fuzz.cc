// What is read from people and peers: parsing never crashes, what is accepted prints back and reads the same, and
// escape() leaves nothing that a terminal or a log could obey.
//
// Input: the text.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "wayport/base/bytes.h"
#include "wayport/base/log.h"
#include "wayport/base/socket.h"
#include "wayport/base/time.h"

namespace wayport {
namespace {

void check(bool promise) {
  if (!promise) std::abort();
}

void check_harmless(std::string_view text, bool quotes_allowed) {
  for (const char c : text) {
    check(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
    check(quotes_allowed || c != '"');
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);

  if (const auto duration = parse_duration(text)) {
    const auto again = parse_duration(format_duration(*duration));
    check(again.has_value() && *again == *duration);
  }
  if (const auto bytes = parse_bytes(text)) {
    const auto again = parse_bytes(format_bytes(*bytes));
    check(again.has_value() && *again == *bytes);
  }
  if (const auto bytes = from_hex(text)) {
    const auto again = from_hex(to_hex(as_bytes(*bytes)));
    check(again == bytes);
  }
  if (const auto address = SocketAddress::from_ip(text, 1); address && text.find('%') == std::string_view::npos) {
    check(SocketAddress::from_ip(address->ip(), 1).value() == *address);
  }
  if (const auto address = SocketAddress::from_unix(text)) {
    check(address->to_string() == text);
  }

  const std::string escaped = escape(text, 100);
  check_harmless(escaped, false);
  check(escaped.size() <= 4 * 100 + 40);

  const LogField fields[] = {{"field", text}, {"again", text}};
  for (const bool json : {false, true}) {
    const std::string line = format_log_line(json, {}, LogLevel::info, text, fields);
    check(line.size() <= kLogLineBytesMax && line.back() == '\n');
    check_harmless(std::string_view(line).substr(0, line.size() - 1), true);
  }
  return 0;
}

}  // namespace wayport

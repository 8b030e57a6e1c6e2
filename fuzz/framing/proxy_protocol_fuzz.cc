// A PROXY header is the same however it is cut, is never larger than allowed, is left alone by what follows it, and
// what was read is written and read again as the same.
//
// Input: a control byte (1: version 1 is refused, 2: version 2 is, the rest: header_bytes_max in steps of 64, 0: default), a
// count and that many step sizes (0: 256), then the connection.
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/base/result.h"
#include "wayport/framing/proxy_protocol/proxy_protocol.h"

namespace wayport::proxy_protocol {
namespace {

struct Outcome {
  std::optional<Header> header{};
  std::size_t size = 0;
  std::optional<ErrorCode> error{};

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome read_in_steps(Bytes stream, Bytes steps, const ReadOptions& options) {
  std::size_t shown = 0;
  for (std::size_t i = 0; shown < stream.size(); ++i) {
    std::size_t step = steps.empty() ? stream.size() : static_cast<std::size_t>(steps[i % steps.size()]);
    if (step == 0) step = 256;
    shown = std::min(stream.size(), shown + step);
    // On the heap and exact, so that the sanitizers see a read past its end.
    const std::vector<std::byte> seen(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(shown));
    const auto parsed = parse_header(seen, options);
    if (!parsed) return {.error = parsed.error().code};
    if (!*parsed) continue;
    WAYPORT_ASSERT((*parsed)->size <= shown, "took bytes that were not shown");
    WAYPORT_ASSERT((*parsed)->size <= std::max(options.header_bytes_max, kV1BytesMax), "larger than allowed");
    return {.header = (*parsed)->header, .size = (*parsed)->size};
  }
  return {};
}

void check_round_trip(const Header& header) {
  for (const bool checksum : {false, true}) {
    Chain chain;
    // Seven bytes more than it had, and it may have been the largest.
    if (!append_v2(chain, header, checksum)) {
      WAYPORT_ASSERT(checksum, "what was read may be written");
      continue;
    }
    const std::string text = chain.to_string();
    const auto again = parse_header(as_bytes(text), {.header_bytes_max = 1 << 17});
    WAYPORT_ASSERT(again && *again, "what was written may be read");
    WAYPORT_ASSERT((*again)->header == header && (*again)->checksum == (checksum && !header.local) &&
                       (*again)->size == text.size(),
                   "as the same");
  }
}

// Version 1 says the addresses and no more, or refuses a header that has more; then it has appended nothing.
void check_version_1(const Header& header) {
  Chain chain;
  const Header bare{.local = header.local, .source = header.source, .destination = header.destination};
  if (!append_v1(chain, header)) {
    WAYPORT_ASSERT(chain.empty(), "what is refused is not begun");
    WAYPORT_ASSERT(!(header == bare), "addresses alone may be written");
    if (!append_v1(chain, bare)) return;
  }
  const std::string text = chain.to_string();
  const auto again = parse_header(as_bytes(text), {.accept_v2 = false});
  WAYPORT_ASSERT(text.size() <= kV1BytesMax && again && *again && (*again)->size == text.size(), "it may be read");
  const int family = header.local ? AF_UNSPEC : header.source.family();
  if (family == AF_INET || family == AF_INET6) {
    WAYPORT_ASSERT((*again)->header.source.port() == header.source.port() &&
                       (*again)->header.destination.ip() == header.destination.ip(),
                   "as the same addresses");
  }
}

}  // namespace
}  // namespace wayport::proxy_protocol

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport;
  using namespace wayport::proxy_protocol;
  const Bytes input(reinterpret_cast<const std::byte*>(data), std::min<std::size_t>(size, 70'000));
  if (input.size() < 2) return 0;
  const auto control = static_cast<std::uint8_t>(input[0]);
  ReadOptions options{.accept_v1 = !(control & 1), .accept_v2 = !(control & 2)};
  if (control >> 2) options.header_bytes_max = 64u * (control >> 2);
  const std::size_t count = std::min(static_cast<std::size_t>(input[1]), input.size() - 2);
  const Bytes steps = input.subspan(2, count);
  const Bytes stream = input.subspan(2 + count);
  const Outcome whole = read_in_steps(stream, {}, options);
  // Small steps of a large input only repeat the same.
  if (stream.size() < 4096) WAYPORT_ASSERT(read_in_steps(stream, steps, options) == whole, "any split gives the same");
  if (!whole.header) return 0;
  WAYPORT_ASSERT(read_in_steps(stream.first(whole.size), {}, options) == whole, "what follows is not looked at");
  check_round_trip(*whole.header);
  check_version_1(*whole.header);
  return 0;
}

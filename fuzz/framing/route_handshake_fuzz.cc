// Both readers of a route handshake give the same at any split, take nothing of what follows, keep no more than their
// limit, and what they took is what our writers write.
//
// Input: the limit (two bytes), a count and that many step sizes (0: 256), then the stream; read by either side.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/base/result.h"
#include "wayport/framing/route/handshake.h"
#include "wayport/framing/route/route_error.h"

namespace wayport::route {
namespace {

struct Outcome {
  std::optional<ErrorCode> error{};
  int verdict = 0;
  std::string text{};
  std::size_t consumed = 0;

  friend bool operator==(const Outcome&, const Outcome&) = default;
};

// Shows what was not consumed again, in front of what follows, as a stream does.
template <class Reader>
Outcome read_stream(Reader reader, Bytes stream, Bytes steps, std::uint32_t limit) {
  Outcome outcome;
  std::size_t given = 0;
  for (std::size_t i = 0; given < stream.size(); ++i) {
    std::size_t step = steps.empty() ? stream.size() : static_cast<std::size_t>(steps[i % steps.size()]);
    if (step == 0) step = 256;
    given = std::min(given + step, stream.size());
    // Of its exact size, so that a read behind it is seen.
    const std::vector<std::byte> shown(stream.begin() + static_cast<std::ptrdiff_t>(outcome.consumed),
                                       stream.begin() + static_cast<std::ptrdiff_t>(given));
    const Result<std::size_t> taken = reader.read(shown);
    WAYPORT_ASSERT(reader.received() <= kLengthBytes + limit, "the limit holds");
    if (!taken) {
      outcome.error = taken.error().code;
      WAYPORT_ASSERT(!reader.read(stream), "once failed, stays failed");
      break;
    }
    WAYPORT_ASSERT(*taken <= shown.size(), "no more is consumed than was shown");
    outcome.consumed += *taken;
  }
  if constexpr (requires { reader.verdict(); }) {
    outcome.verdict = static_cast<int>(reader.verdict());
    outcome.text = reader.message();
  } else if (reader.done()) {
    outcome.verdict = 1;
    outcome.text = reader.identify();
  }
  if (outcome.error) outcome.consumed = 0;  // depends on the split, and is of no use
  return outcome;
}

template <class Reader>
Outcome check_splits(Bytes stream, Bytes steps, std::uint32_t limit) {
  const Outcome whole = read_stream(Reader(limit), stream, {}, limit);
  WAYPORT_ASSERT(read_stream(Reader(limit), stream, steps, limit) == whole, "any split gives the same");
  return whole;
}

// Logs, metrics and websocket answers name a refusal: any text is at most one of them.
void check_names(std::string_view text) {
  const std::optional<RouteError> code = route_error_named(text);
  if (!code) return;
  WAYPORT_ASSERT(to_string(*code) == text, "a name means one error");
  WAYPORT_ASSERT(http_status(*code) / 100 == 4 || http_status(*code) / 100 == 5, "which is one for browsers, too");
  const RouteError shown = shown_to_clients(*code);
  WAYPORT_ASSERT(shown != RouteError::unauthorized && shown != RouteError::forbidden, "clients learn nothing of rules");
  WAYPORT_ASSERT(shown_to_clients(shown) == shown, "and are told the same again");
}

void check_written(Chain written, Bytes stream, const Outcome& outcome) {
  WAYPORT_ASSERT(written.to_string() == as_text(stream.first(outcome.consumed)), "what was read is what is written");
}

}  // namespace
}  // namespace wayport::route

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport;
  const Bytes input(reinterpret_cast<const std::byte*>(data), size);
  if (input.size() < 3) return 0;
  const std::uint32_t limit = load_be<std::uint16_t>(input.data());
  const std::size_t count = std::min(static_cast<std::size_t>(input[2]), input.size() - 3);
  const Bytes steps = input.subspan(3, count);
  const Bytes stream = input.subspan(3 + count);

  route::check_names(as_text(stream));
  const route::Outcome identify = route::check_splits<route::IdentifyReader>(stream, steps, limit);
  if (identify.verdict == 1) {
    Chain written;
    WAYPORT_ASSERT(route::write_identify(written, identify.text, limit).has_value(), "what was let in may be sent");
    route::check_written(std::move(written), stream, identify);
  }
  const route::Outcome answer = route::check_splits<route::AnswerReader>(stream, steps, limit);
  if (answer.verdict == static_cast<int>(route::AnswerReader::Verdict::accepted)) {
    Chain written;
    WAYPORT_ASSERT(route::write_success(written, as_bytes(answer.text)).has_value(), "what was let in may be sent");
    route::check_written(std::move(written), stream, answer);
  } else if (answer.verdict == static_cast<int>(route::AnswerReader::Verdict::refused)) {
    WAYPORT_ASSERT(as_text(stream).starts_with(route::kErrorAnswer.substr(0, 4)), "only \"error\" refuses");
  }
  return 0;
}

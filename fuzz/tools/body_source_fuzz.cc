// A body from the command line: what is sent is byte for byte what was given, or nothing, or an error that says why; and a
// text and the same text on standard input are the same body.
//
// Input: u8 choices (raw, how compressed, whether from standard input), u8 codec. Then the text.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <sstream>
#include <string>

#include "wayport/base/result.h"
#include "wayport/framing/body.h"
#include "wayport/framing/codec.h"
#include "wayport/tools/wayport/body_source.h"
#include "wayport/tools/wayport/options.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport;
  using namespace wayport::tools;
  if (size < 2) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 2, size - 2);
  BodyOptions options{.raw = (data[0] & 1) != 0, .codec = data[1], .gzip = (data[0] & 2) != 0 ? 5 : 0};
  options.source = "-";
  std::istringstream in(text);
  const Result<std::optional<framing::RawBody>> body = load_body(options, in);
  // "@FILE" would read a file, "-" the input again.
  if (text != "-" && !text.starts_with('@')) {
    options.source = text;
    std::istringstream nothing;
    const Result<std::optional<framing::RawBody>> direct = load_body(options, nothing);
    WAYPORT_ASSERT(direct.has_value() == body.has_value(), "where it comes from decides nothing");
    if (direct && *direct) WAYPORT_ASSERT(*body && (*direct)->bytes == (*body)->bytes, "and changes nothing");
  }
  if (!body) {
    WAYPORT_ASSERT(body.error().code == ErrorCode::invalid_argument && !body.error().detail.empty(), "it says why");
    WAYPORT_ASSERT(options.raw || options.codec == framing::kCodecJson, "only these have a form");
    return 0;
  }
  if (!*body) {
    WAYPORT_ASSERT(options.raw && text.empty(), "only raw nothing is no body");
    return 0;
  }
  WAYPORT_ASSERT((*body)->bytes == text, "nothing is added, nothing lost");
  WAYPORT_ASSERT(options.raw ? text[0] != '\0' && options.gzip == 0 : (*body)->codec_id == options.codec,
                 "a body has its codec");
  return 0;
}

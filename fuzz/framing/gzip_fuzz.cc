// Inflating against plain zlib in one go, with a bound; and whatever is compressed comes back.
//
// Input: u8 level, u16 limit (0: none), the bytes: first as a gzip stream, then as a text.
#include <zlib.h>

#include <cstring>
#include <string>

#include "wayport/base/chain.h"
#include "wayport/framing/gzip.h"
#include "wayport/fuzz/framing/stream.h"

namespace wayport::framing::fuzzing {
namespace {

constexpr std::size_t kTextBytesMax = 1u << 20;

struct Reference {
  enum class End { complete, cut_off, bad, too_long } end = End::bad;
  std::string text{};
};

// All members at once: slow and obvious.
Reference inflate_all(Bytes from) {
  Reference reference;
  z_stream z{};
  if (inflateInit2(&z, MAX_WBITS + 16) != Z_OK) return reference;
  z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(from.data()));
  z.avail_in = static_cast<uInt>(from.size());
  std::string room(1u << 16, '\0');
  for (;;) {
    z.next_out = reinterpret_cast<Bytef*>(room.data());
    z.avail_out = static_cast<uInt>(room.size());
    const int outcome = inflate(&z, Z_NO_FLUSH);
    reference.text.append(room, 0, room.size() - z.avail_out);
    if (reference.text.size() > kTextBytesMax) {
      reference.end = Reference::End::too_long;
      break;
    }
    if (outcome == Z_STREAM_END) {
      if (z.avail_in == 0) {
        reference.end = Reference::End::complete;
        break;
      }
      inflateReset(&z);
    } else if (outcome == Z_BUF_ERROR) {
      reference.end = Reference::End::cut_off;
      break;
    } else if (outcome != Z_OK) {
      break;
    }
  }
  inflateEnd(&z);
  return reference;
}

bool ends_with_flush(Bytes from) {
  return from.size() >= 4 && std::memcmp(from.data() + from.size() - 4, "\0\0\xff\xff", 4) == 0;
}

void check_expand(Bytes input, std::size_t limit) {
  const Reference reference = inflate_all(input);
  if (reference.end == Reference::End::too_long) return;
  Inflater inflater;
  std::string text;
  const Result<void> result = inflater.expand(input, limit, text);
  if (limit != 0) WAYPORT_ASSERT(text.capacity() <= std::max<std::size_t>(limit, 30), "no more is ever held");
  const bool over = limit != 0 && reference.text.size() > limit;
  if (result) {
    WAYPORT_ASSERT(!over, "the limit holds");
    WAYPORT_ASSERT(text == reference.text, "the same text");
    WAYPORT_ASSERT(reference.end == Reference::End::complete ||
                       (reference.end == Reference::End::cut_off && ends_with_flush(input)),
                   "complete, or flushed");
  } else {
    WAYPORT_ASSERT(text.empty(), "an error leaves nothing");
    if (reference.end == Reference::End::complete) {
      WAYPORT_ASSERT(over, "a complete stream within the limit is good");
      WAYPORT_ASSERT(result.error().code == ErrorCode::too_large, "and the error says so");
    }
    if (result.error().code == ErrorCode::too_large) WAYPORT_ASSERT(over, "too large only beyond the limit");
  }
}

void check_compress(Bytes text, int level) {
  static Deflater deflater;  // kept, as a loop keeps it
  static Inflater inflater;
  Chain pieces;
  for (Bytes rest = text; !rest.empty();) {
    std::string piece(as_text(rest.first(std::min<std::size_t>(rest.size(), 100))));
    rest = rest.subspan(piece.size());
    Chain one;
    one.append(std::move(piece));
    pieces.append(std::move(one));
  }
  Chain at_once;
  Chain by_piece;
  WAYPORT_ASSERT(deflater.compress(text, level, at_once).has_value() == is_gzip_level(level), "only Go's levels");
  if (!is_gzip_level(level)) return;
  WAYPORT_ASSERT(deflater.compress(pieces, level, by_piece).has_value(), "the level is good");
  std::string back;
  WAYPORT_ASSERT(inflater.expand(as_bytes(at_once.to_string()), 0, back).has_value(), "we read what we write");
  WAYPORT_ASSERT(as_bytes(back).size() == text.size() && back == as_text(text), "and it is the same");
  WAYPORT_ASSERT(inflater.expand(as_bytes(by_piece.to_string()), text.size() + 1, back).has_value(),
                 "also from pieces");
  WAYPORT_ASSERT(back == as_text(text), "and it is the same");
}

}  // namespace
}  // namespace wayport::framing::fuzzing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport::framing::fuzzing;
  Input input(data, size);
  const int level = static_cast<std::int8_t>(input.u8());
  const std::size_t limit = input.u16();
  check_expand(input.rest(), limit);
  check_compress(input.rest(), level);
  return 0;
}

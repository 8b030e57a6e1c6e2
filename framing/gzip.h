// gzip of packet bodies (RFC 1952) as Go peers write and read it (spec/teleport 5): a member that ends with a sync
// flush and has no trailer is legal, so is a complete one, also several; truncation is not.
//
// zlib streams are kept and reset, not made anew per message: 256 KiB for a Deflater and 40 KiB for an Inflater, from
// the first use on. Not thread-safe: one each per loop.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "wayport/base/chain.h"
#include "wayport/base/result.h"

namespace wayport::framing {

// -2 (Huffman only), -1 (default), 1..9: the levels that Go has. 0 in a packet header means "not compressed".
constexpr bool is_gzip_level(int level) noexcept { return level >= -2 && level <= 9 && level != 0; }

class Deflater {
 public:
  Deflater() noexcept;
  Deflater(Deflater&&) noexcept;
  ~Deflater();

  // Appends one complete member (with trailer). invalid_argument: no gzip level; then nothing is appended.
  Result<void> compress(Bytes from, int level, Chain& to);
  // Reads `from` piece by piece and does not consume it.
  Result<void> compress(const Chain& from, int level, Chain& to);

 private:
  struct Stream;
  Result<void> reset(int level);
  Result<void> compress_pieces(std::span<const iovec> pieces, int level, Chain& to);

  std::unique_ptr<Stream> stream_;
};

class Inflater {
 public:
  Inflater() noexcept;
  Inflater(Inflater&&) noexcept;
  ~Inflater();

  // Replaces `to`, whose memory is used again if it is not large. malformed: bad data, wrong checksum, anything after
  // the last member (Go lets up to nine bytes pass, by accident), or an end that is neither a trailer nor right after a
  // sync flush; too_large: more than `bytes_max` (0: unlimited) would come out, and no more than that was ever held.
  Result<void> expand(Bytes from, std::size_t bytes_max, std::string& to);

 private:
  struct Stream;
  std::unique_ptr<Stream> stream_;
};

}  // namespace wayport::framing

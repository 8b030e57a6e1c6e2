#include "wayport/framing/gzip.h"

#include <sys/uio.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <utility>
#include <vector>

namespace wayport::framing {
namespace {

constexpr std::size_t kFixedHeaderBytes = 10;
constexpr std::size_t kTrailerBytes = 8;
// zlib counts in 32 bits.
constexpr std::size_t kStepBytesMax = 1u << 30;
// An output string that is larger is given back before the next use.
constexpr std::size_t kKeptBytesMax = 1u << 20;

Bytef* zlib_bytes(const std::byte* bytes) noexcept { return reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes)); }

// The third bit-field of RFC 1952 as Go sets it.
std::byte extra_flags(int level) noexcept {
  return level == 9 ? std::byte{2} : level == 1 ? std::byte{4} : std::byte{0};
}

}  // namespace

struct Deflater::Stream {
  ~Stream() {
    if (made) deflateEnd(&z);
  }

  z_stream z{};
  bool made = false;
  int level = 0;
};

Deflater::Deflater() noexcept = default;
Deflater::Deflater(Deflater&&) noexcept = default;
Deflater::~Deflater() = default;

Result<void> Deflater::compress(Bytes from, int level, Chain& to) {
  // A chain would copy; one slot is all there is to gather.
  const iovec piece{const_cast<std::byte*>(from.data()), from.size()};
  return compress_pieces({&piece, 1}, level, to);
}

Result<void> Deflater::compress(const Chain& from, int level, Chain& to) {
  std::array<iovec, 16> few;
  std::size_t count = from.gather(few);
  if (count < few.size()) return compress_pieces(std::span(few).first(count), level, to);
  std::vector<iovec> many;
  while (count == std::max(many.size(), few.size())) {
    many.resize(4 * count);
    count = from.gather(many);
  }
  return compress_pieces(std::span(many).first(count), level, to);
}

Result<void> Deflater::compress_pieces(std::span<const iovec> pieces, int level, Chain& to) {
  if (!is_gzip_level(level)) {
    return fail(ErrorCode::invalid_argument, "gzip level " + std::to_string(level) + " is none of -2, -1 and 1 to 9");
  }
  WAYPORT_TRY(reset(level));
  z_stream& z = stream_->z;

  const MutableBytes header = to.append_uninitialized(kFixedHeaderBytes);
  // Magic, deflate, no flags, no time, extra flags, unknown operating system.
  const std::byte fixed[kFixedHeaderBytes] = {std::byte{0x1f},    std::byte{0x8b}, std::byte{8}, {}, {}, {}, {}, {},
                                              extra_flags(level), std::byte{0xff}};
  std::copy_n(fixed, kFixedHeaderBytes, header.begin());

  std::size_t left = 0;
  for (const iovec& piece : pieces) left += piece.iov_len;
  uLong checksum = crc32(0, nullptr, 0);
  std::uint64_t total = 0;
  MutableBytes room;
  const auto flush_room = [&] {
    to.commit(room.size() - z.avail_out);
    room = {};
    z.avail_out = 0;
  };
  const auto run = [&](int flush) {
    int outcome;
    do {
      if (z.avail_out == 0) {
        flush_room();
        room = to.prepare(std::clamp<std::size_t>(left / 2 + 64, 128, 16 * 1024));
        z.next_out = zlib_bytes(room.data());
        z.avail_out = static_cast<uInt>(room.size());
      }
      outcome = deflate(&z, flush);
      WAYPORT_ASSERT(outcome == Z_OK || outcome == Z_STREAM_END || outcome == Z_BUF_ERROR, "deflate cannot fail");
    } while (flush == Z_FINISH ? outcome != Z_STREAM_END : z.avail_in != 0 || z.avail_out == 0);
  };
  for (const iovec& piece : pieces) {
    Bytes rest(static_cast<const std::byte*>(piece.iov_base), piece.iov_len);
    while (!rest.empty()) {
      const Bytes step = rest.first(std::min(rest.size(), kStepBytesMax));
      rest = rest.subspan(step.size());
      checksum = crc32(checksum, zlib_bytes(step.data()), static_cast<uInt>(step.size()));
      total += step.size();
      left -= step.size();
      z.next_in = zlib_bytes(step.data());
      z.avail_in = static_cast<uInt>(step.size());
      run(Z_NO_FLUSH);
    }
  }
  run(Z_FINISH);
  flush_room();

  const MutableBytes trailer = to.append_uninitialized(kTrailerBytes);
  store_le<std::uint32_t>(trailer.data(), static_cast<std::uint32_t>(checksum));
  store_le<std::uint32_t>(trailer.data() + 4, static_cast<std::uint32_t>(total));
  return {};
}

// One stream serves all levels: a fresh one changes its level at no cost.
Result<void> Deflater::reset(int level) {
  const int zlib_level = level == -2 ? 1 : level;
  const int strategy = level == -2 ? Z_HUFFMAN_ONLY : Z_DEFAULT_STRATEGY;
  if (!stream_) stream_ = std::make_unique<Stream>();
  z_stream& z = stream_->z;
  int outcome;
  if (!stream_->made) {
    outcome = deflateInit2(&z, zlib_level, Z_DEFLATED, -MAX_WBITS, 8, strategy);
    stream_->made = outcome == Z_OK;
  } else {
    outcome = deflateReset(&z);
    if (outcome == Z_OK && stream_->level != level) outcome = deflateParams(&z, zlib_level, strategy);
  }
  if (outcome != Z_OK) return fail(ErrorCode::overloaded, "zlib: no memory for a deflate stream");
  stream_->level = level;
  z.avail_in = 0;
  z.avail_out = 0;
  return {};
}

struct Inflater::Stream {
  ~Stream() {
    if (made) inflateEnd(&z);
  }

  z_stream z{};
  bool made = false;
};

Inflater::Inflater() noexcept = default;
Inflater::Inflater(Inflater&&) noexcept = default;
Inflater::~Inflater() = default;

namespace {

std::unexpected<Error> bad_gzip(const std::string& what, std::size_t at, std::size_t size) {
  return fail(ErrorCode::malformed,
              "gzip: " + what + ", after " + std::to_string(at) + " of " + std::to_string(size) + " bytes");
}

// zlib's `data_type` after inflate(): what it says about the place.
constexpr int kUnusedBitsMask = 7;
constexpr int kAtBlockBoundary = 128;

// True if the block that begins at bit `block_bit` is an empty stored one that ends exactly where `from` does: that is
// what a sync flush leaves.
bool ends_with_sync_flush(Bytes from, std::uint64_t block_bit) noexcept {
  const auto bit = [&](std::uint64_t at) {
    return at / 8 < from.size() && (static_cast<unsigned>(from[at / 8]) >> at % 8 & 1) != 0;
  };
  // Final flag 0, type 00, padding, length 0, its complement.
  if (bit(block_bit) || bit(block_bit + 1) || bit(block_bit + 2)) return false;
  const std::uint64_t length_at = (block_bit + 3 + 7) / 8;
  return length_at + 4 == from.size() && load_be<std::uint32_t>(from.data() + length_at) == 0x0000ffff;
}

// Room for output: a string that grows by doubling, never beyond the limit.
class Output {
 public:
  Output(std::string& to, std::size_t bytes_max) : to_(to), bytes_max_(bytes_max) {
    if (to_.capacity() > kKeptBytesMax) std::string().swap(to_);
    to_.clear();
  }

  // Free room; empty once the limit is reached.
  MutableBytes room(std::size_t hint) {
    if (used_ == to_.size()) {
      std::size_t size = std::max({to_.capacity(), 2 * to_.size(), hint, std::size_t{256}});
      size = std::min(size, used_ + kStepBytesMax);
      if (bytes_max_ != 0) size = std::min(size, bytes_max_);
      grow(size);
    }
    return {reinterpret_cast<std::byte*>(to_.data()) + used_, to_.size() - used_};
  }
  void filled(std::size_t size) noexcept { used_ += size; }
  void finish() { to_.resize(used_); }
  void drop() noexcept { to_.clear(); }

 private:
  // std::string doubles by itself, which could pass the limit: a new one has exactly the wanted size.
  void grow(std::size_t size) {
    if (size > to_.capacity()) {
      std::string larger;
      larger.reserve(size);
      larger.append(to_, 0, used_);
      to_.swap(larger);
    }
    to_.resize_and_overwrite(size, [](char*, std::size_t count) { return count; });
  }

  std::string& to_;
  const std::size_t bytes_max_;
  std::size_t used_ = 0;
};

}  // namespace

Result<void> Inflater::expand(Bytes from, std::size_t bytes_max, std::string& to) {
  if (!stream_) stream_ = std::make_unique<Stream>();
  z_stream& z = stream_->z;
  // The window bits ask for gzip, checksum included.
  const int made = stream_->made ? inflateReset(&z) : inflateInit2(&z, MAX_WBITS + 16);
  if (made != Z_OK) return fail(ErrorCode::overloaded, "zlib: no memory for an inflate stream");
  stream_->made = true;

  Output output(to, bytes_max);
  const auto broken = [&](std::unexpected<Error> error) {
    output.drop();
    return error;
  };
  std::size_t given = 0;        // bytes of `from` that zlib was shown
  std::uint64_t block_bit = 0;  // where the block began that zlib is in
  bool in_blocks = false;       // past the header of a member
  z.avail_in = 0;
  for (;;) {
    if (z.avail_in == 0 && given < from.size()) {
      const std::size_t step = std::min(from.size() - given, kStepBytesMax);
      z.next_in = zlib_bytes(from.data() + given);
      z.avail_in = static_cast<uInt>(step);
      given += step;
    }
    // At the limit one more byte is asked for, and must not come.
    std::byte excess{};
    MutableBytes room = output.room(4 * from.size());
    const bool at_limit = room.empty();
    if (at_limit) room = {&excess, 1};
    z.next_out = zlib_bytes(room.data());
    z.avail_out = static_cast<uInt>(room.size());
    const uInt in_before = z.avail_in;
    const int outcome = inflate(&z, Z_BLOCK);
    const std::size_t came = room.size() - z.avail_out;
    const std::size_t at = given - z.avail_in;
    if (came != 0 && at_limit) {
      return broken(fail(ErrorCode::too_large, "gzip: more than " + std::to_string(bytes_max) +
                                                   " bytes would come out of " + std::to_string(from.size()) +
                                                   " (limit inflated_bytes_max)"));
    }
    output.filled(came);
    if (outcome == Z_STREAM_END) {
      if (at == from.size()) break;
      in_blocks = false;
      inflateReset(&z);  // another member follows
      continue;
    }
    if (outcome == Z_MEM_ERROR) return broken(fail(ErrorCode::overloaded, "zlib: no memory for an inflate stream"));
    if (outcome != Z_OK && outcome != Z_BUF_ERROR) {
      return broken(bad_gzip(z.msg != nullptr ? z.msg : "bad data", at, from.size()));
    }
    const bool at_boundary = (z.data_type & kAtBlockBoundary) != 0;
    if (at == from.size() && at_boundary && in_blocks && (z.data_type & kUnusedBitsMask) == 0 &&
        ends_with_sync_flush(from, block_bit)) {
      break;
    }
    if (outcome == Z_BUF_ERROR || (at == from.size() && in_before == 0 && came == 0)) {
      return broken(bad_gzip("cut off: neither a trailer nor a sync flush at the end", at, from.size()));
    }
    if (at_boundary) {
      in_blocks = true;
      block_bit = std::uint64_t{at} * 8 - static_cast<unsigned>(z.data_type & kUnusedBitsMask);
    }
  }
  output.finish();
  return {};
}

}  // namespace wayport::framing

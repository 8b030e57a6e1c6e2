// The handshake of a route gateway on a byte stream (TCP, KCP, TLS; spec/route.md 1):
//
//     client  -> gateway   u32 little endian N | identify, N bytes
//     gateway -> client    u32 little endian M | success message, M bytes     or the five bytes "error", then close
//     both ways            raw bytes
//
// The two readers take bytes in any segmentation and say how many were theirs: what lies behind belongs to the backend
// (IdentifyReader) or comes from it (AnswerReader), and is never looked at. A length is judged on its own word, before
// anything is kept for it; what is kept grows with what has arrived. The same bytes give the same verdict whatever the
// split. Once failed, a reader stays failed.
//
// Not thread-safe. Bounded by the limit each reader is made with. No I/O, no clock: whoever reads the stream has the
// time limit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/base/result.h"
#include "wayport/framing/route/route_error.h"

namespace wayport::route {

inline constexpr std::size_t kLengthBytes = 4;
inline constexpr std::uint32_t kIdentifyBytesMax = 4096;
inline constexpr std::uint32_t kSuccessBytesMax = 64 * 1024;
// The refusal: no length, then close. Read as a length its first four bytes are kErrorAnswerWord, which is over any
// limit of a success message.
inline constexpr std::string_view kErrorAnswer = "error";
inline constexpr std::uint32_t kErrorAnswerWord = 0x6f727265;
static_assert(kSuccessBytesMax < kErrorAnswerWord);

namespace detail {

// u32 length | bytes, as both directions have it.
class LengthPrefixed {
 public:
  // Consumes bytes of the length word; then nothing more until the caller has judged length().
  std::size_t read_length(Bytes in) noexcept;
  bool has_length() const noexcept { return length_bytes_ == kLengthBytes; }
  std::uint32_t length() const noexcept { return length_; }  // REQUIRES: has_length()

  std::size_t read_body(Bytes in);
  bool complete() const noexcept { return has_length() && body_.size() == length_; }
  std::string& body() noexcept { return body_; }
  const std::string& body() const noexcept { return body_; }
  std::size_t received() const noexcept { return length_bytes_ + body_.size(); }

 private:
  std::uint32_t length_ = 0;
  std::uint8_t length_bytes_ = 0;  // how many of the word have come
  std::string body_;
};

}  // namespace detail

// Gateway side.
class IdentifyReader {
 public:
  // The identify must have 1 to `identify_bytes_max` bytes.
  explicit IdentifyReader(std::uint32_t identify_bytes_max = kIdentifyBytesMax) noexcept
      : identify_bytes_max_(identify_bytes_max) {}

  // How many bytes of `in` belong to the frame; all of them, unless done() is true afterwards. Errors (the answer is
  // RouteError::bad_request): malformed for length 0, too_large over the limit. Both are decided on the length word.
  Result<std::size_t> read(Bytes in);

  bool done() const noexcept { return !failed_ && frame_.complete() && frame_.length() != 0; }
  // REQUIRES: done(). As it came: it may have any bytes in it.
  std::string_view identify() const noexcept { return frame_.body(); }
  // Bytes of the frame that have come, its length word included.
  std::size_t received() const noexcept { return frame_.received(); }

 private:
  std::uint32_t identify_bytes_max_;
  bool failed_ = false;
  detail::LengthPrefixed frame_;
};

// Client side.
class AnswerReader {
 public:
  enum class Verdict : std::uint8_t { pending, accepted, refused };

  // REQUIRES: `success_bytes_max` < kErrorAnswerWord.
  explicit AnswerReader(std::uint32_t success_bytes_max = kSuccessBytesMax);

  // How many bytes of `in` belong to the answer; all of them, unless verdict() is `accepted` afterwards. A refusal is known
  // by its first four bytes; whatever follows it belongs to it. Error: too_large over the limit, decided on the length
  // word.
  Result<std::size_t> read(Bytes in);

  Verdict verdict() const noexcept { return verdict_; }
  // REQUIRES: `accepted`. May be empty, may have any bytes in it.
  std::string_view message() const noexcept { return frame_.body(); }
  // Bytes of the answer that have come, its length word included.
  std::size_t received() const noexcept { return frame_.received(); }

 private:
  std::uint32_t success_bytes_max_;
  bool failed_ = false;
  Verdict verdict_ = Verdict::pending;
  detail::LengthPrefixed frame_;
};

// Appends the identify frame. invalid_argument: empty, or over `identify_bytes_max`.
Result<void> write_identify(Chain& to, std::string_view identify, std::uint32_t identify_bytes_max = kIdentifyBytesMax);

// Appends the answer of success. invalid_argument: `message` is over kSuccessBytesMax.
Result<void> write_success(Chain& to, Bytes message);

}  // namespace wayport::route

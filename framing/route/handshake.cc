#include "wayport/framing/route/handshake.h"

#include <algorithm>

namespace wayport::route {

namespace detail {

std::size_t LengthPrefixed::read_length(Bytes in) noexcept {
  std::size_t taken = 0;
  for (; taken < in.size() && length_bytes_ < kLengthBytes; ++taken, ++length_bytes_) {
    length_ |= static_cast<std::uint32_t>(in[taken]) << (8 * length_bytes_);
  }
  return taken;
}

std::size_t LengthPrefixed::read_body(Bytes in) {
  const std::size_t taken = std::min(in.size(), length_ - body_.size());
  body_ += as_text(in.first(taken));
  return taken;
}

}  // namespace detail

namespace {

std::unexpected<Error> failed_before() { return fail(ErrorCode::malformed, "the handshake failed before"); }

void append_word(Chain& to, std::size_t value) {
  store_le(to.append_uninitialized(kLengthBytes).data(), static_cast<std::uint32_t>(value));
}

}  // namespace

Result<std::size_t> IdentifyReader::read(Bytes in) {
  if (failed_) return failed_before();
  const std::size_t word = frame_.read_length(in);
  if (!frame_.has_length()) return word;
  if (frame_.length() == 0) {
    failed_ = true;
    return fail(ErrorCode::malformed, "the identify frame announces length 0: it names no backend");
  }
  if (frame_.length() > identify_bytes_max_) {
    failed_ = true;
    return fail(ErrorCode::too_large, "the identify frame announces " + std::to_string(frame_.length()) +
                                          " bytes, more than the limit of " + std::to_string(identify_bytes_max_) +
                                          "; its length is little endian");
  }
  return word + frame_.read_body(in.subspan(word));
}

AnswerReader::AnswerReader(std::uint32_t success_bytes_max) : success_bytes_max_(success_bytes_max) {
  WAYPORT_ASSERT(success_bytes_max < kErrorAnswerWord, "a success message must not look like a refusal");
}

Result<std::size_t> AnswerReader::read(Bytes in) {
  if (failed_) return failed_before();
  if (verdict_ == Verdict::refused) return in.size();
  const std::size_t word = frame_.read_length(in);
  if (!frame_.has_length()) return word;
  if (frame_.length() == kErrorAnswerWord) {
    verdict_ = Verdict::refused;
    return in.size();
  }
  if (frame_.length() > success_bytes_max_) {
    failed_ = true;
    return fail(ErrorCode::too_large, "the answer announces " + std::to_string(frame_.length()) +
                                          " bytes, more than the limit of " + std::to_string(success_bytes_max_) +
                                          " for a success message; is the other side a route gateway?");
  }
  const std::size_t taken = word + frame_.read_body(in.subspan(word));
  if (frame_.complete()) verdict_ = Verdict::accepted;
  return taken;
}

Result<void> write_identify(Chain& to, std::string_view identify, std::uint32_t identify_bytes_max) {
  if (identify.empty()) return fail(ErrorCode::invalid_argument, "an empty identify names no backend");
  if (identify.size() > identify_bytes_max) {
    return fail(ErrorCode::invalid_argument, "an identify of " + std::to_string(identify.size()) +
                                                 " bytes; gateways take at most " + std::to_string(identify_bytes_max));
  }
  append_word(to, identify.size());
  to.append(as_bytes(identify));
  return {};
}

Result<void> write_success(Chain& to, Bytes message) {
  if (message.size() > kSuccessBytesMax) {
    return fail(ErrorCode::invalid_argument, "a success message of " + std::to_string(message.size()) +
                                                 " bytes; clients take at most " + std::to_string(kSuccessBytesMax));
  }
  append_word(to, message.size());
  to.append(message);
  return {};
}

}  // namespace wayport::route

#include "wayport/transport/ws/frames.h"

#include <algorithm>
#include <cstring>

namespace wayport::transport::ws {
namespace {

constexpr std::uint8_t kFinal = 0x80;
constexpr std::uint8_t kReserved = 0x70;
constexpr std::uint8_t kMasked = 0x80;
constexpr std::uint8_t kSize16 = 126;
constexpr std::uint8_t kSize64 = 127;

bool is_control(std::uint8_t opcode) noexcept { return opcode >= 8; }
bool is_known(std::uint8_t opcode) noexcept { return opcode <= 2 || (opcode >= 8 && opcode <= 10); }

}  // namespace

void copy_masked(Bytes from, std::byte* to, const MaskKey& key, std::size_t offset) noexcept {
  std::array<std::byte, 8> turned;
  for (std::size_t i = 0; i < turned.size(); ++i) turned[i] = key[(offset + i) % 4];
  std::uint64_t wide = 0;
  std::memcpy(&wide, turned.data(), sizeof(wide));
  std::size_t i = 0;
  for (; from.size() - i >= 8; i += 8) {
    std::uint64_t value = 0;
    std::memcpy(&value, from.data() + i, sizeof(value));
    value ^= wide;
    std::memcpy(to + i, &value, sizeof(value));
  }
  for (; i < from.size(); ++i) to[i] = from[i] ^ turned[i % 8];
}

void apply_mask(MutableBytes bytes, const MaskKey& key, std::size_t offset) noexcept {
  copy_masked(bytes, bytes.data(), key, offset);
}

std::size_t write_frame_header(std::byte* to, Opcode opcode, bool final, std::uint64_t size,
                               const MaskKey* key) noexcept {
  to[0] = static_cast<std::byte>((final ? kFinal : 0) | static_cast<std::uint8_t>(opcode));
  const std::uint8_t mask = key ? kMasked : 0;
  std::size_t used = 2;
  if (size < kSize16) {
    to[1] = static_cast<std::byte>(mask | size);
  } else if (size <= 0xffff) {
    to[1] = static_cast<std::byte>(mask | kSize16);
    store_be(to + 2, static_cast<std::uint16_t>(size));
    used = 4;
  } else {
    to[1] = static_cast<std::byte>(mask | kSize64);
    store_be(to + 2, size);
    used = 10;
  }
  if (!key) return used;
  std::memcpy(to + used, key->data(), key->size());
  return used + key->size();
}

FrameEvent FrameReader::fail(std::size_t consumed, CloseCode code, const char* why) noexcept {
  over_ = true;
  FrameEvent event{.kind = FrameEvent::Kind::failed, .consumed = consumed};
  event.code = code;
  event.why = why;
  return event;
}

// What the first two bytes alone tell.
const char* FrameReader::wrong(std::byte first, std::byte second) const noexcept {
  const auto head = static_cast<std::uint8_t>(first);
  const auto size = static_cast<std::uint8_t>(second);
  const std::uint8_t opcode = head & 0x0f;
  if ((head & kReserved) != 0) return "a reserved bit is set, and no extension was agreed";
  if (!is_known(opcode)) return "the opcode is reserved";
  if (options_.from_client && (size & kMasked) == 0) return "a client's frame is not masked";
  if (!options_.from_client && (size & kMasked) != 0) return "a server's frame is masked";
  if (is_control(opcode)) {
    if ((head & kFinal) == 0) return "a control frame is fragmented";
    if ((size & ~kMasked) > kControlBytesMax) return "a control frame has more than 125 bytes";
    return nullptr;
  }
  if (opcode == static_cast<std::uint8_t>(Opcode::continuation)) {
    return in_message_ ? nullptr : "a continuation without a message";
  }
  return in_message_ ? "a new message inside a fragmented one" : nullptr;
}

FrameEvent FrameReader::payload_of(MutableBytes bytes, std::size_t at) noexcept {
  const std::size_t here = std::min<std::uint64_t>(frame_left_, bytes.size() - at);
  const MutableBytes payload = bytes.subspan(at, here);
  if (options_.from_client) apply_mask(payload, key_, mask_offset_);
  mask_offset_ = (mask_offset_ + here) % 4;
  frame_left_ -= here;
  if (frame_left_ == 0) in_frame_ = false;
  const bool end = frame_left_ == 0 && final_;
  if (text_ && (!utf8_.push(payload) || (end && !utf8_.complete()))) {
    return fail(at + here, CloseCode::invalid_data, "a text message is not UTF-8");
  }
  if (end) {
    in_message_ = false;
    message_bytes_ = 0;
  }
  FrameEvent event{.kind = FrameEvent::Kind::data, .consumed = at + here, .payload = payload};
  event.message_end = end;
  return event;
}

FrameEvent FrameReader::control(Opcode opcode, MutableBytes payload, std::size_t consumed) noexcept {
  FrameEvent event{.kind = FrameEvent::Kind::pong, .consumed = consumed, .payload = payload};
  if (opcode == Opcode::ping) event.kind = FrameEvent::Kind::ping;
  if (opcode != Opcode::close) return event;
  event.kind = FrameEvent::Kind::close;
  event.code = CloseCode::no_status;
  if (!payload.empty()) {
    if (payload.size() < 2) return fail(consumed, CloseCode::protocol_error, "a close frame has half a code");
    const auto code = load_be<std::uint16_t>(payload.data());
    if (!is_wire_code(code)) return fail(consumed, CloseCode::protocol_error, "a close frame has a reserved code");
    event.code = static_cast<CloseCode>(code);
    event.payload = payload.subspan(2);
    Utf8Check text;
    if (!text.push(event.payload) || !text.complete()) {
      return fail(consumed, CloseCode::invalid_data, "the text of a close frame is not UTF-8");
    }
  }
  over_ = true;
  return event;
}

FrameEvent FrameReader::next(MutableBytes bytes) noexcept {
  if (over_) return {.kind = FrameEvent::Kind::more, .consumed = bytes.size()};
  std::size_t at = 0;
  for (;;) {
    if (in_frame_) {
      if (at == bytes.size() && frame_left_ != 0) return {.kind = FrameEvent::Kind::more, .consumed = at};
      const FrameEvent event = payload_of(bytes, at);
      at = event.consumed;
      // Empty fragments say nothing.
      if (event.kind == FrameEvent::Kind::data && event.payload.empty() && !event.message_end) continue;
      return event;
    }
    const FrameEvent more{.kind = FrameEvent::Kind::more, .consumed = at};
    const MutableBytes frame = bytes.subspan(at);
    if (frame.size() < 2) return more;
    if (const char* why = wrong(frame[0], frame[1])) return fail(at, CloseCode::protocol_error, why);
    const auto head = static_cast<std::uint8_t>(frame[0]);
    const auto opcode = static_cast<Opcode>(head & 0x0f);
    if (opcode == Opcode::text && !options_.text) {
      return fail(at, CloseCode::unsupported_data, "text messages are not taken here (option text)");
    }
    const std::uint8_t short_size = static_cast<std::uint8_t>(frame[1]) & 0x7f;
    const std::size_t size_bytes = short_size == kSize16 ? 2 : short_size == kSize64 ? 8 : 0;
    const std::size_t header = 2 + size_bytes + (options_.from_client ? 4 : 0);
    if (frame.size() < 2 + size_bytes) return more;
    std::uint64_t size = short_size;
    if (size_bytes == 2) size = load_be<std::uint16_t>(frame.data() + 2);
    if (size_bytes == 8) size = load_be<std::uint64_t>(frame.data() + 2);
    if ((size_bytes == 2 && size < kSize16) || (size_bytes == 8 && size <= 0xffff)) {
      return fail(at, CloseCode::protocol_error, "a length is not written in the shortest way");
    }
    if ((size >> 63) != 0) return fail(at, CloseCode::protocol_error, "a length has its highest bit set");
    const bool is_control_frame = is_control(head & 0x0f);
    // Decided on the announcement, before anything of it is taken.
    if (!is_control_frame && size > options_.message_bytes_max - message_bytes_) {
      return fail(at, CloseCode::too_big, "a message is larger than message_bytes_max");
    }
    if (frame.size() < header + (is_control_frame ? size : 0)) return more;
    MaskKey key{};
    if (options_.from_client) std::memcpy(key.data(), frame.data() + 2 + size_bytes, key.size());
    at += header;
    if (is_control_frame) {
      const MutableBytes payload = frame.subspan(header, size);
      if (options_.from_client) apply_mask(payload, key, 0);
      return control(opcode, payload, at + size);
    }
    if (opcode != Opcode::continuation) {
      text_ = opcode == Opcode::text;
      utf8_.reset();
      in_message_ = true;
    }
    message_bytes_ += size;
    frame_left_ = size;
    final_ = (head & kFinal) != 0;
    key_ = key;
    mask_offset_ = 0;
    in_frame_ = true;
  }
}

}  // namespace wayport::transport::ws

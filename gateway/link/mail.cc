#include "wayport/gateway/link/mail.h"

#include <cstring>
#include <utility>

#include "wayport/base/result.h"

namespace wayport::link {
namespace {

struct Header {
  std::uint32_t kind;  // MailKind, and kLarge
  std::uint32_t connection;
  std::uint32_t size;  // of the frame
};
struct Rest {
  std::uint64_t registration;
  std::uint32_t id;
  std::uint32_t port;
};
constexpr std::uint32_t kLarge = 0x100;  // the frame is the next of large_

bool carries_frame(MailKind kind) noexcept {
  return kind == MailKind::data_to_server || kind == MailKind::data_to_client;
}

}  // namespace

MailBatch& MailBatch::operator=(MailBatch&& other) noexcept {
  bytes_ = std::exchange(other.bytes_, {});
  large_ = std::exchange(other.large_, {});
  count_ = std::exchange(other.count_, 0);
  frame_bytes_ = std::exchange(other.frame_bytes_, 0);
  read_ = std::exchange(other.read_, 0);
  read_large_ = std::exchange(other.read_large_, 0);
  return *this;
}

void MailBatch::append(const void* from, std::size_t size) {
  const auto* const bytes = static_cast<const std::byte*>(from);
  bytes_.insert(bytes_.end(), bytes, bytes + size);
}

void MailBatch::load(void* to, std::size_t size) noexcept {
  std::memcpy(to, bytes_.data() + read_, size);
  read_ += size;
}

void MailBatch::add(const Mail& command) {
  WAYPORT_ASSERT(!carries_frame(command.kind), "frames are added by add_frame()");
  const Header header{static_cast<std::uint32_t>(command.kind), command.connection, 0};
  const Rest rest{command.registration, command.id, command.port};
  append(&header, sizeof(header));
  append(&rest, sizeof(rest));
  ++count_;
}

void MailBatch::add_frame(MailKind kind, std::uint32_t connection, Frame& frame) {
  const std::size_t size = frame.size();
  const bool large = size > kInlineBytesMax;
  const Header header{static_cast<std::uint32_t>(kind) | (large ? kLarge : 0), connection,
                      static_cast<std::uint32_t>(size)};
  append(&header, sizeof(header));
  ++count_;
  frame_bytes_ += size;
  if (large) {
    frame.move_to(large_.emplace_back());
  } else if (frame.chain == nullptr) {
    append(frame.bytes.data(), size);
  } else {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + size);
    frame.chain->copy_to(MutableBytes(bytes_).subspan(at));
  }
}

bool MailBatch::next(Mail& mail) {
  if (read_ == bytes_.size()) return false;
  Header header;
  load(&header, sizeof(header));
  mail = Mail{static_cast<MailKind>(header.kind & ~kLarge), header.connection, 0, 0, 0, {}};
  if (!carries_frame(mail.kind)) {
    Rest rest;
    load(&rest, sizeof(rest));
    mail.id = rest.id;
    mail.port = rest.port;
    mail.registration = rest.registration;
  } else if ((header.kind & kLarge) != 0) {
    mail.frame = {header.connection, {}, &large_[read_large_++]};
  } else {
    mail.frame = {header.connection, Bytes(bytes_).subspan(read_, header.size), nullptr};
    read_ += header.size;
  }
  return true;
}

void MailBatch::clear() noexcept {
  bytes_.clear();
  large_.clear();
  if (bytes_.capacity() > kBytesKept) bytes_.shrink_to_fit();
  count_ = frame_bytes_ = read_ = read_large_ = 0;
}

void MailBatch::reuse(MailBatch& cleared) noexcept {
  if (!empty() || !cleared.empty() || bytes_.capacity() >= cleared.bytes_.capacity()) return;
  bytes_.swap(cleared.bytes_);
  large_.swap(cleared.large_);
}

}  // namespace wayport::link

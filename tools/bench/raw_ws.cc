#include "wayport/tools/bench/raw_ws.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/tools/bench/raw_socket.h"

namespace wayport::tools {
namespace {

constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::size_t kHeadBytesMax = 8 * 1024;
constexpr std::size_t kPrefixBytes = 4;
constexpr std::size_t kNumberBytes = 8;
constexpr std::size_t kMaskBytes = 4;
constexpr std::byte kFinalBinary{0x82};
constexpr unsigned kMasked = 0x80;
constexpr unsigned kLength16 = 126;
constexpr unsigned kLength64 = 127;
constexpr unsigned kOpcodeClose = 8;
constexpr std::byte kMask[kMaskBytes] = {std::byte{0x5a}, std::byte{0xc3}, std::byte{0x0f}, std::byte{0x96}};

class RawWsClient final : public LoadClient {
 public:
  RawWsClient(Fd fd, const RawWsOptions& options, std::vector<std::byte> rest)
      : fd_(std::move(fd)),
        message_bytes_(options.message_bytes),
        prefix_bytes_(options.length_prefix ? kPrefixBytes : 0),
        in_(kReadBytes),
        record_(message_bytes_ + prefix_bytes_) {
    check(set_nonblocking(fd_.get()).has_value(), "fcntl");
    poll_.add(fd_.get());
    std::ranges::copy(rest, in_.begin());
    kept_ = rest.size();
  }

  std::size_t request_bytes() const override { return message_bytes_; }
  std::size_t reply_bytes() const override { return record_.size(); }

  Result<Round> run(const Load& load) override {
    Pacer pacer(load, now_ns());
    const auto send = [this](std::uint64_t due) {
      append_message();
      dues_.push_back(due);
    };
    const auto on_record = [&] {
      const std::byte* const message = record_.data() + prefix_bytes_;
      const std::uint64_t number = load_be<std::uint64_t>(message);
      const bool right = number == expected_number_++ && !dues_.empty() &&
                         (prefix_bytes_ == 0 || load_le<std::uint32_t>(record_.data()) == message_bytes_);
      const std::uint64_t due = dues_.empty() ? now_ns() : dues_.front();
      if (!dues_.empty()) dues_.pop_front();
      pacer.reply(due, right, number, send);
    };
    pacer.send_due(now_ns(), send);
    while (!pacer.done()) {
      const bool was_blocked = output_.blocked();
      if (!output_.flush(fd_.get())) return gone();
      if (output_.blocked() != was_blocked) poll_.want_output(fd_.get(), output_.blocked());
      const std::span<const epoll_event> ready = poll_.wait(kRawPatienceMs);
      if (ready.empty()) return fail(ErrorCode::timed_out, "the websocket gateway owes a reply");
      for (const epoll_event& event : ready) {
        if ((event.events & ~static_cast<std::uint32_t>(EPOLLOUT)) && !receive(on_record)) return gone();
      }
    }
    return pacer.finish();
  }

 private:
  static std::unexpected<Error> gone() { return fail(ErrorCode::peer_closed, "the websocket gateway ended"); }

  void append_message() {
    const bool is_short = message_bytes_ < kLength16;
    const std::size_t head = 2 + (is_short ? 0 : 2) + kMaskBytes;
    std::byte* at = output_.append(head + message_bytes_);
    *at++ = kFinalBinary;
    *at++ = std::byte(kMasked | (is_short ? static_cast<unsigned>(message_bytes_) : kLength16));
    if (!is_short) {
      store_be(at, static_cast<std::uint16_t>(message_bytes_));
      at += 2;
    }
    std::memcpy(at, kMask, kMaskBytes);
    at += kMaskBytes;
    std::byte number[kNumberBytes];
    store_be(number, next_number_++);
    for (std::size_t i = 0; i < message_bytes_; ++i) {
      at[i] = (i < kNumberBytes ? number[i] : std::byte{0}) ^ kMask[i % kMaskBytes];
    }
  }

  // One read, then all that is there. False at the end.
  template <class OnRecord>
  bool receive(OnRecord&& on_record) {
    const ssize_t size = ::recv(fd_.get(), in_.data() + kept_, in_.size() - kept_, 0);
    if (size <= 0) return size < 0 && (errno == EAGAIN || errno == EINTR);
    const Bytes all(in_.data(), kept_ + static_cast<std::size_t>(size));
    std::size_t at = 0;
    while (at < all.size()) {
      if (payload_left_ == 0) {
        const std::optional<std::size_t> head = read_head(all.subspan(at));
        if (!head) break;
        if (*head == 0) return false;
        at += *head;
        continue;
      }
      const std::size_t count = std::min<std::size_t>(payload_left_, all.size() - at);
      if (!control_) take(all.subspan(at, count), on_record);
      payload_left_ -= count;
      at += count;
    }
    kept_ = all.size() - at;
    std::memmove(in_.data(), in_.data() + at, kept_);
    return true;
  }

  // The head of a frame: its size, 0 for one that ends it all; nullopt: not whole yet.
  std::optional<std::size_t> read_head(Bytes bytes) {
    if (bytes.size() < 2) return std::nullopt;
    const unsigned opcode = std::to_integer<unsigned>(bytes[0]) & 0x0f;
    const unsigned length = std::to_integer<unsigned>(bytes[1]);
    if (opcode == kOpcodeClose || (length & kMasked)) return 0;
    const std::size_t more = length == kLength16 ? 2 : length == kLength64 ? 8 : 0;
    if (bytes.size() < 2 + more) return std::nullopt;
    payload_left_ = more == 2   ? load_be<std::uint16_t>(bytes.data() + 2)
                    : more == 8 ? load_be<std::uint64_t>(bytes.data() + 2)
                                : length;
    control_ = opcode > kOpcodeClose;
    return 2 + more;
  }

  template <class OnRecord>
  void take(Bytes bytes, OnRecord&& on_record) {
    while (!bytes.empty()) {
      const std::size_t count = std::min(bytes.size(), record_.size() - record_bytes_);
      std::memcpy(record_.data() + record_bytes_, bytes.data(), count);
      bytes = bytes.subspan(count);
      record_bytes_ += count;
      if (record_bytes_ < record_.size()) return;
      record_bytes_ = 0;
      on_record();
    }
  }

  Poll poll_;
  Fd fd_;
  const std::size_t message_bytes_;
  const std::size_t prefix_bytes_;
  RawOutput output_;
  std::vector<std::byte> in_;
  std::size_t kept_ = 0;
  std::uint64_t payload_left_ = 0;  // of the current frame
  bool control_ = false;            // it is one, and dropped
  std::vector<std::byte> record_;
  std::size_t record_bytes_ = 0;
  std::uint64_t next_number_ = 0;
  std::uint64_t expected_number_ = 0;
  std::deque<std::uint64_t> dues_;
};

}  // namespace

Result<std::unique_ptr<LoadClient>> raw_ws_client(Fd fd, const RawWsOptions& options) {
  if (options.message_bytes < kWsMessageBytesMin || options.message_bytes > kWsMessageBytesMax) {
    return fail(ErrorCode::invalid_argument, "messages have " + std::to_string(kWsMessageBytesMin) + " to " +
                                                 std::to_string(kWsMessageBytesMax) + " bytes");
  }
  std::string request =
      "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
  if (!options.header.empty()) request += options.header + "\r\n";
  request += "\r\n";
  if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
    return fail(system_error(errno, "send to the websocket gateway"));
  }
  std::string answer;
  std::size_t head_end = std::string::npos;
  while ((head_end = answer.find("\r\n\r\n")) == std::string::npos) {
    char bytes[1024];
    const ssize_t size = answer.size() < kHeadBytesMax ? ::recv(fd.get(), bytes, sizeof(bytes), 0) : 0;
    if (size <= 0) return fail(ErrorCode::refused, "the websocket gateway did not answer: " + answer);
    answer.append(bytes, static_cast<std::size_t>(size));
  }
  if (!answer.starts_with("HTTP/1.1 101")) {
    return fail(ErrorCode::refused, "the websocket gateway said " + answer.substr(0, answer.find('\r')));
  }
  const Bytes rest = as_bytes(answer).subspan(head_end + 4);
  return std::make_unique<RawWsClient>(std::move(fd), options, std::vector<std::byte>(rest.begin(), rest.end()));
}

}  // namespace wayport::tools

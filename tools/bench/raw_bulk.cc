#include "wayport/tools/bench/raw_bulk.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/tools/bench/raw_socket.h"

namespace wayport::tools {
namespace {

constexpr std::size_t kReadBytes = 64 * 1024;
constexpr std::size_t kWordBytes = 8;
constexpr std::size_t kWishBytes = 4;

bool try_again() { return errno == EAGAIN || errno == EINTR; }

// The chunk that all chunks begin like.
Fd chunk_file() {
  Fd file(::memfd_create("chunk", MFD_CLOEXEC));
  check(static_cast<bool>(file), "memfd_create");
  std::vector<std::byte> bytes(kChunkBytesMax);
  for (std::size_t at = 0; at < bytes.size(); at += kWordBytes) {
    store_be(bytes.data() + at, static_cast<std::uint64_t>(at + 1));
  }
  check(::write(file.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()), "write");
  return file;
}

class Served {
 public:
  explicit Served(Fd fd) : fd_(std::move(fd)) { check(set_nonblocking(fd_.get()).has_value(), "fcntl"); }
  virtual ~Served() = default;
  // What is there is read, what is owed is sent as far as the socket takes it. False at the end.
  virtual bool serve(bool readable) = 0;
  virtual bool blocked() const = 0;
  int fd() const noexcept { return fd_.get(); }

 private:
  Fd fd_;
};

class SourceConnection final : public Served {
 public:
  SourceConnection(Fd fd, int file, std::atomic<std::uint64_t>& sent)
      : Served(std::move(fd)), file_(file), sent_(sent) {}

  bool serve(bool readable) override { return (!readable || take_wishes()) && send(); }
  bool blocked() const override { return !wishes_.empty(); }

 private:
  bool take_wishes() {
    std::byte wishes[kReadBytes / 16];
    std::memcpy(wishes, rest_, rest_bytes_);
    const ssize_t size = ::recv(fd(), wishes + rest_bytes_, sizeof(wishes) - rest_bytes_, 0);
    if (size <= 0) return size < 0 && try_again();
    const std::size_t end = rest_bytes_ + static_cast<std::size_t>(size);
    std::size_t at = 0;
    for (; end - at >= kWishBytes; at += kWishBytes) {
      const std::uint32_t wish = load_be<std::uint32_t>(wishes + at);
      if (wish == 0 || wish > kChunkBytesMax) return false;
      wishes_.push_back(wish);
    }
    rest_bytes_ = end - at;
    std::memcpy(rest_, wishes + at, rest_bytes_);
    return true;
  }

  bool send() {
    while (!wishes_.empty()) {
      const auto left = wishes_.front() - static_cast<std::size_t>(offset_);
      // Counted first: who has the last byte finds it counted.
      sent_.fetch_add(left, std::memory_order_relaxed);
      const ssize_t size = ::sendfile(fd(), file_, &offset_, left);
      sent_.fetch_sub(left - static_cast<std::size_t>(std::max<ssize_t>(size, 0)), std::memory_order_relaxed);
      if (size <= 0) return size < 0 && try_again();
      if (static_cast<std::size_t>(offset_) < wishes_.front()) continue;
      wishes_.pop_front();
      offset_ = 0;
    }
    return true;
  }

  const int file_;
  std::atomic<std::uint64_t>& sent_;
  std::deque<std::uint32_t> wishes_;
  off_t offset_ = 0;  // in the first of them
  std::byte rest_[kWishBytes];
  std::size_t rest_bytes_ = 0;
};

class EchoConnection final : public Served {
 public:
  EchoConnection(Fd fd, std::atomic<std::uint64_t>& echoed) : Served(std::move(fd)), echoed_(echoed) {}

  bool serve(bool readable) override {
    if (readable) {
      std::byte bytes[kReadBytes];
      const ssize_t size = ::recv(fd(), bytes, sizeof(bytes), 0);
      if (size == 0 || (size < 0 && !try_again())) return false;
      if (size > 0) {
        std::memcpy(output_.append(static_cast<std::size_t>(size)), bytes, static_cast<std::size_t>(size));
        echoed_.fetch_add(static_cast<std::uint64_t>(size), std::memory_order_relaxed);
      }
    }
    return output_.flush(fd());
  }
  bool blocked() const override { return output_.blocked(); }

 private:
  std::atomic<std::uint64_t>& echoed_;
  RawOutput output_;
};

class BulkClient final : public LoadClient {
 public:
  BulkClient(Fd fd, std::size_t chunk_bytes) : fd_(std::move(fd)), chunk_bytes_(chunk_bytes) {
    check(set_nonblocking(fd_.get()).has_value(), "fcntl");
    poll_.add(fd_.get());
  }

  std::size_t request_bytes() const override { return kWishBytes; }
  std::size_t reply_bytes() const override { return chunk_bytes_; }

  Result<Round> run(const Load& load) override {
    Pacer pacer(load, now_ns());
    const auto send = [this](std::uint64_t due) {
      store_be(output_.append(kWishBytes), static_cast<std::uint32_t>(chunk_bytes_));
      dues_.push_back(due);
    };
    pacer.send_due(now_ns(), send);
    while (!pacer.done()) {
      const bool was_blocked = output_.blocked();
      if (!output_.flush(fd_.get())) return gone();
      if (output_.blocked() != was_blocked) poll_.want_output(fd_.get(), output_.blocked());
      const std::span<const epoll_event> ready = poll_.wait(kRawPatienceMs);
      if (ready.empty()) return fail(ErrorCode::timed_out, "no bulk bytes came for a long time");
      for (const epoll_event& event : ready) {
        if (!(event.events & ~static_cast<std::uint32_t>(EPOLLOUT))) continue;
        WAYPORT_TRY_ASSIGN(const bool whole, take());
        if (!whole) continue;
        const std::uint64_t word = load_be<std::uint64_t>(word_);
        const std::uint64_t due = dues_.front();
        dues_.pop_front();
        pacer.reply(due, word == chunk_bytes_ - kWordBytes + 1, word, send);
      }
    }
    return pacer.finish();
  }

 private:
  static std::unexpected<Error> gone() { return fail(ErrorCode::peer_closed, "the source of bulk bytes ended"); }

  // One read. True when the last byte of a chunk has come.
  Result<bool> take() {
    const std::size_t before_word = chunk_bytes_ - kWordBytes;
    const bool drop = taken_ < before_word;
    const ssize_t size = drop ? ::recv(fd_.get(), nullptr, before_word - taken_, MSG_TRUNC)
                              : ::recv(fd_.get(), word_ + (taken_ - before_word), chunk_bytes_ - taken_, 0);
    if (size == 0 || (size < 0 && !try_again())) return gone();
    taken_ += static_cast<std::size_t>(std::max<ssize_t>(size, 0));
    if (taken_ < chunk_bytes_) return false;
    taken_ = 0;
    return true;
  }

  Poll poll_;
  Fd fd_;
  const std::size_t chunk_bytes_;
  RawOutput output_;
  std::deque<std::uint64_t> dues_;
  std::size_t taken_ = 0;  // of the current chunk
  std::byte word_[kWordBytes];
};

}  // namespace

RawBackend::RawBackend()
    : source_(listen_on_loopback()),
      echo_(listen_on_loopback()),
      file_(chunk_file()),
      stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      source_port_(port_of(source_.get())),
      echo_port_(port_of(echo_.get())) {
  check(static_cast<bool>(stop_), "eventfd");
  thread_ = std::thread([this] { serve(); });
}

RawBackend::~RawBackend() {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(stop_.get(), &one, sizeof(one)));
  thread_.join();
}

void RawBackend::serve() {
  Poll poll;
  poll.add(source_.get());
  poll.add(echo_.get());
  poll.add(stop_.get());
  std::map<int, std::unique_ptr<Served>> connections;
  while (true) {
    for (const epoll_event& event : poll.wait()) {
      const int fd = event.data.fd;
      if (fd == stop_.get()) return;
      if (fd == source_.get() || fd == echo_.get()) {
        Fd accepted(::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC));
        if (!accepted) continue;
        const int number = accepted.get();
        poll.add(number);
        std::unique_ptr<Served>& connection = connections[number];
        if (fd == source_.get()) {
          connection = std::make_unique<SourceConnection>(std::move(accepted), file_.get(), source_bytes_);
        } else {
          connection = std::make_unique<EchoConnection>(std::move(accepted), echo_bytes_);
        }
        continue;
      }
      const auto found = connections.find(fd);
      if (found == connections.end()) continue;
      Served& served = *found->second;
      const bool was_blocked = served.blocked();
      if (!served.serve((event.events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0)) {
        connections.erase(found);
      } else if (served.blocked() != was_blocked) {
        poll.want_output(fd, served.blocked());
      }
    }
  }
}

std::unique_ptr<LoadClient> bulk_client(Fd fd, std::size_t chunk_bytes) {
  return std::make_unique<BulkClient>(std::move(fd), chunk_bytes);
}

}  // namespace wayport::tools

#include "wayport/rpc/streams/stream.h"

#include <algorithm>

#include "wayport/base/co.h"
#include "wayport/rpc/streams/session_streams.h"

namespace wayport::rpc {
namespace {

using detail::StreamHandle;

// What a coroutine that was canceled in the middle of a body leaves behind.
auto abort_on_cancel(const std::shared_ptr<StreamHandle>& handle) {
  return [handle] { handle->abort(Status::make(code::kCanceled, "the waiting coroutine was canceled")); };
}

asio::awaitable<Reply<Chain>> read_some(std::shared_ptr<StreamHandle> handle, std::size_t bytes_max) {
  if (handle->loop().in_loop_thread()) {
    if (std::optional<Reply<Chain>> taken = handle->try_read(bytes_max)) co_return *std::move(taken);
  }
  Result<Reply<Chain>> outcome = co_await async_callback<Reply<Chain>>([&](Completion<Reply<Chain>> done) {
    handle->on_loop(
        [handle, bytes_max, done = std::move(done)]() mutable { handle->start_read(bytes_max, std::move(done)); });
    return abort_on_cancel(handle);
  });
  if (!outcome) co_return Status::make(code::kCanceled);
  co_return *std::move(outcome);
}

asio::awaitable<Reply<std::size_t>> write_some(std::shared_ptr<StreamHandle> handle, Bytes bytes) {
  const bool here = handle->loop().in_loop_thread();
  if (here) {
    if (const std::optional<Reply<std::size_t>> sent = handle->try_write(bytes)) co_return *sent;
  }
  auto outcome = co_await async_callback<Reply<std::size_t>>([&](Completion<Reply<std::size_t>> done) {
    // Another thread must not look at the caller's bytes: a cancellation may outrun it.
    std::string owned;
    if (!here) {
      owned = as_text(bytes.first(std::min(bytes.size(), handle->home->options().chunk_bytes)));
      bytes = {};
    }
    handle->on_loop([handle, bytes, owned = std::move(owned), done = std::move(done)]() mutable {
      handle->start_write(bytes, std::move(owned), std::move(done));
    });
    return abort_on_cancel(handle);
  });
  if (!outcome) co_return Status::make(code::kCanceled);
  co_return *std::move(outcome);
}

}  // namespace

// --- BodyReader ---

BodyReader::~BodyReader() {
  if (handle_) handle_->release_reader();
}

asio::awaitable<Reply<Chain>> BodyReader::read(std::size_t bytes_max) { return read_some(handle_, bytes_max); }

asio::awaitable<Reply<std::size_t>> BodyReader::read(MutableBytes buffer) {
  const Reply<Chain> taken = co_await read_some(handle_, buffer.size());
  if (!taken.ok()) co_return taken.status();
  co_return taken->copy_to(buffer);
}

asio::awaitable<Reply<std::uint64_t>> BodyReader::drain() {
  const std::shared_ptr<StreamHandle> handle = handle_;
  std::uint64_t dropped = 0;
  while (true) {
    const Reply<Chain> taken = co_await read_some(handle, handle->home->options().window_bytes);
    if (!taken.ok()) co_return taken.status();
    if (taken->empty()) co_return dropped;
    dropped += taken->size();
  }
}

// --- BodyWriter ---

BodyWriter::~BodyWriter() {
  if (handle_) handle_->release_writer();
}

asio::awaitable<Reply<void>> BodyWriter::write(Bytes bytes) {
  const std::shared_ptr<StreamHandle> handle = handle_;
  while (!bytes.empty()) {
    const Reply<std::size_t> sent = co_await write_some(handle, bytes);
    if (!sent.ok()) co_return sent.status();
    bytes = bytes.subspan(*sent);
  }
  co_return Reply<void>();
}

void BodyWriter::finish() { handle_->finish(); }
void BodyWriter::abort(Status status) { handle_->abort(std::move(status)); }

// --- Stream ---

Stream::Stream(std::shared_ptr<StreamHandle> handle) : reader(handle), writer(handle), handle_(std::move(handle)) {}

const Session& Stream::session() const noexcept { return handle_->home->session(); }
std::string_view Stream::target() const noexcept { return handle_->target; }
std::string_view Stream::path() const noexcept { return handle_->path; }
std::string_view Stream::raw_query() const noexcept { return handle_->raw_query; }
void Stream::abort(Status status) { handle_->abort(std::move(status)); }

}  // namespace wayport::rpc

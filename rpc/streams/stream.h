// Stream: bytes in both directions beside the calls of a session, as many as there are, never whole in memory.
//
//   rpc::Reply<rpc::Stream> upload = co_await streams.open(session, "/upload?name=a.iso");
//   co_await upload->writer.write(bytes);           // waits while the other end does not read
//   upload->writer.finish();
//   rpc::Reply<std::uint64_t> done = co_await upload->reader.drain();   // ok: the handler has returned, without failing
//
// Each direction ends on its own: the writer finishes, or the reader goes, after which the other end's writes fail. A
// writer that goes without finish(), and abort(), end both at once with a status that the other end gets. Outcomes are
// replies (status.h): a value, or why not; `*reply` throws the status, which, from a handler, aborts its stream with it.
//
// From coroutines on any loop; on the session's own loop nothing is copied twice, and a read or write that need not wait
// does not suspend. One read and one write at a time. A coroutine that is canceled while it waits aborts the stream.
// Buffers outlive the co_await. A handle keeps the session's memory, not its connection, and must go before the Runtime.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/rpc/session.h"
#include "wayport/rpc/status.h"

namespace wayport::rpc {

namespace detail {
class StreamHandle;
}

// Empty handles, also those that were moved from, must not be used.
class BodyReader {
 public:
  BodyReader() = default;
  explicit BodyReader(std::shared_ptr<detail::StreamHandle> handle) noexcept : handle_(std::move(handle)) {}
  BodyReader(BodyReader&& other) noexcept = default;
  BodyReader& operator=(BodyReader&& other) noexcept {
    BodyReader moved(std::move(other));
    std::swap(handle_, moved.handle_);
    return *this;
  }
  // Before the end: the peer is told to stop writing.
  ~BodyReader();
  explicit operator bool() const noexcept { return handle_ != nullptr; }

  // At least one byte, at most the buffer; 0: the end. The buffer is not empty.
  boost::asio::awaitable<Reply<std::size_t>> read(MutableBytes buffer);
  // The same without a copy, in pieces as they came.
  boost::asio::awaitable<Reply<Chain>> read(std::size_t bytes_max);
  // Reads to the end and drops it; how many bytes that were.
  boost::asio::awaitable<Reply<std::uint64_t>> drain();

 private:
  std::shared_ptr<detail::StreamHandle> handle_;
};

class BodyWriter {
 public:
  BodyWriter() = default;
  explicit BodyWriter(std::shared_ptr<detail::StreamHandle> handle) noexcept : handle_(std::move(handle)) {}
  BodyWriter(BodyWriter&& other) noexcept = default;
  BodyWriter& operator=(BodyWriter&& other) noexcept {
    BodyWriter moved(std::move(other));
    std::swap(handle_, moved.handle_);
    return *this;
  }
  // Without finish(): the stream is aborted with 499.
  ~BodyWriter();
  explicit operator bool() const noexcept { return handle_ != nullptr; }

  // Done when the last byte was given to the session, which is when the other end has read all but a window of it.
  boost::asio::awaitable<Reply<void>> write(Bytes bytes);
  // The end of data; nothing may be written after it. The other end learns the total size. Takes effect after the
  // writes that were awaited.
  void finish();
  // Both directions end with `status` here and there; 499 in place of OK.
  void abort(Status status);

 private:
  std::shared_ptr<detail::StreamHandle> handle_;
};

class Stream {
 public:
  explicit Stream(std::shared_ptr<detail::StreamHandle> handle);
  Stream(Stream&&) noexcept = default;
  Stream& operator=(Stream&&) noexcept = default;

  // May be moved out, to live on their own.
  BodyReader reader;
  BodyWriter writer;

  const Session& session() const noexcept;
  // What was opened: "/upload?name=a.iso", its percent-decoded path, and its query.
  std::string_view target() const noexcept;
  std::string_view path() const noexcept;
  std::string_view raw_query() const noexcept;
  void abort(Status status);

 private:
  std::shared_ptr<detail::StreamHandle> handle_;
};

}  // namespace wayport::rpc

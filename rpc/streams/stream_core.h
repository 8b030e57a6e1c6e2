// StreamCore: the streams of one session as a state machine. Messages, commands and time go in; messages to push and
// outcomes come out. No I/O, no clock, no threads.
//
//   opener                          acceptor
//   open()    ---- open, credit --->  handle_open()
//             <--- reply, credit ----
//   write()   ---- data at 0 ------>  handle_data(), read()
//             <--- credit to 300k --                          when half a window has been read
//   finish()  ---- end, size ------>  handle_end()
//
// Both directions are alike and end on their own: the writer finishes, or the reader stops. abort() ends both at once.
// What waits for a reader never exceeds StreamOptions::window_bytes: the credit that the peer has is what was read plus
// that. A peer that breaks a rule loses that stream only; what is said of a stream that is over is counted and ignored,
// because it may have been on its way when the stream ended.
//
// A stream is forgotten when it is over on the wire and its reader and writer were released. Numbers of streams only
// grow, so nothing has to be remembered about old ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "wayport/base/chain.h"
#include "wayport/base/time.h"
#include "wayport/rpc/status.h"
#include "wayport/rpc/streams/stream_message.h"
#include "wayport/rpc/streams/stream_options.h"

namespace wayport::rpc {

class StreamCore {
 public:
  // Both outlive the core.
  StreamCore(const StreamOptions& options, StreamCounters& counters);
  ~StreamCore();
  StreamCore(const StreamCore&) = delete;
  StreamCore& operator=(const StreamCore&) = delete;

  // Credit that a new stream's other end gets.
  std::uint64_t initial_credit() const noexcept { return options_.window_bytes; }

  // --- opening ---
  // 503: streams_max. Then the open pull goes out, and handle_opened or handle_open_failed follows.
  Reply<StreamId> open();
  void handle_opened(StreamId id, std::uint64_t credit);
  void handle_open_failed(StreamId id, Status status);
  // What the peer opens: 409 a number that did not grow, 400 a number that cannot be, 503 streams_max.
  Reply<StreamId> handle_open(const StreamOpen& open);

  // --- what the peer says ---
  // The body is copied.
  void handle(const StreamMessage& message);
  // The stream is aborted with 400; for messages that cannot even be handed to handle().
  void handle_violation(StreamId id, std::string rule);
  // The session has ended; no more messages go out.
  void handle_lost(const Status& status);
  // Aborts the streams that waited too long, and returns them.
  std::vector<StreamId> handle_timeout(TimePoint now);
  TimePoint next_timeout() const noexcept;  // kNever: none waits

  // --- what the application does; ids that are not known() are as aborted ---
  bool known(StreamId id) const noexcept { return streams_.contains(id); }
  // Up to `bytes_max` received bytes; an empty chain is the end. nullopt: nothing yet.
  std::optional<Reply<Chain>> read(StreamId id, std::size_t bytes_max);
  // The message for as much from the front of `bytes` as may go now: at least a byte, at most chunk_bytes. It views
  // `bytes`. It counts once handle_sent() says that it went. nullopt: no credit.
  std::optional<Reply<StreamMessage>> write(StreamId id, Bytes bytes);
  void handle_sent(const StreamMessage& data);
  // No more writes. Idempotent.
  Reply<void> finish(StreamId id);
  // 499 in place of a status that says OK.
  void abort(StreamId id, Status status);
  // Begins idle_timeout, unless it runs already; the next progress ends it.
  void wait_read(StreamId id, TimePoint now);
  void wait_write(StreamId id, TimePoint now);
  // Why the stream was aborted; OK while it was not.
  Status status(StreamId id) const;
  // The application has let go. A reader that goes before the end of data stops the peer; a writer that goes before
  // finish() aborts the stream, so that nobody takes a part for the whole.
  void release_reader(StreamId id);
  void release_writer(StreamId id);

  // --- what is to be said ---
  // The next message other than data; it stays until control_sent(). At most one per stream and kind ever waits.
  std::optional<StreamMessage> next_control();
  void control_sent(const StreamMessage& message);

  std::size_t size() const noexcept { return streams_.size(); }
  std::size_t buffered_bytes() const noexcept { return buffered_; }

 private:
  struct Stream {
    // Sending.
    std::uint64_t sent = 0;
    std::uint64_t send_limit = 0;
    bool finished = false;  // by us; `end_pending` until it was said
    bool end_pending = false;
    bool stopped_by_peer = false;
    // Receiving: consumed <= received <= granted <= consumed + window.
    std::uint64_t received = 0;
    std::uint64_t consumed = 0;
    std::uint64_t granted = 0;
    Chain buffer;
    bool end_received = false;
    bool stopped = false;  // by us; `stop_pending` until it was said
    bool stop_pending = false;
    bool credit_pending = false;
    // Both.
    bool opening = false;
    bool aborted = false;  // `failure` says why; `abort_pending` until it was said
    bool abort_pending = false;
    bool reader_released = false;
    bool writer_released = false;
    bool queued = false;  // in talking_
    TimePoint read_since = kNever;
    TimePoint write_since = kNever;
    Status failure{};
  };

  Stream* find(StreamId id);
  const Stream* find(StreamId id) const;
  Stream& add(StreamId id);
  std::size_t& count_of(StreamId id) noexcept { return id.ours ? our_count_ : peer_count_; }
  void handle_data(StreamId id, Stream& stream, const StreamMessage& message);
  void handle_credit(StreamId id, Stream& stream, std::uint64_t limit);
  void handle_end(StreamId id, Stream& stream, std::uint64_t size);
  void violate(StreamId id, Stream& stream, std::string rule);
  void fail_stream(StreamId id, Stream& stream, Status status, bool tell_peer);
  void drop_buffer(Stream& stream);
  void buffered(std::ptrdiff_t change);
  bool talks(const Stream& stream) const noexcept;
  void talk(StreamId id, Stream& stream);
  void forget_if_over(StreamId id, Stream& stream);

  const StreamOptions& options_;
  StreamCounters& counters_;
  std::map<StreamId, Stream> streams_;  // numbers are the peer's choice: no hash to flood
  std::deque<StreamId> talking_;        // have something to say; each at most once
  std::uint64_t next_number_ = 1;
  std::uint64_t peer_number_ = 0;  // largest that the peer opened
  std::size_t our_count_ = 0;
  std::size_t peer_count_ = 0;
  std::size_t buffered_ = 0;
};

}  // namespace wayport::rpc

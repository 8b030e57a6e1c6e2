#include "wayport/rpc/streams/stream_core.h"

#include <algorithm>
#include <utility>

namespace wayport::rpc {
namespace {

using Kind = StreamMessage::Kind;

// Of a status that a peer sends; it is kept while the application holds the stream.
constexpr std::size_t kReasonBytesMax = 1024;

Status over() { return Status::make(code::kConnectionClosed, "the stream is over"); }

}  // namespace

StreamCore::StreamCore(const StreamOptions& options, StreamCounters& counters)
    : options_(options), counters_(counters) {}

StreamCore::~StreamCore() {
  counters_.streams.add(-static_cast<std::int64_t>(streams_.size()));
  counters_.buffered_bytes.add(-static_cast<std::int64_t>(buffered_));
}

StreamCore::Stream* StreamCore::find(StreamId id) {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : &found->second;
}
const StreamCore::Stream* StreamCore::find(StreamId id) const {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : &found->second;
}

StreamCore::Stream& StreamCore::add(StreamId id) {
  Stream& stream = streams_[id];
  stream.granted = initial_credit();
  ++count_of(id);
  counters_.streams.add();
  return stream;
}

// --- opening ---

Reply<StreamId> StreamCore::open() {
  if (our_count_ >= options_.streams_max || next_number_ > kStreamNumberMax) {
    counters_.refused.add();
    return Status::not_executed(code::kServiceUnavailable, "streams_max reached: " + std::to_string(our_count_) +
                                                               " streams are open on this session from here");
  }
  const StreamId id{true, next_number_++};
  add(id).opening = true;
  return id;
}

void StreamCore::handle_opened(StreamId id, std::uint64_t credit) {
  Stream* stream = find(id);
  if (!stream || !stream->opening) return;
  stream->opening = false;
  if (stream->aborted) return forget_if_over(id, *stream);
  if (credit > kStreamNumberMax) return violate(id, *stream, "credit beyond 2^63-1");
  stream->send_limit = credit;
  counters_.opened.add();
  forget_if_over(id, *stream);
}

void StreamCore::handle_open_failed(StreamId id, Status status) {
  Stream* stream = find(id);
  if (!stream || !stream->opening) return;
  stream->opening = false;
  // Whoever did not hear our reply in time may have taken the stream.
  const bool perhaps_open = status.origin == Status::Origin::local && !status.never_executed;
  fail_stream(id, *stream, std::move(status), perhaps_open);
}

Reply<StreamId> StreamCore::handle_open(const StreamOpen& open) {
  if (open.number == 0 || open.number > kStreamNumberMax || open.credit > kStreamNumberMax) {
    counters_.refused.add();
    return Status::make(code::kBadUri, "a stream's number is 1 to 2^63-1, and so is its credit at most");
  }
  if (open.number <= peer_number_) {
    counters_.refused.add();
    return Status::make(code::kConflict, "stream numbers grow: " + std::to_string(open.number) + " came after " +
                                             std::to_string(peer_number_));
  }
  peer_number_ = open.number;
  if (peer_count_ >= options_.streams_max) {
    counters_.refused.add();
    return Status::make(code::kServiceUnavailable,
                        "streams_max reached: " + std::to_string(peer_count_) + " streams of this session are open");
  }
  const StreamId id{false, open.number};
  add(id).send_limit = open.credit;
  counters_.accepted.add();
  return id;
}

// --- what the peer says ---

void StreamCore::handle(const StreamMessage& message) {
  const StreamId id = message.id;
  Stream* stream = find(id);
  if (!stream || stream->aborted) return counters_.messages_unmatched.add();
  if (stream->opening && message.kind != Kind::abort) {
    return violate(id, *stream, std::string(route_of(message.kind)) + " came before the stream was accepted");
  }
  switch (message.kind) {
    case Kind::data:
      return handle_data(id, *stream, message);
    case Kind::credit:
      return handle_credit(id, *stream, message.value);
    case Kind::end:
      return handle_end(id, *stream, message.value);
    case Kind::stop:
      if (stream->stopped_by_peer) return counters_.messages_unmatched.add();
      stream->stopped_by_peer = true;
      stream->end_pending = false;
      stream->write_since = kNever;
      return forget_if_over(id, *stream);
    case Kind::abort: {
      counters_.aborted_by_peer.add();
      Status status = message.status;
      status.origin = Status::Origin::remote;
      status.text.resize(std::min(status.text.size(), kReasonBytesMax));
      if (status.ok()) status = Status{code::kInternal, "the peer aborted with status 200", Status::Origin::remote};
      return fail_stream(id, *stream, std::move(status), false);
    }
  }
}

void StreamCore::handle_data(StreamId id, Stream& stream, const StreamMessage& message) {
  const std::size_t size = message.body.size();
  if (stream.end_received) return violate(id, stream, "data after the end");
  if (message.value != stream.received) {
    return violate(
        id, stream,
        "data at offset " + std::to_string(message.value) + " instead of " + std::to_string(stream.received));
  }
  if (size > stream.granted - stream.received) {
    return violate(id, stream,
                   "data up to offset " + std::to_string(stream.received + size) + ", credit is " +
                       std::to_string(stream.granted));
  }
  stream.received += size;
  if (stream.stopped) {
    counters_.data_dropped.add(size);
    return;
  }
  counters_.bytes_received.add(size);
  stream.buffer.append(message.body);
  stream.read_since = kNever;
  buffered(static_cast<std::ptrdiff_t>(size));
}

void StreamCore::handle_credit(StreamId id, Stream& stream, std::uint64_t limit) {
  if (limit > kStreamNumberMax) return violate(id, stream, "credit beyond 2^63-1");
  if (limit < stream.send_limit) {
    return violate(id, stream,
                   "credit went back from " + std::to_string(stream.send_limit) + " to " + std::to_string(limit));
  }
  stream.send_limit = limit;
  if (stream.sent < limit) stream.write_since = kNever;
}

void StreamCore::handle_end(StreamId id, Stream& stream, std::uint64_t size) {
  if (stream.end_received) return violate(id, stream, "a second end");
  if (size != stream.received) {
    return violate(
        id, stream,
        "the end says " + std::to_string(size) + " bytes, " + std::to_string(stream.received) + " have come");
  }
  stream.end_received = true;
  stream.credit_pending = false;
  stream.stop_pending = false;
  stream.read_since = kNever;
  forget_if_over(id, stream);
}

void StreamCore::handle_violation(StreamId id, std::string rule) {
  Stream* stream = find(id);
  if (!stream || stream->aborted) return counters_.messages_unmatched.add();
  violate(id, *stream, std::move(rule));
}

void StreamCore::violate(StreamId id, Stream& stream, std::string rule) {
  counters_.violations.add();
  fail_stream(id, stream, Status::make(code::kBadUri, "stream " + std::to_string(id.number) + " is broken: " + rule),
              true);
}

void StreamCore::handle_lost(const Status& status) {
  std::vector<StreamId> all;
  all.reserve(streams_.size());
  for (const auto& [id, stream] : streams_) all.push_back(id);
  for (const StreamId id : all) {
    Stream& stream = *find(id);
    stream.opening = false;
    fail_stream(id, stream, status, false);
  }
}

std::vector<StreamId> StreamCore::handle_timeout(TimePoint now) {
  std::vector<StreamId> late;
  if (options_.idle_timeout <= Duration::zero()) return late;
  for (auto& [id, stream] : streams_) {
    if (now >= after(std::min(stream.read_since, stream.write_since), options_.idle_timeout)) late.push_back(id);
  }
  for (const StreamId id : late) {
    Stream& stream = *find(id);
    counters_.idle_timeouts.add();
    const bool reads = stream.read_since <= stream.write_since;
    fail_stream(
        id, stream,
        Status::make(code::kTimeout, std::string(reads ? "no data" : "no credit") + " came on the stream within " +
                                         "idle_timeout " + format_duration(options_.idle_timeout)),
        true);
  }
  return late;
}

TimePoint StreamCore::next_timeout() const noexcept {
  TimePoint first = kNever;
  if (options_.idle_timeout <= Duration::zero()) return first;
  for (const auto& [id, stream] : streams_) first = std::min({first, stream.read_since, stream.write_since});
  return first == kNever ? first : after(first, options_.idle_timeout);
}

// --- what the application does ---

std::optional<Reply<Chain>> StreamCore::read(StreamId id, std::size_t bytes_max) {
  Stream* stream = find(id);
  if (!stream) return Reply<Chain>(over());
  if (stream->aborted) return Reply<Chain>(stream->failure);
  if (stream->stopped) return Reply<Chain>(over());
  if (stream->buffer.empty()) {
    if (stream->end_received) return Reply<Chain>(Chain());
    return std::nullopt;
  }
  Chain taken = stream->buffer.split(std::min(bytes_max, stream->buffer.size()));
  stream->consumed += taken.size();
  stream->read_since = kNever;
  buffered(-static_cast<std::ptrdiff_t>(taken.size()));
  // In halves of a window: few messages, and the sender need not wait for each.
  const std::uint64_t next = std::min(stream->consumed + options_.window_bytes, kStreamNumberMax);
  if (!stream->end_received && next - stream->granted >= std::max<std::uint64_t>(1, options_.window_bytes / 2)) {
    stream->credit_pending = true;
    talk(id, *stream);
  }
  return Reply<Chain>(std::move(taken));
}

std::optional<Reply<StreamMessage>> StreamCore::write(StreamId id, Bytes bytes) {
  Stream* stream = find(id);
  if (!stream) return Reply<StreamMessage>(over());
  if (stream->aborted) return Reply<StreamMessage>(stream->failure);
  if (stream->finished) return Reply<StreamMessage>(Status::make(code::kWriteFailed, "the writer has finished"));
  if (stream->stopped_by_peer) {
    return Reply<StreamMessage>(
        Status{code::kCanceled, "the peer reads no more of this stream", Status::Origin::remote});
  }
  const std::size_t size =
      std::min({static_cast<std::uint64_t>(bytes.size()), static_cast<std::uint64_t>(options_.chunk_bytes),
                stream->send_limit - stream->sent});
  if (size == 0) return std::nullopt;
  StreamMessage message;
  message.kind = Kind::data;
  message.id = id;
  message.value = stream->sent;
  message.body = bytes.first(size);
  return Reply<StreamMessage>(std::move(message));
}

void StreamCore::handle_sent(const StreamMessage& data) {
  Stream* stream = find(data.id);
  if (!stream) return;
  stream->sent += data.body.size();
  stream->write_since = kNever;
  counters_.bytes_sent.add(data.body.size());
}

Reply<void> StreamCore::finish(StreamId id) {
  Stream* stream = find(id);
  if (!stream) return over();
  if (stream->aborted) return stream->failure;
  if (stream->finished) return {};
  stream->finished = true;
  if (stream->stopped_by_peer) return {};
  stream->end_pending = true;
  talk(id, *stream);
  return {};
}

void StreamCore::abort(StreamId id, Status status) {
  Stream* stream = find(id);
  if (!stream || stream->aborted) return;
  counters_.aborted_here.add();
  if (status.ok()) status = Status::make(code::kCanceled);
  fail_stream(id, *stream, std::move(status), true);
}

void StreamCore::wait_read(StreamId id, TimePoint now) {
  if (Stream* stream = find(id); stream && stream->read_since == kNever) stream->read_since = now;
}
void StreamCore::wait_write(StreamId id, TimePoint now) {
  if (Stream* stream = find(id); stream && stream->write_since == kNever) stream->write_since = now;
}

Status StreamCore::status(StreamId id) const {
  const Stream* stream = find(id);
  return stream ? stream->failure : over();
}

void StreamCore::release_reader(StreamId id) {
  Stream* stream = find(id);
  if (!stream) return;
  stream->reader_released = true;
  stream->read_since = kNever;
  if (!stream->aborted && !stream->stopped) {
    stream->stopped = true;
    stream->credit_pending = false;
    stream->stop_pending = !stream->end_received;
    if (stream->stop_pending) talk(id, *stream);
  }
  drop_buffer(*stream);
  forget_if_over(id, *stream);
}

void StreamCore::release_writer(StreamId id) {
  Stream* stream = find(id);
  if (!stream) return;
  stream->writer_released = true;
  stream->write_since = kNever;
  if (!stream->aborted && !stream->finished && !stream->stopped_by_peer) {
    counters_.aborted_here.add();
    return fail_stream(id, *stream, Status::make(code::kCanceled, "the writer was dropped before it finished"), true);
  }
  forget_if_over(id, *stream);
}

// --- what is to be said ---

bool StreamCore::talks(const Stream& stream) const noexcept {
  return stream.abort_pending || stream.credit_pending || stream.end_pending || stream.stop_pending;
}

void StreamCore::talk(StreamId id, Stream& stream) {
  if (std::exchange(stream.queued, true)) return;
  talking_.push_back(id);
}

std::optional<StreamMessage> StreamCore::next_control() {
  while (!talking_.empty()) {
    const StreamId id = talking_.front();
    Stream* stream = find(id);
    if (stream && talks(*stream)) {
      StreamMessage message;
      message.id = id;
      if (stream->abort_pending) {
        message.kind = Kind::abort;
        message.status = stream->failure;
      } else if (stream->credit_pending) {
        message.kind = Kind::credit;
        message.value = std::min(stream->consumed + options_.window_bytes, kStreamNumberMax);
      } else if (stream->end_pending) {
        message.kind = Kind::end;
        message.value = stream->sent;
      } else {
        message.kind = Kind::stop;
      }
      return message;
    }
    talking_.pop_front();
    if (stream) stream->queued = false;
  }
  return std::nullopt;
}

void StreamCore::control_sent(const StreamMessage& message) {
  Stream* stream = find(message.id);
  if (!stream) return;
  switch (message.kind) {
    case Kind::abort:
      stream->abort_pending = false;
      break;
    case Kind::credit:
      stream->credit_pending = false;
      stream->granted = message.value;
      break;
    case Kind::end:
      stream->end_pending = false;
      break;
    case Kind::stop:
      stream->stop_pending = false;
      break;
    case Kind::data:
      break;
  }
  forget_if_over(message.id, *stream);
}

// --- the end ---

void StreamCore::fail_stream(StreamId id, Stream& stream, Status status, bool tell_peer) {
  if (!stream.aborted) {
    stream.aborted = true;
    stream.failure = std::move(status);
    stream.abort_pending = tell_peer;
  } else if (!tell_peer) {
    stream.abort_pending = false;  // the session is lost
  }
  stream.credit_pending = stream.end_pending = stream.stop_pending = false;
  stream.read_since = stream.write_since = kNever;
  drop_buffer(stream);
  if (stream.abort_pending) talk(id, stream);
  forget_if_over(id, stream);
}

void StreamCore::drop_buffer(Stream& stream) {
  buffered(-static_cast<std::ptrdiff_t>(stream.buffer.size()));
  stream.buffer.clear();
}

void StreamCore::buffered(std::ptrdiff_t change) {
  buffered_ = static_cast<std::size_t>(static_cast<std::ptrdiff_t>(buffered_) + change);
  counters_.buffered_bytes.add(change);
  if (counters_.buffered_bytes.read() > counters_.buffered_bytes_peak.read()) {
    counters_.buffered_bytes_peak.set(counters_.buffered_bytes.read());
  }
}

// The references may be gone after this.
void StreamCore::forget_if_over(StreamId id, Stream& stream) {
  if (!stream.reader_released || !stream.writer_released || stream.opening || talks(stream)) return;
  const bool nothing_to_send = stream.finished || stream.stopped_by_peer;
  const bool nothing_to_receive = stream.end_received || stream.stopped;
  if (!stream.aborted && !(nothing_to_send && nothing_to_receive)) return;
  --count_of(id);
  counters_.streams.add(-1);
  streams_.erase(id);
}

}  // namespace wayport::rpc

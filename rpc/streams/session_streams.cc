#include "wayport/rpc/streams/session_streams.h"

#include <vector>

#include "wayport/framing/codec.h"
#include "wayport/rpc/session_driver.h"

namespace wayport::rpc::detail {
namespace {

// How long to wait for room in a session's output, about which nobody is told. At the default of 1 MiB it allows
// 200 MB/s, and only those who are slower than their stream get here.
constexpr Duration kRetryAfter = std::chrono::milliseconds(5);
// Header and lengths of a push, for the count of what one turn pushed.
constexpr std::size_t kPushOverhead = 96;

}  // namespace

// --- StreamHandle ---

Loop& StreamHandle::loop() const noexcept { return home->loop(); }

void StreamHandle::release_reader() {
  on_loop([self = shared_from_this()] {
    self->home->core().release_reader(self->id);
    self->home->settle(self->id);
  });
}
void StreamHandle::release_writer() {
  on_loop([self = shared_from_this()] {
    self->home->core().release_writer(self->id);
    self->home->settle(self->id);
  });
}
void StreamHandle::finish() {
  on_loop([self = shared_from_this()] {
    // A stream that has failed says so to whoever reads it.
    static_cast<void>(self->home->core().finish(self->id));
    self->home->settle(self->id);
  });
}
void StreamHandle::abort(Status status) {
  on_loop([self = shared_from_this(), status = std::move(status)]() mutable {
    self->home->core().abort(self->id, std::move(status));
    self->home->settle(self->id);
  });
}

std::optional<Reply<Chain>> StreamHandle::try_read(std::size_t bytes_max) {
  if (bytes_max == 0) return Reply<Chain>(Status::make(code::kWriteFailed, "a read needs room for a byte"));
  if (reading_) return Reply<Chain>(Status::make(code::kConflict, "another read of this stream is waiting"));
  std::optional<Reply<Chain>> taken = home->core().read(id, bytes_max);
  if (taken) home->settle(id);  // the credit that this gives
  return taken;
}

std::optional<Reply<std::size_t>> StreamHandle::try_write(Bytes bytes) {
  if (writing_) {
    return Reply<std::size_t>(Status::make(code::kConflict, "another write on this stream is waiting"));
  }
  return home->try_write(id, bytes);
}

void StreamHandle::start_read(std::size_t bytes_max, Completion<Reply<Chain>> done) {
  if (std::optional<Reply<Chain>> taken = try_read(bytes_max)) return done(*std::move(taken));
  home->core().wait_read(id, home->now());
  reading_.emplace(bytes_max, std::move(done));
  home->idle_from_now();
}

void StreamHandle::start_write(Bytes bytes, std::string owned, Completion<Reply<std::size_t>> done) {
  Write write{bytes, std::move(owned), std::move(done)};
  if (const std::optional<Reply<std::size_t>> sent = try_write(write.all())) return write.done(*sent);
  writing_.emplace(std::move(write));
  home->idle_from_now();
}

void StreamHandle::serve() {
  const std::shared_ptr<StreamHandle> self = shared_from_this();
  if (reading_) {
    if (std::optional<Reply<Chain>> taken = home->core().read(id, reading_->bytes_max)) {
      Completion<Reply<Chain>> done = std::move(reading_->done);
      reading_.reset();
      done(*std::move(taken));
    } else {
      home->core().wait_read(id, home->now());
    }
  }
  if (writing_) {
    if (const std::optional<Reply<std::size_t>> sent = home->try_write(id, writing_->all())) {
      Completion<Reply<std::size_t>> done = std::move(writing_->done);
      writing_.reset();
      done(*sent);
    }
  }
}

// --- SessionStreams ---

std::shared_ptr<SessionStreams> SessionStreams::create(Session session, const StreamOptions& options,
                                                       StreamCounters& counters, std::shared_ptr<void> keep) {
  // The last handle may go on any thread, but timers, turn-end nodes and counters belong to the loop.
  return {new SessionStreams(std::move(session), options, counters, std::move(keep)), [](SessionStreams* streams) {
            Loop& loop = streams->loop();
            if (loop.in_loop_thread()) {
              delete streams;
            } else {
              struct Deleter {
                void operator()(SessionStreams* p) const { delete p; }
              };
              loop.post([owned = std::unique_ptr<SessionStreams, Deleter>(streams)] {});
            }
          }};
}

SessionStreams::SessionStreams(Session session, const StreamOptions& options, StreamCounters& counters,
                               std::shared_ptr<void> keep)
    : keep_(std::move(keep)),
      options_(options),
      counters_(counters),
      session_(std::move(session)),
      core_(options_, counters_),
      idle_(*this, &SessionStreams::on_idle),
      retry_(*this, &SessionStreams::resume) {}

std::shared_ptr<StreamHandle> SessionStreams::add(StreamId id, std::string target) {
  auto handle = std::make_shared<StreamHandle>(shared_from_this(), id, std::move(target));
  handles_[id] = handle;
  return handle;
}

void SessionStreams::handle(const StreamMessage& message) {
  core_.handle(message);
  settle(message.id);
}

void SessionStreams::handle_violation(StreamId id, std::string rule) {
  core_.handle_violation(id, std::move(rule));
  settle(id);
}

void SessionStreams::handle_lost(const Status& status) {
  if (std::exchange(lost_, true)) return;
  const std::shared_ptr<SessionStreams> self = shared_from_this();
  idle_.unlink();
  retry_.unlink();
  core_.handle_lost(status);
  std::vector<StreamId> all;
  for (const auto& [id, handle] : handles_) all.push_back(id);
  for (const StreamId id : all) serve(id);
}

void SessionStreams::settle(StreamId id) {
  const std::shared_ptr<SessionStreams> self = shared_from_this();
  pump();
  serve(id);
  pump();  // a read gives credit
}

void SessionStreams::serve(StreamId id) {
  const auto found = handles_.find(id);
  if (found == handles_.end()) return;
  const std::shared_ptr<StreamHandle> handle = found->second;
  if (!core_.known(id)) handles_.erase(found);
  handle->serve();
}

void SessionStreams::idle_from_now() {
  if (lost_ || idle_.armed()) return;
  if (const TimePoint due = core_.next_timeout(); due != kNever) loop().arm(idle_, due);
}

void SessionStreams::on_idle() {
  const std::shared_ptr<SessionStreams> self = shared_from_this();
  for (const StreamId id : core_.handle_timeout(now())) settle(id);
  idle_from_now();
}

std::optional<Reply<std::size_t>> SessionStreams::try_write(StreamId id, Bytes bytes) {
  if (bytes.empty()) return Reply<std::size_t>(std::size_t{0});
  std::optional<Reply<StreamMessage>> message = core_.write(id, bytes);
  if (!message) {
    core_.wait_write(id, now());
    return std::nullopt;
  }
  if (!message->ok()) return Reply<std::size_t>(message->status());
  if (!output_has_room()) {
    block();
    return std::nullopt;
  }
  const StreamMessage& data = **message;
  if (const Result<void> pushed = push(data); !pushed) {
    if (!take_refusal(pushed.error(), id)) return std::nullopt;
    return Reply<std::size_t>(core_.status(id));
  }
  core_.handle_sent(data);
  return Reply<std::size_t>(data.body.size());
}

void SessionStreams::pump() {
  while (!lost_) {
    const std::optional<StreamMessage> message = core_.next_control();
    if (!message) return;
    if (!output_has_room()) return block();
    if (const Result<void> pushed = push(*message); !pushed) {
      if (!take_refusal(pushed.error(), message->id)) return;
      if (lost_) return;
    }
    core_.control_sent(*message);
    if (!core_.known(message->id)) serve(message->id);
  }
}

Result<void> SessionStreams::push(const StreamMessage& message) {
  uri_.clear();
  append_uri(uri_, options_.prefix, message);
  CallOptions how;
  Result<void> pushed;
  if (message.kind == StreamMessage::Kind::data) {
    how.body_codec = framing::kCodecString;
    pushed = session_.push(uri_, message.body, how);
  } else {
    how.gzip = 0;
    if (message.kind == StreamMessage::Kind::abort) {
      how.status_code = message.status.code;
      how.status = message.status.text;
    }
    pushed = session_.push(uri_, framing::NoBody(), how);
  }
  if (pushed) {
    pushed_ += kPushOverhead + message.body.size();
    if (!linked()) loop().at_turn_end(*this);  // behind the session, which writes then
  }
  return pushed;
}

bool SessionStreams::take_refusal(const Error& error, StreamId id) {
  if (error.code == ErrorCode::overloaded) {
    block();
    return false;
  }
  if (error.code == ErrorCode::local_closed || error.code == ErrorCode::peer_closed) {
    handle_lost(Status::make(code::kConnectionClosed, "Connection Closed: " + error.detail));
  } else {
    core_.abort(id, Status::make(code::kWriteFailed, error.detail));
  }
  return true;
}

bool SessionStreams::output_has_room() const {
  return pushed_ + session_.driver()->unsent() < options_.unsent_bytes_max;
}

void SessionStreams::block() {
  counters_.output_blocked.add();
  blocked_ = true;
  if (!linked() && !retry_.armed()) loop().arm(retry_, now() + kRetryAfter);
}

void SessionStreams::on_turn_end() {
  pushed_ = 0;
  if (!blocked_ || lost_) return;
  if (output_has_room()) return resume();
  if (!retry_.armed()) loop().arm(retry_, now() + kRetryAfter);
}

// Everybody has a turn before anybody has a second one.
void SessionStreams::resume() {
  const std::shared_ptr<SessionStreams> self = shared_from_this();
  blocked_ = false;
  pump();
  std::vector<StreamId> order;
  order.reserve(handles_.size());
  const auto middle = handles_.upper_bound(last_served_);
  for (auto at = middle; at != handles_.end(); ++at) order.push_back(at->first);
  for (auto at = handles_.begin(); at != middle; ++at) order.push_back(at->first);
  for (const StreamId id : order) {
    if (blocked_ || lost_) return;
    last_served_ = id;
    serve(id);
  }
  pump();
}

}  // namespace wayport::rpc::detail

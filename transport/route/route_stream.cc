#include "wayport/transport/route/route_stream.h"

#include <algorithm>

namespace wayport::transport {

RouteStream::RouteStream(std::unique_ptr<Stream> lower, bool hide_messages)
    : lower_(std::move(lower)), hide_messages_(hide_messages) {
  lower_->replace_events(*this);
}

void RouteStream::start(StreamEvents& events) {
  WAYPORT_ASSERT(!events_, "a stream is started once");
  events_ = &events;
  if (dead_) return loop().at_turn_end(*this);
  if (!hide_messages_) lower_->replace_events(events);
  if (reading_) lower_->read(true);
}

void RouteStream::read(bool on) {
  reading_ = on;
  if (!dead_) lower_->read(on && events_ != nullptr);
}

Pressure RouteStream::write(Chain&& chain, bool message_end) {
  if (!hide_messages_) return lower_->write(std::move(chain), message_end);
  Chain taken = std::move(chain);
  Pressure pressure = Pressure::none;
  while (!taken.empty()) {
    const Pressure one = lower_->write(taken.split(std::min(taken.size(), kMessageBytesSent)), true);
    if (one == Pressure::high) pressure = one;
  }
  return pressure;
}

void RouteStream::close(CloseReason reason, Linger linger) {
  closing_ = true;
  if (!dead_) lower_->close(std::move(reason), linger);
}

std::optional<Fd> RouteStream::detach() {
  if (dead_ || hide_messages_) return std::nullopt;
  return lower_->detach();
}

void RouteStream::replace_events(StreamEvents& events) {
  events_ = &events;
  if (!dead_) lower_->replace_events(hide_messages_ ? static_cast<StreamEvents&>(*this) : events);
}

// --- before start(), and for as long as messages are hidden ---

std::size_t RouteStream::on_bytes(MutableBytes bytes, bool) {
  // Empty messages are nothing in a byte stream.
  if (!events_ || bytes.empty()) return 0;
  DropWatch watch(*this);
  for (std::size_t consumed = 0;;) {
    StreamEvents* const consumer = events_;
    consumed += consumer->on_bytes(bytes.subspan(consumed), false);
    if (watch.dropped() || events_ == consumer || consumed == bytes.size() || !reading_ || closing_) return consumed;
    // The lower stream cannot see that there is another consumer, to whom the rest is to be shown.
  }
}
void RouteStream::on_writable() {
  if (events_) events_->on_writable();
}
void RouteStream::on_read_end() {
  if (events_) events_->on_read_end();
}
void RouteStream::on_closed(const CloseReason& reason) {
  if (events_) return events_->on_closed(reason);  // `this` may be gone
  dead_ = std::make_unique<CloseReason>(reason);
}
void RouteStream::on_turn_end() {
  const CloseReason reason = *dead_;
  events_->on_closed(reason);  // `this` may be gone
}

}  // namespace wayport::transport

// How a relay changes from copying to splicing.
#include <algorithm>
#include <string_view>
#include <utility>

#include "wayport/gateway/relay/relay.h"

namespace wayport::relay {
namespace {

constexpr Duration kFirstRetry = std::chrono::milliseconds(1);
// Twice this in all. A queue that takes longer has a slow peer, for whom copying is cheap; the other direction, which
// waits with it, must not wait longer.
constexpr Duration kLastRetry = std::chrono::seconds(1);

bool is_plain_socket(const transport::Stream& stream) {
  const transport::PeerInfo& peer = stream.peer();
  const std::string_view scheme = peer.scheme;
  return !peer.tls && !peer.http && (scheme == "tcp" || scheme == "unix");
}

}  // namespace

void Relay::plan_splice() {
  if (options_.zero_copy == ZeroCopy::never) {
    mode_reason_ = "zero copy is off";
  } else if (!options_.pipes) {
    mode_reason_ = "there is no pool of pipes";
  } else if (client().messages || !is_plain_socket(*client().stream)) {
    mode_reason_ = "the client is no plain tcp or unix socket";
  } else if (backend().messages || !is_plain_socket(*backend().stream)) {
    mode_reason_ = "the backend is no plain tcp or unix socket";
  } else if (options_.zero_copy == ZeroCopy::always) {
    mode_reason_ = "bytes have been waiting since the start";
    schedule_switch();
  } else {
    mode_reason_ = "little was moved";
    switch_ = Switch::when_bulk;
  }
}

void Relay::count_bulk(Leg& from, std::size_t bytes) {
  from.bulk = bytes >= options_.splice_read_bytes ? from.bulk + bytes : from.bulk / 2;
  if (from.bulk < options_.splice_after_bytes) return;
  mode_reason_ = "bytes were always waiting";
  schedule_switch();
}

void Relay::schedule_switch() {
  switch_ = Switch::next_turn_end;
  loop_.at_turn_end(*this);
}

// Called when the streams have told all they know. What waits is left to drain, and its source is not read meanwhile.
void Relay::try_switch() {
  bool drained = true;
  for (Leg& leg : legs_) {
    if (leg.stream->queued() == 0) continue;
    drained = false;
    if (!other(leg).paused) pause(other(leg));
  }
  if (!drained) {
    if (retry_.wait == kLastRetry) return give_up_splice("a queue did not drain");
    switch_ = Switch::draining;
    retry_.wait = std::clamp(retry_.wait * 2, kFirstRetry, kLastRetry);
    return loop_.arm(retry_, after(loop_.now(), retry_.wait));
  }
  std::optional<Fd> fd = client().stream->detach();
  if (!fd) return give_up_splice("the client's stream gives no descriptor");
  std::optional<Fd> backend_fd = backend().stream->detach();
  if (backend_fd) return switch_over(*std::move(fd), *std::move(backend_fd));
  // Streams that call themselves plain sockets and are none, one of them: there is no way back.
  begin_end(RelayEnd::backend_failed);
  const CloseReason reason =
      CloseReason::local(ErrorCode::internal, "relay: the backend's stream gives no descriptor (" +
                                                  backend().stream->peer().remote_url() + ")");
  reset_socket(*std::move(fd));
  client().closed = true;
  client().closed_for = reason;
  abort(backend(), reason);
}

void Relay::give_up_splice(const char* why) {
  switch_ = Switch::no;
  mode_reason_ = why;
  loop_.disarm(retry_);
  for (Leg& leg : legs_) resume(leg);
}

void Relay::switch_over(Fd client_fd, Fd backend_fd) {
  switch_ = Switch::no;
  mode_reason_ = options_.zero_copy == ZeroCopy::always ? "from the start" : "after bulk";
  pump_ = std::make_unique<SplicePump>(loop_, *options_.pipes, static_cast<SplicePump::Events&>(*this),
                                       std::move(client_fd), std::move(backend_fd));
  pump_->start();
}

void Relay::on_pump_read_end(unsigned side) {
  legs_[side].read_end = true;
  if (first_end_) return;
  first_end_ = static_cast<RelaySide>(side);
  first_end_at_ = loop_.now();
  arm();
}

void Relay::on_pump_ended(std::optional<unsigned> failed, CloseReason reason) {
  ending_ = true;
  end_ = !failed ? RelayEnd::both_ended : *failed == 0 ? RelayEnd::client_failed : RelayEnd::backend_failed;
  if (failed) reason.error.detail += " (" + legs_[*failed].stream->peer().remote_url() + ")";
  for (Leg& leg : legs_) {
    leg.closed = true;
    leg.closed_for = reason;
  }
  loop_.at_turn_end(*this);
}

}  // namespace wayport::relay

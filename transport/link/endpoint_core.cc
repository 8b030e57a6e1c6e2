#include "wayport/transport/link/endpoint_core.h"

#include <algorithm>
#include <utility>

#include "wayport/framing/link/auth.h"

namespace wayport::link {
namespace {

constexpr std::size_t kTurnBytes = 16 * 1024;  // of one channel before the next one's turn

std::string name_of(const Channel& channel) {
  return "virtual connection " + std::to_string(channel.connection()) + " with " + std::to_string(channel.remote());
}

// Of a chain of whole frames.
std::size_t frame_bytes_at(const Chain& frames, std::size_t offset) noexcept {
  std::byte word[kLengthBytes];
  frames.copy_to(word, offset);
  return kLengthBytes + std::size_t{load_le<std::uint32_t>(word)};
}

}  // namespace

Channel::~Channel() {
  if (core_) core_->release(*this);
}

std::size_t EndpointCore::Hash::operator()(std::uint32_t id) const noexcept {
  std::uint64_t x = seed ^ id;
  x = (x ^ (x >> 33)) * 0xff51'afd7'ed55'8ccdull;
  x = (x ^ (x >> 33)) * (seed | 1);
  return static_cast<std::size_t>(x ^ (x >> 29));
}

EndpointCore::EndpointCore(EndpointIdentity identity, const EndpointOptions& options, TimePoint now,
                           std::uint64_t hash_seed)
    : identity_(std::move(identity)),
      options_(options),
      phase_(identity_.server ? Phase::challenge : Phase::ready),
      reader_(options.packet_bytes_max),
      channels_(0, Hash{hash_seed}),
      now_(now),
      received_at_(now),
      sent_at_(now) {
  if (identity_.server && options_.authentication_timeout > Duration::zero()) {
    authentication_due_ = after(now, options_.authentication_timeout);
  }
}

EndpointCore::~EndpointCore() {
  all_.for_each([](Channel::All& node) { node.channel.core_ = nullptr; });
}

// --- the physical connection ---

std::size_t EndpointCore::handle_bytes(Bytes in, TimePoint now, Event& event) {
  event = Event();
  now_ = now;
  if (broken_ || in.empty()) return broken_ ? in.size() : 0;
  received_at_ = now;
  ping_judged_at_ = kNever;
  if (phase_ == Phase::challenge) return answer_challenge(in);
  if (phase_ == Phase::answered) {
    // A gateway says nothing to a server that it does not believe.
    phase_ = Phase::ready;
    authentication_due_ = kNever;
    event.kind = Event::Kind::ready;
    return 0;
  }
  if (paused_) return 0;
  const Result<std::size_t> consumed = reader_.read(in, [&](Frame& frame) { return handle_frame(frame, event); });
  if (consumed) return *consumed;
  break_off(CloseReason::local(consumed.error().code, "the gateway's bytes are no frames: " + consumed.error().detail));
  return in.size();
}

std::size_t EndpointCore::answer_challenge(Bytes in) {
  if (in.size() < kChallengeBytes) return 0;
  Challenge challenge;
  std::copy_n(in.begin(), challenge.size(), challenge.begin());
  Result<AuthResponse> response = encode_auth_response(challenge, as_bytes(identity_.key), identity_.server_id);
  if (!response) {
    break_off({CloseReason::By::local, std::move(response.error())});
    return in.size();
  }
  Chain first;
  first.append(Bytes(*response));
  // Its answer is the only sign that the key was right.
  first.append(Bytes(EncodedCommand(Command::ping())));
  counters_.pings.add();
  first.append(std::move(control_));
  control_ = std::move(first);
  phase_ = Phase::answered;
  return kChallengeBytes;
}

bool EndpointCore::handle_frame(Frame& frame, Event& event) {
  const bool go_on = frame.connection == kControlConnection ? handle_command(frame, event) : handle_data(frame, event);
  return go_on && !paused_ && !broken_;
}

bool EndpointCore::handle_command(Frame& frame, Event& event) {
  std::byte prefix[kCommandMessageBytesMax];
  const Result<Command> decoded = decode_command(Bytes(prefix).first(frame.copy_message(prefix)));
  const auto refuse = [&](const std::string& what) {
    break_off(CloseReason::local(ErrorCode::malformed, "the gateway broke the link protocol: " + what));
    return false;
  };
  if (!decoded) return refuse(decoded.error().detail);
  const Command& command = *decoded;
  const auto say = [](std::uint32_t id) { return std::to_string(id); };
  switch (command.type) {
    case CommandType::dial:
      return refuse("it sent Dial");
    case CommandType::ping:
      return true;
    case CommandType::refuse: {
      const auto dial = find_dial(command.remote);
      if (dial == dials_.end()) return refuse("it refused " + say(command.remote) + ", which nobody dialed");
      const PendingDial answered = *dial;
      dials_.erase(dial);
      counters_.dials_refused.add();
      if (answered.given_up) return true;
      event.kind = Event::Kind::dial_failed;
      event.dial = answered.token;
      event.reason = CloseReason::peer(ErrorCode::refused, "the gateway has no " +
                                                               std::string(identity_.server ? "client " : "server ") +
                                                               say(command.remote) + ", or no room for another");
      return false;
    }
    case CommandType::accept:
    case CommandType::connect: {
      const bool accept = command.type == CommandType::accept;
      const auto dial = accept ? find_dial(command.remote) : dials_.end();
      if (accept && dial == dials_.end()) {
        return refuse("it accepted a dial of " + say(command.remote) + ", which nobody dialed");
      }
      if (command.connection == kControlConnection) return refuse("connection id 0 was given to a connection");
      const auto known = channels_.find(command.connection);
      if (known != channels_.end()) {
        return refuse("connection id " + say(command.connection) + " was given to a second connection");
      }
      event.kind = accept ? Event::Kind::dialed : Event::Kind::connected;
      if (accept) {
        const PendingDial answered = *dial;
        dials_.erase(dial);
        event.dial = answered.token;
        if (answered.given_up) {
          counters_.accepted_late.add();
          event.kind = Event::Kind::none;
        }
      } else {
        counters_.connected.add();
        // A dial holds the place that its answer will take; who has ended holds his own until he is dropped.
        if (living_count_ + dials_.size() >= options_.virtual_max) {
          counters_.connected_over_max.add();
          event.kind = Event::Kind::none;
        }
      }
      std::unique_ptr<Channel> channel = add(command.connection, command.remote);
      if (event.kind == Event::Kind::none) return true;  // the channel closes itself
      event.fresh = std::move(channel);
      event.channel = event.fresh.get();
      return false;
    }
    case CommandType::close: {
      const auto known = channels_.find(command.connection);
      if (known == channels_.end()) return true;
      Channel* const channel = known->second;
      channels_.erase(known);
      if (!channel) {
        --closing_count_;
        return true;
      }
      counters_.virtual_connections.add(-1);
      const bool ours = channel->state_ == Channel::State::close_sent || channel->state_ == Channel::State::closing;
      end(*channel,
          ours ? *channel->reason_ : CloseReason::peer(ErrorCode::peer_closed, name_of(*channel) + " was closed"),
          !ours);
      return true;
    }
  }
  return true;
}

bool EndpointCore::handle_data(Frame& frame, Event& event) {
  const std::size_t size = frame.size();
  counters_.messages_in.add();
  counters_.bytes_in.add(size);
  const auto known = channels_.find(frame.connection);
  if (known == channels_.end()) {
    counters_.stray_messages.add();
    command(Command::close(frame.connection));
    return true;
  }
  Channel* const channel = known->second;
  if (!channel || channel->state_ != Channel::State::open) {
    counters_.late_messages.add();
    return true;
  }
  if (!channel->reading_ || channel->in_messages_ != 0) {
    store(*channel, frame);
    return true;
  }
  event.kind = Event::Kind::message;
  event.channel = channel;
  if (frame.chain) {
    current_ = std::move(*frame.chain);
    event.pieces = &current_;
  } else {
    event.whole = frame.bytes.subspan(kFrameHeaderBytes);
  }
  return false;
}

void EndpointCore::store(Channel& channel, Frame& frame) {
  const std::size_t size = frame.size();
  const EndpointOptions::Limits& own = options_.virtual_receive;
  const EndpointOptions::Limits& all = options_.receive;
  if (channel.in_.size() + size > own.bytes_max || channel.in_messages_ + 1 > own.messages_max) {
    return overflow(channel, "unread messages exceed virtual_receive (" + format_bytes(own.bytes_max) + ", " +
                                 std::to_string(own.messages_max) + " messages)");
  }
  if (unread_bytes_ + size > all.bytes_max || unread_messages_ + 1 > all.messages_max) {
    return overflow(channel, "unread messages of all virtual connections exceed receive (" +
                                 format_bytes(all.bytes_max) + ", " + std::to_string(all.messages_max) + " messages)");
  }
  frame.move_to(channel.in_);
  ++channel.in_messages_;
  unread_bytes_ += size;
  ++unread_messages_;
  if (channel.reading_) tell(channel);
  update_pause();
}

void EndpointCore::overflow(Channel& channel, const std::string& what) {
  counters_.receive_overflows.add();
  CloseReason reason = CloseReason::local(ErrorCode::overloaded, name_of(channel) + ": " + what);
  if (options_.receive_policy == EndpointOptions::Slow::cut) return break_off(std::move(reason));
  abort(channel, std::move(reason));
}

void EndpointCore::handle_closed(CloseReason reason) {
  if (phase_ == Phase::answered && reason.by == CloseReason::By::peer) {
    reason.error = {ErrorCode::refused,
                    "the gateway closed the connection when it had the answer to its challenge: is the key of server " +
                        std::to_string(identity_.server_id) + " the gateway's?",
                    reason.error.cause};
  }
  break_off(std::move(reason));
}

// Everything ends, for one reason.
void EndpointCore::break_off(CloseReason reason) {
  if (broken_) return;
  broken_ = true;
  paused_ = false;
  control_.clear();
  authentication_due_ = next_dial_due_ = kNever;
  const auto put = [&](Event::Kind kind, std::uint64_t dial) {
    Event event;
    event.kind = kind;
    event.dial = dial;
    event.reason = reason;
    events_.push_back(std::move(event));
  };
  for (const PendingDial& dial : std::exchange(dials_, {})) {
    if (!dial.given_up) put(Event::Kind::dial_failed, dial.token);
  }
  const auto channels = std::exchange(channels_, decltype(channels_)(0, channels_.hash_function()));
  closing_count_ = 0;
  for (const auto& [id, channel] : channels) {
    if (!channel) continue;
    counters_.virtual_connections.add(-1);
    const bool ours = channel->state_ != Channel::State::open;
    end(*channel, ours ? *channel->reason_ : reason, !ours);
  }
  put(Event::Kind::broken, 0);
}

void EndpointCore::take_output(Chain& to, std::size_t bytes, TimePoint now) {
  if (!has_output()) return;
  sent_at_ = now;
  to.append(std::move(control_));
  while (to.size() < bytes && !sending_.empty()) {
    Channel& channel = sending_.front().channel;
    channel.sending_.unlink();
    std::size_t size = channel.out_.size();
    std::size_t messages = channel.out_messages_;
    if (size > kTurnBytes) {
      size = messages = 0;
      do {
        size += frame_bytes_at(channel.out_, size);
        ++messages;
      } while (size < kTurnBytes);
    }
    to.append(channel.out_.split(size));
    channel.out_messages_ -= messages;
    unsent_bytes_ -= size;
    unsent_messages_ -= messages;
    counters_.messages_out.add(messages);
    counters_.bytes_out.add(size);
    if (!channel.out_.empty()) {
      sending_.push_back(channel.sending_);
    } else if (channel.state_ == Channel::State::closing) {
      channel.state_ = Channel::State::close_sent;
      to.append(Bytes(EncodedCommand(Command::close(channel.connection_))));
    }
  }
  wake_waiting();
}

// --- time ---

void EndpointCore::tick(TimePoint now) {
  now_ = now;
  if (broken_) return;
  if (authentication_due_ <= now) {
    return break_off(CloseReason::local(
        ErrorCode::timed_out, std::string(phase_ == Phase::challenge ? "no challenge from the gateway within "
                                                                     : "no word of the gateway after our answer to its "
                                                                       "challenge within ") +
                                  format_duration(options_.authentication_timeout)));
  }
  if (next_dial_due_ <= now) {
    next_dial_due_ = kNever;
    for (PendingDial& dial : dials_) {
      if (dial.given_up) continue;
      if (dial.due > now) {
        next_dial_due_ = std::min(next_dial_due_, dial.due);
        continue;
      }
      dial.given_up = true;
      counters_.dials_timed_out.add();
      Event event;
      event.kind = Event::Kind::dial_failed;
      event.dial = dial.token;
      event.reason =
          CloseReason::local(ErrorCode::timed_out, "no answer of the gateway to a dial of " +
                                                       std::string(identity_.server ? "client " : "server ") +
                                                       std::to_string(dial.remote));
      events_.push_back(std::move(event));
    }
  }
  if (phase_ != Phase::ready || options_.ping_interval == Duration::zero()) return;
  // Who does not read cannot hear an answer.
  if (paused_ && ping_judged_at_ != kNever) ping_judged_at_ = after(now, options_.ping_timeout);
  if (ping_judged_at_ <= now) {
    counters_.ping_timeouts.add();
    ping_judged_at_ = kNever;
    sent_at_ = now;
    Event event;
    event.kind = Event::Kind::ping_timeout;
    event.reason = CloseReason::local(
        ErrorCode::timed_out, "the gateway did not answer a ping within " + format_duration(options_.ping_timeout));
    events_.push_back(std::move(event));
    return;
  }
  if (ping_judged_at_ != kNever && !paused_) return;
  if (now - (paused_ ? sent_at_ : std::min(sent_at_, received_at_)) < options_.ping_interval) return;
  counters_.pings.add();
  command(Command::ping());
  sent_at_ = now;
  ping_judged_at_ = after(now, options_.ping_timeout);
}

TimePoint EndpointCore::next_due() const noexcept {
  if (broken_) return kNever;
  TimePoint due = std::min(authentication_due_, next_dial_due_);
  if (phase_ != Phase::ready || options_.ping_interval == Duration::zero()) return due;
  if (ping_judged_at_ != kNever) return std::min(due, ping_judged_at_);
  const TimePoint last = paused_ ? sent_at_ : std::min(sent_at_, received_at_);
  return std::min(due, after(last, options_.ping_interval));
}

void EndpointCore::handle_reconnecting(TimePoint now) noexcept {
  counters_.reconnects.add();
  ping_judged_at_ = after(now, options_.reconnect_timeout);
}

// --- the application ---

Result<std::uint64_t> EndpointCore::dial(std::uint32_t remote, TimePoint due) {
  if (broken_) return fail(ErrorCode::local_closed, "the connection with the gateway has ended");
  if (dials_.size() >= options_.dials_max) {
    counters_.dials_over_max.add();
    return fail(ErrorCode::overloaded, "dials_max " + std::to_string(options_.dials_max) + " dials have no answer yet");
  }
  if (living_count_ + dials_.size() >= options_.virtual_max) {
    counters_.dials_over_max.add();
    return fail(ErrorCode::overloaded, "virtual_max " + std::to_string(options_.virtual_max) + " is reached");
  }
  counters_.dials.add();
  const std::uint64_t token = next_token_++;
  dials_.push_back({token, remote, due, false});
  next_dial_due_ = std::min(next_dial_due_, due);
  command(Command::dial(remote));
  update_pause();
  return token;
}

void EndpointCore::cancel(std::uint64_t token) noexcept {
  const auto dial = std::ranges::find(dials_, token, &PendingDial::token);
  if (dial != dials_.end()) {
    dial->given_up = true;
  } else {
    // It has failed, and was not told yet.
    std::erase_if(events_, [token](const Event& event) { return event.dial == token; });
  }
}

bool EndpointCore::fits(const Channel& channel, std::size_t frame_bytes) const noexcept {
  if (!pressed_ && phase_ != Phase::challenge) return true;
  return channel.out_.size() + frame_bytes <= options_.virtual_send.bytes_max &&
         channel.out_messages_ < options_.virtual_send.messages_max &&
         unsent_bytes_ + frame_bytes <= options_.send.bytes_max && unsent_messages_ < options_.send.messages_max;
}

bool EndpointCore::has_room(Channel& channel, std::size_t payload_bytes) {
  if (fits(channel, payload_bytes + kFrameHeaderBytes)) return true;
  waiting_.push_back(channel.waiting_);
  return false;
}

Result<bool> EndpointCore::send(Channel& channel, Chain&& payload) {
  if (channel.state_ != Channel::State::open) {
    const bool by_peer = channel.reason_ && channel.reason_->by != CloseReason::By::local;
    return fail(by_peer ? ErrorCode::peer_closed : ErrorCode::local_closed, name_of(channel) + " is closed");
  }
  if (payload.size() > payload_max()) {
    return fail(ErrorCode::too_large, "a message of " + std::to_string(payload.size()) +
                                          " bytes is more than packet_bytes_max " +
                                          std::to_string(options_.packet_bytes_max) + " - 4");
  }
  const std::size_t size = payload.size() + kFrameHeaderBytes;
  if (!fits(channel, size)) {
    counters_.send_overflows.add();
    const std::string what = name_of(channel) + ": the gateway does not take what is sent: over virtual_send (" +
                             format_bytes(options_.virtual_send.bytes_max) + ", " +
                             std::to_string(options_.virtual_send.messages_max) + " messages) or send (" +
                             format_bytes(options_.send.bytes_max) + ", " + std::to_string(options_.send.messages_max) +
                             " messages)";
    switch (options_.send_policy) {
      case EndpointOptions::Slow::close:
        abort(channel, CloseReason::local(ErrorCode::overloaded, what));
        break;
      case EndpointOptions::Slow::pause:
        waiting_.push_back(channel.waiting_);
        break;
      case EndpointOptions::Slow::cut:
        break_off(CloseReason::local(ErrorCode::overloaded, what));
        break;
    }
    return fail(ErrorCode::overloaded, what);
  }
  std::byte header[kFrameHeaderBytes];
  encode_frame_header({static_cast<std::uint32_t>(payload.size() + kFrameLengthMin), channel.connection_}, header);
  channel.out_.append(Bytes(header));
  channel.out_.append(std::move(payload));
  ++channel.out_messages_;
  unsent_bytes_ += size;
  ++unsent_messages_;
  if (!channel.sending_.linked()) sending_.push_back(channel.sending_);
  const bool high = pressed_ && (channel.out_.size() >= options_.virtual_send.bytes_max / 2 ||
                                 channel.out_messages_ >= options_.virtual_send.messages_max / 2);
  if (high) waiting_.push_back(channel.waiting_);
  return !high;
}

void EndpointCore::wake_waiting() {
  if (waiting_.empty() || unsent_bytes_ > options_.send.bytes_max / 2 ||
      unsent_messages_ > options_.send.messages_max / 2) {
    return;
  }
  waiting_.for_each([this](Channel::Waiting& waiting) {
    Channel& channel = waiting.channel;
    if (channel.out_.size() > options_.virtual_send.bytes_max / 4 ||
        channel.out_messages_ > options_.virtual_send.messages_max / 4) {
      return;
    }
    waiting.unlink();
    channel.tell_writable_ = true;
    tell(channel);
  });
}

void EndpointCore::read(Channel& channel, bool on) {
  channel.reading_ = on;
  const bool first = on && !std::exchange(channel.started_, channel.started_ || on);
  if (first || (on && channel.in_messages_ != 0)) tell(channel);
}

void EndpointCore::close(Channel& channel, CloseReason reason) {
  if (channel.state_ != Channel::State::open) {
    if (channel.state_ == Channel::State::ended) hurry(channel);
    return;
  }
  if (broken_) return;
  drop_unread(channel);
  channel.reason_ = std::make_unique<CloseReason>(std::move(reason));
  if (channel.out_.empty()) {
    channel.state_ = Channel::State::close_sent;
    command(Command::close(channel.connection_));
  } else {
    channel.state_ = Channel::State::closing;
  }
}

void EndpointCore::abort(Channel& channel, CloseReason reason) {
  if (channel.state_ == Channel::State::ended) {
    hurry(channel);
    return;
  }
  if (channel.state_ != Channel::State::open && channel.reason_) reason = *channel.reason_;
  forget(channel);
  end(channel, std::move(reason), false);
}

// The channel leaves the table; the gateway hears Close, if it has not.
void EndpointCore::forget(Channel& channel) {
  const bool tell_gateway = channel.state_ != Channel::State::close_sent;
  const auto known = channels_.find(channel.connection_);
  if (known == channels_.end()) return;
  counters_.virtual_connections.add(-1);
  if (closing_count_ < options_.closing_max) {
    known->second = nullptr;
    ++closing_count_;
  } else {
    channels_.erase(known);
  }
  if (tell_gateway) command(Command::close(channel.connection_));
}

// The channel is out of the table already.
void EndpointCore::end(Channel& channel, CloseReason reason, bool keep_unread) {
  channel.state_ = Channel::State::ended;
  channel.reason_ = std::make_unique<CloseReason>(std::move(reason));
  drop_unsent(channel);
  if (!keep_unread) drop_unread(channel);
  // Whoever waits for room learns that there is nothing to wait for.
  if (channel.waiting_.linked()) {
    channel.waiting_.unlink();
    channel.tell_writable_ = true;
  }
  tell(channel);
  update_pause();
}

// Its owner has destroyed it.
void EndpointCore::release(Channel& channel) {
  --living_count_;
  if (channel.state_ != Channel::State::ended && !broken_) forget(channel);
  drop_unsent(channel);
  drop_unread(channel);
}

// The gateway's Close came before ours; unread messages, which would come first, are of no use any more.
void EndpointCore::hurry(Channel& channel) {
  if (channel.told_closed_) return;
  drop_unread(channel);
  tell(channel);
}

void EndpointCore::drop_unread(Channel& channel) noexcept {
  unread_bytes_ -= channel.in_.size();
  unread_messages_ -= channel.in_messages_;
  channel.in_.clear();
  channel.in_messages_ = 0;
  update_pause();
}

void EndpointCore::drop_unsent(Channel& channel) noexcept {
  unsent_bytes_ -= channel.out_.size();
  unsent_messages_ -= channel.out_messages_;
  channel.out_.clear();
  channel.out_messages_ = 0;
  channel.sending_.unlink();
}

EndpointCore::Event EndpointCore::next_event() {
  Event event;
  if (!events_.empty()) {
    event = std::move(events_.front());
    events_.pop_front();
    return event;
  }
  while (!due_.empty()) {
    Channel& channel = due_.front().channel;
    channel.due_.unlink();
    if (!channel.started_) continue;
    event.channel = &channel;
    if (std::exchange(channel.tell_writable_, false)) {
      tell(channel);
      event.kind = Event::Kind::writable;
      return event;
    }
    if (channel.in_messages_ != 0) {
      if (!channel.reading_) continue;
      const std::size_t size = frame_bytes_at(channel.in_, 0);
      current_ = channel.in_.split(size);
      --channel.in_messages_;
      unread_bytes_ -= size;
      --unread_messages_;
      tell(channel);
      update_pause();
      event.kind = Event::Kind::message;
      if (current_.front().size() == size) {
        event.whole = current_.front().subspan(kFrameHeaderBytes);
      } else {
        event.pieces = &current_;
      }
      return event;
    }
    if (channel.state_ == Channel::State::ended && !std::exchange(channel.told_closed_, true)) {
      event.kind = Event::Kind::closed;
      event.reason = *channel.reason_;
      return event;
    }
  }
  return {};
}

// --- what they share ---

std::unique_ptr<Channel> EndpointCore::add(std::uint32_t connection, std::uint32_t remote) {
  std::unique_ptr<Channel> channel(new Channel(*this, connection, remote));
  channels_.emplace(connection, channel.get());
  all_.push_back(channel->all_);
  ++living_count_;
  counters_.virtual_connections.add();
  return channel;
}

// The oldest dial of this id: answers keep the order.
std::list<EndpointCore::PendingDial>::iterator EndpointCore::find_dial(std::uint32_t remote) noexcept {
  return std::ranges::find(dials_, remote, &PendingDial::remote);
}

void EndpointCore::command(const Command& command) {
  if (broken_) return;
  control_.append(Bytes(EncodedCommand(command)));
  if (control_.size() <= options_.command_bytes_max) return;
  break_off(
      CloseReason::local(ErrorCode::overloaded, "the gateway does not take commands: more than command_bytes_max " +
                                                    std::to_string(options_.command_bytes_max) + " wait"));
}

void EndpointCore::update_pause() noexcept {
  if (options_.receive_policy != EndpointOptions::Slow::pause || identity_.server) return;
  const bool alone = channel_count() == 1 && dials_.empty() && !broken_;
  const unsigned part = paused_ ? 4 : 2;
  const bool pause = alone && (unread_bytes_ > options_.virtual_receive.bytes_max / part ||
                               unread_messages_ > options_.virtual_receive.messages_max / part);
  if (pause && !paused_) counters_.receive_pauses.add();
  paused_ = pause;
}

}  // namespace wayport::link

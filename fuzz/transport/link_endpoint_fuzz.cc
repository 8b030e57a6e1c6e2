// An endpoint's core between a hostile gateway and a busy application: whatever the gateway says, every dial and every
// channel has exactly one end, messages come only of channels that are open and read, what is sent is frames that a
// gateway accepts from an endpoint, and no bound is exceeded.
//
// Input: first byte: bit 0: a server; bits 1 and 2: receive policy; bits 3 and 4: send policy. Then operations, one byte
// each with their operands behind it; see the switch.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/base/result.h"
#include "wayport/framing/link/auth.h"
#include "wayport/framing/link/frame_reader.h"
#include "wayport/framing/link/packet.h"
#include "wayport/transport/link/endpoint_core.h"

namespace {

using namespace wayport;
using namespace wayport::link;
using Kind = EndpointCore::Event::Kind;

EndpointOptions small_options(std::uint8_t first) {
  constexpr EndpointOptions::Slow kPolicies[] = {EndpointOptions::Slow::close, EndpointOptions::Slow::pause,
                                                 EndpointOptions::Slow::cut, EndpointOptions::Slow::close};
  EndpointOptions options;
  options.packet_bytes_max = 64;
  options.virtual_max = 6;
  options.dials_max = 4;
  options.closing_max = 3;
  options.command_bytes_max = 200;
  options.virtual_receive = {136, 4};
  options.receive = {272, 9};
  options.virtual_send = {136, 4};
  options.send = {272, 9};
  options.receive_policy = kPolicies[first >> 1 & 3];
  options.send_policy = kPolicies[first >> 3 & 3];
  WAYPORT_ASSERT(options.validate().has_value(), "small, and valid");
  return options;
}

class World {
 public:
  explicit World(std::uint8_t first)
      : server_((first & 1) != 0),
        core_(server_ ? EndpointIdentity::as_server(7, "key") : EndpointIdentity::client(), small_options(first), now_,
              0x9e37'79b9'7f4a'7c15u),
        wire_(64) {}

  void receive(std::string_view bytes) {
    unread_ += bytes;
    pump();
  }
  void pump() {
    for (;;) {
      EndpointCore::Event event;
      const std::size_t consumed = core_.handle_bytes(as_bytes(unread_), now_, event);
      WAYPORT_ASSERT(consumed <= unread_.size(), "consumed what there is");
      note(event);
      unread_.erase(0, consumed);
      if (!event) break;
    }
    WAYPORT_ASSERT(unread_.size() <= FrameReader::kInPlaceBytesMax || !core_.wants_bytes(),
                   "only part of a frame is left");
    poll();
  }
  void poll() {
    while (EndpointCore::Event event = core_.next_event()) note(event);
    check();
  }
  void dial(std::uint32_t remote, bool timed) {
    const Result<std::uint64_t> token = core_.dial(remote, timed ? now_ + std::chrono::seconds(3) : kNever);
    if (!token) return;
    WAYPORT_ASSERT(dials_.insert(*token).second, "a token of its own");
    poll();
  }
  void cancel(std::size_t which) {
    if (dials_.empty()) return;
    const auto dial = std::next(dials_.begin(), static_cast<std::ptrdiff_t>(which % dials_.size()));
    core_.cancel(*dial);
    dials_.erase(dial);
  }
  void send(std::size_t which, std::size_t size) {
    if (Owned* owned = at(which)) {
      Chain payload;
      payload.append(std::string(size, 's'));
      const bool open = owned->channel->open();
      const Result<bool> sent = core_.send(*owned->channel, std::move(payload));
      WAYPORT_ASSERT(!sent || (open && size <= 60), "what was refused, was refused");
    }
  }
  void read(std::size_t which, bool on) {
    if (Owned* owned = at(which)) {
      owned->started |= on;
      core_.read(*owned->channel, on);
    }
  }
  void close(std::size_t which, bool abort) {
    if (Owned* owned = at(which)) {
      const CloseReason reason = CloseReason::local(ErrorCode::local_closed, "fuzz");
      abort ? core_.abort(*owned->channel, reason) : core_.close(*owned->channel, reason);
      owned->closed_by_us = true;
    }
  }
  void drop(std::size_t which) {
    if (channels_.empty()) return;
    channels_.erase(std::next(channels_.begin(), static_cast<std::ptrdiff_t>(which % channels_.size())));
  }
  void output(std::size_t bytes) {
    Chain out;
    core_.take_output(out, bytes, now_);
    std::string text = rest_ + out.to_string();
    // The answer to the challenge is no frame.
    if (server_ && !answered_ && !text.empty()) {
      WAYPORT_ASSERT(text.size() >= kAuthResponseBytes, "the answer is in one piece");
      text.erase(0, kAuthResponseBytes);
      answered_ = true;
    }
    const Result<std::size_t> taken = wire_.read(as_bytes(text), [&](Frame& frame) {
      std::byte prefix[kCommandMessageBytesMax];
      if (frame.connection != kControlConnection) return true;
      const Result<Command> command = decode_command(Bytes(prefix).first(frame.copy_message(prefix)));
      WAYPORT_ASSERT(command.has_value(), "a command that means something");
      WAYPORT_ASSERT(command->type == CommandType::dial || command->type == CommandType::close ||
                         command->type == CommandType::ping,
                     "what endpoints may say");
      return true;
    });
    WAYPORT_ASSERT(taken.has_value() && *taken == text.size(), "whole frames within MaxPacket");
    poll();
  }
  void pass(std::uint8_t time) {
    now_ += std::chrono::milliseconds(time * 100);
    core_.tick(now_);
    WAYPORT_ASSERT(core_.next_due() > now_ || core_.has_output() || core_.has_event(), "time goes on");
    poll();
  }
  void pressure(bool high) { core_.handle_pressure(high); }
  void end() {
    core_.handle_closed(CloseReason::peer(ErrorCode::peer_closed, "end"));
    for (auto& [channel, owned] : channels_) {
      owned->started = true;
      core_.read(*channel, true);
    }
    poll();
    WAYPORT_ASSERT(dials_.empty(), "every dial has an end");
    for (const auto& [channel, owned] : channels_) WAYPORT_ASSERT(owned->closed, "every channel has an end");
    WAYPORT_ASSERT(core_.unread_bytes() == 0 && core_.unsent_bytes() == 0, "nothing is left");
  }

 private:
  struct Owned {
    std::unique_ptr<Channel> channel;
    bool started = false;
    bool closed = false;
    bool closed_by_us = false;
  };

  Owned* at(std::size_t which) {
    if (channels_.empty()) return nullptr;
    return std::next(channels_.begin(), static_cast<std::ptrdiff_t>(which % channels_.size()))->second.get();
  }
  void note(EndpointCore::Event& event) {
    switch (event.kind) {
      case Kind::none:
      case Kind::ready:
        return;
      case Kind::message: {
        const Owned& owned = *channels_.at(event.channel);
        WAYPORT_ASSERT(owned.started && event.channel->reading(), "nobody reads");
        WAYPORT_ASSERT(!owned.closed && !owned.closed_by_us, "a message after the end");
        WAYPORT_ASSERT(event.message_bytes() <= 60, "a message is at most MaxPacket - 4");
        return;
      }
      case Kind::dialed:
        WAYPORT_ASSERT(dials_.erase(event.dial) == 1, "an answer to a dial that waits");
        [[fallthrough]];
      case Kind::connected: {
        auto owned = std::make_unique<Owned>();
        owned->channel = std::move(event.fresh);
        Channel* const channel = owned->channel.get();
        channels_[channel] = std::move(owned);
        return;
      }
      case Kind::dial_failed:
        WAYPORT_ASSERT(dials_.erase(event.dial) == 1, "one outcome for each dial");
        return;
      case Kind::closed:
        WAYPORT_ASSERT(!std::exchange(channels_.at(event.channel)->closed, true), "one end for each channel");
        return;
      case Kind::writable:
        WAYPORT_ASSERT(!channels_.at(event.channel)->closed, "nothing after the end");
        return;
      case Kind::ping_timeout:
        core_.handle_reconnecting(now_);
        return;
      case Kind::broken:
        WAYPORT_ASSERT(!std::exchange(broken_, true), "it breaks once");
        return;
    }
  }
  void check() {
    const EndpointOptions& options = core_.options();
    std::size_t unread = 0;
    for (const auto& [channel, owned] : channels_) {
      WAYPORT_ASSERT(channel->unread_bytes() <= options.virtual_receive.bytes_max, "virtual_receive");
      WAYPORT_ASSERT(channel->unread_messages() <= options.virtual_receive.messages_max, "virtual_receive");
      unread += channel->unread_bytes();
    }
    WAYPORT_ASSERT(unread == core_.unread_bytes() && unread <= options.receive.bytes_max, "receive");
    WAYPORT_ASSERT(core_.living_count() == channels_.size(), "who is owned lives");
    WAYPORT_ASSERT(channels_.size() <= options.virtual_max && core_.dial_count() <= options.dials_max,
                   "virtual_max, dials_max");
  }

  const bool server_;
  TimePoint now_{std::chrono::hours(1)};
  EndpointCore core_;
  FrameReader wire_;
  std::string unread_, rest_;
  bool answered_ = false;
  bool broken_ = false;
  std::set<std::uint64_t> dials_;
  std::map<Channel*, std::unique_ptr<Owned>> channels_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 4000) return 0;
  World world(*data);
  std::string_view rest(reinterpret_cast<const char*>(data + 1), size - 1);
  const auto u8 = [&]() -> std::uint8_t {
    if (rest.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(rest.front());
    rest.remove_prefix(1);
    return value;
  };
  while (!rest.empty()) {
    const std::uint8_t operation = u8();
    const std::size_t which = operation >> 4;
    switch (operation & 15) {
      case 0: {  // bytes as they are
        const std::size_t count = std::min<std::size_t>(u8(), rest.size());
        world.receive(rest.substr(0, count));
        rest.remove_prefix(count);
        break;
      }
      case 1:  // a command, with ids that are likely to mean something
        world.receive(as_text(EncodedCommand({static_cast<CommandType>(1 + which % 5), u8() % 8u, u8() % 4u}).bytes()));
        break;
      case 2: {  // data
        Chain frame;
        if (append_data(frame, 1 + which % 7, as_bytes(std::string(u8() % 61, 'd')))) world.receive(frame.to_string());
        break;
      }
      case 3:
        world.dial(u8() % 4u, which % 2 == 0);
        break;
      case 4:
        world.cancel(which);
        break;
      case 5:
        world.send(which, u8() % 64u);
        break;
      case 6:
        world.read(which, true);
        world.poll();
        break;
      case 7:
        world.read(which, false);
        break;
      case 8:
        world.close(which, false);
        break;
      case 9:
        world.close(which, true);
        break;
      case 10:
        world.drop(which);
        break;
      case 11:
        world.output(u8() * 4u);
        break;
      case 12:
        world.pass(u8());
        break;
      case 13:
        world.pressure(which % 2 == 0);
        break;
      case 14:
        world.pump();
        break;
      default:
        world.poll();
        break;
    }
  }
  world.end();
  return 0;
}

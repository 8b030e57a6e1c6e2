// The core against bytes written by hand: what a gateway may say, rightly and wrongly, and every bound from both sides.
#include "wayport/transport/link/endpoint_core.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "wayport/framing/link/auth.h"
#include "wayport/framing/testing/allocation_count.h"

namespace wayport::link {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using Kind = EndpointCore::Event::Kind;
using Slow = EndpointOptions::Slow;

std::string wire(const Command& command) { return std::string(as_text(EncodedCommand(command).bytes())); }
std::string frame(std::uint32_t connection, std::string_view payload) {
  Chain chain;
  EXPECT_TRUE(append_data(chain, connection, as_bytes(payload), 0xffff'ffff).has_value());
  return chain.to_string();
}
Chain chain_of(std::string_view text) {
  Chain chain;
  chain.append(text);
  return chain;
}

// A core, and everything that it says, in words.
struct World {
  explicit World(EndpointOptions options = {}, EndpointIdentity identity = EndpointIdentity::client())
      : core(std::move(identity), options, now, 7) {}

  // Bytes of the gateway, in pieces of `step`; what the core leaves is shown again.
  void receive(std::string_view bytes, std::size_t step = SIZE_MAX) {
    while (!bytes.empty()) {
      const std::size_t size = std::min(step, bytes.size());
      unread += bytes.substr(0, size);
      bytes.remove_prefix(size);
      pump();
    }
  }
  void pump() {
    for (;;) {
      EndpointCore::Event event;
      const std::size_t consumed = core.handle_bytes(as_bytes(unread), now, event);
      note(event);
      unread.erase(0, consumed);
      if (!event) break;
    }
    poll();
  }
  void poll() {
    while (EndpointCore::Event event = core.next_event()) note(event);
  }
  void note(EndpointCore::Event& event) {
    const auto id = [&] { return std::to_string(event.channel->connection()); };
    switch (event.kind) {
      case Kind::none:
        return;
      case Kind::ready:
        return said.push_back("ready");
      case Kind::message: {
        std::string text =
            event.pieces ? event.pieces->to_string().substr(kFrameHeaderBytes) : std::string(as_text(event.whole));
        EXPECT_EQ(text.size(), event.message_bytes());
        if (text.size() > 40) text = std::to_string(text.size()) + " bytes";
        return said.push_back("message " + id() + " " + text);
      }
      case Kind::dialed:
      case Kind::connected:
        said.push_back((event.kind == Kind::dialed ? "dialed " + std::to_string(event.dial) + ": " : "connected ") +
                       id() + " with " + std::to_string(event.channel->remote()));
        if (read_at_once) core.read(*event.fresh, true);
        channels[event.channel->connection()] = std::move(event.fresh);
        return;
      case Kind::dial_failed:
        said.push_back("failed " + std::to_string(event.dial) + ": " + std::string(to_string(event.reason.error.code)));
        error = event.reason.error.detail;
        return;
      case Kind::closed:
        said.push_back("closed " + id() + ": " + std::string(to_string(event.reason.error.code)));
        error = event.reason.error.detail;
        return;
      case Kind::writable:
        return said.push_back("writable " + id());
      case Kind::ping_timeout:
        return said.push_back("ping timeout");
      case Kind::broken:
        said.push_back("broken: " + std::string(to_string(event.reason.error.code)));
        error = event.reason.error.detail;
        return;
    }
  }
  std::vector<std::string> take() {
    poll();
    return std::exchange(said, {});
  }
  std::string output(std::size_t bytes = SIZE_MAX) {
    Chain chain;
    core.take_output(chain, bytes, now);
    return chain.to_string();
  }
  void pass(Duration time) {
    now += time;
    core.tick(now);
  }
  Channel& connect(std::uint32_t connection, std::uint32_t remote = 9) {
    receive(wire(Command::connect(connection, remote)));
    take();
    return *channels.at(connection);
  }
  Result<bool> send(Channel& channel, std::string_view text) { return core.send(channel, chain_of(text)); }

  TimePoint now{std::chrono::hours(1)};
  EndpointCore core;
  std::map<std::uint32_t, std::unique_ptr<Channel>> channels;
  std::string unread;
  std::vector<std::string> said;
  std::string error;
  bool read_at_once = true;
};

EndpointIdentity server() { return EndpointIdentity::as_server(16'909'061, "123"); }
const std::string kChallenge = "\x01\x02\x03\x04\x05\x06\x07\x08";

TEST(EndpointCore, AServerAnswersTheChallengeAndPingsForAnAnswer) {
  for (const std::size_t step : {1uz, 3uz, 100uz}) {
    World world({}, server());
    ASSERT_TRUE(world.core.dial(5, kNever).has_value());
    EXPECT_EQ(world.output(), "") << "nothing goes in front of the answer";
    world.receive(kChallenge, step);
    const std::string said = world.output();
    // spec/link.md 4.
    EXPECT_EQ(to_hex(as_bytes(said.substr(0, 20))), "edf3ad78fbf73d14e39f201cc15ac90c05030201");
    EXPECT_EQ(said.substr(20), wire(Command::ping()) + wire(Command::dial(5)));
    EXPECT_FALSE(world.core.ready());
    EXPECT_THAT(world.take(), IsEmpty());
    world.receive(wire(Command::ping()) + wire(Command::accept(1, 5)), step);
    EXPECT_THAT(world.take(), ElementsAre("ready", "dialed 1: 1 with 5"));
    EXPECT_TRUE(world.core.ready());
  }
}

TEST(EndpointCore, AWrongKeyIsNamedWhenTheGatewayCloses) {
  World world({}, server());
  world.receive(kChallenge);
  world.core.handle_closed(CloseReason::peer(ErrorCode::peer_closed, "end"));
  EXPECT_THAT(world.take(), ElementsAre("broken: refused"));
  EXPECT_THAT(world.error, HasSubstr("is the key of server 16909061 the gateway's?"));
}

TEST(EndpointCore, AuthenticationHasItsTime) {
  for (const bool challenged : {false, true}) {
    World world({}, server());
    if (challenged) world.receive(kChallenge);
    EXPECT_EQ(world.core.next_due(), world.now + seconds(5));
    world.pass(seconds(5) - milliseconds(1));
    EXPECT_THAT(world.take(), IsEmpty());
    world.pass(milliseconds(1));
    EXPECT_THAT(world.take(), ElementsAre("broken: timed_out"));
  }
}

TEST(EndpointCore, AnswersOfOneIdKeepTheOrderOfTheDials) {
  World world;
  for (const std::uint32_t remote : {5, 6, 5, 5}) ASSERT_TRUE(world.core.dial(remote, kNever).has_value());
  EXPECT_EQ(world.output(),
            wire(Command::dial(5)) + wire(Command::dial(6)) + wire(Command::dial(5)) + wire(Command::dial(5)));
  world.receive(wire(Command::accept(1, 6)) + wire(Command::refuse(5)) + wire(Command::accept(2, 5)), 1);
  EXPECT_THAT(world.take(), ElementsAre("dialed 2: 1 with 6", "failed 1: refused", "dialed 3: 2 with 5"));
  EXPECT_EQ(world.core.dial_count(), 1);
  EXPECT_EQ(world.core.counters().dials_refused.read(), 1);
}

TEST(EndpointCore, ADialThatTookTooLongIsClosedWhenItIsAccepted) {
  World world;
  ASSERT_TRUE(world.core.dial(5, world.now + seconds(1)).has_value());
  const Result<std::uint64_t> canceled = world.core.dial(5, kNever);
  world.core.cancel(*canceled);
  ASSERT_TRUE(world.core.dial(5, kNever).has_value());
  EXPECT_EQ(world.core.next_due(), world.now + seconds(1));
  world.output();
  world.pass(seconds(1));
  EXPECT_THAT(world.take(), ElementsAre("failed 1: timed_out"));
  world.receive(wire(Command::accept(1, 5)) + wire(Command::accept(2, 5)) + wire(Command::accept(3, 5)));
  EXPECT_THAT(world.take(), ElementsAre("dialed 3: 3 with 5"));
  EXPECT_EQ(world.output(), wire(Command::close(1)) + wire(Command::close(2)));
  EXPECT_EQ(world.core.counters().accepted_late.read(), 2);
  // What was sent there meanwhile is dropped, until the gateway says Close as well; then ids are unknown.
  world.receive(frame(1, "late") + wire(Command::close(1)) + frame(1, "stray"));
  EXPECT_THAT(world.take(), IsEmpty());
  EXPECT_EQ(world.core.counters().late_messages.read(), 1);
  EXPECT_EQ(world.output(), wire(Command::close(1)));
}

TEST(EndpointCore, OneSendIsOneFrameAndOneReceiveOneMessageForEverySplit) {
  for (const std::size_t step : {1uz, 7uz, 4096uz, SIZE_MAX}) {
    World world;
    Channel& channel = world.connect(1);
    world.receive(frame(1, "Hello") + frame(1, "") + frame(1, std::string(100'000, 'x')) + frame(1, "!"), step);
    EXPECT_THAT(world.take(), ElementsAre("message 1 Hello", "message 1 ", "message 1 100000 bytes", "message 1 !"));
    EXPECT_TRUE(*world.send(channel, "Hello"));
    EXPECT_TRUE(*world.send(channel, ""));
    EXPECT_EQ(world.output(), frame(1, "Hello") + frame(1, ""));
  }
}

TEST(EndpointCore, AMessageIsAtMostMaxPacketMinus4) {
  EndpointOptions options;
  options.packet_bytes_max = 256;
  World world(options);
  Channel& channel = world.connect(1);
  EXPECT_EQ(world.core.payload_max(), 252);
  EXPECT_TRUE(world.send(channel, std::string(252, 'x')).has_value());
  const Result<bool> refused = world.send(channel, std::string(253, 'x'));
  EXPECT_EQ(refused.error().code, ErrorCode::too_large);
  EXPECT_EQ(world.output(), frame(1, std::string(252, 'x')));
  world.receive(frame(1, std::string(252, 'x')));
  EXPECT_THAT(world.take(), ElementsAre("message 1 252 bytes"));
  world.receive(frame(1, std::string(253, 'x')).substr(0, 4));
  EXPECT_THAT(world.take(), UnorderedElementsAre("closed 1: too_large", "broken: too_large"));
}

TEST(EndpointCore, WhatIsNotReadWaitsInItsOrder) {
  World world;
  Channel& channel = world.connect(1);
  world.core.read(channel, false);
  world.receive(frame(1, "a") + frame(1, std::string(40'000, 'x')));
  EXPECT_THAT(world.take(), IsEmpty());
  EXPECT_EQ(channel.unread_messages(), 2);
  world.core.read(channel, true);
  world.receive(frame(1, "c"));
  EXPECT_THAT(world.take(), ElementsAre("message 1 a", "message 1 40000 bytes", "message 1 c"));
  EXPECT_EQ(world.core.unread_bytes(), 0);
}

TEST(EndpointCore, CloseComesAfterWhatWasReceived) {
  World world;
  Channel& channel = world.connect(1);
  world.core.read(channel, false);
  world.receive(frame(1, "last") + wire(Command::close(1)));
  EXPECT_THAT(world.take(), IsEmpty());
  EXPECT_FALSE(channel.open());
  EXPECT_EQ(world.send(channel, "x").error().code, ErrorCode::peer_closed);
  world.core.read(channel, true);
  EXPECT_THAT(world.take(), ElementsAre("message 1 last", "closed 1: peer_closed"));
  EXPECT_EQ(world.core.channel_count(), 0);
  EXPECT_EQ(world.output(), "") << "it is closed already";
  // The id may come again.
  EXPECT_EQ(world.connect(1).connection(), 1);
}

TEST(EndpointCore, NothingIsToldOfAChannelBeforeItsFirstRead) {
  World world;
  world.read_at_once = false;
  Channel& channel = world.connect(1);
  world.receive(frame(1, "early") + wire(Command::close(1)));
  EXPECT_THAT(world.take(), IsEmpty());
  world.core.read(channel, true);
  EXPECT_THAT(world.take(), ElementsAre("message 1 early", "closed 1: peer_closed"));
}

TEST(EndpointCore, OneUnreadConnectionBlocksNoOtherAndClosesAtItsBound) {
  EndpointOptions options;
  options.virtual_receive = {1u << 20, 3};
  World world(options);
  world.core.read(world.connect(1), false);
  world.connect(2);
  for (int i = 0; i < 3; ++i) world.receive(frame(1, "u") + frame(2, "r"));
  EXPECT_THAT(world.take(), ElementsAre("message 2 r", "message 2 r", "message 2 r"));
  EXPECT_EQ(world.core.counters().receive_overflows.read(), 0);
  world.receive(frame(1, "u") + frame(2, "r"));
  EXPECT_THAT(world.take(), ElementsAre("message 2 r", "closed 1: overloaded"));
  EXPECT_EQ(world.core.counters().receive_overflows.read(), 1);
  EXPECT_EQ(world.output(), wire(Command::close(1)));
  EXPECT_EQ(world.core.unread_bytes(), 0);
}

TEST(EndpointCore, UnreadBytesAreBoundedForOneAndForAll) {
  EndpointOptions options;
  options.packet_bytes_max = 104;
  options.virtual_receive = {216, 100};  // two frames of the largest size
  options.receive = {324, 100};          // three
  World world(options);
  const std::string largest(100, 'x');
  for (const std::uint32_t id : {1, 2}) world.core.read(world.connect(id), false);
  world.receive(frame(1, largest) + frame(1, largest));
  EXPECT_THAT(world.take(), IsEmpty());
  world.receive(frame(2, largest));
  EXPECT_EQ(world.core.unread_bytes(), 324);
  world.receive(frame(2, ""));
  EXPECT_THAT(world.take(), ElementsAre("closed 2: overloaded"));
  EXPECT_THAT(world.error, HasSubstr("all virtual connections"));
  world.receive(frame(1, ""));
  EXPECT_THAT(world.take(), ElementsAre("closed 1: overloaded"));
  EXPECT_THAT(world.error, HasSubstr("virtual_receive"));
}

TEST(EndpointCore, CutEndsThePhysicalConnection) {
  EndpointOptions options;
  options.virtual_receive = {1u << 20, 1};
  options.receive_policy = Slow::cut;
  World world(options);
  world.core.read(world.connect(1), false);
  world.connect(2);
  ASSERT_TRUE(world.core.dial(5, kNever).has_value());
  world.receive(frame(1, "a"));
  EXPECT_THAT(world.take(), IsEmpty());
  world.receive(frame(1, "b"));
  const std::vector<std::string> said = world.take();
  EXPECT_THAT(said, UnorderedElementsAre("failed 1: overloaded", "broken: overloaded", "closed 2: overloaded"))
      << "the unread one is told when it is read";
  world.core.read(*world.channels.at(1), true);
  EXPECT_THAT(world.take(), ElementsAre("message 1 a", "closed 1: overloaded"));
}

TEST(EndpointCore, ALoneClientPausesAtHalfAndGoesOnAtAQuarter) {
  EndpointOptions options;
  options.virtual_receive = {1u << 20, 8};
  options.receive_policy = Slow::pause;
  World world(options);
  Channel& channel = world.connect(1);
  world.core.read(channel, false);
  for (int i = 0; i < 20; ++i) world.receive(frame(1, std::to_string(i)));
  EXPECT_FALSE(world.core.wants_bytes());
  EXPECT_EQ(channel.unread_messages(), 5) << "more than half of 8";
  EXPECT_EQ(world.core.counters().receive_pauses.read(), 1);
  world.core.read(channel, true);
  std::vector<std::string> said = world.take();
  EXPECT_TRUE(world.core.wants_bytes());
  while (!world.unread.empty()) world.pump();
  const std::vector<std::string> more = world.take();
  EXPECT_EQ(said.size() + more.size(), 20);
  EXPECT_EQ(world.core.counters().receive_overflows.read(), 0);
}

TEST(EndpointCore, WhoHasCompanyIsNotPausedButClosed) {
  for (const int how : {0, 1, 2}) {
    EndpointOptions options;
    options.virtual_receive = {1u << 20, 8};
    options.receive_policy = Slow::pause;
    World world(options, how == 2 ? server() : EndpointIdentity::client());
    if (how == 2) world.receive(kChallenge);
    world.core.read(world.connect(1), false);
    if (how == 0) world.connect(2);
    if (how == 1) ASSERT_TRUE(world.core.dial(4, kNever).has_value());
    world.take();
    for (int i = 0; i < 9; ++i) world.receive(frame(1, "x"));
    EXPECT_TRUE(world.core.wants_bytes());
    EXPECT_THAT(world.take(), ElementsAre("closed 1: overloaded")) << how;
  }
}

TEST(EndpointCore, ADialLiftsAPause) {
  EndpointOptions options;
  options.virtual_receive = {1u << 20, 8};
  options.receive_policy = Slow::pause;
  World world(options);
  world.core.read(world.connect(1), false);
  for (int i = 0; i < 5; ++i) world.receive(frame(1, "x"));
  ASSERT_FALSE(world.core.wants_bytes());
  ASSERT_TRUE(world.core.dial(4, kNever).has_value());
  EXPECT_TRUE(world.core.wants_bytes()) << "its answer has to be read";
}

TEST(EndpointCore, SendBoundsBindUnderPressureOnly) {
  EndpointOptions options;
  options.virtual_send = {1u << 20, 4};
  World world(options);
  Channel& channel = world.connect(1);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(*world.send(channel, "x"));
  EXPECT_EQ(world.output().size(), 90);
  world.core.handle_pressure(true);
  EXPECT_TRUE(*world.send(channel, "1"));
  EXPECT_FALSE(*world.send(channel, "2")) << "half: a hint";
  EXPECT_FALSE(*world.send(channel, "3"));
  EXPECT_FALSE(*world.send(channel, "4"));
  EXPECT_THAT(world.take(), IsEmpty());
  const Result<bool> over = world.send(channel, "5");
  EXPECT_EQ(over.error().code, ErrorCode::overloaded);
  EXPECT_THAT(world.take(), ElementsAre("writable 1", "closed 1: overloaded"));
  EXPECT_EQ(world.output(), wire(Command::close(1))) << "without what was unsent";
  EXPECT_EQ(world.core.counters().send_overflows.read(), 1);
}

TEST(EndpointCore, ARefusedSenderHearsWhenThereIsRoom) {
  EndpointOptions options;
  options.virtual_send = {1u << 20, 4};
  options.send_policy = Slow::pause;
  World world(options);
  Channel& channel = world.connect(1);
  world.core.handle_pressure(true);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(world.send(channel, "x").has_value());
  EXPECT_TRUE(!world.send(channel, "x").has_value());
  EXPECT_TRUE(channel.open());
  EXPECT_FALSE(world.core.has_room(channel, 1));
  EXPECT_THAT(world.take(), IsEmpty());
  world.output();
  EXPECT_THAT(world.take(), ElementsAre("writable 1"));
  EXPECT_TRUE(world.core.has_room(channel, 1));
}

TEST(EndpointCore, AllThatIsUnsentIsBoundedAndCutEndsEverything) {
  EndpointOptions options;
  options.send = {1u << 20, 5};
  options.send_policy = Slow::cut;
  World world(options);
  Channel& one = world.connect(1);
  Channel& two = world.connect(2);
  world.core.handle_pressure(true);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(world.send(one, "x").has_value());
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(world.send(two, "x").has_value());
  EXPECT_THAT(world.take(), IsEmpty());
  EXPECT_EQ(world.send(two, "x").error().code, ErrorCode::overloaded);
  EXPECT_THAT(world.take(), UnorderedElementsAre("broken: overloaded", "closed 1: overloaded", "closed 2: overloaded"));
}

TEST(EndpointCore, AFullConnectionDelaysNoOther) {
  World world;
  Channel& full = world.connect(1);
  Channel& other = world.connect(2);
  for (int i = 0; i < 30; ++i) EXPECT_TRUE(world.send(full, std::string(10'000, 'f')).has_value());
  EXPECT_TRUE(world.send(other, "quick").has_value());
  const std::string first = world.output(1);
  EXPECT_EQ(first.size(), 2 * 10'008) << "whole frames, about 16 KiB";
  EXPECT_EQ(world.output(1), frame(2, "quick"));
  std::string rest = world.output();
  EXPECT_EQ(rest.size(), 28 * 10'008);
  EXPECT_EQ(world.core.unsent_bytes(), 0);
}

TEST(EndpointCore, CloseFollowsWhatWasSentAndEndsWithTheGateways) {
  World world;
  Channel& channel = world.connect(1);
  EXPECT_TRUE(world.send(channel, "last").has_value());
  world.core.close(channel, CloseReason::local(ErrorCode::local_closed, "done"));
  EXPECT_EQ(world.send(channel, "x").error().code, ErrorCode::local_closed);
  EXPECT_EQ(world.output(), frame(1, "last") + wire(Command::close(1)));
  world.receive(frame(1, "crossing"));
  EXPECT_THAT(world.take(), IsEmpty());
  world.receive(wire(Command::close(1)));
  EXPECT_THAT(world.take(), ElementsAre("closed 1: local_closed"));
  EXPECT_EQ(world.output(), "");
  world.receive(wire(Command::close(1)) + wire(Command::close(77)));
  EXPECT_THAT(world.take(), IsEmpty()) << "Close of the unknown is ignored";
}

TEST(EndpointCore, DroppingAChannelClosesItWithoutItsUnsent) {
  World world;
  Channel& channel = world.connect(1);
  EXPECT_TRUE(world.send(channel, "unsent").has_value());
  world.channels.clear();
  EXPECT_EQ(world.output(), wire(Command::close(1)));
  EXPECT_EQ(world.core.channel_count(), 0);
  EXPECT_EQ(world.core.unsent_bytes(), 0);
}

TEST(EndpointCore, ClosedIdsAreRememberedUpToABound) {
  EndpointOptions options;
  options.closing_max = 2;
  World world(options);
  for (const std::uint32_t id : {1, 2, 3}) world.connect(id);
  for (const std::uint32_t id : {1, 2, 3}) world.channels.erase(id);
  world.output();
  world.receive(frame(1, "a") + frame(2, "b") + frame(3, "c"));
  EXPECT_EQ(world.core.counters().late_messages.read(), 2);
  EXPECT_EQ(world.core.counters().stray_messages.read(), 1);
  EXPECT_EQ(world.output(), wire(Command::close(3)));
}

TEST(EndpointCore, VirtualConnectionsAndDialsAreBounded) {
  EndpointOptions options;
  options.virtual_max = 3;
  options.dials_max = 1;
  World world(options);
  world.connect(1);
  ASSERT_TRUE(world.core.dial(5, kNever).has_value());
  Result<std::uint64_t> over = world.core.dial(5, kNever);
  EXPECT_THAT(over.error().to_string(), HasSubstr("overloaded: dials_max 1"));
  world.receive(wire(Command::accept(2, 5)));
  world.connect(3);
  over = world.core.dial(5, kNever);
  EXPECT_THAT(over.error().to_string(), HasSubstr("overloaded: virtual_max 3"));
  world.take();
  world.output();
  world.receive(wire(Command::connect(4, 9)));
  EXPECT_THAT(world.take(), IsEmpty());
  EXPECT_EQ(world.output(), wire(Command::close(4)));
  EXPECT_EQ(world.core.counters().connected_over_max.read(), 1);
  EXPECT_EQ(world.core.counters().dials_over_max.read(), 2);
}

TEST(EndpointCore, ADialHoldsThePlaceOfItsAnswer) {
  EndpointOptions options;
  options.virtual_max = 2;
  World world(options);
  ASSERT_TRUE(world.core.dial(5, kNever).has_value());
  world.connect(1);
  world.output();
  world.receive(wire(Command::connect(2, 9)));
  EXPECT_THAT(world.take(), IsEmpty());
  EXPECT_EQ(world.output(), wire(Command::close(2)));
  EXPECT_EQ(world.core.counters().connected_over_max.read(), 1);
  world.receive(wire(Command::accept(3, 5)));
  EXPECT_THAT(world.take(), ElementsAre("dialed 1: 3 with 5"));
  EXPECT_EQ(world.core.channel_count(), 2);
}

TEST(EndpointCore, WhoHasEndedHoldsHisPlaceUntilHeIsDropped) {
  EndpointOptions options;
  options.virtual_max = 2;
  World world(options);
  world.connect(1);
  world.receive(wire(Command::close(1)));
  world.connect(2);
  world.receive(wire(Command::connect(3, 9)));
  EXPECT_EQ(world.output(), wire(Command::close(3)));
  EXPECT_FALSE(world.core.dial(5, kNever).has_value());
  world.channels.erase(1);
  world.connect(4);
  EXPECT_EQ(world.core.living_count(), 2);
}

TEST(EndpointCore, AGatewayThatBreaksTheProtocolIsLeft) {
  const std::string bad[] = {
      wire(Command::dial(1)),
      wire(Command::accept(1, 5)),  // nobody dialed
      wire(Command::refuse(5)),
      wire(Command::connect(0, 5)),  // id 0
      wire(Command::connect(1, 5)),  // a living id
      std::string("\4\0\0\0\0\0\0\0", 8),
      std::string("\5\0\0\0\0\0\0\0\6", 9),  // no type, type 6
      std::string("\5\0\0\0\0\0\0\0\4", 9),
      std::string("\3\0\0\0", 4),  // cut short, length 3
      std::string("\xff\xff\xff\xff", 4),
  };
  for (const std::string& bytes : bad) {
    World world;
    world.connect(1);
    world.receive(bytes + frame(1, "after"));
    EXPECT_THAT(world.take(), UnorderedElementsAre(HasSubstr("closed 1: "), HasSubstr("broken: ")))
        << to_hex(as_bytes(bytes));
    EXPECT_TRUE(world.core.broken());
    EXPECT_FALSE(world.core.dial(1, kNever).has_value());
    EXPECT_EQ(world.output(), "");
  }
}

TEST(EndpointCore, AGatewayThatTakesNoCommandsIsLeft) {
  EndpointOptions options;
  options.command_bytes_max = 130;
  World world(options);
  for (int i = 0; i < 10; ++i) world.receive(frame(7, ""));  // answered by Close, 13 bytes each
  EXPECT_FALSE(world.core.broken());
  world.receive(frame(7, ""));
  EXPECT_THAT(world.take(), ElementsAre("broken: overloaded"));
}

TEST(EndpointCore, WhatIsIdleIsPinged) {
  World world;
  EXPECT_EQ(world.core.next_due(), world.now + seconds(10));
  world.pass(seconds(10) - milliseconds(1));
  EXPECT_EQ(world.output(), "");
  world.pass(milliseconds(1));
  EXPECT_EQ(world.output(), wire(Command::ping()));
  world.receive(wire(Command::ping()));
  EXPECT_THAT(world.take(), IsEmpty());
  EXPECT_EQ(world.core.next_due(), world.now + seconds(10));
}

TEST(EndpointCore, ABusyConnectionIsNotPingedButOneDirectionIsNotEnough) {
  World world;
  Channel& channel = world.connect(1);
  for (int i = 0; i < 5; ++i) {
    world.pass(seconds(9));
    world.receive(frame(1, "x"));
    EXPECT_TRUE(world.send(channel, "y").has_value());
    EXPECT_EQ(world.output(), frame(1, "y"));
  }
  // The gateway counts only what it receives.
  world.pass(seconds(9));
  world.receive(frame(1, "x"));
  world.pass(seconds(1));
  EXPECT_EQ(world.output(), wire(Command::ping()));
}

TEST(EndpointCore, AnUnansweredPingIsToldAndAnyByteIsAnAnswer) {
  World world;
  world.pass(seconds(10));
  world.output();
  world.pass(seconds(10) - milliseconds(1));
  EXPECT_THAT(world.take(), IsEmpty());
  world.receive("\5");
  world.pass(milliseconds(1));
  EXPECT_THAT(world.take(), IsEmpty());
  world.pass(seconds(10));
  EXPECT_EQ(world.output(), wire(Command::ping()));
  world.pass(seconds(10));
  EXPECT_THAT(world.take(), ElementsAre("ping timeout"));
  EXPECT_EQ(world.core.counters().ping_timeouts.read(), 1);
  // A stream that reconnects has longer.
  world.core.handle_reconnecting(world.now);
  world.pass(seconds(60) - milliseconds(1));
  EXPECT_THAT(world.take(), IsEmpty());
  world.pass(milliseconds(1));
  EXPECT_THAT(world.take(), ElementsAre("ping timeout"));
}

TEST(EndpointCore, WhoDoesNotReadPingsOnAndWaitsForNoAnswer) {
  EndpointOptions options;
  options.virtual_receive = {1u << 20, 2};
  options.receive_policy = Slow::pause;
  World world(options);
  world.core.read(world.connect(1), false);
  world.receive(frame(1, "a") + frame(1, "b"));
  ASSERT_FALSE(world.core.wants_bytes());
  for (int i = 0; i < 4; ++i) {
    world.pass(seconds(10));
    EXPECT_EQ(world.output(), wire(Command::ping()));
    EXPECT_THAT(world.take(), IsEmpty());
  }
}

TEST(EndpointOptions, AreCheckedOnBothSidesOfEachBound) {
  const auto error = [](const std::function<void(EndpointOptions&)>& change) {
    EndpointOptions options;
    change(options);
    const Result<void> valid = options.validate();
    return valid ? std::string() : valid.error().to_string();
  };
  EXPECT_EQ(error([](EndpointOptions&) {}), "");
  EXPECT_EQ(error([](EndpointOptions& o) { o.packet_bytes_max = 13; }), "");
  EXPECT_THAT(error([](EndpointOptions& o) { o.packet_bytes_max = 12; }), HasSubstr("packet_bytes_max 12"));
  EXPECT_EQ(error([](EndpointOptions& o) { o.ping_interval = seconds(30) - milliseconds(1); }), "");
  EXPECT_THAT(error([](EndpointOptions& o) { o.ping_interval = seconds(30); }), HasSubstr("gateway's idle time-out"));
  EXPECT_THAT(error([](EndpointOptions& o) { o.ping_interval = seconds(0); }), HasSubstr("gateway's idle time-out"));
  EXPECT_EQ(error([](EndpointOptions& o) { o.ping_interval = o.gateway_idle_timeout = seconds(0); }), "");
  EXPECT_EQ(error([](EndpointOptions& o) { o.ping_interval = seconds(1800), o.gateway_idle_timeout = seconds(0); }),
            "");
  EXPECT_THAT(error([](EndpointOptions& o) { o.ping_interval = seconds(1801), o.gateway_idle_timeout = seconds(0); }),
              HasSubstr("ping_interval 30m1s"));
  EXPECT_THAT(error([](EndpointOptions& o) { o.ping_timeout = seconds(0); }), HasSubstr("ping_timeout"));
  EXPECT_EQ(error([](EndpointOptions& o) { o.virtual_receive = {o.packet_bytes_max + 4, 1}; }), "");
  EXPECT_THAT(error([](EndpointOptions& o) { o.virtual_receive = {o.packet_bytes_max + 3, 1}; }),
              HasSubstr("virtual_receive.bytes_max 524291"));
  EXPECT_THAT(error([](EndpointOptions& o) { o.send.messages_max = 0; }), HasSubstr("send.messages_max 0"));
  EXPECT_THAT(error([](EndpointOptions& o) { o.virtual_max = 0; }), HasSubstr("virtual_max"));
  EXPECT_THAT(error([](EndpointOptions& o) { o.dials_max = 0; }), HasSubstr("dials_max"));
  for (const Slow policy : {Slow::close, Slow::pause, Slow::cut}) {
    EXPECT_EQ(*parse_endpoint_policy(to_string(policy)), policy);
  }
  EXPECT_FALSE(parse_endpoint_policy("wait").has_value());
}

TEST(EndpointCore, AllocatesNothingPerMessage) {
  World world;
  Channel& channel = world.connect(1);
  const std::string in = frame(1, "sixty-four bytes or so of something that somebody has to say here");
  Chain out;
  const auto turn = [&] {
    for (int i = 0; i < 10; ++i) {
      EndpointCore::Event event;
      std::size_t consumed = world.core.handle_bytes(as_bytes(in), world.now, event);
      Chain payload;
      payload.append(event.whole);
      consumed += world.core.send(channel, std::move(payload)).has_value() ? 0 : 1;
      WAYPORT_ASSERT(consumed == in.size(), "one message");
    }
    world.core.take_output(out, SIZE_MAX, world.now);
    out.clear();
  };
  for (int i = 0; i < 10; ++i) turn();
  const std::uint64_t before = framing::testing::allocation_count();
  for (int i = 0; i < 100; ++i) turn();
  EXPECT_EQ(framing::testing::allocation_count() - before, 0);
}

}  // namespace
}  // namespace wayport::link

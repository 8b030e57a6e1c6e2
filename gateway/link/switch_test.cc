// Each bound of the switch, on both sides of it, and what its policies do. What the original does is in vectors_test.cc,
// what happens when everything happens at once in model_test.cc.
#include "wayport/gateway/link/switch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <iostream>
#include <string>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/framing/testing/allocation_count.h"
#include "wayport/gateway/link/testing/rig.h"

namespace wayport::link {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::command;
using testing::data;
using testing::frames_of;
using ::testing::HasSubstr;
using testing::Rig;
using testing::RigSettings;
using testing::Wire;

// A client with a connection to a server: number 1.
struct Joined {
  explicit Joined(RigSettings settings, unsigned client_loop = 0, unsigned server_loop = 0)
      : rig(std::move(settings)), server(rig.server(7, server_loop)), client(rig.client(client_loop)) {
    rig.receive(client, command(Command::dial(7)));
    EXPECT_EQ(client.take(), command(Command::accept(1, 7)));
    EXPECT_EQ(server.take(), command(Command::connect(1, client.port->id())));
  }
  // Leaves something unsent there, so that it is known to be slow.
  void make_slow(Wire& wire) {
    wire.stuck = true;
    rig.receive(wire, command(Command::ping()));
    wire.take();
    EXPECT_TRUE(wire.port->slow());
  }

  Rig rig;
  Wire& server;
  Wire& client;
};

SwitchOptions small_queues() {
  SwitchOptions options;
  options.packet_bytes_max = 1000;
  options.virtual_queue = {2000, 4};
  options.client_queue = {4000, 8};
  options.server_queue = {4000, 8};
  options.command_reserve_bytes = 1024;
  return options;
}

TEST(Switch, DealsClientIdsOutSoThatHandingOutInTurnNumbersInOrder) {
  Rig rig({{}, 3});
  for (std::uint32_t id = 1; id <= 9; ++id) EXPECT_EQ(rig.client((id - 1) % 3).port->id(), id);
  EXPECT_EQ(rig.group().loop_of_client(1), 0u);
  EXPECT_EQ(rig.group().loop_of_client(6), 2u);
}

TEST(Switch, AnswersDialsOfOneIdInTheirOrder) {
  for (const unsigned loops : {1u, 2u, 3u}) {
    Joined joined({{}, loops}, 0, loops - 1);
    std::string dials;
    for (int i = 0; i < 3; ++i) dials += command(Command::dial(7)) + command(Command::dial(8));
    joined.rig.receive(joined.client, dials);
    const std::string refused = command(Command::refuse(8));
    EXPECT_EQ(joined.client.take(), command(Command::accept(2, 7)) + refused + command(Command::accept(3, 7)) +
                                        refused + command(Command::accept(4, 7)) + refused);
  }
}

TEST(Switch, SendsAcceptBeforeConnect) {
  Rig rig;
  Wire& server = rig.server(7);
  Wire& client = rig.client();
  rig.take_sent_to();
  rig.receive(client, command(Command::dial(7)));
  EXPECT_EQ(rig.take_sent_to(), (std::vector<unsigned>{client.number, server.number}));
  rig.receive(server, command(Command::dial(1)));
  EXPECT_EQ(rig.take_sent_to(), (std::vector<unsigned>{server.number, client.number}));
}

// The original notifies the client first, also of a server's dial, so that a client's first data may overtake Accept.
TEST(Switch, SendsAcceptBeforeConnectAlsoAcrossLoops) {
  RigSettings settings{{}, 2};
  settings.manual_mail = true;
  Rig rig(settings);
  Wire& server = rig.server(7, 0);
  rig.client(0);
  Wire& client = rig.client(1);
  rig.receive(server, command(Command::dial(2)));
  const auto carry = [&](unsigned from, unsigned to) {
    rig.end_turn(from);
    rig.collect_mail(from, to);
    while (rig.batches(from, to) != 0) rig.deliver(from, to);
  };
  carry(0, 1);  // dial_client
  EXPECT_EQ(client.out + server.out, "");
  // The place is taken, but the client does not know of it yet: the id is unknown to it.
  rig.receive(client, data(1, "early") + command(Command::close(1)));
  EXPECT_EQ(client.take(), command(Command::close(1)));
  carry(1, 0);  // dial_reserved
  EXPECT_EQ(server.take(), command(Command::accept(1, 2)));
  EXPECT_EQ(client.out, "");
  rig.receive(server, data(1, "first"));
  carry(0, 1);  // connect, and the data behind it
  EXPECT_EQ(client.take(), command(Command::connect(1, 7)) + data(1, "first"));
}

TEST(Switch, AServerThatWentMeanwhileNeverTroublesTheClientItDialed) {
  RigSettings settings{{}, 2};
  settings.manual_mail = true;
  Rig rig(settings);
  Wire& server = rig.server(7, 0);
  Wire& client = rig.client(1);
  rig.receive(server, command(Command::dial(client.port->id())));
  rig.end_turn(0);
  rig.collect_mail(0, 1);
  rig.hang_up(server);
  rig.run_to_quiet();
  EXPECT_EQ(client.out, "");
  EXPECT_EQ(client.port->virtual_count(), 0u);
  EXPECT_EQ(rig.group().ids().alive(), 0u);
}

TEST(Switch, AClientThatDialsAServerWhichHasJustGoneGetsAcceptAndClose) {
  RigSettings settings{{}, 2};
  settings.manual_mail = true;
  Rig rig(settings);
  Wire& server = rig.server(7, 0);
  Wire& client = rig.client(1);
  rig.run_to_quiet();
  rig.hang_up(server);
  rig.receive(client, command(Command::dial(7)));
  rig.run_to_quiet();
  EXPECT_EQ(client.take(), command(Command::accept(1, 7)) + command(Command::close(1)));
  rig.receive(client, command(Command::dial(7)));
  EXPECT_EQ(client.take(), command(Command::refuse(7)));
}

// A loop hears of the older holder after the newer one has come and gone: it must not take the older for the holder.
TEST(Switch, LoopsAgreeOnAnIdWhateverTheOrderOfTheNews) {
  RigSettings settings{{}, 3};
  settings.manual_mail = true;
  Rig rig(settings);
  rig.server(7, 1);
  Wire& newer = rig.server(7, 2);
  rig.hang_up(newer);
  const auto carry = [&](unsigned from, unsigned to) {
    rig.end_turn(from);
    rig.collect_mail(from, to);
    while (rig.batches(from, to) != 0) rig.deliver(from, to);
  };
  carry(2, 0);
  carry(1, 0);
  EXPECT_TRUE(rig.at(0).find_server(7));  // for now
  rig.run_to_quiet();
  for (unsigned loop = 0; loop < 3; ++loop) EXPECT_FALSE(rig.at(loop).find_server(7)) << loop;
}

TEST(Switch, ClosesTheReplacedServerIfAskedTo) {
  for (const bool close : {false, true}) {
    for (const unsigned loops : {1u, 2u}) {
      SwitchOptions options;
      options.close_replaced_server = close;
      Rig rig({options, loops});
      Wire& older = rig.server(7, 0);
      rig.server(7, loops - 1);
      EXPECT_EQ(older.closed, close);
      EXPECT_EQ(rig.sum(&SwitchCounters::replaced), close ? 1u : 0u);
    }
  }
}

TEST(Switch, LetsInAsManyAsAllowed) {
  SwitchOptions options;
  options.clients_max = 2;
  options.servers_max = 1;
  options.handshakes_max = 2;
  Rig rig({options, 2});
  Wire& client = rig.client(0);
  EXPECT_NE(rig.client(1).port, nullptr);
  EXPECT_EQ(rig.client(0).port, nullptr);
  EXPECT_EQ(rig.sum(&SwitchCounters::refused_clients), 1u);
  rig.hang_up(client);
  EXPECT_NE(rig.client(0).port, nullptr);

  Wire& one = rig.open(Side::server, 0);
  Wire& two = rig.open(Side::server, 1);
  EXPECT_EQ(rig.open(Side::server, 0).port, nullptr);
  EXPECT_EQ(rig.sum(&SwitchCounters::refused_handshakes), 1u);
  EXPECT_TRUE(rig.authenticate(one, 1));
  EXPECT_FALSE(rig.authenticate(two, 2));
  EXPECT_TRUE(two.closed);
  EXPECT_THAT(two.reason.error.detail, HasSubstr("servers_max"));
  EXPECT_NE(rig.open(Side::server, 0).port, nullptr);
}

TEST(Switch, OpensAsManyVirtualConnectionsAsAllowed) {
  SwitchOptions options;
  options.virtual_max = 2;
  Joined joined({options});
  joined.rig.receive(joined.client, command(Command::dial(7)) + command(Command::dial(7)));
  EXPECT_EQ(joined.client.take(), command(Command::accept(2, 7)) + command(Command::refuse(7)));
  EXPECT_EQ(joined.rig.sum(&SwitchCounters::refused_virtual_max), 1u);
  joined.rig.receive(joined.client, command(Command::close(1)) + command(Command::dial(7)));
  EXPECT_EQ(joined.client.take(), command(Command::close(1)) + command(Command::accept(3, 7)));
}

TEST(Switch, APlaceIsFreeAsSoonAsItsOwnerClosesAlsoAcrossLoops) {
  SwitchOptions options;
  options.client_virtual_max = 1;
  Joined joined({options, 2}, 1, 0);
  joined.rig.receive(joined.client, command(Command::dial(7)));
  EXPECT_EQ(joined.client.take(), command(Command::refuse(7)));
  joined.rig.receive(joined.client, command(Command::close(1)) + command(Command::dial(7)));
  EXPECT_EQ(joined.client.take(), command(Command::close(1)) + command(Command::accept(3, 7)));  // 2 was lost
}

TEST(Switch, IdsComeRoundWithoutMeetingTheLiving) {
  RigSettings settings;
  settings.first_connection_id = 0xffffffff;
  settings.options.client_virtual_max = 0;
  Rig rig(settings);
  rig.server(7);
  Wire& client = rig.client();
  rig.receive(client, command(Command::dial(7)) + command(Command::dial(7)));
  EXPECT_EQ(client.take(), command(Command::accept(0xffffffff, 7)) + command(Command::accept(1, 7)));
}

TEST(Switch, RefusesDialsWhileDraining) {
  Joined joined({{}, 2}, 1, 0);
  for (const unsigned loop : {0u, 1u}) joined.rig.at(loop).set_draining(true);
  joined.rig.receive(joined.client, command(Command::dial(7)) + data(1, "goes on"));
  joined.rig.receive(joined.server, command(Command::dial(joined.client.port->id())));
  EXPECT_EQ(joined.client.take(), command(Command::refuse(7)));
  EXPECT_EQ(joined.server.take(), data(1, "goes on") + command(Command::refuse(joined.client.port->id())));
  EXPECT_EQ(joined.rig.sum(&SwitchCounters::refused_draining), 2u);
}

TEST(Switch, CutsAServerWithTooManyDialsUnderWay) {
  for (const int dials : {3, 4}) {
    SwitchOptions options;
    options.server_dials_max = 3;
    RigSettings settings{options, 2};
    settings.manual_mail = true;
    Rig rig(settings);
    Wire& server = rig.server(7, 0);
    for (int i = 0; i < dials; ++i) rig.receive(server, command(Command::dial(2)));
    EXPECT_EQ(server.closed, dials > 3);
    EXPECT_EQ(rig.sum(&SwitchCounters::cut_dials), dials > 3 ? 1u : 0u);
  }
}

TEST(Switch, IdleIsAMatterOfTheHostOverSnet) {
  SwitchOptions options;
  options.client_idle_timeout = milliseconds(100);
  Rig rig({options});
  rig.keep_idle = true;
  Wire& client = rig.client();
  rig.advance(seconds(1));
  EXPECT_FALSE(client.closed);
  rig.keep_idle = false;
  rig.advance(milliseconds(100));
  EXPECT_TRUE(client.closed);
  EXPECT_THAT(client.reason.error.detail, HasSubstr("100ms"));
}

// --- queues: each bound at, and one past ---

TEST(SwitchQueues, OneTurnsFramesSayNothingAboutAReceiver) {
  Joined joined({small_queues()});
  std::string many;
  for (int i = 0; i < 50; ++i) many += data(1, "x");
  joined.rig.receive(joined.server, many);
  EXPECT_EQ(joined.client.take(), many);  // 50 messages, where 4 are allowed to wait
}

TEST(SwitchQueues, MessagesOfAVirtualConnection) {
  Joined joined({small_queues()});
  joined.make_slow(joined.client);
  for (int i = 0; i < 4; ++i) joined.rig.receive(joined.server, data(1, "x"));
  EXPECT_EQ(joined.server.out, "");
  joined.rig.receive(joined.server, data(1, "x"));
  EXPECT_EQ(joined.server.take(), command(Command::close(1)));
  EXPECT_EQ(frames_of(joined.client.take()).back(), command(Command::close(1)));
  EXPECT_FALSE(joined.client.closed);
  EXPECT_EQ(joined.rig.sum(&SwitchCounters::closed_virtual_queue), 1u);
}

TEST(SwitchQueues, BytesOfAVirtualConnection) {
  for (const std::size_t last : {992u, 993u}) {  // twice 1,000 with the headers
    Joined joined({small_queues()});
    joined.make_slow(joined.client);
    joined.rig.receive(joined.server, data(1, std::string(992, 'x')));
    joined.rig.receive(joined.server, data(1, std::string(last, 'y')));
    EXPECT_EQ(joined.rig.sum(&SwitchCounters::closed_virtual_queue), last > 992 ? 1u : 0u) << last;
  }
}

TEST(SwitchQueues, MessagesAndBytesOfAConnection) {
  for (const bool by_bytes : {false, true}) {
    SwitchOptions options = small_queues();
    options.virtual_queue = {4000, 8};
    options.client_virtual_max = 0;
    Joined joined({options});
    for (int i = 0; i < 8; ++i) joined.rig.receive(joined.client, command(Command::dial(7)));
    joined.server.take();
    joined.make_slow(joined.client);
    // 9 bytes of the ping are unsent; 3,991 are left. Or 8 messages.
    const std::size_t payload = by_bytes ? 490 : 1;
    for (std::uint32_t i = 1; i <= 8; ++i) {
      const std::size_t size = by_bytes && i == 8 ? 489 + 3991 - 8 * 498 + 1 : payload;
      joined.rig.receive(joined.server, data(i, std::string(size, 'x')));
    }
    EXPECT_EQ(joined.server.out, "");
    joined.rig.receive(joined.server, data(9, ""));
    EXPECT_EQ(joined.server.take(), command(Command::close(9)));
    EXPECT_EQ(joined.rig.sum(&SwitchCounters::closed_client_queue), 1u);
    EXPECT_FALSE(joined.client.closed);
  }
}

TEST(SwitchQueues, OneStuckClientCostsNobodyElse) {
  for (const unsigned loops : {1u, 2u}) {
    Joined joined({small_queues(), loops}, 0, loops - 1);
    Wire& other = joined.rig.client(0);
    joined.rig.receive(other, command(Command::dial(7)));
    joined.server.take();
    other.take();
    joined.make_slow(joined.client);
    for (int i = 0; i < 100; ++i) joined.rig.receive(joined.server, data(1, "x") + data(2, "y"));
    EXPECT_EQ(frames_of(other.take()).size(), 100u);
    EXPECT_FALSE(joined.client.closed);
    EXPECT_FALSE(joined.server.closed);
    // One Close for the bound, one for each frame that came after it.
    EXPECT_EQ(frames_of(joined.server.take()).size(), 96u);
  }
}

TEST(SwitchQueues, CommandsHaveAReserveBehindWhichTheConnectionIsCut) {
  Joined joined({small_queues()});
  joined.client.stuck = true;
  const std::size_t fit = (4000 + 1024) / 9;
  for (std::size_t i = 0; i < fit; ++i) joined.rig.receive(joined.client, command(Command::ping()));
  EXPECT_FALSE(joined.client.closed);
  joined.rig.receive(joined.client, command(Command::ping()));
  EXPECT_TRUE(joined.client.closed);
  EXPECT_EQ(joined.server.take(), command(Command::close(1)));
  EXPECT_EQ(joined.rig.sum(&SwitchCounters::cut_commands), 1u);
}

TEST(SwitchQueues, TheProcessBoundCutsTheSlowClientThatHoldsMost) {
  SwitchOptions options = small_queues();
  options.client_queue = {3000, 100};
  options.virtual_queue = {3000, 100};
  options.process_bytes_max = 4000;
  Joined joined({options});
  Wire& small = joined.rig.client();
  Wire& healthy = joined.rig.client();
  joined.rig.receive(small, command(Command::dial(7)));
  joined.rig.receive(healthy, command(Command::dial(7)));
  for (Wire* const wire : {&joined.client, &small}) joined.make_slow(*wire);
  for (int i = 0; i < 3; ++i) joined.rig.receive(joined.server, data(1, std::string(800, 'x')));
  joined.rig.receive(joined.server, data(2, std::string(800, 'x')));
  EXPECT_EQ(joined.rig.sum(&SwitchCounters::cut_process_bytes), 0u);
  healthy.take();
  joined.rig.receive(joined.server, data(3, std::string(900, 'x')));
  EXPECT_TRUE(joined.client.closed);
  EXPECT_THAT(joined.client.reason.error.detail, HasSubstr("process_bytes_max"));
  EXPECT_FALSE(small.closed);
  EXPECT_EQ(healthy.take(), data(3, std::string(900, 'x')));
  EXPECT_EQ(joined.rig.sum(&SwitchCounters::cut_process_bytes), 1u);
}

TEST(SwitchQueues, NobodySlowToCutClosesTheConnectionOfTheFrame) {
  SwitchOptions options = small_queues();
  options.process_bytes_max = 1010;
  RigSettings settings{options};
  settings.manual_mail = true;  // and turns do not end by themselves
  Rig rig(settings);
  Wire& server = rig.server(7);
  Wire& client = rig.client();
  rig.receive(client, command(Command::dial(7)));
  rig.run_to_quiet();
  server.take();
  client.take();
  rig.receive(server, data(1, std::string(992, 'x')) + data(1, "xx"));
  EXPECT_EQ(server.out, "");
  rig.receive(server, data(1, ""));
  EXPECT_EQ(server.out, command(Command::close(1)));
  EXPECT_EQ(rig.sum(&SwitchCounters::closed_process_bytes), 1u);
}

TEST(SwitchQueues, MailBetweenLoopsIsBounded) {
  SwitchOptions options = small_queues();
  options.mail_bytes_max = 2000;
  RigSettings settings{options, 2};
  settings.manual_mail = true;
  Rig rig(settings);
  Wire& server = rig.server(7, 0);
  Wire& client = rig.client(1);
  rig.run_to_quiet();
  rig.receive(client, command(Command::dial(7)));
  rig.run_to_quiet();
  client.take();
  server.take();
  rig.receive(client, data(1, std::string(992, 'x')) + data(1, std::string(992, 'x')));
  EXPECT_EQ(client.out, "");
  rig.receive(client, command(Command::dial(7)));
  EXPECT_EQ(client.take(), command(Command::refuse(7)));
  EXPECT_EQ(rig.sum(&SwitchCounters::refused_mail_full), 1u);
  rig.receive(client, data(1, ""));
  EXPECT_EQ(client.take(), command(Command::close(1)));
  EXPECT_EQ(rig.sum(&SwitchCounters::closed_mail_full), 1u);
  rig.run_to_quiet();
  EXPECT_EQ(frames_of(server.take()).back(), command(Command::close(1)));
}

TEST(SwitchQueues, PauseStopsTheClientAtHalfAndResumesItAtAQuarter) {
  for (const unsigned loops : {1u, 2u}) {
    SwitchOptions options = small_queues();
    options.slow_policy = SlowPolicy::pause;
    options.virtual_queue.messages_max = 8;
    options.server_queue.messages_max = 100;
    Joined joined({options, loops}, loops - 1, 0);
    joined.make_slow(joined.server);
    for (int i = 0; i < 4; ++i) joined.rig.receive(joined.client, data(1, "x"));
    EXPECT_TRUE(joined.client.reading);
    joined.rig.receive(joined.client, data(1, "x"));
    EXPECT_FALSE(joined.client.reading);
    EXPECT_EQ(joined.rig.sum(&SwitchCounters::pauses), 1u);
    joined.rig.receive(joined.client, data(1, "waits"));
    EXPECT_EQ(frames_of(joined.server.out).size(), 5u);
    // It does not idle meanwhile.
    joined.rig.receive(joined.server, command(Command::ping()));
    joined.rig.advance(seconds(29));
    joined.rig.receive(joined.server, command(Command::ping()));
    joined.rig.advance(seconds(29));
    EXPECT_FALSE(joined.client.closed);
    const std::size_t per_message = 9;
    joined.rig.drain(joined.server, 9 + 2 * per_message);  // the ping, and two of five
    EXPECT_FALSE(joined.client.reading);
    joined.rig.drain(joined.server, per_message);
    EXPECT_TRUE(joined.client.reading);
    EXPECT_NE(joined.server.out.find("waits"), std::string::npos);
  }
}

TEST(SwitchQueues, AClientRunsAheadOfAnotherLoopByAQuarterAtMost) {
  SwitchOptions options = small_queues();
  options.slow_policy = SlowPolicy::pause;
  options.virtual_queue.messages_max = 8;
  RigSettings settings{options, 2};
  settings.manual_mail = true;
  Rig rig(settings);
  Wire& server = rig.server(7, 1);
  Wire& client = rig.client(0);
  rig.run_to_quiet();
  rig.receive(client, command(Command::dial(7)));
  rig.run_to_quiet();
  server.take();
  for (int i = 0; i < 2; ++i) rig.receive(client, data(1, "x"));
  EXPECT_TRUE(client.reading);
  rig.receive(client, data(1, "x"));
  EXPECT_FALSE(client.reading);
  rig.receive(client, data(1, "waits"));
  // Until the other loop has seen it all, and said so.
  rig.end_turn(0);
  rig.collect_mail(0, 1);
  rig.deliver(0, 1);
  EXPECT_EQ(frames_of(server.take()).size(), 3u);
  EXPECT_FALSE(client.reading);
  rig.run_to_quiet();
  EXPECT_TRUE(client.reading);
  EXPECT_EQ(server.take(), data(1, "waits"));
  EXPECT_EQ(rig.sum(&SwitchCounters::paused), 0);
}

TEST(SwitchQueues, PauseIsNotForServers) {
  SwitchOptions options = small_queues();
  options.slow_policy = SlowPolicy::pause;
  Joined joined({options});
  joined.make_slow(joined.client);
  for (int i = 0; i < 5; ++i) joined.rig.receive(joined.server, data(1, "x"));
  EXPECT_TRUE(joined.server.reading);
  EXPECT_EQ(joined.server.take(), command(Command::close(1)));
  EXPECT_EQ(joined.rig.sum(&SwitchCounters::pauses), 0u);
}

TEST(SwitchQueues, APausedClientIsReadAgainWhenItsConnectionEnds) {
  for (const unsigned loops : {1u, 2u}) {
    SwitchOptions options = small_queues();
    options.slow_policy = SlowPolicy::pause;
    Joined joined({options, loops}, loops - 1, 0);
    joined.make_slow(joined.server);
    for (int i = 0; i < 3; ++i) joined.rig.receive(joined.client, data(1, "x"));
    EXPECT_FALSE(joined.client.reading);
    EXPECT_EQ(joined.rig.sum(&SwitchCounters::paused), 1);
    joined.rig.hang_up(joined.server);
    EXPECT_TRUE(joined.client.reading);
    EXPECT_EQ(joined.client.take(), command(Command::close(1)));
    EXPECT_EQ(joined.rig.sum(&SwitchCounters::paused), 0);
  }
}

TEST(SwitchQueues, SlowReceiversAreLookedAtByTheClockToo) {
  SwitchOptions options = small_queues();
  options.slow_policy = SlowPolicy::pause;
  Joined joined({options});
  joined.make_slow(joined.server);
  for (int i = 0; i < 3; ++i) joined.rig.receive(joined.client, data(1, "x"));
  EXPECT_FALSE(joined.client.reading);
  joined.rig.drain(joined.server, 1000, false);  // nobody says so
  joined.rig.advance(milliseconds(20));
  EXPECT_TRUE(joined.client.reading);
  EXPECT_FALSE(joined.server.port->slow());
}

// --- cost ---

TEST(SwitchCost, AnIdleVirtualConnectionTakesAtMost128Bytes) {
  for (const unsigned loops : {1u, 2u}) {
    RigSettings settings;
    settings.loops = loops;
    settings.options.client_virtual_max = 0;
    settings.manual_mail = true;
    Rig rig(settings);
    rig.server(7, 0);
    rig.run_to_quiet();
    std::vector<Wire*> clients;
    for (int i = 0; i < 1000; ++i) clients.push_back(&rig.client(loops - 1));
    const std::string dials = command(Command::dial(7));
    const std::size_t before = ::mallinfo2().uordblks + ::mallinfo2().hblkhd;
    for (int i = 0; i < 100; ++i) {
      for (Wire* const client : clients) rig.receive(*client, dials);
      rig.run_to_quiet();
      for (const auto& wire : rig.wires()) std::string().swap(wire->out);
    }
    const std::size_t after = ::mallinfo2().uordblks + ::mallinfo2().hblkhd;
    std::size_t counted = 0;
    for (unsigned loop = 0; loop < loops; ++loop) counted += rig.at(loop).virtual_heap_bytes();
    ASSERT_EQ(rig.group().ids().alive(), 100'000u);
    const double by_heap = (static_cast<double>(after) - static_cast<double>(before)) / 100'000;
    std::cout << loops << " loops: " << static_cast<double>(counted) / 100'000 << " bytes in tables, " << by_heap
              << " bytes of heap (0: the allocator does not tell)\n";
    EXPECT_LE(counted, 128u * 100'000);
    EXPECT_LE(by_heap, 128);
    std::cout << "sizeof(Port) " << sizeof(Port) << '\n';
    EXPECT_LE(sizeof(Port), 256u);  // of 1,024 for an idle client
  }
}

// A host that counts, and takes all.
class Sink final : public SwitchHost {
 public:
  void send(Port&, Bytes frame) override { bytes += frame.size(); }
  void send(Port&, Chain&& frame) override { bytes += Chain(std::move(frame)).size(); }
  std::size_t unsent(const Port&) override { return 0; }
  void set_reading(Port&, bool) override {}
  void close(Port&, const CloseReason&) override {}
  void turn_end_soon() override {}

  std::size_t bytes = 0;
};

TEST(SwitchCost, ForwardingAllocatesNothing) {
  for (const unsigned loops : {1u, 2u}) {
    SwitchGroup group({}, loops, 1);
    Sink sinks[2];
    const TimePoint now{seconds(1)};
    Switch servers(group, 0, sinks[0], now);
    Switch clients_if_apart(group, loops - 1, sinks[1], now);
    Switch& clients = loops == 1 ? servers : clients_if_apart;
    Sink& server_sink = sinks[0];
    Port* const server = servers.handle_opened(Side::server, nullptr, now);
    servers.handle_authenticated(*server, 7, now);
    const auto carry = [&] {
      if (loops == 1) return;
      MailBatch to_clients = std::move(servers.outbox(1));
      clients.handle_mail(0, to_clients, now);
      MailBatch to_servers = std::move(clients.outbox(0));
      servers.handle_mail(1, to_servers, now);
    };
    carry();
    Port* const client = clients.handle_opened(Side::client, nullptr, now);
    Frame dial{0, EncodedCommand(Command::dial(7)).bytes(), nullptr};
    const EncodedCommand kept(Command::dial(7));
    dial.bytes = kept.bytes();
    clients.handle_frame(*client, dial, now);
    carry();
    const std::string wire = data(1, std::string(64, 'x'));
    const auto turn = [&] {
      for (int i = 0; i < 200; ++i) {
        Frame frame{1, as_bytes(wire), nullptr};
        ASSERT_TRUE(clients.handle_frame(*client, frame, now));
        Frame echo{1, as_bytes(wire), nullptr};
        ASSERT_TRUE(servers.handle_frame(*server, echo, now));
      }
      carry();
      clients.end_turn();
      servers.end_turn();
    };
    // Memory for mail goes round between the loops; a few turns, and there is enough of it.
    for (int i = 0; i < 4; ++i) turn();
    const std::uint64_t allocations = framing::testing::allocation_count();
    const std::size_t bytes = server_sink.bytes;
    for (int i = 0; i < 50; ++i) turn();
    EXPECT_EQ(framing::testing::allocation_count(), allocations) << loops << " loops";
    EXPECT_EQ(server_sink.bytes - bytes, (loops == 1 ? 2u : 1u) * 50 * 200 * wire.size());
  }
}

// --- the options ---

TEST(SwitchOptions, NameWhatIsWrong) {
  EXPECT_TRUE(SwitchOptions().validate());
  const auto refused = [](auto change) {
    SwitchOptions options;
    change(options);
    const Result<void> valid = options.validate();
    EXPECT_FALSE(valid);
    return valid ? std::string() : valid.error().to_string();
  };
  EXPECT_THAT(refused([](SwitchOptions& o) { o.packet_bytes_max = 12; }), HasSubstr("packet_bytes_max is 12"));
  EXPECT_THAT(refused([](SwitchOptions& o) { o.client_queue.bytes_max = 524291; }), HasSubstr("at least 524292"));
  EXPECT_THAT(refused([](SwitchOptions& o) { o.virtual_queue.messages_max = 0; }), HasSubstr("virtual_queue"));
  EXPECT_THAT(refused([](SwitchOptions& o) { o.client_idle_timeout = seconds(-1); }), HasSubstr("client_idle_timeout"));
  EXPECT_THAT(refused([](SwitchOptions& o) { o.clients_max = 0; }), HasSubstr("clients_max"));
  EXPECT_THAT(refused([](SwitchOptions& o) { o.mail_bytes_max = 0; }), HasSubstr("mail_bytes_max"));
  EXPECT_THAT(refused([](SwitchOptions& o) { o.slow_poll_interval = Duration(0); }), HasSubstr("slow_poll_interval"));
  SwitchOptions smallest;
  smallest.packet_bytes_max = 13;
  EXPECT_TRUE(smallest.validate());
}

TEST(SwitchOptions, PoliciesHaveNames) {
  for (const SlowPolicy policy : {SlowPolicy::close, SlowPolicy::pause, SlowPolicy::cut}) {
    EXPECT_EQ(parse_slow_policy(to_string(policy)).value(), policy);
  }
  EXPECT_THAT(parse_slow_policy("drop").error().detail, HasSubstr("close, pause, cut"));
}

}  // namespace
}  // namespace wayport::link

// What a KCP end has to withstand: one test per item of spec/kcp.md 11, by its number.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wayport/transport/kcp/extension.h"
#include "wayport/transport/kcp/kcp_table.h"
#include "wayport/transport/kcp/testing/kcp_pair.h"
#include "wayport/transport/kcp/testing/kcp_peers.h"

namespace wayport::transport::kcp {
namespace {

using namespace testing;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

TEST(KcpResists, Item01UnaBeyondWhatWasSent) {
  Victim victim;
  victim.write("data");
  for (const std::uint32_t una : {2u, 100u, 0x7fffffffu})
    victim.hear(segment({.cmd = kTellWindow, .wnd = 32, .una = una}));
  EXPECT_EQ(victim.end.session->arq().unacknowledged(), 1u);
  EXPECT_EQ(victim.end.counters.refused_una.read(), 3u);
  victim.hear(segment({.cmd = kTellWindow, .wnd = 32, .una = 1}));
  EXPECT_EQ(victim.end.session->arq().unacknowledged(), 0u);
}

TEST(KcpResists, Item02AcksOutsideTheWindowAndOfNoTransmission) {
  KcpOptions options = fast();
  options.send_window = options.receive_window = 1024;
  Victim victim(options);
  for (int i = 0; i < 10; ++i) victim.write("data");
  const std::uint32_t ts = victim.last_push().ts;
  for (const std::uint32_t sn : {10u, 11u, 0x80000005u, 0xffffffffu})
    victim.hear(segment({.cmd = kAck, .wnd = 32, .ts = ts, .sn = sn}));
  victim.hear(segment({.cmd = kAck, .wnd = 32, .ts = ts + 1, .sn = 3}));
  EXPECT_EQ(victim.end.session->arq().unacknowledged(), 10u);
  // In the window, out of order: nothing else moves.
  victim.hear(segment({.cmd = kAck, .wnd = 32, .ts = ts, .sn = 9}));
  EXPECT_EQ(victim.end.session->arq().una(), 0u);
  EXPECT_EQ(victim.end.session->unacknowledged_bytes(), 36u);
}

TEST(KcpResists, Item03RttPoisoning) {
  Victim victim;
  victim.write("data");
  const std::uint32_t ts = victim.last_push().ts;
  victim.hear(segment({.cmd = kAck, .wnd = 32, .ts = ts - 60'000, .sn = 0}));
  EXPECT_EQ(victim.end.session->arq().srtt(), Duration(0));
  EXPECT_EQ(victim.end.counters.refused_rtt.read(), 1u);
  victim.run(milliseconds(300));  // resent at least once: an answer is ambiguous
  victim.hear(segment({.cmd = kAck, .wnd = 32, .ts = ts, .sn = 0}));
  EXPECT_EQ(victim.end.session->arq().unacknowledged(), 0u);
  EXPECT_EQ(victim.end.session->arq().srtt(), Duration(0));
  victim.write("more");
  const std::uint32_t later = victim.last_push().ts;
  victim.run(milliseconds(20));
  victim.hear(segment({.cmd = kAck, .wnd = 32, .ts = later, .sn = 1}));
  EXPECT_EQ(victim.end.session->arq().srtt(), Duration(milliseconds(20)));
}

TEST(KcpResists, Item04ForgedWindows) {
  KcpOptions options = fast();
  Victim victim(options);
  victim.write("data");
  victim.hear(segment({.cmd = kTellWindow, .wnd = 65535}));
  for (int i = 0; i < 100; ++i) victim.write("data");
  EXPECT_EQ(victim.end.session->arq().in_flight(), 32u);  // our own send_window
  victim.hear(segment({.cmd = kTellWindow, .wnd = 0, .una = 32}));
  victim.sent.clear();
  victim.run(seconds(10));
  std::size_t probes = 0;
  for (const std::string& datagram : victim.sent) probes += datagram[4] == kAskWindow;
  EXPECT_GE(probes, 4u);
  EXPECT_LE(probes, 8u);
}

TEST(KcpResists, Item05FragmentsThatDoNotCountDown) {
  const auto reason = [](std::vector<std::pair<int, std::size_t>> fragments, std::size_t message_max) {
    KcpOptions options = fast();
    options.message_bytes_max = message_max;
    Victim victim(options);
    std::uint32_t sn = 0;
    for (const auto& [frg, size] : fragments)
      victim.hear(segment({.frg = static_cast<std::uint8_t>(frg), .wnd = 32, .sn = sn++}, std::string(size, 'x')));
    return victim.end.closed ? victim.end.closed->error.code : ErrorCode::internal;
  };
  EXPECT_EQ(reason({{255, 1}}, 1000), ErrorCode::malformed);
  EXPECT_EQ(reason({{32, 1}}, 1000), ErrorCode::malformed);
  EXPECT_EQ(reason({{31, 1}}, 1000), ErrorCode::internal);
  EXPECT_EQ(reason({{2, 1}, {0, 1}}, 1000), ErrorCode::malformed);
  EXPECT_EQ(reason({{2, 1}, {2, 1}}, 1000), ErrorCode::malformed);
  EXPECT_EQ(reason({{2, 1}, {1, 1}, {0, 1}}, 1000), ErrorCode::internal);
  EXPECT_EQ(reason({{1, 500}, {0, 500}}, 1000), ErrorCode::internal);
  EXPECT_EQ(reason({{1, 500}, {0, 501}}, 1000), ErrorCode::too_large);
}

// What an end that agreed on the extension is told.
std::string tell(ExtensionKind kind, std::uint32_t value, std::uint64_t cookie) {
  std::string bytes(kSegmentHeaderBytes + kExtensionPayloadBytes, '\0');
  write_extension(reinterpret_cast<std::byte*>(bytes.data()), {.conv = kConv, .wnd = 32}, {kind, value, cookie});
  return bytes;
}

TEST(KcpResists, Item05AnUnfinishedMessageBeforeAResetHoldsNothing) {
  KcpOptions options = fast();
  options.extension = ExtensionWish::ask;
  Victim victim(options);
  victim.hear(tell(ExtensionKind::hello, 0, 5));
  ASSERT_TRUE(victim.end.session->extension_agreed());
  victim.end.reading = false;
  victim.hear(segment({.wnd = 32, .sn = 0}, "whole"));
  victim.hear(segment({.frg = 1, .wnd = 32, .sn = 1}, "half"));
  victim.hear(tell(ExtensionKind::close, 2, 5));
  victim.hear(tell(ExtensionKind::reset, 0, 5));
  victim.run(seconds(300));
  EXPECT_EQ(victim.end.closes, 0);  // the reader comes later
  victim.end.read();
  victim.end.flush();
  EXPECT_EQ(victim.end.received, "whole");
  EXPECT_EQ(victim.end.closes, 1);
}

TEST(KcpResists, Item06EmptyPushes) {
  Victim victim;
  for (std::uint32_t sn = 0; sn < 100; ++sn) victim.hear(segment({.wnd = 32, .sn = sn}));
  victim.hear(segment({.wnd = 32, .sn = 100}, "data"));
  EXPECT_EQ(victim.end.received, "data");
  // Out of order they cost a slot each, no packet, and end at the window.
  for (std::uint32_t sn = 102; sn < 1000; ++sn) victim.hear(segment({.wnd = 32, .sn = sn}));
  EXPECT_EQ(victim.end.pool.bytes_in_use(), 0u);
  EXPECT_LE(victim.end.session->arq().received().slots(), 64u);
}

TEST(KcpResists, Item07MemoryOfBothQueuesAndOfPendingAcks) {
  Victim victim;
  victim.end.reading = false;
  std::string flood;
  for (int i = 0; i < 50; ++i) flood += segment({.wnd = 32, .sn = 5});
  for (int i = 0; i < 1000; ++i) {
    std::string copy = flood;
    victim.end.session->handle_datagram(writable(copy));
    EXPECT_LE(victim.end.session->arq().pending_acks(), 32u);
  }
  for (std::uint32_t sn = 0; sn < 10'000; ++sn) victim.hear(segment({.wnd = 32, .sn = sn}, std::string(1000, 'x')));
  EXPECT_LE(victim.end.pool.bytes_in_use(), 2 * 32 * (sizeof(Packet) + 1008));
  EXPECT_EQ(victim.end.session->arq().received().waiting(), 32u);

  // The bound over all sessions: what does not fit is not acknowledged, and nothing breaks.
  PacketPool pool({.bytes_max = 10'000, .free_bytes_max = 0});
  KcpCounters counters;
  const KcpOptions options = fast();
  Arq arq(options, pool, counters, {.conv = kConv}, 1400);
  for (std::uint32_t sn = 1; sn < 32; ++sn)
    (void)arq.handle_datagram(as_bytes(segment({.wnd = 32, .sn = sn}, std::string(1000, 'x'))), false, TimePoint(),
                              [](const Segment&) {});
  EXPECT_LE(pool.bytes_in_use(), 10'000u);
  EXPECT_EQ(counters.memory_drops.read(), 22u);
}

TEST(KcpResists, Item08SessionsOpenedBySpoofedDatagrams) {
  KcpTableOptions options;
  options.prefix_burst = 5;
  options.prefix_rate = 1;
  Listener listener(options);
  // No opener: other commands, far numbers, parity, nothing at all.
  listener.hear(Listener::at(1), segment({.cmd = kAck}));
  listener.hear(Listener::at(1), segment({.cmd = kAskWindow}));
  listener.hear(Listener::at(1), segment({.sn = 32}, "x"));
  listener.hear(Listener::at(1), segment({}));
  listener.hear(Listener::at(1), std::string(30, '\0'));
  EXPECT_TRUE(listener.opened.empty());
  // One prefix may open only so many.
  for (std::uint16_t port = 1; port <= 20; ++port) listener.hear(Listener::at(1, port), segment({}, "x"));
  EXPECT_EQ(listener.opened.size(), 5u);
  EXPECT_EQ(listener.counters.opener_rate_limited.read(), 15u);
  listener.hear(Listener::at(1, 1, 2), segment({}, "x"));
  EXPECT_EQ(listener.opened.size(), 6u);
  // Half-open ones are small, and leave.
  EXPECT_LT(listener.last->memory_bytes(), 4000u);
  listener.run(seconds(11));
  EXPECT_EQ(listener.table->size(), 0u);
  EXPECT_EQ(listener.counters.half_open_expired.read(), 6u);
  EXPECT_EQ(listener.pool.bytes_in_use(), 0u);
}

TEST(KcpResists, Item08AFarNumberMakesNoLongRing) {
  KcpOptions session = fast();
  session.receive_window = 65535;
  Listener listener({}, session);
  for (const std::uint32_t sn : {128u, 1024u, 65534u}) listener.hear(Listener::at(1), segment({.sn = sn}, "x"));
  EXPECT_TRUE(listener.opened.empty());
  EXPECT_EQ(listener.counters.opener_refused.read(), 3u);
  // Nor does one behind an opener that came out of order, and what is too far is not acknowledged.
  listener.hear(Listener::at(1), segment({.sn = 127}, "x") + segment({.sn = 65534}, "x"));
  ASSERT_EQ(listener.opened.size(), 1u);
  EXPECT_EQ(listener.last->arq().received().slots(), 128u);
  EXPECT_LT(listener.last->memory_bytes(), 6000u);
  EXPECT_EQ(listener.pool.bytes_charged(), listener.last->arq().received().ring_bytes());
  ASSERT_EQ(listener.sent.size(), 1u);
  EXPECT_EQ(listener.sent[0].size(), kSegmentHeaderBytes);
  // How far ahead it may be grows with what has come.
  const auto came = [&](std::uint32_t sn) {
    const std::size_t before = listener.last->arq().received().slots();
    listener.hear(Listener::at(1), segment({.sn = sn}, "x"));
    return listener.last->arq().received().slots() != before;
  };
  EXPECT_FALSE(came(132));  // of 128 + 4
  EXPECT_TRUE(came(131));
  listener.run(seconds(601));
  EXPECT_EQ(listener.table->size(), 0u);
  EXPECT_EQ(listener.pool.bytes_charged(), 0u);
}

TEST(KcpResists, Item08RingsCountAgainstTheMemoryOfAll) {
  const KcpOptions options = fast();
  KcpCounters counters;
  PacketPool pool({.bytes_max = 2000, .free_bytes_max = 0});
  {
    Arq arq(options, pool, counters, {.conv = kConv}, 1400);
    ASSERT_TRUE(pool.charge(1000));
    EXPECT_FALSE(pool.charge(1001));
    // 128 slots are more than is left: the segment is not stored.
    Arq::Heard heard =
        arq.handle_datagram(as_bytes(segment({.sn = 31}, "x")), false, TimePoint(), [](const Segment&) {});
    EXPECT_TRUE(heard.fresh);  // 32 slots
    EXPECT_EQ(pool.bytes_charged(), 1000u + arq.received().ring_bytes());
    EXPECT_EQ(arq.write(as_bytes("xx"), TimePoint()), 0u);
    pool.discharge(1000);
    EXPECT_EQ(arq.write(as_bytes("xx"), TimePoint()), 2u);
    EXPECT_GT(pool.bytes_charged(), arq.received().ring_bytes());
    ASSERT_TRUE(pool.charge(500));
    heard = arq.handle_datagram(as_bytes(segment({.sn = 0}, "x") + segment({.sn = 32}, "x")), false, TimePoint(),
                                [](const Segment&) {});
    EXPECT_EQ(counters.memory_drops.read(), 2u);
    pool.discharge(500);
  }
  EXPECT_EQ(pool.bytes_charged(), 0u);
}

TEST(KcpResists, Item08WhoIsOverAnyBoundPaysForItToo) {
  KcpTableOptions options;
  options.prefix_burst = 2;
  options.prefix_rate = 0;
  options.half_open_max = 1;
  Listener listener(options);
  for (std::uint16_t port = 1; port <= 3; ++port) listener.hear(Listener::at(1, port), segment({}, "x"));
  EXPECT_EQ(listener.table->half_open(), 1u);
  EXPECT_EQ(listener.counters.session_limit_drops.read(), 1u);
  EXPECT_EQ(listener.counters.opener_rate_limited.read(), 1u);
  listener.hear(Listener::at(1, 1), segment({.sn = 1}, "x"));
  EXPECT_EQ(listener.table->half_open(), 0u);
  // One that leaves half-open is not counted any more, either.
  listener.hear(Listener::at(1, 1, 2), segment({}, "x"));
  EXPECT_EQ(listener.table->half_open(), 1u);
  listener.run(seconds(11));
  EXPECT_EQ(listener.table->half_open(), 0u);
}
TEST(KcpResists, Item08TotalsHalfOpenAndBacklog) {
  KcpTableOptions options;
  options.sessions_max = 10;
  options.half_open_max = 3;
  options.backlog_max = 4;
  {
    Listener listener(options);
    for (std::uint16_t port = 1; port <= 4; ++port) listener.hear(Listener::at(1, port), segment({}, "x"));
    EXPECT_EQ(listener.table->size(), 3u);
    for (std::uint16_t port = 1; port <= 20; ++port) {
      listener.hear(Listener::at(1, port), segment({}, "x"));
      listener.hear(Listener::at(1, port), segment({.sn = 1}, "x"));
    }
    EXPECT_EQ(listener.table->size(), 10u);
    EXPECT_GT(listener.counters.session_limit_drops.read(), 0u);
  }
  Listener waiting(options);
  waiting.accepts = false;
  for (std::uint16_t port = 1; port <= 20; ++port) {
    waiting.hear(Listener::at(1, port), segment({}, "x"));
    waiting.hear(Listener::at(1, port), segment({.sn = 1}, "x"));
  }
  EXPECT_EQ(waiting.table->size(), 4u);
  EXPECT_EQ(waiting.table->backlog(), 4u);
  waiting.table->accepted(*waiting.last);
  EXPECT_EQ(waiting.table->backlog(), 3u);
}

TEST(KcpResists, Item09Amplification) {
  Listener listener;
  listener.greeting = std::string(40'000, 'g');
  const std::string opener = segment({.wnd = 1000}, std::string(100, 'x'));
  listener.hear(Listener::at(1), opener);
  listener.run(seconds(60));
  EXPECT_LE(listener.bytes_out, 3 * opener.size());
  EXPECT_GT(listener.counters.amplification_holds.read(), 0u);
  EXPECT_EQ(listener.table->size(), 0u);
  // Acknowledging what was sent lifts the bound; guessing does not.
  Listener talking;
  talking.greeting = listener.greeting;
  talking.hear(Listener::at(1), segment({.wnd = 1000}, std::string(1000, 'x')));
  SegmentReader reader(as_bytes(talking.sent.back()), kConv);
  std::optional<Segment> push;
  while (const auto one = reader.next()) {
    if (one->cmd == kPush) push = one;
  }
  ASSERT_TRUE(push.has_value());
  talking.hear(Listener::at(1), segment({.cmd = kAck, .wnd = 1000, .ts = push->ts + 12345, .sn = push->sn}));
  EXPECT_FALSE(talking.last->validated());
  talking.hear(Listener::at(1), segment({.cmd = kAck, .wnd = 1000, .ts = push->ts, .sn = push->sn}));
  EXPECT_TRUE(talking.last->validated());
  talking.run(milliseconds(100));
  EXPECT_GT(talking.bytes_out, 20'000u);
}

TEST(KcpResists, Item09WhatIsHeldExpires) {
  // A datagram of one byte, or two of them: the answer fits once and not again.
  for (const std::uint32_t datagrams : {1u, 2u}) {
    SCOPED_TRACE(datagrams);
    Listener listener;
    listener.greeting = std::string(40'000, 'g');
    for (std::uint32_t sn = 0; sn < datagrams; ++sn)
      listener.hear(Listener::at(1), segment({.wnd = 32, .sn = sn}, "x"));
    listener.run(milliseconds(9990));
    EXPECT_EQ(listener.table->size(), 1u);
    EXPECT_FALSE(listener.last->validated());
    listener.run(seconds(1));
    EXPECT_EQ(listener.table->size(), 0u);
    EXPECT_EQ(listener.counters.half_open_expired.read(), 1u);
    EXPECT_LE(listener.bytes_out, 3 * 25 * datagrams);
    EXPECT_LE(listener.counters.timer_runs.read(), 12u);
  }
}

TEST(KcpResists, Item09AHeldSessionEndsItsLinger) {
  Listener listener;
  listener.greeting = std::string(40'000, 'g');
  listener.hear(Listener::at(1), segment({.wnd = 32}, "x"));
  listener.last->close(CloseReason::local(ErrorCode::local_closed, "done"), seconds(3));
  listener.run(milliseconds(2990));
  EXPECT_FALSE(listener.all_events[0]->closed);
  listener.run(milliseconds(20));
  EXPECT_TRUE(listener.all_events[0]->closed);
  EXPECT_EQ(listener.table->size(), 0u);
}

TEST(KcpResists, Item09ResendsBeforeAndAfterValidationEnd) {
  KcpOptions options = fast();
  options.amplification_max = 1000;
  Victim accepted(options, KcpSession::Role::accepted);
  accepted.hear(segment({.wnd = 32}, "x"));
  accepted.hear(segment({.wnd = 32, .sn = 1}, "x"));
  accepted.write("data");
  accepted.run(seconds(60));
  EXPECT_EQ(accepted.end.counters.lost_segments.read(), 3u);
  ASSERT_TRUE(accepted.end.closed.has_value());
  EXPECT_THAT(to_string(*accepted.end.closed), HasSubstr("4 transmissions"));
}

TEST(KcpResists, Item09AWindowThatAStrangerClosesKeepsNoResendsGoing) {
  KcpOptions options = fast();
  options.amplification_max = 1000;
  Victim accepted(options, KcpSession::Role::accepted);
  accepted.hear(segment({.wnd = 32}, "x"));
  accepted.write("data");
  accepted.run(milliseconds(1));
  accepted.hear(segment({.wnd = 0, .sn = 1}, "x"));
  accepted.run(seconds(60));
  EXPECT_EQ(accepted.end.counters.lost_segments.read(), 3u);
  ASSERT_TRUE(accepted.end.closed.has_value());
  EXPECT_THAT(to_string(*accepted.end.closed), HasSubstr("4 transmissions"));
}

TEST(KcpResists, Item10ConvHijack) {
  using Replace = KcpTableOptions::Replace;
  for (const Replace replace : {Replace::never, Replace::when_silent, Replace::push_zero}) {
    KcpTableOptions options;
    options.replace = replace;
    Listener listener(options);
    listener.hear(Listener::at(1), segment({}, "x"));
    listener.hear(Listener::at(1), segment({.sn = 1}, "x"));
    KcpSession* const old = listener.last;
    // kcp-go lets any segment with sn 0 replace the session.
    listener.hear(Listener::at(1), segment({.conv = 8, .cmd = kAck}));
    listener.hear(Listener::at(1), segment({.conv = 8, .sn = 1}, "x"));
    EXPECT_EQ(listener.last, old);
    listener.hear(Listener::at(1), segment({.conv = 8}, "x"));
    EXPECT_EQ(listener.opened.size(), replace == Replace::push_zero ? 2u : 1u);
    listener.run(seconds(11));
    listener.hear(Listener::at(1), segment({.conv = 9}, "x"));
    EXPECT_EQ(listener.opened.size(), replace == Replace::push_zero ? 3u : replace == Replace::when_silent ? 2u : 1u);
    EXPECT_EQ(listener.table->size(), 1u);
  }
}

TEST(KcpResists, Item11GhostsOfEndedSessions) {
  Listener listener;
  listener.hear(Listener::at(1), segment({}, "x"));
  listener.last->close(CloseReason::local(ErrorCode::local_closed, "done"), Duration(0));
  listener.settle();
  EXPECT_EQ(listener.table->size(), 0u);
  listener.hear(Listener::at(1), segment({}, "x"));
  listener.run(seconds(59));
  listener.hear(Listener::at(1), segment({.sn = 3}, "x"));
  EXPECT_EQ(listener.opened.size(), 1u);
  EXPECT_EQ(listener.counters.tombstone_drops.read(), 2u);
  // Another conv is another session, and the quiet ends.
  listener.hear(Listener::at(1), segment({.conv = 8}, "x"));
  EXPECT_EQ(listener.opened.size(), 2u);
  listener.run(seconds(2));
  listener.hear(Listener::at(2), segment({}, "x"));
  EXPECT_EQ(listener.opened.size(), 3u);
  // Bounded.
  KcpTableOptions few;
  few.quiet_max = 8;
  Listener small(few);
  for (std::uint16_t port = 1; port <= 50; ++port) {
    small.hear(Listener::at(1, port), segment({}, "x"));
    small.last->close(CloseReason::local(ErrorCode::local_closed, "done"), Duration(0));
    small.settle();
  }
  EXPECT_LE(small.table->quiet(), 8u);
}

TEST(KcpResists, Item12ReplayAndReflection) {
  for (const char* crypt : {"aes-128", "aes-128-gcm"}) {
    SCOPED_TRACE(crypt);
    Listener listener({}, fast(), crypt);
    const std::string opener = listener.wrap(segment({}, "secret order"));
    listener.hear_raw(Listener::at(1), opener);
    EXPECT_EQ(listener.opened.size(), 1u);
    listener.run(seconds(100));  // expired, and its name forgotten
    listener.hear_raw(Listener::at(1), opener);
    listener.hear_raw(Listener::at(2), opener);
    EXPECT_EQ(listener.opened.size(), 1u);
    EXPECT_EQ(listener.counters.opener_replayed.read(), 2u);
    ASSERT_FALSE(listener.sent.empty());
    for (const std::string& own : listener.sent) listener.hear_raw(Listener::at(3), own);
    EXPECT_EQ(listener.counters.reflected.read(), listener.sent.size());
  }
}

TEST(KcpResists, Item13MalleableCiphersAreNamedAndTheOthersNoticeChanges) {
  for (const char* name : {"xor", "none", "3des", "cast5", "blowfish"})
    EXPECT_FALSE(cipher_facts(name)->warning.empty()) << name;
  for (const char* name : {"aes-128-gcm", "aes-256-gcm"}) EXPECT_TRUE(cipher_facts(name)->warning.empty()) << name;
  Listener listener({}, fast(), "aes-128-gcm");
  for (std::size_t bit = 0; bit < 100; ++bit) {
    std::string datagram = listener.wrap(segment({}, "x"));
    datagram[bit % datagram.size()] = static_cast<char>(datagram[bit % datagram.size()] ^ 1);
    listener.hear_raw(Listener::at(1), datagram);
  }
  EXPECT_TRUE(listener.opened.empty());
  EXPECT_EQ(listener.counters.checksum_errors.read(), 100u);
}

TEST(KcpResists, Item14FecExhaustionAndMisdirection) {
  const auto code = *ReedSolomon::make(10, 3);
  PacketPool pool;
  KcpCounters counters;
  FecDecoder decoder(*code, pool, counters, {.groups = 4, .age_max = seconds(10)});
  TimePoint now(std::chrono::hours(1));
  const auto feed = [&](std::uint32_t seqid, TimePoint at) {
    std::string packet(100, 'x');
    store_le(reinterpret_cast<std::byte*>(packet.data()), seqid);
    store_le(reinterpret_cast<std::byte*>(packet.data() + 4), seqid % 13 < 10 ? kFecData : kFecParity);
    return decoder.handle_packet(as_bytes(packet), at);
  };
  for (std::uint32_t seqid = 0; seqid < 13 * 1000; seqid += 3) {
    (void)feed(seqid, now);
    EXPECT_LE(decoder.packets_held(), 4u * 13);
  }
  // One far number is not believed: the group that was begun is finished with.
  const std::uint32_t group = 13 * 1002;
  for (std::uint32_t i = 0; i < 9; ++i) EXPECT_FALSE(feed(group + i, now));
  EXPECT_FALSE(feed(0x80000000u, now));
  (void)feed(group + 10, now);
  EXPECT_EQ(code->inversions(), 1u);
  EXPECT_GE(counters.fec_far_seqids.read(), 1u);
  // Two that agree are.
  EXPECT_FALSE(feed(13 * 500'000, now));
  EXPECT_FALSE(feed(13 * 500'000 + 1, now));
  for (std::uint32_t i = 2; i < 9; ++i) EXPECT_FALSE(feed(13 * 500'000 + i, now));
  (void)feed(13 * 500'000 + 9, now + seconds(11));  // the rest is too old by now
  EXPECT_EQ(code->inversions(), 1u);
  EXPECT_EQ(decoder.packets_held(), 1u);
  // Wrong place, wrong end of the numbering, wrong size.
  const std::uint64_t errors = counters.fec_errors.read();
  EXPECT_FALSE(feed(fec_wrap(13), now));
  EXPECT_FALSE(decoder.handle_packet(as_bytes(std::string(7, 'x')), now));
  EXPECT_EQ(counters.fec_errors.read(), errors + 2);
  // Garbage that was "rebuilt" has no effect.
  KcpOptions options = fast();
  options.fec_data = 2;
  options.fec_parity = 1;
  Victim victim(options);
  std::string data(kFecHeaderBytes, '\0');
  store_le(reinterpret_cast<std::byte*>(data.data() + 4), kFecData);
  victim.hear(data + segment({.wnd = 32}, "x"));
  std::string parity(60, '\x11');
  store_le(reinterpret_cast<std::byte*>(parity.data()), 2u);
  store_le(reinterpret_cast<std::byte*>(parity.data() + 4), kFecParity);
  victim.hear(parity);
  EXPECT_EQ(victim.end.received, "x");
  EXPECT_GT(victim.end.counters.fec_errors.read(), 0u);
}

TEST(KcpResists, Item14ARebuiltDatagramCountsWholeOrNotAtAll) {
  KcpOptions options = fast();
  options.fec_data = 2;
  options.fec_parity = 1;
  for (const std::uint32_t conv : {kConv, kConv + 1}) {
    SCOPED_TRACE(conv);
    Victim victim(options);
    const auto code = *ReedSolomon::make(2, 1);
    PacketPool pool;
    FecEncoder encoder(*code, pool);
    const auto seal = [&](const std::string& kcp) {
      std::string packet = std::string(kFecHeaderBytes, '\0') + kcp;
      encoder.seal_data(writable(packet), victim.now);
      return packet;
    };
    victim.hear(seal(segment({.wnd = 32}, "x")));
    // Lost, and of the right size; its second segment is of this session or of another.
    (void)seal(segment({.wnd = 32, .sn = 1}, "y") + segment({.conv = conv, .wnd = 32, .sn = 2}, "z"));
    std::string parity(encoder.parity_size(), '\0');
    ASSERT_FALSE(parity.empty());
    encoder.write_parity(writable(parity));
    victim.hear(parity);
    EXPECT_EQ(victim.end.counters.fec_recovered.read(), 1u);
    EXPECT_EQ(victim.end.received, conv == kConv ? "xyz" : "x");
    EXPECT_EQ(victim.end.counters.fec_errors.read(), conv == kConv ? 0u : 1u);
  }
}

TEST(KcpResists, Item15OddDatagrams) {
  Listener listener;
  listener.hear_raw(Listener::at(1), "");
  listener.hear_raw(Listener::at(1), std::string(1501, 'x'));
  listener.hear_raw(Listener::at(1), std::string(65507, 'x'));
  EXPECT_EQ(listener.counters.in_errors.read(), 3u);
  for (std::size_t size = 1; size < 60; ++size) listener.hear_raw(Listener::at(1), std::string(size, '\xff'));
  EXPECT_TRUE(listener.opened.empty());
  Victim victim;
  std::string huge = segment({.wnd = 32}, "abc");
  for (const std::uint32_t length : {4u, 0x80000000u, 0xffffffffu}) {
    store_le(reinterpret_cast<std::byte*>(huge.data() + 20), length);
    victim.hear(huge);
  }
  EXPECT_TRUE(victim.end.received.empty());
  victim.hear(segment({.wnd = 32}, "abc") + std::string(23, '\xff'));
  EXPECT_EQ(victim.end.received, "abc");
}

TEST(KcpResists, Item16ClocksThatWrapAndDiffer) {
  KcpPair pair;
  LinkOptions link{.loss = 0.1};
  pair.links = {link, link};
  pair.a.start(fast(), KcpSession::Role::dialer, kConv, {.sent = 0xfffffff0u, .ts = 0xffffff00u});
  pair.b.start(fast(), KcpSession::Role::accepted, kConv, {.received = 0xfffffff0u, .ts = 0x7fffffffu});
  std::string text;
  for (int i = 0; i < 50; ++i) {
    pair.a.write("message");
    text += "message";
    pair.run(milliseconds(100));
  }
  pair.run(seconds(10));
  EXPECT_EQ(pair.b.received, text);
  EXPECT_LT(pair.a.session->arq().rto(), Duration(seconds(1)));
}

// Everything that both ends did, over a link that loses, repeats and reorders, from these first numbers on.
std::vector<std::pair<std::string, std::uint64_t>> run_from(std::uint32_t sn, std::uint32_t ts, std::uint64_t seed) {
  KcpPair pair(seed);
  KcpOptions options = fast();
  options.mtu = 200;
  const LinkOptions link{.loss = 0.1, .duplicate = 0.1, .reorder = 0.3, .jitter = milliseconds(5)};
  pair.links = {link, link};
  pair.a.start(options, KcpSession::Role::dialer, kConv, {.sent = sn, .received = sn, .ts = ts});
  pair.b.start(options, KcpSession::Role::accepted, kConv, {.sent = sn, .received = sn, .ts = ts});
  std::string text;
  for (int i = 0; i < 120; ++i) {
    const std::string message = std::to_string(i) + std::string(150, 'x');  // a datagram
    pair.a.write(message);
    pair.b.write(message);
    text += message;
    if (i % 60 == 59) pair.run(seconds(2));
  }
  EXPECT_EQ(pair.a.received, text);
  EXPECT_EQ(pair.b.received, text);
  std::vector<std::pair<std::string, std::uint64_t>> did;
  for (const KcpEnd* end : {&pair.a, &pair.b}) {
    end->counters.for_each([&](std::string_view name, std::uint64_t value) { did.emplace_back(name, value); });
  }
  return did;
}

TEST(KcpResists, Item16NumbersThatWrapChangeNothing) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const auto plain = run_from(0, 0, seed);
    for (const std::uint32_t sn : {0xffffffe2u, 0x7fffffe2u}) {
      EXPECT_EQ(run_from(sn, 0, seed), plain) << "from " << sn << ", seed " << seed;
    }
    EXPECT_EQ(run_from(0, 0xffffffc4u, seed), plain) << "clock, seed " << seed;
  }
}

TEST(KcpResists, Item17LargeWrites) {
  KcpOptions options = fast();
  options.send_bytes_max = 100'000;
  options.send_segments_max = 256;
  Victim victim(options);
  const std::string large(10 << 20, 'x');
  EXPECT_EQ(victim.end.session->write(as_bytes(large)), 100'000u);
  EXPECT_EQ(victim.end.session->write(as_bytes(large)), 0u);
  EXPECT_EQ(victim.end.counters.write_pushbacks.read(), 2u);
  Victim small(options);
  std::size_t taken = 0;
  for (int i = 0; i < 1000; ++i) taken += small.end.session->write(as_bytes("x"));
  EXPECT_EQ(taken, 256u);
  // And it is told when to go on.
  KcpPair pair(options, {});
  pair.a.write(large.substr(0, 1 << 20));
  pair.run(seconds(30));
  EXPECT_EQ(pair.b.received.size(), 1u << 20);
  EXPECT_GT(pair.a.writable, 5);
}

TEST(KcpResists, Item18TimersOfTenThousandIdleSessions) {
  KcpTableOptions options;
  options.prefix_burst = 20'000;
  options.half_open_max = 20'000;
  Listener listener(options);
  for (int i = 0; i < 10'000; ++i) {
    const Endpoint from = Listener::at(static_cast<std::uint8_t>(i), static_cast<std::uint16_t>(i));
    listener.hear(from, segment({.conv = static_cast<std::uint32_t>(i + 1)}, "x"));
    listener.hear(from, segment({.conv = static_cast<std::uint32_t>(i + 1), .sn = 1}, "x"));
  }
  ASSERT_EQ(listener.table->size(), 10'000u);
  listener.run(seconds(20));
  std::size_t fired = 0;
  const TimePoint until = listener.now() + seconds(60);
  while (listener.wheel.next_due() <= until) {
    static_cast<KcpWorld&>(listener).now = listener.wheel.next_due();
    fired += listener.wheel.expire(listener.now());
    listener.settle();
  }
  EXPECT_EQ(fired, 0u);  // in a minute; kcp-go wakes six million times at 10 ms
  EXPECT_EQ(listener.pool.bytes_in_use(), 0u);
  // Growth of resends is capped.
  KcpOptions capped = fast();
  capped.rto_max = seconds(1);
  Victim victim(capped);
  victim.write("data");
  victim.run(seconds(60));
  ASSERT_TRUE(victim.end.closed.has_value());
  EXPECT_EQ(victim.sent.size(), 20u);
}

TEST(KcpResists, Item19MigrationOnlyWithAuthenticatedPackets) {
  // Plain: another address is another session, if it opens one at all.
  Listener plain;
  plain.hear(Listener::at(1), segment({}, "x"));
  KcpSession* const first = plain.last;
  plain.hear(Listener::at(2), segment({.sn = 1}, "x"));
  EXPECT_EQ(plain.table->endpoint_of(*first), Listener::at(1));

  Listener listener({}, fast(), "aes-128-gcm");
  const std::string recorded = listener.wrap(segment({}, "x"));
  listener.hear_raw(Listener::at(1), recorded);
  KcpSession& session = *listener.last;
  listener.hear(Listener::at(1), segment({.sn = 1}, "x"));
  // A recorded datagram moves nothing.
  listener.hear_raw(Listener::at(66), recorded);
  EXPECT_EQ(listener.table->endpoint_of(session), Listener::at(1));
  // New data does, and the new address has to prove itself.
  listener.hear(Listener::at(2), segment({.wnd = 100, .sn = 2}, "x"));
  EXPECT_EQ(listener.table->endpoint_of(session), Listener::at(2));
  EXPECT_FALSE(session.validated());
  EXPECT_EQ(listener.opened.size(), 1u);
  EXPECT_EQ(listener.all_events[0]->text, "xxx");
  const std::uint64_t before = listener.bytes_out;
  session.write(as_bytes(std::string(30'000, 'g')));
  listener.settle();
  EXPECT_LE(listener.bytes_out - before, 3u * 60);
  // It does not: the old address may come back.
  listener.run(seconds(4));
  listener.hear(Listener::at(1), segment({.wnd = 100, .sn = 3}, "x"));
  EXPECT_EQ(listener.table->endpoint_of(session), Listener::at(1));
}

TEST(KcpResists, Item19OnlyWhatWasSentOnTheNewPathValidatesIt) {
  Listener listener({}, fast(), "aes-128-gcm");
  const std::string filler(100, 'x');
  listener.hear(Listener::at(1), segment({.wnd = 32}, filler));
  KcpSession& session = *listener.last;
  session.write(as_bytes("data"));
  session.write(as_bytes("more"));
  listener.settle();
  const std::uint32_t old_ts = listener.last_push().ts;
  // Within the same millisecond: the resent one cannot be told from the first by its ts.
  listener.hear(Listener::at(2), segment({.wnd = 32, .sn = 1}, filler));
  ASSERT_EQ(listener.table->endpoint_of(session), Listener::at(2));
  listener.hear(Listener::at(2), segment({.cmd = kAck, .wnd = 32, .ts = old_ts}));
  EXPECT_EQ(session.arq().unacknowledged(), 1u);
  EXPECT_FALSE(session.validated());
  listener.run(milliseconds(250));
  const Segment resent = listener.last_push();
  ASSERT_NE(resent.ts, old_ts);
  listener.hear(Listener::at(2), segment({.cmd = kAck, .wnd = 32, .ts = resent.ts, .sn = resent.sn}));
  EXPECT_TRUE(session.validated());

  // Nor does a cookie that went to the old address.
  KcpOptions options = fast();
  options.extension = ExtensionWish::ask;
  Listener agreeing({}, options, "aes-128-gcm");
  agreeing.hear(Listener::at(1), segment({.wnd = 32, .ts = asking_ts(kConv)}, filler));
  KcpSession& agreed = *agreeing.last;
  agreeing.hear(Listener::at(1), tell(ExtensionKind::confirm, 0, agreed.extension_cookie()));
  ASSERT_TRUE(agreed.extension_agreed());
  EXPECT_TRUE(agreed.validated());
  agreeing.hear(Listener::at(2), segment({.wnd = 32, .sn = 1}, filler));
  agreeing.hear(Listener::at(2), tell(ExtensionKind::alive, 0, agreed.extension_cookie()));
  EXPECT_EQ(agreeing.table->endpoint_of(agreed), Listener::at(2));
  EXPECT_FALSE(agreed.validated());
}

TEST(KcpResists, Item19AMoveFromAValidatedPathGetsAFullDatagramASecondAndNoMore) {
  Listener listener({}, fast(), "aes-128-gcm");
  const std::string small(20, 'x');
  listener.hear(Listener::at(1), segment({.wnd = 32}, small));
  KcpSession& session = *listener.last;
  session.write(as_bytes("data"));
  listener.settle();
  listener.hear(Listener::at(1), segment({.cmd = kAck, .wnd = 32, .ts = listener.last_push().ts}));
  ASSERT_TRUE(session.validated());
  session.write(as_bytes(std::string(30'000, 'g')));
  listener.settle();
  // Its address changes back and forth, faster than that.
  std::uint64_t before = listener.bytes_out;
  std::uint64_t heard = 0;
  for (std::uint32_t sn = 1; sn <= 40; ++sn) {
    const std::string datagram = listener.wrap(segment({.wnd = 32, .sn = sn}, small));
    heard += datagram.size();
    listener.hear_raw(Listener::at(static_cast<std::uint8_t>(2 + sn % 2)), datagram);
    listener.run(milliseconds(5));
  }
  EXPECT_GT(listener.bytes_out - before, 1400u);
  EXPECT_LE(listener.bytes_out - before, 3 * heard + 1400);
  // Then it is silent: four full datagrams in all, and the end.
  listener.run(seconds(30));
  EXPECT_LE(listener.bytes_out - before, 3 * heard + 4 * 1400);
  EXPECT_GT(listener.bytes_out - before, 3 * 1400u);
  EXPECT_EQ(listener.table->size(), 0u);
  EXPECT_EQ(listener.counters.half_open_expired.read(), 1u);
}

}  // namespace
}  // namespace wayport::transport::kcp

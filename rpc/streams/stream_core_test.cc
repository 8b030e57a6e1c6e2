// Two cores, joined directly or by two rpc sessions in virtual time.
#include "wayport/rpc/streams/stream_core.h"

#include <gtest/gtest.h>

#include "wayport/framing/body_ops.h"
#include "wayport/rpc/session_core.h"
#include "wayport/rpc/testing/session_pair.h"

namespace wayport::rpc {
namespace {

using Kind = StreamMessage::Kind;
using std::chrono::seconds;

StreamOptions small() {
  StreamOptions options;
  options.window_bytes = 1000;
  options.chunk_bytes = 300;
  options.streams_max = 3;
  options.idle_timeout = seconds(60);
  return options;
}

StreamMessage message(Kind kind, StreamId id, std::uint64_t value = 0, std::string_view body = {}) {
  StreamMessage made;
  made.kind = kind;
  made.id = id;
  made.value = value;
  made.body = as_bytes(body);
  return made;
}
StreamId other(StreamId id) { return {!id.ours, id.number}; }

struct End {
  explicit End(const StreamOptions& with = small()) : options(with) {}
  // What a read gives now: "..." nothing yet, "!code" a failure.
  std::string read(StreamId id, std::size_t bytes_max = 1u << 20) {
    const std::optional<Reply<Chain>> taken = core.read(id, bytes_max);
    if (!taken) return "...";
    return taken->ok() ? (**taken).to_string() : "!" + std::to_string(taken->status().code);
  }

  StreamOptions options;
  StreamCounters counters;
  StreamCore core{options, counters};
};

class StreamCoreTest : public ::testing::Test {
 protected:
  StreamId open() {
    const StreamId id = left.core.open().value();
    const Reply<StreamId> taken = right.core.handle_open({id.number, left.core.initial_credit()});
    EXPECT_TRUE(taken.ok()) << taken.status().to_string();
    left.core.handle_opened(id, right.core.initial_credit());
    return id;
  }
  static void tell(const StreamMessage& said, End& to) {
    // Over the wire's form.
    std::string uri;
    append_uri(uri, "/s", said);
    const ParsedStreamMessage parsed = parse_stream_message(said.kind, std::string_view(uri).substr(uri.find('?') + 1));
    StreamMessage heard = said;
    heard.id = parsed.id.value();
    heard.value = parsed.value.value();
    to.core.handle(heard);
  }
  // Both say what they have to say.
  void talk() {
    for (bool any = true; any;) {
      any = false;
      for (const auto& [from, to] : {std::pair(&left, &right), std::pair(&right, &left)}) {
        while (const std::optional<StreamMessage> said = from->core.next_control()) {
          tell(*said, *to);
          from->core.control_sent(*said);
          said_.push_back(std::string(route_of(said->kind)));
          any = true;
        }
      }
    }
  }
  // How many bytes went.
  std::size_t write(End& from, End& to, StreamId id, std::string_view bytes) {
    std::size_t went = 0;
    while (went < bytes.size()) {
      const std::optional<Reply<StreamMessage>> data = from.core.write(id, as_bytes(bytes.substr(went)));
      if (!data || !data->ok()) break;
      tell(**data, to);
      went += (**data).body.size();
      from.core.handle_sent(**data);
    }
    return went;
  }
  static void release(End& end, StreamId id) {
    end.core.release_reader(id);
    end.core.release_writer(id);
  }
  void expect_broken(StreamId id, const StreamMessage& bad, std::string_view why) {
    tell(bad, right);
    EXPECT_EQ(right.core.status(other(id)).code, code::kBadUri);
    EXPECT_NE(right.core.status(other(id)).text.find(why), std::string::npos) << right.core.status(other(id)).text;
    EXPECT_EQ(right.counters.violations.read(), 1u);
    talk();
    EXPECT_EQ(left.core.status(id).code, code::kBadUri);
    EXPECT_EQ(left.core.status(id).origin, Status::Origin::remote);
    release(left, id);
    release(right, other(id));
    EXPECT_EQ(left.core.size() + right.core.size(), 0u);
    EXPECT_EQ(right.core.buffered_bytes(), 0u);
  }

  End left;
  End right;
  std::vector<std::string> said_;
};

TEST_F(StreamCoreTest, BytesArriveInOrderAndTheEndAfterThem) {
  const StreamId id = open();
  EXPECT_EQ(right.read(other(id)), "...");
  EXPECT_EQ(write(left, right, id, "hello "), 6u);
  EXPECT_EQ(write(left, right, id, "world"), 5u);
  EXPECT_TRUE(left.core.finish(id).ok());
  talk();
  EXPECT_EQ(right.read(other(id), 8), "hello wo");
  EXPECT_EQ(right.read(other(id)), "rld");
  EXPECT_EQ(right.read(other(id)), "");
  // The other direction is still there.
  EXPECT_EQ(write(right, left, other(id), "back"), 4u);
  EXPECT_TRUE(right.core.finish(other(id)).ok());
  talk();
  EXPECT_EQ(left.read(id), "back");
  EXPECT_EQ(left.read(id), "");
  release(left, id);
  release(right, other(id));
  EXPECT_EQ(left.core.size() + right.core.size(), 0u);
  EXPECT_FALSE(left.core.next_control() || right.core.next_control());
  EXPECT_EQ(said_, (std::vector<std::string>{"end", "end"}));
}

TEST_F(StreamCoreTest, AWriterStopsAtTheWindowUntilHalfOfItIsRead) {
  const StreamId id = open();
  const std::string much(5000, 'x');
  EXPECT_EQ(write(left, right, id, much), 1000u);
  EXPECT_FALSE(left.core.write(id, as_bytes("y")).has_value());
  EXPECT_EQ(right.core.buffered_bytes(), 1000u);
  EXPECT_EQ(right.read(other(id), 499).size(), 499u);
  talk();
  EXPECT_EQ(write(left, right, id, much), 0u);
  EXPECT_EQ(right.read(other(id), 1), "x");
  talk();
  EXPECT_EQ(write(left, right, id, much), 500u);
  EXPECT_EQ(right.core.buffered_bytes(), 1000u);
  EXPECT_EQ(right.counters.buffered_bytes_peak.read(), 1000);
}

TEST_F(StreamCoreTest, ChunksAreNoLargerThanTold) {
  const StreamId id = open();
  const std::string much(301, 'x');
  EXPECT_EQ((**left.core.write(id, as_bytes(much))).body.size(), 300u);
}

TEST_F(StreamCoreTest, DataUpToTheCreditIsTakenAndAByteMoreBreaksTheStream) {
  const StreamId id = open();
  tell(message(Kind::data, id, 0, std::string(1000, 'x')), right);
  EXPECT_TRUE(right.core.status(other(id)).ok());
  expect_broken(id, message(Kind::data, id, 1000, "y"), "credit is 1000");
}
TEST_F(StreamCoreTest, AGapBreaksTheStream) {
  const StreamId id = open();
  expect_broken(id, message(Kind::data, id, 1, "y"), "offset 1 instead of 0");
}
TEST_F(StreamCoreTest, ARepeatedOffsetBreaksTheStream) {
  const StreamId id = open();
  write(left, right, id, "abc");
  expect_broken(id, message(Kind::data, id, 0, "abc"), "offset 0 instead of 3");
}
TEST_F(StreamCoreTest, AnOffsetNearTheLargestDoesNotWrapAround) {
  const StreamId id = open();
  expect_broken(id, message(Kind::data, id, kStreamNumberMax, "y"), "instead of 0");
}
TEST_F(StreamCoreTest, DataAfterTheEndBreaksTheStream) {
  const StreamId id = open();
  tell(message(Kind::end, id, 0), right);
  expect_broken(id, message(Kind::data, id, 0, "y"), "after the end");
}
TEST_F(StreamCoreTest, ASecondEndBreaksTheStream) {
  const StreamId id = open();
  tell(message(Kind::end, id, 0), right);
  expect_broken(id, message(Kind::end, id, 0), "second end");
}
TEST_F(StreamCoreTest, AnEndThatMissesBytesBreaksTheStream) {
  const StreamId id = open();
  write(left, right, id, "abc");
  expect_broken(id, message(Kind::end, id, 4), "4 bytes, 3 have come");
}
TEST_F(StreamCoreTest, CreditThatGoesBackBreaksTheStream) {
  const StreamId id = open();
  expect_broken(id, message(Kind::credit, id, 999), "went back");
}
TEST_F(StreamCoreTest, CreditUpToTheLargestNumberIsTakenAndBeyondItBreaksTheStream) {
  const StreamId id = open();
  right.core.handle(message(Kind::credit, other(id), kStreamNumberMax));
  EXPECT_TRUE(right.core.status(other(id)).ok());
  right.core.handle(message(Kind::credit, other(id), kStreamNumberMax + 1));
  EXPECT_EQ(right.core.status(other(id)).code, code::kBadUri);
}

TEST_F(StreamCoreTest, WhatIsSaidOfUnknownStreamsIsCountedAndIgnored) {
  for (const Kind kind : kStreamMessageKinds) right.core.handle(message(kind, {false, 5}, 0, "x"));
  EXPECT_EQ(right.counters.messages_unmatched.read(), std::size(kStreamMessageKinds));
  EXPECT_EQ(right.core.size(), 0u);
  EXPECT_FALSE(right.core.next_control().has_value());
}

TEST_F(StreamCoreTest, OpensAreTakenUpToTheBoundAndRefusedBeyondIt) {
  const StreamId first = open();
  open();
  open();
  EXPECT_EQ(left.core.open().status().code, code::kServiceUnavailable);
  EXPECT_TRUE(left.core.open().status().never_executed);
  EXPECT_EQ(right.core.handle_open({9, 1000}).status().code, code::kServiceUnavailable);
  // The other way round is counted apart.
  EXPECT_TRUE(right.core.open().ok());
  // Over on the wire is not enough: what the application holds counts.
  left.core.abort(first, Status::make(1000));
  talk();
  EXPECT_EQ(right.core.handle_open({10, 1000}).status().code, code::kServiceUnavailable);
  release(right, other(first));
  EXPECT_TRUE(right.core.handle_open({11, 1000}).ok());
  EXPECT_EQ(right.counters.refused.read(), 2u);
}

TEST_F(StreamCoreTest, NumbersOfStreamsOnlyGrow) {
  open();
  EXPECT_EQ(right.core.handle_open({1, 0}).status().code, code::kConflict);
  EXPECT_EQ(right.core.handle_open({0, 0}).status().code, code::kBadUri);
  EXPECT_EQ(right.core.handle_open({5, kStreamNumberMax + 1}).status().code, code::kBadUri);
  EXPECT_TRUE(right.core.handle_open({7, 0}).ok());
  EXPECT_EQ(right.core.handle_open({6, 0}).status().code, code::kConflict);
}

TEST_F(StreamCoreTest, AbortsReachBothDirectionsOnceAndDropWhatWaits) {
  const StreamId id = open();
  write(left, right, id, "abc");
  write(right, left, other(id), "def");
  left.core.abort(id, Status::make(1001, "enough"));
  left.core.abort(id, Status::make(1002, "twice"));
  talk();
  EXPECT_EQ(said_, (std::vector<std::string>{"abort"}));
  EXPECT_EQ(right.read(other(id)), "!1001");
  EXPECT_EQ(right.core.status(other(id)).origin, Status::Origin::remote);
  EXPECT_EQ(left.read(id), "!1001");
  EXPECT_EQ(left.core.status(id).origin, Status::Origin::local);
  EXPECT_EQ((*right.core.write(other(id), as_bytes("x"))).status().text, "enough");
  EXPECT_EQ(left.core.buffered_bytes() + right.core.buffered_bytes(), 0u);
}

TEST_F(StreamCoreTest, AnAbortThatSaysOkIsAnErrorAndALongReasonIsCut) {
  const StreamId id = open();
  tell(message(Kind::abort, id), right);
  EXPECT_EQ(right.core.status(other(id)).code, code::kInternal);
  const StreamId second = open();
  StreamMessage abort = message(Kind::abort, second);
  abort.status = Status::make(1000, std::string(5000, 'x'));
  tell(abort, right);
  EXPECT_EQ(right.core.status(other(second)).text.size(), 1024u);
}

TEST_F(StreamCoreTest, AReaderThatGoesStopsTheWriterAndNothingElse) {
  const StreamId id = open();
  write(left, right, id, "abc");
  right.core.release_reader(other(id));
  EXPECT_EQ(right.core.buffered_bytes(), 0u);
  EXPECT_EQ(write(left, right, id, "on its way"), 10u);
  EXPECT_EQ(right.counters.data_dropped.read(), 10u);
  talk();
  EXPECT_EQ((*left.core.write(id, as_bytes("x"))).status().code, code::kCanceled);
  EXPECT_EQ(write(right, left, other(id), "answer"), 6u);
  EXPECT_TRUE(right.core.finish(other(id)).ok());
  talk();
  EXPECT_EQ(left.read(id), "answer");
  EXPECT_EQ(left.read(id), "");
  release(left, id);
  right.core.release_writer(other(id));
  talk();
  EXPECT_EQ(left.core.size() + right.core.size(), 0u);
  EXPECT_EQ(left.counters.aborted_here.read() + right.counters.aborted_here.read(), 0u);
}

TEST_F(StreamCoreTest, AWriterThatGoesUnfinishedAbortsSoThatNoPartPassesForTheWhole) {
  const StreamId id = open();
  write(left, right, id, "part");
  left.core.release_writer(id);
  talk();
  EXPECT_EQ(right.read(other(id)), "!499");
  EXPECT_EQ(left.read(id), "!499");
}

TEST_F(StreamCoreTest, NothingIsWrittenAfterFinish) {
  const StreamId id = open();
  EXPECT_TRUE(left.core.finish(id).ok());
  EXPECT_TRUE(left.core.finish(id).ok());
  EXPECT_EQ((*left.core.write(id, as_bytes("x"))).status().code, code::kWriteFailed);
  talk();
  EXPECT_EQ(said_, (std::vector<std::string>{"end"}));
}

TEST_F(StreamCoreTest, WhoWaitsTooLongForDataOrCreditAborts) {
  const TimePoint start{std::chrono::hours(1)};
  const StreamId reads = open();
  const StreamId writes = open();
  EXPECT_EQ(left.core.next_timeout(), kNever);
  right.core.wait_read(other(reads), start);
  write(left, right, writes, std::string(1000, 'x'));
  left.core.wait_write(writes, start + seconds(1));
  EXPECT_EQ(right.core.next_timeout(), start + seconds(60));
  EXPECT_TRUE(right.core.handle_timeout(start + seconds(60) - Duration(1)).empty());
  EXPECT_EQ(right.core.handle_timeout(start + seconds(60)), (std::vector<StreamId>{other(reads)}));
  EXPECT_EQ(right.core.status(other(reads)).code, code::kTimeout);
  EXPECT_EQ(left.core.handle_timeout(start + seconds(61)), (std::vector<StreamId>{writes}));
  EXPECT_NE(left.core.status(writes).text.find("no credit"), std::string::npos);
  talk();
  EXPECT_EQ(left.read(reads), "!504");
  EXPECT_EQ(right.read(other(writes)), "!504");
  EXPECT_EQ(left.counters.idle_timeouts.read() + right.counters.idle_timeouts.read(), 2u);
}

TEST_F(StreamCoreTest, ProgressAndApplicationsThatDoNotWaitRunNoTime) {
  const TimePoint start{std::chrono::hours(1)};
  const StreamId id = open();
  right.core.wait_read(other(id), start);
  write(left, right, id, "x");
  EXPECT_EQ(right.core.next_timeout(), kNever);
  write(left, right, id, std::string(999, 'x'));
  left.core.wait_write(id, start);
  right.read(other(id));
  talk();
  EXPECT_EQ(left.core.next_timeout(), kNever);
  EXPECT_TRUE(left.core.handle_timeout(start + std::chrono::hours(9)).empty());
}

TEST_F(StreamCoreTest, AnIdleTimeoutOfZeroIsNone) {
  left.options.idle_timeout = Duration::zero();
  const StreamId id = open();
  left.core.wait_read(id, TimePoint{});
  EXPECT_EQ(left.core.next_timeout(), kNever);
  EXPECT_TRUE(left.core.handle_timeout(TimePoint{std::chrono::hours(9)}).empty());
}

TEST_F(StreamCoreTest, ALostSessionFailsEveryStreamAndSaysNothing) {
  const StreamId id = open();
  const StreamId aborted = open();
  left.core.abort(aborted, Status::make(1000));
  left.core.handle_lost(Status::make(code::kConnectionClosed));
  EXPECT_EQ(left.read(id), "!101");
  EXPECT_EQ(left.core.status(aborted).code, 1000);
  EXPECT_FALSE(left.core.next_control().has_value());
  release(left, id);
  release(left, aborted);
  EXPECT_EQ(left.core.size(), 0u);
  EXPECT_EQ(left.counters.streams.read(), 0);
}

TEST_F(StreamCoreTest, AnOpenThatFailsSaysSoUnlessThePeerRefusedIt) {
  const StreamId refused = left.core.open().value();
  left.core.handle_open_failed(refused, {code::kNotFound, "no", Status::Origin::remote});
  EXPECT_EQ(left.core.status(refused).code, code::kNotFound);
  EXPECT_FALSE(left.core.next_control().has_value());
  const StreamId late = left.core.open().value();
  const StreamId at_peer = right.core.handle_open({late.number, 1000}).value();
  left.core.handle_open_failed(late, Status::make(code::kTimeout));
  talk();
  EXPECT_EQ(right.read(at_peer), "!504");
  release(left, refused);
  release(left, late);
  EXPECT_EQ(left.core.size(), 0u);
}

TEST_F(StreamCoreTest, DataBeforeTheStreamWasAcceptedBreaksIt) {
  const StreamId id = left.core.open().value();
  left.core.handle(message(Kind::data, id, 0, "x"));
  EXPECT_EQ(left.core.status(id).code, code::kBadUri);
  release(left, id);
  left.core.handle_opened(id, 1000);
  EXPECT_EQ(left.core.next_control()->kind, Kind::abort);
  left.core.control_sent(*left.core.next_control());
  EXPECT_EQ(left.core.size(), 0u);
}

TEST_F(StreamCoreTest, AStreamThatWasOverBeforeItWasAcceptedIsForgotten) {
  const StreamId id = left.core.open().value();
  EXPECT_TRUE(left.core.finish(id).ok());
  release(left, id);
  const Reply<StreamId> taken = right.core.handle_open({id.number, 1000});
  talk();
  left.core.handle_opened(id, 1000);
  EXPECT_EQ(left.core.size(), 0u);
  EXPECT_EQ(right.read(*taken), "");
  EXPECT_EQ((*right.core.write(*taken, as_bytes("x"))).status().code, code::kCanceled);
}

TEST_F(StreamCoreTest, AStuckStreamDoesNotHoldUpAnother) {
  const StreamId stuck = open();
  const StreamId other_one = open();
  EXPECT_EQ(write(left, right, stuck, std::string(5000, 'x')), 1000u);
  std::size_t moved = 0;
  while (moved < 100'000) {
    moved += write(left, right, other_one, std::string(700, 'y'));
    right.read(other(other_one));
    talk();
  }
  EXPECT_EQ(right.core.buffered_bytes(), 1000u);
}

// --- over two sessions in virtual time: every header codec and compression, as ordinary pushes ---

struct Way {
  std::uint8_t header_codec;
  std::int32_t gzip;
};

class StreamsOverSessions : public ::testing::TestWithParam<Way> {
 protected:
  // A StreamCore on one end of a pair.
  struct Streams {
    Streams(testing::End& its_end, Way its_way) : end(its_end), way(its_way) {
      for (const Kind kind : kStreamMessageKinds) {
        end.on_push("/s/" + std::string(route_of(kind)), [this, kind](Call& call) {
          const ParsedStreamMessage parsed = parse_stream_message(kind, call.raw_query());
          StreamMessage heard = message(kind, parsed.id.value(), parsed.value.value());
          const std::string body = testing::body_of(call);
          heard.body = as_bytes(body);
          heard.status = {call.header().status_code, std::string(call.header().status), Status::Origin::remote};
          streams.core.handle(heard);
        });
      }
      end.on_pull("/s/open", [this](Call& call) {
        taken = streams.core.handle_open(parse_stream_open(call.raw_query()).value()).value();
        testing::reply_text(call, std::to_string(streams.core.initial_credit()));
      });
    }
    Result<void> push(const StreamMessage& said) {
      std::string uri;
      append_uri(uri, "/s", said);
      Request request;
      request.uri = uri;
      request.header_codec = way.header_codec;
      const std::string body(as_text(said.body));
      if (said.kind == Kind::data) {
        request.body = testing::End::string_body(body);
        request.gzip = way.gzip;
      }
      request.status_code = said.status.code == code::kOk ? 0 : said.status.code;
      request.status = said.status.text;
      return end.core().push(request);
    }
    void say() {
      while (const std::optional<StreamMessage> said = streams.core.next_control()) {
        EXPECT_TRUE(push(*said).has_value());
        streams.core.control_sent(*said);
      }
    }
    std::size_t write(StreamId id, std::string_view bytes) {
      const std::optional<Reply<StreamMessage>> data = streams.core.write(id, as_bytes(bytes));
      if (!data || !data->ok()) return 0;
      EXPECT_TRUE(push(**data).has_value());
      streams.core.handle_sent(**data);
      return (**data).body.size();
    }

    testing::End& end;
    Way way;
    End streams;
    std::optional<StreamId> taken;
  };

  StreamId open() {
    const StreamId id = left.streams.core.open().value();
    std::string uri;
    append_open_uri(uri, "/s", {id.number, left.streams.core.initial_credit()});
    pair.left.pull(uri, "/upload");
    pair.drive();
    left.streams.core.handle_opened(id, parse_stream_number(pair.left.outcomes.back().text).value());
    return id;
  }

  testing::Pair pair;
  Streams left{pair.left, GetParam()};
  Streams right{pair.right, GetParam()};
};
std::string way_name(const ::testing::TestParamInfo<Way>& info) {
  return std::string(1, static_cast<char>(info.param.header_codec)) + std::to_string(info.param.gzip);
}
INSTANTIATE_TEST_SUITE_P(Ways, StreamsOverSessions,
                         ::testing::Values(Way{'j', 0}, Way{'j', 6}, Way{'p', 0}, Way{'p', 1}), way_name);

TEST_P(StreamsOverSessions, BothDirectionsArriveWholeInSmallPieces) {
  const StreamId id = open();
  std::string sent;
  for (int i = 0; sent.size() < 20'000; ++i) sent += std::to_string(i * 7919);
  std::string to_right;
  std::string to_left;
  std::size_t left_went = 0;
  std::size_t right_went = 0;
  for (int rounds = 0; rounds < 10'000 && (to_right.size() < sent.size() || to_left.size() < sent.size()); ++rounds) {
    left_went += left.write(id, std::string_view(sent).substr(left_went));
    right_went += right.write(*right.taken, std::string_view(sent).substr(right_went));
    pair.drive(7);
    for (Streams* streams : {&left, &right}) EXPECT_LE(streams->streams.core.buffered_bytes(), 1000u);
    if (std::string got = right.streams.read(*right.taken, 333); got != "...") to_right += got;
    if (std::string got = left.streams.read(id, 77); got != "...") to_left += got;
    left.say();
    right.say();
  }
  EXPECT_EQ(to_right, sent);
  EXPECT_EQ(to_left, sent);
  EXPECT_TRUE(left.streams.core.finish(id).ok());
  left.say();
  pair.drive();
  EXPECT_EQ(right.streams.read(*right.taken), "");
}

TEST_P(StreamsOverSessions, AnAbortCarriesItsStatus) {
  const StreamId id = open();
  left.streams.core.abort(id, Status::make(-7, "no more \"room\""));
  left.say();
  pair.drive();
  const Status status = right.streams.core.status(*right.taken);
  EXPECT_EQ(status.code, -7);
  EXPECT_EQ(status.text, "no more \"room\"");
}

}  // namespace
}  // namespace wayport::rpc

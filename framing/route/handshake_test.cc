#include "wayport/framing/route/handshake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace wayport::route {
namespace {

using ::testing::HasSubstr;
using Verdict = AnswerReader::Verdict;

std::string bytes_of(const Chain& chain) {
  std::string bytes(chain.size(), '\0');
  chain.copy_to(std::as_writable_bytes(std::span(bytes.data(), bytes.size())));
  return bytes;
}
std::string identify_frame(std::string_view identify) {
  Chain chain;
  EXPECT_TRUE(write_identify(chain, identify));
  return bytes_of(chain);
}
std::string success_answer(std::string_view message) {
  Chain chain;
  EXPECT_TRUE(write_success(chain, as_bytes(message)));
  return bytes_of(chain);
}

TEST(RouteIdentify, TakesNothingOfWhatIsBehindIt) {
  const std::string frame = identify_frame("127.0.0.1:9000");
  const std::string stream = frame + "GET";
  for (std::size_t first = 0; first <= stream.size(); ++first) {
    for (std::size_t second = first; second <= stream.size(); ++second) {
      SCOPED_TRACE(first);
      SCOPED_TRACE(second);
      IdentifyReader reader;
      std::size_t consumed = 0;
      for (const std::size_t end : {first, second, stream.size()}) {
        // What was not consumed is shown again.
        const std::size_t taken = reader.read(as_bytes(stream).subspan(consumed, end - consumed)).value();
        consumed += taken;
        EXPECT_EQ(reader.received(), consumed);
        EXPECT_EQ(reader.done(), end >= frame.size());
        EXPECT_EQ(consumed, std::min(end, frame.size()));
      }
      EXPECT_EQ(reader.identify(), "127.0.0.1:9000");
      EXPECT_EQ(reader.read(as_bytes("more")).value(), 0u);
    }
  }
}

TEST(RouteIdentify, IsJudgedOnTheLengthWordAndStaysFailed) {
  const struct {
    std::string word;
    ErrorCode code;
    const char* why;
  } table[] = {
      {std::string(4, '\0'), ErrorCode::malformed, "length 0"},
      {std::string("\x01\x10\0\0", 4), ErrorCode::too_large, "4097"},
      {"\xff\xff\xff\xff", ErrorCode::too_large, "4294967295"},
      {std::string("\0\0\0\x0e", 4), ErrorCode::too_large, "little endian"},
  };
  for (const auto& row : table) {
    SCOPED_TRACE(row.why);
    IdentifyReader reader;
    ASSERT_EQ(reader.read(as_bytes(row.word).first(3)).value(), 3u);
    const Result<std::size_t> last = reader.read(as_bytes(row.word).subspan(3));
    ASSERT_FALSE(last);
    EXPECT_EQ(last.error().code, row.code);
    EXPECT_THAT(last.error().detail, HasSubstr(row.why));
    EXPECT_FALSE(reader.done());
    EXPECT_EQ(reader.received(), 4u);
    EXPECT_FALSE(reader.read(as_bytes("127.0.0.1:9000")));
    EXPECT_FALSE(reader.done());
  }
}

TEST(RouteIdentify, TheLimitIsTheLastLengthThatPasses) {
  IdentifyReader at_limit(5);
  EXPECT_EQ(at_limit.read(as_bytes(identify_frame("a:123"))).value(), 9u);
  EXPECT_TRUE(at_limit.done());
  IdentifyReader over(4);
  EXPECT_FALSE(over.read(as_bytes(identify_frame("a:123"))));
  Chain chain;
  EXPECT_TRUE(write_identify(chain, std::string(kIdentifyBytesMax, 'h')));
  EXPECT_EQ(chain.size(), 4100u);
  for (const std::string& bad : {std::string(), std::string(kIdentifyBytesMax + 1, 'h')}) {
    const Result<void> written = write_identify(chain, bad);
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, ErrorCode::invalid_argument);
  }
  EXPECT_EQ(chain.size(), 4100u) << "a refused identify leaves nothing behind";
}

TEST(RouteAnswer, TellsAcceptedFromRefusedWhateverTheSplit) {
  const struct {
    std::string stream;
    Verdict verdict;
    std::string message;
    std::size_t consumed;
  } table[] = {
      {success_answer("ok") + "data", Verdict::accepted, "ok", 6},
      {success_answer("") + "data", Verdict::accepted, "", 4},
      {success_answer(std::string("\0\1\xff", 3)), Verdict::accepted, std::string("\0\1\xff", 3), 7},
      // A message that says "error" is none.
      {success_answer("error"), Verdict::accepted, "error", 9},
      {std::string(kErrorAnswer), Verdict::refused, "", 5},
      {"erro", Verdict::refused, "", 4},
      {"error: and what an implementation may add", Verdict::refused, "", 41},
      {"err", Verdict::pending, "", 3},
      {success_answer("ok").substr(0, 5), Verdict::pending, "o", 5},
  };
  for (const auto& row : table) {
    for (std::size_t piece = 1; piece <= row.stream.size(); ++piece) {
      SCOPED_TRACE(row.stream + " in pieces of " + std::to_string(piece));
      AnswerReader reader;
      std::size_t consumed = 0;
      for (std::size_t end = 0; end < row.stream.size();) {
        end = std::min(end + piece, row.stream.size());
        consumed += reader.read(as_bytes(row.stream).subspan(consumed, end - consumed)).value();
      }
      EXPECT_EQ(reader.verdict(), row.verdict);
      EXPECT_EQ(reader.message(), row.message);
      EXPECT_EQ(consumed, row.consumed);
    }
  }
}

TEST(RouteAnswer, OverTheLimitFailsOnTheLengthWordAndStaysFailed) {
  const std::string answer = success_answer(std::string(10, 'm'));
  AnswerReader at_limit(10);
  EXPECT_EQ(at_limit.read(as_bytes(answer)).value(), 14u);
  EXPECT_EQ(at_limit.verdict(), Verdict::accepted);
  AnswerReader over(9);
  ASSERT_TRUE(over.read(as_bytes(answer).first(3)));
  const Result<std::size_t> failed = over.read(as_bytes(answer).subspan(3, 1));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::too_large);
  EXPECT_THAT(failed.error().detail, HasSubstr("limit of 9"));
  EXPECT_FALSE(over.read(as_bytes(answer).subspan(4)));
  EXPECT_EQ(over.verdict(), Verdict::pending);
  EXPECT_FALSE(AnswerReader().read(as_bytes("HTTP/1.1 400 Bad Request\r\n")));
  Chain chain;
  EXPECT_TRUE(write_success(chain, as_bytes(std::string(kSuccessBytesMax, 'm'))));
  EXPECT_FALSE(write_success(chain, as_bytes(std::string(kSuccessBytesMax + 1, 'm'))));
}

TEST(RouteErrors, HaveNamesAndHttpStatusesAndHideWhatAnAllowListHides) {
  std::set<std::string_view> names;
  for (const RouteError code : kRouteErrors) {
    EXPECT_TRUE(names.insert(to_string(code)).second);
    EXPECT_EQ(route_error_named(to_string(code)), code);
    EXPECT_THAT((std::set{400, 401, 403, 502, 503, 504}), ::testing::Contains(http_status(code)));
  }
  EXPECT_EQ(names.size(), 9u);
  EXPECT_EQ(route_error_named("nothing"), std::nullopt);
  EXPECT_EQ(http_status(RouteError::bad_request), 400);
  EXPECT_EQ(http_status(RouteError::unauthorized), 401);
  EXPECT_EQ(http_status(RouteError::forbidden), 403);
  EXPECT_EQ(http_status(RouteError::resolve_failed), 502);
  EXPECT_EQ(http_status(RouteError::overloaded), 503);
  EXPECT_EQ(http_status(RouteError::dial_timeout), 504);
  EXPECT_EQ(shown_to_clients(RouteError::unauthorized), RouteError::dial_refused);
  EXPECT_EQ(shown_to_clients(RouteError::forbidden), RouteError::dial_refused);
  EXPECT_EQ(shown_to_clients(RouteError::dial_timeout), RouteError::dial_timeout);
}

TEST(RouteErrors, SayWhatAFailedDialWas) {
  const auto of = [](ErrorCode code) { return route_error_of_dial({code, "x", {}}); };
  EXPECT_EQ(of(ErrorCode::refused), RouteError::dial_refused);
  EXPECT_EQ(of(ErrorCode::peer_closed), RouteError::dial_refused);
  EXPECT_EQ(of(ErrorCode::timed_out), RouteError::dial_timeout);
  EXPECT_EQ(of(ErrorCode::unreachable), RouteError::dial_unreachable);
  EXPECT_EQ(of(ErrorCode::overloaded), RouteError::overloaded);
  EXPECT_EQ(of(ErrorCode::internal), RouteError::internal);
  EXPECT_EQ(of(ErrorCode::io), RouteError::internal);
}

}  // namespace
}  // namespace wayport::route

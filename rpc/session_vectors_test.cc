// Goal: sessions face what was recorded from Go peers. Method: each vector of spec/teleport against one core.
#include <gtest/gtest.h>

#include <cstdio>
#include <map>

#include "wayport/framing/body_ops.h"
#include "wayport/framing/testing/vectors.h"
#include "wayport/rpc/session_core.h"
#include "wayport/rpc/testing/session_pair.h"

namespace wayport::rpc {
namespace {

using testing::End;
using testing::Function;
using testing::reply_text;

// The routes of the server that the malformed inputs were recorded against.
void add_recorded_routes(End& end, int& ran) {
  const auto str = [&ran](Call& call) {
    std::string text;
    if (!call.decode({&framing::body_ops<std::string>(), &text})) return;
    ++ran;
    reply_text(call, "echo:" + text);
  };
  end.on_pull("/home/str", str);
  end.on_pull("/home/bytes", [&ran](Call& call) { ++ran, call.reply_verbatim(call.packet().body_with_codec); });
  for (const char* path : {"/home/json", "/home/proto", "/home/nil_ptr", "/home/sleep"}) end.on_pull(path, str);
  end.on_push("/push/str", [&ran](Call& call) {
    std::string text;
    if (call.decode({&framing::body_ops<std::string>(), &text})) ++ran;
  });
}

TEST(SessionVectors, EveryTruncationOfEveryGoodPacketEndsInATypedReasonAndRunsNothing) {
  std::size_t packets = 0;
  std::size_t truncations = 0;
  for (const auto& vector : framing::testing::teleport_vectors().packets) {
    ++packets;
    const std::string& bytes = vector.bytes;
    for (std::size_t size = 1; size < bytes.size(); ++size) {
      TimePoint now{std::chrono::hours(1)};
      End end(now);
      int ran = 0;
      end.router.set_unknown(Call::Kind::pull,
                             std::make_shared<Function>([&](Call& call) { ++ran, call.reply_empty(); }));
      end.receive(std::string_view(bytes).substr(0, size));
      end.core().handle_read_end();
      end.turn();
      ASSERT_TRUE(end.closed) << vector.name << " cut at " << size;
      ASSERT_EQ(end.core().close_reason().error.code, ErrorCode::malformed) << vector.name << " cut at " << size;
      ASSERT_EQ(ran, 0) << vector.name << " cut at " << size;
      ++truncations;
    }
  }
  EXPECT_EQ(packets, 349u);
  std::printf("vectors: %zu packets, %zu truncations\n", packets, truncations);
}

TEST(SessionVectors, EveryMalformedInputLeavesASessionThatIsClosedWithAReasonOrStillAnswers) {
  std::size_t count = 0;
  std::map<std::string, std::size_t> verdicts;
  for (const auto& vector : framing::testing::teleport_vectors().malformed) {
    ++count;
    SessionOptions options;
    if (vector.server_read_limit > 0) options.limits.packet_bytes_max = vector.server_read_limit;
    options.limits.inflated_bytes_max = 1 << 20;
    TimePoint now{std::chrono::hours(1)};
    End end(now, options);
    int ran = 0;
    add_recorded_routes(end, ran);
    const std::string bytes = vector.bytes();
    for (std::size_t at = 0; at < bytes.size(); at += 64 * 1024)
      end.receive(std::string_view(bytes).substr(at, 64 * 1024));
    end.turn();
    if (!end.closed) {
      end.core().handle_read_end();
      end.turn();
      ++verdicts["alive until the end of the stream"];
    } else {
      ++verdicts["closed"];
      EXPECT_FALSE(end.core().close_reason().error.detail.empty()) << vector.name;
      EXPECT_NE(end.core().close_reason().error.detail.find("mem://peer"), std::string::npos)
          << vector.name << ": " << end.core().close_reason().error.detail;
    }
    EXPECT_TRUE(end.closed) << vector.name;
    end.outbox.clear();
  }
  EXPECT_EQ(count, 90u);
  for (const auto& [verdict, times] : verdicts) std::printf("malformed: %zu %s\n", times, verdict.c_str());
}

TEST(SessionVectors, WhereGoAnswersOddInputOursAnswersTheSameBytes) {
  std::size_t compared = 0;
  for (const auto& vector : framing::testing::teleport_vectors().malformed) {
    const bool comparable =
        !vector.reply.empty() && vector.go_behaviour.find("DEFECT") == std::string::npos &&
        vector.name.find("gzip") == std::string::npos &&  // compressed by another deflate
        vector.name != "malformed/dup_seq_two_pulls" &&   // in completion order
        (vector.prefix.find("/home/str") != std::string::npos || vector.prefix.find("/nope") != std::string::npos);
    if (!comparable || vector.prefix.find("/home/sleep") != std::string::npos) continue;
    SessionOptions options;
    if (vector.server_read_limit > 0) options.limits.packet_bytes_max = vector.server_read_limit;
    TimePoint now{std::chrono::hours(1)};
    End end(now, options);
    int ran = 0;
    add_recorded_routes(end, ran);
    end.receive(vector.bytes());
    end.turn();
    EXPECT_EQ(end.outbox, vector.reply) << vector.name;
    EXPECT_FALSE(end.closed) << vector.name;
    end.outbox.clear();
    ++compared;
  }
  EXPECT_GE(compared, 12u);
  std::printf("malformed: %zu answered with the bytes of Go\n", compared);
}

TEST(SessionVectors, DefectStreamsOfGoPeersAreSurvived) {
  std::size_t count = 0;
  for (const auto& vector : framing::testing::teleport_vectors().defect_streams) {
    ++count;
    TimePoint now{std::chrono::hours(1)};
    End end(now);
    int ran = 0;
    end.router.set_unknown(Call::Kind::pull, std::make_shared<Function>([&](Call& call) {
                             std::string text;
                             if (call.decode({&framing::body_ops<std::string>(), &text})) ++ran, reply_text(call, text);
                           }));
    end.receive(vector.bytes);
    end.turn();
    end.core().handle_read_end();
    end.turn();
    EXPECT_TRUE(end.closed) << vector.name;
    EXPECT_EQ(ran, 0) << vector.name;
    end.outbox.clear();
  }
  EXPECT_EQ(count, 3u);
}

}  // namespace
}  // namespace wayport::rpc

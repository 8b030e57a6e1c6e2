#include "wayport/rpc/discovery/etcd_messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace wayport::rpc::etcd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(EtcdMessagesTest, RequestsAreWhatTheGatewayReads) {
  EXPECT_EQ(write_range({.key = "a", .end = "b", .limit = 5, .revision = 7}),
            R"({"key":"YQ==","range_end":"Yg==","limit":"5","revision":"7"})");
  EXPECT_EQ(write_range({.key = "a", .end = {}}), R"({"key":"YQ=="})");
  EXPECT_EQ(write_put("a", "b", 9), R"({"key":"YQ==","value":"Yg==","lease":"9"})");
  EXPECT_EQ(write_erase("a", ""), R"({"key":"YQ=="})");
  EXPECT_EQ(write_login("a\"b", "c"), R"({"name":"a\"b","password":"c"})");
  EXPECT_THAT(write_watch("a", "b", 3), HasSubstr(R"("start_revision":"3")"));
}

TEST(EtcdMessagesTest, APrefixEndsBehindItsLastKey) {
  EXPECT_EQ(prefix_end("/a/"), "/a0");
  EXPECT_EQ(prefix_end("a\xff\xff"), "b");
  EXPECT_EQ(prefix_end("\xff"), std::string(1, '\0'));
  EXPECT_EQ(prefix_end(""), std::string(1, '\0'));
}

TEST(EtcdMessagesTest, ARangeIsRead) {
  const auto range = read_range(
      R"({"header":{"revision":"12"},"more":true,"kvs":[{"key":"YQ==","value":"Yg==","mod_revision":"11","lease":"3"}]})");
  ASSERT_TRUE(range) << range.error().to_string();
  EXPECT_EQ(range->revision, 12);
  EXPECT_TRUE(range->more);
  ASSERT_EQ(range->entries.size(), 1U);
  EXPECT_EQ(range->entries[0].key, "a");
  EXPECT_EQ(range->entries[0].value, "b");
  EXPECT_EQ(range->entries[0].mod_revision, 11);
  EXPECT_EQ(range->entries[0].lease_id, 3);
}

TEST(EtcdMessagesTest, MalformedAnswersAreRefused) {
  for (const char* const text :
       {"", "[]", "{", "{}", R"({"header":{"revision":"x"}})", R"({"header":{"revision":"99999999999999999999"}})",
        R"({"header":{},"kvs":{}})", R"({"header":{},"kvs":[1]})", R"({"header":{},"kvs":[{"key":"!"}]})",
        R"({"header":{},"kvs":[{"key":5}]})", R"({"header":{},"more":"yes"})"}) {
    const auto range = read_range(text);
    ASSERT_FALSE(range) << text;
    EXPECT_EQ(range.error().code, ErrorCode::malformed) << text;
  }
  EXPECT_FALSE(read_lease_grant(R"({"TTL":"5"})"));
  EXPECT_FALSE(read_lease_grant(R"({"ID":"1","TTL":"-5"})"));
  EXPECT_FALSE(read_login(R"({"token":"a\r\nb: c"})"));
  EXPECT_FALSE(read_watch(R"({"result":{"header":{},"events":[{}]}})"));
  EXPECT_FALSE(read_watch(R"({"result":{"header":{},"events":[{"type":"MOVE","kv":{}}]}})"));
  EXPECT_FALSE(read_watch(R"({"header":{}})"));
}

TEST(EtcdMessagesTest, AWatchLineIsRead) {
  const auto watch =
      read_watch(R"({"result":{"header":{"revision":"5"},"events":[{"kv":{"key":"YQ==","mod_revision":"4"}},)"
                 R"({"type":"DELETE","kv":{"key":"Yg==","mod_revision":"5"}}]}})");
  ASSERT_TRUE(watch) << watch.error().to_string();
  ASSERT_EQ(watch->events.size(), 2U);
  EXPECT_FALSE(watch->events[0].erased);
  EXPECT_TRUE(watch->events[1].erased);
  EXPECT_EQ(watch->events[1].entry.key, "b");
  const auto compacted = read_watch(R"({"result":{"header":{},"canceled":true,"compact_revision":"9"}})");
  ASSERT_TRUE(compacted);
  EXPECT_EQ(compacted->compact_revision, 9);
}

TEST(EtcdMessagesTest, ErrorsNameTheEndpointAndHaveEtcdsWords) {
  const Error error = error_of(401, R"({"error":"etcdserver: invalid auth token","code":16})", "http://h:1");
  EXPECT_EQ(error.code, ErrorCode::refused);
  EXPECT_EQ(error.detail, "http://h:1: etcdserver: invalid auth token");
  EXPECT_TRUE(is_token_error(error));
  EXPECT_EQ(error_of(503, "<html>\n", "e").detail, "e: HTTP status 503: <html>\\x0a");
  EXPECT_EQ(error_of(503, "", "e").code, ErrorCode::unreachable);
  const auto watch = read_watch(R"({"error":{"grpc_code":11,"message":"compacted"}})");
  ASSERT_FALSE(watch);
  EXPECT_EQ(watch.error().code, ErrorCode::not_found);
}

TEST(EtcdMessagesTest, LinesAreTheSameForEverySplit) {
  const std::string text = "one\n\ntwo\r\n\nthree3\nrest";
  for (std::size_t piece = 1; piece <= text.size(); ++piece) {
    Lines lines(6);
    std::vector<std::string> got;
    for (std::size_t at = 0; at < text.size(); at += piece) {
      ASSERT_TRUE(lines.push(text.substr(at, piece))) << piece;
      while (const auto line = lines.next()) got.emplace_back(*line);
    }
    EXPECT_THAT(got, ElementsAre("one", "two\r", "three3")) << piece;
  }
}

TEST(EtcdMessagesTest, ALineOverItsBoundIsRefusedForEverySplit) {
  for (const std::string text : {"1234567\n", "a\n1234567\nb\n", "a\n1234567"}) {
    for (std::size_t piece = 1; piece <= text.size(); ++piece) {
      Lines lines(6);
      Result<void> pushed;
      for (std::size_t at = 0; at < text.size() && pushed; at += piece) {
        pushed = lines.push(text.substr(at, piece));
        while (pushed && lines.next()) {
        }
      }
      ASSERT_FALSE(pushed) << text << " " << piece;
      EXPECT_EQ(pushed.error().code, ErrorCode::too_large);
      EXPECT_THAT(pushed.error().detail, HasSubstr("watch_line_bytes_max"));
    }
  }
}

TEST(EtcdMessages, AnErrorWithoutAMessageStillSaysSomething) {
  const auto read = read_watch(R"({"error":{"grpc_code":14}})");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::unreachable);
  EXPECT_EQ(read.error().detail, "an error without a message, gRPC code 14");
}

}  // namespace
}  // namespace wayport::rpc::etcd

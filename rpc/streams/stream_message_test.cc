#include "wayport/rpc/streams/stream_message.h"

#include <gtest/gtest.h>

namespace wayport::rpc {
namespace {

using Kind = StreamMessage::Kind;

std::string uri_of(Kind kind, StreamId id, std::uint64_t value = 0) {
  StreamMessage message;
  message.kind = kind;
  message.id = id;
  message.value = value;
  std::string uri;
  append_uri(uri, "/wayport/stream", message);
  return uri;
}

TEST(StreamMessage, WritesTheUrisOfTheSpecification) {
  EXPECT_EQ(uri_of(Kind::data, {false, 7}, 16384), "/wayport/stream/data?yours=7&at=16384");
  EXPECT_EQ(uri_of(Kind::credit, {true, 1}, kStreamNumberMax), "/wayport/stream/credit?mine=1&to=9223372036854775807");
  EXPECT_EQ(uri_of(Kind::end, {true, 2}, 0), "/wayport/stream/end?mine=2&size=0");
  EXPECT_EQ(uri_of(Kind::stop, {false, 3}), "/wayport/stream/stop?yours=3");
  EXPECT_EQ(uri_of(Kind::abort, {true, 4}), "/wayport/stream/abort?mine=4");
  std::string open;
  append_open_uri(open, "/p", {9, 262144});
  EXPECT_EQ(open, "/p/open?mine=9&credit=262144");
}

TEST(StreamMessage, ReadsThemFromTheOtherSide) {
  const ParsedStreamMessage data = parse_stream_message(Kind::data, "yours=7&at=16384");
  EXPECT_EQ(data.id, (StreamId{true, 7}));
  EXPECT_EQ(data.value, 16384u);
  const ParsedStreamMessage stop = parse_stream_message(Kind::stop, "mine=3");
  EXPECT_EQ(stop.id, (StreamId{false, 3}));
  EXPECT_TRUE(stop.value.has_value());
  const std::optional<StreamOpen> open = parse_stream_open("mine=9&credit=262144");
  ASSERT_TRUE(open.has_value());
  EXPECT_EQ(open->number, 9u);
  EXPECT_EQ(open->credit, 262144u);
}

TEST(StreamMessage, WhatNamesNoStreamIsTold) {
  for (const std::string_view query :
       {"", "mine", "mine=", "mine=x", "mine=-1", "mine=+1", "his=1", "yours=1x", "yours=9223372036854775808",
        "yours=18446744073709551616", "&mine=1", "at=1&mine=1"}) {
    EXPECT_FALSE(parse_stream_message(Kind::data, query).id.has_value()) << query;
  }
}

TEST(StreamMessage, AStreamWithoutANumberThatCountsIsTold) {
  for (const std::string_view query :
       {"mine=1", "mine=1&", "mine=1&at", "mine=1&at=", "mine=1&at=-1", "mine=1&to=1", "mine=1&at=9223372036854775808",
        "mine=1&at=99999999999999999999", "mine=1&at=1&", "mine=1&at=1&at=2", "mine=1&at=0x1", "mine=1&at= 1"}) {
    const ParsedStreamMessage parsed = parse_stream_message(Kind::data, query);
    EXPECT_TRUE(parsed.id.has_value()) << query;
    EXPECT_FALSE(parsed.value.has_value()) << query;
  }
  EXPECT_FALSE(parse_stream_message(Kind::stop, "mine=1&x=1").value.has_value());
  EXPECT_FALSE(parse_stream_message(Kind::stop, "mine=1&").value.has_value());
  EXPECT_TRUE(parse_stream_message(Kind::data, "mine=1&at=9223372036854775807").value.has_value());
}

TEST(StreamMessage, OpensHaveOneForm) {
  for (const std::string_view query : {"", "mine=1", "credit=1&mine=1", "mine=1&credit=-1", "yours=1&credit=1",
                                       "mine=1&credit=1&x", "mine=1&credit=9223372036854775808"}) {
    EXPECT_FALSE(parse_stream_open(query).has_value()) << query;
  }
}

}  // namespace
}  // namespace wayport::rpc

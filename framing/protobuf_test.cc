#include "wayport/framing/protobuf.h"

#include <gtest/gtest.h>

#include <boost/json/value.hpp>

#include "wayport/base/chain.h"
#include "wayport/framing/json_value.h"
#include "wayport/framing/test_messages.pb.h"

namespace wayport::framing {
namespace {

using test::Everything;

std::string text_of(const google::protobuf::Message& message) {
  boost::json::value value;
  const Result<void> converted = protobuf_to_json(message, value);
  if (!converted) return "error:" + converted.error().detail;
  Chain to;
  EXPECT_TRUE(write_json(value, to));
  return to.to_string();
}
std::string read_into(google::protobuf::Message& message, std::string_view text) {
  boost::json::value value;
  EXPECT_TRUE(parse_json(text, value)) << text;
  const Result<void> converted = protobuf_from_json(value, message);
  return converted ? "" : converted.error().detail;
}
Everything read(std::string_view text) {
  Everything message;
  EXPECT_EQ(read_into(message, text), "") << text;
  return message;
}
std::string mismatch(std::string_view text) {
  Everything message;
  return read_into(message, text);
}

constexpr std::string_view kFull =
    R"({"flag":true,"small":-1,"large":-9223372036854775808,"small_unsigned":4294967295,"large_unsigned":18446744073709551615,)"
    R"("single_float":0.1,"real":0.1,"text":"é","data":"AP8=","color":5,"inner":{"text":"i","more":[{"text":"j"},{}]},)"
    R"("numbers":[1,2],"names":["a","b"],"inners":[{"text":"k"}],"counts":{"one":1},"by_id":{"-7":{"text":"m"}},)"
    R"("by_flag":{"true":"yes"},"maybe":0,"right":0,"colors":[1,0,77],"blobs":["YQ=="],"reals":[0.5],"zigzag":-3,"fixed":9})";

TEST(ProtobufJson, ShowsAMessageAsGoShowsItsStruct) {
  test::Sum sum;
  EXPECT_EQ(text_of(sum), "{}");
  sum.set_a(3);
  sum.set_b(-4);
  EXPECT_EQ(text_of(sum), R"({"a":3,"b":-4})");
}

TEST(ProtobufJson, FieldsOfEveryKindReadAndWrite) { EXPECT_EQ(text_of(read(kFull)), kFull); }

TEST(ProtobufJson, SurvivesTheProtobufForm) {
  const Everything message = read(kFull);
  Everything copy;
  ASSERT_TRUE(copy.ParseFromString(message.SerializeAsString()));
  EXPECT_EQ(text_of(copy), kFull);
}

TEST(ProtobufJson, KeysMatchInAnyLetterCaseAndCamelCase) {
  EXPECT_EQ(read(R"({"Small":1,"largeUnsigned":2,"SMALL_UNSIGNED":3})").small(), 1);
  EXPECT_EQ(read(R"({"largeUnsigned":2})").large_unsigned(), 2u);
  EXPECT_EQ(read(R"({"SMALL_UNSIGNED":3})").small_unsigned(), 3u);
}

TEST(ProtobufJson, UnknownKeysAndNullLeaveTheMessage) {
  Everything message = read(R"({"small":1,"numbers":[1],"inner":{"text":"kept"}})");
  EXPECT_EQ(read_into(message, R"({"nothing":[{}],"small":null,"inner":{"more":[{}]},"text":"new"})"), "");
  EXPECT_EQ(message.small(), 1);
  EXPECT_EQ(message.inner().text(), "kept");
  EXPECT_EQ(message.inner().more_size(), 1);
  EXPECT_EQ(read_into(message, R"({"numbers":null})"), "");
  EXPECT_EQ(message.numbers_size(), 0);
  EXPECT_EQ(read_into(message, "null"), "");
  EXPECT_EQ(message.text(), "new");
}

TEST(ProtobufJson, RepeatedFieldsAreReplaced) {
  Everything message = read(R"({"numbers":[1,2,3],"counts":{"a":1}})");
  EXPECT_EQ(read_into(message, R"({"numbers":[4],"counts":{"b":2}})"), "");
  EXPECT_EQ(text_of(message), R"({"numbers":[4],"counts":{"b":2}})");
}

TEST(ProtobufJson, WhatProto3WritersSendIsUnderstood) {
  const Everything message =
      read(R"({"large":"-5","largeUnsigned":"18446744073709551615","color":"BLUE","real":"NaN"})");
  EXPECT_EQ(message.large(), -5);
  EXPECT_EQ(message.large_unsigned(), 18446744073709551615u);
  EXPECT_EQ(message.color(), Everything::BLUE);
  EXPECT_TRUE(message.real() != message.real());
}

TEST(ProtobufJson, WrongKindsAndRangesSayWhere) {
  EXPECT_EQ(mismatch(R"({"small":2147483648})"),
            ".small must be a whole number from -2147483648 to 2147483647, got 2147483648");
  EXPECT_EQ(mismatch(R"({"inner":{"more":[{},{"text":1}]}})"), ".inner.more[1].text must be a string, got 1");
  EXPECT_EQ(mismatch(R"({"counts":{"a":true}})"),
            ".counts[\"a\"] must be a whole number from -2147483648 to 2147483647, got true");
  EXPECT_EQ(mismatch(R"({"by_id":{"x":{}}})").substr(0, 20), ".by_id[\"x\"] must be ");
  EXPECT_EQ(mismatch(R"({"by_flag":{"yes":""}})"), ".by_flag[\"yes\"] must be true or false, got \"yes\"");
  EXPECT_EQ(mismatch(R"({"color":"PINK"})"),
            ".color must be a value of enum wayport.framing.test.Everything.Color, got \"PINK\"");
  EXPECT_EQ(mismatch(R"({"data":"?"})"), ".data must be base64 in a string, got \"?\"");
  EXPECT_EQ(mismatch(R"({"numbers":1})"), ".numbers must be an array, got 1");
  EXPECT_EQ(mismatch(R"({"numbers":[null]})"), ".numbers[0] must be a value, got null");
  EXPECT_EQ(mismatch("[]"), " must be an object, got an array");
}

}  // namespace
}  // namespace wayport::framing

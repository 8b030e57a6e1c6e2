#include "wayport/rpc/plugins/registry/service_record.h"

#include <gtest/gtest.h>

namespace wayport::rpc {
namespace {

TEST(ServiceRecord, IsWrittenAndReadAsDocumented) {
  const ServiceRecord record{{"tcp://10.0.0.7:9090", "unix:///run/x.sock"}, {"/a", "/b\"c"}, {"/p"}, {{"zone", "b"}}};
  const std::string text =
      R"({"addresses":["tcp://10.0.0.7:9090","unix:///run/x.sock"],"pull":["/a","/b\"c"],"push":["/p"],"labels":{"zone":"b"}})";
  EXPECT_EQ(write_record(record).value(), text);
  EXPECT_EQ(read_record(text).value(), record);
  const ServiceRecord least{{"tcp://a:1"}, {}, {}, {}};
  EXPECT_EQ(write_record(least).value(), R"({"addresses":["tcp://a:1"]})");
  EXPECT_EQ(read_record(R"({"later":{"x":1},"addresses":["tcp://a:1"],"pull":null,"labels":null})").value(), least);
}

TEST(ServiceRecord, WhatIsNoneIsMalformed) {
  for (const char* text : {"", "[]", "{}", R"({"addresses":[]})", R"({"addresses":"tcp://a:1"})",
                           R"({"addresses":[1]})", R"({"addresses":["tcp://a:b"]})",
                           R"({"addresses":["tcp://a:1"],"pull":{}})", R"({"addresses":["tcp://a:1"],"labels":[]})",
                           R"({"addresses":["tcp://a:1"],"labels":{"a":1}})", R"({"addresses":["tcp://a:1"])"}) {
    const auto read = read_record(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, ErrorCode::malformed) << text;
  }
}

TEST(ServiceRecord, BoundsOnBothSides) {
  std::string text = R"({"addresses":["tcp://a:1"],"labels":{"a":")";
  const std::string end = R"("}})";
  const std::string at = text + std::string(kServiceRecordBytesMax - text.size() - end.size(), 'x') + end;
  EXPECT_TRUE(read_record(at));
  EXPECT_EQ(read_record(at + " ").error().code, ErrorCode::too_large);
  EXPECT_EQ(write_record(read_record(at).value()).value(), at);
  ServiceRecord large = read_record(at).value();
  large.labels["a"] += "x";
  EXPECT_EQ(write_record(large).error().code, ErrorCode::too_large);
  ServiceRecord many;
  many.addresses.assign(kServiceAddressesMax, "tcp://a:1");
  EXPECT_TRUE(read_record(write_record(many).value()));
  many.addresses.emplace_back("tcp://a:1");
  EXPECT_EQ(read_record(write_record(many).value()).error().code, ErrorCode::too_large);
}

TEST(ServiceKey, HasThreePartsThatCannotForgeOthers) {
  EXPECT_EQ(service_key("/s/", "home", "1").value(), "/s/home/1");
  EXPECT_EQ(service_key("/s/", "home", "").value(), "/s/home/");
  EXPECT_FALSE(service_key("/s", "home", "1"));
  EXPECT_FALSE(service_key("/s/", "", "1"));
  EXPECT_FALSE(service_key("/s/", "a/b", "1"));
  EXPECT_FALSE(service_key("/s/", "a", "b/c"));
  EXPECT_FALSE(service_key("/s/", std::string("a\0b", 3), "1"));
  EXPECT_TRUE(service_key("/s/", std::string(255, 'a'), "1"));
  EXPECT_FALSE(service_key("/s/", std::string(256, 'a'), "1"));
}

TEST(Advertised, LeavesParametersOutAndRefusesWildcards) {
  EXPECT_EQ(advertised("tls://10.0.0.7:9090?cert=c.pem&key=k.pem").value(), "tls://10.0.0.7:9090");
  EXPECT_EQ(advertised("unix:///run/a.sock?mode=0660").value(), "unix:///run/a.sock");
  for (const char* any : {"tcp://:9090", "tcp://0.0.0.0:9090", "tcp://[::]:9090", "tcp://10.0.0.7:0"}) {
    const auto refused = advertised(any);
    ASSERT_FALSE(refused) << any;
    EXPECT_NE(refused.error().detail.find("RegistryOptions::advertise"), std::string::npos);
  }
}

}  // namespace
}  // namespace wayport::rpc

#include "wayport/gateway/route/route_connection_identify.h"

#include <gtest/gtest.h>

#include <string>

namespace wayport::route {
namespace {

using transport::HttpRequest;

HttpRequest request(std::string target = "/") {
  HttpRequest made;
  made.target = std::move(target);
  return made;
}
std::string identify(const HttpRequest& from, const WebsocketRouteOptions& options = {}) {
  const Result<std::string> found = identify_of(from, options, kIdentifyBytesMax);
  return found ? *found : "(" + std::string(to_string(found.error().code)) + ")";
}

// "10.0.0.1:9"
constexpr const char* kEncoded = "identify.MTAuMC4wLjE6OQ";

TEST(IdentifyOf, IsFoundInEachOfItsPlaces) {
  HttpRequest header = request();
  header.headers = {{"Host", "gate"}, {"Server-Identify", "10.0.0.1:9"}};
  EXPECT_EQ(identify(header), "10.0.0.1:9");
  HttpRequest subprotocol = request();
  subprotocol.subprotocol = kEncoded;
  EXPECT_EQ(identify(subprotocol), "10.0.0.1:9");
  EXPECT_EQ(identify(request("/x?a=b&server-identify=10.0.0.1%3A9")), "10.0.0.1:9");
  WebsocketRouteOptions fixed;
  fixed.paths = {{"/orders", "orders"}};
  EXPECT_EQ(identify(request("/orders?a=b"), fixed), "orders");
  EXPECT_EQ(identify(request("/"), fixed), "(malformed)") << "another path";
}

TEST(IdentifyOf, TheFirstPlaceCounts) {
  HttpRequest all = request("/orders?server-identify=query");
  all.headers = {{"server-identify", "header"}, {"server-identify", "another"}};
  all.subprotocol = kEncoded;
  WebsocketRouteOptions options;
  options.paths = {{"/orders", "fixed"}};
  EXPECT_EQ(identify(all, options), "fixed");
  options.paths.clear();
  EXPECT_EQ(identify(all, options), "header");
  options.header.clear();
  EXPECT_EQ(identify(all, options), "10.0.0.1:9");
  options.subprotocol_prefix.clear();
  EXPECT_EQ(identify(all, options), "query");
  options.query.clear();
  EXPECT_EQ(identify(all, options), "(malformed)");
}

TEST(IdentifyOf, ABadOneIsNotReplacedByTheNextPlaces) {
  HttpRequest empty = request("/?server-identify=query");
  empty.headers = {{"server-identify", ""}};
  EXPECT_EQ(identify(empty), "(malformed)");
  for (const char* const bad :
       {"identify.", "identify.MTAuMC4wLjE6OQ==", "identify.M", "identify.M*", "identify.a+b/"}) {
    HttpRequest subprotocol = request("/?server-identify=query");
    subprotocol.subprotocol = bad;
    EXPECT_EQ(identify(subprotocol), "(malformed)") << bad;
  }
  EXPECT_EQ(identify(request("/?server-identify=%zz")), "(malformed)");
  EXPECT_EQ(identify(request("/?server-identify=")), "(malformed)");
  EXPECT_EQ(identify(request("/?server-identify")), "(malformed)");
  EXPECT_EQ(identify(request("/?server-identify2=x")), "(malformed)");
}

TEST(IdentifyOf, SizesAreBoundedOnBothSides) {
  WebsocketRouteOptions options;
  options.header_bytes_max = 100;
  HttpRequest header = request();
  header.headers = {{"server-identify", std::string(100, 'x')}};
  EXPECT_EQ(identify(header, options), std::string(100, 'x'));
  header.headers = {{"server-identify", std::string(101, 'x')}};
  EXPECT_EQ(identify(header, options), "(too_large)");
  EXPECT_EQ(identify(request("/?server-identify=" + std::string(4096, 'x'))), std::string(4096, 'x'));
  const Result<std::string> larger =
      identify_of(request("/?server-identify=" + std::string(4097, 's')), {}, kIdentifyBytesMax);
  ASSERT_FALSE(larger);
  EXPECT_EQ(larger.error().code, ErrorCode::too_large);
  EXPECT_EQ(larger.error().detail.find("sss"), std::string::npos) << "it may be a secret";
}

}  // namespace
}  // namespace wayport::route

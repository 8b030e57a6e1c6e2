#include "wayport/gateway/route/dial_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "wayport/transport/default_transports.h"

namespace wayport::route {
namespace {

using testing::HasSubstr;

std::string error_of(std::string_view text) {
  const Result<BackendTransport> how = BackendTransport::parse(text);
  if (!how) return "parse: " + how.error().detail;
  const Result<void> checked = check_dial(transport::default_transports(), *how);
  return checked ? "" : checked.error().detail;
}

TEST(DialCheck, TakesWhatCanBeDialed) {
  for (const char* const good : {"tcp", "tcp?nodelay=0", "kcp?fec=10,3", "tls?insecure=1", "tls+kcp?insecure=1", "ws",
                                 "ws+tls+tcp?insecure=1", "wss?insecure=1", "snet+tcp", "snet+tls+tcp?insecure=1"}) {
    EXPECT_EQ(error_of(good), "") << good;
  }
}

TEST(DialCheck, NamesWhatIsWrongInWhicheverLayer) {
  EXPECT_THAT(error_of("kpc"), HasSubstr("no transport for \"kpc\""));
  EXPECT_THAT(error_of("tls+kpc?insecure=1"), HasSubstr("no transport for \"kpc\""));
  EXPECT_THAT(error_of("tcp?foo=1"), HasSubstr("foo"));
  EXPECT_THAT(error_of("tcp?congestion=none-such"), HasSubstr("congestion"));
  EXPECT_THAT(error_of("tcp+tcp"), HasSubstr("tcp has nothing below it"));
  EXPECT_THAT(error_of("kcp?fec=300,3"), HasSubstr("fec"));
  EXPECT_THAT(error_of("tls?ca=/nowhere.pem"), HasSubstr("/nowhere.pem"));
  EXPECT_THAT(error_of("tls+kcp?insecure=1&window=x"), HasSubstr("window"));
  EXPECT_THAT(error_of("ws?ping=x"), HasSubstr("ping"));
}

}  // namespace
}  // namespace wayport::route

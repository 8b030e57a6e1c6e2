#include "wayport/transport/transports.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wayport/transport/default_transports.h"
#include "wayport/transport/parameters.h"
#include "wayport/transport/testing/connect.h"
#include "wayport/transport/testing/recorder.h"

namespace wayport::transport {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Transports, TheOutermostLayerChooses) {
  Loop loop;
  const Transports all = default_transports();
  EXPECT_THAT(all.schemes(), ElementsAre("kcp", "link", "route", "snet", "tcp", "tls", "unix", "ws", "wss"));
  DialOutcome outcome;
  dial_into(outcome, all, loop, "carrier+tcp://h:1");
  EXPECT_FALSE(outcome.done());
  loop.drain();
  EXPECT_THAT(outcome.error(), HasSubstr("unsupported: no transport for \"carrier\" in carrier+tcp://h:1; there are: "
                                         "kcp, link, route, snet, tcp, tls, unix, ws, wss"));
}

TEST(Transports, ALaterOneReplacesAnEarlierOne) {
  Transports all = default_transports();
  all.add("tcp", nullptr);
  Loop loop;
  EXPECT_FALSE(all.listen(loop, *Address::parse("tcp://127.0.0.1:0"), {}));
}

TEST(Transports, AnEmptyAddressIsAnErrorOfBothSides) {
  Loop loop;
  const Transports all = default_transports();
  EXPECT_FALSE(all.listen(loop, Address(), {}));
  bool failed = false;
  const auto dial = all.dial(loop, Address(), {}, [&](Result<std::unique_ptr<Stream>> stream) { failed = !stream; });
  EXPECT_FALSE(failed);
  loop.drain();
  EXPECT_TRUE(failed);
}

TEST(Transports, AFailedDialCanBeCanceled) {
  Loop loop;
  bool called = false;
  auto dial =
      failed_dial(loop, {ErrorCode::refused, "no", {}}, [&](Result<std::unique_ptr<Stream>>) { called = true; });
  dial.reset();
  loop.drain();
  EXPECT_FALSE(called);
}

TEST(Parameters, ReadWhatTheyNameAndRefuseTheRest) {
  const Address address = *Address::parse("x://h?yes=1&no=false&maybe=2&time=1m&size=64KiB&mode=0640&neg=-1s&r=a&r=b");
  EXPECT_EQ(**bool_parameter(address, "yes"), true);
  EXPECT_EQ(**bool_parameter(address, "no"), false);
  EXPECT_FALSE(bool_parameter(address, "absent")->has_value());
  EXPECT_THAT(bool_parameter(address, "maybe").error().detail, HasSubstr("x address: maybe=2 is neither 0 nor 1"));
  EXPECT_EQ(**duration_parameter(address, "time"), std::chrono::minutes(1));
  EXPECT_FALSE(duration_parameter(address, "neg"));
  EXPECT_FALSE(duration_parameter(address, "size"));
  EXPECT_EQ(**bytes_parameter(address, "size"), 65536u);
  EXPECT_FALSE(bytes_parameter(address, "time"));
  EXPECT_EQ(**octal_parameter(address, "mode", 0777), 0640u);
  EXPECT_FALSE(octal_parameter(address, "mode", 0600));
  EXPECT_FALSE(octal_parameter(address, "time", 0777));
  EXPECT_THAT(repeated_parameter(address, "r"), ElementsAre("a", "b"));
}

}  // namespace
}  // namespace wayport::transport

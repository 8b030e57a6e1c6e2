#include "wayport/integration/harness/gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "wayport/base/bytes.h"
#include "wayport/integration/harness/link_sockets.h"

namespace wayport::harness {
namespace {

using harness::port_of;
using harness::testing::bound_socket;
using harness::testing::connected_socket;
using harness::testing::port_of;
using harness::testing::receive_text;
using harness::testing::send_text;
using ::testing::AnyOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr const char* kLink = R"(
[link]
client_address = ["127.0.0.1:0", "127.0.0.1:0"]
server_address = "127.0.0.1:0"
server_auth_key = "key"
[admin]
address = "127.0.0.1:0"
)";

TEST(Gateway, ItServesWhereItSaysAndEndsInOrder) {
  Result<std::unique_ptr<Gateway>> made = Gateway::start({.config = kLink});
  ASSERT_TRUE(made.has_value()) << made.error().to_string();
  Gateway& gateway = **made;
  ASSERT_THAT(gateway.link_clients(), SizeIs(2));
  ASSERT_THAT(gateway.link_servers(), SizeIs(1));
  EXPECT_NE(gateway.link_clients()[0], gateway.link_clients()[1]);
  EXPECT_THAT(gateway.routes(), IsEmpty());
  connected_socket(SOCK_STREAM, port_of(gateway.link_clients()[1]));
  connected_socket(SOCK_STREAM, port_of(gateway.link_servers()[0]));
  const Fd admin = connected_socket(SOCK_STREAM, port_of(gateway.admin()));
  send_text(admin, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(receive_text(admin), StartsWith("HTTP/1.1 200 "));
  const std::string directory = gateway.directory();
  EXPECT_EQ(*gateway.stop(), 0);
  EXPECT_THAT(gateway.log(), HasSubstr("ready"));
  made->reset();
  EXPECT_FALSE(std::filesystem::exists(directory));
}

TEST(Gateway, ARouteLeadsToTheBackendThatIsNamed) {
  const Fd backend = bound_socket(SOCK_STREAM);
  const std::string target = "127.0.0.1:" + std::to_string(port_of(backend));
  Result<std::unique_ptr<Gateway>> made =
      Gateway::start({.config = "[[route]]\nlisten = \"tcp://127.0.0.1:0\"\nallow = [\"" + target + "\"]\n"});
  ASSERT_TRUE(made.has_value()) << made.error().to_string();
  ASSERT_THAT((*made)->routes(), SizeIs(1));
  EXPECT_THAT((*made)->admin(), IsEmpty());
  const Fd client = connected_socket(SOCK_STREAM, port_of((*made)->routes()[0]));
  // spec/route.md: the length of the name, then the name.
  std::string identify(4, '\0');
  store_le(reinterpret_cast<std::byte*>(identify.data()), static_cast<std::uint32_t>(target.size()));
  send_text(client, identify + target);
  const Fd accepted(::accept(backend.get(), nullptr, nullptr));
  ASSERT_TRUE(accepted);
  EXPECT_THAT(receive_text(client), EndsWith("ok"));
  send_text(client, "hello");
  EXPECT_EQ(receive_text(accepted), "hello");
}

TEST(Gateway, APausedOneAnswersWhenItIsResumed) {
  const auto gateway = *Gateway::start({.config = kLink});
  gateway->pause();
  const Fd admin = connected_socket(SOCK_STREAM, port_of(gateway->admin()));
  send_text(admin, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  gateway->resume();
  EXPECT_THAT(receive_text(admin), StartsWith("HTTP/1.1 200 "));
  gateway->pause();
  // The end of the test kills it also as it is now.
}

TEST(Gateway, AKilledOneResetsItsConnections) {
  const auto gateway = *Gateway::start({.config = kLink});
  const Fd client = connected_socket(SOCK_STREAM, port_of(gateway->admin()));
  EXPECT_THAT(receive_text(client, MSG_DONTWAIT), HasSubstr("temporarily unavailable"));
  gateway->kill();
  EXPECT_THAT(receive_text(client), AnyOf("end", HasSubstr("reset")));
}

TEST(Gateway, AWrongConfigurationShowsWhatTheProgramSays) {
  const Result<std::unique_ptr<Gateway>> refused = Gateway::start({.config = "[link]\nclient_adress = \":0\"\n"});
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().detail, HasSubstr("client_adress"));
}

TEST(Gateway, ALogThatWouldNotTellWhereItListensIsRefusedAtOnce) {
  for (const auto& [setting, word] : {std::pair("json = true", "json"), std::pair("level = \"warning\"", "level"),
                                      std::pair("level = \"error\"", "level"), std::pair("level = \"off\"", "level"),
                                      std::pair("file = \"gateway.log\"", "file")}) {
    const Result<std::unique_ptr<Gateway>> refused =
        Gateway::start({.config = std::string(kLink) + "[log]\n" + setting + "\n", .program = "/nowhere/gateway"});
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(refused.error().detail, HasSubstr(word));
  }
  for (const char* const setting : {"json = false", "level = \"debug\"", "level = \"info\""}) {
    EXPECT_TRUE(Gateway::start({.config = std::string(kLink) + "[log]\n" + setting + "\n"}).has_value()) << setting;
  }
}

TEST(Gateway, ThePortOfAnAddressIsItsLastNumber) {
  EXPECT_EQ(port_of("127.0.0.1:4900"), 4900);
  EXPECT_EQ(port_of("tcp://[::1]:7788"), 7788);
  for (const char* const none :
       {"", "unix:///run/x.sock", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:1x"}) {
    EXPECT_EQ(port_of(none), 0) << none;
  }
}

}  // namespace
}  // namespace wayport::harness

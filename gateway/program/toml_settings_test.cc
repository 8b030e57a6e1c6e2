#include "wayport/gateway/program/toml_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace wayport::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Result<Settings> read_text(std::string_view text, std::string_view name) {
  static const std::vector<std::string> resolvers = {"ipHost", "jwt", "static"};
  return read_toml(text, name, resolvers);
}
std::string error_of(std::string_view text) {
  const Result<Settings> read = read_text(text, "gateway.toml");
  return read ? "none" : read.error().detail;
}

TEST(TomlSettings, AnEmptyLinkTableHasTheDefaultsOfTheFlags) {
  const Result<Settings> read = read_text("[link]\n", "f");
  ASSERT_TRUE(read) << read.error().to_string();
  const LinkSettings defaults;
  EXPECT_EQ(read->link->client_addresses, defaults.client_addresses);
  EXPECT_EQ(read->link->switching.client_queue.messages_max, 1024u);
  EXPECT_EQ(read->link->switching.server_queue.messages_max, 102400u);
  EXPECT_EQ(read->pid_file, "fastway.pid");
}

TEST(TomlSettings, EveryKeyIsRead) {
  const Result<Settings> read = read_text(R"(
# the players' side
[link]
client_address = "tls://:4900?cert=c.pem&key=k.pem"
server_address = [":4901", "unix:///run/link.sock"]
server_auth_key = "secret"
max_packet = "1MiB"
client_max_conn = 3
client_idle_timeout = "1m"
server_idle_timeout = "0"
auth_timeout = "2s"
transport_handshake_timeout = "4s"
transport_handshakes_max = 11
clients_max = 12
servers_max = 13
handshakes_max = 14
virtual_max = 15
slow_policy = "pause"
slow_poll_interval = "30ms"
virtual_queue_bytes = "2MiB"
virtual_queue_messages = 16
client_queue_bytes = 4194304
client_queue_messages = 17
server_queue_bytes = "8MiB"
server_queue_messages = 18
command_reserve_bytes = 2048
process_bytes_max = "2GiB"
mail_bytes_max = "32MiB"
server_dials_max = 19
close_replaced_server = true

[admin]
address = ":9100"
connections_max = 20
request_timeout = "1s"

[log]
level = "debug"
file = "x.log"
json = true

[process]
drain_seconds = 1.5
loops = 2
pid_file = ""
command_file = "x.cmd"
profile_prefix = "x"
pool_bytes = "16MiB"
ready_timeout = "9s"
)",
                                          "f");
  ASSERT_TRUE(read) << read.error().to_string();
  const Settings& s = *read;
  EXPECT_THAT(s.link->client_addresses, ElementsAre("tls://:4900?cert=c.pem&key=k.pem"));
  EXPECT_THAT(s.link->server_addresses, ElementsAre("tcp://:4901", "unix:///run/link.sock"));
  EXPECT_EQ(s.link->server_auth_key, "secret");
  EXPECT_EQ(s.link->switching.packet_bytes_max, 1u << 20);
  EXPECT_EQ(s.link->switching.client_virtual_max, 3u);
  EXPECT_EQ(s.link->switching.client_idle_timeout, minutes(1));
  EXPECT_EQ(s.link->switching.server_idle_timeout, Duration::zero());
  EXPECT_EQ(s.link->switching.handshake_timeout, seconds(2));
  EXPECT_EQ(s.link->transport_handshake_timeout, seconds(4));
  EXPECT_EQ(s.link->transport_handshakes_max, 11u);
  EXPECT_EQ(s.link->switching.clients_max, 12u);
  EXPECT_EQ(s.link->switching.servers_max, 13u);
  EXPECT_EQ(s.link->switching.handshakes_max, 14u);
  EXPECT_EQ(s.link->switching.virtual_max, 15u);
  EXPECT_EQ(s.link->switching.slow_policy, link::SlowPolicy::pause);
  EXPECT_EQ(s.link->switching.slow_poll_interval, milliseconds(30));
  EXPECT_EQ(s.link->switching.virtual_queue.bytes_max, 2u << 20);
  EXPECT_EQ(s.link->switching.virtual_queue.messages_max, 16u);
  EXPECT_EQ(s.link->switching.client_queue.bytes_max, 4u << 20);
  EXPECT_EQ(s.link->switching.client_queue.messages_max, 17u);
  EXPECT_EQ(s.link->switching.server_queue.bytes_max, 8u << 20);
  EXPECT_EQ(s.link->switching.server_queue.messages_max, 18u);
  EXPECT_EQ(s.link->switching.command_reserve_bytes, 2048u);
  EXPECT_EQ(s.link->switching.process_bytes_max, std::size_t{2} << 30);
  EXPECT_EQ(s.link->switching.mail_bytes_max, 32u << 20);
  EXPECT_EQ(s.link->switching.server_dials_max, 19u);
  EXPECT_TRUE(s.link->switching.close_replaced_server);
  EXPECT_EQ(s.drain, milliseconds(1500));
  EXPECT_EQ(s.admin_address, ":9100");
  EXPECT_EQ(s.admin_connections_max, 20u);
  EXPECT_EQ(s.admin_request_timeout, seconds(1));
  EXPECT_EQ(s.log_level, "debug");
  EXPECT_EQ(s.log_file, "x.log");
  EXPECT_TRUE(s.log_json);
  EXPECT_EQ(s.loops, 2u);
  EXPECT_EQ(s.pid_file, "");
  EXPECT_EQ(s.command_file, "x.cmd");
  EXPECT_EQ(s.profile_prefix, "x");
  EXPECT_EQ(s.pool_bytes, std::size_t{16} << 20);
  EXPECT_EQ(s.ready_timeout, seconds(9));
}

TEST(TomlSettings, RoutesAreRead) {
  const Result<Settings> read = read_text(R"(
[[route]]
name = "players"
listen = ["tcp://:7788", "kcp://:7790?fec=10,3"]
resolver = "static"
resolver_settings = { backends = { orders = ["10.0.0.7:9000"] }, order = "first" }
allow = ["10.0.0.0/8:7000-9000"]
backend_transport = "tls?ca=/etc/ca.pem"
identify_bytes_max = "1KiB"
connect_timeout = "1s"
dial_timeout = "2s"
dial_retry = 3
addresses_max = 4
success_message = "hi"
idle_timeout = "5m"
linger_time = "6s"
refusal_drain_time = "700ms"
refusal_drain_bytes = "8KiB"
refusal_delay = "9ms"
refusal_delay_spread = "10ms"
proxy_protocol = "v2"
zero_copy = true
relay_high_water_bytes = "128KiB"
relay_low_water_bytes = "32KiB"
[route.websocket]
message_bytes_max = "2MiB"
message_timeout = "7s"
header = "x-backend"
header_bytes_max = 100
query = ""
subprotocol_prefix = "b."
paths = { "/orders" = "orders" }
length_prefix = false
[route.limits]
connections_max = 11
handshakes_max = 10
source_connections_max = 9
source_handshakes_max = 8
source_bits_v4 = 24
source_bits_v6 = 48

[[route]]
name = "others"
listen = ":7789"
allow = "10.0.0.1:80"
)",
                                          "f");
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_FALSE(read->link);
  ASSERT_EQ(read->routes.size(), 2u);
  const route::RouteOptions& r = read->routes[0];
  EXPECT_EQ(r.name, "players");
  EXPECT_THAT(r.listen, ElementsAre("tcp://:7788", "kcp://:7790?fec=10,3"));
  EXPECT_EQ(r.resolver, "static");
  EXPECT_EQ(*r.resolver_settings.at("order").text(), "first");
  EXPECT_EQ(r.resolver_settings.at("backends").table()->at("orders").list()->size(), 1u);
  EXPECT_THAT(r.allow, ElementsAre("10.0.0.0/8:7000-9000"));
  EXPECT_EQ(r.backend_transport, "tls?ca=/etc/ca.pem");
  EXPECT_EQ(r.identify_bytes_max, 1024u);
  EXPECT_EQ(r.connect_timeout, seconds(1));
  EXPECT_EQ(r.dial_timeout, seconds(2));
  EXPECT_EQ(r.dial_retry, 3u);
  EXPECT_EQ(r.addresses_max, 4u);
  EXPECT_EQ(r.success_message, "hi");
  EXPECT_EQ(r.idle_timeout, minutes(5));
  EXPECT_EQ(r.linger_time, seconds(6));
  EXPECT_EQ(r.refusal_drain_time, milliseconds(700));
  EXPECT_EQ(r.refusal_drain_bytes, 8192u);
  EXPECT_EQ(r.refusal_delay, milliseconds(9));
  EXPECT_EQ(r.refusal_delay_spread, milliseconds(10));
  EXPECT_EQ(r.proxy_protocol, route::ProxyProtocol::v2);
  EXPECT_TRUE(r.zero_copy);
  EXPECT_EQ(r.relay_high_water_bytes, 128u << 10);
  EXPECT_EQ(r.relay_low_water_bytes, 32u << 10);
  EXPECT_EQ(r.websocket.message_bytes_max, 2u << 20);
  EXPECT_EQ(r.websocket.message_timeout, seconds(7));
  EXPECT_EQ(r.websocket.header, "x-backend");
  EXPECT_EQ(r.websocket.header_bytes_max, 100u);
  EXPECT_EQ(r.websocket.query, "");
  EXPECT_EQ(r.websocket.subprotocol_prefix, "b.");
  EXPECT_EQ(r.websocket.paths.at("/orders"), "orders");
  EXPECT_FALSE(r.websocket.length_prefix);
  EXPECT_EQ(r.limits.connections_max, 11u);
  EXPECT_EQ(r.limits.handshakes_max, 10u);
  EXPECT_EQ(r.limits.source_connections_max, 9u);
  EXPECT_EQ(r.limits.source_handshakes_max, 8u);
  EXPECT_EQ(r.limits.source_bits_v4, 24u);
  EXPECT_EQ(r.limits.source_bits_v6, 48u);
  EXPECT_EQ(read->routes[1].name, "others");
  EXPECT_THAT(read->routes[1].listen, ElementsAre("tcp://:7789"));
  EXPECT_THAT(read->routes[1].allow, ElementsAre("10.0.0.1:80"));
}

TEST(TomlSettings, RoutesAreRefusedByFileLineAndKey) {
  const auto error = [](const std::string& text) {
    const Result<Settings> read = read_text(text, "f");
    return read ? "none" : read.error().detail;
  };
  const std::string good = "[[route]]\nname = \"a\"\nlisten = \":1\"\nallow = \"10.0.0.1:80\"\n";  // four lines
  EXPECT_EQ(error(good), "none");
  EXPECT_THAT(error(good + "lisen = \":2\"\n"),
              StartsWith("f:5: [[route]] lisen is not known; the keys are addresses_max, "));
  EXPECT_THAT(error(good + "zero_copy = 1\n"), StartsWith("f:5: [[route]] zero_copy has to be true or false"));
  EXPECT_THAT(error(good + "proxy_protocol = \"v3\"\n"), StartsWith("f:5: [[route]] proxy_protocol "));
  EXPECT_THAT(error(good + "[route.limits]\nhandshakes_max = 0\n"),
              StartsWith("f:6: [route.limits] handshakes_max is 0"));
  EXPECT_THAT(error(good + "websocket = 1\n"), StartsWith("f:5: [[route]] websocket has to be a table"));
  EXPECT_THAT(error(good + "[route.websocket.paths]\n\"/a\" = 1\n"),
              HasSubstr("[route.websocket] paths /a has to be a text"));
  EXPECT_THAT(error(good + good), StartsWith("f:5: [[route]] name \"a\" is taken"));
  EXPECT_THAT(error("[route]\nname = \"a\"\n"), StartsWith("f:1: route has to be written as [[route]]"));
  EXPECT_THAT(error("[[route]]\nname = \"a\"\nlisten = \":1\"\nresolver = \"dns\"\nallow = \"10.0.0.1:80\"\n"),
              AllOf(StartsWith("f:1: "), HasSubstr("dns"), HasSubstr("ipHost, jwt, static")));
}

// toml++ asserts these.
TEST(TomlSettings, ABrokenTableHeaderIsAnError) {
  for (const char* const text : {"[.x", "[[[route]]", "[.]", "[[.x]]\n"}) {
    const Result<Settings> read = read_text(text, "f");
    ASSERT_FALSE(read) << text;
    EXPECT_THAT(read.error().detail, StartsWith("f:1: no TOML: ")) << text;
  }
}

TEST(TomlSettings, ErrorsNameFileLineAndKey) {
  const struct {
    const char* text;
    const char* error;
  } cases[] = {
      {"[link]\n\nclient_adress = \":1\"\n", "gateway.toml:3: [link] client_adress is not known; the keys are "},
      {"[link]\n[links]\n", "gateway.toml:2: links is not known; the tables are admin, link, log, process"},
      {"loops = 1\n[link]\n", "gateway.toml:1: loops is not known"},
      {"link = 3\n", "gateway.toml:1: [link] has to be a table"},
      {"[admin]\naddress = \":1\"\n", "gateway.toml: there is no [link]"},
      {"[link]\nclient_max_conn = \"16\"\n", "gateway.toml:2: [link] client_max_conn has to be a number"},
      {"[link]\nclient_max_conn = -1\n", "gateway.toml:2: [link] client_max_conn is -1; it has to be 0 to 4294967295"},
      {"[link]\nclients_max = 0\n", "gateway.toml:2: [link] clients_max is 0; it has to be 1 to"},
      {"[link]\nclient_idle_timeout = 30\n", "gateway.toml:2: [link] client_idle_timeout has to be a time"},
      {"[link]\nclient_idle_timeout = \"-1s\"\n", "gateway.toml:2: [link] client_idle_timeout is -1s"},
      {"[link]\nmax_packet = \"1 KB\"\n", "gateway.toml:2: [link] max_packet size \"1 KB\""},
      {"[link]\nmax_packet = \"2GiB\"\n", "gateway.toml:2: [link] max_packet is 2147483648"},
      {"[link]\nmax_packet = -1\n", "gateway.toml:2: [link] max_packet has to be a number of bytes"},
      {"[link]\nclient_address = []\n", "gateway.toml:2: [link] client_address is an empty list"},
      {"[link]\nclient_address = [1]\n", "gateway.toml:2: [link] client_address has to be an address"},
      {"[link]\nserver_address = [\n  \":1\",\n  \"no address\",\n]\n", "gateway.toml:2: [link] server_address"},
      {"[link]\nslow_policy = \"drop\"\n", "gateway.toml:2: [link] slow_policy unknown policy"},
      {"[link]\nclose_replaced_server = 1\n", "gateway.toml:2: [link] close_replaced_server has to be true or false"},
      {"[process]\ndrain_seconds = 86401\n", "gateway.toml:2: [process] drain_seconds has to be a number of seconds"},
      {"[process]\ndrain_seconds = nan\n", "gateway.toml:2: [process] drain_seconds has to be a number of seconds"},
      {"[link]\n[process]\nloops = 257\n", "gateway.toml:3: [process] loops is 257"},
      {"[link]\n[admin]\nconnections_max = 0\n", "gateway.toml:3: [admin] connections_max is 0"},
      {"[link]\nmax_packet = 100\nvirtual_queue_bytes = 10\n", "gateway.toml:1: virtual_queue.bytes_max is 10"},
      {"[link]\nserver_auth_key = \"a\"\nserver_auth_key_file = \"b\"\n",
       "gateway.toml:1: the server key is given twice"},
      {"[link]\nclient_max_conn = 1\nclient_max_conn = 2\n", "gateway.toml:3: no TOML: "},
      {"[link\n", "gateway.toml:1: no TOML: "},
      {"# \xc3\xa9\n[link]\nx = '\xc3\xa9'\n\xc3\xa9 = 1",
       "gateway.toml:4: no TOML: only ASCII may stand outside of strings"},
      {"[link]\nx = \"\\\"\"\n\xef\xbb\x8f", "gateway.toml:3: no TOML: only ASCII may stand outside of strings"},
      {"[link]\nx = \"\"\"\n\xc3\xa9\"\"\n\"\"\"\n\xc3\xa9",
       "gateway.toml:5: no TOML: only ASCII may stand outside of strings"},
      {"\xef\xbb\xbf[link]\nx = '\xc3\xa9'", "gateway.toml:2: [link] x is not known"},
      {"", "gateway.toml: there is no [link]"},
  };
  for (const auto& each : cases) EXPECT_THAT(error_of(each.text), StartsWith(each.error)) << each.text;
}

TEST(TomlSettings, QueuesThatAreNotSetTakeTheLargestPacket) {
  const Result<Settings> read = read_text("[link]\nmax_packet = \"16MiB\"\n", "f");
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_GE(read->link->switching.virtual_queue.bytes_max, (16u << 20) + 4);
}

TEST(TomlSettings, AFileHasABound) {
  const std::string link = "[link]\n";
  EXPECT_EQ(error_of(link + std::string(kTomlBytesMax - link.size(), '\n')), "none");
  EXPECT_THAT(error_of(link + std::string(kTomlBytesMax - link.size() + 1, '\n')), HasSubstr("at most 1MiB"));
  EXPECT_THAT(error_of("[link]\nx = " + std::string(100'000, '[')), StartsWith("gateway.toml:2: no TOML: "));
}

}  // namespace
}  // namespace wayport::gateway

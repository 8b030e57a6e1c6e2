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

std::string error_of(std::string_view text) {
  const Result<Settings> read = read_toml(text, "gateway.toml");
  return read ? "none" : read.error().detail;
}

TEST(TomlSettings, AnEmptyLinkTableHasTheDefaultsOfTheFlags) {
  const Result<Settings> read = read_toml("[link]\n", "f");
  ASSERT_TRUE(read) << read.error().to_string();
  const LinkSettings defaults;
  EXPECT_EQ(read->link->client_addresses, defaults.client_addresses);
  EXPECT_EQ(read->link->switching.client_queue.messages_max, 1024u);
  EXPECT_EQ(read->link->switching.server_queue.messages_max, 102400u);
  EXPECT_EQ(read->pid_file, "fastway.pid");
}

TEST(TomlSettings, EveryKeyIsRead) {
  const Result<Settings> read = read_toml(R"(
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
      {"", "gateway.toml: there is no [link]"},
  };
  for (const auto& each : cases) EXPECT_THAT(error_of(each.text), StartsWith(each.error)) << each.text;
}

TEST(TomlSettings, QueuesThatAreNotSetTakeTheLargestPacket) {
  const Result<Settings> read = read_toml("[link]\nmax_packet = \"16MiB\"\n", "f");
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

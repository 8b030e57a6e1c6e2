#include "wayport/gateway/program/flag_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace wayport::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Arguments = std::vector<std::string>;

Settings settings_of(const Arguments& arguments) {
  const Result<FlagSettings> read = read_flags(arguments);
  EXPECT_TRUE(read) << (read ? "" : read.error().to_string());
  return read ? read->settings : Settings();
}
std::string error_of(const Arguments& arguments) {
  const Result<FlagSettings> read = read_flags(arguments);
  return read ? "none" : read.error().detail;
}

TEST(FlagSettings, DefaultsAreThoseOfTheProgramAndNotOfItsDocumentation) {
  const Settings settings = settings_of({});
  EXPECT_THAT(settings.link->client_addresses, ElementsAre("tcp://"));
  EXPECT_THAT(settings.link->server_addresses, ElementsAre("tcp://"));
  EXPECT_EQ(settings.link->switching.packet_bytes_max, 524288u);
  EXPECT_EQ(settings.link->switching.client_virtual_max, 16u);
  EXPECT_EQ(settings.link->switching.client_queue.messages_max, 1024u);
  EXPECT_EQ(settings.link->switching.server_queue.messages_max, 102400u);
  EXPECT_EQ(settings.link->switching.client_idle_timeout, seconds(30));
  EXPECT_EQ(settings.link->switching.server_idle_timeout, seconds(30));
  EXPECT_EQ(settings.link->switching.handshake_timeout, seconds(5));
  EXPECT_EQ(settings.link->server_auth_key, "");
  EXPECT_EQ(settings.drain, Duration::zero());
  EXPECT_EQ(settings.admin_address, "");
  EXPECT_EQ(settings.pid_file, "fastway.pid");
  EXPECT_FALSE(settings.pool_bytes);
  EXPECT_THAT(settings.notes, ElementsAre());
}

struct Flag {
  const char* name;
  const char* value;  // "" for a bool that is given alone
  std::function<bool(const Settings&)> took;
};

// Every flag in both spellings and both ways to give its value.
TEST(FlagSettings, EveryFlagTakesEffectInEverySpelling) {
  const auto client = [](const char* address) {
    return [address](const Settings& s) { return s.link->client_addresses == std::vector<std::string>{address}; };
  };
  const auto server = [](const char* address) {
    return [address](const Settings& s) { return s.link->server_addresses == std::vector<std::string>{address}; };
  };
  const auto noted = [](const Settings& s) { return s.notes.size() == 1; };
  const std::vector<Flag> flags = {
      {"ReusePort", "", client("tcp://?reuse_port=1")},
      {"MaxPacket", "1000", [](const Settings& s) { return s.link->switching.packet_bytes_max == 1000; }},
      {"MemPoolType", "sync", noted},
      {"MemPoolFactor", "4", [](const Settings& s) { return s.pool_bytes == std::size_t{6} << 20; }},
      {"MemPoolMinChunk", "32768", [](const Settings& s) { return s.pool_bytes == std::size_t{2} << 20; }},
      {"MemPoolMaxChunk", "128", [](const Settings& s) { return s.pool_bytes == std::size_t{2} << 20; }},
      {"MemPoolPageSize", "65536", [](const Settings& s) { return s.pool_bytes == std::size_t{11} * 65536; }},
      {"ClientAddr", "10.0.0.1:4900", client("tcp://10.0.0.1:4900")},
      {"ClientMaxConn", "0", [](const Settings& s) { return s.link->switching.client_virtual_max == 0; }},
      {"ClientBufferSize", "4096", noted},
      {"ClientSendChanSize", "1", [](const Settings& s) { return s.link->switching.client_queue.messages_max == 1; }},
      {"ClientIdleTimeout", "1m0s",
       [](const Settings& s) { return s.link->switching.client_idle_timeout == minutes(1); }},
      {"ClientSnetEnable", "", client("snet+tcp://?buffer=65536&wait=1m0s")},
      {"ClientSnetEncrypt", "", noted},
      {"ClientSnetBuffer", "1", noted},
      {"ClientSnetInitTimeout", "1s", noted},
      {"ClientSnetWaitTimeout", "1s", noted},
      {"ServerAddr", "tls://:4901?cert=c.pem", server("tls://:4901?cert=c.pem")},
      {"ServerAuthKey", "secret", [](const Settings& s) { return s.link->server_auth_key == "secret"; }},
      {"ServerAuthPassword", "secret", [](const Settings& s) { return s.link->server_auth_key == "secret"; }},
      {"ServerAuthKeyFile", "key", [](const Settings& s) { return s.link->server_auth_key_file == "key"; }},
      {"ServerBufferSize", "4096", noted},
      {"ServerSendChanSize", "7", [](const Settings& s) { return s.link->switching.server_queue.messages_max == 7; }},
      {"ServerIdleTimeout", "0",
       [](const Settings& s) { return s.link->switching.server_idle_timeout == Duration::zero(); }},
      {"ServerSnetEnable", "", server("snet+tcp://?buffer=65536&wait=1m0s")},
      {"ServerSnetEncrypt", "", noted},
      {"ServerSnetBuffer", "1", noted},
      {"ServerSnetInitTimeout", "700ms", noted},
      {"ServerSnetWaitTimeout", "1s", noted},
      {"SlowPolicy", "cut", [](const Settings& s) { return s.link->switching.slow_policy == link::SlowPolicy::cut; }},
      {"DrainTime", "10s", [](const Settings& s) { return s.drain == seconds(10); }},
      {"AdminAddr", ":9100", [](const Settings& s) { return s.admin_address == ":9100"; }},
      {"Loops", "3", [](const Settings& s) { return s.loops == 3; }},
      {"LogFile", "log", [](const Settings& s) { return s.log_file == "log"; }},
      {"LogLevel", "error", [](const Settings& s) { return s.log_level == "error"; }},
      {"PidFile", "x.pid", [](const Settings& s) { return s.pid_file == "x.pid"; }},
  };
  for (const Flag& flag : flags) {
    for (const std::string dashes : {"-", "--"}) {
      const std::string name = dashes + flag.name;
      const bool alone = *flag.value == '\0';
      EXPECT_TRUE(flag.took(settings_of({name + "=" + (alone ? "true" : flag.value)}))) << name << "=";
      EXPECT_TRUE(flag.took(settings_of(alone ? Arguments{name} : Arguments{name, flag.value}))) << name;
      if (!alone) EXPECT_THAT(error_of({name}), HasSubstr("flag needs an argument: -" + std::string(flag.name)));
    }
    // And usage has it: the table above is the program's.
    EXPECT_THAT(flag_usage(), HasSubstr("  -" + std::string(flag.name)));
  }
  const std::string usage = flag_usage();
  std::size_t listed = 0;
  for (std::size_t at = 0; (at = usage.find("\n  -", at)) != std::string::npos; ++at) ++listed;
  EXPECT_EQ(listed + 1, flags.size());
}

TEST(FlagSettings, BadValuesAreRefusedByName) {
  const struct {
    Arguments arguments;
    const char* error;
  } cases[] = {
      {{"-MaxPacket", "12"}, "-MaxPacket is 12; it has to be 13 to 1073741824"},
      {{"-MaxPacket", "-1"}, "-MaxPacket is -1"},
      {{"-MaxPacket", "4294967296"}, "-MaxPacket is 4294967296"},
      {{"-MemPoolType", "slab"}, "-MemPoolType is \"slab\"; it is one of sync, atom, chan"},
      {{"-MemPoolFactor", "1"}, "-MemPoolFactor is 1"},  // the original allocates until memory is exhausted
      {{"-MemPoolFactor", "0"}, "-MemPoolFactor is 0"},
      {{"-MemPoolMinChunk", "0"}, "-MemPoolMinChunk is 0"},
      {{"-MemPoolMaxChunk", "63"}, "-MemPoolMaxChunk is 63"},
      {{"-MemPoolPageSize", "63"}, "-MemPoolPageSize is 63"},
      {{"-ClientAddr", "nowhere:port"}, "-ClientAddr: "},
      {{"-ServerAddr", ""}, "-ServerAddr: "},
      {{"-ClientMaxConn", "-1"}, "-ClientMaxConn is -1"},
      {{"-ClientBufferSize", "-1"}, "-ClientBufferSize is -1"},
      {{"-ClientSendChanSize", "0"},
       "-ClientSendChanSize is 0; it has to be 1 to 2147483647: a receiver without a queue"},
      {{"-ServerSendChanSize", "0"}, "-ServerSendChanSize is 0"},
      {{"-ServerSendChanSize", "-5"}, "-ServerSendChanSize is -5"},
      {{"-ClientIdleTimeout", "-1s"}, "-ClientIdleTimeout is -1s; it has to be 0 (no limit) or more"},
      {{"-ServerIdleTimeout", "30"}, "invalid value \"30\" for flag -ServerIdleTimeout"},
      {{"-ClientSnetBuffer", "0"}, "-ClientSnetBuffer is 0"},
      {{"-ServerSnetBuffer", "1073741825"}, "-ServerSnetBuffer is 1073741825"},
      {{"-ClientSnetInitTimeout", "0"}, "-ClientSnetInitTimeout is 0"},
      {{"-ServerSnetWaitTimeout", "-1s"}, "-ServerSnetWaitTimeout is -1s"},
      {{"-ServerAuthKey", "a", "-ServerAuthPassword", "a"}, "the key of servers is given twice"},
      {{"-ServerAuthKey", "a", "-ServerAuthKeyFile", "f"}, "the key of servers is given twice"},
      {{"-SlowPolicy", "drop"}, "-SlowPolicy: unknown policy"},
      {{"-DrainTime", "25h"}, "the time to drain is 25h"},
      {{"-DrainTime", "-1s"}, "the time to drain is -1s"},
      {{"-AdminAddr", "http"}, "the admin address"},
      {{"-Loops", "257"}, "-Loops is 257"},
      {{"-clientaddr", ":1"}, "flag provided but not defined: -clientaddr"},
      {{"-ReusePort", "true"}, "\"true\" is no flag, and what follows it would be ignored"},
      {{"-ClientSnetEnable", "-ClientAddr", "snet+tcp://:1"}, "names snet already"},
  };
  for (const auto& each : cases) EXPECT_THAT(error_of(each.arguments), HasSubstr(each.error)) << each.error;
}

TEST(FlagSettings, SnetFlagsBecomeParametersOfTheAddress) {
  const Settings settings =
      settings_of({"-ClientSnetEnable", "-ClientSnetEncrypt", "-ClientSnetBuffer=1024", "-ClientSnetWaitTimeout=5s",
                   "-ClientAddr=:4900", "-ClientSnetInitTimeout=3s", "-ServerSnetEnable", "-ServerAddr=tls://:1?cert=c",
                   "-ServerSnetInitTimeout=4s", "-ReusePort"});
  EXPECT_THAT(settings.link->client_addresses,
              ElementsAre("snet+tcp://:4900?encrypt=1&buffer=1024&wait=5s&reuse_port=1"));
  EXPECT_THAT(settings.link->server_addresses, ElementsAre("snet+tls://:1?cert=c&buffer=65536&wait=1m0s&reuse_port=1"));
  EXPECT_EQ(settings.link->transport_handshake_timeout, seconds(4));
  EXPECT_THAT(settings.notes, ElementsAre(HasSubstr("the longer of")));
  EXPECT_EQ(settings_of({"-ClientSnetEnable", "-ClientSnetInitTimeout=3s"}).link->transport_handshake_timeout,
            seconds(3));
}

// The original has one bound, of messages; ours of bytes must not refuse what it takes.
TEST(FlagSettings, QueuesTakeTheLargestPacketWhateverItIs) {
  const Settings settings = settings_of({"-MaxPacket", "67108864"});
  EXPECT_GE(settings.link->switching.virtual_queue.bytes_max, 67108868u);
  EXPECT_GE(settings.link->switching.client_queue.bytes_max, 67108868u);
  EXPECT_GE(settings.link->switching.server_queue.bytes_max, 67108868u);
}

TEST(FlagSettings, SecretsAreNamedForBlanking) {
  const Result<FlagSettings> read = read_flags(Arguments{"-ServerAuthPassword", "one", "-Loops=1"});
  ASSERT_TRUE(read);
  ASSERT_EQ(read->secrets.size(), 1u);
  EXPECT_EQ(read->secrets[0].argument, 1u);
}

TEST(FlagSettings, HelpIsHelp) {
  EXPECT_TRUE(read_flags(Arguments{"-h"})->help);
  EXPECT_THAT(flag_usage(), AllOf(HasSubstr("  -ClientSendChanSize int\n"), HasSubstr("(default 102400)"),
                                  HasSubstr("(default \"atom\")"), HasSubstr("(default 1m0s)")));
}

}  // namespace
}  // namespace wayport::gateway

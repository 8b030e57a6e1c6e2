#include "wayport/rpc/config/peer_config.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>

namespace wayport::rpc {
namespace {

using namespace std::chrono_literals;

struct KeyCase {
  const char* key;
  const char* yaml;
  const char* ini;
  std::function<void(PeerConfig&)> change;
};

const std::vector<KeyCase>& key_cases() {
  static const std::vector<KeyCase> cases = {
      {"default_read_timeout", "1h2m", "1h2m", [](PeerConfig& c) { c.default_read_timeout = 62min; }},
      {"default_write_timeout", "0", "0", [](PeerConfig& c) { c.default_write_timeout = 0s; }},
      {"default_dial_timeout", "'1.5s'", "\"1.5s\"", [](PeerConfig& c) { c.default_dial_timeout = 1500ms; }},
      {"slow_comet_duration", "300ms # slow", "300ms ; slow", [](PeerConfig& c) { c.slow_comet_duration = 300ms; }},
      {"default_header_codec", "protobuf", "protobuf", [](PeerConfig& c) { c.default_header_codec = "protobuf"; }},
      {"default_body_codec", "flatbuffers", "flatbuffers", [](PeerConfig& c) { c.default_body_codec = "flatbuffers"; }},
      {"default_body_codec", "\"string\"", "\"string\" # text", [](PeerConfig& c) { c.default_body_codec = "string"; }},
      {"default_body_gzip_level", "-2", "-2", [](PeerConfig& c) { c.default_body_gzip_level = -2; }},
      {"default_body_gzip_level", "9", "9", [](PeerConfig& c) { c.default_body_gzip_level = 9; }},
      {"print_body", "true", "TRUE", [](PeerConfig& c) { c.print_body = true; }},
      {"count_time", "yes", "on", [](PeerConfig& c) { c.count_time = true; }},
      {"listen_addrs", "[':80', 'unix:///run/a,b;c']", ":80, \"unix:///run/a,b;c\"",
       [](PeerConfig& c) { c.listen_addrs = {":80", "unix:///run/a,b;c"}; }},
      {"listen_addrs", "\n  - 127.0.0.1:9090\n", "127.0.0.1:9090",
       [](PeerConfig& c) { c.listen_addrs = {"127.0.0.1:9090"}; }},
      {"listen_addrs", "", "", [](PeerConfig&) {}},
      {"slow_comet_duration", "", "; none", [](PeerConfig&) {}},
  };
  return cases;
}

TEST(PeerConfig, ReadsEveryKeyInBothFormatsAlike) {
  for (const KeyCase& one : key_cases()) {
    PeerConfig expected;
    one.change(expected);
    const std::string key = one.key;
    const auto yaml = parse_yaml(key + ": " + one.yaml + "\n", "f.yaml");
    ASSERT_TRUE(yaml) << yaml.error().to_string();
    EXPECT_EQ(*yaml, expected) << key << "\n" << to_yaml(*yaml);
    for (const std::string before : {"", "[peer]\n", "\xef\xbb\xbf; a comment\r\n\r\n [ peer ] # too\r\n"}) {
      const auto ini = parse_ini(before + key + " = " + one.ini + "\r\n", "f.ini");
      ASSERT_TRUE(ini) << ini.error().to_string();
      EXPECT_EQ(*ini, expected) << key << "\n" << to_ini(*ini);
    }
  }
}

TEST(PeerConfig, ReadsThePairOfTlsFiles) {
  const auto yaml = parse_yaml("tls_cert_file: c.pem\ntls_key_file: /k/my key.pem\n", "f.yaml");
  const auto ini = parse_ini("tls_cert_file=c.pem\ntls_key_file = /k/my key.pem  # secret", "f.ini");
  ASSERT_TRUE(yaml && ini);
  EXPECT_EQ(yaml->tls_cert_file, "c.pem");
  EXPECT_EQ(yaml->tls_key_file, "/k/my key.pem");
  EXPECT_EQ(*yaml, *ini);
}

TEST(PeerConfig, AnEmptyFileGivesTheDefaults) {
  for (const char* text : {"", "\n", "# nothing\n"}) {
    const auto yaml = parse_yaml(text, "f.yaml");
    const auto ini = parse_ini(text, "f.ini");
    ASSERT_TRUE(yaml && ini) << text;
    EXPECT_EQ(*yaml, PeerConfig());
    EXPECT_EQ(*ini, PeerConfig());
  }
}

TEST(PeerConfig, ReadsDurationsAsGoDoes) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
  const std::vector<std::pair<const char*, std::int64_t>> good = {
      {"0", 0},
      {"-0", 0},
      {"+5s", 5'000'000'000},
      {"-1.5h", -5'400'000'000'000},
      {".5s", 500'000'000},
      {"1.s", 1'000'000'000},
      {"1us", 1000},
      {"1\xc2\xb5s", 1000},
      {"1\xce\xbcs", 1000},
      {"1h2m3s4ms5us6ns", 3'723'004'005'006},
      {"1s1h", 3'601'000'000'000},
      {"0.9999999999s", 999'999'999},
      {"9223372036854775807ns", kMax},
      {"-9223372036854775808ns", kMin},
      {"2562047h47m16.854775807s", kMax},
  };
  for (const auto& [text, expected] : good) {
    const auto yaml = parse_yaml(std::string("slow_comet_duration: ") + text, "f");
    const auto ini = parse_ini(std::string("slow_comet_duration=") + text, "f");
    ASSERT_TRUE(yaml && ini) << text;
    EXPECT_EQ(yaml->slow_comet_duration.count(), expected) << text;
    EXPECT_EQ(ini->slow_comet_duration.count(), expected) << text;
  }
  for (const char* text :
       {"5", "s", ".s", "-", "+", "1d", "1 s", "1S", "--1s", "1s-1s", "1e3s", "9223372036854775808ns",
        "-9223372036854775809ns", "3000000h", "99999999999999999999h", "\"\""}) {
    for (const auto& read : {parse_yaml(std::string("slow_comet_duration: '") + text + "'", "f"),
                             parse_ini(std::string("slow_comet_duration = ") + text, "f")}) {
      ASSERT_FALSE(read) << text;
      EXPECT_EQ(read.error().detail.find("f:1: slow_comet_duration: "), 0u) << read.error().detail;
    }
  }
}

struct ErrorCase {
  const char* text;
  const char* detail;
};

TEST(PeerConfig, NamesFileLineAndKeyOfAProblemInYaml) {
  const std::vector<ErrorCase> cases = {
      {"\nprint_body: true\nslow_commet_duration: 1s\n",
       "p.yaml:3: slow_commet_duration: unknown key; did you mean slow_comet_duration?"},
      {"colour: [blue]\n", "p.yaml:1: colour: unknown key"},
      {"print_body: true\n\nprint_body: true\n", "p.yaml:3: print_body: given twice; the first is in line 1"},
      {"print_body: 2\n", "p.yaml:1: print_body: \"2\" is neither true nor false"},
      {"print_body: [true]\n", "p.yaml:1: print_body: is no list; write one value"},
      {"listen_addrs: a:1\n", "p.yaml:1: listen_addrs: is a list; write [a, b], also for one"},
      {"listen_addrs:\n - a:1\n - [b:2]\n", "p.yaml:3: listen_addrs: an item of the list is no plain value"},
      {"listen_addrs: [a:1, '']\n", "p.yaml:1: listen_addrs: item 2: is empty; write host:port"},
      {"listen_addrs: ['a:99999']\n",
       "p.yaml:1: listen_addrs: item 1: address: at 8: port \"99999\" is not a number from 0 to 65535"},
      {"count_time:\n  deep: 1\n", "p.yaml:1: count_time: is a map; the keys are not nested"},
      {"default_body_gzip_level: 10\n",
       "p.yaml:1: default_body_gzip_level: 10 is no gzip level; write -2 to 9, or 0 for no compression"},
      {"default_body_gzip_level: -3\n",
       "p.yaml:1: default_body_gzip_level: -3 is no gzip level; write -2 to 9, or 0 for no compression"},
      {"default_body_gzip_level: 1.5\n", "p.yaml:1: default_body_gzip_level: \"1.5\" is no whole number"},
      {"default_header_codec: string\n",
       "p.yaml:1: default_header_codec: header codec \"string\" is not known; write json or protobuf"},
      {"default_body_codec: thrift\n",
       "p.yaml:1: default_body_codec: body codec \"thrift\" is not known; write json, protobuf, string or flatbuffers"},
      {"\ntls_cert_file: c.pem\n", "p.yaml:2: tls_cert_file: needs tls_key_file, too"},
      {"tls_key_file: k.pem\n", "p.yaml:1: tls_key_file: needs tls_cert_file, too"},
      {"- a\n", "p.yaml:1: not a map; write lines of the form key: value"},
      {"[a]: 1\n", "p.yaml:1: a key is no plain name"},
      {"print_body: true\n\x04nonsense\n", "p.yaml:2: control character; the file is text in UTF-8"},
      {"print_body: 2\ncount_tim: 1\n",
       "p.yaml:1: print_body: \"2\" is neither true nor false\n"
       "p.yaml:2: count_tim: unknown key; did you mean count_time?"},
  };
  for (const auto& [text, detail] : cases) {
    const auto read = parse_yaml(text, "p.yaml");
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().detail, detail) << text;
    EXPECT_EQ(read.error().code, ErrorCode::invalid_argument);
  }
  const auto broken = parse_yaml("print_body: true\ncount_time: [\n", "p.yaml");
  ASSERT_FALSE(broken);
  EXPECT_TRUE(broken.error().detail.starts_with("p.yaml:3: not yaml: ")) << broken.error().detail;
  const auto two = parse_yaml("print_body: true\n---\ncount_time: true\n", "p.yaml");
  ASSERT_FALSE(two);
  EXPECT_EQ(two.error().detail, "p.yaml:2: a second document; a configuration has one");
  // yaml-cpp takes it for documents without end.
  const auto endless = parse_yaml(",a: 1\n", "p.yaml");
  ASSERT_FALSE(endless);
  EXPECT_EQ(endless.error().detail, "p.yaml:1: a second document; a configuration has one");
}

TEST(PeerConfig, NamesFileLineAndKeyOfAProblemInIni) {
  const std::vector<ErrorCase> cases = {
      {"; c\n[peer]\nslow_commet_duration = 1s\n",
       "p.ini:3: slow_commet_duration: unknown key; did you mean slow_comet_duration?"},
      {"print_body=1\nprint_body=1\n", "p.ini:2: print_body: given twice; the first is in line 1"},
      {"print_body\n", "p.ini:1: print_body: not of the form key = value"},
      {" = 5\n", "p.ini:1: not of the form key = value"},
      {"print_body = true false\n", "p.ini:1: print_body: \"true false\" is neither true nor false"},
      {"default_body_codec = \"json\" x\n", "p.ini:1: default_body_codec: has more text behind its value"},
      {"default_body_codec = \"json\n", "p.ini:1: default_body_codec: a quote is not closed"},
      {"default_body_codec = 'json'\n", "p.ini:1: default_body_codec: begins with a strange quote; use double quotes"},
      {"tls_key_file = \"c:\\n\"\n",
       "p.ini:1: tls_key_file: a backslash between quotes stands before \" or \\ only; write \\\\ for one"},
      {"listen_addrs = a:1,\n", "p.ini:1: listen_addrs: ends with a comma"},
      {"listen_addrs = a:1,,b:1\n", "p.ini:1: listen_addrs: item 2: is empty; write host:port"},
      {"[other]\nx = 1\ny = 2\n[peer]\ncount_time = 3\n",
       "p.ini:1: [other]: unknown section; keys stand in [peer], or in none\n"
       "p.ini:5: count_time: \"3\" is neither true nor false"},
      {"[peer\n", "p.ini:1: [peer: not a section; write [peer]"},
      {"\n\ntls_key_file = k\n", "p.ini:3: tls_key_file: needs tls_cert_file, too"},
  };
  for (const auto& [text, detail] : cases) {
    const auto read = parse_ini(text, "p.ini");
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().detail, detail) << text;
  }
}

TEST(PeerConfig, NamesAtMostTwentyProblems) {
  std::string text;
  for (int i = 0; i < 20; ++i) text += "zz" + std::to_string(i) + " = 1\n";
  auto read = parse_ini(text, "f");
  ASSERT_FALSE(read);
  EXPECT_EQ(std::ranges::count(read.error().detail, '\n'), 19);
  read = parse_ini(text + "a=1\nb=1\n", "f");
  ASSERT_FALSE(read);
  EXPECT_EQ(std::ranges::count(read.error().detail, '\n'), 20);
  EXPECT_TRUE(read.error().detail.ends_with("\nf: and 2 more")) << read.error().detail;
}

TEST(PeerConfig, TakesTextUpToItsBounds) {
  const std::string comment = "#" + std::string(kConfigBytesMax - 1, 'x');
  EXPECT_TRUE(parse_yaml(comment, "f"));
  EXPECT_TRUE(parse_ini(comment, "f"));
  for (const auto& read : {parse_yaml(comment + "x", "f"), parse_ini(comment + "x", "f")}) {
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, ErrorCode::too_large);
    EXPECT_EQ(read.error().detail, "f: 1048577 bytes; a configuration has at most 1048576");
  }
  PeerConfig config;
  config.listen_addrs.assign(kConfigListenAddressesMax, ":1");
  config.tls_cert_file.assign(kConfigPathBytesMax, 'c');
  config.tls_key_file = "k";
  EXPECT_TRUE(check(config));
  EXPECT_EQ(parse_yaml(to_yaml(config), "f").value(), config);
  EXPECT_EQ(parse_ini(to_ini(config), "f").value(), config);
  PeerConfig more = config;
  more.listen_addrs.emplace_back(":1");
  EXPECT_FALSE(check(more));
  EXPECT_FALSE(parse_yaml(to_yaml(more), "f"));
  EXPECT_FALSE(parse_ini(to_ini(more), "f"));
  more = config;
  more.tls_cert_file += "c";
  EXPECT_FALSE(check(more));
  EXPECT_FALSE(parse_ini(to_ini(more), "f"));
}

TEST(PeerConfig, RefusesDeepNestingAndAliasesOfLists) {
  EXPECT_FALSE(parse_yaml("listen_addrs: " + std::string(100'000, '['), "f"));
  EXPECT_FALSE(parse_yaml("listen_addrs: &a [x:1, *a]\n", "f"));
}

TEST(PeerConfig, ComesBackFromWhatItIsPrintedAs) {
  PeerConfig config;
  for (const KeyCase& one : key_cases()) {
    one.change(config);
    config.tls_cert_file = "c \"quoted\" \\ back ; no # comment, 'x'.pem";
    config.tls_key_file = " \xc3\xa4\xe2\x82\xac: - [k]";
    config.default_read_timeout -= 1ns;
    ASSERT_TRUE(check(config)) << check(config).error().detail;
    const auto yaml = parse_yaml(to_yaml(config), "f");
    const auto ini = parse_ini(to_ini(config), "f");
    ASSERT_TRUE(yaml) << yaml.error().detail;
    ASSERT_TRUE(ini) << ini.error().detail;
    EXPECT_EQ(*yaml, config) << to_yaml(config);
    EXPECT_EQ(*ini, config) << to_ini(config);
  }
}

TEST(PeerConfig, ChecksValuesThatNoFileGave) {
  const std::vector<std::pair<std::function<void(PeerConfig&)>, const char*>> cases = {
      {[](PeerConfig& c) { c.tls_cert_file = "c"; }, "tls_cert_file: needs tls_key_file, too"},
      {[](PeerConfig& c) { c.tls_key_file = "k"; }, "tls_key_file: needs tls_cert_file, too"},
      {[](PeerConfig& c) { c.tls_key_file = "k\n"; }, "tls_key_file: \"k\\x0a\" has bytes that are no printable UTF-8"},
      {[](PeerConfig& c) { c.default_header_codec = ""; },
       "default_header_codec: header codec \"\" is not known; write json or protobuf"},
      {[](PeerConfig& c) { c.default_body_codec = "x"; },
       "default_body_codec: body codec \"x\" is not known; write json, protobuf, string or flatbuffers"},
      {[](PeerConfig& c) { c.default_body_gzip_level = 10; },
       "default_body_gzip_level: 10 is no gzip level; write -2 to 9, or 0 for no compression"},
      {[](PeerConfig& c) { c.listen_addrs = {""}; }, "listen_addrs: item 1: is empty; write host:port"},
  };
  EXPECT_TRUE(check({}));
  for (const auto& [change, detail] : cases) {
    PeerConfig config;
    change(config);
    const auto checked = check(config);
    ASSERT_FALSE(checked) << detail;
    EXPECT_EQ(checked.error().detail, detail);
  }
}

}  // namespace
}  // namespace wayport::rpc

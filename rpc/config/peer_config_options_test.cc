#include "wayport/rpc/config/peer_config_options.h"

#include <gtest/gtest.h>

#include "wayport/framing/codec.h"
#include "wayport/rpc/options.h"
#include "wayport/transport/address.h"

namespace wayport::rpc {
namespace {

using namespace std::chrono_literals;

TEST(PeerConfigOptions, DefaultsAreThoseOfAPeer) {
  const auto options = to_peer_options({});
  ASSERT_TRUE(options);
  const SessionOptions session;
  EXPECT_EQ(options->session.read_timeout, session.read_timeout);
  EXPECT_EQ(options->session.write_timeout, session.write_timeout);
  EXPECT_EQ(options->session.header_codec, session.header_codec);
  EXPECT_EQ(options->session.body_codec, session.body_codec);
  EXPECT_EQ(options->session.gzip, session.gzip);
  EXPECT_TRUE(options->listen.empty());
  EXPECT_EQ(to_dial_options({}).timeout, DialOptions().timeout);
}

TEST(PeerConfigOptions, CarryTimeoutsCodecsAndLevel) {
  PeerConfig config{.default_read_timeout = 5s,
                    .default_write_timeout = 6s,
                    .default_dial_timeout = 7s,
                    .default_header_codec = "protobuf",
                    .default_body_codec = "string",
                    .default_body_gzip_level = -1};
  auto options = to_peer_options(config);
  ASSERT_TRUE(options);
  EXPECT_EQ(options->session.read_timeout, 5s);
  EXPECT_EQ(options->session.write_timeout, 6s);
  EXPECT_EQ(to_dial_options(config).timeout, 7s);
  EXPECT_EQ(options->session.header_codec, framing::kCodecProtobuf);
  EXPECT_EQ(options->session.body_codec, framing::kCodecString);
  EXPECT_EQ(options->session.gzip, -1);

  config.default_read_timeout = config.default_write_timeout = config.default_dial_timeout = -1s;
  options = to_peer_options(config);
  ASSERT_TRUE(options);
  EXPECT_EQ(options->session.read_timeout, 0s);
  EXPECT_EQ(options->session.write_timeout, 0s);
  EXPECT_EQ(to_dial_options(config).timeout, 0s);

  for (const auto& [name, id] : {std::pair{"json", framing::kCodecJson}, std::pair{"protobuf", framing::kCodecProtobuf},
                                 std::pair{"flatbuffers", framing::kCodecFlatbuffers}}) {
    config.default_body_codec = name;
    options = to_peer_options(config);
    ASSERT_TRUE(options);
    EXPECT_EQ(options->session.body_codec, id);
  }
}

TEST(PeerConfigOptions, ABareAddressIsTcp) {
  std::string note = "old";
  const auto options = to_peer_options({.listen_addrs = {"127.0.0.1:0", "unix:///run/a.sock"}}, &note);
  ASSERT_TRUE(options);
  ASSERT_EQ(options->listen.size(), 2u);
  EXPECT_EQ(options->listen[0].address, "tcp://127.0.0.1:0");
  EXPECT_EQ(options->listen[1].address, "unix:///run/a.sock");
  EXPECT_EQ(note, "");
}

TEST(PeerConfigOptions, ABareAddressIsTlsWithACertificate) {
  const PeerConfig config{
      .tls_cert_file = "/c&d=1 #%.pem", .tls_key_file = "k?.pem", .listen_addrs = {"[::1]:443", "tcp://127.0.0.1:80"}};
  std::string note;
  const auto options = to_peer_options(config, &note);
  ASSERT_TRUE(options);
  ASSERT_EQ(options->listen.size(), 2u);
  const auto address = transport::Address::parse(options->listen[0].address);
  ASSERT_TRUE(address) << options->listen[0].address;
  EXPECT_EQ(address->scheme(), "tls");
  EXPECT_EQ(address->host(), "::1");
  EXPECT_EQ(address->port(), 443);
  ASSERT_EQ(address->parameters().size(), 2u);
  EXPECT_EQ(*address->parameter("cert"), config.tls_cert_file);
  EXPECT_EQ(*address->parameter("key"), config.tls_key_file);
  EXPECT_EQ(options->listen[1].address, "tcp://127.0.0.1:80");
  EXPECT_TRUE(note.starts_with("tls_cert_file and tls_key_file are set: 1 of 2 addresses")) << note;

  PeerConfig without_bare = config;
  without_bare.listen_addrs = {"tcp://127.0.0.1:80"};
  ASSERT_TRUE(to_peer_options(without_bare, &note));
  EXPECT_EQ(note, "tls_cert_file and tls_key_file are not used: listen_addrs has no bare host:port");
}

TEST(PeerConfigOptions, RefusesWhatAFileMayNotHold) {
  const auto options = to_peer_options({.tls_cert_file = "c.pem"});
  ASSERT_FALSE(options);
  EXPECT_EQ(options.error().detail, "tls_cert_file: needs tls_key_file, too");
}

}  // namespace
}  // namespace wayport::rpc

#include "wayport/transport/kcp/packet_cipher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <set>

#include "wayport/transport/kcp/testing/kcp_vectors.h"

namespace wayport::transport::kcp {
namespace {

using namespace testing;
using ::testing::HasSubstr;

MutableBytes writable(std::string& text) { return {reinterpret_cast<std::byte*>(text.data()), text.size()}; }
PacketCipher::Seed seed_of(unsigned char value) {
  PacketCipher::Seed seed;
  seed.fill(std::byte{value});
  return seed;
}
const std::set<std::string> kUnsupported = {"twofish", "tea", "xtea", "salsa20"};

TEST(PacketCipher, EveryClassicVectorBothWays) {
  int tested = 0;
  for (const auto& entry : kcp_vectors().at("crypt").at("modes").as_array()) {
    const auto& mode = entry.as_object();
    const std::string name = text_of(mode, "name");
    SCOPED_TRACE(name);
    const std::string key = hex_of(mode, "key"), nonce = hex_of(mode, "nonce");
    Result<std::unique_ptr<PacketCipher>> cipher = make_cipher(name, as_bytes(key), seed_of(1));
    if (kUnsupported.contains(name)) {
      ASSERT_FALSE(cipher.has_value());
      EXPECT_EQ(cipher.error().code, ErrorCode::unsupported);
      EXPECT_THAT(cipher.error().detail, HasSubstr("aes-256-gcm"));
      continue;
    }
    ASSERT_TRUE(cipher.has_value()) << cipher.error().to_string();
    for (const auto& packet : mode.at("packets").as_array()) {
      const std::string clear = hex_of(packet.as_object(), "clear_packet");
      const std::string wire = hex_of(packet.as_object(), "wire_packet");
      std::string datagram(clear);
      datagram.replace(0, 20, 20, '\0');
      (*cipher)->seal_with_nonce(writable(datagram), as_bytes(nonce));
      EXPECT_EQ(to_hex(as_bytes(datagram)), to_hex(as_bytes(wire)));
      const Opened opened = (*cipher)->open(writable(datagram));
      ASSERT_EQ(opened.status, Opened::Status::ok);
      EXPECT_EQ(to_hex(opened.packet), to_hex(as_bytes(clear).subspan(20)));
      ++tested;
    }
  }
  EXPECT_EQ(tested, 9 * 4);
}

TEST(PacketCipher, EveryGcmVectorBothWays) {
  for (const auto& entry : kcp_vectors().at("crypt").at("aead_newer_versions").as_array()) {
    const auto& mode = entry.as_object();
    SCOPED_TRACE(text_of(mode, "name"));
    const std::string key = hex_of(mode, "key"), nonce = hex_of(mode, "nonce");
    const auto cipher = *make_cipher(text_of(mode, "name"), as_bytes(key), seed_of(1));
    EXPECT_TRUE(cipher->authenticates());
    for (const auto& packet : mode.at("packets").as_array()) {
      const std::string clear = hex_of(packet.as_object(), "kcp_packet");
      const std::string wire = hex_of(packet.as_object(), "wire_packet");
      std::string datagram = std::string(12, '\0') + clear + std::string(16, '\0');
      cipher->seal_with_nonce(writable(datagram), as_bytes(nonce));
      EXPECT_EQ(to_hex(as_bytes(datagram)), to_hex(as_bytes(wire)));
      const Opened opened = cipher->open(writable(datagram));
      ASSERT_EQ(opened.status, Opened::Status::ok);
      EXPECT_EQ(as_text(opened.packet), clear);
    }
  }
}

TEST(PacketCipher, DerivesTheKeysOfTheVectors) {
  const auto& crypt = kcp_vectors().at("crypt").as_object();
  EXPECT_EQ(derive_key(text_of(crypt, "passphrase"), "kcp-go", 4096, 32),
            hex_of(crypt.at("pbkdf2").as_object(), "out"));
  const auto& table = crypt.at("xor_table").as_object();
  const std::string made = derive_key(hex_of(table, "key"), text_of(table, "salt"), number_of<int>(table, "iterations"),
                                      number_of<std::size_t>(table, "length"));
  EXPECT_EQ(made.substr(0, 64), hex_of(table, "first_64"));
  EXPECT_EQ(made.substr(made.size() - 16), hex_of(table, "last_16"));
}

TEST(PacketCipher, RefusesOddKeysAndUnknownNames) {
  const std::string key(16, 'k');
  EXPECT_TRUE(make_cipher("aes-128", as_bytes(key), seed_of(1)).has_value());
  EXPECT_THAT(make_cipher("aes-256", as_bytes(key), seed_of(1)).error().detail, HasSubstr("32 bytes"));
  EXPECT_EQ(make_cipher("rot13", as_bytes(key), seed_of(1)).error().code, ErrorCode::not_found);
  EXPECT_FALSE(cipher_facts("xor")->warning.empty());
  EXPECT_TRUE(cipher_facts("aes-256-gcm")->warning.empty());
}

TEST(PacketCipher, EveryModeOpensWhatAnotherEndSealedAndNoFlippedBit) {
  for (const char* name :
       {"aes-128", "aes-192", "aes-256", "aes-128-gcm", "aes-256-gcm", "sm4", "3des", "blowfish", "cast5"}) {
    SCOPED_TRACE(name);
    const std::string key = derive_key("p", "s", 1, cipher_facts(name)->key_bytes);
    const auto ours = *make_cipher(name, as_bytes(key), seed_of(1));
    const auto theirs = *make_cipher(name, as_bytes(key), seed_of(2));
    for (const std::size_t size : {24u, 25u, 100u, 1400u}) {
      std::string datagram(ours->head_bytes() + size + ours->tail_bytes(), 'p');
      ours->seal(writable(datagram));
      for (const std::size_t bit : {std::size_t{160}, datagram.size() * 8 - 1, datagram.size() * 4}) {
        std::string flipped = datagram;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
        EXPECT_EQ(theirs->open(writable(flipped)).status, Opened::Status::forged);
      }
      for (std::size_t cut = 0; cut < datagram.size(); cut += 7) {
        std::string shorter = datagram.substr(0, cut);
        EXPECT_NE(theirs->open(writable(shorter)).status, Opened::Status::ok);
      }
      std::string copy = datagram;
      EXPECT_EQ(ours->open(writable(copy)).status, Opened::Status::reflected);
      EXPECT_EQ(theirs->open(writable(datagram)).status, Opened::Status::ok);
    }
  }
}

}  // namespace
}  // namespace wayport::transport::kcp

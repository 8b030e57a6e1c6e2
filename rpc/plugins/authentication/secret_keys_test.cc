#include "wayport/rpc/plugins/authentication/secret_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "wayport/rpc/plugins/authentication/key_source.h"
#include "wayport/rpc/plugins/authentication/shared_secret_proof.h"

namespace wayport::rpc {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kSecret = "0123456789abcdef0123456789abcdef";

std::string error_of(const Result<SecretKeys>& keys) { return keys ? "fine" : keys.error().to_string(); }

TEST(SecretKeys, AreReadFromLinesInEveryForm) {
  const auto keys = SecretKeys::parse(
      "# rotation\n\n"
      "plain = 0123456789abcdef0123456789abcdef\r\n"
      "  base64@alice=base64:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n"
      "hex@bob-2 = hex:3031323334353637383961626364656630313233343536373839616263646566",
      "keys");
  ASSERT_TRUE(keys.has_value()) << keys.error().to_string();
  ASSERT_EQ(keys->all().size(), 3u);
  for (const auto& [id, identity] :
       {std::pair("plain", "plain"), std::pair("base64", "alice"), std::pair("hex", "bob-2")}) {
    const SecretKeys::Key* key = keys->find(id);
    ASSERT_NE(key, nullptr) << id;
    EXPECT_EQ(key->identity, identity);
    EXPECT_EQ(*key->secret, kSecret);
  }
  EXPECT_EQ(keys->find("none"), nullptr);
}

TEST(SecretKeys, WhatIsWrongIsToldWithItsLineAndWithoutTheSecret) {
  const std::string line = " = " + kSecret + "\n";
  for (const auto& [text, why] :
       {std::pair<std::string, std::string>{"a" + line + "a" + line, "keys:2: secret key: the id is there twice"},
        {"\n#\nnothing", "keys:3: a line is"},
        {"a b" + line, "1 to 64 of"},
        {"a@b c" + line, "1 to 64 of"},
        {"a@" + line, "no identity"},
        {std::string(65, 'a') + line, "1 to 64 of"},
        {"a = base64:!!", "does not decode"},
        {"a = hex:123", "does not decode"},
        {"a = " + kSecret.substr(1), "has 31 bytes; allowed are 32 to 1024"},
        {"a = " + std::string(32, 'x'), "one byte repeated"},
        {"a = " + kSecret + std::string(1024, 'x'), "has 1056 bytes"},
        {"# none\n", "keys has no key"},
        {"", "keys has no key"}}) {
    EXPECT_THAT(error_of(SecretKeys::parse(text, "keys")), AllOf(HasSubstr(why), Not(HasSubstr(kSecret.substr(1)))));
  }
  EXPECT_TRUE(SecretKeys::parse(std::string(64, 'a') + line, "keys").has_value());
}

// Base64 ends in "=": a line without `id =` looks as if the secret were the id.
TEST(SecretKeys, ASecretWithoutAnIdIsNotShownAsTheId) {
  const std::string secret = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA";
  for (const std::string& line :
       {secret + "=\n", secret + "==\n", secret + "\n", "base64:" + secret + "=\n", "k@" + secret + "=\n",
        secret + "@k=\n", secret + "= = k\n", secret + " = base64:!!\n", secret + " = short\n",
        secret + " = " + kSecret + "\n" + secret + " = " + kSecret + "\n",
        std::string("q83vEjRWeJC+/e8SNFZ4kKvN7xI0VniQ=x\n")}) {
    const std::string error = error_of(SecretKeys::parse("# keys\n" + line, "keys"));
    EXPECT_THAT(error, AllOf(HasSubstr("keys:"), Not(HasSubstr("q83vEjRWeJC")))) << line;
  }
  EXPECT_THAT(error_of(SecretKeys::parse("\n" + secret + "=\n", "keys")), HasSubstr("keys:2: no secret stands after"));
  SecretKeys keys;
  for (const auto& [id, value] : {std::pair(secret + "=", kSecret), std::pair(secret, std::string("k"))}) {
    const Result<void> added = keys.add(id, value);
    ASSERT_FALSE(added.has_value());
    EXPECT_THAT(added.error().to_string(), Not(HasSubstr("q83vEjRWeJC")));
  }
}

TEST(SecretKeys, TheirNumberIsBounded) {
  SecretKeys keys;
  for (std::size_t i = 0; i < kSecretKeysMax; ++i) ASSERT_TRUE(keys.add("k" + std::to_string(i), kSecret).has_value());
  EXPECT_FALSE(keys.add("more", kSecret).has_value());
}

class KeyFile : public ::testing::Test {
 protected:
  KeyFile() : path(std::string(std::getenv("TEST_TMPDIR")) + "/keys") { write(0600); }
  ~KeyFile() override { unlink(path.c_str()); }
  void write(mode_t mode) {
    std::ofstream(path) << "a = " << kSecret << "\n";
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
  }
  std::string path;
};

TEST_F(KeyFile, IsReadOnlyWhenNobodyElseCanSeeIt) {
  EXPECT_EQ(*secret_keys_from_file(path)->find("a")->secret, kSecret);
  write(0400);
  EXPECT_TRUE(secret_keys_from_file(path).has_value());
  for (const mode_t mode : {0640, 0604, 0620, 0602, 0644}) {
    write(static_cast<mode_t>(mode));
    EXPECT_THAT(error_of(secret_keys_from_file(path)), HasSubstr("chmod 600 " + path)) << mode;
  }
}

TEST_F(KeyFile, ThatIsNoneIsRefusedAndNeverWaitedFor) {
  EXPECT_THAT(error_of(secret_keys_from_file(path + ".none")), HasSubstr("cannot open key file"));
  EXPECT_THAT(error_of(secret_keys_from_file("/dev/null")), HasSubstr("no regular file"));
  const std::string fifo = path + ".fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_THAT(error_of(secret_keys_from_file(fifo)), HasSubstr("no regular file"));
  unlink(fifo.c_str());
  ASSERT_EQ(truncate(path.c_str(), kKeyFileBytesMax + 1), 0);
  EXPECT_THAT(error_of(secret_keys_from_file(path)), HasSubstr("too_large"));
}

TEST(KeyEnvironment, HoldsTheLinesOfAFile) {
  ASSERT_EQ(setenv("WAYPORT_TEST_KEYS", ("a = " + kSecret + "\nb@c = " + kSecret).c_str(), 1), 0);
  const auto keys = secret_keys_from_environment("WAYPORT_TEST_KEYS");
  ASSERT_TRUE(keys.has_value());
  EXPECT_EQ(keys->find("b")->identity, "c");
  unsetenv("WAYPORT_TEST_KEYS");
  EXPECT_THAT(error_of(secret_keys_from_environment("WAYPORT_TEST_KEYS")), HasSubstr("WAYPORT_TEST_KEYS"));
}

class Proof : public ::testing::Test {
 protected:
  Proof() {
    for (std::size_t i = 0; i < kAuthNonceBytes; ++i) {
      client[i] = static_cast<std::byte>(i);
      server[i] = static_cast<std::byte>(i + kAuthNonceBytes);
    }
  }
  AuthNonce client{};
  AuthNonce server{};
};

// The bytes were computed by Python's hmac from the words of the README.
TEST_F(Proof, IsWhatTheReadmeSays) {
  const AuthTranscript seen{"orders/production", "2026-11", "orders.example", client, server};
  EXPECT_EQ(to_hex(auth_proof(kSecret, AuthRole::client, seen)),
            "12ecf12f925036843b6c91970d2d31c01942232ecadc74a821d11b75e31675f4");
  EXPECT_EQ(to_hex(auth_proof(kSecret, AuthRole::server, seen)),
            "fae1996f28d1868cb35bd6873f5e54a54a7899fc85c4d4783d1cb9361da84fe5");
}

TEST_F(Proof, HoldsForNothingElse) {
  const AuthTranscript seen{"context", "key", "name", client, server};
  const AuthProof good = auth_proof(kSecret, AuthRole::client, seen);
  EXPECT_TRUE(auth_proof_holds(kSecret, AuthRole::client, seen, good));
  EXPECT_FALSE(auth_proof_holds(kSecret + "x", AuthRole::client, seen, good));
  EXPECT_FALSE(auth_proof_holds(kSecret, AuthRole::server, seen, good)) << "reflected";
  EXPECT_FALSE(auth_proof_holds(kSecret, AuthRole::client, {"context", "key", "name", client, client}, good))
      << "replayed";
  EXPECT_FALSE(auth_proof_holds(kSecret, AuthRole::client, {"context", "key", "name", server, client}, good));
  EXPECT_FALSE(auth_proof_holds(kSecret, AuthRole::client, {"contex", "tkey", "name", client, server}, good))
      << "shifted";
  EXPECT_FALSE(auth_proof_holds(kSecret, AuthRole::client, {"context", "key", "other", client, server}, good))
      << "relayed";
  EXPECT_FALSE(auth_proof_holds(kSecret, AuthRole::client, {"", "key", "name", client, server}, good));
  EXPECT_FALSE(auth_proof_holds(kSecret, AuthRole::client, seen, Bytes(good).first(31)));
  EXPECT_FALSE(auth_proof_holds(kSecret, AuthRole::client, seen, {}));
}

}  // namespace
}  // namespace wayport::rpc

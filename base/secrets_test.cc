#include "wayport/base/secrets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace wayport {
namespace {

TEST(Secrets, AreBlankedInAddressesAndNowhereElse) {
  std::vector<std::string> arguments = {
      "key=me://",  // the program's name is not touched
      "call",
      "tls://h:1?key=/secret/file&ca=ca.pem&password=p%20w&token=",
      "--listen=kcp://h:1?crypt=aes&key=00ff",
      "/path?key=kept",
      "tcp://h:1?monkey=kept&token=gone",
  };
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  blank_secrets(static_cast<int>(argv.size()), argv.data());
  EXPECT_THAT(arguments,
              testing::ElementsAre("key=me://", "call", "tls://h:1?key=************&ca=ca.pem&password=*****&token=",
                                   "--listen=kcp://h:1?crypt=aes&key=****", "/path?key=kept",
                                   "tcp://h:1?monkey=kept&token=****"));
}

}  // namespace
}  // namespace wayport

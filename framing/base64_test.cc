#include "wayport/framing/base64.h"

#include <gtest/gtest.h>

namespace wayport::framing {
namespace {

std::string encode(std::string_view text) {
  std::string out(base64_size(text.size()), '#');
  EXPECT_EQ(write_base64(out.data(), as_bytes(text)), out.data() + out.size());
  return out;
}

TEST(Base64, AgreesWithTheExamplesOfRfc4648) {
  const std::pair<std::string_view, std::string_view> examples[] = {{"", ""},
                                                                    {"f", "Zg=="},
                                                                    {"fo", "Zm8="},
                                                                    {"foo", "Zm9v"},
                                                                    {"foob", "Zm9vYg=="},
                                                                    {"fooba", "Zm9vYmE="},
                                                                    {"foobar", "Zm9vYmFy"}};
  for (const auto& [text, base64] : examples) {
    EXPECT_EQ(encode(text), base64);
    EXPECT_EQ(from_base64(base64), text);
  }
}

TEST(Base64, EveryByteComesBack) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  for (std::size_t size = 0; size <= all.size(); ++size) {
    const std::string text = all.substr(all.size() - size);
    EXPECT_EQ(from_base64(encode(text)), text);
  }
}

TEST(Base64, RefusesWhatIsNone) {
  for (const char* bad :
       {"Z", "Zg", "Zg=", "Zg==Zg==", "====", "Z===", "Zm9v=", "Zm9\n", "Zm 9", "Zh==", "Zm9=", "Zm-_"}) {
    EXPECT_EQ(from_base64(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace wayport::framing

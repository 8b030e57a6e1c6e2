#include "wayport/tools/wayport/body_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace wayport::tools {
namespace {

// "none", "j:[1]" or the error.
std::string load(const BodyOptions& options, const std::string& input = "") {
  std::istringstream in(input);
  const Result<std::optional<framing::RawBody>> body = load_body(options, in);
  if (!body) return body.error().to_string();
  if (!*body) return "none";
  return ((*body)->codec_id ? std::string(1, static_cast<char>((*body)->codec_id)) : "raw") + ":" + (*body)->bytes;
}

TEST(BodySource, TakesTextFilesAndStandardInput) {
  const std::string file = std::string(std::getenv("TEST_TMPDIR")) + "/body";
  std::ofstream(file) << "from a file\n";
  EXPECT_EQ(load({}), "none");
  EXPECT_EQ(load({.source = "[1, 2]"}), "j:[1, 2]");
  EXPECT_EQ(load({.source = "", .codec = 's'}), "s:");
  EXPECT_EQ(load({.source = "@" + file, .codec = 's'}), "s:from a file\n");
  EXPECT_EQ(load({.source = "-", .codec = 's'}, "from standard input"), "s:from standard input");
  EXPECT_THAT(load({.source = "@/nowhere/at/all"}),
              testing::HasSubstr("not_found: cannot open the body file /nowhere/at/all"));
}

TEST(BodySource, RefusesJsonThatIsNone) {
  EXPECT_THAT(load({.source = "[1,"}), testing::HasSubstr("invalid_argument: the body is no JSON ("));
  EXPECT_THAT(load({.source = ""}), testing::HasSubstr("the body is no JSON"));
  EXPECT_EQ(load({.source = "[1,", .codec = 's'}), "s:[1,");
}

TEST(BodySource, SendsRawBytesWithTheirOwnCodecId) {
  EXPECT_EQ(load({.source = "s hello", .raw = true, .codec = 0}), "raw:s hello");
  EXPECT_EQ(load({.source = "", .raw = true, .codec = 0}), "none");
  EXPECT_THAT(load({.source = "-", .raw = true, .codec = 0}, std::string("\0x", 2)),
              testing::HasSubstr("which is not 0"));
  EXPECT_THAT(load({.source = "s", .raw = true, .codec = 0, .gzip = 5}), testing::HasSubstr("never compressed"));
}

TEST(BodySource, TakesTheLimitAndNotOneByteMore) {
  EXPECT_EQ(load({.source = "-", .codec = 's'}, std::string(kBodyBytesMax, 'x')).size(), kBodyBytesMax + 2);
  EXPECT_THAT(load({.source = "-", .codec = 's'}, std::string(kBodyBytesMax + 1, 'x')),
              testing::HasSubstr("too_large: standard input has more than 67108864 bytes"));
}

}  // namespace
}  // namespace wayport::tools

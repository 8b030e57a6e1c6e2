#include "wayport/rpc/config/peer_config_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace wayport::rpc {
namespace {

class PeerConfigFileTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) const {
    const std::string path = ::testing::TempDir() + "peer_config_file_test_" + name;
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
    return path;
  }
};

TEST_F(PeerConfigFileTest, ChoosesTheFormatByExtension) {
  for (const char* name : {"a.yaml", "a.yml"}) {
    const auto config = load_peer_config(write(name, "print_body: true\n"));
    ASSERT_TRUE(config) << config.error().to_string();
    EXPECT_TRUE(config->print_body);
  }
  for (const char* name : {"a.ini", "a.conf"}) {
    const auto config = load_peer_config(write(name, "print_body = true\n"));
    ASSERT_TRUE(config) << config.error().to_string();
    EXPECT_TRUE(config->print_body);
  }
  const auto other = load_peer_config(write("a.toml", ""));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::unsupported);
}

TEST_F(PeerConfigFileTest, NamesTheFileThatCannotBeRead) {
  const auto missing = load_peer_config("/nonexistent/peer.yaml");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
  EXPECT_NE(missing.error().detail.find("/nonexistent/peer.yaml"), std::string::npos);
  const std::string directory = ::testing::TempDir() + "peer_config_file_test_directory.ini";
  std::filesystem::create_directories(directory);
  const auto no_file = load_peer_config(directory);
  ASSERT_FALSE(no_file);
  EXPECT_EQ(no_file.error().detail, directory + ": not a regular file");
}

TEST_F(PeerConfigFileTest, RefusesAFileOverTheBound) {
  EXPECT_TRUE(load_peer_config(write("full.ini", ";" + std::string(kConfigBytesMax - 1, 'x'))));
  const auto large = load_peer_config(write("large.ini", ";" + std::string(2 * kConfigBytesMax, 'x')));
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, ErrorCode::too_large);
}

TEST_F(PeerConfigFileTest, ReloadsAndKeepsTheOldValuesOfABadFile) {
  PeerConfigFile file(write("reload.yaml", "default_body_gzip_level: 5\n"));
  ASSERT_TRUE(file.load());
  EXPECT_EQ(file.config().default_body_gzip_level, 5);

  auto changed = file.reload();
  ASSERT_TRUE(changed);
  EXPECT_FALSE(*changed);

  write("reload.yaml", "# the same\ndefault_body_gzip_level: 6\n");
  changed = file.reload();
  ASSERT_TRUE(changed);
  EXPECT_TRUE(*changed);
  EXPECT_EQ(file.config().default_body_gzip_level, 6);

  write("reload.yaml", "default_body_gzip_level: 7\nprint_bdy: true\n");
  changed = file.reload();
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().detail, file.path() + ":2: print_bdy: unknown key; did you mean print_body?");
  EXPECT_EQ(file.config().default_body_gzip_level, 6);
  EXPECT_FALSE(file.load());
  EXPECT_EQ(file.config().default_body_gzip_level, 6);
}

}  // namespace
}  // namespace wayport::rpc

#include "wayport/gateway/program/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace wayport::gateway {
namespace {

using ::testing::HasSubstr;

class FilesTest : public ::testing::Test {
 protected:
  FilesTest() {
    ::umask(022);
    std::string pattern = ::testing::TempDir() + "/filesXXXXXX";
    directory = ::mkdtemp(pattern.data());
  }
  std::string at(const std::string& name) const { return directory + "/" + name; }
  std::string text(const std::string& name) const {
    const Result<std::string> read = read_file(at(name), 1000);
    return read ? *read : read.error().detail;
  }
  bool exists(const std::string& name) const { return ::access(at(name).c_str(), F_OK) == 0; }

  std::string directory;
};

TEST_F(FilesTest, WritesReplaceAndAreForAllToRead) {
  ASSERT_TRUE(write_file(at("a"), "longer text"));
  ASSERT_TRUE(write_file(at("a"), "text"));
  EXPECT_EQ(text("a"), "text");
  struct stat status{};
  ASSERT_EQ(::stat(at("a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0644u);
}

TEST_F(FilesTest, LinksAndPipesAreRefusedAndNotWaitedFor) {
  ASSERT_TRUE(write_file(at("target"), "untouched"));
  ASSERT_EQ(::symlink("target", at("link").c_str()), 0);
  ASSERT_EQ(::mkfifo(at("pipe").c_str(), 0600), 0);
  EXPECT_THAT(write_file(at("link"), "x").error().detail, HasSubstr("symbolic link"));
  EXPECT_THAT(read_file(at("link"), 100).error().detail, HasSubstr("symbolic link"));
  EXPECT_EQ(*read_file(at("link"), 100, Links::follow), "untouched");
  EXPECT_FALSE(write_file(at("pipe"), "x"));
  EXPECT_THAT(read_file(at("pipe"), 100).error().detail, HasSubstr("no regular file"));
  EXPECT_THAT(read_file(directory, 100).error().detail, HasSubstr("no regular file"));
  EXPECT_EQ(text("target"), "untouched");
}

TEST_F(FilesTest, ReadsHaveABound) {
  ASSERT_TRUE(write_file(at("a"), std::string(10'000, 'x')));
  EXPECT_EQ(read_file(at("a"), 10'000)->size(), 10'000u);
  EXPECT_EQ(read_file(at("a"), 9'999).error().code, ErrorCode::too_large);
}

TEST_F(FilesTest, APidFileSaysWhoRunsAndGoesWithThem) {
  {
    Result<PidFile> file = PidFile::prepare(at("pid"), 4711);
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->write());
    EXPECT_EQ(text("pid"), "4711");
  }
  EXPECT_FALSE(exists("pid"));
}

TEST_F(FilesTest, ASuccessorsPidFileIsLeftAlone) {
  {
    Result<PidFile> old = PidFile::prepare(at("pid"), 1000);
    ASSERT_TRUE(old->write());
    Result<PidFile> successor = PidFile::prepare(at("pid"), 2000);
    EXPECT_EQ(text("pid"), "1000");  // until it is ready
    ASSERT_TRUE(successor->write());
    {
      const PidFile gone = *std::move(old);
    }
    EXPECT_EQ(text("pid"), "2000");
  }
  EXPECT_FALSE(exists("pid"));
}

TEST_F(FilesTest, AStartThatFailsLeavesThePidFileAsItWas) {
  {
    const Result<PidFile> file = PidFile::prepare(at("new"), 1000);
  }
  EXPECT_FALSE(exists("new"));
  ASSERT_TRUE(write_file(at("old"), "17"));
  {
    const Result<PidFile> file = PidFile::prepare(at("old"), 1000);
  }
  EXPECT_EQ(text("old"), "17");
}

TEST_F(FilesTest, ProcessOneHasNoPidFile) {
  Result<PidFile> file = PidFile::prepare(at("pid"), 1);
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->write());
  EXPECT_FALSE(exists("pid"));
  EXPECT_TRUE(PidFile::prepare("", 4711)->write());
}

}  // namespace
}  // namespace wayport::gateway

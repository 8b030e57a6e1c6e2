#include "wayport/gateway/program/split_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

namespace wayport::gateway {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class SplitLogTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(::mkdtemp(directory_.data())); }
  std::string at(const std::string& name) const { return directory_ + "/" + name; }
  std::string text(const std::string& name) const {
    std::ifstream file(at(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string directory_ = ::testing::TempDir() + "/splitXXXXXX";
};

TEST_F(SplitLogTest, WarningsAndErrorsHaveAFileOfTheirOwn) {
  auto log = SplitLog::open({.info_file = at("info"), .error_file = at("error")});
  ASSERT_TRUE(log) << log.error().to_string();
  Log& to = **log;
  to.write(LogLevel::debug, "below");
  to.write(LogLevel::info, "usual", {{"n", 1}});
  to.write(LogLevel::warning, "strange");
  to.write(LogLevel::error, "wrong");
  EXPECT_THAT(text("info"), AllOf(HasSubstr("usual n=1\n"), Not(HasSubstr("strange")), Not(HasSubstr("below"))));
  EXPECT_THAT(text("error"), AllOf(HasSubstr("strange\n"), HasSubstr("wrong\n"), Not(HasSubstr("usual"))));
  struct stat status{};
  ASSERT_EQ(::stat(at("error").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640u);
}

TEST_F(SplitLogTest, OneFileTakesAll) {
  for (const std::string& error : {std::string(), at("both")}) {
    auto log = SplitLog::open({.info_file = at("both"), .error_file = error});
    ASSERT_TRUE(log);
    (*log)->write(LogLevel::info, "usual");
    (*log)->write(LogLevel::error, "wrong");
    EXPECT_THAT(text("both"), AllOf(HasSubstr("usual\n"), HasSubstr("wrong\n")));
  }
}

TEST_F(SplitLogTest, ReopeningFollowsTheNames) {
  auto log = SplitLog::open({.info_file = at("info"), .error_file = at("error")});
  ASSERT_TRUE(log);
  (*log)->write(LogLevel::info, "first");
  ASSERT_EQ(::rename(at("info").c_str(), at("info.1").c_str()), 0);
  (*log)->write(LogLevel::info, "second");
  ASSERT_TRUE((*log)->reopen());
  (*log)->write(LogLevel::info, "third");
  EXPECT_THAT(text("info.1"), AllOf(HasSubstr("first\n"), HasSubstr("second\n"), Not(HasSubstr("third"))));
  EXPECT_THAT(text("info"), HasSubstr("third\n"));
}

TEST_F(SplitLogTest, AFileThatCannotBeOpenedIsNamedAndChangesNothing) {
  EXPECT_THAT(SplitLog::open({.info_file = at("nowhere/info")}).error().to_string(), HasSubstr("nowhere/info"));
  auto log = SplitLog::open({.info_file = at("info"), .error_file = at("error")});
  ASSERT_TRUE(log);
  ASSERT_EQ(::unlink(at("error").c_str()), 0);
  ASSERT_EQ(::symlink("info", at("error").c_str()), 0);
  const Result<void> reopened = (*log)->reopen();
  ASSERT_FALSE(reopened);
  EXPECT_THAT(reopened.error().to_string(), HasSubstr(at("error")));
  (*log)->write(LogLevel::info, "still here");
  EXPECT_THAT(text("info"), HasSubstr("still here\n"));
}

}  // namespace
}  // namespace wayport::gateway

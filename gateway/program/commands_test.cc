#include "wayport/gateway/program/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace wayport::gateway {
namespace {

using ::testing::HasSubstr;

class CommandsTest : public ::testing::Test {
 protected:
  void add(const std::string& pattern) {
    const Result<void> added = commands.add(pattern, "help of it", [pattern](Commands::Arguments arguments) {
      std::string said = pattern + ":";
      for (const std::string_view argument : arguments) said += "(" + std::string(argument) + ")";
      return Result<std::string>(said);
    });
    ASSERT_TRUE(added) << added.error().to_string();
  }
  std::string run(std::string_view text) {
    const Result<std::string> said = commands.run(text);
    return said ? *said : said.error().detail;
  }
  std::string error_of(const std::string& pattern) {
    const Result<void> added = commands.add(pattern, "", [](Commands::Arguments) { return Result<std::string>(""); });
    return added ? "none" : added.error().detail;
  }

  Commands commands;
};

TEST_F(CommandsTest, MatchTheWholeTrimmedText) {
  add("help");
  add("cpuprof start");
  EXPECT_EQ(run("help"), "help:");
  EXPECT_EQ(run(" \t\r\nhelp\n\n"), "help:");
  EXPECT_EQ(run("cpuprof \t start"), "cpuprof start:");
  for (const char* const text : {"", "\n", "helpx", "xhelp", "help me", "HELP", "cpuprof", "cpuprofstart",
                                 "cpuprof\nstart", "cpuprof start stop"}) {
    EXPECT_THAT(run(text), HasSubstr("unsupported command: ")) << text;
  }
  EXPECT_EQ(run("rm\x1b[2J -rf"), "unsupported command: rm\\x1b[2J -rf");
}

TEST_F(CommandsTest, NumbersHaveOneToFourDigitsAndMayBeMissing) {
  add("lookup heap [#detail]");
  EXPECT_EQ(run("lookup heap"), "lookup heap [#detail]:()");  // what the original documents, and never matches
  EXPECT_EQ(run("lookup heap 0"), "lookup heap [#detail]:(0)");
  EXPECT_EQ(run("lookup heap 9999"), "lookup heap [#detail]:(9999)");
  EXPECT_THAT(run("lookup heap 10000"), HasSubstr("unsupported"));
  EXPECT_THAT(run("lookup heap -1"), HasSubstr("unsupported"));
  EXPECT_THAT(run("lookup heap x"), HasSubstr("unsupported"));
}

TEST_F(CommandsTest, EmbeddersUsePlaceholders) {
  add("kick <id> [reason]");
  add("level <#level>");
  EXPECT_EQ(run("kick 17"), "kick <id> [reason]:(17)()");
  EXPECT_EQ(run("kick 17 cheating"), "kick <id> [reason]:(17)(cheating)");
  EXPECT_EQ(run("level 3"), "level <#level>:(3)");
  EXPECT_THAT(run("kick"), HasSubstr("unsupported"));
  EXPECT_THAT(run("kick \x01"), HasSubstr("unsupported"));
  EXPECT_THAT(run("level"), HasSubstr("unsupported"));
}

TEST_F(CommandsTest, TheFirstThatMatchesRuns) {
  add("kick all");
  add("kick <id>");
  EXPECT_EQ(run("kick all"), "kick all:");
  EXPECT_EQ(run("kick one"), "kick <id>:(one)");
}

TEST_F(CommandsTest, PatternsAreChecked) {
  add("help");
  EXPECT_THAT(error_of("help"), HasSubstr("is there already"));
  for (const char* const pattern :
       {"", " help", "help ", "a  b", "<id>", "a [b] c", "a <>", "a []", "a <#>", "a b>", "a\tb", "a \x7f"}) {
    EXPECT_NE(error_of(pattern), "none") << pattern;
  }
}

TEST_F(CommandsTest, HoldTheirBounds) {
  add("help");
  EXPECT_EQ(run("help" + std::string(Commands::kTextBytesMax - 4, ' ')), "help:");
  EXPECT_THAT(run("help" + std::string(Commands::kTextBytesMax - 3, ' ')), HasSubstr("at most 4096 bytes"));
  std::string words = "w";
  for (std::size_t i = 1; i < Commands::kWordsMax; ++i) words += " w";
  EXPECT_EQ(error_of(words), "none");
  EXPECT_THAT(run(words), "");
  EXPECT_THAT(run(words + " w"), HasSubstr("unsupported"));
  EXPECT_THAT(error_of(words + " w"), HasSubstr("at most 16 words"));
  while (commands.size() < Commands::kCommandsMax) add("c" + std::to_string(commands.size()));
  EXPECT_THAT(error_of("more"), HasSubstr("256"));
}

TEST_F(CommandsTest, HelpIsATable) {
  add("help");
  add("cpuprof start");
  EXPECT_EQ(commands.help(), "  help           help of it\n  cpuprof start  help of it\n");
}

TEST_F(CommandsTest, AHandlersErrorIsTheCommands) {
  ASSERT_TRUE(commands.add(
      "fail", "", [](Commands::Arguments) -> Result<std::string> { return fail(ErrorCode::io, "disk full"); }));
  EXPECT_EQ(run("fail"), "disk full");
}

}  // namespace
}  // namespace wayport::gateway

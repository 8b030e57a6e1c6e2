#include "wayport/rpc/route_name.h"

#include <gtest/gtest.h>

namespace wayport::rpc {
namespace {

TEST(RouteName, SnakeCaseSplitsCapitalsLetterByLetterAsTheOriginalDoes) {
  EXPECT_EQ(snake_case("HTTPServer"), "h_t_t_p_server");
  EXPECT_EQ(snake_case("UserID"), "user_i_d");
  EXPECT_EQ(snake_case("ID2Name"), "i_d2_name");
  EXPECT_EQ(snake_case("User_Name"), "user__name");
  EXPECT_EQ(snake_case("A1B2"), "a1_b2");
  EXPECT_EQ(snake_case("_Xx"), "_xx");
  EXPECT_EQ(snake_case("X__Y"), "x___y");
  EXPECT_EQ(snake_case("AaBb"), "aa_bb");
  EXPECT_EQ(snake_case(""), "");
}

TEST(RouteName, NonAsciiCapitalsGetNoUnderscore) { EXPECT_EQ(snake_case("a\xc3\x84z"), "a\xc3\x84z"); }

TEST(RouteName, OnlyTheLastElementOfAQualifiedNameCounts) {
  EXPECT_EQ(last_element("example.com/pkg.Home"), "Home");
  EXPECT_EQ(last_element("game::Home"), "Home");
  EXPECT_EQ(last_element("Home"), "Home");
}

TEST(RouteName, PrefixesAreCleanedButKeepTheirCase) {
  EXPECT_EQ(join_path(join_path("", "V1"), "/sub/path/"), "/V1/sub/path");
  EXPECT_EQ(join_path("/V1/sub/path", "aa_bb/xx_yy"), "/V1/sub/path/aa_bb/xx_yy");
  EXPECT_EQ(join_path("//a//", "b/./c/../d"), "/a/b/d");
  EXPECT_EQ(join_path("", ""), "/");
  EXPECT_EQ(join_path("..", "a"), "/a");
}

}  // namespace
}  // namespace wayport::rpc

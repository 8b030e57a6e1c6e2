#include "wayport/rpc/uri.h"

#include <gtest/gtest.h>

namespace wayport::rpc {
namespace {

std::string path_of(std::string_view text) {
  std::string storage;
  Uri uri;
  const Result<void> parsed = parse_uri(text, storage, uri);
  return parsed ? std::string(uri.path) : "error: " + parsed.error().detail;
}

TEST(Uri, OnlyTheDecodedPathNamesARoute) {
  EXPECT_EQ(path_of("/group/home/str"), "/group/home/str");
  EXPECT_EQ(path_of("/group/home/s%74r?x=1#frag"), "/group/home/str");
  EXPECT_EQ(path_of("scheme://host:1/group/home/str"), "/group/home/str");
  EXPECT_EQ(path_of("//user:pass@host/a"), "/a");
  EXPECT_EQ(path_of("/a/"), "/a/");
  EXPECT_EQ(path_of("//a"), "");
  EXPECT_EQ(path_of("///a"), "///a");
  EXPECT_EQ(path_of(""), "");
  EXPECT_EQ(path_of("home"), "home");
  EXPECT_EQ(path_of("mailto:someone"), "");
  EXPECT_EQ(path_of("*"), "*");
}

TEST(Uri, RawSpacesQuotesAndUnicodeAreAccepted) {
  EXPECT_EQ(path_of("/push/te st<>\"\xc3\xa9?tag=from home-test"), "/push/te st<>\"\xc3\xa9");
}

TEST(Uri, RefusalsCarryTheTextThatTheOriginalSends) {
  EXPECT_EQ(path_of("/a%zz"), "error: parse \"/a%zz\": invalid URL escape \"%zz\"");
  EXPECT_EQ(path_of("/a%"), "error: parse \"/a%\": invalid URL escape \"%\"");
  EXPECT_EQ(path_of("/a%4?x"), "error: parse \"/a%4?x\": invalid URL escape \"%4\"");
  EXPECT_EQ(path_of("/a\n"), "error: parse \"/a\\n\": net/url: invalid control character in URL");
  EXPECT_EQ(path_of("/a\x7f"), "error: parse \"/a\\x7f\": net/url: invalid control character in URL");
  EXPECT_EQ(path_of(":a"), "error: parse \":a\": missing protocol scheme");
  EXPECT_EQ(path_of("1:a/b"), "error: parse \"1:a/b\": first path segment in URL cannot contain colon");
  EXPECT_EQ(path_of("s://h:x/"), "error: parse \"s://h:x/\": invalid port \":x\" after host");
  EXPECT_EQ(path_of("s://[::1/"), "error: parse \"s://[::1/\": missing ']' in host");
  EXPECT_EQ(path_of("s://a b/"), "error: parse \"s://a b/\": invalid character \" \" in host name");
  EXPECT_EQ(path_of("s://h%41/"), "error: parse \"s://h%41/\": invalid URL escape \"%41\"");
  EXPECT_EQ(path_of("s://u\xc3\xa4@h/"), "error: parse \"s://u\xc3\xa4@h/\": net/url: invalid userinfo");
  EXPECT_EQ(path_of("/a#%x"), "error: parse \"/a#%x\": invalid URL escape \"%x\"");
}

TEST(Uri, AQueryKeepsRepeatedKeysInOrderAndDropsWhatDoesNotDecode) {
  const Query query = parse_query("a=1&a=2&b=x+y%20z&&=v&bad=%zz&semi;colon=1&c");
  const Query expected = {{"a", "1"}, {"a", "2"}, {"b", "x y z"}, {"", "v"}, {"c", ""}};
  EXPECT_EQ(query, expected);
  EXPECT_EQ(query_value(query, "a"), "1");
  EXPECT_EQ(query_value(query, "none"), "");
}

TEST(Uri, TheRawQueryIsWhatStandsBetweenQuestionMarkAndHash) {
  std::string storage;
  Uri uri;
  ASSERT_TRUE(parse_uri("/a?x=1&y=%zz#f", storage, uri).has_value());
  EXPECT_EQ(uri.raw_query, "x=1&y=%zz");
  ASSERT_TRUE(parse_uri("/a?", storage, uri).has_value());
  EXPECT_EQ(uri.raw_query, "");
}

}  // namespace
}  // namespace wayport::rpc

#include "wayport/tools/wayport/call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "wayport/base/log.h"
#include "wayport/rpc/peer.h"

namespace wayport::tools {
namespace {

using ::testing::HasSubstr;

// The commands run in this process, against a peer in this process.
class CallTest : public ::testing::Test {
 protected:
  void SetUp() override {
    peer_.router().on_pull("/escape", [] { return framing::RawBody{'s', "\x1b]0;title\x07 \"ok\"\n\tgr\xc3\xbcn"}; });
    peer_.router().on_pull("/line", [] { return framing::RawBody{'s', "no line end"}; });
    peer_.router().on_pull("/zipped", [] { return framing::RawBody{'s', "slice"}; });
    peer_.router().on_pull("/fail", []() -> rpc::Status { return {4711, "\x1b[2J", rpc::Status::Origin::local}; });
    peer_.router().on_push("/take", [this](framing::RawBody body) {
      pushed_.set_value(std::string(1, static_cast<char>(body.codec_id)) + body.bytes);
    });
    ASSERT_TRUE(peer_.start());
  }
  CallOptions options(const std::string& path) {
    CallOptions options;
    options.url = peer_.addresses().front();
    options.path = path;
    return options;
  }
  int call_on(bool terminal, const std::string& path) {
    Console console{in_, out_, err_, terminal};
    return call(runtime_, options(path), console);
  }

  Runtime runtime_{{.loops = 1, .log = &null_log()}};
  rpc::Peer peer_{runtime_, {.listen = {"tcp://127.0.0.1:0"}}};
  std::promise<std::string> pushed_;
  std::istringstream in_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(CallTest, CopiesTheBodyToAFileAndShowsItOnATerminal) {
  EXPECT_EQ(call_on(false, "/escape"), kExitSuccess);
  EXPECT_EQ(out_.str(), "\x1b]0;title\x07 \"ok\"\n\tgr\xc3\xbcn");
  out_.str("");
  EXPECT_EQ(call_on(true, "/escape"), kExitSuccess);
  EXPECT_EQ(out_.str(), "\\x1b]0;title\\x07 \"ok\"\n\tgr\xc3\xbcn\n");
}

TEST_F(CallTest, EndsTheLineOnATerminalOnly) {
  EXPECT_EQ(call_on(true, "/line"), kExitSuccess);
  EXPECT_EQ(out_.str(), "no line end\n");
  out_.str("");
  EXPECT_EQ(call_on(false, "/line"), kExitSuccess);
  EXPECT_EQ(out_.str(), "no line end");
}

TEST_F(CallTest, EscapesWhatAPeerSaysOfAnError) {
  EXPECT_EQ(call_on(false, "/fail"), kExitFailure);
  EXPECT_EQ(out_.str(), "");
  EXPECT_EQ(err_.str(), "error: 4711 \\x1b[2J\n");
}

TEST_F(CallTest, FailsWhenStandardOutputDoes) {
  out_.setstate(std::ios::badbit);
  EXPECT_EQ(call_on(false, "/line"), kExitFailure);
}

TEST_F(CallTest, PushArrives) {
  PushOptions options{this->options("/take")};
  options.body = {.source = "hello", .codec = 's'};
  Console console{in_, out_, err_};
  EXPECT_EQ(push(runtime_, options, console), kExitSuccess) << err_.str();
  EXPECT_EQ(pushed_.get_future().get(), "shello");
}

}  // namespace
}  // namespace wayport::tools

// `wayport serve` and `wayport call` as processes: every transport, every pair of header codec and body codec,
// compressed and not, and every release of Teleport from 2.0 to 2.6. Nothing is mocked: the body goes out through one
// program, through the kernel, through the other program, and back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "wayport/tools/wayport/testing/served.h"

namespace wayport::tools {
namespace {

using testing::Finished;
using testing::Served;
using testing::wayport;

const std::vector<std::string> kVersions = {"2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6"};

std::string every_byte() {
  std::string bytes;
  for (int c = 1; c <= 256; ++c) bytes += static_cast<char>(c);
  return bytes;
}

struct BodyCase {
  std::string codec;
  std::string sent;
  std::string received;
};
const std::vector<BodyCase>& body_cases() {
  static const std::vector<BodyCase> cases = {
      {"json", R"({"a":[1,2.5,"gr\u00fcn"],"b":null})", R"({"a":[1,2.5,"gr\u00fcn"],"b":null})"},
      {"protobuf", std::string("\x08\x01\x10\x02", 4), std::string("\x08\x01\x10\x02", 4)},
      {"string", every_byte(), every_byte()},
      {"flatbuffers", every_byte() + every_byte(), every_byte() + every_byte()},
      // An id that nobody has registered; it goes in front and stays there.
      {"raw", "z" + every_byte(), every_byte()},
  };
  return cases;
}

class Matrix : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Releases, Matrix, ::testing::ValuesIn(kVersions), [](const auto& parameter) {
  std::string name = parameter.param;
  name.replace(name.find('.'), 1, "_");
  return "v" + name;
});

TEST_P(Matrix, EveryCallComesBackAsItWentOut) {
  const std::string version = GetParam();
  Served served({"--peer-version", version});
  std::size_t calls = 0;
  for (const std::string_view transport : Served::kTransports) {
    for (const std::string header : {"json", "protobuf"}) {
      for (const BodyCase& body : body_cases()) {
        for (const std::string gzip : {"0", "5"}) {
          if (body.codec == "raw" && gzip != "0") continue;
          SCOPED_TRACE(std::string(transport) + ", header " + header + ", body " + body.codec + ", gzip " + gzip);
          const Finished call = wayport({"call", served.url(transport), "/echo", "--body", "-", "--codec", body.codec,
                                         "--header-codec", header, "--gzip", gzip, "--peer-version", version},
                                        body.sent);
          EXPECT_EQ(call.exit_code, 0) << call.err;
          EXPECT_EQ(call.out, body.received);
          EXPECT_EQ(call.err, "");
          ++calls;
        }
      }
    }
  }
  EXPECT_EQ(calls, 54u);
  served.process().signal(SIGTERM);
  const Finished ended = served.process().finish();
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_EQ(ended.err, "");
  std::printf("release %s: %zu calls on %zu transports, all equal\n", version.c_str(), calls,
              std::size(Served::kTransports));
}

TEST_P(Matrix, TypedRoutesPushesAndErrorsWork) {
  const std::string version = GetParam();
  Served served({"--peer-version", version});
  std::size_t done = 0;
  for (const std::string_view transport : Served::kTransports) {
    SCOPED_TRACE(transport);
    const std::string& url = served.url(transport);
    const auto call = [&](std::vector<std::string> arguments) {
      arguments.insert(arguments.begin() + 1, url);
      arguments.insert(arguments.end(), {"--peer-version", version});
      ++done;
      return wayport(arguments);
    };
    EXPECT_EQ(call({"call", "/sum", "--body", "[40,2]"}).out, "42");
    EXPECT_EQ(call({"call", "/sum", "--body", std::string("\x08\x28\x10\x02"), "--codec", "protobuf"}).out, "\x08\x2a");
    EXPECT_EQ(call({"call", "/echo"}).exit_code, 0);  // no body
    const Finished unknown = call({"call", "/nowhere", "--header-codec", "protobuf"});
    EXPECT_EQ(unknown.exit_code, 1);
    EXPECT_EQ(unknown.err, "error: 404 Not Found\n");
    const Finished own = call({"call", "/fail?code=-7&text=my+own"});
    EXPECT_EQ(own.exit_code, 1);
    EXPECT_EQ(own.err, "error: -7 my own\n");
    // The type of a push is what differs between the releases.
    EXPECT_EQ(call({"push", "/log", "--body", "hello " + version, "--codec", "string"}).exit_code, 0);
    EXPECT_THAT(served.process().wait_for_line("push /log from " + std::string(transport)),
                ::testing::EndsWith(" string: hello " + version));
  }
  std::printf("release %s: %zu commands on %zu transports, all as expected\n", version.c_str(), done,
              std::size(Served::kTransports));
}

}  // namespace
}  // namespace wayport::tools

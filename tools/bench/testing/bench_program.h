// The benchmark program as users start it, for tests.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <boost/json.hpp>
#include <cstdio>
#include <string>

namespace wayport::tools::testing {

struct Ran {
  int status = -1;
  std::string output;
};

inline Ran run(const std::string& arguments) {
  Ran ran;
  std::FILE* const pipe = ::popen(("tools/bench/wayport-bench " + arguments).c_str(), "r");
  if (!pipe) return ran;
  std::array<char, 4096> buffer;
  while (const std::size_t size = std::fread(buffer.data(), 1, buffer.size(), pipe))
    ran.output.append(buffer.data(), size);
  ran.status = ::pclose(pipe);
  return ran;
}

inline boost::json::object run_json(const std::string& arguments) {
  const Ran ran = run(arguments + " --json");
  EXPECT_EQ(ran.status, 0) << ran.output;
  boost::system::error_code error;
  const boost::json::value parsed = boost::json::parse(ran.output, error);
  EXPECT_FALSE(error) << ran.output;
  return parsed.is_object() ? parsed.as_object() : boost::json::object();
}

}  // namespace wayport::tools::testing

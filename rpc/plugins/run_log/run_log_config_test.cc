#include "wayport/rpc/plugins/run_log/run_log_config.h"

#include <gtest/gtest.h>

#include "wayport/base/result.h"

namespace wayport::rpc::plugins {
namespace {

TEST(RunLogConfig, TakesTheOriginalsKeys) {
  const Result<PeerConfig> config =
      parse_yaml("slow_comet_duration: 500ms\nprint_body: true\ncount_time: true\n", "peer.yaml");
  ASSERT_TRUE(config.has_value());
  const RunLogOptions options = to_run_log_options(*config);
  EXPECT_EQ(options.slow_call, std::chrono::milliseconds(500));
  EXPECT_TRUE(options.print_body);
  EXPECT_TRUE(options.count_time);
}

TEST(RunLogConfig, KeepsTheKeysDefaults) {
  const RunLogOptions options = to_run_log_options(PeerConfig{});
  EXPECT_EQ(options.slow_call, Duration::zero());
  EXPECT_FALSE(options.print_body);
  EXPECT_FALSE(options.count_time);
}

}  // namespace
}  // namespace wayport::rpc::plugins

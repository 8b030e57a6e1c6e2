// Google Benchmark's own main() exits 0 after SkipWithError and when no benchmark ran; a smoke test needs both to fail.

#include <cstdio>
#include <vector>

#include <benchmark/benchmark.h>

namespace {

class FailingReporter : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) failed_ = failed_ || run.error_occurred;
    benchmark::ConsoleReporter::ReportRuns(runs);
  }
  bool failed() const { return failed_; }

 private:
  bool failed_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
#ifndef NDEBUG
  benchmark::AddCustomContext("build", "not optimised: use --config=rel for numbers");
#endif
  FailingReporter reporter;
  if (benchmark::RunSpecifiedBenchmarks(&reporter) == 0) {
    std::fprintf(stderr, "no benchmark ran\n");
    return 1;
  }
  benchmark::Shutdown();
  return reporter.failed() ? 1 : 0;
}

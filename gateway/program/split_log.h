// A log in two files, as gogateway-light has it: infofilePath and errorfilePath (spec/route.md 7). Warnings and errors go
// to the one, everything else to the other. reopen() opens both paths anew, after logrotate has moved the files.
//
// Files are created with mode 0640 and never followed if they are symbolic links. Thread-safe.
#pragma once

#include <memory>
#include <shared_mutex>
#include <string>

#include "wayport/base/log.h"
#include "wayport/base/result.h"

namespace wayport::gateway {

struct SplitLogOptions {
  LogLevel level = LogLevel::info;
  std::string info_file{};   // empty: standard error
  std::string error_file{};  // empty: where the rest goes
  bool json = false;
};

class SplitLog final : public Log {
 public:
  // Fails when a file cannot be opened; the error names it.
  static Result<std::unique_ptr<SplitLog>> open(SplitLogOptions options);

  // On failure the old files stay, and the error says which path it was.
  Result<void> reopen();

  bool enabled(LogLevel level) const noexcept override { return level >= options_.level && level != LogLevel::off; }

 protected:
  void write_line(LogLevel level, std::string_view event, std::span<const LogField> fields) override;

 private:
  explicit SplitLog(SplitLogOptions options) : options_(std::move(options)) {}
  Result<std::unique_ptr<Log>> open_one(const std::string& file) const;

  const SplitLogOptions options_;
  std::shared_mutex mutex_;  // exclusive: while the two are exchanged
  std::unique_ptr<Log> info_;
  std::unique_ptr<Log> error_;  // null: info_
};

}  // namespace wayport::gateway

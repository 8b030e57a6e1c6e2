#include "wayport/gateway/program/split_log.h"

#include <fcntl.h>

#include <cerrno>
#include <mutex>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/base/socket.h"

namespace wayport::gateway {

Result<std::unique_ptr<Log>> SplitLog::open_one(const std::string& file) const {
  if (!file.empty()) {
    // Only so that it has this mode; open_log() opens it for itself.
    const Fd created(::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0640));
    if (!created) return fail(system_error(errno, "log file \"" + escape(file) + "\""));
  }
  return open_log({.level = options_.level, .file = file, .json = options_.json});
}

Result<std::unique_ptr<SplitLog>> SplitLog::open(SplitLogOptions options) {
  std::unique_ptr<SplitLog> log(new SplitLog(std::move(options)));
  WAYPORT_TRY(log->reopen());
  return log;
}

Result<void> SplitLog::reopen() {
  WAYPORT_TRY_ASSIGN(std::unique_ptr<Log> info, open_one(options_.info_file));
  std::unique_ptr<Log> error;
  if (!options_.error_file.empty() && options_.error_file != options_.info_file) {
    WAYPORT_TRY_ASSIGN(error, open_one(options_.error_file));
  }
  const std::unique_lock lock(mutex_);
  info_ = std::move(info);
  error_ = std::move(error);
  return {};
}

void SplitLog::write_line(LogLevel level, std::string_view event, std::span<const LogField> fields) {
  const std::shared_lock lock(mutex_);
  Log& to = error_ && level >= LogLevel::warning ? *error_ : *info_;
  to.write_fields(level, event, fields);
}

}  // namespace wayport::gateway

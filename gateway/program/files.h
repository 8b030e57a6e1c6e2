// The files that a gateway leaves in its directory and reads there: pid, command and profile files. Others may be able
// to write that directory, so nothing here follows a symbolic link at the end of a path, waits for a pipe's other end,
// or writes to what is no regular file. What is created has mode 0644.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "wayport/base/result.h"
#include "wayport/base/socket.h"

namespace wayport::gateway {

// For writing; what was in it is gone. Errors name the path.
Result<Fd> open_output(const std::string& path);
Result<void> write_file(const std::string& path, std::string_view text);
enum class Links : bool { refuse, follow };  // follow: for secrets, which orchestrators mount behind links
// too_large: more than `bytes_max`.
Result<std::string> read_file(const std::string& path, std::size_t bytes_max, Links links = Links::refuse);

// Says who runs: the process id, decimal, without a line end. An existing file is overwritten.
class PidFile {
 public:
  // Whether it can be written, before anything is bound. Neither made nor written if `path` is empty or `own_pid` is 1
  // (whose number says nothing outside its container).
  static Result<PidFile> prepare(std::string path, pid_t own_pid);
  PidFile(PidFile&& other) noexcept;
  PidFile& operator=(PidFile&&) = delete;
  // Removes it if it still says this process: a successor's is left alone. If nothing was written, what prepare() had to
  // create is removed.
  ~PidFile();

  Result<void> write();

 private:
  PidFile(std::string path, pid_t own_pid, bool created)
      : path_(std::move(path)), own_pid_(own_pid), created_(created) {}

  std::string path_;
  pid_t own_pid_;
  bool created_ = false;
  bool written_ = false;
};

}  // namespace wayport::gateway

// The server of the restart benchmark: counts how often it executed each call, in memory that outlives it.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "wayport/base/result.h"

namespace wayport::tools {

// A mapped file that all server processes and the client share; owned by the client, which removes it.
class CallTable {
 public:
  static constexpr std::size_t kCallsMax = 4u << 20;

  static Result<CallTable> make();                         // a new file under $TMPDIR or /tmp
  static Result<CallTable> open(const std::string& path);  // of somebody else
  CallTable(CallTable&& other) noexcept;
  CallTable& operator=(CallTable&&) = delete;
  ~CallTable();

  const std::string& path() const noexcept { return path_; }
  // The server that is ready; 0: none yet.
  std::atomic<std::int32_t>& server() const noexcept { return memory_->server; }
  // How often call `id` (below kCallsMax) was executed.
  std::atomic<std::uint32_t>& executed(std::size_t id) const noexcept { return memory_->executed[id]; }

 private:
  struct Memory {
    std::atomic<std::int32_t> server;
    std::atomic<std::uint32_t> executed[kCallsMax];
  };
  CallTable() = default;
  static Result<CallTable> map(std::string path, int fd, bool owned);

  std::string path_;
  Memory* memory_ = nullptr;
  bool owned_ = false;
};

// Routes: pull /count and /count_later (after some milliseconds) of a call's id, which comes back.
inline constexpr const char* kCountUri = "/count";
inline constexpr const char* kCountLaterUri = "/count_later";

// The first of the arguments that a server is started with.
inline constexpr const char* kServeRestartArgument = "serve-restart";
// In the server process; `arguments` follow kServeRestartArgument: the client's pid, the table's path, the address.
// Returns the exit code.
int serve_restart(const std::vector<std::string>& arguments);

}  // namespace wayport::tools

#include "wayport/gateway/program/profiles.h"

#include <dirent.h>
#include <gperftools/malloc_extension.h>
#include <gperftools/profiler.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <sstream>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/gateway/program/files.h"

// Sanitizers bring a malloc of their own; tcmalloc is then not even linked (tools/bazel/sys.bzl).
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WAYPORT_OTHER_MALLOC 1
#endif
#endif

#ifndef WAYPORT_OTHER_MALLOC
// gperftools reads TCMALLOC_SAMPLE_PARAMETER into this before main(), and has no call that sets it (2.10).
namespace FLAG__namespace_do_not_use_directly_use_DECLARE_int64_instead {
extern int64_t FLAGS_tcmalloc_sample_parameter;
}
#endif

namespace wayport::gateway {
namespace {

// Open while the profiler writes to it.
std::mutex profile_mutex;
Fd profile_file;

struct Directory {
  explicit Directory(const char* path) : handle(::opendir(path)) {}
  ~Directory() {
    if (handle) ::closedir(handle);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  std::vector<std::string> names() const {
    std::vector<std::string> all;
    while (const dirent* const entry = handle ? ::readdir(handle) : nullptr) {
      if (entry->d_name[0] != '.') all.emplace_back(entry->d_name);
    }
    std::ranges::sort(all, {}, [](const std::string& name) { return std::pair(name.size(), name); });
    return all;
  }

  DIR* const handle;
};

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

void sample_heap() noexcept {
#ifndef WAYPORT_OTHER_MALLOC
  int64_t& period = FLAG__namespace_do_not_use_directly_use_DECLARE_int64_instead::FLAGS_tcmalloc_sample_parameter;
  if (period == 0) period = 512 * 1024;
#endif
}

Result<void> start_cpu_profile(const std::string& path) {
  const std::lock_guard lock(profile_mutex);
  if (profile_file) return fail(ErrorCode::refused, "a CPU profile is being taken already; stop it first");
  WAYPORT_TRY_ASSIGN(Fd file, open_output(path));
  // The profiler opens a path, and would follow a link; this one leads to the very file that was checked.
  const std::string same = "/proc/self/fd/" + std::to_string(file.get());
  if (::ProfilerStart(same.c_str()) == 0) {
    return fail(ErrorCode::io, "the CPU profiler does not start with \"" + escape(path) + "\"; is /proc mounted?");
  }
  profile_file = std::move(file);
  return {};
}

Result<int> stop_cpu_profile() {
  const std::lock_guard lock(profile_mutex);
  if (!profile_file) return fail(ErrorCode::refused, "no CPU profile is being taken; start one first");
  ProfilerState state{};
  ::ProfilerGetCurrentState(&state);
  ::ProfilerStop();
  profile_file.reset();
  return state.samples_gathered;
}

Result<std::string> heap_profile() {
#ifdef WAYPORT_OTHER_MALLOC
  return fail(ErrorCode::unsupported, "this build has no heap profiles: its malloc is a sanitizer's");
#else
  std::string profile;
  MallocExtension::instance()->GetHeapSample(&profile);
  return profile;
#endif
}

std::string thread_dump() {
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  std::string dump;
  for (const std::string& thread : Directory("/proc/self/task").names()) {
    const std::string stat = text_of("/proc/self/task/" + thread + "/stat");
    const std::size_t open = stat.find('(');
    const std::size_t close = stat.rfind(')');
    if (open == std::string::npos || close == std::string::npos || close < open) continue;  // it has just ended
    // Fields from the third on: state, and as the 12th and 13th of these user and system time (proc(5)).
    std::istringstream rest(stat.substr(close + 1));
    std::vector<std::string> fields{std::istream_iterator<std::string>(rest), {}};
    if (fields.size() < 13) continue;
    std::ostringstream line;
    line << "thread=" << thread << " name=" << escape(stat.substr(open + 1, close - open - 1)) << " state=" << fields[0]
         << " user_seconds=" << std::strtod(fields[11].c_str(), nullptr) / ticks
         << " system_seconds=" << std::strtod(fields[12].c_str(), nullptr) / ticks << "\n";
    dump += line.str();
  }
  return dump;
}

MemoryUse memory_use() {
  MemoryUse use;
  std::istringstream statm(text_of("/proc/self/statm"));
  std::size_t pages = 0;
  std::size_t resident = 0;
  if (statm >> pages >> resident) use.resident_bytes = resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
#ifndef WAYPORT_OTHER_MALLOC
  MallocExtension* const malloc = MallocExtension::instance();
  malloc->GetNumericProperty("generic.current_allocated_bytes", &use.heap_bytes);
  malloc->GetNumericProperty("tcmalloc.pageheap_free_bytes", &use.heap_free_bytes);
#endif
  return use;
}

std::size_t open_files() {
  const std::size_t count = Directory("/proc/self/fd").names().size();
  return count == 0 ? 0 : count - 1;  // the one that lists them
}

}  // namespace wayport::gateway

#include "wayport/rpc/config/peer_config_file.h"

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>

#include "wayport/base/bytes.h"

namespace wayport::rpc {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};

// At most one byte more than is taken.
Result<std::string> read_file(const std::string& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  // Opening a pipe would wait for its writer.
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    return fail(ErrorCode::invalid_argument, escape(path) + ": not a regular file");
  }
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "rbe"));
  if (file == nullptr) {
    const int number = errno;
    Error failed = system_error(number, "open " + escape(path));
    if (number == ENOENT) failed.code = ErrorCode::not_found;
    return fail(std::move(failed));
  }
  std::string text(kConfigBytesMax + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) return fail(system_error(errno, "read " + escape(path)));
  return text;
}

}  // namespace

Result<PeerConfig> load_peer_config(const std::string& path) {
  const std::string extension = std::filesystem::path(path).extension().string();
  const bool is_yaml = extension == ".yaml" || extension == ".yml";
  if (!is_yaml && extension != ".ini" && extension != ".conf") {
    return fail(ErrorCode::unsupported, escape(path) + ": the format is not known by extension \"" +
                                            escape(extension, 16) + "\"; name it .yaml, .yml, .ini or .conf");
  }
  WAYPORT_TRY_ASSIGN(const std::string text, read_file(path));
  return is_yaml ? parse_yaml(text, path) : parse_ini(text, path);
}

Result<void> PeerConfigFile::load() {
  WAYPORT_TRY_ASSIGN(config_, load_peer_config(path_));
  return {};
}

Result<bool> PeerConfigFile::reload() {
  WAYPORT_TRY_ASSIGN(PeerConfig fresh, load_peer_config(path_));
  const bool changed = fresh != config_;
  config_ = std::move(fresh);
  return changed;
}

}  // namespace wayport::rpc

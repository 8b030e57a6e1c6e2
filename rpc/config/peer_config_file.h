// A configuration file of a peer, and its reloading.
//
//   wayport::rpc::PeerConfigFile file("/etc/app/peer.yaml");
//   if (auto loaded = file.load(); !loaded) ...
//   ... on SIGHUP:
//   if (Result<bool> changed = file.reload(); !changed) log(changed.error());  // the old values stand
//
// The format follows the extension: .yaml and .yml, .ini and .conf (peer_config.h). At most kConfigBytesMax bytes are
// read. Blocks for the time of reading a file: not on a loop thread. One thread at a time.
#pragma once

#include <string>
#include <utility>

#include "wayport/base/result.h"
#include "wayport/rpc/config/peer_config.h"

namespace wayport::rpc {

// Errors: unsupported (another extension), invalid_argument (a problem in the file; not a regular file), too_large,
// not_found and what else the system says; each names the file.
Result<PeerConfig> load_peer_config(const std::string& path);

class PeerConfigFile {
 public:
  explicit PeerConfigFile(std::string path) : path_(std::move(path)) {}

  // On errors config() stays as it is: the defaults at first.
  Result<void> load();
  // True: config() has other values now.
  Result<bool> reload();
  const PeerConfig& config() const noexcept { return config_; }
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
  PeerConfig config_{};
};

}  // namespace wayport::rpc

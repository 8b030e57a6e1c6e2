// Any text: a configuration is refused with the file's name, or passes check() and comes back the same from what it is
// printed as, in both formats. The first byte chooses the format.
#include <cstdint>
#include <string_view>

#include "wayport/base/result.h"
#include "wayport/rpc/config/peer_config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport::rpc;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const wayport::Result<PeerConfig> read = data[0] % 2 == 1 ? parse_yaml(text, "file") : parse_ini(text, "file");
  if (!read) {
    WAYPORT_ASSERT(read.error().detail.starts_with("file:"), "the file is named");
    return 0;
  }
  WAYPORT_ASSERT(check(*read), "what is read is valid");
  const wayport::Result<PeerConfig> yaml = parse_yaml(to_yaml(*read), "yaml");
  const wayport::Result<PeerConfig> ini = parse_ini(to_ini(*read), "ini");
  WAYPORT_ASSERT(yaml && *yaml == *read, "yaml comes back");
  WAYPORT_ASSERT(ini && *ini == *read, "ini comes back");
  return 0;
}

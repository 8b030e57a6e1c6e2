#include "wayport/transport/kcp/kcp_options.h"

#include <string>

namespace wayport::transport::kcp {

Result<void> KcpOptions::check() const {
  const auto refuse = [](std::string what) { return fail(ErrorCode::invalid_argument, "kcp: " + what); };
  if (send_window < 1 || send_window > 65535)
    return refuse("send_window is " + std::to_string(send_window) + "; give 1 to 65535 segments");
  if (receive_window < 1 || receive_window > 65535)
    return refuse("receive_window is " + std::to_string(receive_window) + "; give 1 to 65535 segments");
  // GCM, FEC and one segment header take 60 bytes; below this hardly any payload is left.
  if (mtu < 128 || mtu > 1500) return refuse("mtu is " + std::to_string(mtu) + "; give 128 to 1500 bytes");
  if (interval < std::chrono::milliseconds(10) || interval > std::chrono::seconds(5))
    return refuse("interval is " + format_duration(interval) + "; give 10ms to 5s");
  if ((fec_data == 0) != (fec_parity == 0))
    return refuse("fec needs data and parity shards, or neither: it is " + std::to_string(fec_data) + "," +
                  std::to_string(fec_parity));
  if (fec_data > 255 || fec_parity > 255 || fec_data + fec_parity > 256)
    return refuse("fec has at most 256 shards: it is " + std::to_string(fec_data) + "," + std::to_string(fec_parity));
  if (fec_groups < 1 || fec_groups > 16)
    return refuse("fec_groups is " + std::to_string(fec_groups) + "; give 1 to 16");
  if (message_bytes_max == 0 || send_bytes_max < 3000 || send_segments_max < 256)
    return refuse("send_bytes_max is at least 3000, send_segments_max at least 256, message_bytes_max at least 1");
  if (dead_link < 2 || dead_link_unvalidated < 2) return refuse("dead_link counts transmissions; give at least 2");
  if (amplification_max < 1) return refuse("amplification_max is 0; give at least 1");
  if (rto_max < std::chrono::milliseconds(100)) return refuse("rto_max is below the smallest RTO, 100ms");
  if (probe_first < std::chrono::milliseconds(10) || probe_max < probe_first)
    return refuse("probe_first is at least 10ms and at most probe_max");
  return {};
}

}  // namespace wayport::transport::kcp

#include "wayport/tools/bench/link_flood.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "wayport/base/bytes.h"

namespace wayport::tools {
namespace {

using link::Command;
using link::CommandType;
using link::EncodedCommand;

constexpr int kReceiveBytes = 4096;
constexpr std::size_t kVirtuals = 8;
// Whole frames. Few enough per second to be cheap, small enough that the replies between them do not wait long.
constexpr std::size_t kFrameBytes = 8192;
// At once, however late it is.
constexpr double kBurstBytes = 4 * kFrameBytes;
// The flood yields to what the server has not got rid of.
constexpr std::size_t kServerWaitingMax = 256 * 1024;

}  // namespace

Result<void> LinkFlood::start() {
  WAYPORT_TRY_ASSIGN(client_, connect_to_port(bed_.place().client_port, kReceiveBytes));
  std::string dials;
  for (std::size_t i = 0; i < kVirtuals; ++i) dials += as_text(EncodedCommand(Command::dial(kLinkServerId)).bytes());
  if (::send(client_.get(), dials.data(), dials.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(dials.size())) {
    return fail(system_error(errno, "dials of the stuck client"));
  }
  dials_ = kVirtuals;
  ++counts_.clients;
  pushed_at_ = now_ns();
  return {};
}

Result<void> LinkFlood::push(std::uint64_t now) {
  if (client_ && all_closed()) {
    hang_up();
    WAYPORT_TRY(start());
  }
  allowance_ = std::min(allowance_ + static_cast<double>(now - std::min(now, pushed_at_)) * bytes_per_ns_, kBurstBytes);
  pushed_at_ = now;
  while (!open_.empty() && allowance_ >= kFrameBytes && bed_.server_waiting() < kServerWaitingMax) {
    std::byte* const frame = bed_.append_server(kFrameBytes);
    std::memset(frame, 0, kFrameBytes);
    link::encode_frame_header({.length = kFrameBytes - link::kLengthBytes, .connection = open_.front()}, frame);
    allowance_ -= kFrameBytes;
    counts_.bytes += kFrameBytes;
  }
  return {};
}

bool LinkFlood::take(const Command& command) {
  if (command.type == CommandType::connect && dials_ > 0) {
    --dials_;
    open_.push_back(command.connection);
    ++counts_.virtuals;
    return true;
  }
  if (command.type != CommandType::close) return false;
  if (closed_.contains(command.connection)) {
    ++counts_.strays;
    return true;
  }
  const auto found = std::ranges::find(open_, command.connection);
  if (found == open_.end()) return false;
  open_.erase(found);
  closed_.insert(command.connection);
  ++counts_.closed;
  return true;
}

}  // namespace wayport::tools

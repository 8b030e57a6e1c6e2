#include "wayport/tools/bench/link_exchange.h"

#include <algorithm>
#include <string>
#include <utility>

namespace wayport::tools {
namespace {

constexpr auto kPatienceNs = static_cast<std::uint64_t>(std::chrono::nanoseconds(kLinkPatience).count());

}  // namespace

Result<std::unique_ptr<LinkExchange>> LinkExchange::connect(const LinkPlace& place, std::size_t clients,
                                                            std::size_t frame_bytes) {
  if (frame_bytes < kLinkFrameBytesMin || frame_bytes > kLinkReadBytes / 2) {
    return fail(ErrorCode::invalid_argument, "frames of the link benchmarks have 16 to 131072 bytes");
  }
  WAYPORT_TRY_ASSIGN(std::unique_ptr<LinkBed> bed, LinkBed::connect(place));
  WAYPORT_TRY(bed->add_clients(clients));
  WAYPORT_TRY_ASSIGN(const std::vector<std::uint32_t> connections, dial_all(*bed));
  return std::unique_ptr<LinkExchange>(new LinkExchange(std::move(bed), frame_bytes, connections));
}

LinkExchange::LinkExchange(std::unique_ptr<LinkBed> bed, std::size_t frame_bytes,
                           const std::vector<std::uint32_t>& connections)
    : bed_(std::move(bed)), frame_bytes_(frame_bytes) {
  for (const std::uint32_t connection : connections) clients_.emplace_back().connection = connection;
}

Result<Round> LinkExchange::run_beside(const Load& load, LinkFlood* flood) {
  Pacer pacer(load, now_ns());
  pacer_ = &pacer;
  flood_ = flood;
  const std::uint64_t last = now_ns() + static_cast<std::uint64_t>(load.time.count()) + kPatienceNs;
  Result<void> turned;
  // Requests of a round go to one client after the other.
  const auto send_next = [this](std::uint64_t due) { send(next_client_++ % clients_.size(), due); };
  while (turned) {
    const std::uint64_t now = now_ns();
    pacer.send_due(now, send_next);
    if (pacer.done()) break;
    if (now > last) {
      for (Client& client : clients_) {
        for (; !client.sent.empty(); client.sent.pop_front()) pacer.failed();
      }
      break;
    }
    std::uint64_t wake = UINT64_MAX;
    if (pacer.open() && !pacer.all_sent()) wake = pacer.next_due();
    if (flood && now >= flood->next_due()) turned = flood->push(now);
    if (flood) wake = std::min(wake, flood->next_due());
    if (wake != UINT64_MAX) bed_->wake_at(wake);
    if (turned) turned = bed_->turn(*this);
  }
  pacer_ = nullptr;
  flood_ = nullptr;
  if (!turned) return fail(turned.error());
  return pacer.finish();
}

Result<void> LinkExchange::begin(LinkFlood& flood) {
  WAYPORT_TRY(flood.start());
  flood_ = &flood;
  Result<void> pushed;
  Result<void> turned = bed_->turn_until(*this, "a Close for a client that does not read", [&] {
    if (const std::uint64_t now = now_ns(); now >= flood.next_due()) pushed = flood.push(now);
    bed_->wake_at(flood.next_due());
    return !pushed || flood.counts().closed > 0;
  });
  flood_ = nullptr;
  return pushed ? turned : pushed;
}

Result<void> LinkExchange::end(LinkFlood& flood) {
  flood_ = &flood;
  Result<void> turned = bed_->turn_until(*this, "Connect for all dials of a client that does not read",
                                         [&] { return flood.dials_answered(); });
  flood.hang_up();
  if (turned) {
    turned = bed_->turn_until(*this, "Close for all virtual connections of a client that left",
                              [&] { return flood.all_closed(); });
  }
  if (turned) {
    // Comes after a Close for each frame of the flood that found its connection closed.
    bed_->send_server(link::EncodedCommand(link::Command::ping()));
    pinged_ = true;
    turned = bed_->turn_until(*this, "an answer to the server's ping", [&] { return !pinged_; });
  }
  flood_ = nullptr;
  return turned;
}

void LinkExchange::send(std::size_t index, std::uint64_t due) {
  Client& client = clients_[index];
  std::byte* const frame = bed_->append_client(index, frame_bytes_);
  std::fill_n(frame, frame_bytes_, std::byte{0});
  link::encode_frame_header(
      {.length = static_cast<std::uint32_t>(frame_bytes_ - link::kLengthBytes), .connection = client.connection},
      frame);
  store_le(frame + link::kFrameHeaderBytes, next_number_);
  client.sent.push_back({next_number_++, due});
}

void LinkExchange::on_client_frame(std::size_t index, std::uint32_t connection, Bytes frame) {
  Client& client = clients_[index];
  if (connection != client.connection || client.sent.empty()) {
    return surprises_.add_frame("client " + std::to_string(index), connection, frame);
  }
  const Sent sent = client.sent.front();
  client.sent.pop_front();
  ++answered_;
  const std::uint64_t number =
      frame.size() >= kLinkFrameBytesMin ? load_le<std::uint64_t>(frame.data() + link::kFrameHeaderBytes) : 0;
  const bool right = frame.size() == frame_bytes_ && number == sent.number;
  pacer_->reply(sent.due, right, number, [&](std::uint64_t due) { send(index, due); });
}

void LinkExchange::on_server_frame(std::uint32_t connection, Bytes frame) {
  if (connection != link::kControlConnection) return bed_->send_server(frame);
  const link::Command command = command_of(frame);
  if (pinged_ && command == link::Command::ping()) {
    pinged_ = false;
  } else if (!flood_ || !flood_->take(command)) {
    surprises_.add_frame("server", connection, frame);
  }
}

}  // namespace wayport::tools

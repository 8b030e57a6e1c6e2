#include "wayport/tools/bench/link_dials.h"

#include <string>
#include <utility>

namespace wayport::tools {

using link::Command;
using link::CommandType;
using link::EncodedCommand;

Result<std::unique_ptr<LinkDials>> LinkDials::connect(const LinkPlace& place, std::size_t clients) {
  WAYPORT_TRY_ASSIGN(std::unique_ptr<LinkBed> bed, LinkBed::connect(place));
  WAYPORT_TRY(bed->add_clients(clients));
  return std::unique_ptr<LinkDials>(new LinkDials(std::move(bed)));
}

Result<DialRound> LinkDials::run(std::size_t window, Duration time) {
  round_ = {};
  server_ends_ = 0;
  const std::uint64_t start = now_ns();
  end_ = start + static_cast<std::uint64_t>(time.count());
  for (std::size_t i = 0; i < window; ++i) {
    for (std::size_t client = 0; client < clients_.size(); ++client) dial(client);
  }
  while (now_ns() < end_) WAYPORT_TRY(bed_->turn(*this));
  WAYPORT_TRY(bed_->turn_until(*this, "the end of the last virtual connections",
                               [&] { return under_way_ == 0 && server_ends_ >= round_.dials; }));
  round_.seconds = static_cast<double>(now_ns() - start) * 1e-9;
  return std::move(round_);
}

void LinkDials::dial(std::size_t client) {
  bed_->send_client(client, EncodedCommand(Command::dial(kLinkServerId)));
  clients_[client].dials.push_back(now_ns());
  ++under_way_;
}

void LinkDials::next(std::size_t client) {
  --under_way_;
  if (now_ns() < end_) dial(client);
}

void LinkDials::on_client_frame(std::size_t index, std::uint32_t connection, Bytes frame) {
  Client& client = clients_[index];
  const Command command = command_of(frame);
  const bool is_command = connection == link::kControlConnection;
  if (is_command && command.type == CommandType::accept && !client.dials.empty()) {
    round_.accepted.add(now_ns() - client.dials.front());
    client.dials.pop_front();
    client.open.insert(command.connection);
    bed_->send_client(index, EncodedCommand(Command::close(command.connection)));
  } else if (is_command && command.type == CommandType::refuse && !client.dials.empty()) {
    client.dials.pop_front();
    ++round_.refused;
    next(index);
  } else if (is_command && command.type == CommandType::close && client.open.erase(command.connection) == 1) {
    ++round_.dials;
    next(index);
  } else {
    surprises_.add_frame("client " + std::to_string(index), connection, frame);
  }
}

void LinkDials::on_server_frame(std::uint32_t connection, Bytes frame) {
  const Command command = command_of(frame);
  const bool is_command = connection == link::kControlConnection;
  if (is_command && command.type == CommandType::connect && at_server_.insert(command.connection).second) return;
  if (is_command && command.type == CommandType::close && at_server_.erase(command.connection) == 1) {
    ++server_ends_;
    return;
  }
  surprises_.add_frame("server", connection, frame);
}

}  // namespace wayport::tools

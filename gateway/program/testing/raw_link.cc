#include "wayport/gateway/program/testing/raw_link.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

#include "wayport/base/chain.h"
#include "wayport/base/result.h"
#include "wayport/framing/link/auth.h"

namespace wayport::gateway::testing {
namespace {

constexpr int kPatienceSeconds = 20;

}  // namespace

RawLink::RawLink(const std::string& place) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const std::size_t colon = place.rfind(':');
  const Result<SocketAddress> address =
      SocketAddress::from_ip(place.substr(0, colon), static_cast<std::uint16_t>(std::stoi(place.substr(colon + 1))));
  WAYPORT_ASSERT(address.has_value(), "an address of 127.0.0.1");
  sockaddr_storage where{};
  const socklen_t size = address->store(where);
  const timeval patience{kPatienceSeconds, 0};
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&where), size) != 0) socket_.reset();
}

void RawLink::write(Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t size = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size <= 0) return;  // the next read says why
    bytes = bytes.subspan(static_cast<std::size_t>(size));
  }
}

bool RawLink::read(MutableBytes bytes) {
  while (!bytes.empty()) {
    const ssize_t size = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
    if (size <= 0) {
      ended_ = size == 0 || errno == ECONNRESET;
      return false;
    }
    bytes = bytes.subspan(static_cast<std::size_t>(size));
  }
  return true;
}

void RawLink::authenticate(std::string_view key, std::uint32_t id) {
  link::Challenge challenge{};
  if (!read(challenge)) return;
  const Result<link::AuthResponse> response = link::encode_auth_response(challenge, as_bytes(key), id);
  WAYPORT_ASSERT(response.has_value(), "MD5 works");
  write(*response);
}

void RawLink::send(const link::Command& command) { write(link::EncodedCommand(command).bytes()); }

void RawLink::send(std::uint32_t connection, std::string_view message) {
  Chain frame;
  WAYPORT_ASSERT(link::append_data(frame, connection, as_bytes(message)).has_value(), "a small message");
  for (; !frame.empty(); frame.consume(frame.front().size())) write(frame.front());
}

std::string RawLink::next() {
  std::array<std::byte, link::kFrameHeaderBytes> head;
  if (!read(head)) return ended_ ? "end" : "nothing";
  const std::uint32_t length = load_le<std::uint32_t>(head.data());
  const std::uint32_t connection = load_le<std::uint32_t>(head.data() + 4);
  std::vector<std::byte> message(length - link::kFrameLengthMin);
  if (!read(message)) return ended_ ? "end" : "nothing";
  if (connection != link::kControlConnection) {
    return "Data " + std::to_string(connection) + " " + std::string(as_text(message));
  }
  const Result<link::Command> command = link::decode_command(message);
  if (!command) return command.error().detail;
  std::string text(link::to_string(command->type));
  switch (command->type) {
    case link::CommandType::accept:
    case link::CommandType::connect:
      return text + " " + std::to_string(command->connection) + " " + std::to_string(command->remote);
    case link::CommandType::close:
      return text + " " + std::to_string(command->connection);
    case link::CommandType::dial:
    case link::CommandType::refuse:
      return text + " " + std::to_string(command->remote);
    case link::CommandType::ping:
      return text;
  }
  return text;
}

}  // namespace wayport::gateway::testing

#include "wayport/framing/link/packet.h"

#include <string>

namespace wayport::link {
namespace {

// How many u32 arguments follow the type byte.
std::size_t argument_count(CommandType type) noexcept {
  switch (type) {
    case CommandType::dial:
    case CommandType::refuse:
    case CommandType::close:
      return 1;
    case CommandType::accept:
    case CommandType::connect:
      return 2;
    case CommandType::ping:
      return 0;
  }
  return 0;
}

}  // namespace

Error frame_length_error(std::uint32_t length, std::uint32_t packet_bytes_max) {
  if (length < kFrameLengthMin) {
    return {ErrorCode::malformed,
            "a frame announces a length of " + std::to_string(length) + ", less than its own connection id takes (4)",
            {}};
  }
  return {ErrorCode::too_large,
          "a frame announces a length of " + std::to_string(length) + ", more than MaxPacket allows (" +
              std::to_string(packet_bytes_max) + ")",
          {}};
}

Result<std::optional<FrameHeader>> decode_frame_header(Bytes in, std::uint32_t packet_bytes_max) {
  if (in.size() < kLengthBytes) return std::optional<FrameHeader>();
  const auto length = load_le<std::uint32_t>(in.data());
  if (length < kFrameLengthMin || length > packet_bytes_max) return frame_length_error(length, packet_bytes_max);
  if (in.size() < kFrameHeaderBytes) return std::optional<FrameHeader>();
  return std::optional(FrameHeader{length, load_le<std::uint32_t>(in.data() + kLengthBytes)});
}

void encode_frame_header(const FrameHeader& header, std::byte* to) noexcept {
  WAYPORT_ASSERT(header.length >= kFrameLengthMin, "a frame's length counts its connection id");
  store_le(to, header.length);
  store_le(to + kLengthBytes, header.connection);
}

Result<void> append_data(Chain& to, std::uint32_t connection, Bytes payload, std::uint32_t packet_bytes_max) {
  if (connection == kControlConnection) {
    return fail(ErrorCode::invalid_argument, "connection id 0 is for commands; data needs the id of a connection");
  }
  if (payload.size() > payload_bytes_max(packet_bytes_max)) {
    return fail(ErrorCode::too_large, "a message of " + std::to_string(payload.size()) + " bytes; MaxPacket " +
                                          std::to_string(packet_bytes_max) + " leaves room for " +
                                          std::to_string(payload_bytes_max(packet_bytes_max)) + ", send it in parts");
  }
  const MutableBytes room = to.append_uninitialized(kFrameHeaderBytes);
  encode_frame_header({kFrameLengthMin + static_cast<std::uint32_t>(payload.size()), connection}, room.data());
  to.append(payload);
  return {};
}

std::string_view to_string(CommandType type) noexcept {
  switch (type) {
    case CommandType::dial:
      return "Dial";
    case CommandType::accept:
      return "Accept";
    case CommandType::connect:
      return "Connect";
    case CommandType::refuse:
      return "Refuse";
    case CommandType::close:
      return "Close";
    case CommandType::ping:
      return "Ping";
  }
  return "unknown";
}

Result<Command> decode_command(Bytes message) {
  if (message.empty()) return fail(ErrorCode::malformed, "a command without its type byte");
  const auto number = static_cast<unsigned>(message[0]);
  if (number > static_cast<unsigned>(CommandType::ping)) {
    return fail(ErrorCode::malformed, "unknown command type " + std::to_string(number));
  }
  const auto type = static_cast<CommandType>(number);
  const Bytes arguments = message.subspan(1);
  const std::size_t count = argument_count(type);
  if (arguments.size() < count * 4) {
    return fail(ErrorCode::malformed, std::string(to_string(type)) + " with " + std::to_string(arguments.size()) +
                                          " bytes of arguments instead of " + std::to_string(count * 4));
  }
  Command command{type, 0, 0};
  if (count == 0) return command;
  const auto first = load_le<std::uint32_t>(arguments.data());
  switch (type) {
    case CommandType::dial:
    case CommandType::refuse:
      command.remote = first;
      break;
    case CommandType::close:
      command.connection = first;
      break;
    default:
      command.connection = first;
      command.remote = load_le<std::uint32_t>(arguments.data() + 4);
  }
  return command;
}

EncodedCommand::EncodedCommand(const Command& command) noexcept {
  const std::size_t arguments = argument_count(command.type) * 4;
  size_ = kFrameHeaderBytes + 1 + arguments;
  encode_frame_header({static_cast<std::uint32_t>(size_ - kLengthBytes), kControlConnection}, bytes_.data());
  std::byte* at = bytes_.data() + kFrameHeaderBytes;
  *at++ = static_cast<std::byte>(command.type);
  if (arguments == 0) return;
  const bool has_connection = command.type != CommandType::dial && command.type != CommandType::refuse;
  store_le(at, has_connection ? command.connection : command.remote);
  if (arguments == 8) store_le(at + 4, command.remote);
}

}  // namespace wayport::link

// Frames of the link protocol by themselves, and how a server proves its key.
#include <string>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/framing/link/auth.h"
#include "wayport/framing/link/frame_reader.h"
#include "wayport/framing/link/packet.h"

int main() {
  using namespace wayport;
  Chain out;
  out.append(Bytes(link::EncodedCommand(link::Command::dial(42))));
  if (!link::append_data(out, 7, as_bytes("hello"))) return 1;
  const std::string wire = out.to_string();
  if (wire != from_hex("0900000000000000"
                       "002a000000"
                       "0900000007000000"
                       "68656c6c6f")
                  .value())
    return 1;

  // One byte more with each push; what is not taken is shown again.
  link::FrameReader reader;
  std::vector<std::string> frames;
  std::string pending;
  for (const char byte : wire) {
    pending += byte;
    const auto taken = reader.read(as_bytes(pending), [&](link::Frame& frame) {
      Chain whole;
      frame.move_to(whole);
      frames.push_back(whole.to_string());
      return true;
    });
    if (!taken) return 1;
    pending.erase(0, *taken);
  }
  if (frames != std::vector<std::string>{wire.substr(0, 13), wire.substr(13)}) return 1;
  const auto command = link::decode_command(as_bytes(frames[0]).subspan(link::kFrameHeaderBytes));
  if (!command || *command != link::Command::dial(42)) return 1;

  const link::Challenge challenge{};
  const auto answer = link::encode_auth_response(challenge, as_bytes("secret"), 42);
  if (!answer) return 1;
  const auto id = link::check_auth_response(challenge, as_bytes("secret"), *answer);
  return id && *id == 42 && !link::check_auth_response(challenge, as_bytes("another"), *answer) ? 0 : 1;
}

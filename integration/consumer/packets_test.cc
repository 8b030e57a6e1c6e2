// The wire format by itself: bytes in, a packet out, and the same bytes again. Nothing of it needs libcrypto.
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/framing/codec_registry.h"
#include "wayport/framing/teleport/protocol.h"

int main() {
  using namespace wayport;
  // A pull as the Go releases of 2017 write it: protobuf header, string body.
  const std::string wire =
      from_hex("000000147010011a0f2f67726f75702f686f6d652f7374720000000e7368656c6c6f20776179706f7274").value();
  const framing::CodecRegistry codecs;
  framing::ProtocolContext context{codecs};
  framing::DecodeState state;
  framing::PacketView packet;
  const Result<std::size_t> taken = framing::teleport_protocol().decode(as_bytes(wire), context, state, packet);
  if (!taken || *taken != wire.size()) return 1;
  std::cout << packet.header.uri << ": " << as_text(packet.body) << "\n";
  if (packet.header.uri != "/group/home/str" || as_text(packet.body) != "hello wayport") return 1;

  framing::OutgoingPacket again;
  again.header = packet.header;
  again.header_codec = packet.header_codec;
  again.body.form = framing::OutgoingBody::Form::verbatim;
  again.body.bytes = packet.body_with_codec;
  Chain out;
  if (!framing::teleport_protocol().encode(again, context, out)) return 1;
  if (out.to_string() != wire) return 1;

  std::ifstream maps("/proc/self/maps");
  const std::string loaded{std::istreambuf_iterator<char>(maps), {}};
  return loaded.find("libc.so") != std::string::npos && loaded.find("libcrypto") == std::string::npos ? 0 : 1;
}

// What `wayport decode` reads: hex digits, bytes of one stream, or a capture of many; packets come out as lines. Pure.
//
//   auto input = PacketInput::make(form_of(first_piece), context, options, sink);
//   for each piece: input->feed(piece);
//   input->finish();
//
// Any split of the same input gives the same lines.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/result.h"
#include "wayport/framing/protocol.h"
#include "wayport/tools/wayport/capture/tcp_streams.h"
#include "wayport/tools/wayport/packets/packet_printer.h"

namespace wayport::tools {

enum class CaptureForm : std::uint8_t { hex, raw, pcap };

struct PacketInputOptions {
  bool json = false;
  std::vector<std::uint16_t> ports{};  // of the connections in a capture that are wanted; none: all
  TcpStreamsOptions streams{};
};

class PacketInput {
 public:
  // `context` outlives the object.
  static std::unique_ptr<PacketInput> make(CaptureForm form, framing::ProtocolContext& context,
                                           const PacketInputOptions& options, PacketPrinter::Sink sink);
  virtual ~PacketInput() = default;

  // Errors of the input's own form. Those of packets are among the lines.
  virtual Result<void> feed(Bytes bytes) = 0;
  virtual Result<void> finish() = 0;
  // After finish(): what did not decode, in one line; empty: all did.
  virtual std::string complaint() const = 0;

 protected:
  PacketInput() = default;
};

// What input looks like that begins so.
CaptureForm form_of(std::string_view start) noexcept;

}  // namespace wayport::tools

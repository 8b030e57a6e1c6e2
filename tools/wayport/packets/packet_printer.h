// Decodes one Teleport byte stream and prints a line for each packet: what `wayport decode teleport` is made of. Pure.
//
//        0  pull   seq=1 uri=/sum header=json/27 body=json/5 size=40 : [1,2]
//       40  reply  seq=1 uri=/sum status=200 "OK" header=json/57 body=json/1 size=66 : 3
//      106  error  malformed: ...
//
// or one JSON object per line. The number in front is the offset of the packet in its stream. Lengths of header and
// body are without their codec ids. A failed stream stays failed: a byte stream cannot resynchronise.
//
// Memory: one packet (ReadLimits::packet_bytes_max) and one inflated body.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "wayport/base/bytes.h"
#include "wayport/base/result.h"
#include "wayport/framing/packet_reader.h"
#include "wayport/framing/protocol.h"

namespace wayport::tools {

struct PacketPrinterOptions {
  bool json = false;
  std::string stream{};                // names the stream in front of each line; empty: there is only one
  std::size_t preview_bytes_max = 64;  // of the body, in text
};

class PacketPrinter {
 public:
  using Sink = std::function<void(std::string_view line)>;

  // `context` is shared by all printers, and outlives them.
  PacketPrinter(framing::ProtocolContext& context, PacketPrinterOptions options, Sink sink);

  void feed(Bytes bytes);
  // The stream is over; what is left of an unfinished packet is an error.
  void finish();
  // An error that is not the packets' own, at the end of what was read so far.
  void fail(const Error& error);

  bool failed() const noexcept { return failed_; }
  std::uint64_t packets() const noexcept { return packets_; }
  // Packets that are whole, but whose body is compressed and does not inflate.
  std::uint64_t bad_bodies() const noexcept { return bad_bodies_; }

 private:
  void print(const framing::PacketView& packet);
  void print_text(const framing::PacketView& packet, Bytes body, std::string_view body_note);
  void print_json(const framing::PacketView& packet, Bytes body, std::string_view body_note);

  framing::ProtocolContext& context_;
  const PacketPrinterOptions options_;
  const Sink sink_;
  framing::PacketReader reader_;
  std::string unread_;
  std::uint64_t offset_ = 0;  // of the next packet
  std::uint64_t packets_ = 0;
  std::uint64_t bad_bodies_ = 0;
  bool failed_ = false;
};

}  // namespace wayport::tools

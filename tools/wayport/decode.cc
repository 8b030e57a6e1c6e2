#include "wayport/tools/wayport/decode.h"

#include <array>
#include <cerrno>
#include <fstream>
#include <memory>

#include "wayport/framing/codec_registry.h"
#include "wayport/framing/protocol.h"
#include "wayport/tools/wayport/packets/packet_input.h"

namespace wayport::tools {
namespace {

// What did not decode; empty: all did.
Result<std::string> decode_all(std::istream& in, const DecodeOptions& options, Console& console) {
  const framing::CodecRegistry codecs;
  framing::ProtocolContext context{codecs};
  context.limits = options.limits;
  std::unique_ptr<PacketInput> input;
  std::array<char, 64 * 1024> piece;
  // What is there is decoded before more is waited for: the input may be a capture in progress.
  while (console.out && in.peek() != std::istream::traits_type::eof()) {
    const std::string_view text(piece.data(), static_cast<std::size_t>(in.readsome(piece.data(), piece.size())));
    if (!input) {
      input = PacketInput::make(options.form.value_or(form_of(text)), context,
                                {.json = options.json, .ports = options.ports},
                                [&console](std::string_view line) { console.out << line; });
    }
    WAYPORT_TRY(input->feed(as_bytes(text)));
    console.out << std::flush;
  }
  if (in.bad()) return fail(ErrorCode::io, "the input cannot be read");
  if (!input) return std::string();
  WAYPORT_TRY(input->finish());
  return input->complaint();
}

}  // namespace

int decode(const DecodeOptions& options, Console& console) {
  std::ifstream file;
  if (options.file != "-") {
    errno = 0;
    file.open(options.file, std::ios::binary);
    if (!file) {
      console.err << "error: " << system_error(errno, "cannot open " + escape(options.file)).to_string() << "\n";
      return kExitFailure;
    }
  }
  const Result<std::string> complaint = decode_all(options.file == "-" ? console.in : file, options, console);
  console.out << std::flush;
  if (!complaint) {
    console.err << "error: " << complaint.error().to_string() << "\n";
    return kExitFailure;
  }
  if (!complaint->empty()) {
    console.err << "error: " << *complaint << "\n";
    return kExitFailure;
  }
  return console.out.good() ? kExitSuccess : kExitFailure;
}

}  // namespace wayport::tools

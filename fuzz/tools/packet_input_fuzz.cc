// `wayport decode`: whatever the input and however it is cut, the lines are the same, safe on a terminal, and JSON
// where they claim to be.
#include <boost/json/value.hpp>
#include <string>

#include "wayport/framing/codec_registry.h"
#include "wayport/framing/json_value.h"
#include "wayport/framing/protocol.h"
#include "wayport/tools/wayport/packets/packet_input.h"

namespace wayport::tools {
namespace {

struct Outcome {
  std::string lines;
  std::string error;
  std::string complaint;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome decode(Bytes input, CaptureForm form, bool json, std::size_t piece) {
  static const framing::CodecRegistry codecs;
  static framing::ProtocolContext context{codecs};
  context.limits = {.packet_bytes_max = 64 << 10, .inflated_bytes_max = 64 << 10};
  Outcome outcome;
  const auto sink = [&outcome, json](std::string_view line) {
    WAYPORT_ASSERT(line.ends_with('\n'), "a line");
    const std::string_view text = line.substr(0, line.size() - 1);
    for (std::size_t i = 0; i < text.size(); ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      WAYPORT_ASSERT(byte >= 0x20 && byte != 0x7f, "no control characters");
      const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
      WAYPORT_ASSERT(byte != 0xc2 || next >= 0xa0, "nor the upper ones");
    }
    boost::json::value value;
    WAYPORT_ASSERT(!json || framing::parse_json(line, value).has_value(), "JSON");
    outcome.lines += line;
  };
  PacketInputOptions options{.json = json};
  options.streams = {.stream_bytes_waiting_max = 2000, .bytes_waiting_max = 5000, .streams_max = 10};
  const std::unique_ptr<PacketInput> in = PacketInput::make(form, context, options, sink);
  Result<void> fed;
  while (fed && !input.empty()) {
    const Bytes next = input.first(std::min(piece, input.size()));
    fed = in->feed(next);
    input = input.subspan(next.size());
  }
  if (fed) fed = in->finish();
  if (fed) {
    outcome.complaint = in->complaint();
  } else {
    outcome.error = fed.error().to_string();
  }
  return outcome;
}

}  // namespace
}  // namespace wayport::tools

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport::tools;
  constexpr std::size_t kChoices = 2;
  if (size < kChoices) return 0;
  const CaptureForm forms[] = {CaptureForm::pcap, CaptureForm::hex, CaptureForm::raw};
  const CaptureForm form = forms[data[0] % std::size(forms)];
  const bool json = data[0] >= 0x80;
  const wayport::Bytes input(reinterpret_cast<const std::byte*>(data) + kChoices, size - kChoices);
  const Outcome whole = decode(input, form, json, input.size() + 1);
  const Outcome pieces = decode(input, form, json, data[1] % 61 + 1);
  WAYPORT_ASSERT(whole == pieces, "any split gives the same lines");
  return 0;
}

#include "wayport/tools/wayport/packets/packet_input.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include "wayport/tools/wayport/capture/pcap.h"
#include "wayport/tools/wayport/capture/tcp_segment.h"
#include "wayport/tools/wayport/packets/hex_text.h"

namespace wayport::tools {
namespace {

std::string complaint_of(const PacketPrinter& printer) {
  if (printer.failed()) return "the stream does not decode to its end";
  if (printer.bad_bodies() > 0) return std::to_string(printer.bad_bodies()) + " compressed bodies do not inflate";
  return {};
}

class RawInput : public PacketInput {
 public:
  RawInput(framing::ProtocolContext& context, const PacketInputOptions& options, PacketPrinter::Sink sink)
      : printer_(context, {.json = options.json}, std::move(sink)) {}

  Result<void> feed(Bytes bytes) override {
    printer_.feed(bytes);
    return {};
  }
  Result<void> finish() override {
    printer_.finish();
    return {};
  }
  std::string complaint() const override { return complaint_of(printer_); }

 private:
  PacketPrinter printer_;
};

class HexInput final : public RawInput {
 public:
  using RawInput::RawInput;

  Result<void> feed(Bytes bytes) override {
    std::string decoded;
    Result<void> read = hex_.read(as_text(bytes), decoded);
    // What came before the bad character counts.
    WAYPORT_TRY(RawInput::feed(as_bytes(decoded)));
    return read;
  }
  Result<void> finish() override {
    WAYPORT_TRY(hex_.finish());
    return RawInput::finish();
  }

 private:
  HexText hex_;
};

class PcapInput final : public PacketInput, private TcpStreamEvents {
 public:
  PcapInput(framing::ProtocolContext& context, const PacketInputOptions& options, PacketPrinter::Sink sink)
      : context_(context), options_(options), sink_(std::move(sink)), streams_(*this, options.streams) {}

  Result<void> feed(Bytes bytes) override {
    unread_ += as_text(bytes);
    std::size_t read = 0;
    for (;;) {
      std::optional<PcapRecord> record;
      WAYPORT_TRY_ASSIGN(const std::size_t taken, reader_.read(as_bytes(unread_).subspan(read), record));
      if (taken == 0) break;
      read += taken;
      if (record) add(*record);
    }
    unread_.erase(0, read);
    return {};
  }

  Result<void> finish() override {
    streams_.finish();
    if (!unread_.empty()) {
      return fail(ErrorCode::malformed,
                  "the capture ends inside a record, after " + std::to_string(unread_.size()) + " bytes of it");
    }
    return {};
  }

  std::string complaint() const override {
    std::string out;
    const auto add = [&out](std::uint64_t count, std::string_view what) {
      if (count == 0) return;
      if (!out.empty()) out += ", ";
      out += std::to_string(count) + " " + std::string(what);
    };
    add(broken_streams_, "streams do not decode to their end");
    add(bad_bodies_, "compressed bodies do not inflate");
    add(streams_.segments_refused(), "segments belong to more streams than are followed");
    add(kinds_[static_cast<std::size_t>(FrameKind::fragment)], "IP fragments were skipped");
    add(kinds_[static_cast<std::size_t>(FrameKind::broken)], "frames are broken");
    add(kinds_[static_cast<std::size_t>(FrameKind::unknown_link)], "frames are of an unknown link type");
    return out;
  }

 private:
  void add(const PcapRecord& record) {
    TcpSegment segment;
    const FrameKind kind = find_tcp_segment(record.link_type, record.frame, record.wire_bytes, segment);
    ++kinds_[static_cast<std::size_t>(kind)];
    if (kind == FrameKind::tcp && is_wanted(segment)) streams_.add(segment);
  }
  bool is_wanted(const TcpSegment& segment) const {
    const auto listed = [this](std::uint16_t port) {
      return std::ranges::find(options_.ports, port) != options_.ports.end();
    };
    return options_.ports.empty() || listed(segment.from.port) || listed(segment.to.port);
  }

  void on_stream(StreamIndex stream, const TcpEndpoint& from, const TcpEndpoint& to) override {
    // Streams of the same endpoints are told apart by their number.
    std::string name = std::to_string(stream) + " " + from.to_string() + " > " + to.to_string();
    printers_.emplace(stream,
                      std::make_unique<PacketPrinter>(
                          context_, PacketPrinterOptions{.json = options_.json, .stream = std::move(name)}, sink_));
  }
  void on_stream_bytes(StreamIndex stream, Bytes bytes) override { printers_.at(stream)->feed(bytes); }
  void on_stream_end(StreamIndex stream, std::uint64_t missing) override {
    const std::unique_ptr<PacketPrinter> printer = std::move(printers_.extract(stream).mapped());
    if (missing > 0) {
      printer->fail(
          {ErrorCode::malformed, "the capture lacks " + std::to_string(missing) + " bytes of the stream here", {}});
    } else {
      printer->finish();
    }
    broken_streams_ += printer->failed() ? 1 : 0;
    bad_bodies_ += printer->bad_bodies();
  }

  framing::ProtocolContext& context_;
  const PacketInputOptions options_;
  const PacketPrinter::Sink sink_;
  PcapReader reader_;
  std::string unread_;
  std::map<StreamIndex, std::unique_ptr<PacketPrinter>> printers_;
  TcpStreams streams_;
  std::array<std::uint64_t, 5> kinds_{};
  std::uint64_t broken_streams_ = 0;
  std::uint64_t bad_bodies_ = 0;
};

}  // namespace

std::unique_ptr<PacketInput> PacketInput::make(CaptureForm form, framing::ProtocolContext& context,
                                               const PacketInputOptions& options, PacketPrinter::Sink sink) {
  switch (form) {
    case CaptureForm::pcap:
      return std::make_unique<PcapInput>(context, options, std::move(sink));
    case CaptureForm::hex:
      return std::make_unique<HexInput>(context, options, std::move(sink));
    case CaptureForm::raw:
      break;
  }
  return std::make_unique<RawInput>(context, options, std::move(sink));
}

CaptureForm form_of(std::string_view start) noexcept {
  constexpr std::string_view kPcapMagics[] = {"\xa1\xb2\xc3\xd4", "\xd4\xc3\xb2\xa1", "\xa1\xb2\x3c\x4d",
                                              "\x4d\x3c\xb2\xa1", "\x0a\x0d\x0d\x0a"};
  for (const std::string_view magic : kPcapMagics) {
    if (start.starts_with(magic)) return CaptureForm::pcap;
  }
  return looks_like_hex(start) ? CaptureForm::hex : CaptureForm::raw;
}

}  // namespace wayport::tools

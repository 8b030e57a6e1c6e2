// Whatever two peers do at the two ends of a relay: each is shown a prefix of what the other wrote, all of it when both
// ended in order; ends are passed on; what waits in between is bounded; and the relay ends exactly once.
//
// Input: six bytes (windows, high water, pieces, idle), then operations of one or two bytes.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "wayport/base/loop.h"
#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/gateway/relay/relay.h"
#include "wayport/transport/stream.h"
#include "wayport/transport/testing/memory_stream.h"
#include "wayport/transport/testing/recorder.h"

namespace {

using namespace wayport;
using namespace wayport::transport;
using namespace wayport::relay;

struct Input {
  const std::uint8_t* data;
  std::size_t size;

  std::uint8_t next() {
    if (size == 0) return 0;
    --size;
    return *data++;
  }
};

struct Outside {
  std::unique_ptr<Stream> stream;
  RecordingEvents events;
  std::string written;
  std::size_t writes_bytes_max = 0;
  bool ended = false;   // in order
  bool broken = false;  // dropped or closed before its time

  bool alive() const { return stream && !events.closed; }
  void write(std::size_t size) {
    if (!alive() || ended || broken) return;
    std::string text(std::min(size, writes_bytes_max - written.size()), ' ');
    for (char& c : text) c = static_cast<char>((written.size() + static_cast<std::size_t>(&c - text.data())) * 31);
    written += text;
    events.call([&] { stream->write(chain_of(text)); });
  }
  void act(std::uint8_t what) {
    if (!alive()) return;
    events.call([&] {
      switch (what % 6) {
        case 0:
          ended = true;
          return stream->shutdown_write();
        case 1:
          return stream->read(false);
        case 2:
        case 3:
          return stream->read(true);
        case 4:
          broken = true;
          return stream->close(CloseReason::local(ErrorCode::local_closed, "fuzz"), {});
        default:
          broken = true;
          stream.reset();
      }
    });
  }
};

// `cut`: the relay ended them, in no order of theirs.
void check(const Outside& reader, const Outside& writer, bool cut) {
  WAYPORT_ASSERT(writer.written.starts_with(reader.events.received), "bytes were lost, changed or invented");
  for (const std::string& fault : reader.events.faults) WAYPORT_ASSERT(false, fault.c_str());
  if (!cut && reader.events.read_ends != 0) {
    WAYPORT_ASSERT(writer.ended, "an end that nobody sent");
    WAYPORT_ASSERT(reader.events.received == writer.written, "an end in order came before all bytes");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input{data, std::min<std::size_t>(size, 2000)};
  ManualClock clock;
  Loop loop(LoopOptions{.clock = &clock});
  Outside ends[2];
  std::unique_ptr<Stream> inner[2];
  MemoryOptions memory;
  memory.stream = {.high_water_bytes = 1 + 64u * input.next(), .low_water_bytes = 0, .queue_bytes_max = 1 << 22};
  memory.stream.low_water_bytes = memory.stream.high_water_bytes / 4;
  memory.latency = std::chrono::milliseconds(input.next() % 4);
  memory.show_bytes_max = input.next();
  std::size_t windows[2];
  for (int i = 0; i < 2; ++i) {
    memory.window_bytes = windows[i] = 16 + 100u * input.next();
    MemoryPair pair = make_memory_pair(loop, loop, memory);
    ends[i].stream = std::move(pair.a);
    inner[i] = std::move(pair.b);
    ends[i].stream->start(ends[i].events);
  }
  const auto [window_min, window_max] = std::minmax(windows[0], windows[1]);
  // A window takes a turn, and all has to arrive before the target looks for the end.
  for (Outside& end : ends) end.writes_bytes_max = 100 * window_min;
  RelayOptions options;
  options.linger = std::chrono::seconds(10);
  const std::uint8_t idle = input.next();
  options.idle = std::chrono::milliseconds(100 * (idle % 16));
  int reports = 0;
  RelayReport report;
  std::unique_ptr<Relay> relay;
  relay = std::make_unique<Relay>(RelayEndpoint{.stream = std::move(inner[0])},
                                  RelayEndpoint{.stream = std::move(inner[1])}, options, [&](const RelayReport& r) {
                                    ++reports;
                                    report = r;
                                    if (idle & 0x80) relay.reset();
                                  });
  Chain kept;
  if (idle & 0x40) {
    ends[0].written = "kept";
    kept.append(std::string_view("kept"));
  }
  relay->start(std::move(kept));

  bool told = false;
  const auto check_both = [&] {
    const bool broken = ends[0].broken || ends[1].broken;
    const bool cut = told || broken || (reports != 0 && report.end != RelayEnd::both_ended);
    check(ends[0], ends[1], cut);
    check(ends[1], ends[0], cut);
  };
  while (input.size != 0) {
    const std::uint8_t operation = input.next();
    Outside& end = ends[operation & 1];
    switch (operation >> 1 & 7) {
      case 0:
      case 1:
        end.write(input.next());
        break;
      case 2:
        end.write(100u * input.next());
        break;
      case 3:
        end.act(input.next());
        break;
      case 4:
      case 5:
        loop.run_turn();
        break;
      case 6:
        loop.advance(std::chrono::milliseconds(input.next()));
        break;
      case 7:
        if ((operation & 0xf0) == 0xf0 && relay) {
          told = true;
          relay->close(CloseReason::local(ErrorCode::local_closed, "fuzz"),
                       {std::chrono::seconds(operation & 1 ? 1 : 0)});
        }
        break;
    }
    check_both();
    for (const RelaySide side : {RelaySide::client, RelaySide::backend}) {
      WAYPORT_ASSERT(!relay || relay->stream(side).queued() <= memory.stream.high_water_bytes + window_max + 4,
                     "more waits than high water and one read");
    }
  }
  for (Outside& end : ends) {
    end.act(2);
    end.act(0);
  }
  loop.advance(std::chrono::seconds(30));
  check_both();
  WAYPORT_ASSERT(reports == 1, "a relay ends once");
  const bool clean = !ends[0].broken && !ends[1].broken && !told;
  if (clean && options.idle == Duration::zero()) {
    WAYPORT_ASSERT(report.end == RelayEnd::both_ended || report.end == RelayEnd::lingered, "nobody broke anything");
  }
  if (clean && report.end == RelayEnd::both_ended) {
    WAYPORT_ASSERT(ends[0].events.received == ends[1].written && ends[1].events.received == ends[0].written,
                   "all bytes arrive when both end in order");
    WAYPORT_ASSERT(
        report.bytes_from_client == ends[0].written.size() && report.bytes_from_backend == ends[1].written.size(),
        "and are counted");
  }
  return 0;
}

// Whatever two consumers do with the two ends of a connection: each is shown a prefix of what the other wrote, hears of
// the end exactly once, and never from inside a call of its own. Over memory, over a socket pair, and chopped.
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "wayport/base/loop.h"
#include "wayport/base/result.h"
#include "wayport/base/socket.h"
#include "wayport/base/time.h"
#include "wayport/transport/fd_stream.h"
#include "wayport/transport/stream.h"
#include "wayport/transport/testing/fragmenting_stream.h"
#include "wayport/transport/testing/memory_stream.h"
#include "wayport/transport/testing/recorder.h"

namespace {

using namespace wayport;
using namespace wayport::transport;

struct Input {
  const std::uint8_t* data;
  std::size_t size;

  std::uint8_t next() {
    if (size == 0) return 0;
    --size;
    return *data++;
  }
};

struct Side {
  std::unique_ptr<Stream> stream;
  RecordingEvents events;
  std::string written;
  std::size_t unit = 1;     // consumes multiples of it
  std::uint8_t inside = 0;  // what to do in the next callback
};

CloseReason bye() { return CloseReason::local(ErrorCode::local_closed, "fuzz"); }

void act(Side& side, std::uint8_t what) {
  if (!side.stream || side.events.closed) return;
  Stream& stream = *side.stream;
  switch (what % 8) {
    case 1:
      stream.read(false);
      break;
    case 2:
      stream.read(true);
      break;
    case 3:
      stream.shutdown_write();
      break;
    case 4:
      stream.close(bye(), {std::chrono::seconds(1)});
      break;
    case 5:
      stream.close(bye(), {});
      break;
    case 6:
      side.stream.reset();
      break;
    default:
      break;
  }
}

void start(Side& side) {
  side.events.consume = [&side](MutableBytes bytes) { return bytes.size() / side.unit * side.unit; };
  const auto later = [&side] {
    const std::uint8_t what = side.inside;
    side.inside = 0;
    act(side, what);
  };
  side.events.then_bytes = side.events.then_writable = side.events.then_read_end = side.events.then_closed = later;
  side.stream->start(side.events);
}

void write(Side& side, std::size_t size) {
  if (!side.stream || side.events.closed) return;
  std::string text(size, ' ');
  for (char& c : text) c = static_cast<char>(side.written.size() + (&c - text.data()));
  side.written += text;
  side.events.call([&] { side.stream->write(chain_of(text)); });
}

void check(const Side& reader, const Side& writer) {
  WAYPORT_ASSERT(writer.written.starts_with(reader.events.received), "bytes were lost, changed or invented");
  for (const std::string& fault : reader.events.faults) WAYPORT_ASSERT(false, fault.c_str());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input{data, std::min<std::size_t>(size, 2000)};
  ManualClock clock;
  Loop loop(LoopOptions{.clock = &clock});
  Side sides[2];
  const std::uint8_t kind = input.next();
  const StreamOptions options{.high_water_bytes = 4096, .low_water_bytes = 512, .queue_bytes_max = 1 << 20};
  if (kind % 2 == 0) {
    MemoryPair pair = make_memory_pair(loop, loop,
                                       {.latency = std::chrono::milliseconds(kind / 2 % 4),
                                        .window_bytes = 1 + 300u * input.next(),
                                        .show_bytes_max = input.next(),
                                        .stream = options});
    sides[0].stream = std::move(pair.a);
    sides[1].stream = std::move(pair.b);
  } else {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) return 0;
    for (int i = 0; i < 2; ++i) sides[i].stream = make_fd_stream(loop, Fd(ends[i]), {}, options);
  }
  if (kind & 0x10) {
    const std::size_t piece = 1 + input.next();
    sides[0].stream =
        std::make_unique<FragmentingStream>(std::move(sides[0].stream), std::vector<std::size_t>{piece, 7});
  }
  for (Side& side : sides) start(side);

  while (input.size != 0) {
    const std::uint8_t operation = input.next();
    Side& side = sides[operation & 1];
    switch (operation >> 1 & 7) {
      case 0:
        write(side, input.next());
        break;
      case 1:
        write(side, 100u * input.next());
        break;
      case 2:
        if (side.stream) side.events.call([&] { act(side, static_cast<std::uint8_t>(input.next() % 6)); });
        break;
      case 3:
        side.inside = input.next();
        break;
      case 4:
        side.unit = 1u + input.next() % 5;
        break;
      case 5:
        loop.run_turn();
        break;
      case 6:
        loop.advance(std::chrono::milliseconds(input.next()));
        break;
      case 7:
        if (operation & 0x80) side.stream.reset();
        break;
    }
    check(sides[0], sides[1]);
    check(sides[1], sides[0]);
  }
  for (Side& side : sides) {
    side.inside = 0;
    if (side.stream && !side.events.closed) side.events.call([&] { side.stream->close(bye(), {}); });
  }
  loop.advance(std::chrono::seconds(2));
  for (int i = 0; i < 2; ++i) {
    check(sides[i], sides[1 - i]);
    WAYPORT_ASSERT(!sides[i].stream || sides[i].events.closed, "a closed stream never said so");
  }
  return 0;
}

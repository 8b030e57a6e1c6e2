// Whatever two ends of a session do with their streams, and whatever messages are forged: no more than a window of a
// stream waits, no more is remembered than the bound says, and a stream that no forgery touched gives at one end exactly
// the bytes that were written at the other, up to its end or to its failure.
//
// Input: operations, one byte each with their operands behind it; see the switch.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/base/result.h"
#include "wayport/rpc/streams/stream_core.h"

namespace wayport::rpc {
namespace {

using Kind = StreamMessage::Kind;

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}
  bool empty() const { return rest_.empty(); }
  std::uint8_t u8() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(rest_[0]);
    rest_.remove_prefix(1);
    return value;
  }
  std::string_view take(std::size_t size) {
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view rest_;
};

StreamOptions options() {
  StreamOptions given;
  given.window_bytes = 100;
  given.chunk_bytes = 30;
  given.streams_max = 3;
  given.idle_timeout = std::chrono::seconds(10);
  return given;
}

// One direction of one stream, as whoever looks at both ends sees it.
struct Way {
  std::string written;
  std::size_t read = 0;
  bool finished = false;
  bool ended = false;
  bool forged = false;
};

// A message under way, with what it views.
struct Letter {
  Kind kind{};
  std::string query;  // as on the wire
  std::string body;
  Status status;
  // Opens and their replies travel in the same order.
  enum class Form { message, open, opened, refused } form = Form::message;
  StreamOpen open{};
};

struct End {
  StreamCounters counters;
  StreamOptions with = options();
  StreamCore core{with, counters};
  std::deque<Letter> outbox;
  std::map<StreamId, int> held;  // 1: reader, 2: writer
};

class World {
 public:
  // The direction from `from`, of the stream that `from` calls `id`.
  Way& way(const End& from, StreamId id) {
    const bool by_left = (&from == &left) == id.ours;
    return ways_[{by_left, id.number, &from == &left}];
  }
  void forged(End& to, StreamId id) {
    way(to, id).forged = true;
    way(other(to), {!id.ours, id.number}).forged = true;
  }
  End& other(const End& end) { return &end == &left ? right : left; }

  void post(End& from, const StreamMessage& said) {
    std::string uri;
    append_uri(uri, "/s", said);
    from.outbox.push_back({said.kind, uri.substr(uri.find('?') + 1), std::string(as_text(said.body)), said.status});
  }
  void say(End& from) {
    while (const std::optional<StreamMessage> said = from.core.next_control()) {
      post(from, *said);
      from.core.control_sent(*said);
    }
  }
  void open(End& from) {
    const Reply<StreamId> id = from.core.open();
    if (!id.ok()) return;
    from.held[*id] = 3;
    Letter letter;
    letter.form = Letter::Form::open;
    letter.open = {id->number, from.core.initial_credit()};
    from.outbox.push_back(letter);
  }
  void deliver(End& from) {
    if (from.outbox.empty()) return;
    const Letter letter = std::move(from.outbox.front());
    from.outbox.pop_front();
    End& to = other(from);
    switch (letter.form) {
      case Letter::Form::message:
        return hear(to, letter);
      case Letter::Form::open: {
        const Reply<StreamId> id = to.core.handle_open(letter.open);
        if (id.ok()) to.held[*id] = 3;
        Letter reply;
        reply.form = id.ok() ? Letter::Form::opened : Letter::Form::refused;
        reply.open = {letter.open.number, to.core.initial_credit()};
        reply.status = id.status();
        to.outbox.push_back(reply);
        return;
      }
      case Letter::Form::opened:
        return to.core.handle_opened({true, letter.open.number}, letter.open.credit);
      case Letter::Form::refused: {
        Status status = letter.status;
        status.origin = Status::Origin::remote;
        return to.core.handle_open_failed({true, letter.open.number}, status);
      }
    }
  }
  void hear(End& to, const Letter& letter) {
    const ParsedStreamMessage parsed = parse_stream_message(letter.kind, letter.query);
    if (!parsed.id) return;
    if (!parsed.value) return to.core.handle_violation(*parsed.id, "malformed");
    StreamMessage message;
    message.kind = letter.kind;
    message.id = *parsed.id;
    message.value = *parsed.value;
    message.body = as_bytes(letter.body);
    message.status = letter.status;
    to.core.handle(message);
  }
  void write(End& from, StreamId id, std::string_view bytes) {
    const auto held = from.held.find(id);
    if (held == from.held.end() || (held->second & 2) == 0 || bytes.empty()) return;
    const std::optional<Reply<StreamMessage>> data = from.core.write(id, as_bytes(bytes));
    if (!data) return from.core.wait_write(id, now);
    if (!data->ok()) return;
    WAYPORT_ASSERT((**data).body.size() <= from.with.chunk_bytes, "a chunk is no larger than told");
    way(from, id).written += as_text((**data).body);
    post(from, **data);
    from.core.handle_sent(**data);
  }
  // False: nothing to read now, or ever.
  bool read(End& to, StreamId id, std::size_t bytes_max) {
    const auto held = to.held.find(id);
    if (held == to.held.end() || (held->second & 1) == 0) return false;
    Way& from_there = way(other(to), {!id.ours, id.number});
    const std::optional<Reply<Chain>> taken = to.core.read(id, bytes_max);
    if (!taken) {
      to.core.wait_read(id, now);
      return false;
    }
    if (!taken->ok()) return false;
    if (from_there.forged) return !(*taken)->empty();
    const std::string got = (*taken)->to_string();
    WAYPORT_ASSERT(from_there.written.compare(from_there.read, got.size(), got) == 0, "bytes in are bytes out");
    from_there.read += got.size();
    if (got.empty()) {
      WAYPORT_ASSERT(from_there.finished && from_there.read == from_there.written.size(), "the end is after all bytes");
      from_there.ended = true;
    }
    return !got.empty();
  }
  void finish(End& from, StreamId id) {
    const auto held = from.held.find(id);
    if (held == from.held.end() || (held->second & 2) == 0) return;
    if (from.core.finish(id).ok()) way(from, id).finished = true;
  }
  void release(End& end, StreamId id, int which) {
    const auto held = end.held.find(id);
    if (held == end.held.end()) return;
    if (held->second & which & 1) end.core.release_reader(id);
    if (held->second & which & 2) end.core.release_writer(id);
    held->second &= ~which;
    if (held->second == 0) end.held.erase(held);
  }
  void check() {
    for (const End* end : {&left, &right}) {
      WAYPORT_ASSERT(end->core.size() <= 2 * end->with.streams_max, "streams are bounded");
      WAYPORT_ASSERT(end->core.buffered_bytes() <= end->core.size() * end->with.window_bytes,
                     "no more than a window of each stream waits");
      WAYPORT_ASSERT(end->counters.streams.read() == static_cast<std::int64_t>(end->core.size()),
                     "streams are counted");
      WAYPORT_ASSERT(end->counters.buffered_bytes.read() == static_cast<std::int64_t>(end->core.buffered_bytes()),
                     "bytes are counted");
    }
  }

  TimePoint now{std::chrono::hours(1)};
  End left;
  End right;
  bool opens_forged = false;

 private:
  struct Key {
    bool by_left;
    std::uint64_t number;
    bool from_left;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  std::map<Key, Way> ways_;
};

void run(Input input) {
  World world;
  for (int operations = 0; operations < 400 && !input.empty(); ++operations) {
    const std::uint8_t operation = input.u8();
    End& end = operation & 0x80 ? world.left : world.right;
    const auto id = [&] {
      const std::uint8_t which = input.u8();
      return StreamId{(which & 1) != 0, static_cast<std::uint64_t>(which >> 1) & 7};
    };
    switch (operation & 0x0f) {
      case 0:
        world.open(end);
        break;
      case 1:
      case 2: {
        const StreamId stream = id();
        world.write(end, stream, input.take(input.u8()));
        break;
      }
      case 3: {
        const StreamId stream = id();
        world.read(end, stream, 1u + input.u8());
        break;
      }
      case 4:
        for (int letters = 1 + input.u8() % 8; letters > 0; --letters) world.deliver(end);
        break;
      case 5:
        world.say(end);
        break;
      case 6:
        world.finish(end, id());
        break;
      case 7: {
        const StreamId stream = id();
        end.core.abort(stream, Status::make(1000 + input.u8()));
        break;
      }
      case 8: {
        const StreamId stream = id();
        world.release(end, stream, input.u8() & 3);
        break;
      }
      case 9:
        world.now += std::chrono::seconds(1) * input.u8();
        static_cast<void>(end.core.handle_timeout(world.now));
        break;
      case 10: {  // a forged message, well formed
        StreamMessage message;
        message.kind = kStreamMessageKinds[input.u8() % std::size(kStreamMessageKinds)];
        message.id = id();
        message.value = input.u8();
        if (message.value >= 250) message.value = kStreamNumberMax - (message.value - 250);
        const std::string body(input.take(input.u8()));
        message.body = as_bytes(body);
        world.forged(end, message.id);
        end.core.handle(message);
        break;
      }
      case 11: {  // any query
        Letter letter;
        letter.kind = kStreamMessageKinds[input.u8() % std::size(kStreamMessageKinds)];
        letter.query = input.take(input.u8() & 0x3f);
        if (const ParsedStreamMessage parsed = parse_stream_message(letter.kind, letter.query); parsed.id) {
          world.forged(end, *parsed.id);
        }
        world.hear(end, letter);
        break;
      }
      case 12: {  // a forged open, after which our own may be refused, or meet a stream that we did not open
        const StreamOpen open{input.u8(), input.u8()};
        if (const Reply<StreamId> taken = end.core.handle_open(open); taken.ok()) {
          end.held[*taken] = 3;
          world.forged(end, *taken);
        }
        break;
      }
      case 13:
        world.deliver(world.left);
        world.deliver(world.right);
        world.say(world.left);
        world.say(world.right);
        break;
      case 14:
        static_cast<void>(parse_stream_open(input.take(input.u8() & 0x3f)));
        break;
      default: {
        if (operation != 0xff) break;
        end.core.handle_lost(Status::make(code::kConnectionClosed));
        break;
      }
    }
    world.check();
  }

  // Whoever is still there finishes and reads to the end; then everything is forgotten.
  for (int round = 0; round < 200; ++round) {
    bool moved = false;
    for (End* end : {&world.left, &world.right}) {
      const std::map<StreamId, int> held = end->held;
      for (const auto& [id, what] : held) {
        world.finish(*end, id);
        while (world.read(*end, id, 1000)) moved = true;
      }
      world.say(*end);
      while (!end->outbox.empty()) {
        world.deliver(*end);
        moved = true;
      }
    }
    world.check();
    if (!moved) break;
  }
  for (End* end : {&world.left, &world.right}) {
    const std::map<StreamId, int> held = end->held;
    for (const auto& [id, what] : held) world.release(*end, id, 3);
  }
  for (int round = 0; round < 4; ++round) {
    for (End* end : {&world.left, &world.right}) {
      world.say(*end);
      while (!end->outbox.empty()) world.deliver(*end);
    }
  }
  for (End* end : {&world.left, &world.right}) {
    const std::map<StreamId, int> held = end->held;
    for (const auto& [id, what] : held) world.release(*end, id, 3);
    world.say(*end);
    WAYPORT_ASSERT(end->core.size() == 0 && end->core.buffered_bytes() == 0, "what is over is forgotten");
  }
}

}  // namespace
}  // namespace wayport::rpc

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  wayport::rpc::run(wayport::rpc::Input(data, size));
  return 0;
}

#include "wayport/gateway/link/testing/rig.h"

#include <algorithm>
#include <utility>

#include "wayport/base/bytes.h"

namespace wayport::link::testing {

std::string command(const Command& command) { return std::string(as_text(EncodedCommand(command).bytes())); }

std::string data(std::uint32_t connection, std::string_view payload) {
  std::string frame(kFrameHeaderBytes, '\0');
  encode_frame_header({kFrameLengthMin + static_cast<std::uint32_t>(payload.size()), connection},
                      reinterpret_cast<std::byte*>(frame.data()));
  return frame.append(payload);
}

std::vector<std::string> frames_of(std::string_view stream) {
  std::vector<std::string> frames;
  while (!stream.empty()) {
    const auto header = decode_frame_header(as_bytes(stream), 0xffffffff);
    WAYPORT_ASSERT(header.has_value() && header->has_value() && (*header)->frame_bytes() <= stream.size(),
                   "a stream of whole frames");
    frames.emplace_back(stream.substr(0, (*header)->frame_bytes()));
    stream.remove_prefix((*header)->frame_bytes());
  }
  return frames;
}

struct Rig::Host final : SwitchHost {
  Host(Rig& owner, unsigned loop) : rig(owner) { core = std::make_unique<Switch>(rig.group_, loop, *this, rig.now_); }
  static Wire& wire(const Port& port) { return *static_cast<Wire*>(port.context()); }

  void send(Port& to, Bytes frame) override { append(to, as_text(frame)); }
  void send(Port& to, Chain&& frame) override { append(to, Chain(std::move(frame)).to_string()); }
  void append(Port& to, std::string_view frame) {
    WAYPORT_ASSERT(!wire(to).closed, "nothing is sent to a connection that was closed");
    wire(to).out.append(frame);
    wire(to).unsent += frame.size();
    rig.sent_to_.push_back(wire(to).number);
  }
  std::size_t unsent(const Port& port) override { return wire(port).unsent; }
  void set_reading(Port& port, bool on) override {
    WAYPORT_ASSERT(wire(port).reading != on, "reading changes");
    wire(port).reading = on;
  }
  void close(Port& port, const CloseReason& reason) override {
    Wire& closing = wire(port);
    WAYPORT_ASSERT(!closing.closed, "closed once");
    closing.closed = true;
    closing.reason = reason;
    rig.closing_.push_back(&closing);
  }
  bool idle_expired(Port&) override { return rig.keep_idle; }
  void turn_end_soon() override {}

  Rig& rig;
  std::unique_ptr<Switch> core;
};

Rig::Rig(RigSettings settings)
    : manual_mail_(settings.manual_mail),
      group_(settings.options, settings.loops, settings.hash_seed, settings.first_connection_id),
      mailboxes_(std::size_t{settings.loops} * settings.loops) {
  for (unsigned loop = 0; loop < settings.loops; ++loop) loops_.push_back(std::make_unique<Host>(*this, loop));
}
Rig::~Rig() = default;

Switch& Rig::at(unsigned loop) { return *loops_[loop]->core; }

Wire& Rig::open(Side side, unsigned loop) {
  Wire& wire = *wires_.emplace_back(std::make_unique<Wire>());
  wire.number = static_cast<unsigned>(wires_.size() - 1);
  wire.loop = loop;
  wire.side = side;
  wire.reader = FrameReader(group_.options().packet_bytes_max);
  wire.port = at(loop).handle_opened(side, &wire, now_);
  return wire;
}

Wire& Rig::server(std::uint32_t id, unsigned loop) {
  Wire& wire = open(Side::server, loop);
  if (wire.port != nullptr) authenticate(wire, id);
  return wire;
}

bool Rig::authenticate(Wire& server, std::uint32_t id) {
  const bool let_in = at(server.loop).handle_authenticated(*server.port, id, now_);
  finish();
  return let_in;
}

void Rig::receive(Wire& wire, std::string_view bytes, std::size_t step) {
  while (!bytes.empty() && wire.port != nullptr && !wire.closed) {
    wire.unread.append(bytes.substr(0, step));
    bytes.remove_prefix(std::min(step, bytes.size()));
    show(wire);
    finish();
  }
}

void Rig::show(Wire& wire) {
  if (wire.port == nullptr || wire.closed || !wire.reading) return;
  // A buffer of exactly that size: reading past it is seen by the sanitizers.
  const std::vector<char> copy(wire.unread.begin(), wire.unread.end());
  Switch& core = at(wire.loop);
  const Result<std::size_t> consumed =
      wire.reader.read(as_bytes(std::string_view(copy.data(), copy.size())),
                       [&](Frame& frame) { return core.handle_frame(*wire.port, frame, now_); });
  if (!consumed) {
    core.handle_malformed(*wire.port, consumed.error());
  } else {
    wire.unread.erase(0, *consumed);
  }
}

void Rig::hang_up(Wire& wire) {
  if (wire.port == nullptr) return;
  at(wire.loop).handle_closed(*std::exchange(wire.port, nullptr));
  finish();
}

void Rig::drain(Wire& wire, std::size_t bytes, bool tell) {
  wire.unsent -= std::min(bytes, wire.unsent);
  if (tell && wire.port != nullptr) at(wire.loop).handle_writable(*wire.port);
  if (tell) finish();
}

void Rig::bury() {
  while (!closing_.empty()) {
    for (Wire* const wire : std::exchange(closing_, {})) {
      closed_.push_back(wire);
      at(wire->loop).handle_closed(*std::exchange(wire->port, nullptr));
    }
  }
}

void Rig::finish() {
  bury();
  if (!manual_mail_) run_to_quiet();
}

void Rig::end_turn(unsigned loop) {
  for (const std::unique_ptr<Wire>& wire : wires_) {
    if (wire->loop == loop && !wire->stuck) wire->unsent = 0;
  }
  at(loop).end_turn();
  bury();
}

void Rig::collect_mail(unsigned from, unsigned to) {
  MailBatch& outbox = at(from).outbox(to);
  if (!outbox.empty()) mailboxes_[from * loops() + to].push_back(std::move(outbox));
}

void Rig::deliver(unsigned from, unsigned to) {
  std::deque<MailBatch>& box = mailboxes_[from * loops() + to];
  MailBatch batch = std::move(box.front());
  box.pop_front();
  at(to).handle_mail(from, batch, now_);
  bury();
}

void Rig::run_to_quiet() {
  for (bool busy = true; busy;) {
    busy = false;
    for (unsigned from = 0; from < loops(); ++from) {
      end_turn(from);
      for (unsigned to = 0; to < loops(); ++to) {
        collect_mail(from, to);
        for (; batches(from, to) != 0; busy = true) deliver(from, to);
      }
    }
    // Who is read again has waited with what it was shown.
    for (const std::unique_ptr<Wire>& wire : wires_) {
      if (!wire->reading || wire->unread.size() < kFrameHeaderBytes) continue;
      const std::size_t before = wire->unread.size();
      show(*wire);
      bury();
      busy = busy || wire->unread.size() != before;
    }
  }
}

void Rig::tick(unsigned loop) {
  at(loop).tick(now_);
  bury();
}

void Rig::advance(Duration by) {
  const TimePoint end = now_ + by;
  while (now_ < end) {
    TimePoint next = end;
    for (unsigned loop = 0; loop < loops(); ++loop) next = std::min(next, at(loop).next_due());
    now_ = std::max(next, now_ + std::chrono::milliseconds(1));
    now_ = std::min(now_, end);
    for (unsigned loop = 0; loop < loops(); ++loop) tick(loop);
    finish();
  }
}

std::uint64_t Rig::sum(Counter SwitchCounters::* counter) const {
  std::uint64_t all = 0;
  for (const auto& host : loops_) all += (host->core->counters().*counter).read();
  return all;
}
std::int64_t Rig::sum(Gauge SwitchCounters::* gauge) const {
  std::int64_t all = 0;
  for (const auto& host : loops_) all += (host->core->counters().*gauge).read();
  return all;
}

}  // namespace wayport::link::testing

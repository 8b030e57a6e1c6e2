#include "wayport/integration/models/snet_recorder.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/base/result.h"

namespace wayport::models {
namespace {

using namespace transport::snet;

constexpr std::uint64_t kId = 7;

Key key_from_handshake(RandomSource& random) {
  ClientOpen client(random);
  ServerHandshake server(random);
  Chain up, down, rest;
  client.start(up);
  const std::string hello = up.to_string();
  server.handle_bytes(as_bytes(hello));
  server.open(kId, down);
  const std::string answer = down.to_string();
  client.handle_bytes(as_bytes(answer), rest);
  const std::string proof = rest.to_string();
  server.handle_bytes(as_bytes(proof));
  WAYPORT_ASSERT(client.done() && server.state() == ServerHandshake::State::opened, "a new session");
  WAYPORT_ASSERT(client.key() == server.key() && client.id() == kId, "both agree on it");
  return server.key();
}

Session fresh_session(Role role, const Key& key, const SessionOptions& options) {
  Session session(role, key, kId, options);
  static_cast<void>(session.resume(0, 0));
  return session;
}

Chain chain_of(std::string_view text) {
  Chain chain;
  chain.append(text);
  return chain;
}

std::string number(std::uint64_t value) { return std::to_string(value); }

std::string number_at(std::string_view bytes, std::size_t at) {
  return number(load_le<std::uint64_t>(as_bytes(bytes.substr(at, 8)).data()));
}

// The position of a byte that is to be `position`, or NONE if it is another byte.
std::string position_of(char byte, const std::string& wire, std::uint64_t position) {
  return number(position < wire.size() && wire[position] == byte ? position : kNone);
}

template <typename Message>
std::string take_from(std::deque<Message>& wire, std::size_t most) {
  std::string bytes;
  while (!wire.empty() && bytes.size() < most) {
    Message& front = wire.front();
    const std::string piece = front.bytes.substr(front.taken, most - bytes.size());
    front.taken += piece.size();
    bytes += piece;
    if (front.taken == front.bytes.size()) wire.pop_front();
  }
  return bytes;
}

}  // namespace

std::string to_text(const Trace& trace) {
  std::string text;
  for (const Row& row : trace) {
    text += row.step + " " + number(static_cast<std::uint64_t>(row.connection));
    for (const std::string& given : row.gives) text += " " + given;
    if (row.before) {
      const State& s = *row.before;
      text += " 1";
      for (const std::uint64_t value :
           {s.c_written, s.c_received, s.c_sent, std::uint64_t{s.c_ended}, static_cast<std::uint64_t>(s.last),
            s.s_written, s.s_received, s.s_sent, s.s_generation, static_cast<std::uint64_t>(s.s_carrier)}) {
        text += " " + number(value);
      }
    }
    text += "\n";
  }
  return text;
}

SnetRecorder::SnetRecorder(const RecorderOptions& options)
    : options_(options),
      random_(options.seed),
      drawn_(options.seed),
      client_(fresh_session(Role::client, key_from_handshake(drawn_),
                            {.encrypt = options.seed % 2 == 0, .ring_bytes = options.ring})),
      server_(fresh_session(Role::server, client_.key(), client_.options())),
      at_once_(random(2) == 0) {
  // Some kinds of events are rare or missing in a run: that reaches states which even odds never do.
  for (std::size_t& weight : weights_) weight = random(4) == 0 ? 1 : 2 + random(8);
  connections_[0];
}

State SnetRecorder::state() const {
  const Counters client = client_.counters(), server = server_.counters();
  return {.c_written = client.written,
          .c_received = client.received,
          .c_sent = client_sent_,
          .c_ended = ended_,
          .last = last_,
          .s_written = server.written,
          .s_received = server.received,
          .s_sent = server_sent_,
          .s_generation = server_.generation() - 1,
          .s_carrier = carrier_};
}

Row& SnetRecorder::record(std::string step, int connection) {
  rows_.push_back({.step = std::move(step), .connection = connection, .before = state()});
  return rows_.back();
}

Trace SnetRecorder::trace() const {
  Trace trace = rows_;
  trace.push_back({.step = "ends", .before = state()});
  return trace;
}

void SnetRecorder::act() {
  const std::function<bool()> events[] = {
      [&] { return client_writes(); },
      [&] { return server_writes(); },
      [&] { return client_hands_down(1 + random(4)); },
      [&] { return server_hands_down(1 + random(4)); },
      [&] { return deliver_up(last_, 1 + random(12)); },
      [&] { return deliver_up(last_, 1 + random(60)); },
      [&] {
        const int k = static_cast<int>(random(static_cast<std::size_t>(last_) + 1));
        return (k != carrier_ || random(8) == 0) && deliver_up(k, 1 + random(60));
      },
      // The old connection lives on while the new one is answered.
      [&] { return resuming() && deliver_up(carrier_, 1 + random(3)); },
      [&] { return resuming() && server_writes(); },
      [&] { return connections_.contains(forger()) && deliver_up(forger(), 1 + random(60)); },
      [&] { return deliver_down(1 + random(40)); },
      [&] { return network_cuts(); },
      [&] { return client_sees_end(); },
      [&] { return client_asks(); },
      [&] {
        const int k = static_cast<int>(random(static_cast<std::size_t>(last_) + 1));
        return (k != carrier_ || random(8) == 0) && server_sees_end(k);
      },
      [&] { return server_closes_overtaken(static_cast<int>(random(static_cast<std::size_t>(forger()) + 1))); },
      [&] { return forger_asks(); },
      [&] { return forger_proves(); },
  };
  static_assert(std::size(events) == std::tuple_size_v<decltype(weights_)>);
  std::size_t total = 0;
  for (const std::size_t weight : weights_) total += weight;
  for (int tries = 0; tries < 100 && !ended_; ++tries) {
    std::size_t drawn = random(total);
    std::size_t which = 0;
    while (drawn >= weights_[which]) drawn -= weights_[which++];
    if (events[which]()) return;
  }
}

void SnetRecorder::settle() {
  quiet_ = true;
  bool moved = true;
  for (int rounds = 0; moved && !ended_ && rounds < 1000; ++rounds) {
    moved = client_sees_end() || client_asks();
    moved |= client_hands_down(100);
    for (int k = 0; k <= last_ && !ended_; ++k) moved |= deliver_up(k, 1000) || server_sees_end(k);
    moved |= server_hands_down(100);
    if (!ended_) moved |= deliver_down(1000);
  }
}

// --- what the applications and the network do ---

bool SnetRecorder::client_writes() {
  const Counters before = client_.counters();
  std::deque<Message>& wire = connection(last_).up;
  const std::size_t size = 1 + random(4);
  if (before.written + size > options_.bytes_max) return false;
  const bool carried = client_on_ && client_missing_.empty() && wire.size() + size <= options_.wire;
  if (!carried && !(options_.fault == Fault::write_detached && !client_on_)) return false;
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(before.written + i);
  if (carried) record("client_sends", last_);
  client_wrote_ += text;
  const std::string sealed = client_.write(chain_of(text)).to_string();
  client_wire_ += sealed;
  if (!carried) return went_wrong_ = true;
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    if (i > 0) rows_.push_back({.step = "client_sends", .connection = last_});
    rows_.back().gives[0] = position_of(sealed[i], client_wire_, client_sent_++);
    wire.push_back({.bytes = std::string(1, sealed[i])});
  }
  return true;
}

bool SnetRecorder::server_writes() {
  if (carrier_ == kNone || !server_missing_.empty()) return false;
  const Counters before = server_.counters();
  std::deque<Message>& wire = connection(carrier_).down;
  const std::size_t size = 1 + random(4);
  if (before.written + size > options_.bytes_max || wire.size() + size > options_.wire) return false;
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(before.written + i);
  record("server_sends", carrier_);
  server_wrote_ += text;
  const std::string sealed = server_.write(chain_of(text)).to_string();
  server_wire_ += sealed;
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    if (i > 0) rows_.push_back({.step = "server_sends", .connection = carrier_});
    rows_.back().gives[0] = position_of(sealed[i], server_wire_, server_sent_++);
    wire.push_back({.bytes = std::string(1, sealed[i])});
  }
  return true;
}

bool SnetRecorder::client_hands_down(std::size_t most) {
  std::deque<Message>& wire = connection(last_).up;
  std::size_t moved = 0;
  for (; client_on_ && !client_missing_.empty() && wire.size() < options_.wire && moved < most; ++moved) {
    record("client_sends", last_).gives[0] = position_of(client_missing_[0], client_wire_, client_sent_);
    ++client_sent_;
    wire.push_back({.bytes = client_missing_.substr(0, 1)});
    client_missing_.erase(0, 1);
  }
  return moved > 0;
}

bool SnetRecorder::server_hands_down(std::size_t most) {
  if (carrier_ == kNone) return false;
  std::deque<Message>& wire = connection(carrier_).down;
  std::size_t moved = 0;
  for (; !server_missing_.empty() && wire.size() < options_.wire && moved < most; ++moved) {
    record("server_sends", carrier_).gives[0] = position_of(server_missing_[0], server_wire_, server_sent_);
    ++server_sent_;
    wire.push_back({.bytes = server_missing_.substr(0, 1)});
    server_missing_.erase(0, 1);
  }
  return moved > 0;
}

bool SnetRecorder::network_cuts() {
  Connection& current = connection(last_);
  if (quiet_ || current.cut || cuts_ == options_.cuts) return false;
  // Rather one with something on its way.
  if (current.up.empty() && random(4) != 0) return false;
  record("network_cuts", last_);
  current.cut = true;
  ++cuts_;
  return true;
}

bool SnetRecorder::deliver_up(int k, std::size_t bytes) {
  Connection& half = connection(k);
  if (half.server_closed || half.up.empty()) return false;
  // Whoever does not carry the session any more is not read.
  const bool reads = half.handshake.has_value() || carrier_ == k;
  if (!reads && options_.fault != Fault::keep_old) return false;
  at_server(k, take_from(half.up, bytes));
  return true;
}

bool SnetRecorder::deliver_down(std::size_t bytes) {
  Connection& current = connection(last_);
  if (current.client_closed || current.down.empty()) return false;
  at_client(take_from(current.down, bytes));
  return true;
}

// --- the client ---

bool SnetRecorder::client_sees_end() {
  Connection& current = connection(last_);
  if (current.client_closed || !(current.cut || (current.server_closed && current.down.empty()))) return false;
  record("client_sees_end", last_);
  current.client_closed = true;
  client_on_ = false;
  client_missing_.clear();
  resume_.reset();
  forget(last_);
  return true;
}

bool SnetRecorder::client_asks() {
  if (!connection(last_).client_closed) return false;
  Row& row = record("client_asks", last_ + 1);
  ++last_;
  if (last_ == forger()) return ended_ = true;  // one attempt too many: the model says so
  Chain out;
  resume_.emplace(client_);
  resume_->start(out);
  answer_.clear();
  const std::string request = out.to_string();
  row.gives = {number_at(request, 9), number_at(request, 17), "0"};
  if (overheard_.empty()) overheard_ = request;
  Connection attempt;
  attempt.up.push_back({.bytes = request});
  attempt.handshake.emplace(drawn_);
  connections_[last_] = std::move(attempt);
  return true;
}

void SnetRecorder::at_client(std::string bytes) {
  if (resume_) {
    Chain out;
    const std::size_t taken = resume_->handle_bytes(as_bytes(bytes), out);
    answer_ += bytes.substr(0, taken);
    bytes.erase(0, taken);
    if (resume_->state() == ClientResume::State::waiting) return;
    client_judges();
    if (ended_) return;
    connection(last_).up.push_back({.bytes = out.to_string()});
  }
  if (bytes.empty()) return;
  record("client_reads", last_);
  const MutableBytes fresh = client_.receive({reinterpret_cast<std::byte*>(bytes.data()), bytes.size()});
  const std::size_t skipped = bytes.size() - fresh.size();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i > 0) rows_.push_back({.step = "client_reads", .connection = last_});
    rows_.back().gives[0] =
        number(i < skipped ? kNone : static_cast<std::uint64_t>(std::to_integer<std::uint8_t>(fresh[i - skipped])));
  }
  client_read_ += as_text(fresh);
}

void SnetRecorder::client_judges() {
  Row& row = record("client_judges", last_);
  const ClientResume::State verdict = resume_->state();
  if (verdict != ClientResume::State::refused) row.gives = {"", number_at(answer_, 0), number_at(answer_, 8)};
  switch (verdict) {
    case ClientResume::State::resumed:
      if (const auto missing = client_.resume(resume_->announced(), resume_->peer_received())) {
        row.gives[0] = "resumed";
        client_missing_ = missing->to_string();
        client_sent_ = client_.counters().written - client_missing_.size();
        client_on_ = true;
      } else {  // it was judged in the same call
        row.gives[0] = "impossible";
        ended_ = true;
      }
      break;
    case ClientResume::State::overrun:
      row.gives[0] = "overrun";
      ended_ = true;
      break;
    case ClientResume::State::refused:
      row.gives[0] = "refused";
      ended_ = true;
      break;
    default:
      row.gives[0] = "impossible";
      ended_ = true;
      break;
  }
  resume_.reset();
}

// --- the server ---

bool SnetRecorder::server_sees_end(int k) {
  Connection& half = connection(k);
  if (half.server_closed || !(half.cut || half.client_closed)) return false;
  if (!half.handshake && carrier_ != k) return server_closes_overtaken(k);
  record("server_sees_end", k);
  if (carrier_ == k) {
    carrier_ = kNone;
    server_missing_.clear();
  }
  close_server(k);
  return true;
}

bool SnetRecorder::server_closes_overtaken(int k) {
  const auto found = connections_.find(k);
  if (found == connections_.end() || found->second.server_closed) return false;
  const Connection& half = found->second;
  if (half.handshake ? !overtaken(half) : carrier_ == k) return false;
  record(half.handshake ? "server_overtaken" : "server_lets_go", k);
  close_server(k);
  return true;
}

void SnetRecorder::close_server(int k) {
  connection(k).server_closed = true;
  connection(k).handshake.reset();
  forget(k);
}

// Nobody reads what it still holds.
void SnetRecorder::forget(int k) {
  Connection& half = connection(k);
  if (!half.client_closed || !half.server_closed) return;
  half.up.clear();
  half.down.clear();
}

void SnetRecorder::at_server(int k, std::string bytes) {
  Connection& half = connection(k);
  while (half.handshake && !half.server_closed && !bytes.empty()) {
    bytes.erase(0, half.handshake->handle_bytes(as_bytes(bytes)));
    switch (half.handshake->state()) {
      case ServerHandshake::State::reading:
        break;
      case ServerHandshake::State::wants_session:
        server_judges(k);
        break;
      default:
        server_proves(k);
        break;
    }
  }
  if (bytes.empty()) return;
  if (!half.server_closed) return server_reads(k, std::move(bytes));
  // It was closed in the middle of a piece: what is left stays where nobody reads it, and takes its room.
  if (half.client_closed) return;
  for (std::size_t i = bytes.size(); i > 0; --i) half.up.push_front({.bytes = bytes.substr(i - 1, 1)});
}

void SnetRecorder::server_judges(int k) {
  Connection& half = connection(k);
  Row& row = record("server_judges", k);
  Chain out;
  half.handshake->answer(half.handshake->requested_id() == kId ? &server_ : nullptr, out);
  const std::string answer = out.to_string();
  if (half.handshake->state() == ServerHandshake::State::refused) {
    row.gives[0] = "refused";
    if (k != forger()) half.down.push_back({.bytes = answer});
    return close_server(k);
  }
  row.gives = {"resumed", number_at(answer, 0), number_at(answer, 8)};
  half.answered = true;
  half.generation = half.handshake->generation();
  if (k != forger()) half.down.push_back({.bytes = answer});
  if (options_.fault == Fault::freeze && carrier_ != kNone) {
    carrier_ = kNone;
    went_wrong_ = true;
  }
}

void SnetRecorder::server_proves(int k) {
  Connection& half = connection(k);
  if (overtaken(half)) {
    server_closes_overtaken(k);
    return;
  }
  Row& row = record("server_proves", k);
  const ServerHandshake done = *half.handshake;
  if (done.state() != ServerHandshake::State::resuming_now) {
    row.gives[0] = "unproved";
    return close_server(k);
  }
  const bool unskipped = options_.fault == Fault::no_skip && done.announced() != server_.counters().received;
  std::optional<Chain> missing =
      server_.resume(unskipped ? server_.counters().received : done.announced(), done.peer_received());
  if (!missing) {
    row.gives[0] = "overrun";
    return close_server(k);
  }
  row.gives[0] = "resumed";
  server_missing_ = missing->to_string();
  server_sent_ = server_.counters().written - server_missing_.size();
  half.handshake.reset();
  carrier_ = k;
  if (!at_once_ || options_.fault == Fault::keep_old) return;
  for (int other = 0; other <= forger(); ++other) server_closes_overtaken(other);
}

void SnetRecorder::server_reads(int k, std::string bytes) {
  if (carrier_ != k) went_wrong_ = true;
  record("server_reads", k);
  const MutableBytes fresh = server_.receive({reinterpret_cast<std::byte*>(bytes.data()), bytes.size()});
  const std::size_t skipped = bytes.size() - fresh.size();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i > 0) rows_.push_back({.step = "server_reads", .connection = k});
    rows_.back().gives[0] =
        number(i < skipped ? kNone : static_cast<std::uint64_t>(std::to_integer<std::uint8_t>(fresh[i - skipped])));
  }
  server_read_ += as_text(fresh);
  if (!client_wrote_.starts_with(server_read_)) went_wrong_ = true;
}

// --- somebody without the key ---

bool SnetRecorder::forger_asks() {
  if (quiet_ || connections_.contains(forger())) return false;
  const bool repeats = !overheard_.empty() && random(4) != 0;
  if (!repeats && random(8) != 0) return false;  // there is one forger only: rather with a request that was right
  Row& row = record("forger_asks", forger());
  Connection forged;
  std::string request = overheard_;
  if (repeats) {
    row.gives = {number_at(request, 9), number_at(request, 17), "1"};
  } else {
    // Our id and another, with counters that would do, and no proof.
    request.assign(1 + kRequestBytes, '\0');
    request[0] = static_cast<char>(kReconnect);
    request[1] = static_cast<char>(kId + random(2));
    for (std::size_t i = 1 + kRequestBytes - kMacBytes; i < request.size(); ++i)
      request[i] = static_cast<char>(random_());
  }
  forged.up.push_back({.bytes = request});
  forged.handshake.emplace(drawn_);
  connections_[forger()] = std::move(forged);
  return true;
}

bool SnetRecorder::forger_proves() {
  const auto found = connections_.find(forger());
  if (quiet_ || found == connections_.end() || std::exchange(forger_proved_, true)) return false;
  record("forger_proves", forger());
  std::string proof(kMacBytes, '\0');
  for (char& byte : proof) byte = static_cast<char>(random_());
  found->second.up.push_back({.bytes = proof});
  return true;
}

}  // namespace wayport::models

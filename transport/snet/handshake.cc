#include "wayport/transport/snet/handshake.h"

#include <algorithm>
#include <string>

#include "wayport/transport/snet/dh64.h"

namespace wayport::transport::snet {
namespace {

constexpr std::size_t kRequestFieldBytes = kRequestBytes - kMacBytes;

void append_le(Chain& out, std::uint64_t value) { store_le(out.append_uninitialized(8).data(), value); }

bool is_zero(Bytes bytes) {
  return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{0}; });
}

// The connection id as it goes over the wire; its own inverse. Encrypted even where the stream is not.
std::uint64_t hide_id(std::uint64_t id, const Key& key) {
  std::array<std::byte, 8> bytes;
  store_le(bytes.data(), id);
  Rc4(key).apply(bytes, bytes);
  return load_le<std::uint64_t>(bytes.data());
}

}  // namespace

std::size_t Collected::take(Bytes bytes, std::size_t size) noexcept {
  const std::size_t taken = std::min(bytes.size(), size - filled_);
  std::memcpy(data_.data() + filled_, bytes.data(), taken);
  filled_ = static_cast<std::uint8_t>(filled_ + taken);
  whole_ = filled_ == size;
  return taken;
}

// --- the client ---

ClientOpen::Keys ClientOpen::dh64_of(RandomSource& random) {
  const KeyPair drawn = dh64_draw(random);
  return {drawn.private_key, drawn.public_key};
}

void ClientOpen::start(Chain& out) const {
  out.append(Bytes(&kNewSession, 1));
  append_le(out, keys_.public_key);
}

std::size_t ClientOpen::handle_bytes(Bytes bytes, Chain& out) {
  if (done_ || error_ || bytes.empty()) return 0;
  const std::size_t taken = answer_.take(bytes, kAnswerBytes);
  if (!answer_.whole()) return taken;
  const std::byte* const at = answer_.bytes().data();
  const Result<std::uint64_t> secret = dh64_secret(keys_.private_key, load_le<std::uint64_t>(at));
  if (!secret) {
    error_ = secret.error();
    return taken;
  }
  key_ = key_of(*secret);
  id_ = hide_id(load_le<std::uint64_t>(at + 8), key_);
  out.append(mac_of(answer_.bytes().subspan(16, 8), key_));
  done_ = true;
  return taken;
}

void ClientResume::start(Chain& out) {
  const Counters ours = session_.counters();
  announced_ = ours.received;
  std::array<std::byte, kRequestFieldBytes> fields;
  store_le(fields.data(), session_.id());
  store_le(fields.data() + 8, ours.written);
  store_le(fields.data() + 16, ours.received);
  out.append(Bytes(&kReconnect, 1));
  out.append(fields);
  out.append(mac_of(fields, session_.key()));
}

std::size_t ClientResume::handle_bytes(Bytes bytes, Chain& out) {
  if (state_ != State::waiting || bytes.empty()) return 0;
  const std::size_t taken = answer_.take(bytes, kAnswerBytes);
  if (!answer_.whole()) return taken;
  if (is_zero(answer_.bytes())) {
    state_ = State::refused;
    return taken;
  }
  const std::byte* const at = answer_.bytes().data();
  peer_ = {.written = load_le<std::uint64_t>(at), .received = load_le<std::uint64_t>(at + 8)};
  // Judged before the proof is sent: a server that hears nothing more never believes in this connection.
  switch (session_.judge(peer_)) {
    case Resumable::yes:
      out.append(mac_of(answer_.bytes().subspan(16, 8), session_.key()));
      state_ = State::resumed;
      break;
    case Resumable::overrun:
      state_ = State::overrun;
      break;
    case Resumable::impossible:
    case Resumable::implausible:
      state_ = State::broken;
      break;
  }
  return taken;
}

// --- the server ---

std::size_t ServerHandshake::handle_bytes(Bytes bytes) {
  std::size_t taken = 0;
  while (state_ == State::reading && taken < bytes.size()) {
    static constexpr std::size_t kSizes[] = {1, 8, kRequestBytes, kMacBytes};
    taken += message_.take(bytes.subspan(taken), kSizes[static_cast<std::size_t>(expecting_)]);
    if (!message_.whole()) break;
    switch (expecting_) {
      case Expecting::type:
        handle_type();
        break;
      case Expecting::public_key:
        handle_public_key();
        break;
      case Expecting::request:
        // Kept until answer().
        state_ = State::wants_session;
        id_ = load_le<std::uint64_t>(message_.bytes().data());
        break;
      case Expecting::proof:
        handle_proof();
        break;
    }
  }
  return taken;
}

void ServerHandshake::handle_type() {
  const std::byte type = message_.bytes()[0];
  message_.clear();
  if (type == kNewSession) {
    expecting_ = Expecting::public_key;
  } else if (type == kReconnect) {
    expecting_ = Expecting::request;
    resume_ = true;
  } else {
    fail("the first byte is neither that of a new session nor that of a reconnect");
  }
}

void ServerHandshake::handle_public_key() {
  public_key_ = load_le<std::uint64_t>(message_.bytes().data());
  message_.clear();
  if (dh64_is_weak(public_key_)) return fail("the peer's public key is weak");
  state_ = State::wants_id;
}

void ServerHandshake::draw_challenge() {
  // Zeros in place of an answer mean a refusal.
  do random_->fill(challenge_);
  while (is_zero(challenge_));
}

void ServerHandshake::open(std::uint64_t id, Chain& out) {
  WAYPORT_ASSERT(state_ == State::wants_id, "open() was not asked for");
  const KeyPair keys = dh64_draw(*random_);
  key_ = key_of(dh64_power(public_key_, keys.private_key));
  id_ = id;
  draw_challenge();
  append_le(out, keys.public_key);
  append_le(out, hide_id(id, key_));
  out.append(challenge_);
  expecting_ = Expecting::proof;
  state_ = State::reading;
}

void ServerHandshake::answer(const Session* session, Chain& out) {
  WAYPORT_ASSERT(state_ == State::wants_session, "answer() was not asked for");
  const Bytes request = message_.bytes();
  peer_ = {.written = load_le<std::uint64_t>(request.data() + 8),
           .received = load_le<std::uint64_t>(request.data() + 16)};
  const Mac expected = mac_of(request.first(kRequestFieldBytes), session ? session->key() : Key{});
  const bool proved = same_mac(expected, request.subspan(kRequestFieldBytes)) && session != nullptr;
  message_.clear();
  if (!proved || session->judge(peer_) != Resumable::yes) {
    static constexpr std::array<std::byte, kAnswerBytes> kZeros{};
    out.append(kZeros);
    state_ = State::refused;
    if (!proved) {
      why_ = session ? "the request's proof is wrong" : "no such session";
    } else {
      const Resumable verdict = session->judge(peer_);
      why_ = verdict == Resumable::overrun      ? "unread bytes exceeded our ring"
             : verdict == Resumable::impossible ? "the counters cannot be"
                                                : "the peer claims to have written more than any ring holds";
    }
    return;
  }
  const Counters ours = session->counters();
  announced_ = ours.received;
  generation_ = session->generation();
  key_ = session->key();
  draw_challenge();
  append_le(out, ours.written);
  append_le(out, ours.received);
  out.append(challenge_);
  expecting_ = Expecting::proof;
  state_ = State::reading;
}

void ServerHandshake::handle_proof() {
  const bool proved = same_mac(mac_of(challenge_, key_), message_.bytes());
  message_.clear();
  if (!proved) return fail("the proof is wrong");
  state_ = resume_ ? State::resuming_now : State::opened;
}

void ServerHandshake::fail(const char* why) noexcept {
  state_ = State::failed;
  why_ = why;
}

}  // namespace wayport::transport::snet

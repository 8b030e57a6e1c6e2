// Whatever comes in place of a handshake, on either side: the outcome is the same for every split, little is said and
// nothing is kept, and nobody gets through without the proof, or with counters that cannot be. An honest client of
// whichever key does get through, and with one bit of its proof turned over it does not.
//
// Input: first byte: who is spoken to (bits 0-1), and in which pieces (the rest). Then what is said. With bit 0-1 = 1 the
// first 24 bytes are the fields of a reconnect, to which the right MAC is added. With bit 0-1 = 0 and a 1 in front: the
// private key of an honest client, and its stream. The last byte chooses the bit.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/base/result.h"
#include "wayport/transport/snet/crypto.h"
#include "wayport/transport/snet/dh64.h"
#include "wayport/transport/snet/handshake.h"
#include "wayport/transport/snet/session.h"

namespace {

using namespace wayport;
using namespace wayport::transport::snet;

class Counting final : public RandomSource {
 public:
  void fill(MutableBytes bytes) override {
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(++count_ * 37);
  }

 private:
  unsigned count_ = 0;
};

constexpr std::uint64_t kId = 7;      // of the session that is there
constexpr std::uint64_t kNewId = 99;  // of a new one
constexpr std::uint64_t kSecret = 0x0123'4567'89ab'cdef;

Session session_of(Role role) {
  Session session(role, key_of(kSecret), kId, {.ring_bytes = 16, .peer_ring_bytes_max = 1000});
  std::string some(20, 's');
  Chain chain;
  chain.append(some);
  session.write(std::move(chain));
  session.receive({reinterpret_cast<std::byte*>(some.data()), 5});
  return session;
}

struct Outcome {
  int state = 0;
  std::size_t taken = 0;
  std::string said;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

template <class Step>
std::size_t feed(std::string_view input, std::size_t piece, Step step) {
  std::size_t taken = 0;
  while (taken < input.size()) {
    const std::size_t now = step(as_bytes(input.substr(taken, piece)));
    taken += now;
    if (now == 0) break;
  }
  return taken;
}

Outcome at_server(std::string_view input, std::size_t piece) {
  Counting random;
  const Session session = session_of(Role::server);
  ServerHandshake handshake(random);
  Chain out;
  Outcome outcome;
  outcome.taken = feed(input, piece, [&](Bytes bytes) {
    const std::size_t taken = handshake.handle_bytes(bytes);
    if (handshake.state() == ServerHandshake::State::wants_id) handshake.open(kNewId, out);
    if (handshake.state() == ServerHandshake::State::wants_session) {
      const std::size_t before = out.size();
      handshake.answer(handshake.requested_id() == kId ? &session : nullptr, out);
      WAYPORT_ASSERT(out.size() - before == kAnswerBytes, "an answer has 24 bytes");
    }
    return taken;
  });
  outcome.state = static_cast<int>(handshake.state());
  outcome.said = out.to_string();
  const bool zeros = std::ranges::all_of(outcome.said, [](char c) { return c == '\0'; });
  WAYPORT_ASSERT(outcome.said.empty() || outcome.said.size() == kAnswerBytes, "one answer at most");
  WAYPORT_ASSERT(outcome.taken <= 1 + kRequestBytes + kMacBytes, "the stream is left alone");
  WAYPORT_ASSERT((handshake.state() == ServerHandshake::State::refused) == (!outcome.said.empty() && zeros),
                 "zeros refuse");
  if (handshake.state() == ServerHandshake::State::resuming_now ||
      handshake.state() == ServerHandshake::State::opened) {
    const Mac proof = mac_of(as_bytes(outcome.said).subspan(16), handshake.key());
    WAYPORT_ASSERT(input.substr(0, outcome.taken).ends_with(as_text(proof)), "nobody gets through without the proof");
  }
  if (input.starts_with('\xff') && !outcome.said.empty() && !zeros) {
    // The slow and obvious judge.
    __extension__ using Wide = __int128;
    const Wide written = load_le<std::uint64_t>(as_bytes(input).data() + 9);
    const Wide received = load_le<std::uint64_t>(as_bytes(input).data() + 17);
    WAYPORT_ASSERT(received <= 20 && 20 - received <= 16, "answered although our ring is exceeded");
    WAYPORT_ASSERT(written >= 5 && written - 5 <= 1000, "answered although its counters cannot be");
  }
  return outcome;
}

// The same proof with one of its 128 bits turned over gets nobody through.
void check_altered(std::string request, std::string_view proof, unsigned bit) {
  std::string altered(proof);
  altered[bit / 8 % kMacBytes] ^= static_cast<char>(1 << bit % 8);
  const Outcome outcome = at_server(request + altered, 1);
  WAYPORT_ASSERT(outcome.state == static_cast<int>(ServerHandshake::State::failed), "an altered proof got through");
  WAYPORT_ASSERT(outcome.taken == request.size() + kMacBytes, "and is refused when it is whole");
}

// Says what a client with this private key would, worked out here, and its stream behind it.
std::string honest_client(std::uint64_t private_key, std::string_view stream) {
  const Result<std::uint64_t> public_key = dh64_public(private_key);
  if (!public_key) return std::string(1 + sizeof(private_key), '\0');
  std::string request(1 + sizeof(private_key), '\0');
  store_le(reinterpret_cast<std::byte*>(request.data()) + 1, *public_key);
  // The answer is known, because the source of randomness is.
  const Outcome asked = at_server(request, request.size());
  WAYPORT_ASSERT(dh64_is_weak(*public_key) == asked.said.empty(), "a key is answered unless it is weak");
  if (asked.said.empty()) return request.append(stream);
  const Bytes answer = as_bytes(asked.said);
  const Result<std::uint64_t> secret = dh64_secret(private_key, load_le<std::uint64_t>(answer.data()));
  WAYPORT_ASSERT(secret.has_value(), "a server's key is never weak");
  const Key key = key_of(*secret);
  std::string id = asked.said.substr(8, 8);
  const MutableBytes hidden{reinterpret_cast<std::byte*>(id.data()), id.size()};
  Rc4(key).apply(hidden, hidden);
  WAYPORT_ASSERT(load_le<std::uint64_t>(hidden.data()) == kNewId, "not the id of the session");
  const Mac mac = mac_of(answer.subspan(16), key);
  const std::string proof(as_text(mac));
  check_altered(request, proof, stream.empty() ? 0 : static_cast<std::uint8_t>(stream.back()));
  const Outcome opened = at_server(request + proof + std::string(stream), 1);
  WAYPORT_ASSERT(opened.state == static_cast<int>(ServerHandshake::State::opened), "an honest client was refused");
  WAYPORT_ASSERT(opened.taken == request.size() + kMacBytes, "the stream behind the proof is left alone");
  return request.append(proof).append(stream);
}

Outcome at_client_open(std::string_view input, std::size_t piece) {
  Counting random;
  ClientOpen open(random);
  Chain out;
  Outcome outcome;
  outcome.taken = feed(input, piece, [&](Bytes bytes) { return open.handle_bytes(bytes, out); });
  outcome.state = open.done() ? 1 : open.error() ? 2 : 0;
  outcome.said = out.to_string();
  WAYPORT_ASSERT(outcome.taken == std::min(input.size(), kAnswerBytes), "the answer, and nothing else");
  WAYPORT_ASSERT(outcome.said.size() == (open.done() ? kMacBytes : 0), "a proof if it is done");
  if (open.done()) {
    WAYPORT_ASSERT(!dh64_is_weak(load_le<std::uint64_t>(as_bytes(input).data())), "a weak key was accepted");
    const Mac proof = mac_of(as_bytes(input).subspan(16, 8), open.key());
    WAYPORT_ASSERT(outcome.said == as_text(proof), "the proof is that of the challenge");
  }
  return outcome;
}

Outcome at_client_resume(std::string_view input, std::size_t piece) {
  Session session = session_of(Role::client);
  ClientResume resume(session);
  Chain out;
  resume.start(out);
  out.clear();
  Outcome outcome;
  outcome.taken = feed(input, piece, [&](Bytes bytes) { return resume.handle_bytes(bytes, out); });
  outcome.state = static_cast<int>(resume.state());
  outcome.said = out.to_string();
  const bool resumed = resume.state() == ClientResume::State::resumed;
  WAYPORT_ASSERT(outcome.said.size() == (resumed ? kMacBytes : 0), "a proof only for what can be resumed");
  if (resumed) WAYPORT_ASSERT(session.resume(resume.announced(), resume.peer_received()).has_value(), "judged so");
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 10'000) return 0;
  const unsigned who = data[0] & 3;
  const std::size_t piece = 1 + (data[0] >> 2);
  std::string input(reinterpret_cast<const char*>(data + 1), size - 1);
  if (who == 1 && input.size() >= 24) {
    store_le(reinterpret_cast<std::byte*>(input.data()), kId);
    const Mac mac = mac_of(as_bytes(input).first(24), key_of(kSecret));
    std::string request = "\xff" + input.substr(0, 24) + std::string(as_text(mac));
    // The challenge is known, because the source of randomness is: an even last byte proves itself.
    if (input.size() > 24 && (input.back() & 1) == 0) {
      const Outcome asked = at_server(request, 1);
      if (asked.said.size() == kAnswerBytes) {
        const Mac proof = mac_of(as_bytes(asked.said).subspan(16), key_of(kSecret));
        // Refused by zeros: no proof helps.
        if (asked.state == static_cast<int>(ServerHandshake::State::reading))
          check_altered(request, as_text(proof), static_cast<std::uint8_t>(input.back()) >> 1);
        request += as_text(proof);
      }
    }
    input = request + input.substr(24);
  }
  if (who == 0 && input.size() >= 9 && input[0] == '\x01')
    input = honest_client(load_le<std::uint64_t>(as_bytes(input).data() + 1), std::string_view(input).substr(9));
  const auto run = who == 2 ? at_client_open : who == 3 ? at_client_resume : at_server;
  WAYPORT_ASSERT(run(input, piece) == run(input, input.size() + 1), "another split, another outcome");
  return 0;
}

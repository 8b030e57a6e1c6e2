// The handshakes of snet, each side and both kinds (spec/snet.md, sections 3 and 5): bytes in, bytes out.
//
//   ClientOpen       a new session      handle_bytes() takes what belongs to the handshake from the front of what
//   ClientResume     an old one         came and leaves the rest, which is stream; what is to be sent is appended to
//   ServerHandshake  whichever comes    `out`. Any split gives the same result. Deadlines are the driver's.
//
// Pure; not thread-safe. Bounded: at most 41 bytes of the peer are kept.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>

#include "wayport/base/chain.h"
#include "wayport/base/result.h"
#include "wayport/transport/snet/session.h"

namespace wayport::transport::snet {

inline constexpr std::byte kNewSession{0x00};
inline constexpr std::byte kReconnect{0xff};
inline constexpr std::size_t kAnswerBytes = 24;  // of the server, in both handshakes; all zero: refused
inline constexpr std::size_t kRequestBytes = 40;
inline constexpr std::size_t kMacBytes = 16;

// A message of known size on its way in.
class Collected {
 public:
  // How many bytes were taken; whole() if they were the last of `size`.
  std::size_t take(Bytes bytes, std::size_t size) noexcept;
  bool whole() const noexcept { return whole_; }
  Bytes bytes() const noexcept { return Bytes(data_).first(filled_); }
  void clear() noexcept { filled_ = 0, whole_ = false; }

 private:
  std::array<std::byte, kRequestBytes> data_;
  std::uint8_t filled_ = 0;
  bool whole_ = false;
};

class ClientOpen {
 public:
  explicit ClientOpen(RandomSource& random) : keys_(dh64_of(random)) {}

  void start(Chain& out) const;
  // Nothing is taken once done() or failed().
  std::size_t handle_bytes(Bytes bytes, Chain& out);
  bool done() const noexcept { return done_; }
  // Set once the server's answer was no good.
  const std::optional<Error>& error() const noexcept { return error_; }
  // REQUIRES: done(). The server has not said that it accepts our proof; it never does.
  const Key& key() const noexcept { return key_; }
  std::uint64_t id() const noexcept { return id_; }

 private:
  struct Keys {
    std::uint64_t private_key, public_key;
  };
  static Keys dh64_of(RandomSource& random);

  Keys keys_;
  Collected answer_;
  Key key_{};
  std::uint64_t id_ = 0;
  bool done_ = false;
  std::optional<Error> error_;
};

class ClientResume {
 public:
  enum class State : std::uint8_t {
    waiting,
    resumed,  // call session.resume(announced(), peer_received())
    refused,  // the session is lost: the server says no, without a reason
    overrun,  // the session is lost: the server lacks more than our ring holds
    broken,   // the session is lost: the server's counters cannot be
  };
  // `session` receives nothing until this is done; it may write.
  explicit ClientResume(const Session& session) : session_(session) {}

  void start(Chain& out);
  std::size_t handle_bytes(Bytes bytes, Chain& out);
  State state() const noexcept { return state_; }
  std::uint64_t announced() const noexcept { return announced_; }
  std::uint64_t peer_received() const noexcept { return peer_.received; }

 private:
  const Session& session_;
  std::uint64_t announced_ = 0;
  Counters peer_;
  Collected answer_;
  State state_ = State::waiting;
};

// Movable, so that it can go to the loop of its session.
class ServerHandshake {
 public:
  enum class State : std::uint8_t {
    reading,        // more bytes are needed
    wants_id,       // call open()
    wants_session,  // call answer() with the session of requested_id(), if there is one
    opened,         // a new session: id(), key()
    resuming_now,   // the proof is right: see peer_received(), announced(), generation()
    refused,        // zeros were sent; close when they have left
    failed,         // close without a byte
  };
  explicit ServerHandshake(RandomSource& random) : random_(&random) {}

  // Takes nothing outside State::reading.
  std::size_t handle_bytes(Bytes bytes);
  void open(std::uint64_t id, Chain& out);
  // nullptr: not known, or not to be resumed by this peer. All refusals look the same, and take the same work.
  void answer(const Session* session, Chain& out);

  State state() const noexcept { return state_; }
  const char* why() const noexcept { return why_; }  // refused or failed: for the log, never for the peer
  bool is_resume() const noexcept { return resume_; }
  std::uint64_t requested_id() const noexcept { return id_; }
  std::uint64_t id() const noexcept { return id_; }
  const Key& key() const noexcept { return key_; }
  std::uint64_t announced() const noexcept { return announced_; }
  std::uint64_t peer_received() const noexcept { return peer_.received; }
  std::uint32_t generation() const noexcept { return generation_; }

 private:
  enum class Expecting : std::uint8_t { type, public_key, request, proof };

  void handle_type();
  void handle_public_key();
  void handle_proof();
  void fail(const char* why) noexcept;
  void draw_challenge();

  RandomSource* random_;
  Collected message_;
  State state_ = State::reading;
  Expecting expecting_ = Expecting::type;
  bool resume_ = false;
  std::uint32_t generation_ = 0;
  std::uint64_t public_key_ = 0;
  std::uint64_t id_ = 0;
  std::uint64_t announced_ = 0;
  Counters peer_;
  Key key_{};
  Challenge challenge_{};
  const char* why_ = "";
};

}  // namespace wayport::transport::snet

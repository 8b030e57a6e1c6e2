// What one loop's switch tells another's: a batch per ordered pair of loops and turn, read in the order of writing.
//
//     | kind | connection | size | ... |      commands are 32 bytes, frames 12 and themselves; all in one flat buffer
//
// Frames above kInlineBytesMax travel as chains of their own and are never copied; shorter ones are copied in and out,
// which costs less than a chunk each. That the order is kept is all that the protocol across loops rests on.
//
// Not thread-safe; a batch may be moved to another thread as it is. What bounds it: SwitchOptions::mail_bytes_max for
// frames; commands are bounded by the connections and pending dials that they are about.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/framing/link/frame_reader.h"

namespace wayport::link {

// "c": the loop of the client. "s": the loop of the server.
enum class MailKind : std::uint8_t {
  // to everyone
  server_here,  // id, port, registration: dials of `id` go to that port of the sender, if no newer registration is known
  server_gone,  // id, registration: they no longer do
  // c -> s
  dial_server,      // connection, id (the client), port, registration; the client's end exists and got its Accept
  dial_reserved,    // connection, id (the client), port, registration; answers dial_client: the client's end is ready
  dial_refused,     // id (the client), port, registration; answers dial_client
  data_to_server,   // connection, frame
  close_to_server,  // connection: the client's end is gone
  mark,             // id (the client): it is not read until this has been answered, behind all that it sent before
  // s -> c
  dial_client,      // id (the client), port, registration
  connect,          // connection, id (the server): the server got its Accept
  data_to_client,   // connection, frame
  close_to_client,  // connection: the server's end is gone, or never was
  pause_client,     // connection: its server is slow; do not read the client
  resume_client,    // connection
  mark_seen,        // id (the client); answers mark
};

// Fields that a kind does not have are 0.
struct Mail {
  MailKind kind{};
  std::uint32_t connection = 0;
  std::uint32_t id = 0;
  std::uint32_t port = 0;          // index of a server's port on its loop, valid with `registration`
  std::uint64_t registration = 0;  // of that server; never used twice
  Frame frame{};
};

class MailBatch {
 public:
  static constexpr std::size_t kInlineBytesMax = 4096;  // of a frame

  MailBatch() = default;
  MailBatch(MailBatch&& other) noexcept { *this = std::move(other); }
  MailBatch& operator=(MailBatch&& other) noexcept;

  void add(const Mail& command);
  // The frame is copied, or moved if it is a large chain.
  void add_frame(MailKind kind, std::uint32_t connection, Frame& frame);

  // The next one, until none is left: false. `mail.frame` lives until the next call, and may be moved from.
  bool next(Mail& mail);
  // For the next use; keeps the memory of an ordinary turn.
  void clear() noexcept;
  // Takes the memory of a cleared batch, if both are empty and it has more: so that batches which went to another loop
  // are made up for by those that came from there.
  void reuse(MailBatch& cleared) noexcept;

  bool empty() const noexcept { return count_ == 0; }
  std::size_t count() const noexcept { return count_; }
  std::size_t frame_bytes() const noexcept { return frame_bytes_; }

 private:
  static constexpr std::size_t kBytesKept = 1u << 20;

  void append(const void* from, std::size_t size);
  void load(void* to, std::size_t size) noexcept;

  std::vector<std::byte> bytes_;
  std::vector<Chain> large_;
  std::size_t count_ = 0;
  std::size_t frame_bytes_ = 0;
  std::size_t read_ = 0;        // bytes of bytes_
  std::size_t read_large_ = 0;  // chains of large_
};

}  // namespace wayport::link

// LinkBed: many clients and one server of a link gateway on one thread, as cheap as can be: plain sockets in one epoll
// set, frames read in place, one write per connection and turn. What they say is up to whoever drives it.
//
//   client 0 ---.
//   client 1 ----- gateway (another process) --- server        all but the gateway is here
//   client n ---'
//
// One thread. Every wait ends after kLinkPatience at most.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/result.h"
#include "wayport/framing/link/packet.h"
#include "wayport/tools/bench/link_socket.h"
#include "wayport/tools/bench/load.h"
#include "wayport/tools/bench/raw_socket.h"

namespace wayport::tools {

// Where a gateway listens, and what servers must know.
struct LinkPlace {
  std::uint16_t client_port = 0;
  std::uint16_t server_port = 0;
  std::string key;
};

// The id that the server of every bench takes.
inline constexpr std::uint32_t kLinkServerId = 1;
// For anything that the gateway owes.
inline constexpr std::chrono::seconds kLinkPatience{20};

class LinkBedEvents {
 public:
  // A whole frame, data or command, in the order of the connection. Lives until return.
  virtual void on_client_frame(std::size_t client, std::uint32_t connection, Bytes frame) = 0;
  virtual void on_server_frame(std::uint32_t connection, Bytes frame) = 0;

 protected:
  ~LinkBedEvents() = default;
};

class LinkBed {
 public:
  // The server is let in when this returns. Clients come by add_clients().
  static Result<std::unique_ptr<LinkBed>> connect(const LinkPlace& place);

  // Each of them has had the answer to a ping when this returns.
  Result<void> add_clients(std::size_t count);
  std::size_t clients() const noexcept { return clients_.size(); }
  const LinkPlace& place() const noexcept { return place_; }

  // Output leaves with flush(), which turn() calls.
  std::byte* append_client(std::size_t client, std::size_t bytes) { return output_of(*clients_[client]).append(bytes); }
  std::byte* append_server(std::size_t bytes) { return output_of(*server_).append(bytes); }
  void send_client(std::size_t client, Bytes frame);
  void send_server(Bytes frame);
  std::size_t server_waiting() const noexcept { return server_->socket.output().waiting(); }

  // turn() comes back at `at` (now_ns() time), or soon after.
  void wake_at(std::uint64_t at) { timer_.arm(at); }
  // Flushes, waits until something is there (at most 100 ms), gives all of it to `events`. Errors: who was closed.
  Result<void> turn(LinkBedEvents& events);
  // Turns until `done` holds. timed_out: it did not for kLinkPatience; `what` says what was waited for.
  template <class Done>
  Result<void> turn_until(LinkBedEvents& events, const char* what, Done&& done) {
    const std::uint64_t end = now_ns() + static_cast<std::uint64_t>(std::chrono::nanoseconds(kLinkPatience).count());
    while (!done()) {
      if (now_ns() > end) return fail(ErrorCode::timed_out, std::string("the gateway owes us ") + what);
      WAYPORT_TRY(turn(events));
    }
    return {};
  }

 private:
  struct End {
    explicit End(Fd fd, std::size_t who) : socket(std::move(fd)), index(who) {}
    LinkSocket socket;
    const std::size_t index;  // of a client; kServer
    bool has_output = false;
  };
  static constexpr std::size_t kServer = SIZE_MAX;

  explicit LinkBed(LinkPlace place);
  Result<void> connect_server();
  End* add(Fd fd, std::size_t index);
  RawOutput& output_of(End& end) {
    if (!std::exchange(end.has_output, true)) marked_.push_back(&end);
    return end.socket.output();
  }
  Result<void> flush();
  static Error gone(const End& end);

  const LinkPlace place_;
  Poll poll_;
  PaceTimer timer_;
  std::vector<std::byte> scratch_ = std::vector<std::byte>(kLinkReadBytes);
  std::vector<std::unique_ptr<End>> ends_;  // by descriptor
  std::vector<End*> clients_;
  End* server_ = nullptr;
  std::vector<End*> marked_;
};

// What came that should not have: counted, and the first ones in words.
class LinkSurprises {
 public:
  void add(std::string what);
  // A frame on connection 0 or another in words.
  void add_frame(const std::string& at, std::uint32_t connection, Bytes frame);
  std::uint64_t count() const noexcept { return count_; }
  const std::vector<std::string>& first() const noexcept { return first_; }

 private:
  static constexpr std::size_t kFirst = 8;
  std::uint64_t count_ = 0;
  std::vector<std::string> first_;
};

// The command in a frame on connection 0; a ping if it is none, which no gateway sends by itself.
link::Command command_of(Bytes frame);

// Opens one virtual connection to the server for each client; gives their ids.
Result<std::vector<std::uint32_t>> dial_all(LinkBed& bed);

}  // namespace wayport::tools

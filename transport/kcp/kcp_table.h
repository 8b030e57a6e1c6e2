// KcpTable: the sessions behind one listening socket, without I/O. Decides for each datagram which session gets it,
// whether it may open one, or that it is dropped without a word (spec/kcp.md 5 and 11).
//
//   datagram -> cipher -> address known?  same conv: its session; another conv: replacement rule
//                         address unknown: quiet after a close? moved (authenticated ciphers)? another loop's? opener?
//
// An opener is a push within the first window, from a prefix that has not opened too many, not seen before (replay),
// while there is room. Only then is anything allocated. Bounds: KcpTableOptions. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/base/time.h"
#include "wayport/transport/kcp/endpoint.h"
#include "wayport/transport/kcp/kcp_session.h"

namespace wayport::transport::kcp {

struct KcpTableOptions {
  std::size_t sessions_max = 65536;
  std::size_t half_open_max = 4096;  // of them, with one datagram heard
  std::size_t backlog_max = 128;     // created, not accepted
  bool open_at_zero_only = false;    // an opener is a push with sn 0
  // Openings from one prefix (/24, or /64 of IPv6): so many at once, and per second after that.
  std::uint32_t prefix_burst = 256;
  std::uint32_t prefix_rate = 64;
  enum class Replace : std::uint8_t { never, when_silent, push_zero } replace = Replace::when_silent;
  Duration replace_after = std::chrono::seconds(10);  // silence for when_silent
  Duration quiet_time = std::chrono::seconds(60);     // datagrams of an ended session are dropped so long
  std::size_t quiet_max = 65536;                      // ended sessions remembered; the oldest goes first
  std::size_t replay_max = 65536;                     // nonces of possible openers remembered, twice over
  Duration replay_time = std::chrono::minutes(10);
  bool follow_moves = true;                         // by conv, with ciphers that authenticate
  Duration move_timeout = std::chrono::seconds(3);  // a new path that validates nothing is given up
};

class KcpTableHost {
 public:
  // A session was opened; its events may be set later (until then it only stores). Call accepted() once it is the application's.
  virtual void on_session(KcpSession& session, const Endpoint& from) = 0;
  // Another loop owns this conv and takes the (decrypted) packet.
  virtual bool elsewhere(std::uint32_t /*conv*/, const Endpoint& /*from*/, Bytes /*packet*/) { return false; }
  // One datagram without a session: the reset that answers for one that has ended.
  virtual void send(const Endpoint& to, Bytes datagram) = 0;

 protected:
  ~KcpTableHost() = default;
};

class KcpTable {
 public:
  using Seed = std::array<std::uint64_t, 2>;  // secret: where keys that peers choose go
  KcpTable(KcpTableHost& table_host, KcpHost& host, KcpEnvironment& environment,
           std::shared_ptr<const KcpOptions> session_options, KcpTableOptions options, Seed seed);
  ~KcpTable();
  KcpTable(const KcpTable&) = delete;
  KcpTable& operator=(const KcpTable&) = delete;

  // Decrypts in place.
  void handle_datagram(const Endpoint& from, MutableBytes datagram);
  // What another loop's elsewhere() sent here. False: no such conv.
  bool handle_packet_of(std::uint32_t conv, const Endpoint& from, Bytes packet, std::size_t wire_bytes);
  // From now on openers are dropped; the sessions that are there live on. True: as before.
  void set_opening(bool on) noexcept { opening_ = on; }
  // As open_at_zero_only until then: what comes may belong to sessions of another process.
  void open_at_zero_only_until(TimePoint time) noexcept { zero_only_until_ = time; }
  bool owns(std::uint32_t conv) const { return by_conv_.contains(conv); }

  void accepted(KcpSession& session) noexcept;
  // Where its datagrams go now.
  const Endpoint& endpoint_of(const KcpSession& session) const noexcept;
  // Destroys a session (closed() or not) and keeps its name quiet for a while.
  void remove(KcpSession& session);

  std::size_t size() const noexcept { return by_endpoint_.size(); }
  std::size_t half_open() const noexcept { return half_open_; }
  std::size_t backlog() const noexcept { return backlog_; }
  std::size_t quiet() const noexcept { return quiet_.size(); }

 private:
  struct Entry {
    std::unique_ptr<KcpSession> session;
    Endpoint endpoint;
    std::optional<Endpoint> previous;  // while a move is not validated
    TimePoint moved_at{};
    bool accepted = false;
    bool half_open = true;
  };
  struct Hash {
    Seed seed;
    std::size_t operator()(const Endpoint& endpoint) const noexcept;
    std::size_t operator()(std::uint64_t value) const noexcept;
  };
  struct Name {
    Endpoint endpoint;
    std::uint32_t conv = 0;
    bool operator==(const Name&) const = default;
  };
  struct NameHash {
    Hash hash;
    std::size_t operator()(const Name& name) const noexcept {
      return hash(name.endpoint) ^ hash(std::uint64_t{name.conv});
    }
  };
  struct Quiet {
    TimePoint until{};
    std::uint64_t cookie = 0;  // zero: the extension was not agreed
    std::uint32_t resets = 0;
  };
  struct Bucket {
    double tokens = 0;
    TimePoint at{};
    bool used = false;
  };
  struct Opener {
    std::uint32_t conv = 0;
    bool readable = false;        // a conv could be read
    bool push_in_window = false;  // the first that a session takes
    bool push_zero = false;
  };
  Opener look(Bytes packet) const noexcept;
  void deliver(Entry& entry, const Endpoint& from, Bytes packet, std::size_t wire_bytes);
  bool is_quiet(const Endpoint& from, std::uint32_t conv);
  bool take_token(const Endpoint& from);
  bool seen(std::uint64_t nonce_id) const { return nonces_[0].contains(nonce_id) || nonces_[1].contains(nonce_id); }
  void remember(std::uint64_t nonce_id);
  bool may_replace(const Entry& old, const Opener& opener) const noexcept;
  void open(const Endpoint& from, std::uint32_t conv, Bytes packet, std::size_t wire_bytes);
  void move_to(Entry& entry, const Endpoint& to);
  bool hand(Entry& entry, Bytes packet, std::size_t wire_bytes);
  static Entry& entry_of(const KcpSession& session) noexcept { return *static_cast<Entry*>(session.owner()); }

  KcpTableHost& table_host_;
  KcpHost& host_;
  KcpEnvironment& environment_;
  const std::shared_ptr<const KcpOptions> session_options_;
  const KcpTableOptions options_;
  Hash hash_;
  std::unordered_map<Endpoint, std::unique_ptr<Entry>, Hash> by_endpoint_;
  std::unordered_map<std::uint32_t, Entry*, Hash> by_conv_;
  std::unordered_map<Name, Quiet, NameHash> quiet_;
  std::deque<Name> quiet_order_;
  std::array<std::unordered_set<std::uint64_t, Hash>, 2> nonces_;
  TimePoint nonces_since_{};
  std::vector<Bucket> buckets_;
  std::size_t backlog_ = 0;
  std::size_t half_open_ = 0;
  TimePoint zero_only_until_ = TimePoint::min();
  bool opening_ = true;
};

}  // namespace wayport::transport::kcp

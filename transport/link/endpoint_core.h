// EndpointCore: a client or server at the other end of a link gateway, as a state machine without I/O (spec/link.md).
// Bytes of the gateway, calls of the application and `now` go in; bytes and events come out.
//
//     handle_bytes() one event at a time        next_event()  what calls and time brought about
//     dial() send() close() read() tick()       take_output() frames, fairly from all virtual connections
//
// A Channel is a virtual connection. Whoever gets one owns it; destroying it closes it. Messages go straight from
// handle_bytes() to their reader; where reading is off they wait in the channel. What is sent waits in the channel until
// take_output() takes some of each in turn, so a full one delays nobody; Close follows what was sent before it.
//
// Not thread-safe. Never calls back. Allocates nothing per message but pooled chunks. Bounds: EndpointOptions, each
// with a counter. Gateway-chosen ids are looked up in a seeded hash table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/base/intrusive_list.h"
#include "wayport/base/result.h"
#include "wayport/base/time.h"
#include "wayport/framing/link/frame_reader.h"
#include "wayport/framing/link/packet.h"
#include "wayport/transport/link/endpoint_counters.h"
#include "wayport/transport/link/endpoint_options.h"

namespace wayport::link {

class EndpointCore;

// Who an endpoint is. A server shows that it knows the key, before anything else.
struct EndpointIdentity {
  bool server = false;
  std::uint32_t server_id = 0;
  std::string key{};  // raw bytes; may be empty

  static EndpointIdentity client() { return {}; }
  static EndpointIdentity as_server(std::uint32_t id, std::string secret) { return {true, id, std::move(secret)}; }
};

class Channel {
 public:
  ~Channel();  // closes, without waiting for what is unsent; unread messages are dropped
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  std::uint32_t connection() const noexcept { return connection_; }
  std::uint32_t remote() const noexcept { return remote_; }  // client id or server id of the other end
  // Neither end has closed.
  bool open() const noexcept { return state_ == State::open; }
  bool reading() const noexcept { return reading_; }
  std::size_t unread_bytes() const noexcept { return in_.size(); }
  std::size_t unread_messages() const noexcept { return in_messages_; }
  std::size_t unsent_bytes() const noexcept { return out_.size(); }
  std::size_t unsent_messages() const noexcept { return out_messages_; }

  void* context = nullptr;  // the owner's

 private:
  friend class EndpointCore;
  enum class State : std::uint8_t {
    open,
    closing,     // Close goes out behind what is unsent
    close_sent,  // waits for the gateway's Close
    ended,
  };
  template <int List>
  struct Node : ListNode<Node<List>> {
    explicit Node(Channel& which) noexcept : channel(which) {}
    Channel& channel;
  };
  using Sending = Node<0>;
  using Due = Node<1>;
  using Waiting = Node<2>;
  using All = Node<3>;

  Channel(EndpointCore& core, std::uint32_t connection, std::uint32_t remote) noexcept
      : core_(&core), connection_(connection), remote_(remote) {}

  EndpointCore* core_;
  std::uint32_t connection_;
  std::uint32_t remote_;
  State state_ = State::open;
  bool reading_ = false;
  bool tell_writable_ = false;
  bool told_closed_ = false;
  bool started_ = false;  // was read once: nothing is told before
  Chain in_;              // whole frames
  Chain out_;             // whole frames
  std::size_t in_messages_ = 0;
  std::size_t out_messages_ = 0;
  Sending sending_{*this};  // has something to send
  Due due_{*this};          // has something to tell
  Waiting waiting_{*this};  // wants to hear that there is room
  All all_{*this};
  std::unique_ptr<CloseReason> reason_;
};

class EndpointCore {
 public:
  struct Event {
    enum class Kind : std::uint8_t {
      none,
      ready,         // a server is authenticated (a client is from the start, without a word)
      message,       // channel; whole or pieces
      dialed,        // fresh, dial
      dial_failed,   // dial, reason
      connected,     // fresh: the other side dialed us
      closed,        // channel, reason; nothing more of it follows
      writable,      // channel
      ping_timeout,  // call handle_reconnecting(), or go on, or close
      broken,        // reason: close the physical connection; every channel and dial hears of it in events of its own
    };
    Kind kind = Kind::none;
    Channel* channel = nullptr;
    std::unique_ptr<Channel> fresh{};
    std::uint64_t dial = 0;
    CloseReason reason{};
    // Of a message, valid until the next call of handle_bytes() or next_event(). In one piece, or if pieces != nullptr
    // with the header in front of it.
    Bytes whole{};
    const Chain* pieces = nullptr;
    std::size_t message_bytes() const noexcept { return pieces ? pieces->size() - kFrameHeaderBytes : whole.size(); }
    explicit operator bool() const noexcept { return kind != Kind::none; }
  };

  // REQUIRES: options.validate(). `hash_seed` is secret and random.
  EndpointCore(EndpointIdentity identity, const EndpointOptions& options, TimePoint now, std::uint64_t hash_seed);
  ~EndpointCore();  // channels that are left are cut off, and tell nothing
  EndpointCore(const EndpointCore&) = delete;
  EndpointCore& operator=(const EndpointCore&) = delete;

  // --- the physical connection ---

  // Consumes up to the next event and returns how many bytes; call again while there was one. What it leaves (part of a
  // frame, or everything while !wants_bytes()) must be shown again, in front of what follows.
  std::size_t handle_bytes(Bytes in, TimePoint now, Event& event);
  // False: do not read from the gateway (Slow::pause).
  bool wants_bytes() const noexcept { return !paused_; }
  // The stream below has ended: every dial and channel hears of it.
  void handle_closed(CloseReason reason);
  bool broken() const noexcept { return broken_; }
  bool ready() const noexcept { return phase_ == Phase::ready; }
  // The stream below is above its high water, or not any more.
  void handle_pressure(bool high) noexcept { pressed_ = high; }
  bool has_output() const noexcept { return phase_ != Phase::challenge && (!control_.empty() || !sending_.empty()); }
  // Moves whole frames to `to`, at least one and about `bytes` of them: commands first, then of each channel in turn.
  void take_output(Chain& to, std::size_t bytes, TimePoint now);

  // --- time ---

  void tick(TimePoint now);
  TimePoint next_due() const noexcept;
  // After ping_timeout: the stream below reconnects, and may take reconnect_timeout.
  void handle_reconnecting(TimePoint now) noexcept;

  // --- the application ---

  // One event `dialed` or `dial_failed` follows. `due`: kNever for none. Errors: overloaded (dials_max, virtual_max),
  // local_closed.
  Result<std::uint64_t> dial(std::uint32_t remote, TimePoint due);
  // Nothing follows; if the gateway accepts, it is closed.
  void cancel(std::uint64_t dial) noexcept;

  // One frame. True: there is room for more; false: `writable` follows when there is. Errors: too_large (nothing was
  // sent; payload_bytes_max()), overloaded (policy), peer_closed or local_closed.
  Result<bool> send(Channel& channel, Chain&& payload);
  // Whether send() takes so many bytes now; if not, `writable` follows when it does.
  bool has_room(Channel& channel, std::size_t payload_bytes);
  // On: what is unread comes by next_event(), and what follows by handle_bytes(). Off at first, and no event of the
  // channel comes before it was turned on once.
  void read(Channel& channel, bool on);
  // Sends Close behind what is unsent; `closed` follows with the gateway's. What still comes is dropped.
  void close(Channel& channel, CloseReason reason);
  // Sends Close instead of what is unsent; `closed` follows at once.
  void abort(Channel& channel, CloseReason reason);

  // What follows from calls and time, in any order between channels.
  Event next_event();
  bool has_event() const noexcept { return !events_.empty() || !due_.empty(); }

  // --- looking ---

  std::uint32_t payload_max() const noexcept { return payload_bytes_max(options_.packet_bytes_max); }
  std::size_t channel_count() const noexcept { return channels_.size() - closing_count_; }
  std::size_t living_count() const noexcept {
    return living_count_;
  }  // ended ones included, until their owner drops them
  std::size_t dial_count() const noexcept { return dials_.size(); }
  std::size_t unread_bytes() const noexcept { return unread_bytes_; }
  std::size_t unsent_bytes() const noexcept { return unsent_bytes_; }
  const EndpointOptions& options() const noexcept { return options_; }
  const EndpointIdentity& identity() const noexcept { return identity_; }
  EndpointCounters& counters() noexcept { return counters_; }

 private:
  friend class Channel;
  enum class Phase : std::uint8_t { challenge, answered, ready };
  struct PendingDial {
    std::uint64_t token;
    std::uint32_t remote;
    TimePoint due;
    bool given_up;
  };
  struct Hash {
    std::uint64_t seed;
    std::size_t operator()(std::uint32_t id) const noexcept;
  };

  std::size_t answer_challenge(Bytes in);
  bool handle_frame(Frame& frame, Event& event);  // true: go on with the next
  bool handle_command(Frame& frame, Event& event);
  bool handle_data(Frame& frame, Event& event);
  void store(Channel& channel, Frame& frame);
  void overflow(Channel& channel, const std::string& what);
  std::unique_ptr<Channel> add(std::uint32_t connection, std::uint32_t remote);
  std::list<PendingDial>::iterator find_dial(std::uint32_t remote) noexcept;
  void command(const Command& command);
  void end(Channel& channel, CloseReason reason, bool keep_unread);
  void forget(Channel& channel);
  void hurry(Channel& channel);
  void release(Channel& channel);
  void drop_unread(Channel& channel) noexcept;
  void drop_unsent(Channel& channel) noexcept;
  void tell(Channel& channel) noexcept { due_.push_back(channel.due_); }
  void break_off(CloseReason reason);
  void update_pause() noexcept;
  bool fits(const Channel& channel, std::size_t frame_bytes) const noexcept;
  void wake_waiting();

  const EndpointIdentity identity_;
  const EndpointOptions options_;
  EndpointCounters counters_;
  Phase phase_ = Phase::ready;
  bool broken_ = false;
  bool paused_ = false;
  bool pressed_ = false;
  FrameReader reader_;
  Chain current_;  // the message that an event shows

  std::unordered_map<std::uint32_t, Channel*, Hash> channels_;  // null: closed by us, not yet by the gateway
  std::size_t closing_count_ = 0;                               // of these, null
  std::size_t living_count_ = 0;                                // channels that somebody owns
  std::list<PendingDial> dials_;                                // in the order of dialing
  std::uint64_t next_token_ = 1;

  Chain control_;
  List<Channel::All> all_;
  List<Channel::Sending> sending_;
  List<Channel::Due> due_;
  List<Channel::Waiting> waiting_;
  std::deque<Event> events_;
  std::size_t unread_bytes_ = 0, unread_messages_ = 0;
  std::size_t unsent_bytes_ = 0, unsent_messages_ = 0;

  TimePoint now_;
  TimePoint next_dial_due_ = kNever;
  TimePoint authentication_due_ = kNever;
  TimePoint received_at_, sent_at_;
  TimePoint ping_judged_at_ = kNever;  // kNever: none is unanswered
};

}  // namespace wayport::link

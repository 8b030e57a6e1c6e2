// LinkLoop: one loop's share of a LinkGateway: its switch, its connections, its ends of the mailboxes. Internal.
//
//   on_bytes() -> FrameReader -> Switch -> send() -> Link::out_        while a turn lasts
//   turn end:  outboxes -> mailboxes;  out_ -> streams -> kernel;  Switch::end_turn() asks what was left
//
// On its loop, but for the counters.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "wayport/base/intrusive_list.h"
#include "wayport/base/log.h"
#include "wayport/base/loop.h"
#include "wayport/base/mailbox.h"
#include "wayport/framing/link/auth.h"
#include "wayport/framing/link/frame_reader.h"
#include "wayport/gateway/link/link_gateway.h"
#include "wayport/gateway/link/switch.h"
#include "wayport/transport/transports.h"

namespace wayport::link {

// What the loops of one gateway share. Constant but for its atomics.
struct LinkShared {
  LinkShared(const LinkGatewayOptions& gateway_options, unsigned loops, std::uint64_t hash_seed, Log& its_log)
      : options(gateway_options), group(gateway_options.switching, loops, hash_seed), log(its_log) {}

  const LinkGatewayOptions options;
  SwitchGroup group;
  Log& log;
  LogLimit refused_connections;
  LogLimit failed_servers;
  LogLimit closed_clients;
};

class LinkLoop;

// One physical connection.
class Link final : private transport::StreamEvents, public ListNode<Link> {
 public:
  explicit Link(LinkLoop& owner) noexcept;

 private:
  friend class LinkLoop;

  std::size_t on_bytes(MutableBytes bytes, bool message_end) override;
  void on_writable() override;
  void on_read_end() override;
  void on_closed(const CloseReason& reason) override;

  void flush();
  std::size_t unsent() const noexcept { return stream_->queued() + out_.size(); }

  LinkLoop& owner_;
  std::unique_ptr<transport::Stream> stream_;
  Port* port_ = nullptr;
  Chain out_;  // goes to the stream at turn end, or when that has room
  FrameReader reader_;
  Challenge challenge_{};  // a server's
  std::uint32_t dirty_at_ = kClean;
  bool authenticated_ = false;  // a server that was let in
  bool pressed_ = false;        // the stream has enough; what comes waits here, densely packed

  static constexpr std::uint32_t kClean = 0xffffffff;
};

class LinkLoop final : private SwitchHost, private TurnEnd, private Timer {
 public:
  LinkLoop(Loop& loop, std::shared_ptr<LinkShared> shared, unsigned index);
  ~LinkLoop();
  LinkLoop(const LinkLoop&) = delete;
  LinkLoop& operator=(const LinkLoop&) = delete;

  // Before the first accept() of any of them, once all exist.
  void open_mailboxes(const std::vector<std::shared_ptr<LinkLoop>>& all);
  // Nothing comes from others any more. Each loop does it before the first of them goes.
  void close_mailboxes();

  void accept(Side side, std::unique_ptr<transport::Incoming> incoming);
  // Dials are refused. `on_idle` runs whenever the last virtual connection of a client of this loop has ended.
  void drain(std::function<void()> on_idle);
  // Closes every connection, rejects those that still come, and runs `done` when none is left.
  void close_all(std::move_only_function<void()> done);

  Loop& loop() noexcept { return loop_; }
  const Switch& switch_core() const noexcept { return switch_; }
  const LinkDriverCounters& counters() const noexcept { return counters_; }

  struct DumpLine {
    std::uint64_t rank;  // lowest first
    std::string text;
  };
  // At most LinkGateway::kDumpLinesMax; returns how many there would have been.
  std::size_t dump(LinkDump what, std::vector<DumpLine>& to) const;

 private:
  friend class Link;
  using Mail = Mailbox<MailBatch>;

  // Batches from one other loop.
  struct Inbox final : MailboxReceiver<MailBatch> {
    void on_mail(std::span<MailBatch> batches) override;

    LinkLoop* owner = nullptr;
    LinkLoop* sender = nullptr;
    unsigned from = 0;
  };
  // The way to another loop.
  struct Outgoing {
    std::unique_ptr<Mail> mailbox;
    // Frames in batches that were sent and not read yet.
    std::atomic<std::size_t> bytes_under_way{0};
  };

  // --- SwitchHost ---
  void send(Port& to, Bytes frame) override;
  void send(Port& to, Chain&& frame) override;
  std::size_t unsent(const Port& port) override { return link_of(port).unsent(); }
  void set_reading(Port& port, bool on) override { link_of(port).stream_->read(on); }
  void close(Port& port, const CloseReason& reason) override;
  bool idle_expired(Port& port) override { return link_of(port).stream_->reconnect_now(); }
  void turn_end_soon() override;

  void on_turn_end() override;
  void on_timer() override;

  static Link& link_of(const Port& port) noexcept { return *static_cast<Link*>(port.context()); }
  bool authenticate(Link& link, Bytes response);
  void mark(Link& link);
  void forget(Link& link, const CloseReason& reason);
  void post_mail();
  void arm_timer();
  void tell_if_idle();
  void tell_if_closed();

  Loop& loop_;
  const std::shared_ptr<LinkShared> shared_;
  LinkDriverCounters counters_;
  Switch switch_;
  List<Link> links_;
  std::size_t link_count_ = 0;
  std::vector<Link*> dirty_;  // have something in out_; null: gone
  unsigned turn_end_round_ = 0;
  bool mail_waits_ = false;
  TimePoint timer_due_ = kNever;
  std::vector<std::unique_ptr<Outgoing>> outgoing_;  // by loop; null: this one
  std::vector<std::unique_ptr<Inbox>> inboxes_;      // of what this loop sends; used by the receivers
  std::vector<LinkLoop*> others_;
  std::function<void()> on_idle_;
  bool told_idle_ = false;
  bool closing_ = false;
  std::move_only_function<void()> on_closed_;
};

}  // namespace wayport::link

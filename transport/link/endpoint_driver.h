// EndpointDriver: carries bytes between an EndpointCore and its Stream, and events to their owners. Endpoint and
// VirtualConnections share it; it keeps itself while the stream lives.
#pragma once

#include <memory>
#include <optional>
#include <unordered_map>

#include "wayport/transport/link/endpoint.h"

namespace wayport::link {

class EndpointDriver final : public std::enable_shared_from_this<EndpointDriver>,
                             private transport::StreamEvents,
                             private TurnEnd,
                             private Timer,
                             private LoopCloseHook {
 public:
  EndpointDriver(std::unique_ptr<Stream> stream, EndpointIdentity identity, const EndpointOptions& options,
                 EndpointEvents& events);
  ~EndpointDriver();

  void begin();
  void orphan() noexcept;  // the Endpoint has gone
  // 0: failed, and told at turn end.
  std::uint64_t dial(std::uint32_t remote, Duration timeout, OnVirtual on_done);
  void cancel(std::uint64_t number) noexcept;
  void close(CloseReason reason, Linger linger);
  bool closed() const noexcept { return core_.broken() || closing_; }

  EndpointCore& core() noexcept { return core_; }
  Stream& stream() const noexcept { return *stream_; }
  Loop& loop() const noexcept { return loop_; }
  // Something changed: at turn end output leaves, events are told.
  void touch() noexcept { loop_.at_turn_end(*this); }
  // The same, and a turn that sends much need not keep it all.
  void touch_output();

 private:
  std::size_t on_bytes(MutableBytes bytes, bool message_end) override;
  void on_writable() override;
  void on_read_end() override;
  void on_closed(const CloseReason& reason) override;
  void on_turn_end() override;
  void on_timer() override;
  void on_loop_close() noexcept override;

  void handle(EndpointCore::Event event);
  void tell_events();
  void show(VirtualConnection& connection, const EndpointCore::Event& event);
  void flush();
  void settle();
  void finish(const CloseReason& reason, Linger linger);
  OnVirtual take_dial(std::uint64_t number);

  Loop& loop_;
  const std::unique_ptr<Stream> stream_;
  EndpointEvents* events_;
  EndpointCore core_;
  std::shared_ptr<EndpointDriver> keep_;  // while the stream lives
  struct Dialing {
    std::uint64_t token;  // 0: failed already
    OnVirtual on_done;
    Error error;
  };
  std::unordered_map<std::uint64_t, Dialing> dials_;          // by our number
  std::unordered_map<std::uint64_t, std::uint64_t> numbers_;  // of tokens
  std::uint64_t next_number_ = 1;
  std::size_t failed_dials_ = 0;
  std::optional<CloseReason> reason_;
  TimePoint armed_for_ = kNever;
  bool reading_ = true;
  bool lower_high_ = false;
  bool reconnect_tried_ = false;
  bool closing_ = false;  // the stream was told to
};

}  // namespace wayport::link

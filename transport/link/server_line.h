// ServerLine: the physical connection of one server id to one gateway, shared by a listener and by dials as that server.
// Two connections with one id would take each other's dials: the gateway gives them to the newer one.
//
// While it serves it connects again whenever the connection fails, with back-off and jitter (100 ms doubling to 10 s,
// half of it random), for ever; else it connects when somebody dials. The key is read each time. On one loop. Owned by
// those who use it; virtual connections live on without it.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <random>
#include <utility>

#include "wayport/base/log.h"
#include "wayport/transport/link/endpoint.h"
#include "wayport/transport/link/link_address.h"
#include "wayport/transport/transports.h"

namespace wayport::link {

struct LinkCounters {
  std::atomic<std::uint64_t> server_connections{0};  // authenticated
  std::atomic<std::uint64_t> server_failures{0};     // attempts that failed, and connections that were lost
};

class ServerLine final : private EndpointEvents, private Timer {
 public:
  static constexpr Duration kBackoffFirst = std::chrono::milliseconds(100);
  static constexpr Duration kBackoffMax = std::chrono::seconds(10);

  struct Where {
    transport::Transports all;
    std::string url;  // for people
    LinkAddress link;
    transport::StreamOptions stream{};
  };
  using OnConnected = std::function<void(std::unique_ptr<VirtualConnection>)>;
  // Called once, with an endpoint that may be dialed. Unlinks itself when destroyed.
  class Waiter : public ListNode<Waiter> {
   public:
    virtual void on_line(Result<Endpoint*> endpoint) = 0;

   protected:
    ~Waiter() = default;
  };

  ServerLine(Loop& loop, Where where, std::shared_ptr<LinkCounters> counters, Log& log);
  ~ServerLine();

  Loop& loop() const noexcept { return loop_; }
  bool serving() const noexcept { return on_connected_ != nullptr; }
  void serve(OnConnected on_connected, Log* log);
  // What is dialed from now on is closed. Existing virtual connections live on.
  void stop_serving();
  // Calls back at once if the connection is up.
  void wait(Waiter& waiter);

 private:
  static constexpr Duration kAttemptTimeout = std::chrono::seconds(10);

  void on_ready() override;
  void on_connected(std::unique_ptr<VirtualConnection> connection) override;
  void on_closed(const CloseReason& reason) override;
  void on_timer() override { connect(); }

  void connect();
  void handle_failure(const Error& error);

  Loop& loop_;
  const Where where_;
  const std::shared_ptr<LinkCounters> counters_;
  Log* log_;
  LogLimit log_limit_;
  OnConnected on_connected_;
  List<Waiter> waiters_;
  std::unique_ptr<transport::Dial> dial_;
  std::unique_ptr<Endpoint> endpoint_;
  unsigned failures_ = 0;
  std::minstd_rand random_;
};

}  // namespace wayport::link

// KcpDriver: what carries the sessions of one socket on one loop: clock, timers, datagrams in and out, turn ends.
//
//   socket readable -> handle() -> sessions ... flush_soon(session)
//   turn end        -> session.flush() for each that asked -> UdpSender -> one sendmmsg
//
// While the kernel takes no more, sessions wait in a list and what they gave is kept; nothing is lost. No consumer is
// called from here: streams call theirs in turn ends of their own, so sessions may be closed from any callback.
//
// Loop's thread only. Owned by the streams that use it; see kcp_stream.h.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "wayport/base/loop.h"
#include "wayport/transport/kcp/kcp_address.h"
#include "wayport/transport/kcp/kcp_session.h"
#include "wayport/transport/kcp/packet_pool.h"
#include "wayport/transport/kcp/udp_socket.h"

namespace wayport::transport::kcp {

// Counters of all loops under their names, also of those that are gone. Any thread.
class KcpStatistics {
 public:
  using Values = std::vector<std::pair<std::string, std::uint64_t>>;
  Values read() const;

 private:
  friend class LoopShare;
  void add(Values& to, const KcpCounters& counters) const;
  mutable std::mutex mutex_;
  std::vector<const KcpCounters*> live_;
  Values retired_;
};

// What all KCP sessions of a loop share: memory with one bound, and counters.
class LoopShare {
 public:
  explicit LoopShare(std::shared_ptr<KcpStatistics> statistics);
  ~LoopShare();
  LoopShare(const LoopShare&) = delete;
  LoopShare& operator=(const LoopShare&) = delete;

  PacketPool pool;
  KcpCounters counters;

 private:
  const std::shared_ptr<KcpStatistics> statistics_;
};

// Finds a loop's share, or makes it. Any thread.
class LoopShares {
 public:
  explicit LoopShares(std::shared_ptr<KcpStatistics> statistics) : statistics_(std::move(statistics)) {}
  std::shared_ptr<LoopShare> of(const Loop& loop);

 private:
  const std::shared_ptr<KcpStatistics> statistics_;
  std::mutex mutex_;
  std::vector<std::pair<const Loop*, std::weak_ptr<LoopShare>>> shares_;
};

class KcpDriver : protected KcpHost, private TurnEnd, private FdEvents {
 public:
  virtual ~KcpDriver();
  KcpDriver(const KcpDriver&) = delete;
  KcpDriver& operator=(const KcpDriver&) = delete;

  Loop& loop() const noexcept { return loop_; }
  // For a stream that survives the loss of its path: see Stream::reconnect_now().
  virtual bool reconnect_now(KcpSession&) { return false; }

 protected:
  KcpDriver(Loop& loop, std::shared_ptr<LoopShare> share, std::shared_ptr<UdpSocket> socket, const KcpAddress& address);

  // Reads the socket from now on, or no longer.
  Result<void> read_socket(bool on);
  void replace_socket(std::shared_ptr<UdpSocket> socket);
  UdpSocket& socket() const noexcept { return *socket_; }
  KcpEnvironment& environment() noexcept { return environment_; }
  KcpHost& host() noexcept { return *this; }
  // Everything that waits in the kernel, but not much more than `bytes_max`, as more may be coming all the time.
  void drain_socket(std::size_t bytes_max);
  // A datagram outside any session, at turn end.
  void send_datagram(const Endpoint& to, const Endpoint& local, Bytes datagram);

  virtual void handle(const UdpTrain& train) = 0;
  virtual void after_read() {}
  virtual void handle_socket_error(int error) = 0;
  // To where, and from which of our addresses.
  virtual std::pair<Endpoint, Endpoint> path_of(const KcpSession& session) = 0;
  // It is over, and its events were told: it is to be destroyed.
  virtual void remove(KcpSession& session) = 0;

  // KcpHost
  TimePoint now() const noexcept override { return loop_.now(); }
  void arm(Timer& timer, TimePoint due) override { loop_.arm(timer, due); }
  void flush_soon(KcpSession& session) override;

 private:
  static constexpr int kReadsPerTurn = 4;  // system calls
  static constexpr std::size_t kLooseMax = 64;
  struct Loose {
    Endpoint to;
    Endpoint local;
    std::vector<std::byte> bytes;
  };

  void on_fd(std::uint32_t events) override;
  void on_turn_end() override;
  struct Some {
    bool more = false;
    std::size_t bytes = 0;
  };
  Some read_some();
  void update_watch();

  Loop& loop_;
  const std::shared_ptr<LoopShare> share_;
  std::shared_ptr<UdpSocket> socket_;
  const std::unique_ptr<PacketCipher> cipher_;
  const std::unique_ptr<ReedSolomon> code_;
  KcpEnvironment environment_;
  UdpSender sender_;
  List<KcpSession> due_;
  List<KcpSession> blocked_;
  std::vector<Loose> loose_;
  bool reading_ = false;
  bool deferred_ = false;
  Interest watched_ = Interest::none;
};

}  // namespace wayport::transport::kcp

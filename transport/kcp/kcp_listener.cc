#include "wayport/transport/kcp/kcp_listener.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <deque>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "wayport/base/log.h"
#include "wayport/base/mailbox.h"
#include "wayport/transport/incoming_gate.h"
#include "wayport/transport/kcp/kcp_random.h"
#include "wayport/transport/kcp/kcp_stream.h"
#include "wayport/transport/resolver.h"
#include "wayport/transport/sockets.h"

namespace wayport::transport::kcp {
namespace {

class ListenerLoop;

// Datagrams on their way to the loop that has their session.
struct Parcel {
  static constexpr std::size_t kBytesMax = 64 * 1024;
  struct Train {
    Endpoint from;
    Endpoint to;
    std::size_t bytes = 0;
    std::size_t size = 0;
    std::uint32_t conv = 0;  // of an opened one
  };
  std::vector<std::byte> bytes;
  std::vector<Train> trains;
  bool opened = false;  // trains of one packet each, decrypted
};
constexpr MailboxOptions kParcelsMax{.messages_max = 256};
// After the start with an inherited socket; a session of the predecessor has a socket of its own long before.
constexpr Duration kPredecessorTime = std::chrono::seconds(60);

// What the loops of a listener share. Streams, incoming connections and the listener hold it; the last one gone, each
// loop destroys its part.
struct Hub : std::enable_shared_from_this<Hub> {
  Hub(Loop& its_home, const KcpAddress& its_address, const ListenOptions& how);
  ~Hub();
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;
  ListenerLoop& host_of(const Endpoint& from) const noexcept;
  static void end(Hub* hub);
  // From any loop; dropped if the listener has gone meanwhile.
  void report(Error error) {
    if (options.log == nullptr) return;
    home.post([hub = shared_from_this(), error = std::move(error)] {
      if (!hub->log_is_there) return;
      hub->options.log->write(LogLevel::error, "cannot read the listening socket", {{"error", error}});
    });
  }

  Loop& home;
  IncomingGate gate;
  const KcpAddress address;
  const ListenOptions options;
  KcpTable::Seed seed;
  std::vector<std::unique_ptr<ListenerLoop>> parts;  // the first is home's
  std::vector<ListenerLoop*> hosts;                  // those that have sessions
  std::atomic<bool> handed_over{false};
  bool log_is_there = true;  // home's: the log is the listener's owner's, and may go with the listener

  // Which loop has a conv; only where sessions may move from one loop's addresses to another's.
  bool knows_convs = false;
  std::mutex convs_mutex;
  std::unordered_map<std::uint32_t, ListenerLoop*> convs;
};

class KcpIncoming final : public Incoming {
 public:
  explicit KcpIncoming(std::unique_ptr<KcpStream> stream) : stream_(std::move(stream)) {}
  const PeerInfo& peer() const noexcept override { return stream_->peer(); }
  std::unique_ptr<Stream> accept() override {
    WAYPORT_ASSERT(stream_ != nullptr, "an incoming connection is accepted or rejected once");
    return std::move(stream_);
  }
  void reject(const Error&) override { stream_.reset(); }

 private:
  std::unique_ptr<KcpStream> stream_;
};

// A socket of one session alone, for a listener whose own socket is a successor's.
class Branch final : private FdEvents {
 public:
  Branch(ListenerLoop& part, std::shared_ptr<UdpSocket> udp) : part_(part), udp_(std::move(udp)) {}
  ~Branch();
  Result<void> begin();

 private:
  void on_fd(std::uint32_t events) override;
  ListenerLoop& part_;
  const std::shared_ptr<UdpSocket> udp_;
  bool watched_ = false;
};

class ListenerLoop final : public KcpDriver, private KcpTableHost, private MailboxReceiver<Parcel> {
 public:
  ListenerLoop(Hub& hub, Loop& loop, std::shared_ptr<LoopShare> share, std::shared_ptr<UdpSocket> udp,
               const KcpTableOptions& table, bool reads)
      : KcpDriver(loop, std::move(share), std::move(udp), hub.address),
        hub_(hub),
        reads_(reads),
        table_(*this, host(), environment(), hub.address.session, table, hub.seed),
        deliveries_(*this) {}
  ~ListenerLoop() override = default;

  void begin() {
    if (!reads_) return;
    if (Result<void> begun = read_socket(true); !begun) hub_.report(std::move(begun.error()));
  }
  void set_opening(bool on) noexcept { table_.set_opening(on && !stopped_); }
  void expect_strangers() noexcept { table_.open_at_zero_only_until(after(loop().now(), kPredecessorTime)); }
  SocketAddress local() const { return socket().local(); }
  int fd() const noexcept { return socket().fd(); }
  void drain() {
    if (!reads_) return;
    drain_socket(hub_.address.udp.rcvbuf);
    after_read();
  }

  void pause(bool paused) {
    paused_ = paused;
    if (!paused && !pending_.empty()) loop().at_turn_end(deliveries_);
  }
  // No session is opened any more. Those nobody was shown: shown now, or ended. `drained`: with those that wait in the
  // kernel.
  void stop(bool show_pending, bool drained) {
    if (drained) drain();
    stopped_ = true;
    table_.set_opening(false);
    if (show_pending) {
      pause(false);
      deliver();
    }
    while (!pending_.empty()) {
      KcpSession& session = *pending_.front();
      pending_.pop_front();
      session.close(CloseReason::local(ErrorCode::local_closed, "kcp: the listener has ended"), Duration(0));
    }
  }
  void close_outgoing() {
    (void)read_socket(false);
    boxes_.clear();
  }
  // The socket is another process's from now on. Returns how many sessions got none of their own.
  std::size_t leave_socket();

  void handle_train(const UdpTrain& train) {
    came_to_ = train.to;
    train.for_each([&](MutableBytes datagram) { table_.handle_datagram(train.from, datagram); });
  }
  // At the end of whatever may have heard something for other parts.
  void pass_on() {
    for (auto* const parcels : {&outgoing_, &moved_}) {
      for (auto& [part, parcel] : *parcels) {
        if (!parcel.trains.empty()) send_parcel(*part, parcel);
      }
    }
  }
  UdpSocket::Read receive(UdpSocket& udp, std::span<UdpTrain, UdpSocket::kTrainsMax> trains) {
    return udp.receive(loop().scratch(0), trains);
  }

 private:
  struct Deliveries final : ::wayport::TurnEnd {
    explicit Deliveries(ListenerLoop& its_part) : part(its_part) {}
    void on_turn_end() override { part.deliver(); }
    ListenerLoop& part;
  };

  // KcpDriver
  void handle(const UdpTrain& train) override {
    if (hub_.address.udp.reuse_port) return handle_train(train);
    ListenerLoop& host = hub_.host_of(train.from);
    if (&host == this) return handle_train(train);
    Parcel& parcel = outgoing_[&host];
    put(host, parcel, train.bytes, {train.from, train.to, train.bytes.size(), train.size});
  }
  void after_read() override { pass_on(); }
  void handle_socket_error(int) override { environment().counters.in_errors.add(); }
  std::pair<Endpoint, Endpoint> path_of(const KcpSession& session) override {
    const auto local = locals_.find(&session);
    return {table_.endpoint_of(session), local == locals_.end() ? Endpoint{} : local->second};
  }
  void remove(KcpSession& session) override {
    std::erase(pending_, &session);
    locals_.erase(&session);
    branches_.erase(&session);
    if (hub_.knows_convs) {
      const std::lock_guard lock(hub_.convs_mutex);
      if (const auto found = hub_.convs.find(session.conv()); found != hub_.convs.end() && found->second == this)
        hub_.convs.erase(found);
    }
    sessions_.erase(&session);
    table_.remove(session);
  }

  // KcpTableHost
  void on_session(KcpSession& session, const Endpoint&) override {
    sessions_.emplace(&session, true);
    if (socket().wildcard()) locals_[&session] = came_to_;
    if (hub_.knows_convs) {
      const std::lock_guard lock(hub_.convs_mutex);
      hub_.convs.emplace(session.conv(), this);
    }
    pending_.push_back(&session);
    if (!paused_) loop().at_turn_end(deliveries_);
  }
  bool elsewhere(std::uint32_t conv, const Endpoint& from, Bytes packet) override {
    if (!hub_.knows_convs) return false;
    ListenerLoop* owner = nullptr;
    {
      const std::lock_guard lock(hub_.convs_mutex);
      if (const auto found = hub_.convs.find(conv); found != hub_.convs.end()) owner = found->second;
    }
    if (owner == nullptr || owner == this) return false;
    Parcel& parcel = moved_[owner];
    parcel.opened = true;
    put(*owner, parcel, packet, {from, {}, packet.size(), packet.size(), conv});
    return true;
  }
  void send(const Endpoint& to, Bytes datagram) override { send_datagram(to, came_to_, datagram); }

  void on_mail(std::span<Parcel> batch) override {
    for (Parcel& parcel : batch) {
      std::size_t at = 0;
      for (const Parcel::Train& train : parcel.trains) {
        const MutableBytes bytes = MutableBytes(parcel.bytes).subspan(at, train.bytes);
        at += train.bytes;
        if (parcel.opened) {
          table_.handle_packet_of(train.conv, train.from, bytes, bytes.size());
        } else {
          handle_train({train.from, train.to, bytes, train.size});
        }
      }
    }
    pass_on();
  }
  // Into the parcel for another part, which leaves with pass_on(), or when it is full.
  void put(ListenerLoop& to, Parcel& parcel, Bytes bytes, const Parcel::Train& train) {
    if (parcel.bytes.size() + bytes.size() > Parcel::kBytesMax) {
      const bool opened = parcel.opened;
      send_parcel(to, parcel);
      parcel.opened = opened;
    }
    parcel.bytes.insert(parcel.bytes.end(), bytes.begin(), bytes.end());
    parcel.trains.push_back(train);
  }
  void send_parcel(ListenerLoop& to, Parcel& parcel) {
    std::unique_ptr<Mailbox<Parcel>>& box = boxes_[&to];
    MailboxReceiver<Parcel>& receiver = to;
    if (!box) box = std::make_unique<Mailbox<Parcel>>(loop(), to.loop(), receiver, kParcelsMax);
    const std::size_t trains = parcel.trains.size();
    if (!box->try_send(std::move(parcel))) environment().counters.loop_drops.add(trains);
    parcel = {};
  }

  void deliver() {
    const std::shared_ptr<Hub> hub = hub_.weak_from_this().lock();
    if (!hub) return;
    while (!pending_.empty() && !paused_) {
      KcpSession& session = *pending_.front();
      pending_.pop_front();
      table_.accepted(session);
      PeerInfo peer;
      const auto [remote, its_local] = path_of(session);
      peer.remote = address_of(remote);
      peer.local = local();
      if (socket().wildcard()) {
        Endpoint there = its_local;
        there.port = peer.local.port();
        peer.local = address_of(there);
      }
      auto stream = std::make_unique<KcpStream>(std::shared_ptr<KcpDriver>(hub, this), session, std::move(peer),
                                                hub->options.stream);
      hub->gate.deliver(std::make_unique<KcpIncoming>(std::move(stream)));
    }
  }

  Hub& hub_;
  const bool reads_;  // the socket, unless another part does
  KcpTable table_;
  Deliveries deliveries_;
  Endpoint came_to_;  // the address of ours that the datagram at hand was sent to
  std::deque<KcpSession*> pending_;
  std::unordered_map<const KcpSession*, bool> sessions_;
  std::unordered_map<const KcpSession*, Endpoint> locals_;  // of wildcard sockets
  std::unordered_map<const KcpSession*, std::unique_ptr<Branch>> branches_;
  std::map<ListenerLoop*, Parcel> outgoing_;  // as they came
  std::map<ListenerLoop*, Parcel> moved_;     // of sessions that another part has
  std::map<ListenerLoop*, std::unique_ptr<Mailbox<Parcel>>> boxes_;
  bool paused_ = false;
  bool stopped_ = false;
};

Branch::~Branch() {
  if (watched_) part_.loop().unwatch(udp_->fd(), *this);
}
Result<void> Branch::begin() {
  WAYPORT_TRY(part_.loop().watch(udp_->fd(), Interest::read, *this));
  watched_ = true;
  return {};
}
void Branch::on_fd(std::uint32_t) {
  std::array<UdpTrain, UdpSocket::kTrainsMax> trains;
  // Between its binding and its connecting it may have got what is not its session's: the table knows whose it is.
  for (const UdpTrain& train : part_.receive(*udp_, trains).trains) part_.handle_train(train);
  part_.pass_on();
}

std::size_t ListenerLoop::leave_socket() {
  std::size_t without = 0;
  for (const auto& [session, unused] : sessions_) {
    const auto [remote, its_local] = path_of(*session);
    SocketAddress from = local();
    if (socket().wildcard()) {
      Endpoint there = its_local;
      there.port = from.port();
      from = address_of(there);
    }
    Result<std::shared_ptr<UdpSocket>> udp = UdpSocket::branch(socket(), from, address_of(remote), hub_.address.udp);
    if (udp) {
      auto branch = std::make_unique<Branch>(*this, *std::move(udp));
      if (branch->begin()) {
        branches_[session] = std::move(branch);
        continue;
      }
    }
    // Its datagrams go to the successor, and it ends by its silence.
    ++without;
    environment().counters.sessions_left_behind.add();
  }
  (void)read_socket(false);
  return without;
}

Hub::Hub(Loop& its_home, const KcpAddress& its_address, const ListenOptions& how)
    : home(its_home), gate(its_home), address(its_address), options(how) {
  random_bytes(std::as_writable_bytes(std::span(seed)));
}
Hub::~Hub() = default;

ListenerLoop& Hub::host_of(const Endpoint& from) const noexcept {
  if (hosts.size() == 1) return *hosts.front();
  std::uint64_t words[2];
  std::memcpy(words, from.address.data(), sizeof(words));
  std::uint64_t mixed = seed[0] ^ (std::uint64_t{from.port} << 32 | from.scope);
  for (const std::uint64_t word : {words[0], words[1], seed[1]}) {
    mixed = (mixed ^ word) * 0x9e3779b97f4a7c15;
    mixed ^= mixed >> 32;
  }
  return *hosts[mixed % hosts.size()];
}

void Hub::end(Hub* hub) {
  // Whoever calls back from a part holds the hub meanwhile: none of its functions is on the stack.
  if (hub->parts.size() <= 1 && hub->home.in_loop_thread()) {
    delete hub;
    return;
  }
  // First no part sends to another any more, then they go. Each on its own loop, or when that is closed.
  struct Rest {
    explicit Rest(Hub* its_hub) : hub(its_hub) {}
    Rest(const Rest&) = delete;
    Rest& operator=(const Rest&) = delete;
    ~Rest() {
      struct Last {
        std::shared_ptr<Hub> hub;
        std::unique_ptr<ListenerLoop> part;  // before the hub
      };
      const std::shared_ptr<Hub> kept = std::move(hub);
      for (std::unique_ptr<ListenerLoop>& part : kept->parts) {
        Loop& loop = part->loop();
        loop.post([last = Last{kept, std::move(part)}] {});
      }
    }
    std::unique_ptr<Hub> hub;
  };
  const auto rest = std::make_shared<Rest>(hub);
  for (const std::unique_ptr<ListenerLoop>& part : hub->parts) {
    part->loop().post([rest, part = part.get()] { part->close_outgoing(); });
  }
}

class KcpListener final : public Listener {
 public:
  KcpListener(std::shared_ptr<Hub> hub, Address address)
      : hub_(std::move(hub)), address_(std::move(address)), withheld_(hub_->options.inherited_fd >= 0) {}
  ~KcpListener() override {
    hub_->gate.close();
    hub_->log_is_there = false;
    if (!stopped_) each_part([](ListenerLoop& part) { part.stop(false, false); });
  }

  void start(OnIncoming on_incoming) override {
    WAYPORT_ASSERT(!started_, "a listener is started once");
    started_ = true;
    // Counted by whoever delivers: the counters and the log are the owner's, and the gate ends before the listener does.
    hub_->gate.open(
        [counters = hub_->options.counters, on_incoming = std::move(on_incoming)](std::unique_ptr<Incoming> incoming) {
          if (counters != nullptr) counters->accepted.fetch_add(1, std::memory_order_relaxed);
          on_incoming(std::move(incoming));
        });
    if (!withheld_) begin();
  }
  void pause(bool paused) override {
    each_part([paused](ListenerLoop& part) { part.pause(paused); });
  }
  const Address& address() const noexcept override { return address_; }
  std::vector<int> inheritable_fds() const override {
    if (hub_->address.udp.reuse_port) {
      // A successor takes one socket, and the kernel's hash would go on choosing among all.
      if (hub_->options.log != nullptr) {
        hub_->options.log->write(LogLevel::warning, "a kcp listener takes no part in a restart",
                                 {{"address", address_.to_log()},
                                  {"why", "reuseport=1"},
                                  {"advice",
                                   "without reuseport nobody is lost; with it, the new process binds beside "
                                   "this one, and openers that the kernel sends here are dropped until this "
                                   "one has ended"}});
      }
      return {};
    }
    hub_->handed_over.store(true);
    each_part([](ListenerLoop& part) { part.set_opening(false); });
    return {hub_->parts.front()->fd()};
  }
  void take_back() override {
    hub_->handed_over.store(false);
    each_part([](ListenerLoop& part) { part.set_opening(true); });
    if (!std::exchange(withheld_, false)) return;
    each_part([](ListenerLoop& part) { part.expect_strangers(); });
    if (started_ && !stopped_) begin();
  }
  void finish(std::move_only_function<void()> done) override {
    WAYPORT_ASSERT(!finish_, "a listener finishes once");
    finish_ = std::make_shared<Finish>(Finish{hub_->parts.size(), 0, std::move(done)});
    const bool handed_over = hub_->handed_over.load();
    // One that never read leaves what waits to whoever does.
    const bool drained = started_ && !withheld_ && !handed_over;
    if (drained) hub_->parts.front()->drain();
    stopped_ = true;
    // In a later turn: what was just read is on its way to the other loops first.
    hub_->home.post([hub = hub_, finish = std::weak_ptr(finish_), handed_over, drained] {
      for (const std::unique_ptr<ListenerLoop>& part : hub->parts) {
        part->loop().post([hub, part = part.get(), finish, handed_over, drained] {
          part->stop(true, drained);
          const std::size_t without = handed_over ? part->leave_socket() : 0;
          hub->home.post([hub, finish, without] {
            const std::shared_ptr<Finish> self = finish.lock();
            if (!self) return;
            self->without += without;
            if (--self->parts != 0) return;
            if (self->without != 0 && hub->options.log != nullptr) {
              hub->options.log->write(LogLevel::warning, "kcp sessions are left behind at a restart",
                                      {{"sessions", self->without},
                                       {"why", "no socket of their own; they end by their silence"},
                                       {"advice", "raise the limit of open files (RLIMIT_NOFILE)"}});
            }
            std::move_only_function<void()> end = std::move(self->done);
            end();  // may destroy the listener
          });
        });
      }
    });
  }

 private:
  void begin() {
    each_part([](ListenerLoop& part) { part.begin(); });
  }

  struct Finish {
    std::size_t parts = 0;
    std::size_t without = 0;
    std::move_only_function<void()> done;
  };

  template <class F>
  void each_part(F work) const {
    for (const std::unique_ptr<ListenerLoop>& part : hub_->parts) {
      if (&part->loop() == &hub_->home) {
        work(*part);
      } else {
        part->loop().post([hub = hub_, part = part.get(), work] { work(*part); });
      }
    }
  }

  const std::shared_ptr<Hub> hub_;
  const Address address_;
  bool started_ = false;
  bool stopped_ = false;
  bool withheld_;  // inherited, and perhaps still read by a predecessor
  std::shared_ptr<Finish> finish_;
};

// Where a listener binds, best first.
Result<std::vector<SocketAddress>> bind_addresses(const Address& address) {
  const std::uint16_t port = address.port();
  if (address.host().empty()) {
    std::vector<SocketAddress> any = resolve_literally("::", port);
    any.push_back(resolve_literally("0.0.0.0", port).front());
    return any;
  }
  std::vector<SocketAddress> found = resolve_literally(address.host(), port);
  if (found.empty()) found = resolve_from_hosts_file(address.host(), port);
  if (found.empty())
    return fail(ErrorCode::not_found, address.to_log() + ": a listener takes an IP address or a name from /etc/hosts");
  return found;
}

Result<std::shared_ptr<UdpSocket>> open_socket(const Address& address, const KcpAddress& kcp,
                                               const ListenOptions& options) {
  if (options.inherited_fd >= 0) {
    const std::uint16_t port = own_address(options.inherited_fd).port();
    if (address.port() != 0 && port != address.port())
      return fail(ErrorCode::invalid_argument, "inherited descriptor " + std::to_string(options.inherited_fd) +
                                                   " has port " + std::to_string(port) + ", not that of " +
                                                   address.to_log());
    return UdpSocket::take(options.inherited_fd, kcp.udp);
  }
  WAYPORT_TRY_ASSIGN(const auto places, bind_addresses(address));
  Result<std::shared_ptr<UdpSocket>> udp = fail(ErrorCode::internal, "nowhere to bind");
  for (const SocketAddress& place : places) {
    udp = UdpSocket::bind(place, kcp.udp);
    if (udp) return udp;
    // Only a family that this machine does not have leads on to the next.
    const int why = udp.error().cause.value();
    if (why != EAFNOSUPPORT && why != EADDRNOTAVAIL) break;
  }
  return udp;
}

}  // namespace

Result<std::unique_ptr<Listener>> listen_kcp(Loop& loop, const Address& address, const KcpAddress& kcp,
                                             const ListenOptions& options, LoopShares& shares) {
  WAYPORT_TRY_ASSIGN(const std::shared_ptr<UdpSocket> udp, open_socket(address, kcp, options));
  std::shared_ptr<Hub> hub(new Hub(loop, kcp, options), Hub::end);
  std::vector<Loop*> hosts = options.loops;
  if (hosts.empty()) hosts.push_back(&loop);
  std::ranges::sort(hosts);
  hosts.erase(std::ranges::unique(hosts).begin(), hosts.end());

  KcpTableOptions table = kcp.table;
  const auto share_of = [&hosts](std::size_t all) { return (all + hosts.size() - 1) / hosts.size(); };
  table.sessions_max = share_of(table.sessions_max);
  table.half_open_max = share_of(table.half_open_max);
  table.backlog_max = share_of(table.backlog_max);
  // Home's part is the first also where it has no sessions. With reuseport that one has no socket of its own, either.
  bool used = false;
  for (std::size_t i = 0; i <= hosts.size(); ++i) {
    Loop& on = i == 0 ? loop : *hosts[i - 1];
    if (i != 0 && &on == &loop) continue;
    const bool is_host = std::ranges::find(hosts, &on) != hosts.end();
    const bool own_socket = kcp.udp.reuse_port && is_host;
    std::shared_ptr<UdpSocket> its_udp = udp;
    if (own_socket && std::exchange(used, true)) {
      WAYPORT_TRY_ASSIGN(its_udp, UdpSocket::bind(udp->local(), kcp.udp));
    }
    const bool reads = kcp.udp.reuse_port ? is_host : i == 0;
    hub->parts.push_back(std::make_unique<ListenerLoop>(*hub, on, shares.of(on), std::move(its_udp), table, reads));
  }
  for (const std::unique_ptr<ListenerLoop>& part : hub->parts) {
    if (std::ranges::find(hosts, &part->loop()) != hosts.end()) hub->hosts.push_back(part.get());
  }
  const bool may_move = kcp.table.follow_moves && kcp.crypt.ends_with("-gcm");
  hub->knows_convs = may_move && hub->hosts.size() > 1;
  Address bound = address;
  bound.set_port(udp->local().port());
  return std::make_unique<KcpListener>(std::move(hub), std::move(bound));
}

}  // namespace wayport::transport::kcp

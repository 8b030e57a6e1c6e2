#include "wayport/transport/kcp/kcp_driver.h"

#include <algorithm>
#include <array>

#include "wayport/transport/kcp/kcp_random.h"

namespace wayport::transport::kcp {

// --- statistics ---

void KcpStatistics::add(Values& to, const KcpCounters& counters) const {
  std::size_t at = 0;
  counters.for_each([&](const char* name, std::uint64_t value) {
    if (at == to.size()) to.emplace_back(name, 0);
    to[at++].second += value;
  });
}

KcpStatistics::Values KcpStatistics::read() const {
  const std::lock_guard lock(mutex_);
  Values values = retired_;
  add(values, KcpCounters{});
  for (const KcpCounters* counters : live_) add(values, *counters);
  return values;
}

LoopShare::LoopShare(std::shared_ptr<KcpStatistics> statistics) : statistics_(std::move(statistics)) {
  const std::lock_guard lock(statistics_->mutex_);
  statistics_->live_.push_back(&counters);
}

LoopShare::~LoopShare() {
  const std::lock_guard lock(statistics_->mutex_);
  std::erase(statistics_->live_, &counters);
  statistics_->add(statistics_->retired_, counters);
}

std::shared_ptr<LoopShare> LoopShares::of(const Loop& loop) {
  const std::lock_guard lock(mutex_);
  std::erase_if(shares_, [](const auto& share) { return share.second.expired(); });
  for (const auto& [its_loop, share] : shares_) {
    if (its_loop != &loop) continue;
    if (std::shared_ptr<LoopShare> found = share.lock()) return found;
  }
  auto made = std::make_shared<LoopShare>(statistics_);
  shares_.emplace_back(&loop, made);
  return made;
}

// --- driver ---

KcpDriver::KcpDriver(Loop& loop, std::shared_ptr<LoopShare> share, std::shared_ptr<UdpSocket> socket,
                     const KcpAddress& address)
    : loop_(loop),
      share_(std::move(share)),
      socket_(std::move(socket)),
      cipher_(address.new_cipher()),
      code_(address.new_code()),
      environment_{share_->pool, share_->counters, cipher_.get(), code_.get(), random_number},
      sender_(*socket_, share_->counters) {}

KcpDriver::~KcpDriver() {
  if (watched_ != Interest::none) loop_.unwatch(socket_->fd(), *this);
}

Result<void> KcpDriver::read_socket(bool on) {
  reading_ = on;
  update_watch();
  if (on && watched_ == Interest::none)
    return fail(ErrorCode::overloaded, "kcp: the loop cannot watch the socket " + socket_->local().to_string());
  return {};
}

void KcpDriver::replace_socket(std::shared_ptr<UdpSocket> socket) {
  if (watched_ != Interest::none) loop_.unwatch(socket_->fd(), *this);
  watched_ = Interest::none;
  socket_ = std::move(socket);
  sender_.use(*socket_);
  update_watch();
}

void KcpDriver::update_watch() {
  const unsigned bits = (reading_ ? static_cast<unsigned>(Interest::read) : 0) |
                        (sender_.blocked() ? static_cast<unsigned>(Interest::write) : 0);
  const auto wanted = static_cast<Interest>(bits);
  if (wanted == watched_) return;
  if (wanted == Interest::none) {
    loop_.unwatch(socket_->fd(), *this);
    watched_ = Interest::none;
  } else if (const Result<void> done = watched_ == Interest::none ? loop_.watch(socket_->fd(), wanted, *this)
                                                                  : loop_.change(socket_->fd(), wanted, *this);
             done) {
    watched_ = wanted;
  } else {
    environment_.counters.in_errors.add();
  }
}

void KcpDriver::on_fd(std::uint32_t events) {
  if ((events & EPOLLOUT) != 0 && sender_.blocked()) {
    sender_.resume();
    if (!sender_.blocked()) {
      due_.splice_back(blocked_);
      loop_.at_turn_end(*this);
    }
    update_watch();
  }
  if ((events & ~EPOLLOUT) == 0 || !reading_) return;
  for (int i = 0; i < kReadsPerTurn && read_some().more; ++i) {
  }
  after_read();
}

KcpDriver::Some KcpDriver::read_some() {
  std::array<UdpTrain, UdpSocket::kTrainsMax> trains;
  KcpCounters& counters = environment_.counters;
  counters.receive_calls.add();
  const UdpSocket::Read read = socket_->receive(loop_.scratch(0), trains);
  counters.in_errors.add(read.cut);
  if (read.error != 0) handle_socket_error(read.error);
  Some some{read.more, 0};
  for (const UdpTrain& train : read.trains) {
    some.bytes += train.bytes.size();
    handle(train);
  }
  return some;
}

void KcpDriver::drain_socket(std::size_t bytes_max) {
  for (std::size_t bytes = 0; bytes < bytes_max;) {
    const Some some = read_some();
    if (!some.more) return;
    bytes += std::max(some.bytes, kDatagramBytesMax);  // a call that brings nothing counts, too
  }
}

void KcpDriver::send_datagram(const Endpoint& to, const Endpoint& local, Bytes datagram) {
  if (loose_.size() >= kLooseMax) return;
  loose_.push_back({to, local, {datagram.begin(), datagram.end()}});
  loop_.at_turn_end(*this);
}

void KcpDriver::flush_soon(KcpSession& session) {
  due_.push_back(session);
  loop_.at_turn_end(*this);
}

void KcpDriver::on_turn_end() {
  // Once behind the streams that what has come was shown to: their answers leave with it.
  if (!std::exchange(deferred_, true)) return loop_.at_turn_end(*this);
  deferred_ = false;
  // Consumers are not called before this returns, so the scratch is ours.
  sender_.begin(loop_.scratch(0));
  for (const Loose& loose : loose_) {
    sender_.set_path(loose.to, loose.local);
    const MutableBytes room = sender_.room(loose.bytes.size());
    if (room.empty()) continue;
    std::ranges::copy(loose.bytes, room.begin());
    sender_.commit(loose.bytes.size());
  }
  loose_.clear();
  // Events of one session may ask for the flush of others: until none is left.
  while (KcpSession* const session = due_.pop_front()) {
    const auto [remote, local] = path_of(*session);
    sender_.set_path(remote, local);
    const bool all = session->flush(sender_);
    if (session->closed()) {
      remove(*session);
    } else if (!all) {
      blocked_.push_back(*session);
    }
  }
  sender_.finish();
  if (sender_.take_refused()) handle_socket_error(ECONNREFUSED);
  update_watch();
  if (!sender_.blocked() && !blocked_.empty()) {
    due_.splice_back(blocked_);
    loop_.at_turn_end(*this);
  }
}

}  // namespace wayport::transport::kcp

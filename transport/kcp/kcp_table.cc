#include "wayport/transport/kcp/kcp_table.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace wayport::transport::kcp {
namespace {

constexpr std::size_t kBuckets = 4096;
constexpr std::uint32_t kResetsMax = 4;  // per ended session

std::uint64_t mix(std::uint64_t value) noexcept {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}
bool is_v4(const Endpoint& endpoint) noexcept {
  constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::equal(kMapped.begin(), kMapped.end(), endpoint.address.begin());
}

}  // namespace

std::size_t KcpTable::Hash::operator()(std::uint64_t value) const noexcept {
  return mix(mix(value + seed[0]) ^ seed[1]);
}
std::size_t KcpTable::Hash::operator()(const Endpoint& endpoint) const noexcept {
  std::uint64_t high, low;
  std::memcpy(&high, endpoint.address.data(), 8);
  std::memcpy(&low, endpoint.address.data() + 8, 8);
  return mix(mix(mix(high + seed[0]) + low) + seed[1] + (std::uint64_t{endpoint.scope} << 16 | endpoint.port));
}

KcpTable::KcpTable(KcpTableHost& table_host, KcpHost& host, KcpEnvironment& environment,
                   std::shared_ptr<const KcpOptions> session_options, KcpTableOptions options, Seed seed)
    : table_host_(table_host),
      host_(host),
      environment_(environment),
      session_options_(std::move(session_options)),
      options_(options),
      hash_{seed},
      by_endpoint_(16, hash_),
      by_conv_(16, hash_),
      quiet_(16, NameHash{hash_}),
      nonces_{std::unordered_set<std::uint64_t, Hash>(16, hash_), std::unordered_set<std::uint64_t, Hash>(16, hash_)},
      buckets_(kBuckets) {}

KcpTable::~KcpTable() = default;

const Endpoint& KcpTable::endpoint_of(const KcpSession& session) const noexcept { return entry_of(session).endpoint; }

void KcpTable::accepted(KcpSession& session) noexcept {
  Entry& entry = entry_of(session);
  if (!std::exchange(entry.accepted, true)) --backlog_;
}

KcpTable::Opener KcpTable::look(Bytes packet) const noexcept {
  Opener opener;
  switch (fec_type(packet)) {
    case kFecParity:
    case kFecOutOfBand:
      return opener;
    case kFecData:
      packet = packet.size() < kFecHeaderBytes ? Bytes() : packet.subspan(kFecHeaderBytes);
      break;
    default:
      break;
  }
  if (packet.size() < kSegmentHeaderBytes) return opener;
  opener.conv = load_le<std::uint32_t>(packet.data());
  opener.readable = true;
  SegmentReader reader(packet, opener.conv);
  const std::optional<Segment> first = reader.next();
  if (!first || first->cmd != kPush || first->payload.empty() || first->una != 0) return opener;
  // A session takes no more before something came in order.
  opener.push_in_window = first->sn < std::min(session_options_->receive_window, ReceiveQueue::kAheadMin);
  opener.push_zero = first->sn == 0;
  return opener;
}

void KcpTable::handle_datagram(const Endpoint& from, MutableBytes datagram) {
  KcpCounters& counters = environment_.counters;
  if (datagram.empty() || datagram.size() > kDatagramBytesMax) {
    counters.in_errors.add();
    return;
  }
  const std::size_t wire_bytes = datagram.size();
  std::uint64_t nonce_id = 0;
  if (environment_.cipher != nullptr) {
    const Opened opened = environment_.cipher->open(datagram);
    if (opened.status != Opened::Status::ok) {
      (opened.status == Opened::Status::too_short   ? counters.in_errors
       : opened.status == Opened::Status::reflected ? counters.reflected
                                                    : counters.checksum_errors)
          .add();
      return;
    }
    datagram = opened.packet;
    nonce_id = opened.nonce_id;
  }
  const Bytes packet = datagram;
  const Opener opener = look(packet);
  const bool zero_only = options_.open_at_zero_only || host_.now() < zero_only_until_;
  const bool could_open = opening_ && opener.push_in_window && (opener.push_zero || !zero_only);
  const bool replayed = environment_.cipher != nullptr && could_open && seen(nonce_id);
  // What might open a session once more when it is replayed is remembered, whatever becomes of it now.
  if (environment_.cipher != nullptr && could_open) remember(nonce_id);

  if (const auto found = by_endpoint_.find(from); found != by_endpoint_.end()) {
    Entry& entry = *found->second;
    if (!opener.readable || entry.session->conv() == opener.conv) {
      deliver(entry, from, packet, wire_bytes);
      return;
    }
    if (is_quiet(from, opener.conv)) return;
    if (replayed || !opening_ || !may_replace(entry, opener)) {
      counters.conv_refused.add();
      return;
    }
    CloseReason replaced = CloseReason::peer(ErrorCode::peer_closed, "kcp: its address opened another session");
    replaced.error.cause = std::error_code(ECONNRESET, std::system_category());
    entry.session->close(std::move(replaced), Duration(0));
    // Its owner still flushes and removes it, under a name that no datagram has.
    Endpoint nowhere = from;
    do {
      nowhere.scope = static_cast<std::uint32_t>(environment_.random()) | 0x80000000u;
      nowhere.port = 0;
    } while (by_endpoint_.contains(nowhere));
    // Nor is it found by its conv any more.
    if (const auto conv = by_conv_.find(entry.session->conv()); conv != by_conv_.end() && conv->second == &entry) {
      by_conv_.erase(conv);
    }
    auto node = by_endpoint_.extract(found);
    node.key() = nowhere;
    by_endpoint_.insert(std::move(node));
    open(from, opener.conv, packet, wire_bytes);
    return;
  }
  if (!opener.readable || is_quiet(from, opener.conv)) return;
  if (const auto moved = by_conv_.find(opener.conv); moved != by_conv_.end()) {
    if (options_.follow_moves && environment_.cipher != nullptr && environment_.cipher->authenticates()) {
      deliver(*moved->second, from, packet, wire_bytes);
      return;
    }
    // Else two addresses may by chance have the same conv.
  } else if (table_host_.elsewhere(opener.conv, from, packet)) {
    return;
  }
  if (!could_open) {
    counters.opener_refused.add();
    return;
  }
  if (replayed) {
    counters.opener_replayed.add();
    return;
  }
  open(from, opener.conv, packet, wire_bytes);
}

bool KcpTable::handle_packet_of(std::uint32_t conv, const Endpoint& from, Bytes packet, std::size_t wire_bytes) {
  const auto found = by_conv_.find(conv);
  if (found == by_conv_.end()) return false;
  deliver(*found->second, from, packet, wire_bytes);
  return true;
}

void KcpTable::deliver(Entry& entry, const Endpoint& from, Bytes packet, std::size_t wire_bytes) {
  KcpSession& session = *entry.session;
  if (entry.previous && session.validated()) entry.previous.reset();
  if (entry.previous && host_.now() - entry.moved_at >= options_.move_timeout) {
    const Endpoint back = *std::exchange(entry.previous, std::nullopt);
    if (!by_endpoint_.contains(back)) move_to(entry, back);
  }
  const bool fresh = hand(entry, packet, wire_bytes);
  if (from == entry.endpoint || !fresh || session.state() == KcpSession::State::ended) return;
  if (by_endpoint_.contains(from)) return;  // another session is at home there
  // It comes from elsewhere, was made with the key, and says what no recorded datagram can say. An unvalidated path
  // gets little, and is given up when it stays silent.
  if (!entry.previous) entry.previous = entry.endpoint;
  entry.moved_at = host_.now();
  move_to(entry, from);
  session.restart_validation(wire_bytes);
  environment_.counters.path_changes.add();
}

// Only what comes from the peer makes a session more than half-open.
bool KcpTable::hand(Entry& entry, Bytes packet, std::size_t wire_bytes) {
  const bool fresh = entry.session->handle_packet(packet, wire_bytes);
  if (entry.half_open && !entry.session->half_open()) {
    entry.half_open = false;
    --half_open_;
  }
  return fresh;
}

void KcpTable::move_to(Entry& entry, const Endpoint& to) {
  auto node = by_endpoint_.extract(entry.endpoint);
  node.key() = to;
  entry.endpoint = to;
  by_endpoint_.insert(std::move(node));
}

bool KcpTable::may_replace(const Entry& old, const Opener& opener) const noexcept {
  if (!opener.push_zero) return false;
  switch (options_.replace) {
    case KcpTableOptions::Replace::never:
      return false;
    case KcpTableOptions::Replace::push_zero:
      return true;
    case KcpTableOptions::Replace::when_silent:
      break;
  }
  return host_.now() - old.session->last_heard() >= options_.replace_after;
}

bool KcpTable::is_quiet(const Endpoint& from, std::uint32_t conv) {
  const auto found = quiet_.find({from, conv});
  if (found == quiet_.end() || found->second.until <= host_.now()) return false;
  environment_.counters.tombstone_drops.add();
  if (found->second.cookie != 0 && found->second.resets < kResetsMax) {
    ++found->second.resets;
    std::array<std::byte, 128> reset;
    const std::size_t size = KcpSession::write_reset(environment_, conv, found->second.cookie, reset);
    table_host_.send(from, Bytes(reset).first(size));
  }
  return true;
}

bool KcpTable::take_token(const Endpoint& from) {
  Endpoint prefix{};
  std::copy_n(from.address.begin(), is_v4(from) ? 15 : 8, prefix.address.begin());
  Bucket& bucket = buckets_[hash_(prefix) % kBuckets];
  const TimePoint now = host_.now();
  const double burst = options_.prefix_burst;
  if (!std::exchange(bucket.used, true))
    bucket.tokens = burst;
  else
    bucket.tokens = std::min(burst, bucket.tokens + std::chrono::duration<double>(now - bucket.at).count() *
                                                        static_cast<double>(options_.prefix_rate));
  bucket.at = now;
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

void KcpTable::remember(std::uint64_t nonce_id) {
  if (nonces_[0].size() >= options_.replay_max || host_.now() - nonces_since_ >= options_.replay_time) {
    nonces_[1] = std::exchange(nonces_[0], std::unordered_set<std::uint64_t, Hash>(16, hash_));
    nonces_since_ = host_.now();
  }
  nonces_[0].insert(nonce_id);
}

void KcpTable::open(const Endpoint& from, std::uint32_t conv, Bytes packet, std::size_t wire_bytes) {
  KcpCounters& counters = environment_.counters;
  if (!take_token(from)) {
    counters.opener_rate_limited.add();
    return;
  }
  if (backlog_ >= options_.backlog_max) {
    counters.backlog_drops.add();
    return;
  }
  if (by_endpoint_.size() >= options_.sessions_max || half_open_ >= options_.half_open_max) {
    counters.session_limit_drops.add();
    return;
  }
  auto entry = std::make_unique<Entry>();
  entry->endpoint = from;
  entry->session =
      std::make_unique<KcpSession>(host_, environment_, session_options_, conv, KcpSession::Role::accepted);
  entry->session->set_owner(entry.get());
  KcpSession& session = *entry->session;
  Entry& opened = *entry;
  by_conv_.emplace(conv, entry.get());
  by_endpoint_.emplace(from, std::move(entry));
  ++backlog_;
  ++half_open_;
  table_host_.on_session(session, from);
  hand(opened, packet, wire_bytes);
}

void KcpTable::remove(KcpSession& session) {
  Entry& entry = entry_of(session);
  const Name name{entry.endpoint, session.conv()};
  if (!entry.accepted) --backlog_;
  if (entry.half_open) --half_open_;
  if (const auto conv = by_conv_.find(session.conv()); conv != by_conv_.end() && conv->second == &entry)
    by_conv_.erase(conv);
  const TimePoint until = after(host_.now(), options_.quiet_time);
  const std::uint64_t cookie = session.extension_agreed() ? session.extension_cookie() : 0;
  auto found = by_endpoint_.find(entry.endpoint);
  // A session that was replaced stands under a name of its own.
  if (found == by_endpoint_.end() || found->second.get() != &entry)
    found = std::ranges::find_if(by_endpoint_, [&entry](const auto& item) { return item.second.get() == &entry; });
  WAYPORT_ASSERT(found != by_endpoint_.end(), "a session of another table");
  by_endpoint_.erase(found);
  while (!quiet_order_.empty()) {
    const auto oldest = quiet_.find(quiet_order_.front());
    if (oldest != quiet_.end() && oldest->second.until > host_.now() && quiet_order_.size() < options_.quiet_max) break;
    if (oldest != quiet_.end()) quiet_.erase(oldest);
    quiet_order_.pop_front();
  }
  if (options_.quiet_max == 0) return;
  if (quiet_.insert_or_assign(name, Quiet{until, cookie, 0}).second) quiet_order_.push_back(name);
}

}  // namespace wayport::transport::kcp

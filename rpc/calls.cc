#include "wayport/rpc/calls.h"

#include <algorithm>

#include "wayport/rpc/session_core.h"

namespace wayport::rpc {

CallTable::~CallTable() { static_cast<void>(take_all()); }

Duration PendingCall::cost() const noexcept {
  return started_ == TimePoint() ? Duration::zero() : session_->host().now() - started_;
}

void CallTable::insert(std::uint64_t seq, std::unique_ptr<PendingCall> call) {
  if (size_ >= buckets_.size()) grow();
  PendingCall*& bucket = buckets_[seq & (buckets_.size() - 1)];
  call->seq_ = seq;
  call->next_in_bucket_ = bucket;
  bucket = call.release();
  ++size_;
}

std::unique_ptr<PendingCall> CallTable::take(std::uint64_t seq) noexcept {
  if (buckets_.empty()) return nullptr;
  PendingCall** link = &buckets_[seq & (buckets_.size() - 1)];
  while (*link && (*link)->seq_ != seq) link = &(*link)->next_in_bucket_;
  PendingCall* found = *link;
  if (!found) return nullptr;
  *link = found->next_in_bucket_;
  --size_;
  return std::unique_ptr<PendingCall>(found);
}

std::vector<std::unique_ptr<PendingCall>> CallTable::take_all() {
  std::vector<std::unique_ptr<PendingCall>> all;
  all.reserve(size_);
  for (PendingCall* call : buckets_) {
    while (call) {
      PendingCall* next = call->next_in_bucket_;
      all.emplace_back(call);
      call = next;
    }
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a->seq_ < b->seq_; });
  buckets_.clear();
  size_ = 0;
  return all;
}

std::vector<std::unique_ptr<PendingCall>> CallTable::take_from(std::uint64_t seq) {
  std::vector<std::uint64_t> later;
  for (const PendingCall* call : buckets_) {
    for (; call; call = call->next_in_bucket_) {
      if (call->seq_ >= seq) later.push_back(call->seq_);
    }
  }
  std::sort(later.begin(), later.end());
  std::vector<std::unique_ptr<PendingCall>> taken;
  taken.reserve(later.size());
  for (const std::uint64_t each : later) taken.push_back(take(each));
  return taken;
}

void CallTable::grow() {
  std::vector<PendingCall*> old(std::max<std::size_t>(8, buckets_.size() * 2));
  old.swap(buckets_);
  for (PendingCall* call : old) {
    while (call) {
      PendingCall* next = call->next_in_bucket_;
      PendingCall*& bucket = buckets_[call->seq_ & (buckets_.size() - 1)];
      call->next_in_bucket_ = bucket;
      bucket = call;
      call = next;
    }
  }
}

}  // namespace wayport::rpc

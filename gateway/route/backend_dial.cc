#include "wayport/gateway/route/backend_dial.h"

#include <algorithm>
#include <optional>

#include "wayport/base/bytes.h"
#include "wayport/gateway/route/own_addresses.h"

namespace wayport::route {
namespace {

constexpr std::size_t kReasonBytesMax = 2048;

class Operation final : public BackendDial, private TurnEnd {
 public:
  Operation(Loop& loop, const transport::Transports& transports, NameLookup& names,
            std::shared_ptr<const AllowList> allow, BackendDialOptions options, OnBackend on_done)
      : loop_(loop),
        transports_(transports),
        names_(names),
        allow_(std::move(allow)),
        options_(std::move(options)),
        attempts_max_(options_.retries + 1),
        on_done_(std::move(on_done)) {}

  void begin(std::vector<Backend> backends) {
    WAYPORT_ASSERT(!backends.empty() && options_.attempt_timeout > Duration::zero(), "there is something to dial");
    for (Backend& backend : backends) {
      AllowDecision decision = allow_->decide(backend.target);
      if (decision.verdict == AllowDecision::Verdict::refused) {
        note(RouteError::forbidden, decision.why);
        continue;
      }
      Candidate candidate{std::move(backend), std::move(decision.rule), {}};
      if (decision.allowed()) candidate.addresses = {*IpAddress::parse(candidate.backend.target.host)};
      candidates_.push_back(std::move(candidate));
    }
    if (candidates_.empty()) return finish_refused();
    limit_ = loop_.now();
    for (unsigned i = 0; i < attempts_max_ && limit_ != kNever; ++i) limit_ = after(limit_, options_.attempt_timeout);
    loop_.arm(deadline_, limit_);
    start_attempt();
  }

 private:
  struct Candidate {
    Backend backend;
    std::string rule;
    std::vector<IpAddress> addresses;  // checked; empty: not looked up yet
  };
  struct Call final : Timer {
    Call(Operation& of, void (Operation::*what)()) : owner(of), member(what) {}
    void on_timer() override { (owner.*member)(); }
    Operation& owner;
    void (Operation::*member)();
  };

  Candidate& current() { return candidates_[turn_]; }

  void start_attempt() {
    ++attempts_;
    next_address_ = 0;
    timed_out_ = false;
    attempt_ends_ = std::min(after(loop_.now(), options_.attempt_timeout), limit_);
    if (attempt_ends_ < limit_) loop_.arm(attempt_deadline_, attempt_ends_);
    if (!current().addresses.empty()) return dial_next();
    const Target& target = current().backend.target;
    lookup_ = names_.lookup(loop_, target.host, target.port, [this](Result<std::vector<SocketAddress>> found) {
      loop_.delete_later(std::move(lookup_));
      handle_lookup(std::move(found));
    });
  }

  void handle_lookup(Result<std::vector<SocketAddress>> found) {
    Candidate& candidate = current();
    if (!found) {
      timed_out_ = found.error().code == ErrorCode::timed_out;
      note(RouteError::resolve_failed, found.error().to_string());
      return end_attempt();
    }
    std::vector<IpAddress> addresses;
    for (const SocketAddress& address : *found) {
      if (const auto ip = ip_of(address)) addresses.push_back(*ip);
    }
    if (addresses.empty()) {
      note(RouteError::resolve_failed,
           escape(to_string(candidate.backend.target), kTargetBytesMax) + " has no address");
      return end_attempt();
    }
    AllowDecision decision = allow_->decide_addresses(candidate.backend.target, addresses);
    if (!decision.allowed()) {
      note(RouteError::forbidden, decision.why);
      --attempts_;  // nothing was tried
      timed_out_ = false;
      return end_attempt();
    }
    if (addresses.size() > options_.addresses_max) addresses.resize(options_.addresses_max);
    candidate.rule = std::move(decision.rule);
    candidate.addresses = std::move(addresses);
    dial_next();
  }

  void dial_next() {
    const Candidate& candidate = current();
    const IpAddress address = candidate.addresses[next_address_++];
    const Result<transport::Address> to = candidate.backend.dial_address(address, options_.transport);
    if (!to) {
      note(RouteError::internal, to.error().to_string());
      return handle_all_failed();
    }
    transport::DialOptions how;
    how.stream = options_.stream;
    how.timeout = std::max(attempt_ends_ - loop_.now(), Duration(1));  // the deadline is of this turn
    const std::uint64_t id = ++dials_;
    std::string shown = to->to_log();
    underway_.push_back({id, nullptr});
    const auto dial = std::ranges::find(underway_, id, &Dialing::id);
    dial->dial =
        transports_.dial(loop_, *to, how, [this, id, shown](Result<std::unique_ptr<transport::Stream>> stream) {
          handle_dialed(id, shown, std::move(stream));
        });
    if (next_address_ < candidate.addresses.size()) loop_.arm(next_, after(loop_.now(), options_.address_wait));
  }

  void handle_dialed(std::uint64_t id, const std::string& shown, Result<std::unique_ptr<transport::Stream>> stream) {
    const auto found = std::ranges::find(underway_, id, &Dialing::id);
    loop_.delete_later(std::move(found->dial));
    underway_.erase(found);
    if (stream) {
      const Candidate& candidate = current();
      return finish(BackendStream{*std::move(stream), candidate.backend.to_log(), shown, candidate.rule, attempts_});
    }
    timed_out_ = timed_out_ || stream.error().code == ErrorCode::timed_out;
    note(route_error_of_dial(stream.error()), stream.error().to_string());
    loop_.disarm(next_);
    if (next_address_ < current().addresses.size()) return dial_next();
    handle_all_failed();
  }
  void handle_all_failed() {
    if (underway_.empty()) end_attempt();
  }

  void handle_attempt_deadline() {
    const std::string shown = current().backend.to_log();
    const std::string limit = " within " + format_duration(options_.attempt_timeout) + " (dial_timeout)";
    if (lookup_) {
      note(RouteError::resolve_failed, "no address of " + shown + limit);
    } else {
      note(RouteError::dial_timeout, "no connection to " + shown + limit);
    }
    timed_out_ = true;
    end_attempt();
  }
  void handle_deadline() {
    if (attempts_max_ == 1) return handle_attempt_deadline();  // the same time
    const std::string limit = " in the time of all attempts";
    if (lookup_) {
      note(RouteError::resolve_failed, "no address of " + current().backend.to_log() + limit);
    } else if (!underway_.empty()) {
      note(RouteError::dial_timeout, "no connection to " + current().backend.to_log() + limit);
    }
    finish_refused();
  }

  void end_attempt() {
    stop();
    if (attempts_ >= attempts_max_) return finish_refused();
    if (timed_out_) {
      ++turn_;
    } else {
      candidates_.erase(candidates_.begin() + static_cast<std::ptrdiff_t>(turn_));
    }
    if (candidates_.empty()) return finish_refused();
    // A backend that was not tried yet need not wait, but only those are in the first round.
    if (turn_ < candidates_.size() && first_round_) return start_attempt();
    first_round_ = false;
    turn_ %= candidates_.size();
    loop_.arm(retry_, after(loop_.now(), options_.retry_wait));
  }

  void stop() {
    // At once, so that none of them calls back. The one whose callback is on the stack has left the list.
    underway_.clear();
    lookup_.reset();
    loop_.disarm(next_);
    loop_.disarm(retry_);
    loop_.disarm(attempt_deadline_);
  }

  void note(RouteError code, std::string_view reason) {
    code_ = code;
    if (reason == last_reason_) return;
    last_reason_ = reason;
    if (reasons_.size() + reason.size() > kReasonBytesMax) reasons_ = "...";
    reasons_ += (reasons_.empty() ? "" : "; ") + std::string(reason);
  }
  void finish_refused() {
    std::string reason = std::move(reasons_);
    if (attempts_ > 1) reason += " (" + std::to_string(attempts_) + " attempts)";
    finish(std::unexpected<Refusal>(Refusal{code_, std::move(reason)}));
  }
  void finish(BackendOutcome outcome) {
    if (outcome_) return;
    outcome_.emplace(std::move(outcome));
    stop();
    loop_.disarm(deadline_);
    loop_.at_turn_end(*this);
  }
  void on_turn_end() override {
    OnBackend on_done = std::move(on_done_);
    BackendOutcome outcome = *std::move(outcome_);
    on_done(std::move(outcome));  // `this` may be gone
  }

  struct Dialing {
    std::uint64_t id;
    std::unique_ptr<transport::Dial> dial;
  };

  Loop& loop_;
  const transport::Transports& transports_;
  NameLookup& names_;
  const std::shared_ptr<const AllowList> allow_;
  const BackendDialOptions options_;
  const unsigned attempts_max_;
  OnBackend on_done_;
  std::vector<Candidate> candidates_;
  std::size_t turn_ = 0;  // whose attempt it is
  bool first_round_ = true;
  bool timed_out_ = false;  // some part of this attempt
  TimePoint limit_{};       // of all attempts
  unsigned attempts_ = 0;
  std::size_t next_address_ = 0;
  TimePoint attempt_ends_{};
  std::unique_ptr<transport::Lookup> lookup_;
  std::vector<Dialing> underway_;
  std::uint64_t dials_ = 0;
  Call next_{*this, &Operation::dial_next};
  Call retry_{*this, &Operation::start_attempt};
  Call attempt_deadline_{*this, &Operation::handle_attempt_deadline};
  Call deadline_{*this, &Operation::handle_deadline};
  RouteError code_ = RouteError::internal;
  std::string reasons_;
  std::string last_reason_;
  std::optional<BackendOutcome> outcome_;
};

}  // namespace

std::unique_ptr<BackendDial> dial_backend(Loop& loop, const transport::Transports& transports, NameLookup& names,
                                          std::shared_ptr<const AllowList> allow, std::vector<Backend> backends,
                                          BackendDialOptions options, OnBackend on_done) {
  auto operation =
      std::make_unique<Operation>(loop, transports, names, std::move(allow), std::move(options), std::move(on_done));
  operation->begin(std::move(backends));
  return operation;
}

}  // namespace wayport::route

#include "wayport/gateway/route/explain.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/framing/json_value.h"
#include "wayport/gateway/route/own_addresses.h"

namespace wayport::route {
namespace {

std::string_view verdict_name(AllowDecision::Verdict verdict) noexcept {
  switch (verdict) {
    case AllowDecision::Verdict::allowed:
      return "allowed";
    case AllowDecision::Verdict::resolve:
      return "depends on its addresses";
    case AllowDecision::Verdict::refused:
      return "refused";
  }
  return "refused";
}

std::string_view result_text(ExplainOutcome outcome) noexcept {
  switch (outcome) {
    case ExplainOutcome::would_dial:
      return "would be dialed";
    case ExplainOutcome::depends:
      return "depends on the addresses of the name, which was not looked up";
    case ExplainOutcome::refused:
      break;
  }
  return "refused";
}

class Operation final : public Explaining {
 public:
  Operation(Loop& loop, ExplainInput input, OnExplained on_done)
      : loop_(loop), input_(std::move(input)), on_done_(std::move(on_done)) {}

  void begin(const std::string& identify) {
    result_.route = input_.options->name;
    result_.resolver = input_.options->resolver;
    result_.identify = input_.resolver->identify_is_secret()
                           ? "(a secret of " + std::to_string(identify.size()) + " bytes)"
                           : escape(identify);
    if (identify.empty() || identify.size() > input_.options->identify_bytes_max) {
      const std::string limit = std::to_string(input_.options->identify_bytes_max);
      resolution_ =
          known_outcome(loop_,
                        refuse(RouteError::bad_request,
                               "an identify has 1 to " + limit + " bytes, this one " + std::to_string(identify.size())),
                        [this](ResolveOutcome outcome) { handle_outcome(std::move(outcome)); });
      return;
    }
    resolution_ = input_.resolver->resolve(loop_, {identify, nullptr},
                                           [this](ResolveOutcome outcome) { handle_outcome(std::move(outcome)); });
  }

 private:
  void handle_outcome(ResolveOutcome outcome) {
    loop_.delete_later(std::move(resolution_));
    if (!outcome) {
      result_.code = outcome.error().code;
      result_.reason = std::move(outcome.error().reason);
      return finish();
    }
    result_.how = std::move(outcome->how);
    result_.claims = std::move(outcome->claims);
    backends_ = std::move(outcome->backends);
    if (backends_.empty()) {
      result_.code = RouteError::internal;
      result_.reason = "resolver \"" + input_.options->resolver + "\" named no backend";
      return finish();
    }
    next_backend();
  }

  void next_backend() {
    for (; at_ < backends_.size(); ++at_) {
      const Backend& backend = backends_[at_];
      ExplainedBackend& told = result_.backends.emplace_back();
      told.backend = backend.to_log();
      if (backend.transport) {
        told.transport = backend.transport->to_string();
      } else {
        const Result<BackendTransport> own = BackendTransport::parse(input_.options->backend_transport);
        told.transport = own ? own->to_string() : input_.options->backend_transport;
      }
      told.decision = input_.allow->decide(backend.target);
      if (told.decision.allowed()) told.addresses.push_back(backend.target.host);
      if (told.decision.verdict != AllowDecision::Verdict::resolve || !input_.names) continue;
      lookup_ = input_.names->lookup(loop_, backend.target.host, backend.target.port,
                                     [this](Result<std::vector<SocketAddress>> found) {
                                       loop_.delete_later(std::move(lookup_));
                                       handle_lookup(std::move(found));
                                     });
      return;
    }
    finish();
  }

  void handle_lookup(Result<std::vector<SocketAddress>> found) {
    ExplainedBackend& told = result_.backends.back();
    if (!found) {
      told.lookup_error = found.error().to_string();
    } else {
      std::vector<IpAddress> addresses;
      for (const SocketAddress& address : *found) {
        if (const auto ip = ip_of(address)) addresses.push_back(*ip);
      }
      told.decision = input_.allow->decide_addresses(backends_[at_].target, addresses);
      for (const IpAddress& address : addresses) told.addresses.push_back(address.to_string());
    }
    ++at_;
    next_backend();
  }

  void judge(const ExplainedBackend& told) {
    const AllowDecision::Verdict verdict = told.decision.verdict;
    if (verdict == AllowDecision::Verdict::refused) {
      result_.code = RouteError::forbidden;
      result_.reason = told.decision.why;
    } else if (!told.lookup_error.empty()) {
      result_.code = RouteError::resolve_failed;
      result_.reason = told.lookup_error;
    } else if (verdict == AllowDecision::Verdict::allowed) {
      result_.outcome = ExplainOutcome::would_dial;
    } else if (result_.outcome == ExplainOutcome::refused) {
      result_.outcome = ExplainOutcome::depends;
    }
  }

  void finish() {
    for (const ExplainedBackend& told : result_.backends) judge(told);
    if (result_.outcome != ExplainOutcome::refused) {
      result_.code.reset();
      result_.reason.clear();
    }
    OnExplained on_done = std::move(on_done_);
    Explanation result = std::move(result_);
    on_done(std::move(result));  // `this` may be gone
  }

  Loop& loop_;
  const ExplainInput input_;
  OnExplained on_done_;
  Explanation result_;
  std::vector<Backend> backends_;
  std::size_t at_ = 0;
  std::unique_ptr<Resolution> resolution_;
  std::unique_ptr<transport::Lookup> lookup_;
};

}  // namespace

std::string_view to_string(ExplainOutcome outcome) noexcept {
  switch (outcome) {
    case ExplainOutcome::would_dial:
      return "would_dial";
    case ExplainOutcome::depends:
      return "depends";
    case ExplainOutcome::refused:
      return "refused";
  }
  return "unknown";
}

std::string Explanation::to_text() const {
  std::string text = "route     " + route + "\nresolver  " + resolver + "\nidentify  " + identify + "\n";
  if (!how.empty()) text += "resolved  by " + how + "\n";
  for (const auto& [name, value] : claims) text += "claim     " + escape(name, 64) + " = " + escape(value) + "\n";
  for (const ExplainedBackend& told : backends) {
    text += "backend   " + told.backend + " over " + told.transport + "\n";
    text += "  " + std::string(verdict_name(told.decision.verdict)) + ": " + told.decision.why + "\n";
    if (!told.decision.rule.empty()) text += "  rule: " + escape(told.decision.rule) + "\n";
    for (const std::string& address : told.addresses) text += "  address: " + address + "\n";
    if (!told.lookup_error.empty()) text += "  lookup: " + told.lookup_error + "\n";
  }
  text += code ? "refused   " + std::string(route::to_string(*code)) + ": " + reason + "\n"
               : "result    " + std::string(result_text(outcome)) + "\n";
  return text;
}

std::string Explanation::to_json() const {
  namespace json = boost::json;
  json::object object;
  object["route"] = route;
  object["resolver"] = resolver;
  object["identify"] = identify;
  object["outcome"] = std::string(route::to_string(outcome));
  object["would_dial"] = would_dial();
  if (code) {
    object["code"] = std::string(route::to_string(*code));
    object["reason"] = reason;
  }
  object["how"] = how;
  json::object& all_claims = object["claims"].emplace_object();
  for (const auto& [name, value] : claims) all_claims[name] = value;
  json::array& list = object["backends"].emplace_array();
  for (const ExplainedBackend& told : backends) {
    json::object one;
    one["backend"] = told.backend;
    one["transport"] = told.transport;
    one["verdict"] = told.decision.verdict == AllowDecision::Verdict::resolve
                         ? "resolve"
                         : std::string(verdict_name(told.decision.verdict));
    one["rule"] = told.decision.rule;
    one["why"] = told.decision.why;
    json::array& addresses = one["addresses"].emplace_array();
    for (const std::string& address : told.addresses) addresses.emplace_back(address);
    if (!told.lookup_error.empty()) one["lookup_error"] = told.lookup_error;
    list.push_back(std::move(one));
  }
  Chain chain;
  const Result<void> written = framing::write_json(object, chain);
  return written ? chain.to_string() : "{}";
}

std::unique_ptr<Explaining> explain(Loop& loop, ExplainInput input, std::string identify, OnExplained on_done) {
  auto operation = std::make_unique<Operation>(loop, std::move(input), std::move(on_done));
  operation->begin(identify);
  return operation;
}

}  // namespace wayport::route

// Whatever two sessions are told and whatever bytes arrive: every pull has exactly one outcome, and a close always ends.
// Unless bytes were forged: the outcome is that of this pull and no other, by the number that it carries; each pull is
// executed at most once, by the other side; and one that is said to be unexecuted was not and will not be.
//
// Input: operations, one byte each with their operands behind it; see the switch.
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "wayport/base/bytes.h"
#include "wayport/framing/body_ops.h"
#include "wayport/framing/protocol.h"
#include "wayport/rpc/session_core.h"
#include "wayport/rpc/testing/session_pair.h"

namespace wayport::rpc {
namespace {

using testing::End;
using testing::Pair;

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}
  bool empty() const { return rest_.empty(); }
  std::uint8_t u8() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(rest_[0]);
    rest_.remove_prefix(1);
    return value;
  }
  std::string_view take(std::size_t size) {
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view rest_;
};

// One pull, from the call to its outcome.
struct Pull {
  const End* caller;
  std::string uri;
  std::string said;  // with the pull's number: the body if it has one, else the query
  int outcomes = 0;
  int executions = 0;
  bool never_executed = false;  // as the outcome says
};

std::string_view said_by(const Call& call) { return call.has_body() ? as_text(call.packet().body) : call.raw_query(); }

// All pulls, by number. Both sessions end before it.
class Pulls {
 public:
  // From here on bytes may say anything.
  bool forged = false;

  void start(End& caller, std::string_view uri, const std::string& text, Duration timeout);
  // `callee` begins to execute it.
  void executed(const End& callee, const Call& call) {
    if (forged) return;
    const std::string_view said = said_by(call);
    const std::string_view digits = call.has_body() ? said : said.substr(said.rfind('=') + 1);
    std::size_t number = 0;
    WAYPORT_ASSERT(std::from_chars(digits.data(), digits.data() + digits.size(), number).ec == std::errc() &&
                       number < all_.size() && all_[number].said == said,
                   "it says what a pull said");
    Pull& pull = all_[number];
    WAYPORT_ASSERT(pull.caller != &callee && call.header().uri == pull.uri, "executed by the other side, as asked");
    ++pull.executions;
    WAYPORT_ASSERT(pull.executions == 1, "a pull is executed once");
    WAYPORT_ASSERT(!pull.never_executed, "a pull that is said to be unexecuted is not executed later");
  }
  void replied(std::size_t number, const std::string& text) {
    Pull& pull = count_outcome(number);
    if (forged) return;
    WAYPORT_ASSERT(pull.executions == 1, "who replies has executed");
    const std::string_view path = std::string_view(pull.uri).substr(0, pull.uri.find('?'));
    const std::string wanted = path == "/echo" ? "echo:" + pull.said : path == "/later" ? "late:" + pull.said : "";
    WAYPORT_ASSERT(text == wanted && path != "/throw", "the reply to this pull");
  }
  void failed(std::size_t number, const Status& status) {
    Pull& pull = count_outcome(number);
    if (forged) return;
    pull.never_executed = status.never_executed || status.code == code::kNotFound || status.code == code::kBadUri;
    WAYPORT_ASSERT(!pull.never_executed || pull.executions == 0, "what is said to be unexecuted was not executed");
    WAYPORT_ASSERT(
        status.code != kThrown || (pull.uri.starts_with("/throw") && pull.executions == 1 && status.text == "thrown"),
        "the failure of this pull");
  }
  void check_all_have_ended() const {
    for (const Pull& pull : all_) WAYPORT_ASSERT(pull.outcomes == 1, "one outcome per pull");
  }

  static constexpr std::int32_t kThrown = 1001;

 private:
  Pull& count_outcome(std::size_t number) {
    Pull& pull = all_[number];
    ++pull.outcomes;
    WAYPORT_ASSERT(pull.outcomes == 1, "never a second outcome");
    return pull;
  }

  std::deque<Pull> all_;
};

// Tells the outcome of one pull.
class Outcome final : public PendingCall {
 public:
  Outcome(Pulls& pulls, std::size_t number) : pulls_(pulls), number_(number) {}
  void on_reply(const framing::PacketView& packet, framing::ProtocolContext& context) override {
    std::string text;
    if (packet.has_body_codec) {
      const Result<void> decoded = framing::decode_body(packet, context, {&framing::body_ops<std::string>(), &text});
      WAYPORT_ASSERT(decoded || pulls_.forged, "replies decode");
    }
    pulls_.replied(number_, text);
  }
  void on_failed(Status status) override { pulls_.failed(number_, status); }

 private:
  Pulls& pulls_;
  const std::size_t number_;
};

void Pulls::start(End& caller, std::string_view uri, const std::string& text, Duration timeout) {
  const std::size_t number = all_.size();
  Pull& pull = all_.emplace_back(&caller, std::string(uri));
  Request request;
  request.timeout = timeout;
  if (!text.empty()) {
    pull.said = std::to_string(number) + ":";
    pull.said += std::string_view(text).substr(std::min(pull.said.size(), text.size()));
    request.body = End::string_body(pull.said);
  } else if (!uri.empty()) {
    pull.uri += (uri.contains('?') ? "&n=" : "?n=") + std::to_string(number);
    pull.said = pull.uri.substr(pull.uri.find('?') + 1);
  }
  request.uri = pull.uri;
  caller.core().pull(request, std::make_unique<Outcome>(*this, number));
  WAYPORT_ASSERT(pull.outcomes == 0, "no outcome from inside the call");
}

// What handlers have put off. Calls must go before the sessions.
class Handlers {
 public:
  explicit Handlers(Pulls& pulls) : pulls_(pulls) {}
  void add_to(End& end) {
    on_pull(end, "/echo", [](Call& call) {
      testing::reply_text(call, "echo:" + (call.has_body() ? testing::body_of(call) : std::string(call.raw_query())));
    });
    on_pull(end, "/later", [this](Call& call) {
      if (auto deferred = call.defer()) waiting_.push_back(std::move(deferred));
    });
    on_pull(end, "/throw", [](Call&) { throw StatusError(Pulls::kThrown, "thrown"); });
    on_pull(end, "/close", [&end](Call& call) {
      end.core().close(CloseReason::local(ErrorCode::local_closed, "by a handler"));
      call.reply_empty();
    });
    on_pull(end, "/back", [this, &end](Call& call) {
      pulls_.start(end, "/echo", "from inside", {});
      call.reply_empty();
    });
    end.on_push("/note", [](Call& call) { static_cast<void>(testing::body_of(call)); });
  }
  void release(std::size_t index, bool answer) {
    if (waiting_.empty()) return;
    const auto at = waiting_.begin() + static_cast<std::ptrdiff_t>(index % waiting_.size());
    const std::unique_ptr<DeferredCall> call = std::move(*at);
    waiting_.erase(at);
    if (answer) testing::reply_text(*call, "late:" + std::string(said_by(*call)));
  }
  void release_all() {
    while (!waiting_.empty()) release(0, false);
  }

 private:
  void on_pull(End& end, const char* path, std::function<void(Call&)> run) {
    end.on_pull(path, [this, &end, run = std::move(run)](Call& call) {
      pulls_.executed(end, call);
      run(call);
    });
  }

  Pulls& pulls_;
  std::vector<std::unique_ptr<DeferredCall>> waiting_;
};

void run(Input input) {
  SessionOptions options;
  options.calls_max = 16;
  options.handlers_max = 4;
  options.output_high_water_bytes = 500;
  options.output_bytes_max = 4000;
  options.limits.packet_bytes_max = 2000;
  options.limits.inflated_bytes_max = 4000;
  options.read_timeout = std::chrono::seconds(5);
  options.write_timeout = std::chrono::seconds(2);
  options.close_timeout = std::chrono::seconds(3);
  Pulls pulls;
  Handlers handlers(pulls);
  Pair pair(options, options);
  handlers.add_to(pair.left);
  handlers.add_to(pair.right);
  pair.left.pressure_at = pair.right.pressure_at = 700;
  static constexpr std::string_view kUris[] = {"/echo?a=1", "/later", "/throw", "/none",
                                               "/a%zz",     "/close", "/back",  ""};

  for (int operations = 0; operations < 200 && !input.empty(); ++operations) {
    const std::uint8_t operation = input.u8();
    End& end = operation & 0x80 ? pair.left : pair.right;
    switch (operation & 0x0f) {
      case 0:
      case 1: {
        const std::uint8_t how = input.u8();
        pulls.start(end, kUris[how & 7], std::string(how >> 2, 'x'), std::chrono::milliseconds(how & 8 ? how : 0));
        break;
      }
      case 2:
        static_cast<void>(end.push("/note", std::string(input.u8(), 'n')));
        break;
      case 3:
        pair.drive(1 + input.u8());
        break;
      case 4:
        pair.advance(std::chrono::milliseconds(10) * input.u8());
        break;
      case 5:
        end.core().close(CloseReason::local(ErrorCode::local_closed, "fuzzed"));
        break;
      case 6:
        end.core().cancel(input.u8());
        break;
      case 7:
        handlers.release(input.u8(), operation & 0x10);
        break;
      case 8:
        pair.partitioned = !pair.partitioned;
        break;
      case 9:
        end.core().abort(CloseReason::local(ErrorCode::local_closed, "fuzzed"));
        break;
      case 10:
        pulls.forged = true;
        end.receive(input.take(input.u8()));
        break;  // any bytes at all
      case 11:
        pulls.forged = true;
        end.receive(testing::packet(input.take(input.u8() & 0x7f), input.take(input.u8() & 0x3f)));
        break;
      case 12:
        end.core().handle_read_end();
        break;
      case 13:
        end.core().set_read_timeout(std::chrono::milliseconds(input.u8() * 20));
        break;
      case 14:
        end.core().handle_closed(CloseReason::peer(ErrorCode::peer_closed, "fuzzed"));
        end.closed = true;
        break;
      default:
        pair.drive();
        break;
    }
    WAYPORT_ASSERT(end.outbox.size() < 64 * 1024, "output stays bounded");
  }

  pair.partitioned = false;
  handlers.release_all();
  for (End* end : {&pair.left, &pair.right}) end->core().close(CloseReason::local(ErrorCode::local_closed, "the end"));
  for (int i = 0; i < 10; ++i) {
    pair.advance(std::chrono::seconds(1));
    handlers.release_all();
  }
  WAYPORT_ASSERT(pair.left.closed && pair.right.closed, "a close always ends");
  pulls.check_all_have_ended();
  WAYPORT_ASSERT(pair.left.core().running_handlers() == 0 && pair.right.core().running_handlers() == 0,
                 "every handler is accounted for");
}

}  // namespace
}  // namespace wayport::rpc

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  wayport::rpc::run(wayport::rpc::Input(data, size));
  return 0;
}

// Whatever two sessions are told and whatever bytes arrive: every pull has exactly one outcome, a close always ends, and
// a pull that is said to be unexecuted was not executed (unless bytes were forged).
//
// Input: operations, one byte each with their operands behind it; see the switch.
#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wayport/base/bytes.h"
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

// What handlers have put off. Calls must go before the sessions.
class Handlers {
 public:
  void add_to(End& end) {
    end.on_pull("/echo", [this, &end](Call& call) {
      ++executed_by(end);
      testing::echo(call);
    });
    end.on_pull("/later", [this, &end](Call& call) {
      ++executed_by(end);
      if (auto deferred = call.defer()) waiting_.push_back(std::move(deferred));
    });
    end.on_pull("/throw", [this, &end](Call&) {
      ++executed_by(end);
      throw StatusError(1001, "thrown");
    });
    end.on_pull("/close", [this, &end](Call& call) {
      ++executed_by(end);
      end.core().close(CloseReason::local(ErrorCode::local_closed, "by a handler"));
      call.reply_empty();
    });
    end.on_pull("/back", [this, &end](Call& call) {
      ++executed_by(end);
      pull(end, "/echo", "from inside");
      call.reply_empty();
    });
    end.on_push("/note", [](Call& call) { static_cast<void>(testing::body_of(call)); });
  }
  void pull(End& end, std::string_view uri, const std::string& text, Duration timeout = {}) {
    ++pulls_;
    ++pulls_of_[&end];
    end.pull(uri, text, timeout);
  }
  void release(std::size_t index, bool answer) {
    if (waiting_.empty()) return;
    const auto at = waiting_.begin() + static_cast<std::ptrdiff_t>(index % waiting_.size());
    const std::unique_ptr<DeferredCall> call = std::move(*at);
    waiting_.erase(at);
    if (answer) testing::reply_text(*call, "late");
  }
  void release_all() {
    while (!waiting_.empty()) release(0, false);
  }
  std::size_t pulls() const { return pulls_; }
  std::size_t pulls_of(const End& end) { return pulls_of_[&end]; }
  std::size_t& executed_by(const End& end) { return executed_by_[&end]; }

 private:
  std::vector<std::unique_ptr<DeferredCall>> waiting_;
  std::size_t pulls_ = 0;
  std::map<const End*, std::size_t> pulls_of_;
  std::map<const End*, std::size_t> executed_by_;
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
  Handlers handlers;
  Pair pair(options, options);
  handlers.add_to(pair.left);
  handlers.add_to(pair.right);
  pair.left.pressure_at = pair.right.pressure_at = 700;
  static constexpr std::string_view kUris[] = {"/echo?a=1", "/later", "/throw", "/none",
                                               "/a%zz",     "/close", "/back",  ""};

  bool forged = false;
  for (int operations = 0; operations < 200 && !input.empty(); ++operations) {
    const std::uint8_t operation = input.u8();
    End& end = operation & 0x80 ? pair.left : pair.right;
    switch (operation & 0x0f) {
      case 0:
      case 1: {
        const std::uint8_t how = input.u8();
        handlers.pull(end, kUris[how & 7], std::string(how >> 2, 'x'), std::chrono::milliseconds(how & 8 ? how : 0));
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
        forged = true;
        end.receive(input.take(input.u8()));
        break;  // any bytes at all
      case 11:
        forged = true;
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
  WAYPORT_ASSERT(pair.left.outcomes.size() + pair.right.outcomes.size() == handlers.pulls(), "one outcome per pull");
  if (!forged) {
    for (const auto& [caller, callee] : {std::pair(&pair.left, &pair.right), std::pair(&pair.right, &pair.left)}) {
      const auto unexecuted = static_cast<std::size_t>(std::ranges::count_if(
          caller->outcomes, [](const testing::Outcome& outcome) { return outcome.status.never_executed; }));
      WAYPORT_ASSERT(handlers.executed_by(*callee) + unexecuted <= handlers.pulls_of(*caller),
                     "a pull that is said to be unexecuted was not executed");
    }
  }
  WAYPORT_ASSERT(pair.left.core().running_handlers() == 0 && pair.right.core().running_handlers() == 0,
                 "every handler is accounted for");
}

}  // namespace
}  // namespace wayport::rpc

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  wayport::rpc::run(wayport::rpc::Input(data, size));
  return 0;
}

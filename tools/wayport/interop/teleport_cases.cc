#include "wayport/tools/wayport/interop/teleport_cases.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <future>
#include <thread>

#include "wayport/base/bytes.h"
#include "wayport/tools/wayport/interop/failure.h"
#include "wayport/tools/wayport/interop/generator.h"
#include "wayport/tools/wayport/interop/teleport_body.h"
#include "wayport/tools/wayport/interop/teleport_routes.h"
#include "wayport/tools/wayport/interop/teleport_session.h"

namespace wayport::tools::interop {
namespace {

using rpc::Reply;
using rpc::Session;

constexpr Duration kBadBodyTime = std::chrono::seconds(5);
constexpr Duration kNotesTime = std::chrono::seconds(5);
constexpr std::size_t kBelowLimit = 60'000;
constexpr std::size_t kAboveLimit = 70'000;
constexpr std::size_t kBackBytes = 1000;
constexpr std::string_view kEcho = "/interop/echo";

std::string shown(std::string_view text) {
  constexpr std::size_t kShownMax = 60;
  const std::string size = std::to_string(text.size()) + " bytes";
  return size + " \"" + escape(text.substr(0, kShownMax)) + (text.size() > kShownMax ? "\"..." : "\"");
}
std::string shown(std::int64_t number) { return std::to_string(number); }

// What a browser's encodeURIComponent leaves as it is, and no more.
std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (kPlain.contains(c)) {
      encoded += c;
    } else {
      encoded += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return encoded;
}

class Client {
 public:
  Client(Runtime& runtime, const Settings& settings)
      : runtime_(runtime),
        settings_(settings),
        due_(after(runtime.clock().now(), settings.timeout)),
        peer_(runtime, {.session = session_options(settings)}) {
    add_routes(peer_, {.codec = settings.codec});
    take(peer_.start(), "a peer that starts");
    session_ = dial();
  }
  ~Client() {
    // What has failed is not waited for.
    if (passed_) peer_.close_blocking();
  }

  void run() {
    switch (settings_.what) {
      case Case::echo:
        echo();
        break;
      case Case::large:
        check_echo(session_, Generator(settings_.seed).letters(settings_.bytes));
        break;
      case Case::concurrent:
        concurrent();
        break;
      case Case::order:
        order();
        break;
      case Case::push:
        push();
        break;
      case Case::status:
        status();
        break;
      case Case::not_found:
        not_found();
        break;
      case Case::bad_body:
        bad_body();
        break;
      case Case::query:
        query();
        break;
      case Case::back:
        back();
        break;
      case Case::limit:
        limit();
        break;
      default:
        throw Failure("a case of Teleport was expected");
    }
    passed_ = true;
  }

 private:
  // --- steps ---

  Duration remaining() const {
    // Zero would be without end.
    return std::max<Duration>(due_ - runtime_.clock().now(), std::chrono::milliseconds(1));
  }
  Session dial() {
    return take(peer_.dial_blocking(settings_.address.to_string(), {.timeout = remaining()}), "a session");
  }
  rpc::CallOptions options() const {
    rpc::CallOptions options;
    options.timeout = remaining();
    options.gzip = settings_.what == Case::limit ? 0 : settings_.gzip;
    return options;
  }
  template <class R>
  std::future<Reply<R>> ask(const Session& session, std::string_view uri, const Value& argument) const {
    std::promise<Reply<R>> promise;
    std::future<Reply<R>> future = promise.get_future();
    interop::ask<R>(session, settings_.codec, uri, argument, options(),
                    [promise = std::move(promise)](Reply<R> reply) mutable { promise.set_value(std::move(reply)); });
    return future;
  }
  template <class R>
  static void check(std::string_view uri, Reply<R> reply, const R& expected) {
    const std::string answer = "status 200 and " + shown(expected) + " of " + std::string(uri);
    expect(reply.ok(), answer, reply.status().to_string());
    expect(*reply == expected, answer, shown(*reply));
  }
  template <class R>
  void check(const Session& session, std::string_view uri, const Value& argument, const R& expected) const {
    check(uri, ask<R>(session, uri, argument).get(), expected);
  }
  void check_echo(const Session& session, const std::string& text) const { check(session, kEcho, text, text); }
  // The status of the peer: any other outcome is none.
  void check_status(std::string_view uri, const Value& argument, std::int32_t code, std::string_view text) const {
    const Reply<std::string> reply = ask<std::string>(session_, uri, argument).get();
    const rpc::Status& status = reply.status();
    const bool right = !reply.ok() && status.origin == rpc::Status::Origin::remote && status.code == code &&
                       (text.empty() || status.text == text);
    expect(right, "status " + std::to_string(code) + " " + std::string(text) + " of " + std::string(uri),
           status.to_string());
  }

  // --- cases ---

  void echo() {
    Generator random(settings_.seed);
    for (std::uint32_t i = 0; i < settings_.count; ++i) {
      check_echo(session_, random.letters(random.length(settings_.bytes)));
    }
  }

  void concurrent() {
    Generator random(settings_.seed);
    const std::string letters = random.letters(settings_.count);
    std::vector<std::future<Reply<std::int64_t>>> replies;
    for (std::uint32_t i = 1; i <= settings_.count; ++i) {
      replies.push_back(ask<std::int64_t>(session_, "/interop/length", letters.substr(0, i)));
    }
    for (std::uint32_t i = 1; i <= settings_.count; ++i) {
      check("/interop/length", replies[i - 1].get(), std::int64_t{i});
    }
  }

  void order() {
    std::atomic<int> answered = 0;
    const auto pull = [&](std::int64_t ms, int& place) {
      auto promise = std::make_shared<std::promise<Reply<std::int64_t>>>();
      interop::ask<std::int64_t>(session_, settings_.codec, "/interop/slow", ms, options(),
                                 [&answered, &place, promise](Reply<std::int64_t> reply) {
                                   place = ++answered;
                                   promise->set_value(std::move(reply));
                                 });
      return promise->get_future();
    };
    int slow_place = 0, fast_place = 0;
    std::future<Reply<std::int64_t>> slow = pull(300, slow_place);
    std::future<Reply<std::int64_t>> fast = pull(0, fast_place);
    Reply<std::int64_t> slow_reply = slow.get();
    check("/interop/slow", fast.get(), std::int64_t{0});
    check("/interop/slow", std::move(slow_reply), std::int64_t{300});
    expect(fast_place < slow_place, "the answer to 0 ms in front of that to 300 ms", "it behind");
  }

  void push() {
    Generator random(settings_.seed);
    for (std::uint32_t i = 0; i < settings_.count; ++i) {
      const framing::RawBody note = encode(settings_.codec, random.letters(8));
      take(session_.push("/interop/note", note, options()), "a note that is taken");
    }
    // A peer may run the handlers of notes and of this pull at the same time.
    const TimePoint due = after(runtime_.clock().now(), kNotesTime);
    for (;;) {
      Reply<std::int64_t> notes = ask<std::int64_t>(session_, "/interop/notes", "").get();
      const bool wait = notes.ok() && *notes < settings_.count && runtime_.clock().now() < due;
      if (!wait) return check("/interop/notes", std::move(notes), std::int64_t{settings_.count});
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }

  void status() {
    for (const std::int32_t code : {1001, 599, -7}) {
      check_status("/interop/fail", std::int64_t{code}, code, "interop");
      check_echo(session_, "after a status");
    }
  }

  void not_found() {
    check_status("/interop/absent", "", rpc::code::kNotFound, "");
    check_echo(session_, "after the status");
  }

  void bad_body() {
    rpc::CallOptions call = options();
    call.timeout = std::min(*call.timeout, kBadBodyTime);
    call.gzip = 0;
    framing::RawBody body{settings_.codec, "{\"a\":"};
    if (settings_.codec == framing::kCodecProtobuf)
      body.bytes =
          "\x0a\x05"
          "ab";  // five bytes of data, of which two come
    if (settings_.codec == framing::kCodecString) {
      // Verbatim, so that nobody compresses what the header says is compressed.
      body = {0, "sno gzip"};
      call.gzip = 1;
    }
    const Reply<void> reply = session_.pull_blocking<void>("/interop/length", body, call);
    const bool refused = !reply.ok() && reply.status().code != rpc::code::kTimeout;
    expect(refused, "a status other than 200, or the end of the session, within 5 s, for a body that cannot be read",
           reply.status().to_string());
  }

  void query() {
    const std::array<std::string, 5> values = {
        "plain", "100% & a=b with spaces, gr\xc3\xbc\xc3\x9f\x65 \xe2\x82\xac \xf0\x9f\x9a\xa2", "a+b", "/path?x#y",
        ""};
    for (const std::string& value : values) {
      check(session_, "/interop/query?q=" + percent_encoded(value), "", value);
    }
  }

  void back() {
    Generator random(settings_.seed);
    for (std::uint32_t i = 0; i < settings_.count; ++i) {
      const std::string text = random.letters(random.length(kBackBytes));
      check(session_, "/interop/back", text, text);
    }
  }

  void limit() {
    Generator random(settings_.seed);
    const std::string small = random.letters(kBelowLimit);
    const Session other = dial();
    check_echo(session_, small);
    const Reply<std::string> large = ask<std::string>(session_, kEcho, random.letters(kAboveLimit)).get();
    expect(!large.ok() && large.status().code == rpc::code::kConnectionClosed,
           "the end of the session for an echo of 70000 bytes", large.status().to_string());
    check_echo(other, small);
    check_echo(dial(), small);
  }

  Runtime& runtime_;
  const Settings& settings_;
  const TimePoint due_;
  rpc::Peer peer_;
  Session session_;
  bool passed_ = false;
};

}  // namespace

void run_teleport_case(Runtime& runtime, const Settings& settings) { Client(runtime, settings).run(); }

}  // namespace wayport::tools::interop

#include "wayport/tools/demos/conversation.h"

#include <array>
#include <chrono>
#include <optional>

#include "wayport/rpc/peer.h"
#include "wayport/tools/demos/server.h"
#include "wayport/tools/wayport/example.pb.h"

namespace wayport::tools {
namespace {

using std::chrono::milliseconds;

// The caller: a peer like the other one, with a name to tell.
class Conversation {
 public:
  Conversation(Report& report, Log& log, const Stack& stack)
      : report_(report),
        stack_(stack),
        server_(log, stack.listen, stack.listen_small),
        runtime_({.loops = 1, .log = &log}),
        client_(runtime_) {
    client_.router().on_pull("/your_name", [] { return std::string("demo client"); });
    const Result<void> started = client_.start();
    expect(started.has_value(), "the client's peer does not start");
  }

  void run() {
    report_.section(stack_.name, "listening on " + place(server_.address()) + " and " + place(server_.small_address()));
    report_.step("dial", [this] { return dial(); });
    if (!session_) return;
    report_.step("pull, json", [this] { return pull_json(); });
    report_.step("pull, protobuf", [this] { return pull_protobuf(); });
    report_.step("push", [this] { return push(); });
    report_.step("pull from server", [this] { return pull_from_server(); });
    report_.step("gzipped body", [this] { return gzip(); });
    report_.step("unknown path", [this] { return unknown(); });
    report_.step("custom error", [this] { return custom_error(); });
    report_.step("timeout", [this] { return timeout(); });
    report_.step("over-limit packet", [this] { return over_limit(); });
    report_.step("graceful close", [this] { return graceful_close(); });
  }

 private:
  // The address as people see it: without the files of its parameters.
  static std::string place(const std::string& address) { return address.substr(0, address.find('?')); }
  std::string to_dial(const std::string& address) const { return place(address) + stack_.dial_parameters; }

  rpc::Session connect(const std::string& address) {
    Result<rpc::Session> session = client_.dial_blocking(to_dial(address));
    expect(session.has_value(), session ? "" : "dial: " + session.error().to_string());
    return *session;
  }

  template <class T>
  static const T& value_of(const rpc::Reply<T>& reply) {
    expect(reply.ok(), reply.status().to_string());
    return *reply;
  }
  static const rpc::Status& error_of(const auto& reply, std::int32_t code) {
    expect(!reply.ok(), "success, where " + std::to_string(code) + " was expected");
    expect(reply.status().code == code, reply.status().to_string() + " instead of " + std::to_string(code));
    return reply.status();
  }
  std::uint64_t bytes_sent() const { return client_.counters(0).bytes_written.read(); }
  std::uint64_t bytes_received() const { return client_.counters(0).bytes_read.read(); }

  std::string dial() {
    session_ = connect(server_.address());
    const transport::TlsPeer* tls = session_.peer().tls.get();
    expect((tls != nullptr) == (stack_.name == "tls"), "TLS on the wrong transport");
    std::string text = "a session, open for requests from both sides";
    if (tls) {
      expect(tls->verified, "the server's certificate is not verified");
      text += "; " + tls->protocol + ", certificate of " + tls->subject + " verified";
    }
    return text;
  }

  std::string pull_json() {
    const std::uint64_t before = bytes_sent();
    const int sum = value_of(session_.pull_blocking<int>("/sum", std::array{40, 2}));
    expect(sum == 42, "the sum is " + std::to_string(sum));
    expect(server_.header_codec == framing::kCodecJson, "the header was no json");
    return "/sum [40,2] -> 42; header json, body json, " + std::to_string(bytes_sent() - before) + " bytes sent";
  }

  std::string pull_protobuf() {
    const std::uint64_t before = bytes_sent();
    Pair pair;
    pair.set_a(40);
    pair.set_b(2);
    rpc::CallOptions options;
    options.header_codec = framing::kCodecProtobuf;
    options.body_codec = framing::kCodecProtobuf;
    const Sum sum = value_of(session_.pull_blocking<Sum>("/sum_message", pair, options));
    expect(sum.sum() == 42, "the sum is " + std::to_string(sum.sum()));
    expect(server_.header_codec == framing::kCodecProtobuf, "the header was no protobuf");
    return "/sum_message {a:40 b:2} -> {sum:42}; header protobuf, body protobuf, " +
           std::to_string(bytes_sent() - before) + " bytes sent";
  }

  std::string push() {
    const std::uint64_t before = client_.counters(0).packets_read.read();
    const Result<void> pushed = session_.push("/log", std::string("hello from the demo"));
    expect(pushed.has_value(), pushed ? "" : pushed.error().to_string());
    const std::optional<std::string> line = server_.log_lines.take();
    expect(line == "hello from the demo", "the push did not arrive as it was sent");
    // A reply to the push would come before the one to this pull.
    value_of(session_.pull_blocking<int>("/sum", std::array{1, 2}));
    expect(client_.counters(0).packets_read.read() - before == 1, "the push was answered");
    return "/log \"" + *line + "\" arrived, and was not answered";
  }

  std::string pull_from_server() {
    const std::string greeting = value_of(session_.pull_blocking<std::string>("/greet_me"));
    expect(greeting == "good morning, demo client", "the greeting is " + greeting);
    return "the server pulled /your_name from the client on the same session, then answered \"" + greeting + "\"";
  }

  std::string gzip() {
    std::string text;
    while (text.size() < 100'000) text += "The quick brown fox jumps over the lazy dog. ";
    const std::uint64_t sent = bytes_sent();
    const std::uint64_t received = bytes_received();
    rpc::CallOptions options;
    options.gzip = 5;
    options.body_codec = framing::kCodecString;
    const std::string back = value_of(session_.pull_blocking<std::string>("/echo", text, options));
    expect(back == text, "another text came back");
    const std::uint64_t wire_sent = bytes_sent() - sent;
    const std::uint64_t wire_received = bytes_received() - received;
    expect(wire_sent < text.size() / 10 && wire_received < text.size() / 10, "the bodies were not compressed");
    return "/echo of " + std::to_string(text.size()) + " bytes came back equal; " + std::to_string(wire_sent) +
           " bytes sent, " + std::to_string(wire_received) + " received";
  }

  std::string unknown() {
    const rpc::Reply<void> reply = session_.pull_blocking<>("/nowhere");
    const rpc::Status& status = error_of(reply, rpc::code::kNotFound);
    expect(status.origin == rpc::Status::Origin::remote, "the 404 is not the server's");
    return "/nowhere -> " + status.to_string();
  }

  std::string custom_error() {
    const rpc::Reply<void> reply = session_.pull_blocking<>("/order_tea");
    const rpc::Status& status = error_of(reply, 4711);
    expect(status.text == "out of tea", "the text is " + status.text);
    return "/order_tea -> " + status.to_string();
  }

  std::string timeout() {
    rpc::CallOptions options;
    options.timeout = milliseconds(50);
    const rpc::Reply<int> reply = session_.pull_blocking<int>("/sleep?ms=250", framing::NoBody{}, options);
    const rpc::Status& status = error_of(reply, rpc::code::kTimeout);
    expect(status.origin == rpc::Status::Origin::local, "the 504 is not ours");
    expect(value_of(session_.pull_blocking<int>("/sum", std::array{1, 2})) == 3, "the session is out of step");
    return "/sleep of 250 ms, allowed 50 ms -> 504 on this side; the session goes on: /sum [1,2] -> 3";
  }

  std::string over_limit() {
    const rpc::Session bystander = connect(server_.small_address());
    const rpc::Session offender = connect(server_.small_address());
    const int echoes = server_.echoes;
    const std::string large(2 * DemoServer::kSmallLimit, 'x');
    const rpc::Reply<std::string> reply = offender.pull_blocking<std::string>("/echo", large);
    const rpc::Status& status = error_of(reply, rpc::code::kConnectionClosed);
    const std::optional<CloseReason> reason = server_.closed.take();
    expect(reason.has_value(), "the server gave no reason");
    expect(server_.echoes == echoes, "the handler ran");
    expect(!offender.healthy(), "the offending session is open");
    const std::string still = value_of(bystander.pull_blocking<std::string>("/echo", std::string("still here")));
    expect(still == "still here" && session_.healthy(), "another session suffered");
    bystander.close();
    return "a body of " + std::to_string(large.size()) + " bytes where packets of " +
           std::to_string(DemoServer::kSmallLimit) + " are allowed\nthe server closed: " + reason->error.to_string() +
           "\nthe client saw: " + status.to_string() + "\nno handler ran, and the session beside it goes on";
  }

  std::string graceful_close() {
    std::future<rpc::Reply<int>> slow = session_.pull_future<int>("/sleep?ms=200");
    // Requests are begun in their order: when this one is answered, the other is running.
    value_of(session_.pull_blocking<int>("/sum", std::array{1, 2}));
    const auto start = std::chrono::steady_clock::now();
    server_.peer().close_blocking();
    const auto took = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - start);
    const int slept = value_of(slow.get());
    expect(slept == 200, "the answer is " + std::to_string(slept));
    expect(took < milliseconds(5000), "the close took " + std::to_string(took.count()) + " ms");
    expect(server_.peer().session_count() == 0, "sessions are left");
    const Result<rpc::Session> late =
        client_.dial_blocking(to_dial(server_.address()), {.timeout = milliseconds(2000)});
    expect(!late, "the closed server took a new session");
    return "the server closed while /sleep of 200 ms was running: it was answered, then the session ended";
  }

  Report& report_;
  const Stack& stack_;
  DemoServer server_;
  Runtime runtime_;
  rpc::Peer client_;
  rpc::Session session_;
};

}  // namespace

void converse(Report& report, Log& log, const Stack& stack) {
  try {
    Conversation(report, log, stack).run();
  } catch (const std::exception& error) {
    const std::string why = error.what();
    report.section(stack.name, stack.listen);
    report.step("listen", [&why]() -> std::string { throw StepFailed(why); });
  }
}

}  // namespace wayport::tools

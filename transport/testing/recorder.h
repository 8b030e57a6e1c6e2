// RecordingEvents: a consumer that writes down what a stream tells it, for tests of streams and of what is built on
// them.
//
// Not thread-safe. It checks the contract of StreamEvents as it goes: nothing after on_closed(), nothing from inside a
// call of the consumer made through call(). Violations are collected in `faults`, one line each.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "wayport/transport/stream.h"

namespace wayport::transport {

class RecordingEvents : public StreamEvents {
 public:
  virtual ~RecordingEvents() = default;

  // All bytes that were consumed.
  std::string received;
  // Sizes of the spans shown, and the flags that came with them.
  std::vector<std::size_t> shown;
  std::size_t message_ends = 0;
  std::size_t writables = 0;
  std::size_t read_ends = 0;
  std::optional<CloseReason> closed;
  std::vector<std::string> faults;

  // How many of the shown bytes to consume; by default all.
  std::function<std::size_t(MutableBytes)> consume;
  // Run after the recording.
  std::function<void()> then_bytes, then_writable, then_read_end, then_closed;

  std::size_t on_bytes(MutableBytes bytes, bool message_end) override {
    check("on_bytes");
    shown.push_back(bytes.size());
    message_ends += message_end ? 1 : 0;
    const std::size_t taken = consume ? consume(bytes) : bytes.size();
    received += as_text(bytes.first(taken));
    if (then_bytes) run(then_bytes);
    return taken;
  }
  void on_writable() override {
    check("on_writable");
    ++writables;
    if (then_writable) run(then_writable);
  }
  void on_read_end() override {
    check("on_read_end");
    if (read_ends++ != 0) faults.emplace_back("on_read_end twice");
    if (then_read_end) run(then_read_end);
  }
  void on_closed(const CloseReason& reason) override {
    check("on_closed");
    closed = reason;
    if (then_closed) run(then_closed);
  }

  // Makes a call on the stream, during which nothing may come back.
  template <class F>
  decltype(auto) call(F&& f) {
    struct Leave {
      bool& inside;
      ~Leave() { inside = false; }
    } leave{inside_ = true};
    return std::forward<F>(f)();
  }

 private:
  void check(const char* event) {
    if (inside_) faults.push_back(std::string(event) + " from inside a call of the consumer");
    if (closed) faults.push_back(std::string(event) + " after on_closed");
  }
  // The function may destroy this object's owner.
  static void run(const std::function<void()>& then) {
    const std::function<void()> copy = then;
    copy();
  }

  bool inside_ = false;
};

// One chain of text.
inline Chain chain_of(std::string_view text) {
  Chain chain;
  chain.append(text);
  return chain;
}

}  // namespace wayport::transport

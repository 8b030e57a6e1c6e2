// Bytes through a transport, there and back: what the tests of single transports have in common. Compiled into each of
// them, so that a test depends on its transport and on nothing that this header would bring along.
#pragma once

#include <chrono>
#include <functional>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "wayport/base/loop.h"
#include "wayport/transport/transports.h"

namespace consumer {

using wayport::Chain;
using wayport::Loop;
using wayport::MutableBytes;
using wayport::Result;
using wayport::transport::Address;
using wayport::transport::CloseReason;
using wayport::transport::Dial;
using wayport::transport::Incoming;
using wayport::transport::Listener;
using wayport::transport::Stream;
using wayport::transport::Transports;

inline Chain chain_of(std::string_view text) {
  Chain chain;
  chain.append(text);
  return chain;
}

// Turns the loop until `done`. False, with a message: it took too long.
inline bool run_until(Loop& loop, const char* what, const std::function<bool()>& done) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!done()) {
    if (std::chrono::steady_clock::now() > until) {
      std::cerr << "in vain waited for: " << what << "\n";
      return false;
    }
    loop.run_turn(std::chrono::milliseconds(5));
  }
  return true;
}

// Keeps what comes; sends it back if it is to.
struct End final : wayport::transport::StreamEvents {
  End(std::unique_ptr<Stream> which, bool answers) : stream(std::move(which)), echo(answers) { stream->start(*this); }
  std::size_t on_bytes(MutableBytes bytes, bool message_end) override {
    received += wayport::as_text(bytes);
    if (echo) stream->write(chain_of(wayport::as_text(bytes)), message_end);
    return bytes.size();
  }
  void on_writable() override {}
  void on_read_end() override {}
  void on_closed(const CloseReason& reason) override { closed = to_string(reason); }

  std::unique_ptr<Stream> stream;
  bool echo;
  std::string received;
  std::optional<std::string> closed;
};

inline std::string bytes_of(std::size_t size) {
  std::string bytes(size, '\0');
  unsigned state = 1;
  for (char& byte : bytes) byte = static_cast<char>((state = state * 1664525u + 1013904223u) >> 24);
  return bytes;
}

inline std::unique_ptr<Stream> dial_now(const Transports& all, Loop& loop, const std::string& address) {
  std::optional<Result<std::unique_ptr<Stream>>> dialed;
  const std::unique_ptr<Dial> dial =
      all.dial(loop, Address::parse(address).value(), {},
               [&](Result<std::unique_ptr<Stream>> made) { dialed.emplace(std::move(made)); });
  if (!run_until(loop, "a dial", [&] { return dialed.has_value(); })) return nullptr;
  if (*dialed) return *std::move(*dialed);
  std::cerr << address << ": " << dialed->error().to_string() << "\n";
  return nullptr;
}

// Listens, dials what was bound, writes, and gets the same bytes back; `meanwhile` runs when half of them are back.
// 0 if all of that happened: what main() returns.
inline int round_trip(const Transports& all, const std::string& listen, const std::string& parameters = "",
                      const std::function<void(Stream& client)>& meanwhile = {}) {
  Loop loop;
  Result<std::unique_ptr<Listener>> listener = all.listen(loop, Address::parse(listen).value(), {});
  if (!listener) {
    std::cerr << listen << ": " << listener.error().to_string() << "\n";
    return 1;
  }
  std::optional<End> server;
  (*listener)->start([&](std::unique_ptr<Incoming> incoming) { server.emplace(incoming->accept(), true); });
  const std::string bound = (*listener)->address().to_string();
  std::unique_ptr<Stream> stream = dial_now(all, loop, bound.substr(0, bound.find('?')) + parameters);
  if (!stream) return 1;
  End client(std::move(stream), false);
  const std::string sent = bytes_of(100'000);
  for (const bool second : {false, true}) {
    client.stream->write(chain_of(sent.substr(second ? sent.size() / 2 : 0, sent.size() / 2)), true);
    const std::size_t expected = second ? sent.size() : sent.size() / 2;
    if (!run_until(loop, "the bytes", [&] { return client.closed || client.received.size() >= expected; })) return 1;
    if (!second && meanwhile) meanwhile(*client.stream);
  }
  std::cout << listen << ": " << client.received.size() << " bytes back\n";
  return client.received == sent && server && server->received == sent ? 0 : 1;
}

}  // namespace consumer

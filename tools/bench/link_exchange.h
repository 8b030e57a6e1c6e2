// LinkExchange: clients send numbered frames through a gateway to a server that sends them back; each client checks
// what it gets. As all LoadClients, in a closed or an open loop.
//
// Every frame has a fate: it came back right, or wrong (number, size), or not at all within kLinkPatience (failed). What
// came that was nobody's (a Close, data nobody waits for, data of another connection) is a surprise, and counts as none
// of these.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/tools/bench/link_bed.h"
#include "wayport/tools/bench/link_flood.h"
#include "wayport/tools/bench/load.h"

namespace wayport::tools {

// Header and number.
inline constexpr std::size_t kLinkFrameBytesMin = 16;

class LinkExchange final : public LoadClient, private LinkBedEvents {
 public:
  // `frame_bytes`: on the wire, header included, at least kLinkFrameBytesMin.
  static Result<std::unique_ptr<LinkExchange>> connect(const LinkPlace& place, std::size_t clients,
                                                       std::size_t frame_bytes);

  Result<Round> run(const Load& load) override { return run_beside(load, nullptr); }
  // The same while `flood` goes on.
  Result<Round> run_beside(const Load& load, LinkFlood* flood);
  std::size_t request_bytes() const override { return frame_bytes_; }
  std::size_t reply_bytes() const override { return frame_bytes_; }

  // Until a client is stuck so much that the gateway has closed its first virtual connection.
  Result<void> begin(LinkFlood& flood);
  // Until all that the flood had is closed, and everything that the server had sent was answered.
  Result<void> end(LinkFlood& flood);

  // Frames that came back, right or wrong, of all rounds.
  std::uint64_t answered() const noexcept { return answered_; }
  LinkBed& bed() noexcept { return *bed_; }
  const LinkSurprises& surprises() const noexcept { return surprises_; }

 private:
  struct Sent {
    std::uint64_t number;
    std::uint64_t due;
  };
  struct Client {
    std::uint32_t connection = 0;
    std::deque<Sent> sent;  // without an answer
  };

  LinkExchange(std::unique_ptr<LinkBed> bed, std::size_t frame_bytes, const std::vector<std::uint32_t>& connections);
  void send(std::size_t client, std::uint64_t due);
  void on_client_frame(std::size_t client, std::uint32_t connection, Bytes frame) override;
  void on_server_frame(std::uint32_t connection, Bytes frame) override;

  const std::unique_ptr<LinkBed> bed_;
  const std::size_t frame_bytes_;
  std::vector<Client> clients_;
  std::size_t next_client_ = 0;
  std::uint64_t next_number_ = 1;
  std::uint64_t answered_ = 0;
  Pacer* pacer_ = nullptr;      // while it runs
  bool pinged_ = false;         // the server waits for the answer
  LinkFlood* flood_ = nullptr;  // while there is one
  LinkSurprises surprises_;
};

}  // namespace wayport::tools

// LinkDials: clients that dial, and close as soon as they are accepted, again and again.
//
//   client --Dial--> gateway --Accept--> client, --Connect--> server
//   client --Close-> gateway --Close---> client, --Close----> server        then the next Dial
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_set>
#include <vector>

#include "wayport/base/result.h"
#include "wayport/tools/bench/histogram.h"
#include "wayport/tools/bench/link_bed.h"
#include "wayport/tools/bench/load.h"

namespace wayport::tools {

struct DialRound {
  std::uint64_t dials = 0;  // those of which both ends saw the end
  std::uint64_t refused = 0;
  double seconds = 0;
  Histogram accepted;  // ns from Dial to Accept
};

class LinkDials final : private LinkBedEvents {
 public:
  static Result<std::unique_ptr<LinkDials>> connect(const LinkPlace& place, std::size_t clients);

  // Each client has `window` dials or connections at any time. Ends when all are closed at both ends.
  Result<DialRound> run(std::size_t window, Duration time);
  const LinkSurprises& surprises() const noexcept { return surprises_; }

 private:
  struct Client {
    std::deque<std::uint64_t> dials;         // when, without an answer
    std::unordered_set<std::uint32_t> open;  // accepted; Close was sent
  };

  explicit LinkDials(std::unique_ptr<LinkBed> bed) : bed_(std::move(bed)), clients_(bed_->clients()) {}
  void dial(std::size_t client);
  void next(std::size_t client);
  void on_client_frame(std::size_t client, std::uint32_t connection, Bytes frame) override;
  void on_server_frame(std::uint32_t connection, Bytes frame) override;

  const std::unique_ptr<LinkBed> bed_;
  std::vector<Client> clients_;
  std::unordered_set<std::uint32_t> at_server_;  // connected, not closed
  std::uint64_t under_way_ = 0;                  // at clients
  std::uint64_t server_ends_ = 0;                // of this round
  std::uint64_t end_ = 0;
  DialRound round_;
  LinkSurprises surprises_;
};

}  // namespace wayport::tools

// HandGateway: just enough of a link gateway to test endpoints with, on one loop, over any transports. It can be told to
// misbehave. The real one is //gateway/link; what the two have to do alike is spec/link.md.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "wayport/framing/link/frame_reader.h"
#include "wayport/framing/link/packet.h"
#include "wayport/transport/stream.h"
#include "wayport/transport/transports.h"

namespace wayport::link::testing {

class HandGateway {
 public:
  HandGateway(Loop& loop, const transport::Transports& all, const std::string& clients, const std::string& servers,
              std::string key);
  ~HandGateway();

  // The gateway dies: every connection ends. `for_good`: nobody listens any more.
  void die(bool for_good);
  std::size_t connections() const;
  std::size_t virtual_connections() const { return virtuals_.size(); }
  // The addresses that were bound.
  std::string client_address() const { return clients_->address().to_string(); }
  std::string server_address() const { return servers_->address().to_string(); }

  bool silent = false;      // says nothing at all
  bool hold_dials = false;  // answers no dial until release_dials()
  bool hold_challenge = false;
  void release_dials();
  // Counted.
  std::size_t pings = 0;
  std::size_t dials = 0;
  std::size_t closes = 0;
  std::size_t frames = 0;  // of data

 private:
  struct Connection;
  struct Ends {
    Connection* client;
    Connection* server;
  };

  void open(bool server, std::unique_ptr<transport::Incoming> incoming);
  void handle(Connection& from, Frame& frame);
  void dial(Connection& from, std::uint32_t remote);
  void close_virtual(std::uint32_t connection);
  void gone(Connection& connection);

  Loop& loop_;
  const std::string key_;
  std::unique_ptr<transport::Listener> clients_;
  std::unique_ptr<transport::Listener> servers_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::map<std::uint32_t, Ends> virtuals_;
  std::vector<std::pair<Connection*, std::uint32_t>> held_;
  std::uint32_t next_client_ = 1;
  std::uint32_t next_connection_ = 1;
};

}  // namespace wayport::link::testing

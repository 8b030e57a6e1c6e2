// A link gateway on the loopback, for the tests of what speaks to one.
#pragma once

#include <cstdlib>
#include <iostream>

#include "wayport/base/runtime.h"
#include "wayport/gateway/link/link_gateway.h"

namespace consumer {

struct Gateway {
  Gateway() {
    if (const auto started = gateway.start(); !started) {
      std::cerr << started.error().to_string() << "\n";
      std::exit(1);
    }
  }
  ~Gateway() { gateway.close_blocking(); }

  wayport::Runtime runtime{{.loops = 1}};
  wayport::link::LinkGateway gateway{
      runtime, {.listen_clients = {"tcp://127.0.0.1:0"}, .listen_servers = {"tcp://127.0.0.1:0"}, .key = "secret"}};
};

}  // namespace consumer

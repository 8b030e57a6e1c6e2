// Unix sockets alone, by an abstract name.
#include <unistd.h>

#include "round_trip.h"
#include "wayport/transport/unix/unix_transport.h"

int main() {
  consumer::Transports all;
  all.add("unix", std::make_shared<wayport::transport::UnixTransport>());
  return consumer::round_trip(all, "unix://@wayport-consumer-" + std::to_string(::getpid()));
}

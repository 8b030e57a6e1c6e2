// A real etcd for tests (Debian's etcd-server, found in PATH), on free ports of loopback, with its data in a directory
// of its own under TEST_TMPDIR. Blocks; use it outside of loops' turns.
//
//   Result<std::unique_ptr<EtcdProcess>> etcd = EtcdProcess::start();
//   client = EtcdClient::make(loop, transports, {.endpoints = {(*etcd)->url()}});
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "wayport/base/result.h"

namespace wayport::rpc {

// Files in PEM. With `cert`, clients talk TLS; with `client_ca`, they need a certificate that it signed.
struct EtcdProcessTls {
  std::string cert{};
  std::string key{};
  std::string client_ca{};
};

class EtcdProcess {
 public:
  // Ready when it returns: it has answered. Waits at most 20 s; three tries, should somebody take its port.
  static Result<std::unique_ptr<EtcdProcess>> start(EtcdProcessTls tls = {});
  ~EtcdProcess();  // kills it, removes its data
  EtcdProcess(const EtcdProcess&) = delete;
  EtcdProcess& operator=(const EtcdProcess&) = delete;

  std::string url() const;  // "http://127.0.0.1:40001"; https with TLS
  std::uint16_t port() const noexcept { return client_port_; }
  void kill();             // at once; the data stay
  Result<void> restart();  // on the same ports and data; kills it first if it runs

 private:
  EtcdProcess() = default;
  Result<void> launch();
  bool answers() const;

  pid_t pid_ = -1;
  std::string directory_;
  std::uint16_t client_port_ = 0;
  std::uint16_t peer_port_ = 0;
  std::uint16_t health_port_ = 0;
  EtcdProcessTls tls_;
};

}  // namespace wayport::rpc

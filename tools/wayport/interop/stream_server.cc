#include <list>
#include <memory>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/base/log.h"
#include "wayport/tools/wayport/interop/failure.h"
#include "wayport/tools/wayport/interop/listening.h"
#include "wayport/tools/wayport/interop/on_loop.h"
#include "wayport/tools/wayport/interop/stream_cases.h"

namespace wayport::tools::interop {
namespace {

using transport::Stream;

// On one loop.
class EchoServer {
 public:
  EchoServer(Loop& loop, Log& log, const transport::Transports& all) : loop_(loop), log_(log), all_(all) {}

  Result<void> listen(const transport::Address& address) {
    WAYPORT_TRY_ASSIGN(listener_, all_.listen(loop_, address, {.log = &log_}));
    listener_->start([this](std::unique_ptr<transport::Incoming> incoming) {
      connections_.push_back(std::make_unique<Connection>(*this, incoming->accept()));
    });
    return {};
  }
  std::string address() const { return listener_->address().to_string(); }

 private:
  class Connection final : private transport::StreamEvents {
   public:
    Connection(EchoServer& server, std::unique_ptr<Stream> stream) : server_(server), stream_(std::move(stream)) {
      stream_->start(*this);
    }

   private:
    std::size_t on_bytes(MutableBytes bytes, bool) override {
      Chain echo;
      echo.append(Bytes(bytes));
      // Who does not take the echo is not read.
      if (stream_->write(std::move(echo)) == transport::Pressure::high) stream_->read(false);
      return bytes.size();
    }
    void on_writable() override { stream_->read(true); }
    void on_read_end() override { stream_->shutdown_write(); }
    void on_closed(const CloseReason& reason) override {
      server_.log_.write(LogLevel::info, "connection ended", {{"why", to_string(reason)}});
      server_.connections_.remove_if([this](const auto& connection) { return connection.get() == this; });
    }

    EchoServer& server_;
    const std::unique_ptr<Stream> stream_;
  };

  Loop& loop_;
  Log& log_;
  const transport::Transports& all_;
  std::list<std::unique_ptr<Connection>> connections_;
  std::unique_ptr<transport::Listener> listener_;
};

}  // namespace

void run_stream_server(Runtime& runtime, const Settings& settings, Interrupt& interrupt,
                       const std::function<void(const std::string& address)>& on_ready) {
  Loop& loop = runtime.loop(0);
  const ListeningTransports transports(runtime.log());
  std::unique_ptr<EchoServer> server;
  Result<void> listening;
  std::string address;
  run_on(loop, [&] {
    server = std::make_unique<EchoServer>(loop, runtime.log(), transports.all());
    listening = server->listen(settings.address);
    if (listening) address = server->address();
  });
  if (listening) listening = transports.wait_until_accepting(settings.address, settings.timeout, interrupt);
  if (listening) {
    on_ready(address);
    interrupt.wait();
  }
  run_on(loop, [&] { server.reset(); });
  take(listening, "that it listens");
}

}  // namespace wayport::tools::interop

#include "wayport/gateway/route/dial_check.h"

#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <utility>

#include "wayport/base/loop.h"
#include "wayport/base/socket.h"
#include "wayport/transport/kcp/kcp_address.h"
#include "wayport/transport/tcp/tcp_options.h"

namespace wayport::route {
namespace {

using transport::Address;

// Layers read their parameters before they dial what is below them.
constexpr int kTurnsMax = 16;

Result<void> check_tcp(const Address& address) {
  WAYPORT_TRY_ASSIGN(const transport::TcpOptions tcp, transport::TcpOptions::for_dial(address));
  const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail(system_error(errno, "socket"));
  return tcp.apply(fd.get());
}

Result<void> check_kcp(const Address& address) {
  WAYPORT_TRY(transport::kcp::KcpAddress::for_dial(address));
  return {};
}

// The end of a stack, which only looks.
class Bottom final : public transport::Transport {
 public:
  using Check = Result<void> (*)(const Address& address);
  explicit Bottom(Check check, std::optional<Result<void>>& found) : check_(check), found_(found) {}

  std::unique_ptr<transport::Dial> dial(const transport::Transports&, Loop& loop, const Address& address,
                                        const transport::DialOptions&, transport::OnDialed on_done) const override {
    found_ =
        address.layers().size() == 1
            ? check_(address)
            : fail(ErrorCode::unsupported, address.layers().front() + " has nothing below it: " + address.to_log());
    return failed_dial(loop, {ErrorCode::local_closed, "only looked at", {}}, std::move(on_done));
  }
  Result<std::unique_ptr<transport::Listener>> listen(const transport::Transports&, Loop&, const Address&,
                                                      const transport::ListenOptions&) const override {
    return fail(ErrorCode::unsupported, "only looked at");
  }

 private:
  const Check check_;
  std::optional<Result<void>>& found_;
};

}  // namespace

Result<void> check_dial(const transport::Transports& transports, const BackendTransport& how) {
  WAYPORT_TRY_ASSIGN(const Backend anywhere, Backend::parse("192.0.2.1:1"));
  WAYPORT_TRY_ASSIGN(const Address address, anywhere.dial_address(*IpAddress::parse("192.0.2.1"), how));
  Loop loop;
  std::optional<Result<void>> found;
  transport::Transports all = transports;
  all.add("tcp", std::make_shared<Bottom>(check_tcp, found));
  all.add("kcp", std::make_shared<Bottom>(check_kcp, found));
  std::optional<Error> error;
  const std::unique_ptr<transport::Dial> dial =
      all.dial(loop, address, {}, [&error](Result<std::unique_ptr<transport::Stream>> stream) {
        if (!stream) error = std::move(stream.error());
      });
  for (int turn = 0; turn < kTurnsMax && !found && !error; ++turn) loop.run_turn();
  if (found) return *std::move(found);
  if (error) return fail(*std::move(error));
  return {};
}

}  // namespace wayport::route

#include "wayport/tools/wayport/plain_body.h"

#include <memory>

#include "wayport/framing/gzip.h"
#include "wayport/framing/protocol.h"
#include "wayport/rpc/calls.h"
#include "wayport/tools/wayport/text.h"

namespace wayport::tools {
namespace {

// A typed pull sees its value, but not in what codec it came; this one sees the packet.
class PlainCall final : public rpc::PendingCall {
 public:
  explicit PlainCall(std::promise<rpc::Reply<PlainBody>> done) : done_(std::move(done)) {}

  void on_reply(const framing::PacketView& packet, framing::ProtocolContext& context) override {
    Result<PlainBody> body = plain_body(packet.header, packet.has_body_codec, packet.body_codec, packet.body,
                                        context.limits.inflated_bytes_max);
    if (!body) return done_.set_value(rpc::Status::make(rpc::code::kBadReply, body.error().detail));
    done_.set_value(*std::move(body));
  }
  void on_failed(rpc::Status status) override { done_.set_value(std::move(status)); }

 private:
  std::promise<rpc::Reply<PlainBody>> done_;
};

}  // namespace

Result<PlainBody> plain_body(const framing::PacketHeader& header, bool present, std::uint8_t codec, Bytes bytes,
                             std::size_t inflated_bytes_max) {
  PlainBody body{present, codec, header.gzip, {}};
  if (header.gzip == 0 || !looks_compressed(bytes)) {
    body.bytes = as_text(bytes);
    return body;
  }
  framing::Inflater inflater;
  WAYPORT_TRY(inflater.expand(bytes, inflated_bytes_max, body.bytes));
  return body;
}

std::future<rpc::Reply<PlainBody>> pull_plain(const rpc::Session& session, std::string_view uri,
                                              const std::optional<framing::RawBody>& body,
                                              const rpc::CallOptions& options) {
  std::promise<rpc::Reply<PlainBody>> promise;
  std::future<rpc::Reply<PlainBody>> future = promise.get_future();
  rpc::detail::Argument argument;
  if (body) argument.raw = &*body;
  rpc::detail::start_pull(*session.driver(), uri, argument, options, std::make_unique<PlainCall>(std::move(promise)));
  return future;
}

}  // namespace wayport::tools

// Bodies of the Teleport cases: a text or a number, in codec json, protobuf or string ("plain").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "wayport/base/result.h"
#include "wayport/framing/body.h"
#include "wayport/framing/codec.h"
#include "wayport/rpc/context.h"
#include "wayport/rpc/session.h"
#include "wayport/rpc/status.h"
#include "wayport/tools/wayport/interop/interop.pb.h"

namespace wayport::tools::interop {

using Value = std::variant<std::string, std::int64_t>;

// REQUIRES: one of the three codecs.
framing::RawBody encode(std::uint8_t codec, const Value& value);

// Of a request, in the codec that it came in. Errors end the session (rpc/call.h); unsupported: another codec.
Result<std::string> text_of(const rpc::Context& context);
Result<std::int64_t> number_of(const rpc::Context& context);

namespace detail {

// As the text or number of an answer.
void answer_to(std::string& to, const Body& from);
void answer_to(std::int64_t& to, const Body& from);
rpc::Reply<std::string> plain_answer(rpc::Reply<std::string> reply, std::string*);
rpc::Reply<std::int64_t> plain_answer(rpc::Reply<std::string> reply, std::int64_t*);

}  // namespace detail

// Pulls with `argument` in `codec`; `done` gets a text or a number (R), which has to be in the same codec.
template <class R, class F>
void ask(const rpc::Session& session, std::uint8_t codec, std::string_view uri, const Value& argument,
         const rpc::CallOptions& options, F done) {
  const framing::RawBody body = encode(codec, argument);
  if (codec == framing::kCodecJson) return session.pull_async<R>(uri, body, options, std::move(done));
  if (codec == framing::kCodecString) {
    return session.pull_async<std::string>(uri, body, options,
                                           [done = std::move(done)](rpc::Reply<std::string> reply) mutable {
                                             done(detail::plain_answer(std::move(reply), static_cast<R*>(nullptr)));
                                           });
  }
  session.pull_async<Body>(uri, body, options, [done = std::move(done)](rpc::Reply<Body> reply) mutable {
    if (!reply) return done(rpc::Reply<R>(reply.status()));
    R value{};
    detail::answer_to(value, *reply);
    done(rpc::Reply<R>(std::move(value)));
  });
}

}  // namespace wayport::tools::interop

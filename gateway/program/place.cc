#include "wayport/gateway/program/place.h"

#include "wayport/base/bytes.h"
#include "wayport/base/result.h"
#include "wayport/transport/address.h"

namespace wayport::gateway {

std::string place_of(std::string_view address) {
  constexpr std::string_view kTcp = "tcp://";
  const Result<transport::Address> parsed = transport::Address::parse(address);
  const std::string text = parsed ? parsed->to_log() : escape(address);
  const std::string place = text.substr(0, text.find('?'));
  return place.starts_with(kTcp) ? place.substr(kTcp.size()) : place;
}

}  // namespace wayport::gateway

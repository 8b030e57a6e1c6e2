#include "wayport/rpc/plugins/registry/service_record.h"

#include <boost/json.hpp>
#include <utility>

#include "wayport/base/bytes.h"
#include "wayport/base/chain.h"
#include "wayport/framing/json_value.h"
#include "wayport/transport/address.h"

namespace wayport::rpc {
namespace {

namespace json = boost::json;

json::string text_of(std::string_view text) { return json::string(text.data(), text.size()); }

json::array array_of(const std::vector<std::string>& texts) {
  json::array array;
  for (const std::string& text : texts) array.emplace_back(text_of(text));
  return array;
}

std::unexpected<Error> wrong(std::string_view key, std::string_view what) {
  return fail(ErrorCode::malformed, "a service record's \"" + std::string(key) + "\" " + std::string(what));
}

Result<std::vector<std::string>> texts_of(const json::object& from, std::string_view key) {
  std::vector<std::string> texts;
  const json::value* value = from.if_contains(key);
  if (value == nullptr || value->is_null()) return texts;
  const json::array* array = value->if_array();
  if (array == nullptr) return wrong(key, "is no array");
  for (const json::value& each : *array) {
    const json::string* text = each.if_string();
    if (text == nullptr) return wrong(key, "has an element that is no text");
    texts.emplace_back(text->data(), text->size());
  }
  return texts;
}

Result<void> check_part(std::string_view what, std::string_view part) {
  const auto bad = [&](std::string_view why) {
    return fail(ErrorCode::invalid_argument,
                "registry: the " + std::string(what) + " " + escape(part.substr(0, 64)) + " " + std::string(why));
  };
  if (part.empty()) return bad("is empty");
  if (part.size() > 255) return bad("is longer than 255 bytes");
  for (const char c : part) {
    if (c == '/' || static_cast<unsigned char>(c) < ' ' || c == 0x7f) return bad("has a '/' or a control character");
  }
  return {};
}

}  // namespace

Result<std::string> write_record(const ServiceRecord& record) {
  json::object object;
  object["addresses"] = array_of(record.addresses);
  if (!record.pull.empty()) object["pull"] = array_of(record.pull);
  if (!record.push.empty()) object["push"] = array_of(record.push);
  if (!record.labels.empty()) {
    json::object& labels = object["labels"].emplace_object();
    for (const auto& [key, value] : record.labels) labels[key] = text_of(value);
  }
  Chain chain;
  WAYPORT_TRY(framing::write_json(object, chain));
  if (chain.size() > kServiceRecordBytesMax) {
    return fail(ErrorCode::too_large, "registry: the record has " + std::to_string(chain.size()) + " bytes, " +
                                          std::to_string(kServiceRecordBytesMax) + " are allowed: tell no routes");
  }
  return chain.to_string();
}

Result<ServiceRecord> read_record(std::string_view text) {
  if (text.size() > kServiceRecordBytesMax) {
    return fail(ErrorCode::too_large, "a service record has " + std::to_string(text.size()) + " bytes");
  }
  json::value value;
  if (Result<void> parsed = framing::parse_json(text, value); !parsed) {
    return fail(ErrorCode::malformed, "a service record is no JSON: " + parsed.error().detail);
  }
  const json::object* object = value.if_object();
  if (object == nullptr) return fail(ErrorCode::malformed, "a service record is no JSON object");
  ServiceRecord record;
  WAYPORT_TRY_ASSIGN(record.addresses, texts_of(*object, "addresses"));
  if (record.addresses.empty()) return wrong("addresses", "is empty");
  if (record.addresses.size() > kServiceAddressesMax) {
    return fail(ErrorCode::too_large, "a service record has more than 64 addresses");
  }
  for (const std::string& address : record.addresses) {
    if (!transport::Address::parse(address)) return wrong("addresses", "has one that cannot be read");
  }
  WAYPORT_TRY_ASSIGN(record.pull, texts_of(*object, "pull"));
  WAYPORT_TRY_ASSIGN(record.push, texts_of(*object, "push"));
  if (const json::value* labels = object->if_contains("labels"); labels != nullptr && !labels->is_null()) {
    if (!labels->is_object()) return wrong("labels", "is no object");
    for (const auto& [key, label] : labels->get_object()) {
      if (!label.is_string()) return wrong("labels", "has a value that is no text");
      record.labels[std::string(key.data(), key.size())] =
          std::string(label.get_string().data(), label.get_string().size());
    }
  }
  return record;
}

Result<std::string> service_key(std::string_view prefix, std::string_view service, std::string_view instance) {
  if (!prefix.ends_with('/')) return fail(ErrorCode::invalid_argument, "registry: the prefix must end with '/'");
  WAYPORT_TRY(check_part("service", service));
  if (!instance.empty()) WAYPORT_TRY(check_part("instance", instance));
  return std::string(prefix) + std::string(service) + "/" + std::string(instance);
}

Result<std::string> advertised(std::string_view listened) {
  WAYPORT_TRY_ASSIGN(const transport::Address address, transport::Address::parse(listened));
  std::string text = address.to_string();
  text.erase(std::min(text.find('?'), text.size()));
  if (address.layers().back() == "unix") return text;
  const std::string& host = address.host();
  if (host.empty() || host == "0.0.0.0" || host == "::" || address.port() == 0) {
    return fail(ErrorCode::invalid_argument,
                "registry: nobody else can dial " + text + ": say in RegistryOptions::advertise what to tell instead");
  }
  return text;
}

}  // namespace wayport::rpc

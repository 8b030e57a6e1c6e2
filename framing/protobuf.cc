#include "wayport/framing/protobuf.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <charconv>
#include <limits>
#include <string>
#include <utility>

#include "wayport/framing/base64.h"
#include "wayport/framing/json.h"

namespace wayport::framing {
namespace {

namespace json = boost::json;
using google::protobuf::Descriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

json::string_view view(const std::string& text) { return {text.data(), text.size()}; }

// --- to JSON ---

// One value of a field; `index` < 0: of a field that is not repeated.
Result<void> value_to_json(const Message& from, const FieldDescriptor& field, int index, json::value& to) {
  const Reflection& reflection = *from.GetReflection();
  const bool single = index < 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      to = single ? reflection.GetBool(from, &field) : reflection.GetRepeatedBool(from, &field, index);
      return {};
    case FieldDescriptor::CPPTYPE_INT32:
      to = single ? reflection.GetInt32(from, &field) : reflection.GetRepeatedInt32(from, &field, index);
      return {};
    case FieldDescriptor::CPPTYPE_INT64:
      to = static_cast<std::int64_t>(single ? reflection.GetInt64(from, &field)
                                            : reflection.GetRepeatedInt64(from, &field, index));
      return {};
    case FieldDescriptor::CPPTYPE_UINT32:
      to = single ? reflection.GetUInt32(from, &field) : reflection.GetRepeatedUInt32(from, &field, index);
      return {};
    case FieldDescriptor::CPPTYPE_UINT64:
      to = static_cast<std::uint64_t>(single ? reflection.GetUInt64(from, &field)
                                             : reflection.GetRepeatedUInt64(from, &field, index));
      return {};
    case FieldDescriptor::CPPTYPE_DOUBLE:
      to = single ? reflection.GetDouble(from, &field) : reflection.GetRepeatedDouble(from, &field, index);
      return {};
    case FieldDescriptor::CPPTYPE_FLOAT:
      return to_json(single ? reflection.GetFloat(from, &field) : reflection.GetRepeatedFloat(from, &field, index), to);
    case FieldDescriptor::CPPTYPE_ENUM:
      to = single ? reflection.GetEnumValue(from, &field) : reflection.GetRepeatedEnumValue(from, &field, index);
      return {};
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string scratch;
      const std::string& text = single ? reflection.GetStringReference(from, &field, &scratch)
                                       : reflection.GetRepeatedStringReference(from, &field, index, &scratch);
      if (field.type() == FieldDescriptor::TYPE_BYTES) return to_json(as_bytes(text), to);
      return to_json(text, to);
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return protobuf_to_json(
          single ? reflection.GetMessage(from, &field) : reflection.GetRepeatedMessage(from, &field, index), to);
  }
  return {};
}

// A map key as JSON wants it: a string.
std::string key_text(const Message& entry, const FieldDescriptor& key) {
  const Reflection& reflection = *entry.GetReflection();
  switch (key.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.GetBool(entry, &key) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_INT32:
      return std::to_string(reflection.GetInt32(entry, &key));
    case FieldDescriptor::CPPTYPE_INT64:
      return std::to_string(reflection.GetInt64(entry, &key));
    case FieldDescriptor::CPPTYPE_UINT32:
      return std::to_string(reflection.GetUInt32(entry, &key));
    case FieldDescriptor::CPPTYPE_UINT64:
      return std::to_string(reflection.GetUInt64(entry, &key));
    default:
      return reflection.GetString(entry, &key);
  }
}

Result<void> field_to_json(const Message& from, const FieldDescriptor& field, json::value& to) {
  if (!field.is_repeated()) return value_to_json(from, field, -1, to);
  const Reflection& reflection = *from.GetReflection();
  const int count = reflection.FieldSize(from, &field);
  if (field.is_map()) {
    json::object& object = to.emplace_object();
    for (int i = 0; i < count; ++i) {
      const Message& entry = reflection.GetRepeatedMessage(from, &field, i);
      const std::string key = key_text(entry, *field.message_type()->map_key());
      json::value& value = object.emplace(view(key), nullptr).first->value();
      auto converted = value_to_json(entry, *field.message_type()->map_value(), -1, value);
      if (!converted) return detail::json_within_key(key, std::move(converted.error()));
    }
    return {};
  }
  json::array& array = to.emplace_array();
  array.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    auto converted = value_to_json(from, field, i, array.emplace_back(nullptr));
    if (!converted) return detail::json_within(static_cast<std::size_t>(i), std::move(converted.error()));
  }
  return {};
}

// --- from JSON ---

// An integer, also one in a string, as proto3 writers send those of 64 bits.
template <class Int>
Result<Int> integer_from_json(const json::value& from) {
  Int value{};
  if (const json::string* text = from.if_string()) {
    const char* const end = text->data() + text->size();
    const auto parsed = std::from_chars(text->data(), end, value);
    if (parsed.ec == std::errc() && parsed.ptr == end) return value;
  }
  WAYPORT_TRY(framing::from_json(from, value));
  return value;
}

template <class Real>
Result<Real> real_from_json(const json::value& from) {
  if (const json::string* text = from.if_string()) {
    if (*text == "NaN") return std::numeric_limits<Real>::quiet_NaN();
    if (*text == "Infinity") return std::numeric_limits<Real>::infinity();
    if (*text == "-Infinity") return -std::numeric_limits<Real>::infinity();
  }
  Real value{};
  WAYPORT_TRY(framing::from_json(from, value));
  return value;
}

Result<int> enum_from_json(const json::value& from, const FieldDescriptor& field) {
  if (const json::string* name = from.if_string()) {
    const EnumValueDescriptor* const value = field.enum_type()->FindValueByName({name->data(), name->size()});
    if (value == nullptr) return json_mismatch("a value of enum " + field.enum_type()->full_name(), from);
    return value->number();
  }
  return integer_from_json<std::int32_t>(from);
}

Result<std::string> string_from_json(const json::value& from, const FieldDescriptor& field) {
  std::string text;
  WAYPORT_TRY(framing::from_json(from, text));
  if (field.type() != FieldDescriptor::TYPE_BYTES) return text;
  std::optional<std::string> bytes = from_base64(text);
  if (!bytes) return json_mismatch("base64 in a string", from);
  return *std::move(bytes);
}

// Sets a single field, or adds to a repeated one.
Result<void> value_from_json(const json::value& from, Message& to, const FieldDescriptor& field) {
  const Reflection& reflection = *to.GetReflection();
  const auto store = [&]<class T>(Result<T> value, auto set, auto add) -> Result<void> {
    if (!value) return fail(std::move(value.error()));
    if (field.is_repeated()) {
      (reflection.*add)(&to, &field, *std::move(value));
    } else {
      (reflection.*set)(&to, &field, *std::move(value));
    }
    return {};
  };
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL: {
      bool value = false;
      WAYPORT_TRY(framing::from_json(from, value));
      return store(Result<bool>(value), &Reflection::SetBool, &Reflection::AddBool);
    }
    case FieldDescriptor::CPPTYPE_INT32:
      return store(integer_from_json<std::int32_t>(from), &Reflection::SetInt32, &Reflection::AddInt32);
    case FieldDescriptor::CPPTYPE_INT64:
      return store(integer_from_json<std::int64_t>(from), &Reflection::SetInt64, &Reflection::AddInt64);
    case FieldDescriptor::CPPTYPE_UINT32:
      return store(integer_from_json<std::uint32_t>(from), &Reflection::SetUInt32, &Reflection::AddUInt32);
    case FieldDescriptor::CPPTYPE_UINT64:
      return store(integer_from_json<std::uint64_t>(from), &Reflection::SetUInt64, &Reflection::AddUInt64);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return store(real_from_json<double>(from), &Reflection::SetDouble, &Reflection::AddDouble);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return store(real_from_json<float>(from), &Reflection::SetFloat, &Reflection::AddFloat);
    case FieldDescriptor::CPPTYPE_ENUM:
      return store(enum_from_json(from, field), &Reflection::SetEnumValue, &Reflection::AddEnumValue);
    case FieldDescriptor::CPPTYPE_STRING:
      return store(string_from_json(from, field), &Reflection::SetString, &Reflection::AddString);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return protobuf_from_json(
          from, field.is_repeated() ? *reflection.AddMessage(&to, &field) : *reflection.MutableMessage(&to, &field));
  }
  return {};
}

Result<void> map_from_json(const json::value& from, Message& to, const FieldDescriptor& field) {
  const json::object* const object = from.if_object();
  if (object == nullptr) return json_mismatch("an object", from);
  const Reflection& reflection = *to.GetReflection();
  const FieldDescriptor& key_field = *field.message_type()->map_key();
  for (const json::key_value_pair& member : *object) {
    const std::string_view key = detail::json_view(member.key());
    Message& entry = *reflection.AddMessage(&to, &field);
    json::value key_value;
    if (key_field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL && (key == "true" || key == "false")) {
      key_value = key == "true";
    } else {
      WAYPORT_TRY(to_json(key, key_value));
    }
    auto converted = value_from_json(key_value, entry, key_field);
    if (converted && !member.value().is_null()) {
      converted = value_from_json(member.value(), entry, *field.message_type()->map_value());
    }
    if (!converted) return detail::json_within_key(key, std::move(converted.error()));
  }
  return {};
}

Result<void> field_from_json(const json::value& from, Message& to, const FieldDescriptor& field) {
  if (!field.is_repeated()) return from.is_null() ? Result<void>() : value_from_json(from, to, field);
  to.GetReflection()->ClearField(&to, &field);
  if (from.is_null()) return {};
  if (field.is_map()) return map_from_json(from, to, field);
  const json::array* const array = from.if_array();
  if (array == nullptr) return json_mismatch("an array", from);
  for (std::size_t i = 0; i < array->size(); ++i) {
    // Go fills in a zero value; protobuf has no null elements either.
    const json::value& element = (*array)[i];
    auto converted =
        element.is_null() ? Result<void>(json_mismatch("a value", element)) : value_from_json(element, to, field);
    if (!converted) return detail::json_within(i, std::move(converted.error()));
  }
  return {};
}

const FieldDescriptor* find_field(const Descriptor& type, std::string_view key) {
  const std::string name(key);
  if (const FieldDescriptor* field = type.FindFieldByName(name)) return field;
  if (const FieldDescriptor* field = type.FindFieldByCamelcaseName(name)) return field;
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* const field = type.field(i);
    if (field->json_name() == name || detail::json_key_folds(field->name(), key)) return field;
  }
  return nullptr;
}

}  // namespace

Result<void> protobuf_to_json(const Message& from, json::value& to) {
  json::object& object = to.emplace_object();
  std::vector<const FieldDescriptor*> fields;
  from.GetReflection()->ListFields(from, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->is_extension()) continue;
    auto converted = field_to_json(from, *field, object.emplace(view(field->name()), nullptr).first->value());
    if (!converted) return detail::json_within(field->name(), std::move(converted.error()));
  }
  return {};
}

Result<void> protobuf_from_json(const json::value& from, Message& to) {
  if (from.is_null()) return {};
  const json::object* const object = from.if_object();
  if (object == nullptr) return json_mismatch("an object", from);
  for (const json::key_value_pair& member : *object) {
    const FieldDescriptor* const field = find_field(*to.GetDescriptor(), detail::json_view(member.key()));
    if (field == nullptr) continue;
    auto converted = field_from_json(member.value(), to, *field);
    if (!converted) return detail::json_within(field->name(), std::move(converted.error()));
  }
  return {};
}

}  // namespace wayport::framing

// The hand-written header codec against protobuf's own.
//
// What ours accepts, protobuf accepts with the same fields. What protobuf accepts is known to ours once protobuf has
// written it again (it skips known fields of a wrong wire type, where the originals and we refuse). Both write the same
// bytes.
#include <google/protobuf/stubs/logging.h>

#include <string>

#include "wayport/base/bytes.h"
#include "wayport/framing/teleport/header_protobuf.h"
#include "wayport/framing/test_messages.pb.h"

namespace wayport::framing {
namespace {

test::Header message_of(const PacketHeader& header) {
  test::Header message;
  message.set_seq(header.seq);
  message.set_type(header.type);
  message.set_uri(std::string(header.uri));
  message.set_gzip(header.gzip);
  message.set_status_code(header.status_code);
  message.set_status(std::string(header.status));
  return message;
}

std::string written(const PacketHeader& header) {
  std::string bytes(header_protobuf_size(header), '\0');
  auto* const begin = reinterpret_cast<std::byte*>(bytes.data());
  WAYPORT_ASSERT(write_header_protobuf(begin, header) == begin + bytes.size(), "the size is exact");
  return bytes;
}

}  // namespace
}  // namespace wayport::framing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace wayport::framing;
  static const auto quiet = google::protobuf::SetLogHandler(nullptr);
  static_cast<void>(quiet);
  const wayport::Bytes input(reinterpret_cast<const std::byte*>(data), size);

  PacketHeader header;
  const bool ours = read_header_protobuf(input, header).has_value();
  test::Header theirs;
  const bool parsed = theirs.ParseFromArray(data, static_cast<int>(size));
  theirs.DiscardUnknownFields();
  const std::string canonical = theirs.SerializeAsString();
  if (ours) {
    WAYPORT_ASSERT(parsed, "protobuf accepts what we accept");
    WAYPORT_ASSERT(message_of(header).SerializeAsString() == canonical, "with the same fields");
    WAYPORT_ASSERT(written(header) == canonical, "written as the same bytes");
  }
  if (parsed) {
    PacketHeader again;
    WAYPORT_ASSERT(read_header_protobuf(wayport::as_bytes(canonical), again).has_value(),
                   "we accept what protobuf writes");
    WAYPORT_ASSERT(written(again) == canonical, "and write it so");
  }
  return 0;
}

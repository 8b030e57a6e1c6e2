#include "wayport/tools/wayport/body_source.h"

#include <array>
#include <boost/json/value.hpp>
#include <cerrno>
#include <fstream>

#include "wayport/base/bytes.h"
#include "wayport/framing/json_value.h"

namespace wayport::tools {
namespace {

Result<std::string> read_all(std::istream& in, const std::string& name) {
  std::string all;
  std::array<char, 64 * 1024> piece;
  while (in) {
    in.read(piece.data(), piece.size());
    all.append(piece.data(), static_cast<std::size_t>(in.gcount()));
    if (all.size() > kBodyBytesMax) {
      return fail(ErrorCode::too_large, name + " has more than " + std::to_string(kBodyBytesMax) + " bytes");
    }
  }
  if (in.bad()) return fail(ErrorCode::io, name + " cannot be read");
  return all;
}

Result<std::string> read_source(const std::string& source, std::istream& in) {
  if (source == "-") return read_all(in, "standard input");
  if (!source.starts_with('@')) return source;
  const std::string path = source.substr(1);
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(system_error(errno, "cannot open the body file " + escape(path)));
  return read_all(file, escape(path));
}

}  // namespace

Result<std::optional<framing::RawBody>> load_body(const BodyOptions& options, std::istream& in) {
  if (options.raw && options.gzip != 0) {
    return fail(ErrorCode::invalid_argument, "raw bodies are never compressed (spec/teleport 5): leave --gzip out");
  }
  if (!options.source) return std::nullopt;
  framing::RawBody body;
  WAYPORT_TRY_ASSIGN(body.bytes, read_source(*options.source, in));
  if (options.raw) {
    if (!body.bytes.empty() && body.bytes[0] == '\0') {
      return fail(ErrorCode::invalid_argument, "a raw body begins with its codec id, which is not 0");
    }
    // Nothing at all is no body.
    if (body.bytes.empty()) return std::nullopt;
    return body;
  }
  body.codec_id = options.codec;
  if (options.codec == framing::kCodecJson) {
    boost::json::value value;
    if (const Result<void> parsed = framing::parse_json(body.bytes, value); !parsed) {
      return fail(ErrorCode::invalid_argument,
                  "the body is no JSON (" + parsed.error().detail + "); --codec string sends any text");
    }
  }
  return body;
}

}  // namespace wayport::tools

#include "tools/penstock/payload.hpp"

#include <zlib.h>

#include <array>
#include <fstream>
#include <iterator>

#include "core/base/address.hpp"
#include "core/manifest/bundle.hpp"

namespace penstock::tool {
namespace {

constexpr std::size_t kMaxUnpacked = kGiB;
constexpr int kGzipWindow = 15 + 16;  // zlib.h, inflateInit2: + 16 for a gzip header

}  // namespace

std::optional<Bytes> read_file(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return {};
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return {};
  Bytes bytes(static_cast<std::size_t>(file.tellg()));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!file) return {};
  return bytes;
}

bool is_gzip(std::span<const std::uint8_t> bytes) {
  return bytes.size() > 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

std::optional<Bytes> gunzip(std::span<const std::uint8_t> bytes) {
  z_stream stream{};
  if (inflateInit2(&stream, kGzipWindow) != Z_OK) return {};
  stream.next_in = const_cast<Bytef*>(bytes.data());  // zlib does not write through it
  stream.avail_in = static_cast<uInt>(bytes.size());
  Bytes result;
  std::array<std::uint8_t, 64 * kKiB> chunk{};
  int status = Z_OK;
  while (status == Z_OK && result.size() < kMaxUnpacked) {
    stream.next_out = chunk.data();
    stream.avail_out = chunk.size();
    status = inflate(&stream, Z_NO_FLUSH);
    result.insert(result.end(), chunk.begin(), chunk.end() - stream.avail_out);
  }
  inflateEnd(&stream);
  if (status != Z_STREAM_END) return {};
  return result;
}

Result<Bytes> read_kernel(const std::filesystem::path& path) {
  auto bytes = read_file(path);
  if (!bytes) return fail(Code::kNotFound);
  if (is_gzip(*bytes)) {
    bytes = gunzip(*bytes);
    if (!bytes) return fail(Code::kBadChecksum);
  }
  if (!manifest::is_arm64_image(*bytes)) return fail(Code::kUnsupported);
  return *std::move(bytes);
}

}  // namespace penstock::tool

#include "tools/penstock/payload.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <string_view>

#include "core/base/address.hpp"
#include "core/manifest/bundle.hpp"

namespace penstock::tool {
namespace {

constexpr std::size_t kMaxUnpacked = kGiB;
constexpr int kGzipWindow = 15 + 16;  // zlib.h, inflateInit2: + 16 for a gzip header

/// Files that begin like these are no code: something has to read them first.
constexpr std::array<std::string_view, 10> kOtherKinds = {
    "\x7f"
    "ELF",               // ELF
    "MZ",                // an EFI program
    "\x27\x05\x19\x56",  // U-Boot's uImage
    "\xd0\x0d\xfe\xed",  // a device tree, U-Boot's FIT
    "\xfd"
    "7zXZ",              // xz
    "BZh",               // bzip2
    "\x28\xb5\x2f\xfd",  // zstd
    "\x04\x22\x4d\x18",  // lz4
    "070701",            // cpio
    "#!",                // a script
};

bool needs_a_loader(std::span<const std::uint8_t> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return std::any_of(kOtherKinds.begin(), kOtherKinds.end(),
                     [text](std::string_view kind) { return text.starts_with(kind); });
}

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

Result<Kernel> read_kernel(const std::filesystem::path& path) {
  auto bytes = read_file(path);
  if (!bytes) return fail(Code::kNotFound);
  if (is_gzip(*bytes)) {
    bytes = gunzip(*bytes);
    if (!bytes) return fail(Code::kBadChecksum);
  }
  const bool raw = !manifest::is_arm64_image(*bytes);
  if (raw && (bytes->empty() || needs_a_loader(*bytes))) return fail(Code::kUnsupported);
  return Kernel{*std::move(bytes), raw};
}

}  // namespace penstock::tool

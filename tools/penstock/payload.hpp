// Payload files: kernels and RAM disks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "core/base/result.hpp"

namespace penstock::tool {

using Bytes = std::vector<std::uint8_t>;

[[nodiscard]] std::optional<Bytes> read_file(const std::filesystem::path& path);
[[nodiscard]] bool is_gzip(std::span<const std::uint8_t> bytes);
/// The unpacked content of a gzip file; nothing when it is damaged or larger than 1 GiB.
[[nodiscard]] std::optional<Bytes> gunzip(std::span<const std::uint8_t> bytes);
struct Kernel {
  Bytes bytes;
  bool raw = false;  // no arm64 Image: to be entered at its first byte
};

/// A kernel, unpacked where it was compressed. kNotFound: cannot be read; kBadChecksum: damaged
/// gzip; kUnsupported: neither an arm64 Image nor a raw image, but a file of a known other kind.
[[nodiscard]] Result<Kernel> read_kernel(const std::filesystem::path& path);

}  // namespace penstock::tool

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
/// A kernel as an arm64 Image, unpacked where it was compressed. kNotFound: cannot be read;
/// kBadChecksum: damaged gzip; kUnsupported: no arm64 Image.
[[nodiscard]] Result<Bytes> read_kernel(const std::filesystem::path& path);

}  // namespace penstock::tool

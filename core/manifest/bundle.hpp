// The bundle: what `penstock build` appends to the hypervisor's Image, and what the hypervisor
// finds behind itself.
//
//     +--------------------------------+ <- start of the file; arm64 Image header, image_size
//     patched to the whole file | hypervisor Image               | | zeros up to its own image_size
//     | (its zero-initialised data lies here once it runs)
//     +--------------------------------+ <- start of the bundle, 4 KiB aligned; all offsets below
//     count from here | header, 4 KiB                  | | manifest: flattened device tree| |
//     kernel of domain 0             | each payload starts on a 4 KiB boundary | ... |
//     +--------------------------------+ <- start of the bundle + total_bytes
//
// Header, little-endian; bytes not named are zero:
//
//      0  8  magic "PENSTOCK"
//      8  4  version, 1
//     12  4  bytes of the header, 4096
//     16  8  total_bytes: header, manifest and payloads
//     24  4  offset of the manifest
//     28  4  bytes of the manifest
//     32  4  CRC-32 of the manifest
//   4092  4  CRC-32 of bytes 0..4091
//
// The CRC is IEEE 802.3's (reflected 0xedb88320), as in gzip. It finds truncation and damage; it is
// no signature.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/base/address.hpp"

namespace penstock::manifest {

inline constexpr std::string_view kBundleMagic = "PENSTOCK";
inline constexpr std::uint32_t kBundleVersion = 1;
inline constexpr std::size_t kBundleHeaderBytes = 4096;
inline constexpr std::uint64_t kPayloadAlign = kPageSize;
// More than the largest configuration needs, and little enough to bound a reader's work: libfdt
// reads a property's name to its end each time that it looks for one.
inline constexpr std::uint32_t kMaxManifestBytes = 128 * kKiB;
inline constexpr std::uint32_t kMaxManifestStrings = 512;  // names of properties, all together

namespace header {  // offsets in bytes
inline constexpr std::size_t kMagic = 0;
inline constexpr std::size_t kVersion = 8;
inline constexpr std::size_t kHeaderBytes = 12;
inline constexpr std::size_t kTotalBytes = 16;
inline constexpr std::size_t kManifestOffset = 24;
inline constexpr std::size_t kManifestBytes = 28;
inline constexpr std::size_t kManifestCrc = 32;
inline constexpr std::size_t kHeaderCrc = 4092;
}  // namespace header

// Linux Documentation/arch/arm64/booting: 64-byte header of a bootable Image.
namespace arm64_image {
inline constexpr std::size_t kHeaderBytes = 64;
inline constexpr std::size_t kTextOffset = 8;
inline constexpr std::size_t kImageSize = 16;
inline constexpr std::size_t kMagicOffset = 56;
inline constexpr std::string_view kMagic = "ARM\x64";
}  // namespace arm64_image

/// True when `image` begins with the header of an arm64 Image.
[[nodiscard]] bool is_arm64_image(std::span<const std::uint8_t> image);

/// CRC-32 of `bytes`; about seven instructions per byte.
[[nodiscard]] std::uint32_t crc32(std::span<const std::uint8_t> bytes);

/// CRC-32 of the first and of the last 4 KiB (or all, when it is shorter): what the hypervisor
/// checks of a payload at boot. Reading all of it would cost more than the whole boot may;
/// `penstock check --bundle` does that.
[[nodiscard]] std::uint32_t crc32_first_page(std::span<const std::uint8_t> bytes);
[[nodiscard]] std::uint32_t crc32_last_page(std::span<const std::uint8_t> bytes);

}  // namespace penstock::manifest

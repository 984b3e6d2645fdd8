#include "core/vm/kernel_place.hpp"

#include "core/base/bytes.hpp"

namespace penstock::vm {
namespace {

constexpr std::uint64_t kImageAlign = 2 * kMiB;

// arm64 Image header (Linux Documentation/arch/arm64/booting).
constexpr std::size_t kHeaderBytes = 64;
constexpr std::size_t kTextOffsetAt = 8;
constexpr std::size_t kImageSizeAt = 16;

}  // namespace

Result<KernelPlace> place_kernel(std::span<const std::uint8_t> kernel,
                                 std::optional<std::uint64_t> raw_offset, std::uint64_t ram_bytes) {
  KernelPlace place{kImageAlign, kernel.size()};
  if (raw_offset) {
    if (*raw_offset < kTreeBytes) return fail(Code::kOutOfRange, *raw_offset);
    place.offset = *raw_offset;
  } else if (kernel.size() >= kHeaderBytes) {
    const std::uint64_t image_size = load_le(kernel, kImageSizeAt, 8);
    place.offset += load_le(kernel, kTextOffsetAt, 8) % kImageAlign;
    if (image_size > place.bytes) place.bytes = image_size;
  }
  if (!fits(place.offset, place.bytes, ram_bytes)) return fail(Code::kNoMemory, place.bytes);
  return place;
}

}  // namespace penstock::vm

// ChaCha20's block function (RFC 8439 2.3): spreads one seed over many that tell nothing about each
// other.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace penstock {

inline constexpr std::size_t kSeedBytes = 32;
using Seed = std::array<std::uint8_t, kSeedBytes>;

/// 64 bytes for (key, stream, counter): stream is the low half of the nonce, the rest is zero.
[[nodiscard]] std::array<std::uint8_t, 64> chacha20_block(const Seed& key, std::uint64_t stream,
                                                          std::uint32_t counter);

}  // namespace penstock

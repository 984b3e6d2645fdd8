// Numbers of the specification (IHI 0070) that several files of the model need.
#pragma once

#include <cstdint>

namespace penstock::sim::layout {

constexpr std::uint64_t kPage = 4096;

// Types of event records (7.3).
constexpr std::uint8_t kBadStreamId = 0x02;
constexpr std::uint8_t kSteFetch = 0x03;
constexpr std::uint8_t kBadSte = 0x04;
constexpr std::uint8_t kBadAtsRequest = 0x05;
constexpr std::uint8_t kStreamDisabled = 0x06;
constexpr std::uint8_t kTranslatedForbidden = 0x07;
constexpr std::uint8_t kBadSubstreamId = 0x08;
constexpr std::uint8_t kCdFetch = 0x09;
constexpr std::uint8_t kBadCd = 0x0a;
constexpr std::uint8_t kWalkAbort = 0x0b;
constexpr std::uint8_t kTranslation = 0x10;
constexpr std::uint8_t kAddressSize = 0x11;
constexpr std::uint8_t kAccess = 0x12;
constexpr std::uint8_t kPermission = 0x13;

// Errors of the command queue (CMDQ_CONS.ERR, 7.1).
constexpr unsigned kNoError = 0;
constexpr unsigned kErrorIllegal = 1;
constexpr unsigned kErrorAbort = 2;
constexpr unsigned kErrorAtcTimeout = 3;

// Bits of GERROR (7.5).
constexpr std::uint32_t kCommandError = 1u << 0;
constexpr std::uint32_t kEventWriteAborted = 1u << 2;
constexpr std::uint32_t kSyncMessageAborted = 1u << 4;
constexpr std::uint32_t kEventMessageAborted = 1u << 5;
constexpr std::uint32_t kErrorMessageAborted = 1u << 7;

constexpr std::uint64_t bits(std::uint64_t word, unsigned high, unsigned low) {
  return (word >> low) & ((std::uint64_t{2} << (high - low)) - 1);
}

/// The index and the wrap bit of a queue with this base register.
constexpr std::uint32_t queue_mask(std::uint64_t base) {
  return static_cast<std::uint32_t>((std::uint64_t{2} << (base & 0x1f)) - 1);
}

/// STE.S2PS and CD.IPS.
constexpr unsigned output_bits_of(std::uint64_t ps) {
  constexpr unsigned kSizes[] = {32, 36, 40, 42, 44, 48, 52};
  return ps < 7 ? kSizes[ps] : 48;
}

/// log2 of what a leaf of `level` maps with the 4 KiB granule.
constexpr unsigned leaf_shift(unsigned level) {
  return 12 + 9 * (3 - level);
}

}  // namespace penstock::sim::layout

// Arm SMMUv3 event records (IHI 0070, 7.3): 32 bytes, four 64-bit words.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/base/bits.hpp"

namespace penstock::hw::smmuv3 {

inline constexpr std::size_t kEventBytes = 32;
using EventRecord = std::array<std::uint64_t, 4>;

// clang-format off
enum class EventType : std::uint8_t {
  kBadStreamId     = 0x02,
  kSteFetch        = 0x03,
  kBadSte          = 0x04,
  kStreamDisabled  = 0x06,
  kBadSubstreamId  = 0x08,
  kBadCd           = 0x0a,
  kTranslation     = 0x10,
  kAddressSize     = 0x11,
  kAccess          = 0x12,
  kPermission      = 0x13,
};

namespace event0 {
using Type        = Field< 7,  0>;
using Res8        = Field<10,  8>;
using SSV         = Field<11, 11>;
using SubstreamId = Field<31, 12>;
using StreamId    = Field<63, 32>;
static_assert(covers_exactly<64, Type, Res8, SSV, SubstreamId, StreamId>());
}  // namespace event0

namespace event1 {  // translation faults; other records use parts of it
using STAG    = Field<15,  0>;
using Res16   = Field<30, 16>;
using Stall   = Field<31, 31>;
using Res32   = Field<32, 32>;
using PnU     = Field<33, 33>;
using InD     = Field<34, 34>;
using RnW     = Field<35, 35>;
using Res36   = Field<38, 36>;
using S2      = Field<39, 39>;
using Class   = Field<41, 40>;
using ImpDef  = Field<63, 42>;
static_assert(covers_exactly<64, STAG, Res16, Stall, Res32, PnU, InD, RnW, Res36, S2, Class, ImpDef>());
}  // namespace event1

// word 2: InputAddr, all 64 bits

namespace event3 {
using Res0  = Field<11,  0>;
using IPA   = Field<55, 12>;
using Res56 = Field<63, 56>;
static_assert(covers_exactly<64, Res0, IPA, Res56>());
}  // namespace event3
// clang-format on

}  // namespace penstock::hw::smmuv3

// Arm SMMUv3 commands (IHI 0070, chapter 4): 16 bytes, two 64-bit words. Those that a hypervisor
// issues of its own are functions that yield the two words; those that a guest may issue are
// fields.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "core/base/address.hpp"
#include "core/base/bits.hpp"
#include "core/base/ids.hpp"

namespace penstock::hw::smmuv3 {

inline constexpr std::size_t kCommandBytes = 16;
using Command = std::array<std::uint64_t, 2>;

// clang-format off
enum class Opcode : std::uint8_t {
  kPrefetchConfig = 0x01,
  kPrefetchAddr   = 0x02,
  kCfgiSte        = 0x03,
  kCfgiSteRange   = 0x04,  // with Range 31: CFGI_ALL
  kCfgiCd         = 0x05,
  kCfgiCdAll      = 0x06,
  kTlbiNhAll      = 0x10,
  kTlbiNhAsid     = 0x11,
  kTlbiNhVa       = 0x12,
  kTlbiNhVaa      = 0x13,
  kTlbiEl3All     = 0x18,
  kTlbiEl3Va      = 0x1a,
  kTlbiEl2All     = 0x20,
  kTlbiEl2Asid    = 0x21,
  kTlbiEl2Va      = 0x22,
  kTlbiEl2Vaa     = 0x23,
  kTlbiS12Vmall   = 0x28,
  kTlbiS2Ipa      = 0x2a,
  kTlbiNsnhAll    = 0x30,
  kAtcInv         = 0x40,
  kPriResp        = 0x41,
  kResume         = 0x44,
  kStallTerm      = 0x45,
  kSync           = 0x46,
};

namespace command {  // word 0 of every command
using Op     = Field< 7,  0, Opcode>;
using Res8   = Field< 9,  8>;
using SSec   = Field<10, 10>;  // for a Secure stream: never on the Non-secure queue
using Rest   = Field<63, 11>;
using Number = Field< 7,  0>;  // Op of a command that may not exist
static_assert(covers_exactly<64, Op, Res8, SSec, Rest>());
}  // namespace command

namespace cfgi {  // CFGI_STE, CFGI_STE_RANGE
using Low      = Field<31,  0>;
using StreamId = Field<63, 32>;
static_assert(covers_exactly<64, Low, StreamId>());
// word 1
using Leaf     = Field< 0,  0>;  // CFGI_STE: level-1 descriptors stay cached
using Range    = Field< 4,  0>;  // CFGI_STE_RANGE
}  // namespace cfgi

namespace cfgi_cd {  // word 0 of CFGI_CD; CFGI_CD_ALL has no SubstreamID
using Op          = Field< 7,  0, Opcode>;
using Res8        = Field< 9,  8>;
using SSec        = Field<10, 10>;
using Res11       = Field<11, 11>;
using SubstreamId = Field<31, 12>;
using StreamId    = Field<63, 32>;
static_assert(covers_exactly<64, Op, Res8, SSec, Res11, SubstreamId, StreamId>());
}  // namespace cfgi_cd

namespace cmd_sync {
using Op         = Field< 7,  0, Opcode>;
using Res8       = Field< 9,  8>;
using SSec       = Field<10, 10>;
using Res11      = Field<11, 11>;
using CS         = Field<13, 12>;  // how completion is told
using Res14      = Field<21, 14>;
using MSH        = Field<23, 22>;
using MSIAttr    = Field<27, 24>;
using Res28      = Field<31, 28>;
using MSIData    = Field<63, 32>;
static_assert(covers_exactly<64, Op, Res8, SSec, Res11, CS, Res14, MSH, MSIAttr, Res28, MSIData>());
// word 1
using Res0       = Field< 1,  0>;
using MSIAddress = Field<51,  2>;  // 0: the wired interrupt
using Res52      = Field<63, 52>;
static_assert(covers_exactly<64, Res0, MSIAddress, Res52>());
inline constexpr std::uint64_t kSigNone = 0;  // CMDQ_CONS passes it, and that is all
inline constexpr std::uint64_t kSigIrq  = 1;
inline constexpr std::uint64_t kSigSev  = 2;
}  // namespace cmd_sync

namespace tlbi {
using Op     = Field< 7,  0, Opcode>;
using Res8   = Field<11,  8>;
using NUM    = Field<16, 12>;
using Res17  = Field<19, 17>;
using SCALE  = Field<24, 20>;
using Res25  = Field<31, 25>;
using VMID   = Field<47, 32>;
using ASID   = Field<63, 48>;
static_assert(covers_exactly<64, Op, Res8, NUM, Res17, SCALE, Res25, VMID, ASID>());
using Asid8  = Field<55, 48>;  // where IDR0.ASID16 = 0
// word 1
using Leaf    = Field< 0,  0>;
using Res1    = Field< 7,  1>;
using TTL     = Field< 9,  8>;
using TG      = Field<11, 10>;  // 0: one address; 1: a range of 4 KiB granules
using Address = Field<63, 12>;
static_assert(covers_exactly<64, Leaf, Res1, TTL, TG, Address>());
inline constexpr std::uint64_t kMaxNum = 31;
}  // namespace tlbi
// clang-format on

[[nodiscard]] constexpr Command cfgi_ste(StreamId stream, bool leaf) {
  return {with<cfgi::StreamId>(with<command::Op>(0, Opcode::kCfgiSte), stream.value()),
          with<cfgi::Leaf>(0, leaf ? 1 : 0)};
}
[[nodiscard]] constexpr Command cfgi_all() {
  return {with<command::Op>(0, Opcode::kCfgiSteRange), with<cfgi::Range>(0, 31)};
}
[[nodiscard]] constexpr Command tlbi_el2_all() {
  return {with<command::Op>(0, Opcode::kTlbiEl2All), 0};
}
[[nodiscard]] constexpr Command tlbi_nsnh_all() {
  return {with<command::Op>(0, Opcode::kTlbiNsnhAll), 0};
}
/// Everything that a guest's own stage 1 has put under this VMID.
[[nodiscard]] constexpr Command tlbi_nh_all(Vmid vmid) {
  return {with<tlbi::VMID>(with<command::Op>(0, Opcode::kTlbiNhAll), vmid.value()), 0};
}
[[nodiscard]] constexpr Command tlbi_s12_vmall(Vmid vmid) {
  return {with<tlbi::VMID>(with<command::Op>(0, Opcode::kTlbiS12Vmall), vmid.value()), 0};
}
/// One page, tables that lead to it included (Leaf = 0).
[[nodiscard]] constexpr Command tlbi_s2_ipa(Vmid vmid, Gpa page) {
  return {with<tlbi::VMID>(with<command::Op>(0, Opcode::kTlbiS2Ipa), vmid.value()),
          with<tlbi::Address>(0, page.value() >> 12)};
}
/// (num + 1) << scale pages of 4 KiB, num <= 31; IDR3.RIL = 1 only. One page is not to be asked for
/// this way: NUM = SCALE = TTL = 0 is a reserved combination (4.4.1.1).
[[nodiscard]] constexpr Command tlbi_s2_ipa_range(Vmid vmid, Gpa start, unsigned num,
                                                  unsigned scale) {
  Command result = tlbi_s2_ipa(vmid, start);
  result[0] = with<tlbi::SCALE>(with<tlbi::NUM>(result[0], num), scale);
  result[1] = with<tlbi::TG>(result[1], 1);
  return result;
}
/// Completes when everything before it has completed; no interrupt (CS = 0), the consumer polls
/// CMDQ_CONS.
[[nodiscard]] constexpr Command sync() {
  return {with<command::Op>(0, Opcode::kSync), 0};
}

}  // namespace penstock::hw::smmuv3

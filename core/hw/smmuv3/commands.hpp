// Arm SMMUv3 commands (IHI 0070, chapter 4): 16 bytes, two 64-bit words. Those that a hypervisor
// without guest stage 1 needs, each as a function that yields the two words.
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
  kCfgiSte       = 0x03,
  kCfgiSteRange  = 0x04,  // with Range 31: CFGI_ALL
  kTlbiEl2All    = 0x20,
  kTlbiS12Vmall  = 0x28,
  kTlbiS2Ipa     = 0x2a,
  kTlbiNsnhAll   = 0x30,
  kSync          = 0x46,
};

namespace command {  // word 0 of every command
using Op     = Field< 7,  0, Opcode>;
using Res8   = Field< 9,  8>;
using SSec   = Field<10, 10>;
using Rest   = Field<63, 11>;
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

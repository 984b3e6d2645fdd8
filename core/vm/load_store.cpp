#include "core/vm/load_store.hpp"

#include "core/base/bits.hpp"

namespace penstock::vm {
namespace {

constexpr std::int64_t sign_extend(std::uint64_t value, unsigned bits) {
  return static_cast<std::int64_t>(value << (64 - bits)) >> (64 - bits);
}

// clang-format off

// Load/store pair of registers (DDI 0487 C4.1.94).
namespace pair {
using Opc   = Field<31, 30>;  // 0: 32 bits, 1: LDPSW, 2: 64 bits
using Group = Field<29, 27>;
using Vr    = Field<26, 26>;
using Zero  = Field<25, 25>;
using Mode  = Field<24, 23>;  // 0: non-temporal, 1: post-index, 2: offset, 3: pre-index
using Load  = Field<22, 22>;
using Imm   = Field<21, 15>;  // in elements
using Rt2   = Field<14, 10>;
using Rn    = Field< 9,  5>;
using Rt    = Field< 4,  0>;
static_assert(covers_exactly<32, Opc, Group, Vr, Zero, Mode, Load, Imm, Rt2, Rn, Rt>());
constexpr std::uint64_t kGroup = 5;
}  // namespace pair

// Load/store register, immediate post- or pre-indexed.
namespace indexed {
using Size  = Field<31, 30>;
using Group = Field<29, 27>;
using Vr    = Field<26, 26>;
using Zero  = Field<25, 24>;
using Opc   = Field<23, 22>;  // 0: store, 1: load, 2: load signed to 64 bits, 3: to 32 bits
using Imm9  = Field<21, 21>;  // 0
using Imm   = Field<20, 12>;  // in bytes
using Mode  = Field<11, 10>;  // 1: post-index, 3: pre-index
using Rn    = Field< 9,  5>;
using Rt    = Field< 4,  0>;
static_assert(covers_exactly<32, Size, Group, Vr, Zero, Opc, Imm9, Imm, Mode, Rn, Rt>());
constexpr std::uint64_t kGroup = 7;
}  // namespace indexed

// clang-format on

constexpr std::uint64_t kPostIndex = 1;
constexpr std::uint64_t kPreIndex = 3;
constexpr unsigned kStackPointer = 31;

/// Whether the base register would get two values, or the value to be stored is the old or the new
/// base: CONSTRAINED UNPREDICTABLE (DDI 0487 K1.2.3).
bool overwrites_base(const LoadStore& access) {
  if (access.write_back == 0 || access.base == kStackPointer) return false;
  return access.regs[0] == access.base || (access.count == 2 && access.regs[1] == access.base);
}

std::optional<LoadStore> decode_pair(std::uint32_t instruction) {
  using namespace pair;
  if (get<Group>(instruction) != kGroup || get<Vr>(instruction) != 0) return std::nullopt;
  if (get<Zero>(instruction) != 0) return std::nullopt;
  const std::uint64_t opc = get<Opc>(instruction);
  const std::uint64_t mode = get<Mode>(instruction);
  const bool load = get<Load>(instruction) != 0;
  const bool words = opc == 1;  // LDPSW; as a store or non-temporal it is something else
  if (opc == 3 || (words && (!load || mode == 0))) return std::nullopt;
  LoadStore access{};
  access.write = !load;
  access.size = opc == 2 ? 8 : 4;
  access.count = 2;
  access.regs = {static_cast<unsigned>(get<Rt>(instruction)),
                 static_cast<unsigned>(get<Rt2>(instruction))};
  access.sign_extend = words;
  access.wide = opc != 0;
  access.base = static_cast<unsigned>(get<Rn>(instruction));
  const std::int64_t distance = sign_extend(get<Imm>(instruction), Imm::kWidth) * access.size;
  access.offset = mode == kPostIndex ? 0 : distance;
  access.write_back = mode == kPostIndex || mode == kPreIndex ? distance : 0;
  if (load && access.regs[0] == access.regs[1]) return std::nullopt;  // CONSTRAINED UNPREDICTABLE
  return access;
}

std::optional<LoadStore> decode_indexed(std::uint32_t instruction) {
  using namespace indexed;
  if (get<Group>(instruction) != kGroup || get<Vr>(instruction) != 0) return std::nullopt;
  if (get<Zero>(instruction) != 0 || get<Imm9>(instruction) != 0) return std::nullopt;
  const std::uint64_t mode = get<Mode>(instruction);
  const std::uint64_t opc = get<Opc>(instruction);
  const auto size = static_cast<unsigned>(get<Size>(instruction));
  if (mode != kPostIndex && mode != kPreIndex) return std::nullopt;
  // There is nothing to extend a doubleword to, nor a word to 32 bits.
  if ((opc >= 2 && size == 3) || (opc == 3 && size == 2)) return std::nullopt;
  LoadStore access{};
  access.write = opc == 0;
  access.size = 1U << size;
  access.count = 1;
  access.regs = {static_cast<unsigned>(get<Rt>(instruction)), 0};
  access.sign_extend = opc >= 2;
  access.wide = opc == 2 || size == 3;
  access.base = static_cast<unsigned>(get<Rn>(instruction));
  const std::int64_t distance = sign_extend(get<Imm>(instruction), Imm::kWidth);
  access.offset = mode == kPreIndex ? distance : 0;
  access.write_back = distance;
  return access;
}

}  // namespace

std::optional<LoadStore> decode_load_store(std::uint32_t instruction) {
  auto access = decode_pair(instruction);
  if (!access) access = decode_indexed(instruction);
  if (access && overwrites_base(*access)) return std::nullopt;
  return access;
}

}  // namespace penstock::vm

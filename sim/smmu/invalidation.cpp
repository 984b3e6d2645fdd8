// The simulated SMMU's TLB invalidation commands (IHI 0070, 4.4).
#include "sim/smmu/layout.hpp"
#include "sim/smmu/smmu.hpp"

namespace penstock::sim {

using namespace layout;

/// What the address and range fields mean; the same for every command by address (4.4.1.1).
Smmu::Range Smmu::decode_range(const Command& command) {
  const std::uint64_t num = bits(command[0], 16, 12);
  const std::uint64_t scale = bits(command[0], 24, 20);
  const std::uint64_t granule = bits(command[1], 11, 10);
  const auto ttl = static_cast<unsigned>(bits(command[1], 9, 8));
  const bool ranges = ((config_.idr3 >> 10) & 1) != 0;
  Range range{command[1] & ~(kPage - 1), kPage, 0};
  if (!ranges && (num | scale | granule | ttl) != 0) misuse("TLBI: range without IDR3.RIL");
  if (granule == 0 && (num | scale | ttl) != 0) misuse("TLBI: range fields without TG");
  if (granule != 0 && (num | scale | ttl) == 0) {
    misuse("TLBI: NUM, SCALE, TTL all zero with TG");
  }
  if (granule == 2 && ttl == 1) misuse("TLBI: TTL 1 with the 16 KiB granule");
  if (!ranges || granule == 0) return range;
  constexpr unsigned kShift[] = {12, 12, 14, 16};
  if (range.start % (std::uint64_t{1} << kShift[granule]) != 0) {
    misuse("TLBI: address is not aligned to TG");
  }
  range.size = ((num + 1) << scale) << kShift[granule];
  range.level = ttl;
  // No table of the model has another granule, so such a command means none of its translations.
  if (granule != 1) range.size = 0;
  return range;
}

unsigned Smmu::execute_tlbi(const Command& command, std::uint8_t opcode) {
  const auto vmid = static_cast<std::uint16_t>(command[0] >> 32);
  const auto asid = static_cast<std::uint32_t>(command[0] >> 48);
  const bool has_stage2 = has(0);
  const bool by_asid = opcode == 0x11 || opcode == 0x12;
  if (!has(18) && vmid > 0xff) misuse("TLBI: VMID has 8 bits");
  if (!has(12) && by_asid && asid > 0xff) misuse("TLBI: ASID has 8 bits");
  switch (opcode) {
    case 0x10:    // TLBI_NH_ALL
    case 0x11: {  // TLBI_NH_ASID
      pending_.push_back([=, this] {
        std::erase_if(tlb_, [&](const auto& item) {
          const auto& [v, a, page] = item.first;
          return v == vmid && a != kNoAsid && (!by_asid || a == asid);
        });
      });
      return kNoError;
    }
    case 0x12:    // TLBI_NH_VA
    case 0x13: {  // TLBI_NH_VAA
      const Range range = decode_range(command);
      pending_.push_back([=, this] {
        std::erase_if(tlb_, [&](const auto& item) {
          const auto& [v, a, page] = item.first;
          if (v != vmid || a == kNoAsid || (by_asid && a != asid)) return false;
          if (range.size == 0) return false;
          if (range.level != 0 && range.level != item.second.s1_level) return false;
          // Any address of a block means all that was cached of it.
          const std::uint64_t block = std::uint64_t{1} << leaf_shift(item.second.s1_level);
          const std::uint64_t first = page & ~(block - 1);
          return range.start - first < block || first - range.start < range.size;
        });
      });
      return kNoError;
    }
    case 0x20: return has(9) ? kNoError : kErrorIllegal;  // TLBI_EL2_ALL
    case 0x28:                                            // TLBI_S12_VMALL
      if (!has_stage2) return kErrorIllegal;
      pending_.push_back([=, this] {
        std::erase_if(tlb_, [&](const auto& item) { return std::get<0>(item.first) == vmid; });
        std::erase_if(pointers_, [&](const auto& item) { return std::get<0>(item.first) == vmid; });
      });
      return kNoError;
    case 0x2a:  // TLBI_S2_IPA
      if (!has_stage2) return kErrorIllegal;
      invalidate_ipa(command);
      return kNoError;
    case 0x30:  // TLBI_NSNH_ALL
      pending_.push_back([this] {
        tlb_.clear();
        pointers_.clear();
      });
      return kNoError;
    default: return kErrorIllegal;
  }
}

/// TLBI_S2_IPA reaches translations of stage 2 alone; what stage 1 and 2 gave together stays
/// (4.4.3).
void Smmu::invalidate_ipa(const Command& command) {
  const auto vmid = static_cast<std::uint16_t>(command[0] >> 32);
  const bool leaf = (command[1] & 1) != 0;
  Range range = decode_range(command);
  range.start &= 0x00ff'ffff'ffff'f000u;
  pending_.push_back([=, this] {
    std::erase_if(tlb_, [&](const auto& item) {
      const auto& [v, a, page] = item.first;
      return v == vmid && a == kNoAsid && page - range.start < range.size &&
             (range.level == 0 || range.level == item.second.s2_level);
    });
    if (leaf || range.size == 0) return;
    std::erase_if(pointers_, [&](const auto& item) {
      const auto& [v, level, prefix] = item.first;
      // A pointer to a table of this level was used for one entry of the level above.
      const std::uint64_t covers = std::uint64_t{1} << leaf_shift(level - 1);
      return v == vmid && (range.start - prefix < covers || prefix - range.start < range.size);
    });
  });
}

}  // namespace penstock::sim

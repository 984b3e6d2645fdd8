#include "sim/smmu/stage2_walk.hpp"

namespace penstock::sim {

namespace {

unsigned level_shift(unsigned level) {
  return 12 + 9 * (3 - level);
}

}  // namespace

bool is_consistent(const Stage2Regime& regime) {
  if (regime.start_level > 2) return false;
  const unsigned resolved_below = level_shift(regime.start_level);
  // One table resolves 9 bits; up to 16 of them may be concatenated, which gives 4 more.
  return regime.input_bits > resolved_below && regime.input_bits <= resolved_below + 9 + 4;
}

Stage2Outcome walk_stage2(const Stage2Regime& regime, std::uint64_t ipa,
                          const DescriptorReader& read, const TablePointerCache& cached,
                          const TablePointerFilter& found) {
  Stage2Outcome out;
  out.level = regime.start_level;
  out.fault = Stage2Fault::kTranslation;
  if (regime.input_bits < 64 && (ipa >> regime.input_bits) != 0) return out;

  std::uint64_t table = regime.root;
  unsigned level = regime.start_level;
  if (cached) {
    for (unsigned deeper = 3; deeper > regime.start_level; --deeper) {
      if (cached(deeper, ipa, table)) {
        level = deeper;
        break;
      }
    }
  }
  for (;; ++level) {
    out.level = level;
    const unsigned shift = level_shift(level);
    // Concatenated tables: the start level's index has as many bits as the input size leaves it.
    const std::uint64_t index_mask =
        level == regime.start_level ? ~std::uint64_t{0} : std::uint64_t{0x1ff};
    std::uint64_t descriptor = 0;
    if (!read(table + ((ipa >> shift) & index_mask) * 8, descriptor)) {
      out.fault = Stage2Fault::kExternalAbort;
      return out;
    }
    const bool valid = (descriptor & 1) != 0;
    const bool bit1 = (descriptor & 2) != 0;
    // Blocks exist at levels 1 and 2; 0b01 at levels 0 and 3 is reserved.
    if (!valid || (!bit1 && (level == 0 || level == 3))) return out;
    const std::uint64_t address = descriptor & 0x0000'ffff'ffff'f000u;
    if (regime.output_bits < 48 && (address >> regime.output_bits) != 0) {
      out.fault = Stage2Fault::kAddressSize;
      return out;
    }
    if (bit1 && level < 3) {
      table = found ? found(level + 1, ipa, address) : address;
      continue;
    }
    const std::uint64_t size = std::uint64_t{1} << shift;
    if (((descriptor >> 10) & 1) == 0) {
      out.fault = Stage2Fault::kAccess;
      return out;
    }
    out.fault = Stage2Fault::kNone;
    out.pa = (address & ~(size - 1)) | (ipa & (size - 1));
    out.block_size = size;
    out.readable = ((descriptor >> 6) & 1) != 0;
    out.writable = ((descriptor >> 7) & 1) != 0;
    out.executable = ((descriptor >> 54) & 1) == 0;
    out.device_memory = ((descriptor >> 4) & 3) == 0;
    return out;
  }
}

}  // namespace penstock::sim

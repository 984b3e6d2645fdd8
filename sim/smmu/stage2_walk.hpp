// A stage-2 walk as the Arm architecture defines it (DDI 0487, D8.2 and D8.3), VMSAv8-64 with the 4
// KiB granule: the simulated SMMU's, and the judge of tables in tests. It reads descriptors through
// a function, so that a test can show it any state of memory.
#pragma once

#include <cstdint>
#include <functional>

namespace penstock::sim {

struct Stage2Regime {
  std::uint64_t root = 0;     // S2TTB / VTTBR.BADDR
  unsigned input_bits = 40;   // 64 - T0SZ
  unsigned start_level = 1;   // 0, 1 or 2
  unsigned output_bits = 48;  // from PS
};

enum class Stage2Fault : std::uint8_t {
  kNone,
  kTranslation,
  kAddressSize,
  kAccess,
  kExternalAbort
};

struct Stage2Outcome {
  Stage2Fault fault = Stage2Fault::kNone;
  unsigned level = 0;  // where the walk ended
  std::uint64_t pa = 0;
  std::uint64_t block_size = 0;  // bytes that the leaf covers
  bool readable = false;
  bool writable = false;
  bool executable = false;
  bool device_memory = false;
};

/// Reads the 64-bit descriptor at a machine address; false: external abort.
using DescriptorReader = std::function<bool(std::uint64_t pa, std::uint64_t& descriptor)>;
/// Lets a caller cache table pointers: called per table with the level of the table pointed to, the
/// IPA, and the address to use, which it may replace. May be empty.
using TablePointerFilter =
    std::function<std::uint64_t(unsigned level, std::uint64_t ipa, std::uint64_t table)>;
/// Asked before the descriptor of `level` is read: true and a table address when a cached pointer
/// skips the levels above.
using TablePointerCache =
    std::function<bool(unsigned level, std::uint64_t ipa, std::uint64_t& table)>;

[[nodiscard]] Stage2Outcome walk_stage2(const Stage2Regime& regime, std::uint64_t ipa,
                                        const DescriptorReader& read,
                                        const TablePointerCache& cached = {},
                                        const TablePointerFilter& found = {});

/// False when the start level and the input size do not go together (more than 16 concatenated
/// tables, or none).
[[nodiscard]] bool is_consistent(const Stage2Regime& regime);

}  // namespace penstock::sim

// A64 loads and stores of general-purpose registers that a data abort's syndrome does not describe
// (ESR_EL2.ISV is 0): pairs, and single registers whose base register is written back. Decoded from
// the instruction (DDI 0487 C4.1.94, loads and stores). Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace penstock::vm {

struct LoadStore {
  bool write;
  unsigned size;                 // bytes of each element: 1, 2, 4, 8
  unsigned count;                // elements, one after the other in memory: 1 or 2
  std::array<unsigned, 2> regs;  // of the elements; 31: zero register
  bool sign_extend;              // loads only
  bool wide;                     // the registers are 64 bits
  unsigned base;                 // register; 31: stack pointer
  std::int64_t offset;           // from the base to the first element
  std::int64_t write_back;       // added to the base afterwards; 0: the base is left as it is

  [[nodiscard]] unsigned bytes() const { return size * count; }
};

/// What the instruction does. Nothing: it is of another kind (vector registers, exclusives,
/// atomics, memory copies, tags ...), is unallocated, or its effect is CONSTRAINED UNPREDICTABLE.
[[nodiscard]] std::optional<LoadStore> decode_load_store(std::uint32_t instruction);

}  // namespace penstock::vm

// Any word as an instruction: what is decoded can be put together again, bit for bit, so that
// nothing of the instruction was overlooked; and what is described can be carried out.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "core/vm/load_store.hpp"

namespace {

using penstock::vm::decode_load_store;
using penstock::vm::LoadStore;

void require(bool holds) {
  if (!holds) std::abort();
}

std::uint32_t registers(const LoadStore& access) {
  return access.base << 5 | access.regs[0] | (access.count == 2 ? access.regs[1] << 10 : 0);
}

std::uint32_t signed_field(std::int64_t value, unsigned bits, unsigned low) {
  return (static_cast<std::uint32_t>(value) & ((1U << bits) - 1)) << low;
}

bool is_pair(const LoadStore& access, std::uint32_t instruction) {
  const std::uint32_t opc = access.size == 8 ? 2 : access.sign_extend ? 1 : 0;
  const std::uint32_t fixed =
      opc << 30 | 5U << 27 | (access.write ? 0U : 1U << 22) | registers(access);
  for (std::uint32_t mode = 0; mode < 4; ++mode) {  // non-temporal, post, offset, pre
    const bool back = (mode & 1) != 0;
    const std::int64_t distance = back ? access.write_back : access.offset;
    if (access.offset != (mode == 1 ? 0 : distance)) continue;
    if (access.write_back != (back ? distance : 0)) continue;
    const auto elements = distance / static_cast<std::int64_t>(access.size);
    if ((fixed | mode << 23 | signed_field(elements, 7, 15)) == instruction) return true;
  }
  return false;
}

bool is_indexed(const LoadStore& access, std::uint32_t instruction) {
  const std::uint32_t size = access.size == 8 ? 3 : access.size / 2;
  const std::uint32_t opc = access.write ? 0 : !access.sign_extend ? 1 : access.wide ? 2 : 3;
  const std::uint32_t fixed = size << 30 | 7U << 27 | opc << 22 | registers(access) |
                              signed_field(access.write_back, 9, 12);
  return (access.offset == 0 && (fixed | 1U << 10) == instruction) ||
         (access.offset == access.write_back && (fixed | 3U << 10) == instruction);
}

}  // namespace

// Covers: H64
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::uint32_t instruction = 0;
  if (size < sizeof instruction) return 0;
  std::memcpy(&instruction, data, sizeof instruction);
  const auto access = decode_load_store(instruction);
  if (!access) return 0;
  require(access->size == 1 || access->size == 2 || access->size == 4 || access->size == 8);
  require(access->count == 1 || access->count == 2);
  require(access->regs[0] < 32 && access->regs[1] < 32 && access->base < 32);
  require(access->offset >= -512 && access->offset <= 504);
  require(access->write_back >= -512 && access->write_back <= 504);
  require(!(access->write && access->sign_extend));
  require(access->count == 2 ? is_pair(*access, instruction) : is_indexed(*access, instruction));
  return 0;
}

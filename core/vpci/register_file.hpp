// The 4096 bytes that a guest reads, and the rules for those bytes that are more than an image.
//
// A read looks at one word of the image and one bit that says whether hardware has a part in it;
// nothing is walked, so it costs the same whatever the device has. Rules are sorted by offset and
// found through an index per dword.
#pragma once

#include <array>
#include <cstdint>

#include "core/base/bytes.hpp"
#include "core/base/result.hpp"
#include "core/base/static_vector.hpp"
#include "core/hw/pci/config.hpp"
#include "core/port/config_space.hpp"
#include "core/vpci/policy.hpp"

namespace penstock::vpci {

/// A register with rules. Plain read-only ones need none: they are in the image, and their writes
/// find nothing.
struct Register {
  std::uint16_t offset = 0;
  std::uint8_t width = 0;  // bytes: 1, 2, 4; offset is a multiple of it, so none crosses a dword
  Handler handler = Handler::kPlain;
  std::uint32_t reset = 0;  // the image after reset
  Masks masks{};
};

/// The part of one guest write that falls on one register: `mask` bits of it are written with
/// `bits`.
struct Change {
  const Register* reg = nullptr;
  std::uint32_t mask = 0;
  std::uint32_t bits = 0;
};
using Changes = StaticVector<Change, 8>;  // one per byte of the widest access

class RegisterFile {
 public:
  /// Built-in rules take at most 40; the rest is for extra capabilities.
  static constexpr unsigned kMaxRegisters = 96;

  /// Empty: the header reads 0, everything from 0x40 on reads `hidden` in each dword.
  void clear(std::uint32_t hidden);

  /// Takes [offset, offset + length) for one capability and sets it to 0. False when part of it is
  /// taken, in the header or beyond `end`. Whole dwords are taken; a capability starts at one.
  [[nodiscard]] bool claim(unsigned offset, unsigned length, unsigned end);

  /// As claim(), but what of [begin, end) nobody has claimed stays as clear() made it. Dwords.
  void keep_back(unsigned begin, unsigned end);
  /// True for dwords of the header, of claimed capabilities and of what is kept back.
  [[nodiscard]] bool is_taken(unsigned dword) const {
    return dword < hw::pci::kHeaderSize / 4 || ((claimed_[dword / 64] >> (dword % 64)) & 1) != 0;
  }

  /// Adds a rule and puts `reset` into the image. kMisaligned (arg: offset): bad width or
  /// alignment. kOverlap: another rule holds one of these bytes. kOutOfRange: masks contradict each
  /// other or exceed the width. kTableFull.
  Status add(const Register& reg);

  /// A register of the image: `offset` is a multiple of `width`, 1, 2 or 4.
  [[nodiscard]] std::uint32_t get(unsigned offset, unsigned width) const;
  void set(unsigned offset, unsigned width, std::uint32_t value);

  /// What the guest reads; any offset below 4096, size 1..8. `hw` may be null when no rule has live
  /// bits.
  [[nodiscard]] std::uint64_t read(unsigned offset, unsigned size, port::ConfigSpace* hw) const {
    const unsigned shift = 8 * (offset & 3);
    const unsigned dword = offset >> 2;
    if ((offset & 3) + size > 4 || dword >= kDwords || is_live(dword)) {
      return read_slowly(offset, size, hw);
    }
    return (image_[dword] >> shift) & all_ones(size);
  }

  /// Which rules a write reaches, ascending; what has no rule is dropped.
  [[nodiscard]] Changes decode(unsigned offset, unsigned size, std::uint64_t value) const;

  /// Every register back to its reset value.
  void reset();

 private:
  static constexpr unsigned kDwords = hw::pci::kConfigSize / 4;
  [[nodiscard]] bool is_live(unsigned dword) const {
    return ((live_[dword / 64] >> (dword % 64)) & 1) != 0;
  }
  [[nodiscard]] std::uint64_t read_slowly(unsigned offset, unsigned size,
                                          port::ConfigSpace* hw) const;
  [[nodiscard]] std::uint32_t live_dword(unsigned dword, unsigned bytes,
                                         port::ConfigSpace& hw) const;
  void index();

  std::array<std::uint32_t, kDwords> image_{};
  std::array<std::uint64_t, kDwords / 64> live_{};  // dwords with bits from hardware
  std::array<std::uint64_t, kDwords / 64> claimed_{};
  std::array<std::uint8_t, kDwords> first_{};  // index + 1 of the first rule in the dword; 0: none
  StaticVector<Register, kMaxRegisters> rules_;
};

}  // namespace penstock::vpci

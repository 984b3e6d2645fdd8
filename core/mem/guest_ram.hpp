// A domain's RAM as its emulated devices touch it: up to four ranges of guest-physical addresses,
// each backed by contiguous machine memory. Immutable once the domain runs, so it needs no lock.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/base/address.hpp"
#include "core/base/result.hpp"
#include "core/base/static_vector.hpp"
#include "core/port/guest_mem.hpp"
#include "core/port/phys_mem.hpp"

namespace penstock::mem {

class GuestRam final : public port::GuestMem {
 public:
  struct Region {
    Gpa gpa;
    Hpa hpa;
    std::uint64_t size = 0;  // bytes
  };
  static constexpr std::size_t kMaxRegions = 4;  // RAM below and above 4 GiB, and two to spare

  explicit GuestRam(port::PhysMem& memory) : memory_(memory) {}

  /// Adds a range. kMisaligned: an address or the size is no multiple of 4 KiB. kOutOfRange: size
  /// 0, or a range that wraps. kOverlap: it shares guest or machine addresses with an earlier one.
  /// kTableFull. Before the domain runs.
  Status add(const Region& region);

  /// port::GuestMem. A copy may span regions that follow one another in guest-physical space. An
  /// empty copy succeeds anywhere. The bytes are the CPU's view: no cache maintenance.
  Status read(Gpa from, std::span<std::uint8_t> to) override;
  Status write(Gpa to, std::span<const std::uint8_t> from) override;
  Status store32(Gpa to, std::uint32_t value) override;

  /// The machine address of one byte of guest RAM; kNotMapped (arg: the Gpa) when it is no RAM of
  /// this domain.
  [[nodiscard]] Result<Hpa> translate(Gpa gpa) const;
  [[nodiscard]] std::span<const Region> regions() const {
    return {regions_.begin(), regions_.size()};
  }

 private:
  [[nodiscard]] const Region* find(Gpa gpa) const;
  [[nodiscard]] std::byte* within_one(Gpa start, std::uint64_t size) const;
  [[nodiscard]] Status check(Gpa start, std::uint64_t size) const;

  port::PhysMem& memory_;
  StaticVector<Region, kMaxRegions> regions_;
  std::array<std::byte*, kMaxRegions> homes_{};  // of regions_, as the CPU reaches them
};

}  // namespace penstock::mem

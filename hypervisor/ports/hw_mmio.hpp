// port::Mmio on real registers. The only file with volatile accesses.
#pragma once

#include <cstdint>

#include "core/port/mmio.hpp"

namespace penstock::ports {

class HwMmio final : public port::Mmio {
 public:
  HwMmio() = default;
  /// Physical base; the hypervisor maps devices at VA = PA.
  explicit HwMmio(std::uint64_t base) : base_(base) {}
  std::uint8_t read8(std::uint64_t offset) override { return *at<std::uint8_t>(offset); }
  std::uint16_t read16(std::uint64_t offset) override { return *at<std::uint16_t>(offset); }
  std::uint32_t read32(std::uint64_t offset) override { return *at<std::uint32_t>(offset); }
  std::uint64_t read64(std::uint64_t offset) override { return *at<std::uint64_t>(offset); }
  void write8(std::uint64_t offset, std::uint8_t v) override { *at<std::uint8_t>(offset) = v; }
  void write16(std::uint64_t offset, std::uint16_t v) override { *at<std::uint16_t>(offset) = v; }
  void write32(std::uint64_t offset, std::uint32_t v) override { *at<std::uint32_t>(offset) = v; }
  void write64(std::uint64_t offset, std::uint64_t v) override { *at<std::uint64_t>(offset) = v; }

 private:
  template <typename T>
  [[nodiscard]] volatile T* at(std::uint64_t offset) const {
    return reinterpret_cast<volatile T*>(base_ + offset);
  }
  std::uint64_t base_ = 0;
};

}  // namespace penstock::ports

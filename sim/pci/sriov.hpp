// A physical function with virtual functions (PCIe Base 6.0, chapter 9), on the bus of its PF.
#pragma once

#include <memory>
#include <vector>

#include "sim/pci/host.hpp"

namespace penstock::sim {

class SriovPf;

/// Its IDs read all-ones, it has no BARs of its own, and its PF decides whether it decodes.
class VirtualFunction final : public PciFunction {
 public:
  VirtualFunction(SriovPf& pf, unsigned number);
  [[nodiscard]] std::uint64_t bar_address(unsigned index) const override;
  [[nodiscard]] bool memory_enabled() const override;
  /// A BAR as add_bar() makes one, placed by the PF's registers.
  void add_vf_bar(unsigned index, std::uint64_t size, BarKind kind);

 private:
  SriovPf& pf_;
  unsigned number_;
};

class SriovPf final : public PciFunction {
 public:
  struct Shape {
    std::uint16_t vfs = 0;
    std::uint16_t offset = 1;
    std::uint16_t stride = 1;
    std::uint16_t device = 0;
  };
  explicit SriovPf(const PciIdentity& identity) : PciFunction(identity) {}

  /// The capability, and as many VFs as it says. After the PF's other capabilities.
  void add_sriov(const Shape& shape);
  void add_vf_bar(unsigned index, std::uint64_t size, BarKind kind);

  void config_write(unsigned offset, unsigned size, std::uint32_t value) override;
  void reset() override;

  [[nodiscard]] VirtualFunction& vf(unsigned i) { return *vfs_[i]; }
  [[nodiscard]] unsigned sriov_at() const { return at_; }
  /// VFs on the bus.
  [[nodiscard]] unsigned vfs_on() const { return on_; }
  [[nodiscard]] bool vf_memory() const { return on_ != 0 && (peek(at_ + 0x08, 2) & 8) != 0; }
  [[nodiscard]] std::uint64_t vf_bar(unsigned index) const;
  /// How often software touched what it may not: NumVFs, page size or VF BARs while VFs are on.
  [[nodiscard]] unsigned misuses() const { return misuses_; }

 private:
  void follow();

  Shape shape_;
  std::vector<std::unique_ptr<VirtualFunction>> vfs_;
  unsigned at_ = 0;
  unsigned on_ = 0;
  unsigned misuses_ = 0;
};

/// Gigabit Ethernet with VFs: two 64-bit prefetchable VF BARs, one with their MSI-X table; VF i is
/// 0x80 + 2 * i behind the PF. PCIe, FLR, ARI.
[[nodiscard]] std::unique_ptr<SriovPf> igb_with_vfs(std::uint16_t vfs = 7);

/// NVMe with VFs: one 64-bit VF BAR; they follow the PF without a gap. PCIe, FLR, ARI.
[[nodiscard]] std::unique_ptr<SriovPf> nvme_with_vfs(std::uint16_t vfs = 4);

}  // namespace penstock::sim

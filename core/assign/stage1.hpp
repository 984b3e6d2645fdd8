// Where a guest's own IOMMU and the board's meet: what the virtual one asks for is done by the
// physical one, for this domain only.
#pragma once

#include <string_view>

#include "core/assign/device.hpp"
#include "core/iommu/smmuv3.hpp"
#include "core/port/log.hpp"
#include "core/viommu/stage1_host.hpp"
#include "core/viommu/virtual_iommu.hpp"

namespace penstock::assign {

/// One domain's stage 1 in the board's SMMU. Any CPU of the domain.
class SmmuStage1 final : public viommu::Stage1Host {
 public:
  /// `vmid` is that of the one DMA table of the domain. All outlive this object.
  SmmuStage1(iommu::Smmu& smmu, Vmid vmid, port::Log& log, std::string_view domain)
      : smmu_(smmu), vmid_(vmid), log_(log), domain_(domain) {}

  Status configure(StreamId stream, const hw::smmuv3::Stage1& wanted) override;
  Status forward(std::span<hw::smmuv3::Command> batch) override;

 private:
  [[gnu::cold, gnu::noinline]] void say(std::string_view what, Error why);

  iommu::Smmu& smmu_;
  Vmid vmid_;
  port::Log& log_;
  std::string_view domain_;
  unsigned lines_ = 0;  // of a broken SMMU a few are enough (H14)
};

/// It happened before the device's present owner got it.
[[nodiscard]] bool is_old(const Device& device, const iommu::Fault& fault);
/// Tells the guest that owns the device, if the fault is its own; false: the operator must know.
bool tell_guest(viommu::VirtualIommu& iommu, const Device& device, const iommu::Fault& fault);

}  // namespace penstock::assign

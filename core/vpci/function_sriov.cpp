// The SR-IOV capability as the owner of a physical function sees it. Its VFs are devices of their
// own, which come to domains one by one; what its kernel finds at their routing IDs are
// placeholders, so that Linux's pci_enable_sriov() succeeds and nobody binds to them.
#include "core/base/bytes.hpp"
#include "core/hw/pci/sriov.hpp"
#include "core/vpci/function.hpp"

namespace penstock::vpci {
namespace {

namespace pci = hw::pci;
namespace cap = hw::pci::sriov;

constexpr std::uint32_t kNoClass = 0xff0000;  // base class FF: fits no defined class

}  // namespace

unsigned VirtualFunction::prepare_sriov(unsigned base, const PolicyOptions& options) {
  const auto& bars = options.sriov->bars;
  for (unsigned i = 0; i < bars.size(); ++i) {
    if (bars[i].size == 0) continue;
    if (!is_power_of_two(bars[i].size) || bars[i].size < kPageSize) return 0;
    if (bars[i].is64 && (i + 1 == bars.size() || bars[i + 1].size != 0)) return 0;
    if (!bars[i].is64 && bars[i].size > 2 * kGiB) return 0;
  }
  sriov_base_ = static_cast<std::uint16_t>(base);
  most_vfs_ = options.sriov->vfs;
  return cap::kSize;
}

bool VirtualFunction::vf_enable() const {
  const std::uint32_t word = registers_.get(sriov_base_ + cap::kControl, 2);
  return get<cap::control::VfEnable>(word) != 0;
}

/// PCIe 9.3.3.3.1: VF Enable with a NumVFs that cannot be has no defined result, so it stays off.
/// What VFs are built from stands still while they are on.
std::uint32_t VirtualFunction::sriov_filtered(const Register& reg, std::uint32_t before,
                                              std::uint32_t after) const {
  if (reg.handler != Handler::kSriovControl) return vf_enable() ? before : after;
  const std::uint32_t count = registers_.get(sriov_base_ + cap::kNumVfs, 2);
  if (count != 0 && count <= most_vfs_) return after;
  return static_cast<std::uint32_t>(with<cap::control::VfEnable>(after, 0));
}

void VirtualFunction::settle_sriov(Effects& effects) {
  if (sriov_base_ == 0) return;
  const std::uint32_t count = vf_enable() ? registers_.get(sriov_base_ + cap::kNumVfs, 2) : 0;
  const auto vfs = static_cast<std::uint16_t>(count);
  if (vfs == announced_.vfs) return;
  announced_.vfs = vfs;
  // Room for all effects of a write: effect.hpp.
  static_cast<void>(effects.push_back(
      {.kind = vfs != 0 ? Effect::Kind::kSriovEnable : Effect::Kind::kSriovDisable, .count = vfs}));
}

void VirtualFunction::vfs_lost() {
  announced_.vfs = 0;
  if (sriov_base_ == 0) return;
  const unsigned at = sriov_base_ + cap::kControl;
  const std::uint32_t word = registers_.get(at, 2);
  registers_.set(at, 2, static_cast<std::uint32_t>(with<cap::control::VfEnable>(word, 0)));
}

std::uint64_t VirtualFunction::vf_placeholder_read(unsigned offset, unsigned size) const {
  std::uint64_t value = all_ones(size);
  for (unsigned done = 0; done < size && done < 8; ++done) {
    const unsigned at = offset + done;
    if (at >= pci::kConfigSize) break;
    std::uint32_t word = 0;
    if (at < pci::kCommand) word = 0xffffffff;
    if (at / 4 == pci::kRevisionId / 4) word = kNoClass << 8;
    if (at / 4 == pci::kSubsystemVendor / 4) word = registers_.get(pci::kSubsystemVendor, 4);
    const std::uint64_t byte = (word >> (8 * (at & 3))) & 0xff;
    value = (value & ~(std::uint64_t{0xff} << (8 * done))) | byte << (8 * done);
  }
  return value;
}

}  // namespace penstock::vpci

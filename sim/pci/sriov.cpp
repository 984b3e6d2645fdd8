#include "sim/pci/sriov.hpp"

namespace penstock::sim {
namespace {

constexpr unsigned kControl = 0x08;
constexpr unsigned kNumVfs = 0x10;
constexpr unsigned kBars = 0x24;
constexpr unsigned kCapabilityBytes = 0x40;
constexpr std::uint32_t kEnable = 1;

std::uint32_t flags(const PciFunction::BarKind& kind) {
  return (kind.is64 ? 4U : 0U) | (kind.prefetchable ? 8U : 0U);
}

}  // namespace

VirtualFunction::VirtualFunction(SriovPf& pf, unsigned number)
    : PciFunction({0xffff, 0xffff, pf.peek(0x08, 4) >> 8}), pf_(pf), number_(number) {
  set_writable(0x04, 2, 0x0004);  // bus master; memory space is the PF's VF MSE (PCIe 9.3.4.1.3)
  set_writable(0x3c, 1, 0);
  poke(0x2c, 4, 0xa03c'8086);
}

void VirtualFunction::add_vf_bar(unsigned index, std::uint64_t size, BarKind kind) {
  add_bar(index, size, kind);
  for (unsigned at = 0x10 + 4 * index; at < 0x10 + 4 * index + (kind.is64 ? 8U : 4U); at += 4) {
    poke(at, 4, 0);
    set_writable(at, 4, 0);
  }
}

std::uint64_t VirtualFunction::bar_address(unsigned index) const {
  return pf_.vf_bar(index) + number_ * bar_size(index);
}

bool VirtualFunction::memory_enabled() const {
  return pf_.vf_memory() && !in_low_power();
}

void SriovPf::add_sriov(const Shape& shape) {
  shape_ = shape;
  at_ = add_extended(0x0010, kCapabilityBytes);
  poke(at_ + 0x0c, 2, shape.vfs);
  poke(at_ + 0x0e, 2, shape.vfs);
  poke(at_ + 0x14, 2, shape.offset);
  poke(at_ + 0x16, 2, shape.stride);
  poke(at_ + 0x1a, 2, shape.device);
  poke(at_ + 0x1c, 4, 0x553);
  poke(at_ + 0x20, 4, 1);
  set_writable(at_ + kControl, 2, 0x19);
  set_writable(at_ + kNumVfs, 2, 0xffff);
  set_writable(at_ + 0x20, 4, 0x553);
  for (unsigned i = 0; i < shape.vfs; ++i) {
    auto vf = std::make_unique<VirtualFunction>(*this, i);
    vf->add_express(PciPortType::kEndpoint, true);
    vf->set_writable(vf->express_at() + 8, 2, 0x8000);  // the rest is the PF's (PCIe 9.3.5.4)
    vfs_.push_back(std::move(vf));
  }
}

void SriovPf::add_vf_bar(unsigned index, std::uint64_t size, BarKind kind) {
  const unsigned at = at_ + kBars + 4 * index;
  const std::uint64_t mask = ~(size - 1);
  poke(at, 4, flags(kind));
  set_writable(at, 4, static_cast<std::uint32_t>(mask) & ~0xfU);
  if (kind.is64) set_writable(at + 4, 4, static_cast<std::uint32_t>(mask >> 32));
  for (const auto& vf : vfs_) vf->add_vf_bar(index, size, kind);
}

std::uint64_t SriovPf::vf_bar(unsigned index) const {
  const unsigned at = at_ + kBars + 4 * index;
  const std::uint32_t low = peek(at, 4);
  return (low & ~0xfU) | ((low & 4) != 0 ? std::uint64_t{peek(at + 4, 4)} << 32 : 0);
}

void SriovPf::config_write(unsigned offset, unsigned size, std::uint32_t value) {
  if (on_ != 0 && offset >= at_ + kNumVfs && offset < at_ + kCapabilityBytes) {
    ++misuses_;
    return;
  }
  PciFunction::config_write(offset, size, value);
  follow();
}

void SriovPf::reset() {
  PciFunction::reset();
  follow();
}

/// VFs come and go with VF Enable; each comes as after a reset.
void SriovPf::follow() {
  if (at_ == 0 || bus() == nullptr) return;
  const bool enable = (peek(at_ + kControl, 2) & kEnable) != 0;
  if (enable == (on_ != 0)) return;
  const unsigned wanted = enable ? peek(at_ + kNumVfs, 2) : 0;
  for (unsigned i = 0; i < vfs_.size() && i < (enable ? wanted : on_); ++i) {
    const unsigned number = devfn() + shape_.offset + i * shape_.stride;
    if (number > 0xff) break;
    if (enable) {
      vfs_[i]->reset();
      bus()->plug(number >> 3, number & 7, *vfs_[i]);
    } else {
      bus()->unplug(number);
    }
  }
  on_ = wanted;
}

std::unique_ptr<SriovPf> igb_with_vfs(std::uint16_t vfs) {
  auto pf = std::make_unique<SriovPf>(PciIdentity{0x8086, 0x10c9, 0x02'0000});
  pf->set_multi_function();
  pf->add_bar(0, 0x2'0000, {});
  pf->add_bar(3, 0x4000, {});
  pf->add_power(false);
  pf->add_express(PciPortType::kEndpoint, true);
  pf->add_msix(10, 3, 0, 3, 0x2000);
  pf->add_extended(0x0001, 0x48);
  pf->add_extended(0x000e, 8);
  pf->add_sriov({.vfs = vfs, .offset = 0x80, .stride = 2, .device = 0x10ca});
  pf->add_vf_bar(0, 0x4000, {.is64 = true, .prefetchable = true});
  pf->add_vf_bar(3, 0x4000, {.is64 = true, .prefetchable = true});
  for (unsigned i = 0; i < vfs; ++i) pf->vf(i).add_msix(3, 3, 0, 3, 0x2000);
  return pf;
}

std::unique_ptr<SriovPf> nvme_with_vfs(std::uint16_t vfs) {
  auto pf = std::make_unique<SriovPf>(PciIdentity{0x1b36, 0x0010, 0x01'0802});
  pf->set_multi_function();
  pf->add_bar(0, 0x4000, {.is64 = true});
  pf->add_power(true);
  pf->add_express(PciPortType::kEndpoint, true);
  pf->add_msix(65, 0, 0x2000, 0, 0x3000);
  pf->add_extended(0x000e, 8);
  pf->add_sriov({.vfs = vfs, .offset = 1, .stride = 1, .device = 0x0010});
  pf->add_vf_bar(0, 0x4000, {.is64 = true});
  for (unsigned i = 0; i < vfs; ++i) pf->vf(i).add_msix(2, 0, 0x2000, 0, 0x3000);
  return pf;
}

}  // namespace penstock::sim

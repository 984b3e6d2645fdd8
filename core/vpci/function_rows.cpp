// From rows of the policy table to registers of one function: which apply, which bits they have
// here, and what they hold after reset.
#include "core/hw/pci/capability.hpp"
#include "core/hw/pci/express.hpp"
#include "core/hw/pci/sriov.hpp"
#include "core/vpci/function.hpp"

namespace penstock::vpci {
namespace {

namespace pci = hw::pci;

unsigned vf_bar_index(const Row& row) {
  return (row.offset - pci::sriov::kVfBar0) / 4U;
}

/// The address bits in this register: of a BAR, or of the upper half of the one before.
std::uint64_t vf_bar_mask(const SriovFacts& facts, const Row& row) {
  const unsigned i = vf_bar_index(row);
  if (facts.bars[i].size != 0) return ~(facts.bars[i].size - 1);
  const bool upper = i > 0 && facts.bars[i - 1].size != 0 && facts.bars[i - 1].is64;
  return upper ? ~(facts.bars[i - 1].size - 1) >> 32 : 0;
}

}  // namespace

bool VirtualFunction::applies(Condition condition) const {
  switch (condition) {
    case Condition::kAlways: return true;
    case Condition::kMsi64: return msi_.address64;
    case Condition::kMsi32: return !msi_.address64;
    case Condition::kMsiMasks64: return msi_.mask != 0 && msi_.address64;
    case Condition::kMsiMasks32: return msi_.mask != 0 && !msi_.address64;
    case Condition::kExpressLink: return express_link_;
    case Condition::kExpress2: return express_version_ >= 2;
    case Condition::kExpress2Link: return express_version_ >= 2 && express_link_;
  }
  return false;
}

/// The table's masks, with those filled in that depend on the device's sizes.
Masks VirtualFunction::shaped_masks(const Row& row, const PolicyOptions& options) const {
  Masks masks = row.masks;
  if (row.handler == Handler::kBar) {
    const unsigned i = (row.offset - pci::kBar0) / 4U;
    if (bars_[i].shown) {
      masks.rw = static_cast<std::uint32_t>(bars_[i].address_mask);
    } else if (i > 0 && bars_[i - 1].shown && bars_[i - 1].facts.is64) {
      masks.rw = static_cast<std::uint32_t>(bars_[i - 1].address_mask >> 32);
    }
  } else if (row.handler == Handler::kRom && bars_[kRomIndex].shown) {
    masks.rw =
        static_cast<std::uint32_t>(bars_[kRomIndex].address_mask | pci::rom_bar::Enable::kMask);
  } else if (row.handler == Handler::kMsiVectors) {
    const auto vectors = static_cast<std::uint32_t>(low_mask(1U << msi_.log2_vectors));
    masks.rw &= vectors;
    masks.live &= vectors;
  } else if (row.handler == Handler::kSriovBar) {
    masks.rw = static_cast<std::uint32_t>(vf_bar_mask(*options.sriov, row));
  }
  return masks;
}

/// The value after reset, from `value`, the read-only bits of the hardware.
std::uint32_t VirtualFunction::shaped_value(const Row& row, std::uint32_t value,
                                            const PolicyOptions& options) const {
  using pci::express::PortType;
  namespace express = pci::express::capabilities;
  std::uint64_t out = value;
  switch (row.handler) {
    case Handler::kPlain:
    case Handler::kCommand:
    case Handler::kPower:
    case Handler::kMsi:
    case Handler::kMsiVectors:
    case Handler::kDeviceControl:
    case Handler::kFlrControl:
    case Handler::kSriovControl:
    case Handler::kSriovNumVfs: break;
    case Handler::kBar: {
      const unsigned i = (row.offset - pci::kBar0) / 4U;
      if (bars_[i].shown) {
        const BarFacts& bar = bars_[i].facts;
        out = with<pci::bar::Type>(0, bar.is64 ? pci::bar::kType64 : pci::bar::kType32);
        out = with<pci::bar::Prefetchable>(out, bar.prefetchable ? 1 : 0);
        out |= bar.guest.value() & 0xffffffff;
      } else if (i > 0 && bars_[i - 1].shown && bars_[i - 1].facts.is64) {
        out = bars_[i - 1].facts.guest.value() >> 32;
      }
      break;
    }
    case Handler::kRom:
      if (bars_[kRomIndex].shown) {
        out = bars_[kRomIndex].facts.guest.value() & bars_[kRomIndex].address_mask;
      }
      break;
    case Handler::kMsiControl:
      out = with<pci::msi::control::MultipleCapable>(out, msi_.log2_vectors);
      break;
    case Handler::kMsixControl:
      out = with<pci::msix::control::TableSize>(out, msix_.vectors() - 1);
      break;
    case Handler::kExpressType: {
      const PortType type = get<express::Type>(out);
      const bool endpoint = type == PortType::kEndpoint || type == PortType::kLegacyEndpoint;
      if (endpoint && !express_link_)
        out = with<express::Type>(out, PortType::kRootComplexEndpoint);
      break;
    }
    case Handler::kHeaderType:
      out = with<pci::header_type::MultiFunction>(0, options.multi_function ? 1 : 0);
      break;
    case Handler::kStatus:
      out = with<pci::status::CapabilityList>(out, first_capability_ != 0 ? 1 : 0);
      break;
    case Handler::kFirstCapability: out = first_capability_; break;
    case Handler::kSriovTotal: out = most_vfs_; break;
    case Handler::kSriovBar: {
      const BarFacts& bar = options.sriov->bars[vf_bar_index(row)];
      if (bar.size == 0) break;
      out = with<pci::bar::Type>(0, bar.is64 ? pci::bar::kType64 : pci::bar::kType32);
      out = with<pci::bar::Prefetchable>(out, bar.prefetchable ? 1 : 0);
      break;
    }
  }
  return static_cast<std::uint32_t>(out);
}

Status VirtualFunction::add_rows(Owner owner, unsigned base, const PolicyOptions& options) {
  for (const Row& row : policy()) {
    if (row.owner != owner || !applies(row.condition)) continue;
    const Masks masks = shaped_masks(row, options);
    std::uint32_t value = masks.one;
    if (masks.ro != 0) value |= hw_->read(base + row.offset, row.width) & masks.ro;
    value = shaped_value(row, value, options);
    TRY(add_register(base + row.offset, row.width, row.handler, masks, value));
  }
  return {};
}

/// A rule where a write can do something or a read needs the hardware, else just the value.
Status VirtualFunction::add_register(unsigned offset, unsigned width, Handler handler,
                                     const Masks& masks, std::uint32_t value) {
  if ((masks.rw | masks.from_hw() | masks.rsvdz) == 0) {
    registers_.set(offset, width, value);
    return {};
  }
  return registers_.add({.offset = static_cast<std::uint16_t>(offset),
                         .width = static_cast<std::uint8_t>(width),
                         .handler = handler,
                         .reset = value,
                         .masks = masks});
}

}  // namespace penstock::vpci

#include "core/vpci/function.hpp"

#include "core/hw/pci/capability.hpp"
#include "core/hw/pci/express.hpp"
#include "core/hw/pci/msi.hpp"
#include "core/hw/pci/power.hpp"

namespace penstock::vpci {
namespace {

namespace pci = hw::pci;

/// Effects' capacity covers the worst write (effect.hpp), so there is always room.
void emit(Effects& effects, const Effect& effect) {
  static_cast<void>(effects.push_back(effect));
}

/// Whether a change of this register can change mappings, interrupts or bus mastering.
bool settles(Handler handler) {
  switch (handler) {
    case Handler::kCommand:
    case Handler::kBar:
    case Handler::kMsiControl:
    case Handler::kMsi:
    case Handler::kMsiVectors:
    case Handler::kMsixControl:
    case Handler::kSriovControl: return true;
    case Handler::kSriovTotal:
    case Handler::kSriovNumVfs:
    case Handler::kSriovBar:
    case Handler::kPlain:
    case Handler::kRom:
    case Handler::kPower:
    case Handler::kExpressType:
    case Handler::kDeviceControl:
    case Handler::kFlrControl:
    case Handler::kHeaderType:
    case Handler::kStatus:
    case Handler::kFirstCapability: return false;
  }
  return false;
}

}  // namespace

Effects VirtualFunction::config_write(unsigned offset, unsigned size, std::uint64_t value) {
  Effects effects;
  bool settle_needed = false;
  bool reset_begun = false;
  for (const Change& change : registers_.decode(offset, size, value)) {
    write_register(change, effects);
    settle_needed |= settles(change.reg->handler);
    reset_begun |= starts_reset(change);
  }
  if (full_access_) write_through(offset, size, value, effects);
  if (reset_begun) restore();
  if (settle_needed || reset_begun) settle(effects);
  if (reset_begun) emit(effects, {.kind = Effect::Kind::kFunctionReset});
  return effects;
}

Effects VirtualFunction::reset() {
  Effects effects;
  restore();
  settle(effects);
  return effects;
}

void VirtualFunction::restore() {
  registers_.reset();
  msix_.reset();
}

void VirtualFunction::write_register(const Change& change, Effects& effects) {
  const Register& reg = *change.reg;
  const std::uint32_t own = reg.masks.rw & change.mask;
  const std::uint32_t before = registers_.get(reg.offset, reg.width);
  const std::uint32_t after = (before & ~own) | (change.bits & own);
  registers_.set(reg.offset, reg.width, filtered(reg, before, after));
  if ((reg.masks.to_hw() & change.mask) != 0) write_hardware(change, effects);
}

/// A partial write of a register is a read-modify-write of the rest, in which the neighbours'
/// write-1-clear bits must be written 0 or they would be cleared too.
void VirtualFunction::write_hardware(const Change& change, Effects& effects) {
  const Register& reg = *change.reg;
  const Masks& masks = reg.masks;
  const std::uint32_t old = hw_->read(reg.offset, reg.width);
  // All-ones from a register that cannot be all the guest's: the device does not answer. Writing
  // the ones back would set bits that are not the guest's, should it return in between.
  if (old == all_ones(reg.width) && masks.to_hw() != all_ones(reg.width)) return;
  const std::uint32_t writable = masks.hw_rw & change.mask;
  const std::uint32_t clear = change.bits & masks.hw_w1c & change.mask;
  std::uint32_t next = (old & ~writable) | (change.bits & writable);
  next = (next & ~(masks.hw_w1c | masks.rsvdz)) | clear;
  if (((next ^ old) & writable) == 0 && clear == 0) return;
  emit(effects, {.kind = Effect::Kind::kHardwareWrite,
                 .size = reg.width,
                 .offset = reg.offset,
                 .value = next});
}

/// PCIe 6.6.2: writing 1 to Initiate Function Level Reset, where the capability says that the
/// function has one.
bool VirtualFunction::starts_reset(const Change& change) const {
  namespace express = pci::express;
  namespace af = pci::advanced_features;
  const std::uint32_t ones = change.bits & change.mask;
  const unsigned at = change.reg->offset;
  if (change.reg->handler == Handler::kDeviceControl) {
    const unsigned capabilities = at - express::kDeviceControl + express::kDeviceCapabilities;
    return get<express::device_control::InitiateFlr>(ones) != 0 &&
           get<express::device_capabilities::FunctionLevelReset>(registers_.get(capabilities, 4)) !=
               0;
  }
  if (change.reg->handler == Handler::kFlrControl) {
    const unsigned capabilities = at - af::kControl + af::kCaps;
    return get<af::InitiateFlr>(ones) != 0 &&
           get<af::FlrCapable>(registers_.get(capabilities, 1)) != 0;
  }
  return false;
}

/// What becomes of a value that the masks would allow.
std::uint32_t VirtualFunction::filtered(const Register& reg, std::uint32_t before,
                                        std::uint32_t after) const {
  namespace msi_control = pci::msi::control;
  namespace msix_control = pci::msix::control;
  using PowerState = pci::power::control_status::PowerState;
  switch (reg.handler) {
    case Handler::kBar:
      if (bar_policy_ == BarPolicy::kVirtual || (after & reg.masks.rw) == reg.masks.rw)
        return after;
      return reg.reset;
    case Handler::kPower: {
      // PCIe 7.5.2.2: a write of an unsupported state completes and is discarded.
      const std::uint64_t state = get<PowerState>(after);
      const bool supported =
          state == pci::power::control_status::kD0 || state == pci::power::control_status::kD3Hot;
      return supported ? after : before;
    }
    case Handler::kMsiControl: {
      std::uint64_t word = after;
      if (get<msi_control::MultipleEnable>(word) > msi_.log2_vectors) {
        word = with<msi_control::MultipleEnable>(word, msi_.log2_vectors);
      }
      if (kind() == MsiKind::kMsix) word = with<msi_control::Enable>(word, 0);
      return static_cast<std::uint32_t>(word);
    }
    case Handler::kMsixControl:
      if (kind() == MsiKind::kMsi) {
        return static_cast<std::uint32_t>(with<msix_control::Enable>(after, 0));
      }
      return after;
    case Handler::kSriovControl:
    case Handler::kSriovNumVfs:
    case Handler::kSriovBar: return sriov_filtered(reg, before, after);
    case Handler::kSriovTotal:
    case Handler::kPlain:
    case Handler::kCommand:
    case Handler::kRom:
    case Handler::kMsi:
    case Handler::kMsiVectors:
    case Handler::kExpressType:
    case Handler::kDeviceControl:
    case Handler::kFlrControl:
    case Handler::kHeaderType:
    case Handler::kStatus:
    case Handler::kFirstCapability: return after;
  }
  return after;
}

void VirtualFunction::settle(Effects& effects) {
  settle_sriov(effects);  // VFs go before what they depend on
  settle_bars(effects);
  settle_interrupts(effects);
  const bool master = get<pci::command::BusMaster>(command()) != 0;
  if (master != announced_.bus_master) {
    emit(effects, {.kind = Effect::Kind::kBusMaster, .enable = master});
    announced_.bus_master = master;
  }
}

/// All unmapping before any mapping: a BAR may move to where another one was.
void VirtualFunction::settle_bars(Effects& effects) {
  std::array<BarView, pci::kBarCount> now{};
  for (unsigned i = 0; i < now.size(); ++i) {
    now[i] = bar(i);
    const bool moved = now[i].mapped && now[i].gpa != announced_.gpa[i];
    if (!announced_.mapped[i] || (now[i].mapped && !moved)) continue;
    emit(effects, {.kind = Effect::Kind::kUnmapBar,
                   .bar = static_cast<std::uint8_t>(i),
                   .gpa = announced_.gpa[i]});
    announced_.mapped[i] = false;
  }
  for (unsigned i = 0; i < now.size(); ++i) {
    if (!now[i].mapped || announced_.mapped[i]) continue;
    emit(effects,
         {.kind = Effect::Kind::kMapBar, .bar = static_cast<std::uint8_t>(i), .gpa = now[i].gpa});
    announced_.mapped[i] = true;
    announced_.gpa[i] = now[i].gpa;
  }
}

/// Only differences are told, so switching on twice, or off what is off, does nothing (H19).
void VirtualFunction::settle_interrupts(Effects& effects) {
  const Message now = message();
  const Message before = announced_.msi;
  const auto count = static_cast<std::uint16_t>(now.count);
  if (now.count != before.count) {
    emit(effects, {.kind = Effect::Kind::kMsiEnable, .enable = now.count != 0, .count = count});
  } else if (now.count != 0) {
    const bool changed = now.address != before.address || now.data != before.data;
    const auto masks = static_cast<std::uint32_t>((now.mask ^ before.mask) & low_mask(now.count));
    if (changed || masks != 0) {
      emit(effects,
           {.kind = Effect::Kind::kVectorChanged, .message = changed, .first = 0, .count = count});
    }
  }
  announced_.msi = now;

  const std::uint32_t control = msix_control();
  const bool enabled = get<pci::msix::control::Enable>(control) != 0;
  const bool masked = enabled && get<pci::msix::control::FunctionMask>(control) != 0;
  if (enabled != announced_.msix_enabled || masked != announced_.msix_masked) {
    emit(effects, {.kind = Effect::Kind::kMsixEnable,
                   .enable = enabled,
                   .masked = masked,
                   .count = static_cast<std::uint16_t>(enabled ? msix_.vectors() : 0)});
    announced_.msix_enabled = enabled;
    announced_.msix_masked = masked;
  }
}

std::uint64_t VirtualFunction::bar_address(unsigned index) const {
  const Bar& bar = bars_[index];
  if (bar_policy_ == BarPolicy::kFixed) return bar.facts.guest.value();
  const unsigned at = index == kRomIndex ? pci::kRomBar : pci::bar_offset(index);
  std::uint64_t address = registers_.get(at, 4);
  if (bar.facts.is64) address |= std::uint64_t{registers_.get(at + 4, 4)} << 32;
  return address & bar.address_mask;
}

bool VirtualFunction::in_window(std::uint64_t address, std::uint64_t size) const {
  for (const Window& window : windows_) {
    if (address >= window.base.value() && fits(address - window.base.value(), size, window.size)) {
      return true;
    }
  }
  return false;
}

BarView VirtualFunction::bar(unsigned index) const {
  if (index >= bars_.size() || !bars_[index].shown) return {};
  const Bar& bar = bars_[index];
  const std::uint64_t address = bar_address(index);
  bool decodes = get<pci::command::MemorySpace>(command()) != 0;
  if (index == kRomIndex) {
    decodes = decodes && get<pci::rom_bar::Enable>(registers_.get(pci::kRomBar, 4)) != 0;
  }
  // Zero is "not assigned yet"; all-ones is left over from sizing.
  const bool assigned = address != 0 && address != bar.address_mask;
  return {.size = bar.facts.size,
          .host = bar.facts.host,
          .gpa = Gpa(address),
          .mapped = decodes && assigned && in_window(address, bar.facts.size),
          .is64 = bar.facts.is64,
          .prefetchable = bar.facts.prefetchable};
}

VirtualFunction::Message VirtualFunction::message() const {
  if (msi_.base == 0) return {};
  namespace control = pci::msi::control;
  const std::uint32_t word = registers_.get(msi_.base + pci::msi::kControl, 2);
  Message out;
  out.address = registers_.get(msi_.base + pci::msi::kAddressLow, 4);
  if (msi_.address64) {
    out.address |= std::uint64_t{registers_.get(msi_.base + pci::msi::kAddressHigh, 4)} << 32;
  }
  out.data = registers_.get(msi_.data, 2);
  out.mask = msi_.mask != 0 ? registers_.get(msi_.mask, 4) : 0;
  if (get<control::Enable>(word) != 0) out.count = 1U << get<control::MultipleEnable>(word);
  return out;
}

std::uint32_t VirtualFunction::msix_control() const {
  return msix_base_ != 0 ? registers_.get(msix_base_ + pci::msix::kControl, 2) : 0;
}

MsiKind VirtualFunction::kind() const {
  if (get<pci::msix::control::Enable>(msix_control()) != 0) return MsiKind::kMsix;
  return message().count != 0 ? MsiKind::kMsi : MsiKind::kNone;
}

unsigned VirtualFunction::vector_count() const {
  switch (kind()) {
    case MsiKind::kNone: return 0;
    case MsiKind::kMsi: return message().count;
    case MsiKind::kMsix: return msix_.vectors();
  }
  return 0;
}

VectorView VirtualFunction::vector(unsigned k) const {
  if (k >= vector_count()) return {};
  if (kind() == MsiKind::kMsi) {
    const Message now = message();
    // PCIe 7.7.1.2: the function changes the low bits of the data, as many as messages were
    // granted.
    return {.address = now.address,
            .data = (now.data & ~(now.count - 1)) | k,
            .in_use = true,
            .masked = ((now.mask >> k) & 1) != 0};
  }
  const MsixTable::Entry& entry = msix_.entry(k);
  const bool function_mask = get<pci::msix::control::FunctionMask>(msix_control()) != 0;
  return {.address = entry.address,
          .data = entry.data,
          .in_use = true,
          .masked = entry.masked || function_mask};
}

unsigned VirtualFunction::max_vectors() const {
  const unsigned msi = msi_.base != 0 ? 1U << msi_.log2_vectors : 0;
  return msi > msix_.vectors() ? msi : msix_.vectors();
}

}  // namespace penstock::vpci

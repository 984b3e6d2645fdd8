// How a virtual config space is built from the physical one: BARs, capabilities, header, mirrors,
// in that order, because MSI-X must know the BARs and the header the capabilities.
#include "core/hw/pci/capability.hpp"
#include "core/hw/pci/express.hpp"
#include "core/hw/pci/msi.hpp"
#include "core/hw/pci/power.hpp"
#include "core/vpci/function.hpp"

namespace penstock::vpci {
namespace {

namespace pci = hw::pci;

constexpr std::uint64_t kSmallestBar = 16;    // PCIe 7.5.1.2.1
constexpr std::uint64_t kSmallestRom = 2048;  // PCIe 7.5.1.2.4
constexpr std::uint64_t kLargest32 = 2 * kGiB;

bool listed(std::span<const CapabilityName> names, const Capability& found) {
  for (const CapabilityName& name : names) {
    if (name.id == found.id && name.extended == found.extended) return true;
  }
  return false;
}

bool never(const Capability& found) {
  for (const Denied& denied : never_shown()) {
    if (denied.id == found.id && denied.extended == found.extended) return true;
  }
  return false;
}

constexpr auto kVendorSpecific = static_cast<std::uint16_t>(pci::CapabilityId::kVendorSpecific);
constexpr unsigned kVendorKind = 3;  // where the vendors of the table have it

constexpr unsigned header_bytes(bool extended) {
  return extended ? 4 : 2;
}

/// The owner's description of an extra capability must make sense by itself, whatever the device
/// says.
Status check_extra(const ExtraCapability& extra) {
  Owner owner{};
  if (built_in(extra.id, extra.extended, owner) && owner != Owner::kSriov) {
    return fail(Code::kAlreadyExists, extra.id);
  }
  const unsigned header = header_bytes(extra.extended);
  if (extra.length < header || extra.length > pci::kConfigSize) {
    return fail(Code::kOutOfRange, extra.id);
  }
  for (std::size_t i = 0; i < extra.registers.size(); ++i) {
    const ExtraRegister& reg = extra.registers[i];
    if (reg.width != 1 && reg.width != 2 && reg.width != 4)
      return fail(Code::kMisaligned, extra.id);
    if (reg.offset % reg.width != 0) return fail(Code::kMisaligned, extra.id);
    if (reg.offset < header || !fits(reg.offset, reg.width, extra.length)) {
      return fail(Code::kOutOfRange, extra.id);
    }
    for (std::size_t k = 0; k < i; ++k) {
      const ExtraRegister& other = extra.registers[k];
      if (overlaps(reg.offset, reg.width, other.offset, other.width)) {
        return fail(Code::kOverlap, extra.id);
      }
    }
  }
  return {};
}

/// Largest power of two that is at most `value` (not 0), as its exponent.
constexpr unsigned log2_floor(unsigned value) {
  unsigned log2 = 0;
  while ((value >> (log2 + 1)) != 0) ++log2;
  return log2;
}

constexpr std::uint8_t bit_of(Owner owner) {
  return static_cast<std::uint8_t>(1U << static_cast<unsigned>(owner));
}

}  // namespace

Status VirtualFunction::init(const FunctionFacts& facts, const PolicyOptions& options) {
  registers_.clear(options.hidden == HiddenReads::kAllOnes ? 0xffffffff : 0);
  hw_ = facts.hw;
  vendor_ = facts.vendor;
  device_ = facts.device;
  bars_ = {};
  windows_ = options.windows;
  bar_policy_ = options.bars;
  mirrors_.clear();
  msi_ = {};
  msix_base_ = 0;
  msix_.init({});
  announced_ = {};
  report_ = {};
  owners_shown_ = 0;
  express_version_ = 0;
  express_link_ = false;
  full_access_ = false;
  raw_headers_ = 0;
  sriov_base_ = 0;
  first_capability_ = last_standard_ = last_extended_ = 0;

  if (hw_ == nullptr) return fail(Code::kNotFound);
  // A command register has reserved bits, so all-ones is nobody's, also where the IDs are nobody's.
  const bool answers = facts.is_vf ? hw_->read(pci::kCommand, 4) != 0xffffffff
                                   : hw_->read(pci::kVendorId, 2) != pci::kNoVendor;
  if (!answers) return fail(Code::kNotFound);
  const std::uint32_t header = hw_->read(pci::kHeaderType, 1);
  if (get<pci::header_type::Layout>(header) != pci::header_type::kEndpoint) {
    return fail(Code::kUnsupported, header);
  }
  if (options.max_vectors > kMaxVectors) return fail(Code::kOutOfRange, options.max_vectors);
  TRY(init_bars(facts, options));
  TRY(init_capabilities(options));
  TRY(add_rows(Owner::kHeader, 0, options));
  if (facts.is_vf) {
    registers_.set(pci::kVendorId, 2, facts.vendor);
    registers_.set(pci::kDeviceId, 2, facts.device);
  }
  return init_mirrors(options);
}

void VirtualFunction::init_host_bridge(std::uint16_t vendor, std::uint16_t device) {
  constexpr std::uint32_t kHostBridgeClass = 0x0600;  // base class 06, subclass 00
  registers_.clear(0);
  registers_.set(pci::kVendorId, 2, vendor);
  registers_.set(pci::kDeviceId, 2, device);
  registers_.set(pci::kClassCode + 1, 2, kHostBridgeClass);
}

Status VirtualFunction::init_bars(const FunctionFacts& facts, const PolicyOptions& options) {
  for (unsigned i = 0; i < facts.bars.size(); ++i) {
    const BarFacts& bar = facts.bars[i];
    // A physical BAR that nobody placed decodes nowhere: there is nothing to map.
    if (bar.size == 0 || bar.io || bar.host.value() == 0) continue;
    if (!is_power_of_two(bar.size) || bar.size < kSmallestBar ||
        (!bar.is64 && bar.size > kLargest32)) {
      return fail(Code::kOutOfRange, i);
    }
    if (!bar.host.is_aligned(bar.size) || !bar.guest.is_aligned(bar.size)) {
      return fail(Code::kMisaligned, i);
    }
    if (!bar.is64 && (bar.guest.value() >> 32) != 0) return fail(Code::kOutOfRange, i);
    if (bar.is64 && (i + 1 == facts.bars.size() || facts.bars[i + 1].size != 0)) {
      return fail(Code::kOverlap, i);
    }
    bars_[i] = {.facts = bar, .address_mask = ~(bar.size - 1), .shown = true};
    if (!bar.is64) bars_[i].address_mask &= 0xffffffff;
  }
  const BarFacts& rom = facts.rom;
  if (!options.show_rom || rom.size == 0 || rom.host.value() == 0) return {};
  if (!is_power_of_two(rom.size) || rom.size < kSmallestRom || rom.size > kLargest32 ||
      (rom.guest.value() >> 32) != 0) {
    return fail(Code::kOutOfRange, kRomIndex);
  }
  bars_[kRomIndex] = {.facts = rom, .address_mask = ~(rom.size - 1) & 0xffffffff, .shown = true};
  return {};
}

Status VirtualFunction::init_capabilities(const PolicyOptions& options) {
  for (const ExtraCapability& extra : options.extra) TRY(check_extra(extra));
  const CapabilityLists lists = walk_capabilities(*hw_);
  report_.malformed = lists.malformed;
  init_full_access(lists, options);
  for (const CapabilityArray* list : {&lists.standard, &lists.extended}) {
    for (const Capability& found : *list) {
      const Outcome outcome = TRY(show_capability(found, options));
      switch (outcome) {
        case Outcome::kShown:
          link(found);
          ++report_.shown;
          break;
        case Outcome::kHidden:
          if (full_access_ && passes_through(found, options)) {
            show_through(found);
            ++report_.shown;
            break;
          }
          keep_back(found, *list);
          ++report_.hidden;
          break;
        case Outcome::kMalformed:
          keep_back(found, *list);
          ++report_.malformed;
          break;
      }
    }
  }
  // Whatever else is there in hardware: the virtual list begins there.
  registers_.keep_back(pci::kFirstExtendedCapability, pci::kFirstExtendedCapability + 4);
  return {};
}

Result<VirtualFunction::Outcome> VirtualFunction::show_capability(const Capability& found,
                                                                  const PolicyOptions& options) {
  if (never(found) || listed(options.deny, found)) return Outcome::kHidden;
  const VendorCapability* vendors = vendor_row(found);
  if (vendors != nullptr && !vendors->shown) return Outcome::kHidden;
  Owner owner{};
  if (built_in(found.id, found.extended, owner)) return show_built_in(found, owner, options);
  for (const ExtraCapability& extra : options.extra) {
    if (extra.id == found.id && extra.extended == found.extended) return show_extra(found, extra);
  }
  if (vendors == nullptr) return Outcome::kHidden;
  if (hw_->read(found.offset + pci::kVendorSpecificLength, 1) < vendors->least) {
    return Outcome::kMalformed;
  }
  return show_extra(found, {.id = kVendorSpecific, .extended = false, .length = vendors->most});
}

/// What the table says of a vendor-specific capability of this device, if anything.
const VendorCapability* VirtualFunction::vendor_row(const Capability& found) const {
  if (found.extended || found.id != kVendorSpecific) return nullptr;
  const std::uint32_t kind = hw_->read(found.offset + kVendorKind, 1);
  for (const VendorCapability& row : vendor_capabilities()) {
    const bool device = device_ >= row.first_device && device_ <= row.last_device;
    if (row.vendor == vendor_ && device && row.kind == kind) return &row;
  }
  return nullptr;
}

Result<VirtualFunction::Outcome> VirtualFunction::show_built_in(const Capability& found,
                                                                Owner owner,
                                                                const PolicyOptions& options) {
  if ((owners_shown_ & bit_of(owner)) != 0) return Outcome::kMalformed;  // only one is legal
  const bool message = owner == Owner::kMsi || owner == Owner::kMsix;
  if (message && options.max_vectors == 0) return Outcome::kHidden;
  const bool vfs = options.sriov != nullptr && options.sriov->vfs != 0;
  if (owner == Owner::kSriov && (!vfs || options.integrated_endpoint)) return Outcome::kHidden;
  const unsigned length = prepare(found, owner, options);
  const unsigned end = found.extended ? pci::kConfigSize : pci::kConventionalConfigSize;
  if (length == 0 || !registers_.claim(found.offset, length, end)) {
    forget(owner);
    return Outcome::kMalformed;
  }
  owners_shown_ = static_cast<std::uint8_t>(owners_shown_ | bit_of(owner));
  TRY(add_rows(owner, found.offset, options));
  return Outcome::kShown;
}

/// The capability's length in bytes, after what is needed to shape its registers was learned; 0: it
/// makes no sense.
unsigned VirtualFunction::prepare(const Capability& found, Owner owner,
                                  const PolicyOptions& options) {
  switch (owner) {
    case Owner::kHeader: return 0;
    case Owner::kPower: return pci::power::kSize;
    case Owner::kMsi: return prepare_msi(found.offset, options);
    case Owner::kExpress: return prepare_express(found.offset, options);
    case Owner::kMsix: return prepare_msix(found.offset, options);
    case Owner::kAdvancedFeatures: return pci::advanced_features::kSize;
    case Owner::kSerial: return pci::serial_number::kSize;
    case Owner::kSriov: return prepare_sriov(found.offset, options);
  }
  return 0;
}

void VirtualFunction::forget(Owner owner) {
  if (owner == Owner::kMsi) msi_ = {};
  if (owner == Owner::kMsix) {
    msix_base_ = 0;
    msix_.init({});
  }
  if (owner == Owner::kSriov) sriov_base_ = 0;
}

unsigned VirtualFunction::prepare_msi(unsigned base, const PolicyOptions& options) {
  namespace control = pci::msi::control;
  const std::uint32_t word = hw_->read(base + pci::msi::kControl, 2);
  const bool address64 = get<control::Address64>(word) != 0;
  const bool masks = get<control::PerVectorMask>(word) != 0;
  const pci::msi::Layout at = pci::msi::layout(address64, masks);
  const auto capable = static_cast<unsigned>(get<control::MultipleCapable>(word));
  constexpr unsigned kMost = log2_floor(pci::msi::kMaxVectors);
  const unsigned allowed = log2_floor(options.max_vectors);
  unsigned log2 = capable < kMost ? capable : kMost;
  if (log2 > allowed) log2 = allowed;
  msi_ = {.base = static_cast<std::uint16_t>(base),
          .data = static_cast<std::uint16_t>(base + at.data),
          .mask = static_cast<std::uint16_t>(masks ? base + at.mask : 0),
          .log2_vectors = static_cast<std::uint8_t>(log2),
          .address64 = address64};
  return at.size;
}

unsigned VirtualFunction::prepare_msix(unsigned base, const PolicyOptions& options) {
  namespace location = pci::msix::location;
  const std::uint32_t control = hw_->read(base + pci::msix::kControl, 2);
  const std::uint32_t table = hw_->read(base + pci::msix::kTable, 4);
  const std::uint32_t pba = hw_->read(base + pci::msix::kPba, 4);
  MsixLocation at{
      .table_bar = static_cast<unsigned>(get<location::Bir>(table)),
      .table_offset = table & location::Offset::kMask,
      .pba_bar = static_cast<unsigned>(get<location::Bir>(pba)),
      .pba_offset = pba & location::Offset::kMask,
      .hw_vectors = static_cast<unsigned>(get<pci::msix::control::TableSize>(control)) + 1};
  at.vectors = at.hw_vectors < options.max_vectors ? at.hw_vectors : options.max_vectors;
  const std::uint64_t table_size = MsixTable::table_bytes(at);
  const std::uint64_t pba_size = MsixTable::pba_bytes(at);
  if (at.table_bar >= kRomIndex || at.pba_bar >= kRomIndex) return 0;
  if (!bars_[at.table_bar].shown || !bars_[at.pba_bar].shown) return 0;
  if (!fits(at.table_offset, table_size, bars_[at.table_bar].facts.size)) return 0;
  if (!fits(at.pba_offset, pba_size, bars_[at.pba_bar].facts.size)) return 0;
  if (at.table_bar == at.pba_bar &&
      overlaps(at.table_offset, table_size, at.pba_offset, pba_size)) {
    return 0;
  }
  msix_base_ = static_cast<std::uint16_t>(base);
  msix_.init(at);
  return pci::msix::kSize;
}

unsigned VirtualFunction::prepare_express(unsigned base, const PolicyOptions& options) {
  namespace capabilities = pci::express::capabilities;
  const std::uint32_t word = hw_->read(base + pci::express::kCapabilities, 2);
  express_version_ = static_cast<std::uint8_t>(get<capabilities::Version>(word));
  const pci::express::PortType type = get<capabilities::Type>(word);
  express_link_ =
      !options.integrated_endpoint && type != pci::express::PortType::kRootComplexEndpoint;
  return express_version_ >= 2 ? pci::express::kSizeVersion2 : pci::express::kSizeVersion1Endpoint;
}

Result<VirtualFunction::Outcome> VirtualFunction::show_extra(const Capability& found,
                                                             const ExtraCapability& extra) {
  unsigned length = extra.length;
  const bool vendor = !found.extended && found.id == kVendorSpecific;
  if (vendor) {  // it knows its own length; what lies behind it is something else
    const unsigned own = hw_->read(found.offset + pci::kVendorSpecificLength, 1);
    if (own < pci::kVendorSpecificLength + 1) return Outcome::kMalformed;
    if (own < length) length = own;
  }
  const unsigned end = found.extended ? pci::kConfigSize : pci::kConventionalConfigSize;
  if (!registers_.claim(found.offset, length, end)) return Outcome::kMalformed;
  snapshot(found.offset + header_bytes(found.extended), found.offset + length);
  for (const ExtraRegister& reg : extra.registers) {
    if (!fits(reg.offset, reg.width, length)) continue;  // the device's instance is shorter
    const Masks masks{.ro = reg.ro,
                      .live = reg.live,
                      .hw_rw = reg.hw_rw,
                      .hw_w1c = reg.hw_w1c,
                      .rsvdz = reg.rsvdz};
    if (!masks.valid(reg.width)) return fail(Code::kOutOfRange, extra.id);
    const unsigned at = found.offset + reg.offset;
    const std::uint32_t value = reg.ro != 0 ? hw_->read(at, reg.width) & reg.ro : 0;
    TRY(add_register(at, reg.width, Handler::kPlain, masks, value));
  }
  return Outcome::kShown;
}

/// Copies the bytes [begin, end) of the hardware's config space into the image.
void VirtualFunction::snapshot(unsigned begin, unsigned end) {
  for (unsigned dword = begin & ~3U; dword < end; dword += 4) {
    const std::uint32_t word = hw_->read(dword, 4);
    for (unsigned byte = dword; byte < dword + 4; ++byte) {
      if (byte >= begin && byte < end) registers_.set(byte, 1, (word >> (8 * (byte & 3))) & 0xff);
    }
  }
}

/// Appends to the virtual list: capabilities stay where the hardware has them, in its order, and
/// the links skip what is hidden. Each capability is linked once, to one met later in the walk, so
/// the list cannot loop.
void VirtualFunction::link(const Capability& shown) {
  namespace header = pci::extended_header;
  if (!shown.extended) {
    registers_.set(shown.offset + pci::kCapabilityId, 1, shown.id);
    if (last_standard_ == 0) {
      first_capability_ = shown.offset;
    } else {
      registers_.set(last_standard_ + pci::kCapabilityNext, 1, shown.offset);
    }
    last_standard_ = shown.offset;
    return;
  }
  // The extended list always begins at 0x100: a null capability (PCIe 7.9.28) stands there when the
  // first is hidden.
  if (last_extended_ == 0 && shown.offset != pci::kFirstExtendedCapability) {
    registers_.set(pci::kFirstExtendedCapability, 4, 0);
    last_extended_ = pci::kFirstExtendedCapability;
  }
  if (last_extended_ != 0) {
    const std::uint32_t before = registers_.get(last_extended_, 4);
    registers_.set(last_extended_, 4,
                   static_cast<std::uint32_t>(with<header::Next>(before, shown.offset)));
  }
  const std::uint64_t word = with<header::Version>(with<header::Id>(0, shown.id), shown.version);
  registers_.set(shown.offset, 4, static_cast<std::uint32_t>(word));
  last_extended_ = shown.offset;
}

Status VirtualFunction::init_mirrors(const PolicyOptions& options) {
  for (const BarMirror& mirror : options.mirrors) {
    if (mirror.bar >= kRomIndex || !bars_[mirror.bar].shown) {
      return fail(Code::kOutOfRange, mirror.bar);
    }
    if (((mirror.offset | mirror.size) & 7) != 0) return fail(Code::kMisaligned, mirror.offset);
    if (mirror.size == 0 || mirror.size > pci::kConfigSize ||
        !fits(mirror.offset, mirror.size, bars_[mirror.bar].facts.size)) {
      return fail(Code::kOutOfRange, mirror.offset);
    }
    TRY(mirrors_.push_back(mirror));
  }
  return {};
}

}  // namespace penstock::vpci

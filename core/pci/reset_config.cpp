#include "core/pci/reset_config.hpp"

#include <array>

#include "core/hw/pci/capability.hpp"
#include "core/hw/pci/controls.hpp"
#include "core/hw/pci/express.hpp"
#include "core/hw/pci/msi.hpp"

namespace penstock::pci {
namespace {

namespace hp = hw::pci;
namespace express = hw::pci::express;

template <typename... Fields>
constexpr std::uint32_t bits() {
  return static_cast<std::uint32_t>((Fields::kMask | ... | std::uint64_t{0}));
}

constexpr std::uint16_t id(hp::CapabilityId of) {
  return static_cast<std::uint16_t>(of);
}
constexpr std::uint16_t id(hp::ExtendedId of) {
  return static_cast<std::uint16_t>(of);
}

/// One register of a capability.
struct Rule {
  bool extended;
  std::uint16_t id;
  std::uint8_t offset;
  std::uint8_t size;
  std::uint32_t off;         // cleared whenever the function is silenced
  std::uint32_t keep;        // restored after a reset; no guest can write it
  std::uint8_t version = 0;  // of the PCI Express capability, at least
};

constexpr std::uint32_t kPathSizes =
    bits<express::device_control::MaxPayload, express::device_control::ExtendedTag,
         express::device_control::MaxReadRequest>();
// No-snoop requests would bypass caches and could show a page's former owner's bytes, phantom
// functions would use other requester IDs: both stay off, whatever the reset value (No Snoop's is
// on, PCIe 7.5.3.4).
constexpr std::uint32_t kWild =
    bits<express::device_control::NoSnoop, express::device_control::PhantomFunctions>();
constexpr std::uint32_t kTimeouts =
    bits<express::device_control2::CompletionTimeout,
         express::device_control2::CompletionTimeoutDisable, express::device_control2::LtrEnable>();
// Power states, read completion boundary, common clock, extended synchronisation (PCIe 7.5.3.7).
constexpr std::uint32_t kLink = 0x00cb;

// clang-format off
constexpr std::array kRules = {
  Rule{false, id(hp::CapabilityId::kMsi),     hp::msi::kControl,  2, bits<hp::msi::control::Enable>(), 0},
  Rule{false, id(hp::CapabilityId::kMsix),    hp::msix::kControl, 2, bits<hp::msix::control::Enable>(), 0},
  Rule{false, id(hp::CapabilityId::kPciX),    hp::pci_x::kCommand, 2, 0, 0x007f},
  Rule{false, id(hp::CapabilityId::kExpress), express::kDeviceControl,  2, kWild, kPathSizes},
  Rule{false, id(hp::CapabilityId::kExpress), express::kLinkControl,    2, 0, kLink, 2},
  Rule{false, id(hp::CapabilityId::kExpress), express::kDeviceControl2, 2, 0, kTimeouts, 2},
  Rule{true, id(hp::ExtendedId::kAddressTranslationServices), hp::ats::kControl, 2, bits<hp::ats::Enable>(), 0},
  Rule{true, id(hp::ExtendedId::kPageRequest), hp::page_request::kControl, 2, bits<hp::page_request::Enable>(), 0},
  Rule{true, id(hp::ExtendedId::kProcessAddressSpaceId), hp::process_address_space::kControl, 2,
       bits<hp::process_address_space::Enable>(), 0},
  Rule{true, id(hp::ExtendedId::kAccessControlServices), hp::acs::kControl, 2, 0, 0x00ff},
  Rule{true, id(hp::ExtendedId::kLatencyToleranceReporting), hp::latency_tolerance::kMaxLatencies, 4, 0, ~0U},
};
// clang-format on

void change(port::ConfigSpace& config, unsigned at, unsigned size, std::uint32_t clear,
            std::uint32_t set) {
  config.write(at, size, (config.read(at, size) & ~clear) | set);
}

}  // namespace

/// Walks both lists of capabilities, bounded, whatever the function answers.
void ResetConfig::quiet(port::ConfigSpace& config, const FunctionInfo& info, KeptList* kept) {
  const auto follow = [&](bool extended, std::uint32_t found, unsigned base) {
    for (const Rule& rule : kRules) {
      const unsigned at = base + rule.offset;
      const unsigned end = extended ? hp::kConfigSize : hp::kConventionalConfigSize;
      if (rule.extended != extended || rule.id != found || at + rule.size > end) continue;
      if (rule.version >
          (config.read(base + express::kCapabilities, 2) & express::capabilities::Version::kMask)) {
        continue;
      }
      const std::uint32_t value = config.read(at, rule.size);
      if (rule.off != 0) config.write(at, rule.size, value & ~rule.off);
      if (rule.keep == 0 || kept == nullptr) continue;
      // A function with more of the same capability than makes sense keeps the first ones.
      (void)kept->push_back({static_cast<std::uint16_t>(at), rule.size, rule.keep, value});
    }
  };
  unsigned at = config.read(hp::kCapabilities, 1) & hp::kCapabilityNextMask;
  for (unsigned n = 0; at >= hp::kHeaderSize && n < hp::kMaxCapabilities; ++n) {
    follow(false, config.read(at + hp::kCapabilityId, 1), at);
    at = config.read(at + hp::kCapabilityNext, 1) & hp::kCapabilityNextMask;
  }
  at = info.express ? hp::kFirstExtendedCapability : 0;
  for (unsigned n = 0; at >= hp::kFirstExtendedCapability && n < hp::kMaxExtendedCapabilities;
       ++n) {
    const std::uint32_t header = config.read(at, 4);
    if (header == 0 || header == ~0U) return;
    follow(true, static_cast<std::uint32_t>(get<hp::extended_header::Id>(header)), at);
    at = static_cast<unsigned>(get<hp::extended_header::Next>(header)) & ~3U;
  }
}

void quiesce(port::ConfigSpace& config, const FunctionInfo& info) {
  change(config, hp::kCommand, 2, bits<hp::command::BusMaster>(), 0);
  ResetConfig::quiet(config, info, nullptr);
}

void ResetConfig::save(const FunctionInfo& info, port::ConfigSpace& config) {
  info_ = &info;
  config_ = &config;
  kept_.clear();
  config.write(hp::kCommand, 2, bits<hp::command::InterruptDisable>());
  (void)kept_.push_back({hp::kCacheLineSize, 1, 0xff, config.read(hp::kCacheLineSize, 1)});
  quiet(config, info, &kept_);
}

/// INTx is enabled and no MSI-X vector masked after every kind of reset (PCIe 7.5.1.1.3, 7.7.2.2).
/// A conventional function from before PCI 2.3, one without INTx, and a virtual function do not
/// have the first bit.
void ResetConfig::mark() {
  constexpr std::uint32_t kOff = bits<hp::command::InterruptDisable>();
  constexpr std::uint32_t kMasked = bits<hp::msix::control::FunctionMask>();
  config_->write(hp::kCommand, 2, kOff);
  marked_command_ = (config_->read(hp::kCommand, 2) & kOff) != 0;
  marked_msix_ = false;
  if (info_->msix == 0) return;
  change(*config_, info_->msix + hp::msix::kControl, 2, bits<hp::msix::control::Enable>(), kMasked);
  marked_msix_ = (config_->read(info_->msix + hp::msix::kControl, 2) & kMasked) != 0;
}

bool ResetConfig::pending() {
  if (info_->express) {
    const std::uint32_t status = config_->read(info_->express_at + express::kDeviceStatus, 2);
    return get<express::device_status::TransactionsPending>(status) != 0;
  }
  if (info_->advanced_features == 0) return false;
  const std::uint32_t status =
      config_->read(info_->advanced_features + hp::advanced_features::kStatus, 1);
  return get<hp::advanced_features::TransactionsPending>(status) != 0;
}

/// A virtual function has no IDs of its own: it answers all-ones for them (PCIe 9.3.4.1.1), and for
/// its command register only while it does not answer at all.
ResetFault ResetConfig::presence() {
  constexpr std::uint32_t kNotReady = 0x0001;  // vendor ID of a Configuration RRS (PCIe 2.3.1)
  constexpr std::uint32_t kNobody = 0xffff;
  if (info_->is_vf) {
    return config_->read(hp::kCommand, 2) == kNobody ? ResetFault::kNoAnswer : ResetFault::kNone;
  }
  const std::uint32_t identity = config_->read(hp::kVendorId, 4);
  if (identity == (std::uint32_t{info_->device} << 16 | info_->vendor)) return ResetFault::kNone;
  if ((identity & 0xffff) == kNobody) return ResetFault::kNoAnswer;
  return (identity & 0xffff) == kNotReady ? ResetFault::kRetries : ResetFault::kStranger;
}

/// True when the memory base addresses hold what enumeration gave them, or (not `placed`) nothing.
bool ResetConfig::bars_are(bool placed) {
  if (info_->is_vf) return placed;  // a VF's are in its PF
  for (unsigned i = 0; i < info_->bars.size(); ++i) {
    const Bar& bar = info_->bars[i];
    if (bar.size == 0 || bar.io) continue;
    const std::uint64_t wanted = placed ? bar.bus : 0;
    const std::uint32_t low = config_->read(hp::bar_offset(i), 4) & ~hp::bar::kMemoryFlags;
    if (low != static_cast<std::uint32_t>(wanted)) return false;
    if (!bar.is64) continue;
    if (config_->read(hp::bar_offset(i + 1), 4) != wanted >> 32) return false;
  }
  return true;
}

bool ResetConfig::happened() {
  if (marked_command_ || marked_msix_) {
    const bool command =
        (config_->read(hp::kCommand, 2) & bits<hp::command::InterruptDisable>()) != 0;
    const bool msix = marked_msix_ && (config_->read(info_->msix + hp::msix::kControl, 2) &
                                       bits<hp::msix::control::FunctionMask>()) != 0;
    return !command && !msix;
  }
  return !bars_are(true) && bars_are(false);
}

/// As enumeration leaves it: INTx is nobody's, memory is decoded where the BARs have a place. A VF
/// decodes by its PF's word and has no such bit (PCIe 9.3.4.1.3); it is asked for all the same,
/// because QEMU 10.0 maps a VF's BARs only with it.
std::uint32_t ResetConfig::command() const {
  return bits<hp::command::InterruptDisable>() |
         (info_->placed ? bits<hp::command::MemorySpace>() : 0);
}

void ResetConfig::restore() {
  for (const Kept& kept : kept_) {
    change(*config_, kept.at, kept.size, kept.mask, kept.value & kept.mask);
  }
  for (unsigned i = 0; i < info_->bars.size(); ++i) {
    const Bar& bar = info_->bars[i];
    if (bar.size == 0 || bar.io || info_->is_vf) continue;
    config_->write(hp::bar_offset(i), 4, static_cast<std::uint32_t>(bar.bus));
    if (bar.is64) {
      config_->write(hp::bar_offset(i + 1), 4, static_cast<std::uint32_t>(bar.bus >> 32));
    }
  }
  quiet(*config_, *info_, nullptr);  // what is on after a reset, and must not be
  config_->write(hp::kCommand, 2, command());
}

bool ResetConfig::restored() {
  const std::uint32_t decode = bits<hp::command::IoSpace, hp::command::BusMaster>() |
                               (info_->is_vf ? 0 : bits<hp::command::MemorySpace>());
  const bool commanded = ((config_->read(hp::kCommand, 2) ^ command()) & decode) == 0;
  return commanded && bars_are(true);
}

}  // namespace penstock::pci

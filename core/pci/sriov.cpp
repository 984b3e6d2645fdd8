#include "core/pci/sriov.hpp"

#include <span>

#include "core/base/address.hpp"
#include "core/hw/pci/config.hpp"
#include "core/hw/pci/sriov.hpp"
#include "core/pci/isolation.hpp"
#include "core/pci/probe.hpp"

namespace penstock::pci {
namespace {

namespace hp = hw::pci;
namespace cap = hw::pci::sriov;

constexpr std::uint32_t kOn =
    static_cast<std::uint32_t>(cap::control::VfEnable::kMask | cap::control::VfMemorySpace::kMask);
constexpr std::uint64_t kRetryNs = 10'000'000;
constexpr std::uint64_t kGiveUpNs = 1'000'000'000;  // PCIe 6.6.2, as after a function-level reset

std::uint32_t quiet_control(const SriovInfo& info) {
  return info.ari ? static_cast<std::uint32_t>(cap::control::AriHierarchy::kMask) : 0;
}

/// How many of `count` VFs can be reached with the present offset and stride; the reason in
/// `limit`.
unsigned reachable(const SriovInfo& info, unsigned count, VfLimit& limit) {
  for (unsigned i = 0; i < count; ++i) {
    const unsigned id = info.pf.value() + info.offset + i * unsigned{info.stride};
    if (id >> 8 > info.last_bus) {
      limit = VfLimit::kBusRange;
      return i;
    }
    if (id >> 8 == info.pf.bus() && (id & 0xff) >= info.numbers) {
      limit = VfLimit::kNoAri;
      return i;
    }
  }
  return count;
}

/// Offset and stride may depend on NumVFs (PCIe 9.3.3.8), so fewer VFs are a new question; it is
/// asked with fewer each time.
void measure_numbers(port::ConfigSpace& config, SriovInfo& info) {
  unsigned count = info.total;
  if (count > kMaxVfs) {
    count = kMaxVfs;
    info.limit = VfLimit::kOurs;
  }
  while (count != 0) {
    config.write(info.at + cap::kNumVfs, 2, count);
    info.offset = static_cast<std::uint16_t>(config.read(info.at + cap::kFirstVfOffset, 2));
    info.stride = static_cast<std::uint16_t>(config.read(info.at + cap::kVfStride, 2));
    if (info.offset == 0 || (count > 1 && info.stride == 0)) {
      info.limit = VfLimit::kBroken;
      count = 0;
      break;
    }
    const unsigned reached = reachable(info, count, info.limit);
    if (reached == count) break;
    count = reached;
  }
  info.usable = static_cast<std::uint16_t>(count);
  config.write(info.at + cap::kNumVfs, 2, 0);
}

}  // namespace

void close_sriov(port::ConfigSpace& config, const FunctionInfo& pf) {
  if (fits(pf.sriov_at, cap::kSize, hp::kConfigSize)) {
    config.write(pf.sriov_at + cap::kControl, 2, 0);
  }
}

void measure_sriov(port::ConfigSpace& config, const FunctionInfo& pf, SriovInfo& info) {
  info.pf = pf.bdf;
  info.at = pf.sriov_at;
  info.usable = 0;
  info.limit = VfLimit::kBroken;
  if (!fits(info.at, cap::kSize, hp::kConfigSize)) return;
  const std::uint32_t before = config.read(info.at + cap::kControl, 2);
  config.write(info.at + cap::kControl, 2, quiet_control(info));
  const std::uint32_t pages = config.read(info.at + cap::kSupportedPageSizes, 4);
  const std::uint32_t initial = config.read(info.at + cap::kInitialVfs, 2);
  info.total = static_cast<std::uint16_t>(config.read(info.at + cap::kTotalVfs, 2));
  // Fewer initial VFs than total ones means migration between machines, which nobody offers. VFs
  // that firmware left on have been switched off just now, too late to look at them.
  const bool left_on = get<cap::control::VfEnable>(before) != 0;
  if (left_on || initial != info.total || (info.total != 0 && (pages & cap::kPages4K) == 0)) return;
  info.device = static_cast<std::uint16_t>(config.read(info.at + cap::kVfDeviceId, 2));
  info.limit = VfLimit::kNone;
  config.write(info.at + cap::kSystemPageSize, 4, cap::kPages4K);
  measure_numbers(config, info);
  size_bars(config, info.at + cap::kVfBar0, info.bars);
  for (const Bar& bar : info.bars) {
    // PCIe 9.3.3.14: no I/O space, and no part smaller than a page.
    if (bar.io || (bar.size != 0 && bar.size < kPageSize)) {
      info.usable = 0;
      info.limit = VfLimit::kBroken;
    }
  }
  if (info.usable == 0) info.bars = {};
}

std::string_view describe(VfLimit limit) {
  switch (limit) {
    case VfLimit::kNone: return {};
    case VfLimit::kOurs: return "more virtual functions are not supported";
    case VfLimit::kBusRange: return "the next one would be on a bus that does not lead there";
    case VfLimit::kNoAri: return "the port above cannot forward to function numbers beyond 7";
    case VfLimit::kNoRoom: return "the host bridge's windows have no room for their BARs";
    case VfLimit::kBroken: return "its SR-IOV capability contradicts itself, or was left on";
  }
  return {};
}

const SriovInfo* find_sriov(const Inventory& inventory, HostBdf pf) {
  for (const SriovInfo& info : inventory.sriov) {
    if (info.pf == pf) return &info;
  }
  return nullptr;
}

Status SriovPf::init(const Inventory& inventory, HostBdf pf, Ecam& ecam) {
  info_ = find_sriov(inventory, pf);
  pf_ = find(inventory, pf);
  if (info_ == nullptr || pf_ == nullptr) return fail(Code::kNotFound, pf.value());
  inventory_ = &inventory;
  ecam_ = &ecam;
  config_ = ecam.function(pf);
  state_ = State::kOff;
  wanted_ = 0;
  return {};
}

Status SriovPf::start(unsigned count, std::uint64_t now_ns) {
  if (count == 0 || count > info_->usable) return fail(Code::kOutOfRange, info_->usable);
  const bool settling = state_ == State::kSettling && wanted_ == 0;
  if (!settling && state_ != State::kOff) {
    return fail(Code::kBadState, static_cast<std::uint64_t>(state_));
  }
  wanted_ = count;
  return settling && now_ns < until_ ? Status{} : enable(now_ns);
}

Status SriovPf::enable(std::uint64_t now_ns) {
  const unsigned at = info_->at;
  state_ = State::kOff;
  write_bars();
  config_.write(at + cap::kSystemPageSize, 4, cap::kPages4K);
  config_.write(at + cap::kControl, 2, quiet_control(*info_));
  config_.write(at + cap::kNumVfs, 2, wanted_);
  const bool same = config_.read(at + cap::kNumVfs, 2) == wanted_ &&
                    config_.read(at + cap::kFirstVfOffset, 2) == info_->offset &&
                    (wanted_ == 1 || config_.read(at + cap::kVfStride, 2) == info_->stride);
  if (!same) {
    config_.write(at + cap::kNumVfs, 2, 0);
    wanted_ = 0;
    return fail(Code::kHardwareError, info_->pf.value());
  }
  config_.write(at + cap::kControl, 2, quiet_control(*info_) | kOn);
  state_ = State::kStarting;
  checked_ = 0;
  until_ = now_ns + cap::kEnableNs;
  deadline_ = now_ns + kGiveUpNs;
  return {};
}

Result<std::uint64_t> SriovPf::step(std::uint64_t now_ns) {
  if (state_ == State::kOff || state_ == State::kOn) return std::uint64_t{0};
  if (now_ns < until_) return until_;
  if (state_ == State::kSettling) {
    if (wanted_ == 0) {
      state_ = State::kOff;
      return std::uint64_t{0};
    }
    TRY(enable(now_ns));
    return until_;
  }
  while (checked_ < wanted_ && answers(checked_)) ++checked_;
  if (checked_ == wanted_) {
    state_ = State::kOn;
    return std::uint64_t{0};
  }
  if (now_ns >= deadline_) {
    const HostBdf silent = vf_bdf(*info_, checked_);
    stop(now_ns);
    return fail(Code::kTimeout, silent.value());
  }
  until_ = now_ns + kRetryNs;
  return until_;
}

/// A VF's vendor ID reads all-ones, as nobody's does (PCIe 9.3.4.1.1); but its command register has
/// reserved bits, which nobody's has not. 0001 stands for "not yet" (PCIe 2.3.2).
bool SriovPf::answers(unsigned i) {
  EcamFunction config = vf_config(i);
  return config.read(hp::kVendorId, 2) != hp::kRetryVendor &&
         config.read(hp::kCommand, 4) != ~std::uint32_t{0};
}

void SriovPf::write_bars() {
  for (unsigned i = 0; i < info_->bars.size(); ++i) {
    const Bar& bar = info_->bars[i];
    if (bar.size == 0) continue;
    const unsigned at = info_->at + cap::kVfBar0 + 4 * i;
    config_.write(at, 4, static_cast<std::uint32_t>(bar.bus));
    if (bar.is64) config_.write(at + 4, 4, static_cast<std::uint32_t>(bar.bus >> 32));
  }
}

void SriovPf::switch_off() {
  config_.write(info_->at + cap::kControl, 2, quiet_control(*info_));
}

void SriovPf::stop(std::uint64_t now_ns) {
  if (state_ == State::kStarting || state_ == State::kOn) {
    switch_off();
    until_ = now_ns + cap::kDisableNs;
    state_ = State::kSettling;
  }
  wanted_ = 0;
}

void SriovPf::after_reset() {
  state_ = State::kOff;
  wanted_ = 0;
  switch_off();
  write_bars();
}

std::optional<FunctionInfo> SriovPf::vf(unsigned i) {
  if (i >= count()) return std::nullopt;
  const HostBdf bdf = vf_bdf(*info_, i);
  EcamFunction config = vf_config(i);
  FunctionInfo vf = probe_vf(bdf, config, *pf_, *info_);
  // It shares with its PF what the path to the IOMMU makes them share, and nothing else.
  const FunctionInfo* bridge = bridge_above(*inventory_, info_->pf.bus());
  const bool path_shared = bridge != nullptr && bridge->group == pf_->group;
  vf.group = path_shared ? pf_->group : bdf.value();
  for (unsigned k = 0; k < vf.bars.size(); ++k) {
    Bar bar = info_->bars[k];
    bar.bus += i * bar.size;
    bar.host = Hpa(bar.host.value() + i * bar.size);
    vf.bars[k] = bar;
  }
  return vf;
}

}  // namespace penstock::pci

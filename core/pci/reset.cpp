#include "core/pci/reset.hpp"

#include <array>

#include "core/hw/pci/capability.hpp"
#include "core/hw/pci/express.hpp"
#include "core/hw/pci/msi.hpp"
#include "core/hw/pci/power.hpp"

namespace penstock::pci {
namespace {

namespace hp = hw::pci;

template <typename F>
void clear_bit(port::ConfigSpace& config, unsigned at) {
  config.write(at, 2, static_cast<std::uint32_t>(with<F>(config.read(at, 2), 0)));
}

struct Saved {
  std::uint32_t command = 0;
  std::uint32_t device_control = 0;
  std::array<std::uint32_t, hp::kBarCount> bars{};
};

Saved save(const FunctionInfo& info, port::ConfigSpace& config) {
  Saved saved;
  saved.command = config.read(hp::kCommand, 2);
  if (info.express) {
    saved.device_control = config.read(info.express_at + hp::express::kDeviceControl, 2);
  }
  for (unsigned i = 0; i < saved.bars.size(); ++i) {
    saved.bars[i] = config.read(hp::bar_offset(i), 4);
  }
  return saved;
}

void restore(const FunctionInfo& info, port::ConfigSpace& config, const Saved& saved) {
  for (unsigned i = 0; i < saved.bars.size(); ++i) {
    config.write(hp::bar_offset(i), 4, saved.bars[i]);
  }
  // Payload sizes must fit the rest of the path again.
  if (info.express) {
    config.write(info.express_at + hp::express::kDeviceControl, 2, saved.device_control);
  }
  config.write(hp::kCommand, 2, saved.command);
}

bool resets_by_power(const FunctionInfo& info, port::ConfigSpace& config) {
  if (info.power == 0) return false;
  const std::uint32_t status = config.read(info.power + hp::power::kControlStatus, 2);
  return get<hp::power::control_status::NoSoftReset>(status) == 0;
}

void set_power(const FunctionInfo& info, port::ConfigSpace& config, std::uint64_t state) {
  const unsigned at = info.power + hp::power::kControlStatus;
  const std::uint64_t status =
      with<hp::power::control_status::PmeStatus>(config.read(at, 2), 0);
  config.write(at, 2,
               static_cast<std::uint32_t>(
                   with<hp::power::control_status::PowerState>(status, state)));
}

/// Starts the reset and waits the time in which the function must not be touched.
Status start(const FunctionInfo& info, port::ConfigSpace& config, port::Clock& clock) {
  if (info.flr && info.express) {
    const unsigned at = info.express_at + hp::express::kDeviceControl;
    const std::uint64_t control = config.read(at, 2);
    config.write(at, 2,
                 static_cast<std::uint32_t>(
                     with<hp::express::device_control::InitiateFlr>(control, 1)));
    clock.wait(hp::express::kFlrNs);
    return {};
  }
  if (info.flr) {
    config.write(info.advanced_features + hp::advanced_features::kControl, 1, 1);
    clock.wait(hp::express::kFlrNs);
    return {};
  }
  if (resets_by_power(info, config)) {
    set_power(info, config, hp::power::control_status::kD3Hot);
    clock.wait(hp::power::kD3HotToD0Ns);
    set_power(info, config, hp::power::control_status::kD0);
    clock.wait(hp::power::kD3HotToD0Ns);
    return {};
  }
  return fail(Code::kNoReset, info.bdf.value());
}

/// No-snoop requests would bypass caches and could show a page's former owner's bytes, phantom functions would use other
/// requester IDs: both stay off, whatever the reset value (No Snoop's is on, PCIe 7.5.3.4).
void tame_express(const FunctionInfo& info, port::ConfigSpace& config) {
  if (!info.express) return;
  const unsigned at = info.express_at + hp::express::kDeviceControl;
  std::uint64_t control = config.read(at, 2);
  control = with<hp::express::device_control::NoSnoop>(control, 0);
  control = with<hp::express::device_control::PhantomFunctions>(control, 0);
  config.write(at, 2, static_cast<std::uint32_t>(control));
}

}  // namespace

void quiesce(port::ConfigSpace& config, const FunctionInfo& info) {
  clear_bit<hp::command::BusMaster>(config, hp::kCommand);
  tame_express(info, config);
  if (info.msi != 0) clear_bit<hp::msi::control::Enable>(config, info.msi + hp::msi::kControl);
  if (info.msix != 0) clear_bit<hp::msix::control::Enable>(config, info.msix + hp::msix::kControl);
}

bool can_reset(const FunctionInfo& info, port::ConfigSpace& config) {
  return info.flr || resets_by_power(info, config);
}

Status reset_function(const FunctionInfo& info, port::ConfigSpace& config, port::Clock& clock) {
  quiesce(config, info);
  const Saved saved = save(info, config);
  TRY(start(info, config, clock));
  port::Deadline deadline(clock, hp::express::kReadyAfterResetNs);
  // A function that is not ready yet answers all-ones or, with CRS software visibility, vendor 0001 (PCIe 2.3.1).
  while (config.read(hp::kVendorId, 2) != info.vendor) {
    if (deadline.expired()) return fail(Code::kTimeout, info.bdf.value());
  }
  restore(info, config, saved);
  tame_express(info, config);
  return {};
}

}  // namespace penstock::pci

// Virtual functions of a physical one (PCIe 9): what boot measures, switching them on and off, and
// what they are.
//
// The PF's BARs and VF BARs are placed once, at boot, and stay; its owner never writes this
// capability. Switching takes time that nobody waits in here: start() and stop() write, step() says
// when to come back. One caller at a time per object (the lock of whoever owns the PF).
//
// On: start(), step() until 0, then each vf(i) becomes a device in quarantine: its stream aborts,
// and it masters nothing. Off, also before a reset of the PF: every VF is taken back from whoever
// has it (BARs unmapped, stream blocked, messages closed, reset) and forgotten as a device, and
// only then stop(). A VF that vanished under its owner would leave accesses that nobody answers.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/base/result.hpp"
#include "core/pci/ecam.hpp"
#include "core/pci/function_info.hpp"

namespace penstock::pci {

/// Enumeration's part, with VF Enable off. Sizes the VF BARs for 4 KiB pages; `info.ari` and
/// `info.last_bus` are set already. Leaves NumVFs 0, and `usable` 0 with a reason where the
/// capability makes no sense.
void measure_sriov(port::ConfigSpace& config, const FunctionInfo& pf, SriovInfo& info);

/// Switches off the VFs that firmware may have left on, of a PF that gets none.
void close_sriov(port::ConfigSpace& config, const FunctionInfo& pf);

/// The routing ID of VF `i`.
[[nodiscard]] inline HostBdf vf_bdf(const SriovInfo& info, unsigned i) {
  return HostBdf(static_cast<std::uint16_t>(info.pf.value() + info.offset + i * info.stride));
}

/// Bytes of a window that the VF BARs of `info` in BAR `index` take. 0: none.
[[nodiscard]] inline std::uint64_t vf_window(const SriovInfo& info, unsigned index) {
  return info.bars[index].size * info.usable;
}

/// For people, from VfLimit: why there are not as many as the device says. Empty: there are.
[[nodiscard]] std::string_view describe(VfLimit limit);

[[nodiscard]] const SriovInfo* find_sriov(const Inventory& inventory, HostBdf pf);

class SriovPf {
 public:
  enum class State : std::uint8_t {
    kOff,
    kSettling,  // switched off a moment ago: the capability must be left alone
    kStarting,
    kOn,
  };

  /// `inventory` and `ecam` outlive the object; kNotFound (arg: BDF): `pf` has no such capability.
  Status init(const Inventory& inventory, HostBdf pf, Ecam& ecam);

  /// Begins to switch `count` VFs on, or notes it while settling; then call step(). They master
  /// nothing until their owner lets them. kOutOfRange (arg: most that can be): 0 or too many.
  /// kBadState (arg: State): not off. kHardwareError (arg: BDF): the PF does not answer, or
  /// changed what was measured.
  Status start(unsigned count, std::uint64_t now_ns);

  /// The next part of what was begun: the time at which to call again, 0 when there is no more to
  /// do. kTimeout (arg: BDF of the VF): it does not answer a second after VF Enable; all are off
  /// again. kHardwareError: as for start().
  Result<std::uint64_t> step(std::uint64_t now_ns);

  /// Switches all VFs off. By now none is mapped, mastered or owned by anybody. Works in any state,
  /// also when the PF does not answer any more.
  void stop(std::uint64_t now_ns);

  /// The PF was reset, which switched its VFs off (PCIe 9.2.2.3): as stop(), without the waiting.
  /// The VF BARs are written again.
  void after_reset();

  [[nodiscard]] State state() const { return state_; }
  /// VFs that answer: 0 unless kOn.
  [[nodiscard]] unsigned count() const { return state_ == State::kOn ? wanted_ : 0; }
  [[nodiscard]] const SriovInfo& info() const { return *info_; }

  /// VF `i` as enumeration would have found it, if ever it did: IDs from the PF, capabilities from
  /// the VF's own config space, BARs from the PF's VF BARs. Nothing: i is not below count().
  [[nodiscard]] std::optional<FunctionInfo> vf(unsigned i);
  [[nodiscard]] EcamFunction vf_config(unsigned i) { return ecam_->function(vf_bdf(*info_, i)); }

 private:
  Status enable(std::uint64_t now_ns);
  void write_bars();
  void switch_off();
  [[nodiscard]] bool answers(unsigned i);

  const Inventory* inventory_ = nullptr;
  const SriovInfo* info_ = nullptr;
  const FunctionInfo* pf_ = nullptr;
  Ecam* ecam_ = nullptr;
  EcamFunction config_;
  State state_ = State::kOff;
  unsigned wanted_ = 0;  // 0 while kSettling: nobody has asked for more
  unsigned checked_ = 0;
  std::uint64_t until_ = 0;     // ns, end of the present wait
  std::uint64_t deadline_ = 0;  // ns
};

}  // namespace penstock::pci

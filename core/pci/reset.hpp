// Making a function harmless and forgetful between owners.
//
// One state machine for all methods; it never waits, but says when to come back:
//
//     start() -> silent, nothing decoded -> no requests pending, or 100 ms
//        -> marked -> method -> time in which it must not be touched
//        -> answers as itself, no requests pending -> the marks are gone -> configuration as it was
//        -> what resets are known to leave is cleared -> done
//
// A method that is not there is skipped, one that fails is followed by the next of the function's
// order (reset_quirks.hpp); a function that does not answer any more is only asked through the
// bridge above it. After the last one it has failed, and says which way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/base/result.hpp"
#include "core/base/static_vector.hpp"
#include "core/hw/pci/express.hpp"
#include "core/pci/function_info.hpp"
#include "core/pci/isolation.hpp"
#include "core/pci/reset_config.hpp"
#include "core/pci/reset_quirks.hpp"
#include "core/port/clock.hpp"
#include "core/port/config_space.hpp"
#include "core/port/mmio.hpp"

namespace penstock::pci {

/// A function behind the same bridge as the one that is reset.
struct ResetPeer {
  const FunctionInfo* info = nullptr;
  port::ConfigSpace* config = nullptr;
  port::Mmio* registers = nullptr;  // as the target's
};

/// What is reset, and what may be used for it. Everything outlives the reset.
struct ResetTarget {
  /// As long as anybody waits for a function that answers nothing, or "not ready".
  static constexpr std::uint64_t kMaxPatienceNs = 60'000'000'000;

  const FunctionInfo* info = nullptr;
  port::ConfigSpace* config = nullptr;
  /// BAR 0 where CPUs reach it, for device-specific methods and for what resets leave
  /// (reset_leftovers.hpp); null: methods that need it are skipped.
  port::Mmio* registers = nullptr;
  /// The bridge above, if its secondary bus may be reset: every other function behind it is in
  /// `peers`, and in nobody's hands. The peers are silenced, reset, checked and restored too.
  port::ConfigSpace* port = nullptr;
  std::span<const ResetPeer> peers{};
  std::uint64_t patience_ns = kMaxPatienceNs;  // per method
  /// This method or none; kNone: those of the function's order.
  ResetMethod only = ResetMethod::kNone;
};

struct ResetStep {
  enum class State : std::uint8_t { kWait, kDone, kFailed };
  State state = State::kFailed;
  std::uint64_t until_ns = 0;  // kWait: call step() again then, or later
  /// kFailed. kNoReset (arg: BDF): no method; kTimeout, kHardwareError: failure_of() tells more.
  Error error{};
};

/// What the arg of a reset's kTimeout or kHardwareError says.
struct ResetFailure {
  HostBdf function;  // the target, or a peer
  ResetMethod method = ResetMethod::kNone;
  ResetFault fault = ResetFault::kNone;
};
[[nodiscard]] ResetFailure failure_of(Error error);
/// For people: "does not answer any more", ...
[[nodiscard]] std::string_view describe(ResetFault fault);

class Reset {
 public:
  /// Of a secondary bus reset; more: no such reset.
  static constexpr std::size_t kMaxFunctions = kMaxResetTogether;

  /// Begins; what was under way in this object must have ended. The caller has cut the function's
  /// DMA off in the IOMMU, and lets nobody else touch its configuration until the end. VFs of a
  /// physical function are off (sriov.hpp); they are not switched on again.
  void start(const ResetTarget& target, std::uint64_t now_ns);
  /// The next part: a few hundred configuration accesses at most, never a wait. Before the time it
  /// asked for it does nothing. After kDone or kFailed it says that again; kFailed before start().
  /// In the end the function decodes memory at its old place, and is as quiesce() leaves it.
  ResetStep step(std::uint64_t now_ns);
  /// The method that is under way, or was the last one.
  [[nodiscard]] ResetMethod method() const { return method_; }

 private:
  enum class Phase : std::uint8_t {
    kIdle,
    kDrain,
    kScript,
    kPowerUp,
    kBusHeld,
    kLink,
    kAnswer,
    kCheck,
    kDone,
    kFailed,
  };

  [[nodiscard]] bool advance(std::uint64_t now);
  void drain(std::uint64_t now);
  void next_method(std::uint64_t now);
  [[nodiscard]] bool has(ResetMethod method);
  void begin(std::uint64_t now);
  void begin_bus(std::uint64_t now);
  void release_bus(std::uint64_t now);
  void await_link(std::uint64_t now);
  void run_script(std::uint64_t now);
  void initiate_flr();
  void await_answer(std::uint64_t now);
  void check(std::uint64_t now);
  void clear_all_leftovers();
  void give_up(HostBdf function, ResetFault fault, std::uint64_t now);
  void go(Phase phase, std::uint64_t until, std::uint64_t deadline);
  void finish(Phase phase);
  [[nodiscard]] std::uint64_t poll(std::uint64_t now) const;

  ResetTarget target_;
  Phase phase_ = Phase::kIdle;
  ResetMethod method_ = ResetMethod::kNone;
  bool lost_ = false;        // it does not answer: only the bridge can help
  std::uint8_t order_ = 0;   // of the next method to look at
  std::uint8_t op_ = 0;      // of the device-specific method
  std::uint16_t link_ = 0;   // of the port: its PCI Express capability, if that shows the link
  std::uint64_t began_ = 0;  // the phase
  std::uint64_t until_ = 0;
  std::uint64_t deadline_ = 0;
  std::uint64_t op_deadline_ = 0;  // 0: the operation has not begun
  Error error_{};
  StaticVector<ResetConfig, kMaxFunctions> functions_;  // the target; with its bus, the peers
};

/// The machine above for callers that can wait here: up to a second per method for a function that
/// does not answer, whatever the target's patience. The method that worked.
Result<ResetMethod> reset_function(ResetTarget target, port::Clock& clock);

/// The method that a reset would try first; kNone when there is none.
[[nodiscard]] ResetMethod reset_method(const FunctionInfo& info, port::ConfigSpace& config,
                                       bool has_port = false);

}  // namespace penstock::pci

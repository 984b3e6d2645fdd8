// A domain on its CPUs: how it starts, stops, restarts, pauses and ends.
//
// States and who moves them:
//
//     kOff ----start()----> kLoading --(CPU of vCPU 0 has loaded the images)--> kRunning
//     kRunning <--pause(), unpause()--> kPaused
//     kRunning, kPaused --request_stop()--> kStopping --(last vCPU has parked)--> kEnding
//     kEnding --> kLoading (reset) or kOff or, where destroy() was called, kDying
//     kLoading: not before restart_at_, so that a guest that does nothing but restart costs the
//               others little; its CPUs wait in their idle loops, at the neighbours' disposal
//     kOff --destroy()--> kDying --(its RAM is scrubbed)--> kDead --> (domain_build.cpp) gone
//
// Everything runs on the domain's own CPUs; nobody else waits for it. `running_` counts vCPUs that
// are in the guest, handle one of its traps, or have been told to start; the vCPU that takes it to
// zero and wins the exchange of kStopping for kEnding finishes the stop, once.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/base/allowance.hpp"
#include "core/manifest/manifest.hpp"
#include "core/port/vcpu_kick.hpp"
#include "core/vm/domain.hpp"
#include "hypervisor/arch/aarch64/context.hpp"
#include "hypervisor/vcpu.hpp"

namespace penstock {

struct DomainObjects;
struct Machine;

class Partition final : public port::VcpuKick {
 public:
  enum class State : std::uint8_t {
    kOff,
    kLoading,
    kRunning,
    kPaused,
    kStopping,
    kEnding,
    kDying,
    kDead,
  };
  /// `objects`: what this is a part of.
  explicit Partition(DomainObjects& objects) : objects_(objects) {}

  enum class Stop : std::uint8_t { kPowerOff, kReset, kCrash };

  /// Binds the domain to its CPUs, which nobody owns. `payloads`: the bundle that holds its images.
  /// All outlive the partition.
  void init(Machine& machine, const manifest::DomainConfig& config,
            std::span<const std::uint8_t> payloads, vm::Domain& domain);

  /// Makes the CPU of vCPU 0 load the images and enter the guest. kBadState unless it is off; what
  /// the hand-over of a device answers.
  Status start();
  /// The guest's CPUs stand still between two instructions; its devices work on. kBadState.
  Status pause();
  Status unpause();
  /// The guest is asked to power off. kBadState unless it runs.
  Status press_power_button();
  /// Begins the end: the guest is stopped whatever it does, devices are taken back, RAM is
  /// scrubbed. Done when state() is kDead.
  void destroy();
  /// Any CPU: ends the domain for the reason given; `why` is logged. Returns; the caller's own vCPU
  /// parks at its next check(). Repeated requests while one is under way are ignored.
  void request_stop(Stop stop, std::string_view why);

  /// One of its CPUs takes an abort, for a reason that is logged now and then. Any of its CPUs.
  void tell_of_abort(const Vcpu& vcpu, std::string_view why, std::uint64_t at, std::uint64_t pc);

  /// Idle loop of one of the domain's CPUs: does what is asked of it; does not return when it
  /// enters the guest.
  void poll_idle(Vcpu& vcpu);
  /// Before every return to the guest: parks this CPU when the domain is stopping.
  void check(Vcpu& vcpu) {
    if (state_.load(std::memory_order_acquire) != State::kRunning) hold_or_leave(vcpu);
  }
  /// PSCI CPU_ON; returns PSCI's code.
  std::int64_t cpu_on(std::uint64_t affinity, std::uint64_t entry, std::uint64_t context);
  std::int64_t affinity_info(std::uint64_t affinity) const;
  /// PSCI CPU_OFF of the caller.
  [[noreturn]] void cpu_off(Vcpu& vcpu);

  void kick(VcpuIndex vcpu) override;
  void send_event() override { arch::send_event(); }

  [[nodiscard]] State state() const { return state_.load(std::memory_order_acquire); }
  [[nodiscard]] DomainObjects& objects() { return objects_; }
  [[nodiscard]] vm::Domain& domain() { return *domain_; }
  [[nodiscard]] const manifest::DomainConfig& config() const { return *config_; }
  [[nodiscard]] std::string_view name() const { return config_->name_view(); }
  [[nodiscard]] Vcpu& vcpu(unsigned i) { return vcpus_[i]; }
  [[nodiscard]] unsigned vcpu_count() const { return vcpu_count_; }
  /// The console's number for this domain.
  [[nodiscard]] unsigned source() const { return domain_->id().value() + 1U; }
  [[nodiscard]] unsigned restarts() const { return restarts_; }
  /// Traps of one kind (vm::Exit) of all vCPUs, about now.
  [[nodiscard]] std::uint64_t exits_of(std::size_t reason) const;
  /// It is off because of something that it did.
  [[nodiscard]] bool crashed() const { return crashed_; }
  [[nodiscard]] bool doomed() const { return doomed_.load(); }

 private:
  void hold_or_leave(Vcpu& vcpu);
  [[noreturn]] void leave(Vcpu& vcpu);
  void load_and_run(Vcpu& vcpu);
  void kick_all();
  void bury();
  void go_off(std::string_view state);
  [[noreturn]] void run(Vcpu& vcpu);
  void finish_stop(Vcpu& vcpu);
  void plan_restart();
  [[nodiscard]] bool too_early();
  Status load();
  Vcpu* by_affinity(std::uint64_t affinity);

  DomainObjects& objects_;
  Machine* machine_ = nullptr;
  const manifest::DomainConfig* config_ = nullptr;
  std::span<const std::uint8_t> payloads_;
  vm::Domain* domain_ = nullptr;
  std::array<Vcpu, vmsi::kMaxVcpus> vcpus_{};
  unsigned vcpu_count_ = 0;
  std::atomic<State> state_{State::kOff};
  std::atomic<Stop> stop_{Stop::kPowerOff};
  std::atomic<unsigned> running_{0};
  std::atomic<bool> doomed_{false};  // destroy() was called
  bool has_devices_ = true;  // handed over since the last stop; the builder does it the first time
  bool crashed_ = false;
  unsigned restarts_ = 0;
  // Of the domain, not of one of its lives (H58): 16 restarts at once, and one more every 2 s.
  Allowance restart_allowance_{16, 2'000'000'000};
  std::uint64_t restart_at_ = 0;          // on the board's clock; kLoading waits for it
  std::atomic<std::uint64_t> aborts_{0};  // over all its lives: a restart brings no new lines
};

}  // namespace penstock

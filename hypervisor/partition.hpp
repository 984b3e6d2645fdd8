// A domain on its CPUs: how it starts, stops, restarts and ends.
//
// States and who moves them:
//
//     kOff ----start()----> kLoading --(CPU of vCPU 0 has loaded the images)--> kRunning
//     kRunning --request_stop()--> kStopping --(last vCPU has parked)--> kEnding --> kLoading
//     (reset) or kOff
//
// Everything runs on the domain's own CPUs; nobody else waits for it. `running_` counts vCPUs that
// are in the guest, handle one of its traps, or have been told to start; the vCPU that takes it to
// zero and wins the exchange of kStopping for kEnding finishes the stop, once.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "core/manifest/manifest.hpp"
#include "core/port/vcpu_kick.hpp"
#include "core/vm/domain.hpp"
#include "hypervisor/arch/aarch64/context.hpp"
#include "hypervisor/vcpu.hpp"

namespace penstock {

struct Machine;

class Partition final : public port::VcpuKick {
 public:
  enum class State : std::uint8_t { kOff, kLoading, kRunning, kStopping, kEnding };
  enum class Stop : std::uint8_t { kPowerOff, kReset, kCrash };

  /// Binds the domain to its CPUs. Boot only.
  void init(Machine& machine, const manifest::DomainConfig& config, vm::Domain& domain);

  /// Boot CPU: makes the CPU of vCPU 0 load the images and enter the guest.
  void start();
  /// Any CPU: ends the domain for the reason given; `why` is logged. Returns; the caller's own vCPU
  /// parks at its next check(). Repeated requests while one is under way are ignored.
  void request_stop(Stop stop, std::string_view why);

  /// Idle loop of one of the domain's CPUs: does what is asked of it; does not return when it
  /// enters the guest.
  void poll_idle(Vcpu& vcpu);
  /// Before every return to the guest: parks this CPU when the domain is stopping.
  void check(Vcpu& vcpu) {
    if (state_.load(std::memory_order_acquire) != State::kRunning) leave(vcpu);
  }
  /// PSCI CPU_ON; returns PSCI's code.
  std::int64_t cpu_on(std::uint64_t affinity, std::uint64_t entry, std::uint64_t context);
  std::int64_t affinity_info(std::uint64_t affinity) const;
  /// PSCI CPU_OFF of the caller.
  [[noreturn]] void cpu_off(Vcpu& vcpu);

  void kick(VcpuIndex vcpu) override;
  void send_event() override { arch::send_event(); }

  [[nodiscard]] State state() const { return state_.load(std::memory_order_acquire); }
  [[nodiscard]] vm::Domain& domain() { return *domain_; }
  [[nodiscard]] const manifest::DomainConfig& config() const { return *config_; }
  [[nodiscard]] std::string_view name() const { return config_->name_view(); }
  [[nodiscard]] Vcpu& vcpu(unsigned i) { return vcpus_[i]; }
  [[nodiscard]] unsigned vcpu_count() const { return vcpu_count_; }
  /// The console's number for this domain.
  [[nodiscard]] unsigned source() const { return domain_->id().value() + 1U; }
  [[nodiscard]] unsigned restarts() const { return restarts_; }

 private:
  [[noreturn]] void leave(Vcpu& vcpu);
  [[noreturn]] void run(Vcpu& vcpu);
  void finish_stop(Vcpu& vcpu);
  Status load();
  Vcpu* by_affinity(std::uint64_t affinity);

  Machine* machine_ = nullptr;
  const manifest::DomainConfig* config_ = nullptr;
  vm::Domain* domain_ = nullptr;
  std::array<Vcpu, vmsi::kMaxVcpus> vcpus_{};
  unsigned vcpu_count_ = 0;
  std::atomic<State> state_{State::kOff};
  std::atomic<Stop> stop_{Stop::kPowerOff};
  std::atomic<unsigned> running_{0};
  unsigned restarts_ = 0;
};

}  // namespace penstock

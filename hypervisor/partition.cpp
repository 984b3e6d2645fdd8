#include "hypervisor/partition.hpp"

#include "core/base/worth_a_line.hpp"
#include "core/vm/psci.hpp"
#include "hypervisor/arch/aarch64/own_error.hpp"
#include "hypervisor/arch/aarch64/traps.hpp"
#include "hypervisor/arch/aarch64/world.hpp"
#include "hypervisor/machine.hpp"

namespace penstock {

namespace {

/// Of RAM that is scrubbed before this CPU looks at its interrupts.
constexpr std::uint64_t kScrubSlice = 2 * kMiB;

std::span<const std::uint8_t> part_of(std::span<const std::uint8_t> bundle,
                                      const manifest::Blob& blob) {
  if (blob.size == 0 || !fits(blob.offset, blob.size, bundle.size())) return {};
  return bundle.subspan(blob.offset, blob.size);
}

}  // namespace

void Partition::init(Machine& machine, const manifest::DomainConfig& config,
                     std::span<const std::uint8_t> payloads, vm::Domain& domain) {
  machine_ = &machine;
  config_ = &config;
  payloads_ = payloads;
  domain_ = &domain;
  for (const CpuIndex cpu : config.cpus) {
    Vcpu& vcpu = vcpus_[vcpu_count_];
    vcpu.index = VcpuIndex(static_cast<std::uint8_t>(vcpu_count_++));
    vcpu.partition = this;
    vcpu.cpu = &machine.cpus[cpu.value()];
    vcpu.domain = &domain;
    vcpu.mail = &domain.gic().mail_of(vcpu.index);
    vcpu.cpu->owner.assign(&vcpu);  // its idle loop takes it over
  }
}

Status Partition::start() {
  State off = State::kOff;
  if (doomed_.load() || !state_.compare_exchange_strong(off, State::kEnding)) {
    return fail(Code::kBadState, static_cast<std::uint64_t>(state()));
  }
  if (!has_devices_) {
    const Status given = domain_->take_devices();
    if (!given) {
      state_.store(State::kOff);
      if (doomed_.load()) destroy();
      return given;
    }
    has_devices_ = true;
  }
  crashed_ = false;
  machine_->domains_alive.fetch_add(1, std::memory_order_acq_rel);
  for (unsigned i = 0; i < vcpu_count_; ++i) {
    vcpus_[i].power.store(Vcpu::Power::kOff, std::memory_order_relaxed);
  }
  stop_.store(Stop::kPowerOff, std::memory_order_release);
  restart_at_ = 0;  // whoever starts it has waited for nothing
  state_.store(State::kLoading, std::memory_order_release);  // pairs with poll_idle()
  kick(VcpuIndex(0));
  return {};
}

Status Partition::pause() {
  State expected = State::kRunning;
  if (!state_.compare_exchange_strong(expected, State::kPaused)) {
    return fail(Code::kBadState, static_cast<std::uint64_t>(expected));
  }
  kick_all();
  return {};
}

Status Partition::unpause() {
  State expected = State::kPaused;
  if (!state_.compare_exchange_strong(expected, State::kRunning)) {
    return fail(Code::kBadState, static_cast<std::uint64_t>(expected));
  }
  kick_all();
  return {};
}

Status Partition::press_power_button() {
  if (state() != State::kRunning) {
    return fail(Code::kBadState, static_cast<std::uint64_t>(state()));
  }
  domain_->press_power_button();
  return {};
}

std::uint64_t Partition::exits_of(std::size_t reason) const {
  std::uint64_t sum = 0;
  for (unsigned i = 0; i < vcpu_count_; ++i) sum += vcpus_[i].exits.of(reason);
  return sum;
}

// Whoever moves the state to or from a place where nobody would look at doomed_ again looks at it
// afterwards, and this looks at the state after setting it: one of the two sees the other (all
// sequentially consistent).
void Partition::destroy() {
  doomed_.store(true);
  request_stop(Stop::kPowerOff, "is destroyed");
  State off = State::kOff;
  if (state_.compare_exchange_strong(off, State::kDying)) kick(VcpuIndex(0));
}

void Partition::bury() {
  for (std::uint64_t at = 0; at < domain_->ram_bytes(); at += kScrubSlice) {
    machine_->memory.scrub(domain_->ram() + at, kScrubSlice);
    arch::take_pending_interrupts();
  }
  state_.store(State::kDead);
}

void Partition::kick_all() {
  for (unsigned i = 0; i < vcpu_count_; ++i) kick(vcpus_[i].index);
}

void Partition::kick(VcpuIndex vcpu) {
  // The caller's own CPU is in the hypervisor already and looks at everything before it leaves.
  const arch::Cpu* cpu = vcpus_[vcpu.value()].cpu;
  if (cpu != &arch::own_cpu()) arch::send_sgi(cpu->sgi_target, kKickSgi);
}

void Partition::request_stop(Stop stop, std::string_view why) {
  State expected = State::kRunning;
  if (!state_.compare_exchange_strong(expected, State::kStopping)) {
    expected = State::kPaused;
    if (!state_.compare_exchange_strong(expected, State::kStopping)) return;
  }
  stop_.store(stop, std::memory_order_release);
  // A guest that does nothing but restart is told of a few times, then ever more rarely (H14).
  constexpr unsigned kToldOneByOne = 32;
  const bool told = restarts_ <= kToldOneByOne || (restarts_ & (restarts_ - 1)) == 0;
  Text<200> line;
  line.text(name()).text(": ").text(why);
  if (told)
    machine_->console.line(stop == Stop::kCrash ? port::Severity::kError : port::Severity::kInfo,
                           line.view());
  kick_all();
}

void Partition::tell_of_abort(const Vcpu& vcpu, std::string_view why, std::uint64_t at,
                              std::uint64_t pc) {
  const std::uint64_t count = aborts_.fetch_add(1, std::memory_order_relaxed) + 1;
  if (!worth_a_line(count)) return;
  Text<200> line;
  line.text(name()).text(": ").text(why).ch(' ').hex(at).text(": an abort, at pc ").hex(pc);
  line.text(" on vcpu ").dec(vcpu.index.value()).text(", ").dec(count).text(" by now");
  machine_->console.line(port::Severity::kWarning, line.view());
}

Status Partition::load() {
  // Same seed, another stream for each start of each domain; the clock keeps restarts of the board
  // apart where a loader gives the same seed twice.
  vm::Randomness randomness;
  if (machine_->board.rng_seed) {
    const std::uint64_t stream =
        machine_->clock.now_ns() << 16 | source() << 8 | (restarts_ & 0xff);
    randomness = chacha20_block(*machine_->board.rng_seed, stream, 0);
  }
  return domain_->load_images({part_of(payloads_, config_->kernel), config_->kernel_offset,
                               part_of(payloads_, config_->initrd)},
                              config_->cmdline_view(), randomness);
}

void Partition::poll_idle(Vcpu& vcpu) {
  const State state = state_.load(std::memory_order_acquire);
  if (vcpu.index == VcpuIndex(0)) {
    if (state == State::kDying) return bury();
    if (state == State::kLoading) {
      if (too_early()) return;
      load_and_run(vcpu);
    }
    // Destroyed while it was loaded, in vain: nobody else wakes this CPU for it.
    if (this->state() == State::kDying) return bury();
  }
  // Also while the domain stops: run() then leaves at once and is no longer counted.
  if (vcpu.power.load(std::memory_order_acquire) == Vcpu::Power::kOnPending) run(vcpu);
}

/// The last vCPU has parked: the next life begins when the domain has a restart left.
void Partition::plan_restart() {
  const std::uint64_t now = machine_->clock.now_ns();
  restart_at_ = now + restart_allowance_.wait_ns(now);
  (void)restart_allowance_.take(1, restart_at_);  // it has one by then
}

/// The idle loop looks again when this CPU's timer wakes it.
bool Partition::too_early() {
  const std::uint64_t now = machine_->clock.now_ns();
  if (doomed_.load() || now >= restart_at_) return false;
  machine_->clock.wake_after(restart_at_ - now);
  return true;
}

void Partition::load_and_run(Vcpu& vcpu) {
  const Status loaded = load();
  if (!loaded) {
    Text<200> line;
    line.text(name()).text(": not started: ").text(describe(loaded.error().code));
    machine_->console.line(port::Severity::kError, line.view());
    machine_->report_not_run(name(), "not-started", describe(loaded.error().code));
    return go_off("not-started");
  }
  vcpu.entry = domain_->entry().value();
  vcpu.context = vm::kGuestRam.value();  // x0: the device tree lies at the start of RAM
  running_.fetch_add(1, std::memory_order_acq_rel);
  vcpu.power.store(Vcpu::Power::kOnPending, std::memory_order_release);
  state_.store(State::kRunning);
  if (doomed_.load()) destroy();
}

void Partition::run(Vcpu& vcpu) {
  vcpu.power.store(Vcpu::Power::kOn, std::memory_order_release);
  check(vcpu);  // a stop that came in between has counted us
  arch::settle_errors("the board");
  const arch::WorldConfig world{domain_->cpu_table().root(), domain_->vmid(), vcpu.affinity()};
  arch::prepare_world(world);
  domain_->gic().start_vcpu(vcpu.index, vcpu.list_registers);
  arch::GuestFrame frame{};
  frame.x[0] = vcpu.context;
  frame.elr = vcpu.entry;
  frame.spsr = arch::kSpsrEl1hMasked;
  arch::enter_guest(&frame, reinterpret_cast<void*>(vcpu.cpu->stack_top));
}

void Partition::hold_or_leave(Vcpu& vcpu) {
  while (state_.load(std::memory_order_acquire) == State::kPaused) {
    arch::take_pending_interrupts();
    if (state_.load(std::memory_order_acquire) == State::kPaused) arch::wait_for_interrupt();
  }
  if (state_.load(std::memory_order_acquire) != State::kRunning) leave(vcpu);
  if (domain_->gic().needs_delivery(vcpu.index)) {
    domain_->gic().deliver(vcpu.index, vcpu.list_registers);
  }
}

void Partition::leave(Vcpu& vcpu) {
  domain_->gic().park(vcpu.index, vcpu.list_registers);
  arch::quiet_timers();
  machine_->drop_private_interrupts(*vcpu.cpu);
  arch::reset_virtual_interface();
  vcpu.power.store(Vcpu::Power::kOff, std::memory_order_release);
  if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    // A domain whose last CPU went off by CPU_OFF can never come back: it is off.
    for (State now = state(); now == State::kRunning || now == State::kPaused; now = state()) {
      (void)state_.compare_exchange_strong(now, State::kStopping);
    }
    State stopping = State::kStopping;
    if (state_.compare_exchange_strong(stopping, State::kEnding, std::memory_order_acq_rel)) {
      finish_stop(vcpu);
    }
  }
  machine_->idle(*vcpu.cpu);
}

void Partition::finish_stop(Vcpu& vcpu) {
  const Stop stop = stop_.load(std::memory_order_acquire);
  domain_->stop();
  has_devices_ = false;
  crashed_ = stop == Stop::kCrash;
  const manifest::AfterStop after = stop == Stop::kReset   ? config_->on_reboot
                                    : stop == Stop::kCrash ? config_->on_crash
                                                           : manifest::AfterStop::kStop;
  if (after == manifest::AfterStop::kRestart && !doomed_.load()) {
    ++restarts_;
    plan_restart();
    for (unsigned i = 0; i < vcpu_count_; ++i) {
      vcpus_[i].power.store(Vcpu::Power::kOff, std::memory_order_relaxed);
    }
    stop_.store(Stop::kPowerOff, std::memory_order_release);
    const Status again = domain_->take_devices();
    if (again) {
      has_devices_ = true;
      state_.store(State::kLoading, std::memory_order_release);
      if (vcpu.index != VcpuIndex(0)) kick(VcpuIndex(0));
      return;
    }
    Text<200> line;
    line.text(name()).text(": cannot be restarted: ").text(describe(again.error().code));
    machine_->console.line(port::Severity::kError, line.view());
  }
  go_off(stop == Stop::kCrash ? "crashed" : "off");
}

/// Its CPUs have nothing more to do for it.
void Partition::go_off(std::string_view state) {
  if (has_devices_) domain_->stop();
  has_devices_ = false;
  machine_->report_domain(*this, state);
  state_.store(State::kOff);
  if (doomed_.load()) destroy();
  machine_->domain_ended();
}

void Partition::cpu_off(Vcpu& vcpu) {
  leave(vcpu);
}

Vcpu* Partition::by_affinity(std::uint64_t affinity) {
  for (unsigned i = 0; i < vcpu_count_; ++i) {
    if (vcpus_[i].affinity() == affinity) return &vcpus_[i];
  }
  return nullptr;
}

std::int64_t Partition::cpu_on(std::uint64_t affinity, std::uint64_t entry, std::uint64_t context) {
  Vcpu* target = by_affinity(affinity);
  if (target == nullptr) return vm::kPsciInvalidParameters;
  if (!domain_->is_ram(Gpa(entry), 4)) return vm::kPsciInvalidAddress;
  Vcpu::Power expected = Vcpu::Power::kOff;
  // kOnPending is claimed first and published with entry and context by the second store (pairs
  // with poll_idle()).
  if (!target->claimed.exchange(true, std::memory_order_acq_rel)) {
    if (target->power.load(std::memory_order_acquire) == expected) {
      target->entry = entry;
      target->context = context;
      running_.fetch_add(1, std::memory_order_acq_rel);  // from now on: it may not be forgotten
      target->power.store(Vcpu::Power::kOnPending, std::memory_order_release);
      target->claimed.store(false, std::memory_order_release);
      kick(target->index);
      return vm::kPsciSuccess;
    }
    target->claimed.store(false, std::memory_order_release);
  }
  return target->power.load(std::memory_order_acquire) == Vcpu::Power::kOn ? vm::kPsciAlreadyOn
                                                                           : vm::kPsciOnPending;
}

std::int64_t Partition::affinity_info(std::uint64_t affinity) const {
  for (unsigned i = 0; i < vcpu_count_; ++i) {
    if (vcpus_[i].affinity() == affinity) {
      return static_cast<std::int64_t>(vcpus_[i].power.load(std::memory_order_acquire));
    }
  }
  return vm::kPsciInvalidParameters;
}

}  // namespace penstock

#include "core/pci/reset.hpp"

#include "core/hw/pci/capability.hpp"
#include "core/hw/pci/controls.hpp"
#include "core/hw/pci/msi.hpp"
#include "core/hw/pci/power.hpp"
#include "core/pci/reset_leftovers.hpp"

namespace penstock::pci {
namespace {

namespace hp = hw::pci;
namespace express = hw::pci::express;

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kBusHeldNs = 2 * kMs;  // at least 1 ms (PCIe 6.6.1)
// How often something is asked: at first, and when it takes longer than hardware usually does.
constexpr std::uint64_t kPollNs = kMs;
constexpr std::uint64_t kSlowPollNs = 20 * kMs;
constexpr std::uint64_t kSlowAfterNs = 1'000 * kMs;

template <typename F>
void set_field(port::ConfigSpace& config, unsigned at, std::uint64_t value) {
  config.write(at, 2, static_cast<std::uint32_t>(with<F>(config.read(at, 2), value)));
}

bool resets_by_power(const FunctionInfo& info, port::ConfigSpace& config) {
  if (info.power == 0) return false;
  const std::uint32_t status = config.read(info.power + hp::power::kControlStatus, 2);
  return get<hp::power::control_status::NoSoftReset>(status) == 0;
}

void set_power(const FunctionInfo& info, port::ConfigSpace& config, std::uint64_t state) {
  const unsigned at = info.power + hp::power::kControlStatus;
  const std::uint64_t status = with<hp::power::control_status::PmeStatus>(config.read(at, 2), 0);
  config.write(
      at, 2,
      static_cast<std::uint32_t>(with<hp::power::control_status::PowerState>(status, state)));
}

bool has_method(const FunctionInfo& info, port::ConfigSpace& config, ResetMethod method,
                bool has_port, bool has_registers) {
  switch (method) {
    case ResetMethod::kNone: return false;
    case ResetMethod::kExpressFlr: return info.flr_express;
    case ResetMethod::kAdvancedFlr: return info.flr && !info.flr_express;
    case ResetMethod::kPower: return resets_by_power(info, config);
    case ResetMethod::kSecondaryBus: return has_port;
    case ResetMethod::kSpecific: {
      const ResetScript script = quirk_of(info)->script;
      return info.express && (has_registers || !needs_registers(script));
    }
  }
  return false;
}

Error reset_error(HostBdf function, ResetMethod method, ResetFault fault) {
  const std::uint64_t arg = std::uint64_t{function.value()} |
                            static_cast<std::uint64_t>(fault) << 16 |
                            static_cast<std::uint64_t>(method) << 24;
  const bool silent = fault == ResetFault::kNoAnswer || fault == ResetFault::kRetries ||
                      fault == ResetFault::kNoLink;
  return fail(silent ? Code::kTimeout : Code::kHardwareError, arg);
}

/// Where the port shows whether its link is up (PCIe 7.5.3.8); 0: nowhere.
std::uint16_t link_status_of(port::ConfigSpace& port) {
  unsigned at = port.read(hp::kCapabilities, 1) & hp::kCapabilityNextMask;
  for (unsigned n = 0; at >= hp::kHeaderSize && n < hp::kMaxCapabilities; ++n) {
    const auto id = static_cast<hp::CapabilityId>(port.read(at + hp::kCapabilityId, 1));
    if (id == hp::CapabilityId::kExpress && at + express::kLinkStatus < 0xff) {
      const std::uint32_t can = port.read(at + express::kLinkCapabilities, 4);
      const bool shows = get<hp::link_capabilities::DataLinkActiveReporting>(can) != 0;
      return static_cast<std::uint16_t>(shows ? at + express::kLinkStatus : 0);
    }
    at = port.read(at + hp::kCapabilityNext, 1) & hp::kCapabilityNextMask;
  }
  return 0;
}

}  // namespace

ResetFailure failure_of(Error error) {
  return {HostBdf(static_cast<std::uint16_t>(error.arg)),
          static_cast<ResetMethod>(error.arg >> 24 & 0xff),
          static_cast<ResetFault>(error.arg >> 16 & 0xff)};
}

std::string_view describe(ResetFault fault) {
  switch (fault) {
    case ResetFault::kNone: return "nothing wrong";
    case ResetFault::kNoAnswer: return "does not answer any more";
    case ResetFault::kRetries: return "says \"not ready yet\" for ever";
    case ResetFault::kStranger: return "came back as another device";
    case ResetFault::kNoLink: return "its link did not come up again";
    case ResetFault::kPending: return "still waits for requests of before";
    case ResetFault::kUnchanged: return "nothing shows that it was reset";
    case ResetFault::kConfig: return "does not take its configuration back";
  }
  return "unknown";
}

// ---- Time ----

void Reset::start(const ResetTarget& target, std::uint64_t now_ns) {
  target_ = target;
  if (target_.patience_ns > ResetTarget::kMaxPatienceNs) {
    target_.patience_ns = ResetTarget::kMaxPatienceNs;
  }
  if (target_.peers.size() >= kMaxFunctions) target_.port = nullptr;
  method_ = ResetMethod::kNone;
  order_ = 0;
  lost_ = false;
  error_ = fail(Code::kNoReset, target.info->bdf.value());
  functions_.clear();
  (void)functions_.push_back({});
  functions_[0].save(*target.info, *target.config);
  began_ = now_ns;
  go(Phase::kDrain, now_ns, now_ns + express::kFlrNs);
}

ResetStep Reset::step(std::uint64_t now_ns) {
  while (advance(now_ns)) {
  }
  if (phase_ == Phase::kDone) return {ResetStep::State::kDone, 0, {}};
  if (phase_ == Phase::kFailed) return {ResetStep::State::kFailed, 0, error_};
  if (phase_ == Phase::kIdle) return {ResetStep::State::kFailed, 0, fail(Code::kBadState)};
  return {ResetStep::State::kWait, until_, {}};
}

/// One step of the diagram; false when there is nothing to do now.
bool Reset::advance(std::uint64_t now) {
  if (phase_ == Phase::kIdle || phase_ == Phase::kDone || phase_ == Phase::kFailed) return false;
  if (now < until_) return false;
  switch (phase_) {
    case Phase::kDrain: drain(now); break;
    case Phase::kScript: run_script(now); break;
    case Phase::kPowerUp:
      set_power(*target_.info, *target_.config, hp::power::control_status::kD0);
      go(Phase::kAnswer, now + hp::power::kD3HotToD0Ns, now + target_.patience_ns);
      break;
    case Phase::kBusHeld: release_bus(now); break;
    case Phase::kLink: await_link(now); break;
    case Phase::kAnswer: await_answer(now); break;
    case Phase::kCheck: check(now); break;
    case Phase::kIdle:
    case Phase::kDone:
    case Phase::kFailed: break;
  }
  return true;
}

void Reset::go(Phase phase, std::uint64_t until, std::uint64_t deadline) {
  phase_ = phase;
  until_ = until;
  deadline_ = deadline;
}

std::uint64_t Reset::poll(std::uint64_t now) const {
  return now + (now - began_ < kSlowAfterNs ? kPollNs : kSlowPollNs);
}

/// Whatever became of it, the function is left decoding its own addresses and silent.
void Reset::finish(Phase phase) {
  phase_ = phase;
  if (phase == Phase::kDone) return;
  for (ResetConfig& function : functions_) function.restore();
}

// ---- From method to method ----

/// Requests under way would be completed to a function that has forgotten them (PCIe 6.6.2). A
/// function that never finishes is reset all the same: that is what the reset is for.
void Reset::drain(std::uint64_t now) {
  if (functions_[0].pending() && now < deadline_) {
    until_ = poll(now);
    return;
  }
  next_method(now);
}

bool Reset::has(ResetMethod method) {
  if (lost_ && method != ResetMethod::kSecondaryBus) return false;
  if (target_.only != ResetMethod::kNone && target_.only != method) return false;
  return has_method(*target_.info, *target_.config, method, target_.port != nullptr,
                    target_.registers != nullptr);
}

void Reset::next_method(std::uint64_t now) {
  const ResetOrder& order = reset_order(*target_.info);
  while (order_ < order.size()) {
    const ResetMethod method = order[order_++];
    if (!has(method)) continue;
    method_ = method;
    began_ = now;
    begin(now);
    return;
  }
  finish(Phase::kFailed);
}

void Reset::give_up(HostBdf function, ResetFault fault, std::uint64_t now) {
  error_ = reset_error(function, method_, fault);
  if (error_.code == Code::kTimeout || fault == ResetFault::kStranger) lost_ = true;
  next_method(now);
}

void Reset::begin(std::uint64_t now) {
  const FunctionInfo& info = *target_.info;
  functions_[0].mark();
  switch (method_) {
    case ResetMethod::kNone: break;
    case ResetMethod::kExpressFlr:
      initiate_flr();
      go(Phase::kAnswer, now + express::kFlrNs, now + target_.patience_ns);
      break;
    case ResetMethod::kAdvancedFlr:
      target_.config->write(info.advanced_features + hp::advanced_features::kControl, 1, 1);
      go(Phase::kAnswer, now + express::kFlrNs, now + target_.patience_ns);
      break;
    case ResetMethod::kPower:
      set_power(info, *target_.config, hp::power::control_status::kD3Hot);
      go(Phase::kPowerUp, now + hp::power::kD3HotToD0Ns, 0);
      break;
    case ResetMethod::kSecondaryBus: begin_bus(now); break;
    case ResetMethod::kSpecific:
      op_ = 0;
      op_deadline_ = 0;
      go(Phase::kScript, now, now + target_.patience_ns);
      break;
  }
}

void Reset::initiate_flr() {
  set_field<express::device_control::InitiateFlr>(
      *target_.config, target_.info->express_at + express::kDeviceControl, 1);
}

// ---- The bus ----

void Reset::begin_bus(std::uint64_t now) {
  for (const ResetPeer& peer : target_.peers) {
    if (!functions_.push_back({})) break;  // cannot be: start() has counted them
    functions_.back().save(*peer.info, *peer.config);
    functions_.back().mark();
  }
  link_ = link_status_of(*target_.port);
  set_field<hp::bridge_control::SecondaryBusReset>(*target_.port, hp::kBridgeControl, 1);
  go(Phase::kBusHeld, now + kBusHeldNs, 0);
}

void Reset::release_bus(std::uint64_t now) {
  set_field<hp::bridge_control::SecondaryBusReset>(*target_.port, hp::kBridgeControl, 0);
  go(Phase::kLink, now, now + target_.patience_ns);
}

/// 100 ms after the link is up, or where the port does not show that, after the reset ended (PCIe
/// 6.6.1).
void Reset::await_link(std::uint64_t now) {
  if (link_ != 0 && get<express::link_status::DataLinkActive>(target_.port->read(link_, 2)) == 0) {
    if (now >= deadline_) return give_up(target_.info->bdf, ResetFault::kNoLink, now);
    until_ = poll(now);
    return;
  }
  go(Phase::kAnswer, now + express::kFlrNs, now + target_.patience_ns);
}

// ---- A device's own method ----

void Reset::run_script(std::uint64_t now) {
  using Kind = ResetOp::Kind;
  const ResetScript script = quirk_of(*target_.info)->script;
  if (op_ == script.size()) return go(Phase::kAnswer, now, now + target_.patience_ns);
  const ResetOp& op = script[op_];
  port::ConfigSpace& config = *target_.config;
  const auto value = [&] { return target_.registers->read32(op.at); };
  switch (op.kind) {
    case Kind::kMemoryOn: set_field<hp::command::MemorySpace>(config, hp::kCommand, 1); break;
    case Kind::kMasterOn: set_field<hp::command::BusMaster>(config, hp::kCommand, 1); break;
    case Kind::kMsixHeld:
      if (target_.info->msix == 0) break;
      set_field<hp::msix::control::FunctionMask>(config, target_.info->msix + hp::msix::kControl,
                                                 1);
      set_field<hp::msix::control::Enable>(config, target_.info->msix + hp::msix::kControl, 1);
      break;
    case Kind::kFlr:
      initiate_flr();
      until_ = now + express::kFlrNs;
      break;
    case Kind::kNoteRoute: config.write(hp::kVendorId, 2, 0); break;
    case Kind::kRequire:
      if ((value() & op.mask) != op.value) return next_method(now);
      break;
    case Kind::kWrite: target_.registers->write32(op.at, (value() & ~op.mask) | op.value); break;
    case Kind::kWaitFor: {
      if (op_deadline_ == 0) op_deadline_ = now + op.ms * kMs;
      const bool late = now >= op_deadline_ || now >= deadline_;
      if (!late && (value() & op.mask) != op.value) {
        until_ = poll(now);
        return;
      }
      op_deadline_ = 0;
      break;
    }
  }
  ++op_;
}

// ---- Afterwards ----

/// Completions that a function waits for from before the reset would be taken for answers to new
/// requests (PCIe 6.6.2).
void Reset::await_answer(std::uint64_t now) {
  for (ResetConfig& function : functions_) {
    ResetFault fault = function.presence();
    if (fault == ResetFault::kNone && function.pending()) fault = ResetFault::kPending;
    if (fault == ResetFault::kNone) continue;
    if (now >= deadline_) return give_up(function.info().bdf, fault, now);
    until_ = poll(now);
    return;
  }
  std::uint64_t more = 0;
  for (ResetConfig& function : functions_) {
    const ResetQuirk* quirk = quirk_of(function.info());
    if (quirk != nullptr && quirk->after_ms * kMs > more) more = quirk->after_ms * kMs;
  }
  go(Phase::kCheck, now + more, 0);
}

void Reset::check(std::uint64_t now) {
  ResetFault fault = ResetFault::kNone;
  HostBdf at = target_.info->bdf;
  for (ResetConfig& function : functions_) {
    ResetFault here = function.happened() ? ResetFault::kNone : ResetFault::kUnchanged;
    function.restore();
    if (here == ResetFault::kNone && !function.restored()) here = ResetFault::kConfig;
    if (fault != ResetFault::kNone || here == ResetFault::kNone) continue;
    fault = here;
    at = function.info().bdf;
  }
  if (fault != ResetFault::kNone) return give_up(at, fault, now);
  clear_all_leftovers();
  finish(Phase::kDone);
}

void Reset::clear_all_leftovers() {
  clear_leftovers(*target_.info, target_.registers);
  if (method_ != ResetMethod::kSecondaryBus) return;
  for (const ResetPeer& peer : target_.peers) clear_leftovers(*peer.info, peer.registers);
}

// ---- For those who wait ----

ResetMethod reset_method(const FunctionInfo& info, port::ConfigSpace& config, bool has_port) {
  for (const ResetMethod method : reset_order(info)) {
    if (has_method(info, config, method, has_port, info.bars[0].size != 0)) return method;
  }
  return ResetMethod::kNone;
}

Result<ResetMethod> reset_function(ResetTarget target, port::Clock& clock) {
  Reset reset;
  std::uint64_t now = clock.now_ns();
  target.patience_ns = express::kReadyAfterResetNs;
  reset.start(target, now);
  for (;;) {
    const ResetStep step = reset.step(now);
    if (step.state == ResetStep::State::kDone) return reset.method();
    if (step.state == ResetStep::State::kFailed) return step.error;
    if (step.until_ns > now) clock.wait(step.until_ns - now);
    now = clock.now_ns();
  }
}

}  // namespace penstock::pci

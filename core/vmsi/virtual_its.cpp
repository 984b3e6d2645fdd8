// Registers and command queue of the virtual ITS (IHI 0069 H 12.19, 5.3). The commands themselves:
// its_commands.cpp.
#include "core/vmsi/virtual_its.hpp"

#include "core/base/bits.hpp"
#include "core/base/bytes.hpp"
#include "core/hw/gic/gicv3_frames.hpp"
#include "core/hw/gic/its_frame.hpp"
#include "core/vmsi/frame_access.hpp"

namespace penstock::vmsi {

namespace {

namespace gits = hw::gic::gits;
namespace its_command = hw::gic::its_command;

constexpr std::uint64_t kQueuePage = 4096;
constexpr unsigned kEntryBytes =
    8;  // of the tables that guests offer; any size would do, they are not used

constexpr std::uint64_t kCbaserMask = gits::CbSize::kMask | gits::CbShareability::kMask |
                                      gits::CbAddress::kMask | gits::CbOuterCache::kMask |
                                      gits::CbInnerCache::kMask | gits::CbValid::kMask;
constexpr std::uint64_t kBaserMask = gits::BaSize::kMask | gits::BaPageSize::kMask |
                                     gits::BaShareability::kMask | gits::BaAddress::kMask |
                                     gits::BaOuterCache::kMask | gits::BaInnerCache::kMask |
                                     gits::BaIndirect::kMask | gits::BaValid::kMask;
constexpr std::array<std::uint64_t, 2> kBaserTypes = {gits::kTypeDevices, gits::kTypeCollections};

constexpr std::uint64_t type_register() {
  std::uint64_t r = with<gits::Physical>(0, 1);
  r = with<gits::IttEntrySize>(r, kEntryBytes - 1);
  r = with<gits::IdBits>(r, kEventIdBits - 1);
  r = with<gits::DevBits>(r, kDeviceIdBits - 1);
  r = with<gits::CidBits>(r, kCollectionIdBits - 1);
  return with<gits::Cil>(r, 1);
}

static_assert(VirtualIts::kFrameBytes == 2 * hw::gic::kFrameBytes);
static_assert(VirtualIts::kTranslaterOffset == gits::kTranslater);

}  // namespace

Status VirtualIts::init(VirtualGic& gic, port::GuestMem& memory, ItsListener& listener,
                        ItsLimits limits) {
  if (limits.devices < 1 || limits.devices > kMaxItsDevices) {
    return fail(Code::kOutOfRange, limits.devices);
  }
  if (limits.events < 1 || limits.events > kMaxItsEvents) {
    return fail(Code::kOutOfRange, limits.events);
  }
  gic_ = &gic;
  memory_ = &memory;
  listener_ = &listener;
  const LockGuard guard(lock_);
  maps_.configure(limits.devices, limits.events);
  reset_registers();
  return {};
}

void VirtualIts::reset_registers() {
  enabled_ = false;
  cbaser_ = 0;
  cwriter_ = 0;
  creadr_ = 0;
  change_ = {};
  change_is_new_ = false;
  command_open_ = false;
  note_backlog();
  for (unsigned i = 0; i < tables_.size(); ++i) write_table(i, 0);
  counters_ = {};
}

void VirtualIts::reset() {
  {
    const LockGuard guard(lock_);
    maps_.clear();  // the LPIs' routes are VirtualGic's to reset
    reset_registers();
  }
  // Nothing resolves: no message is moved by this.
  constexpr unsigned kAllOfIt = ~0U;
  (void)listener_->follow({ItsChange::Kind::kAll, {}, {}}, true, kAllOfIt);
}

ItsCounters VirtualIts::counters() {
  const LockGuard guard(lock_);
  return counters_;
}

// ---- registers ----

std::uint64_t VirtualIts::register64(std::uint64_t offset) const {
  switch (offset) {
    case gits::kTyper: return type_register();
    case gits::kCbaser: return cbaser_;
    case gits::kCwriter: return cwriter_;
    case gits::kCreadr: return creadr_;
    case gits::kBaser: return tables_[0];
    case gits::kBaser + 8: return tables_[1];
    default: return 0;
  }
}

std::uint64_t VirtualIts::read(std::uint64_t offset, unsigned size) {
  if ((size != 4 && size != 8) || offset % size != 0) return 0;
  const LockGuard guard(lock_);
  if (size == 8) return register64(offset);
  switch (offset) {
    case gits::kCtlr: {
      const std::uint64_t control = with<gits::Enabled>(0, enabled_ ? 1 : 0);
      const bool quiescent = !enabled_ && change_.kind == ItsChange::Kind::kNone && !command_open_;
      return with<gits::Quiescent>(control, quiescent ? 1 : 0);
    }
    case gits::kIidr: return hw::gic::kIidrArm;
    case hw::gic::kPidr2: return hw::gic::kPidr2Gicv3;
    default: return part_of(register64(offset & ~std::uint64_t{7}), offset, size);
  }
}

void VirtualIts::write(std::uint64_t offset, unsigned size, std::uint64_t value) {
  if ((size != 4 && size != 8) || offset % size != 0) return;
  if (offset == gits::kCtlr) {
    if (size == 4) write_control(value);
    return;
  }
  const std::uint64_t reg = offset & ~std::uint64_t{7};
  {
    const LockGuard guard(lock_);
    write_register64(reg, replace_part(register64(reg), offset, size, value));
    note_backlog();
  }
  // Of GITS_CWRITER only the lower half holds anything.
  if (offset == gits::kCwriter) run_commands(kCommandsPerTrap);
}

void VirtualIts::write_control(std::uint64_t value) {
  {
    const LockGuard guard(lock_);
    const bool enable = get<gits::Enabled>(value) != 0;
    if (enable == enabled_) return;
    enabled_ = enable;
    change_ = {ItsChange::Kind::kAll, {}, {}};  // whatever is under way is a part of it
    change_is_new_ = true;
    note_backlog();
  }
  run_commands(kCommandsPerTrap);
}

void VirtualIts::write_register64(std::uint64_t offset, std::uint64_t value) {
  switch (offset) {
    case gits::kCbaser: return write_queue_base(value);
    case gits::kCwriter: return write_producer(value);
    case gits::kBaser: return write_table(0, value);
    case gits::kBaser + 8: return write_table(1, value);
    default: return;
  }
}

/// 12.19.2: changing it while the ITS is enabled or not quiescent is UNPREDICTABLE: ignored (H50).
/// GITS_CREADR becomes 0.
void VirtualIts::write_queue_base(std::uint64_t value) {
  if (enabled_ || command_open_) return;
  cbaser_ = value & kCbaserMask;
  creadr_ = 0;
  if (cwriter_ >= queue_bytes()) cwriter_ = 0;  // keeps both inside the queue
}

/// 12.19.5: an offset beyond the queue is UNPREDICTABLE: ignored (H50). Nothing ever stalls, so
/// Retry has no meaning.
void VirtualIts::write_producer(std::uint64_t value) {
  const std::uint64_t offset = value & gits::QueueOffset::kMask;
  if (offset < queue_bytes()) cwriter_ = offset;
}

/// 12.19.1: type and entry size are ours, the rest is kept as written, for nobody's use.
void VirtualIts::write_table(unsigned index, std::uint64_t value) {
  if (enabled_) return;
  const std::uint64_t kept = value & kBaserMask;
  tables_[index] =
      with<gits::BaEntrySize>(with<gits::BaType>(kept, kBaserTypes[index]), kEntryBytes - 1);
}

// ---- queue ----

std::uint64_t VirtualIts::queue_bytes() const {
  return (get<gits::CbSize>(cbaser_) + 1) * kQueuePage;
}

bool VirtualIts::pending_locked() const {
  return enabled_ && get<gits::CbValid>(cbaser_) != 0 && creadr_ != cwriter_;
}

void VirtualIts::note_backlog() {
  const bool following = change_.kind != ItsChange::Kind::kNone;
  backlog_.store(following || pending_locked(), std::memory_order_relaxed);
}

/// Copies the next command once (H50: what the guest writes to the queue after this does not
/// matter).
Result<VirtualIts::Command> VirtualIts::fetch() {
  std::array<std::uint8_t, its_command::kBytes> bytes{};
  const Gpa address = Gpa(cbaser_ & gits::CbAddress::kMask) + creadr_;
  TRY(memory_->read(address, bytes));
  Command command{};
  for (unsigned i = 0; i < command.size(); ++i) command[i] = load_le(bytes, 8 * i, 8);
  return command;
}

void VirtualIts::run_commands(unsigned budget) {
  if (!engine_.try_lock()) return;
  unsigned spent = 0;
  while (spent < budget) {
    const unsigned cost = step(budget - spent);
    if (cost == 0) break;
    spent += cost;
  }
  engine_.unlock();
}

unsigned VirtualIts::step(unsigned budget) {
  unsigned cost = 0;
  ItsChange change;
  bool first = false;
  {
    const LockGuard guard(lock_);
    if (change_.kind == ItsChange::Kind::kNone) {
      if (!pending_locked()) return 0;
      cost = begin_command();
    }
    change = change_;
    first = change_is_new_;
    change_is_new_ = false;
    if (change.kind == ItsChange::Kind::kNone) {
      end_command();
      return cost;
    }
  }
  const ItsProgress progress = listener_->follow(change, first, budget);
  const LockGuard guard(lock_);
  // Not where the ITS was switched meanwhile: then all of it is followed anew.
  if (progress.done && !change_is_new_) end_command();
  return cost + (progress.units != 0 ? progress.units : 1);
}

/// Executes the next command; what it changes is in change_. Its cost.
unsigned VirtualIts::begin_command() {
  const Result<Command> command = fetch();
  command_open_ = true;
  ++counters_.commands;
  if (!command) {
    // Not RAM: there is no command to run. Skipped, so that the queue ends.
    ++counters_.unreadable;
    return 1;
  }
  const Outcome outcome = execute(*command);
  if (outcome.verdict == Verdict::kRefused) ++counters_.refused;
  if (outcome.verdict == Verdict::kExhausted) ++counters_.exhausted;
  change_ = outcome.change;
  change_is_new_ = true;
  return cost_of(*command);
}

/// All that was under way is followed: the command, if it was one, is complete.
void VirtualIts::end_command() {
  change_ = {};
  if (command_open_) {
    creadr_ += its_command::kBytes;
    if (creadr_ == queue_bytes()) creadr_ = 0;
    command_open_ = false;
  }
  note_backlog();
}

// ---- messages ----

Result<VirtualIts::Target> VirtualIts::resolve(GuestDeviceId device, GuestEventId event) {
  const LockGuard guard(lock_);
  if (!enabled_) return fail(Code::kBadState, 0);
  return target_of(device, event);
}

Result<VirtualIts::Target> VirtualIts::target_of(GuestDeviceId device, GuestEventId event) const {
  const std::optional<ItsTables::Event> mapped = maps_.event(device, event);
  if (!mapped) {
    return fail(Code::kNotFound, maps_.has_device(device) ? event.value() : device.value());
  }
  const GuestIntId lpi(mapped->lpi);
  const std::optional<VcpuIndex> vcpu = gic_->lpi_target(lpi);
  if (!vcpu) return fail(Code::kNotFound, mapped->collection);
  return Target{*vcpu, lpi};
}

void VirtualIts::software_message(GuestDeviceId device, GuestEventId event) {
  const Result<Target> target = resolve(device, event);
  if (target) gic_->pend_lpi(target->vcpu, target->lpi);
}

}  // namespace penstock::vmsi

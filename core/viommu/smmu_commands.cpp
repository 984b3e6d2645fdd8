// VirtualSmmu: the command queue (IHI 0070, chapter 4). Commands are copied once, in small groups,
// and judged from the copy: what the guest does to its ring meanwhile changes nothing (H51, H52).
#include <bit>

#include "core/base/bits.hpp"
#include "core/viommu/virtual_smmu.hpp"

namespace penstock::viommu {

namespace hw = penstock::hw::smmuv3;
using hw::Opcode;

namespace {

constexpr unsigned kSyncWire = 1;

constexpr std::uint64_t kRange = hw::tlbi::NUM::kMask | hw::tlbi::SCALE::kMask;
constexpr std::uint64_t kWord1OfVa = hw::tlbi::Leaf::kMask | hw::tlbi::Address::kMask;
static_assert(std::endian::native == std::endian::little, "commands are copied as words");

/// IDR5 has the granule that TLBI's TG names (1, 2, 3: 4, 16, 64 KiB).
bool has_granule(std::uint64_t tg, const hw::IdRegisters& ids) {
  if (tg == 1) return get<hw::idr5::GRAN4K>(ids.idr5) != 0;
  if (tg == 2) return get<hw::idr5::GRAN16K>(ids.idr5) != 0;
  return tg == 0 || get<hw::idr5::GRAN64K>(ids.idr5) != 0;
}

}  // namespace

/// Copies up to `most` (not 0) commands from index `at` on, not beyond the ring's end. 0: the one
/// at `at` cannot be read.
unsigned VirtualSmmu::fetch(std::uint32_t at, unsigned most) {
  const std::uint32_t slot = at & (entries_ - 1);
  unsigned count = most < kGroup ? most : kGroup;
  if (entries_ - slot < count) count = entries_ - slot;
  const Gpa from = queue_ + std::uint64_t{slot} * hw::kCommandBytes;
  auto* bytes = reinterpret_cast<std::uint8_t*>(group_.data());
  if (around_.memory->read(from, {bytes, count * hw::kCommandBytes})) return count;
  // RAM may end within the group.
  return around_.memory->read(from, {bytes, hw::kCommandBytes}) ? 1 : 0;
}

/// Those that drivers issue all the time come before the table of all.
inline VirtualSmmu::Verdict VirtualSmmu::collect(const hw::Command& command) {
  constexpr std::uint64_t kOpAndSSec = hw::command::Number::kMask | hw::command::SSec::kMask;
  const std::uint64_t op = command[0] & kOpAndSSec;
  if (op == static_cast<std::uint64_t>(Opcode::kTlbiNhVa) && (command[0] & kRange) == 0) {
    batch_.add({op | (command[0] & asid_mask_), command[1] & kWord1OfVa});
    return Verdict::kNext;
  }
  if (op == static_cast<std::uint64_t>(Opcode::kSync) &&
      get<hw::cmd_sync::CS>(command[0]) <= hw::cmd_sync::kSigSev) {
    return Verdict::kAlone;
  }
  return collect_any(command);
}

/// Executes what is in the queue; the units spent, 0 when nothing can be done.
unsigned VirtualSmmu::run_commands(unsigned budget) {
  if (get<hw::cr0::CMDQEN>(cr0_) == 0 || command_error_.load(std::memory_order_acquire)) return 0;
  std::uint32_t done = wrap(cmdq_cons_.load(std::memory_order_relaxed));
  std::uint32_t at = done;
  unsigned spent = 0;
  batch_.count = 0;
  while (spent < budget) {
    // Looked at once: another CPU may move it at any time, also back.
    const std::uint32_t ready = wrap(cmdq_prod_.load(std::memory_order_acquire) - at);
    if (ready == 0) break;
    const unsigned count = fetch(at, ready < budget - spent ? ready : budget - spent);
    if (count == 0) return fail_at(at, hw::cmdq_cons::kErrAbort, spent + 1);
    for (unsigned i = 0; i < count; ++i) {
      const Verdict verdict = collect(group_[i]);
      ++spent;
      if (verdict == Verdict::kNext) {
        at = wrap(at + 1);
        continue;
      }
      if (verdict == Verdict::kIllegal) return fail_at(at, hw::cmdq_cons::kErrIllegal, spent);
      spent += batch_.count == 0 ? 0 : kSyncUnits;
      if (!forward()) return 0;
      at = wrap(at + 1);
      done = at;
      consume(at);
      execute_alone(group_[i]);
      if (stale_ != 0) return spent;
    }
  }
  spent += batch_.count == 0 ? 0 : kSyncUnits;
  if (!forward()) return 0;
  if (at != done) consume(at);
  return spent;
}

/// Everything before index `at` is executed, the command there gets the error. Units as above.
unsigned VirtualSmmu::fail_at(std::uint32_t at, std::uint64_t error, unsigned spent) {
  if (!forward()) return 0;
  consume(at);
  fail_command(error);
  return spent;
}

/// The commands before index `to` are done.
void VirtualSmmu::consume(std::uint32_t to) {
  const std::uint32_t from = cmdq_cons_.load(std::memory_order_relaxed);
  count(counters_.commands, wrap(to - from));
  cmdq_cons_.store(to, std::memory_order_release);
}

/// Sorts a command: into the batch for the board's SMMU, nothing to do, to be executed after
/// everything before it, or illegal. Bits that its form does not use are dropped, because the
/// board's SMMU may be a newer one that knows them.
VirtualSmmu::Verdict VirtualSmmu::collect_any(const hw::Command& command) {
  const std::uint64_t number = get<hw::command::Number>(command[0]);
  if (get<hw::command::SSec>(command[0]) != 0) return Verdict::kIllegal;
  switch (number) {
    case static_cast<std::uint64_t>(Opcode::kTlbiNhVa):
    case static_cast<std::uint64_t>(Opcode::kTlbiNhVaa): return collect_va(command);
    case static_cast<std::uint64_t>(Opcode::kTlbiNhAsid):
      batch_.add({number | (command[0] & asid_mask_), 0});
      return Verdict::kNext;
    case static_cast<std::uint64_t>(Opcode::kTlbiNhAll):
    case static_cast<std::uint64_t>(Opcode::kTlbiNsnhAll):
      // All that this SMMU caches: of the board's, what is under our VMID.
      batch_.add({static_cast<std::uint64_t>(Opcode::kTlbiNhAll), 0});
      return Verdict::kNext;
    case static_cast<std::uint64_t>(Opcode::kCfgiCd):
    case static_cast<std::uint64_t>(Opcode::kCfgiCdAll): return collect_cd(command);
    case static_cast<std::uint64_t>(Opcode::kPrefetchConfig):
    case static_cast<std::uint64_t>(Opcode::kPrefetchAddr): return Verdict::kNext;  // a hint
    case static_cast<std::uint64_t>(Opcode::kCfgiSte):
    case static_cast<std::uint64_t>(Opcode::kCfgiSteRange): return Verdict::kAlone;
    default:
      // EL2, EL3, stage 2, ATS, PRI, stalls: not on this SMMU, as its ID registers say. A CMD_SYNC
      // with a reserved signal.
      return Verdict::kIllegal;
  }
}

VirtualSmmu::Verdict VirtualSmmu::collect_va(const hw::Command& command) {
  const std::uint64_t kept = command[0] & (asid_mask_ | hw::command::Number::kMask);
  const std::uint64_t tg = get<hw::tlbi::TG>(command[1]);
  const std::uint64_t range = command[0] & kRange;
  const bool ranges = get<hw::idr3::RIL>(ids_.idr3) != 0;
  // Without the hint of a level, which may be left out, one page is asked for without a granule:
  // NUM, SCALE and TTL all 0 with one is reserved (4.4.1.1).
  if (tg == 0 || range == 0 || !ranges) {
    batch_.add({kept, command[1] & kWord1OfVa});
    return Verdict::kNext;
  }
  if (!has_granule(tg, ids_)) return Verdict::kIllegal;
  // What an address means that is not aligned to the granule is for each SMMU to choose (4.4.1.1):
  // the board's gets one that is.
  const std::uint64_t within =
      low_mask(static_cast<unsigned>(10 + 2 * tg)) & ~hw::tlbi::Leaf::kMask;
  batch_.add({kept | range, with<hw::tlbi::TG>(command[1] & kWord1OfVa & ~within, tg)});
  return Verdict::kNext;
}

/// For a stream without a device, or one that is cut off, there is nothing to forget.
VirtualSmmu::Verdict VirtualSmmu::collect_cd(hw::Command command) {
  const GuestStreamId guest(static_cast<std::uint32_t>(get<hw::cfgi_cd::StreamId>(command[0])));
  const Stream* stream = find(guest);
  if (stream == nullptr || stream->cut_off) return Verdict::kNext;
  const bool all = get<hw::command::Op>(command[0]) == Opcode::kCfgiCdAll;
  const bool substreams = get<hw::idr1::SSIDSIZE>(ids_.idr1) != 0;
  std::uint64_t kept = hw::cfgi_cd::Op::kMask;
  if (!all && substreams) kept |= hw::cfgi_cd::SubstreamId::kMask;
  const std::uint64_t word0 =
      with<hw::cfgi_cd::StreamId>(command[0] & kept, stream->physical.value());
  batch_.add({word0, all ? 0 : command[1] & hw::cfgi::Leaf::kMask});
  return Verdict::kNext;
}

/// Everything before it has completed.
void VirtualSmmu::execute_alone(const hw::Command& command) {
  const auto op = get<hw::command::Op>(command[0]);
  if (op == Opcode::kSync) return complete_sync(command);
  if (get<hw::cr0::SMMUEN>(cr0_) == 0) return;  // entries are read when it is switched on
  const auto id = static_cast<std::uint32_t>(get<hw::cfgi::StreamId>(command[0]));
  if (op == Opcode::kCfgiSte) return make_stale(id, 0);
  make_stale(id, static_cast<unsigned>(get<hw::cfgi::Range>(command[1])) + 1);
}

void VirtualSmmu::complete_sync(const hw::Command& command) {
  const std::uint64_t how = get<hw::cmd_sync::CS>(command[0]);
  if (how == hw::cmd_sync::kSigSev) return around_.irqs->send_event();
  if (how != hw::cmd_sync::kSigIrq) return;
  const auto data = static_cast<std::uint32_t>(get<hw::cmd_sync::MSIData>(command[0]));
  if (signal(command[1] & hw::cmd_sync::MSIAddress::kMask, data, kSyncWire)) return;
  const LockGuard guard(registers_);
  raise_error(hw::gerror::MSI_CMDQ_ABT_ERR::kMask);
}

/// Has the batch executed. False: nothing was executed and the queue stands where it did, because
/// the host is busy, has refused, or has told of a stream that is cut off: the commands are then
/// sorted anew, without that stream's.
bool VirtualSmmu::forward() {
  if (batch_.count == 0) return true;
  const Status executed = host_.forward(std::span(batch_.commands).first(batch_.count));
  batch_.count = 0;
  if (executed) return true;
  const Error why = executed.error();
  if (why.code != Code::kBusy && !note_cut_off(why)) fail_command(hw::cmdq_cons::kErrAbort);
  return false;
}

/// The queue stops at CMDQ_CONS until the guest has acknowledged the error (7.1).
void VirtualSmmu::fail_command(std::uint64_t error) {
  const std::uint64_t at = cmdq_cons_.load(std::memory_order_relaxed) & hw::cmdq_cons::RD::kMask;
  cmdq_cons_.store(static_cast<std::uint32_t>(with<hw::cmdq_cons::ERR>(at, error)),
                   std::memory_order_release);
  count(counters_.rejected, 1);
  command_error_.store(true, std::memory_order_release);
  const LockGuard guard(registers_);
  raise_error(hw::gerror::CMDQ_ERR::kMask);
}

}  // namespace penstock::viommu

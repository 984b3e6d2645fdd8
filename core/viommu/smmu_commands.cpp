// VirtualSmmu: the command queue (IHI 0070, chapter 4). Commands are copied once, in small groups,
// and judged from the copy: what the guest does to its ring meanwhile changes nothing (H51, H52).
#include "core/base/bits.hpp"
#include "core/base/bytes.hpp"
#include "core/viommu/virtual_smmu.hpp"

namespace penstock::viommu {

namespace hw = penstock::hw::smmuv3;
using hw::Opcode;

namespace {

constexpr unsigned kGroup = 8;  // commands copied at a time
constexpr unsigned kSyncWire = 1;

/// What of a TLBI command counts: bits that its form does not use are dropped, because the board's
/// SMMU may be a newer one that knows them.
constexpr std::uint64_t kWord0OfAll = hw::command::Op::kMask;
constexpr std::uint64_t kWord0OfAsid = kWord0OfAll | hw::tlbi::ASID::kMask;
constexpr std::uint64_t kRange = hw::tlbi::NUM::kMask | hw::tlbi::SCALE::kMask;
constexpr std::uint64_t kWord1OfVa = hw::tlbi::Leaf::kMask | hw::tlbi::Address::kMask;

/// IDR5 has the granule that TLBI's TG names (1, 2, 3: 4, 16, 64 KiB).
bool has_granule(std::uint64_t tg, const hw::IdRegisters& ids) {
  if (tg == 1) return get<hw::idr5::GRAN4K>(ids.idr5) != 0;
  if (tg == 2) return get<hw::idr5::GRAN16K>(ids.idr5) != 0;
  return tg == 0 || get<hw::idr5::GRAN64K>(ids.idr5) != 0;
}

}  // namespace

/// Indices count modulo twice the queue's size: the bit above the index is the wrap bit.
std::uint32_t VirtualSmmu::wrap(std::uint32_t index) const {
  return static_cast<std::uint32_t>(index & low_mask(queue_log2_ + 1));
}

/// Up to `most` (not 0) commands from index `at` on, not beyond the ring's end. Empty: the one at
/// `at` cannot be read.
std::span<const std::uint8_t> VirtualSmmu::fetch(std::uint32_t at, unsigned most,
                                                 std::span<std::uint8_t> room) {
  const std::uint64_t entries = std::uint64_t{1} << queue_log2_;
  const std::uint64_t slot = at & (entries - 1);
  std::uint64_t count = room.size() / hw::kCommandBytes;
  for (const std::uint64_t limit : {std::uint64_t{most}, entries - slot}) {
    count = limit < count ? limit : count;
  }
  const Gpa from = queue_ + slot * hw::kCommandBytes;
  const std::span<std::uint8_t> part = room.first(count * hw::kCommandBytes);
  if (around_.memory->read(from, part)) return part;
  // RAM may end within the group.
  const std::span<std::uint8_t> one = room.first(hw::kCommandBytes);
  if (!around_.memory->read(from, one)) return {};
  return one;
}

/// Executes what is in the queue; the units spent, 0 when nothing can be done.
unsigned VirtualSmmu::run_commands(unsigned budget) {
  if (get<hw::cr0::CMDQEN>(cr0_) == 0 || command_error_.load(std::memory_order_acquire)) return 0;
  std::uint32_t at = wrap(cmdq_cons_.load(std::memory_order_relaxed));
  unsigned spent = 0;
  Batch batch;
  while (spent < budget) {
    // Looked at once: another CPU may move it at any time, also back.
    const std::uint32_t ready = wrap(cmdq_prod_.load(std::memory_order_acquire) - at);
    if (ready == 0) break;
    std::array<std::uint8_t, kGroup * hw::kCommandBytes> room{};
    const auto group = fetch(at, ready < budget - spent ? ready : budget - spent, room);
    if (group.empty()) {
      if (!flush(batch, at)) return 0;
      fail_command(hw::cmdq_cons::kErrAbort);
      return spent + 1;
    }
    for (std::size_t offset = 0; offset < group.size(); offset += hw::kCommandBytes) {
      const hw::Command command = {load_le(group, offset, 8), load_le(group, offset + 8, 8)};
      const Verdict verdict = collect(command, batch);
      ++spent;
      if (verdict == Verdict::kNext) {
        at = wrap(at + 1);
        continue;
      }
      const unsigned waited = batch.empty() ? 0 : kSyncUnits;
      if (!flush(batch, at)) return 0;
      spent += waited;
      if (verdict == Verdict::kIllegal) {
        fail_command(hw::cmdq_cons::kErrIllegal);
        return spent;
      }
      at = wrap(at + 1);
      consume(at);
      execute_alone(command);
      if (stale_ != 0) return spent;
    }
  }
  const unsigned waited = batch.empty() ? 0 : kSyncUnits;
  return flush(batch, at) ? spent + waited : 0;
}

/// The commands before index `to` are done.
void VirtualSmmu::consume(std::uint32_t to) {
  const std::uint32_t from = cmdq_cons_.load(std::memory_order_relaxed);
  counters_.commands.fetch_add(wrap(to - from), std::memory_order_relaxed);
  cmdq_cons_.store(to, std::memory_order_release);
}

/// Sorts a command: into the batch for the board's SMMU, nothing to do, to be executed after
/// everything before it, or illegal.
VirtualSmmu::Verdict VirtualSmmu::collect(const hw::Command& command, Batch& batch) {
  if (get<hw::command::SSec>(command[0]) != 0) return Verdict::kIllegal;
  switch (get<hw::command::Number>(command[0])) {
    case static_cast<std::uint64_t>(Opcode::kTlbiNhAll):
    case static_cast<std::uint64_t>(Opcode::kTlbiNhAsid):
    case static_cast<std::uint64_t>(Opcode::kTlbiNhVa):
    case static_cast<std::uint64_t>(Opcode::kTlbiNhVaa): return collect_tlbi(command, batch);
    case static_cast<std::uint64_t>(Opcode::kTlbiNsnhAll):
      // All that this SMMU caches: of the board's, what is under our VMID.
      (void)batch.push_back({static_cast<std::uint64_t>(Opcode::kTlbiNhAll), 0});
      return Verdict::kNext;
    case static_cast<std::uint64_t>(Opcode::kCfgiCd):
    case static_cast<std::uint64_t>(Opcode::kCfgiCdAll): return collect_cd(command, batch);
    case static_cast<std::uint64_t>(Opcode::kPrefetchConfig):
    case static_cast<std::uint64_t>(Opcode::kPrefetchAddr): return Verdict::kNext;  // a hint
    case static_cast<std::uint64_t>(Opcode::kCfgiSte):
    case static_cast<std::uint64_t>(Opcode::kCfgiSteRange): return Verdict::kAlone;
    case static_cast<std::uint64_t>(Opcode::kSync):
      return get<hw::cmd_sync::CS>(command[0]) > hw::cmd_sync::kSigSev ? Verdict::kIllegal
                                                                       : Verdict::kAlone;
    default:
      // EL2, EL3, stage 2, ATS, PRI, stalls: not on this SMMU, as its ID registers say.
      return Verdict::kIllegal;
  }
}

VirtualSmmu::Verdict VirtualSmmu::collect_tlbi(hw::Command command, Batch& batch) const {
  const auto op = get<hw::command::Op>(command[0]);
  const bool asids16 = get<hw::idr0::ASID16>(ids_.idr0) != 0;
  if (!asids16)
    command[0] = with<hw::tlbi::ASID>(command[0], get<hw::tlbi::ASID>(command[0]) & 0xff);
  if (op == Opcode::kTlbiNhAll) {
    command = {command[0] & kWord0OfAll, 0};
  } else if (op == Opcode::kTlbiNhAsid) {
    command = {command[0] & kWord0OfAsid, 0};
  } else {
    const bool ranges = get<hw::idr3::RIL>(ids_.idr3) != 0;
    const std::uint64_t tg = ranges ? get<hw::tlbi::TG>(command[1]) : 0;
    if (!has_granule(tg, ids_)) return Verdict::kIllegal;
    // Without the hint of a level, which may be left out, one page is asked for without a granule:
    // NUM, SCALE and TTL all 0 with one is reserved (4.4.1.1).
    const bool range = tg != 0 && (command[0] & kRange) != 0;
    command[0] &= kWord0OfAsid | (range ? kRange : 0);
    command[1] = with<hw::tlbi::TG>(command[1] & kWord1OfVa, range ? tg : 0);
  }
  (void)batch.push_back(command);
  return Verdict::kNext;
}

/// For a stream without a device there is nothing to forget.
VirtualSmmu::Verdict VirtualSmmu::collect_cd(hw::Command command, Batch& batch) {
  const GuestStreamId guest(static_cast<std::uint32_t>(get<hw::cfgi_cd::StreamId>(command[0])));
  const Stream* stream = find(guest);
  if (stream == nullptr) return Verdict::kNext;
  const bool all = get<hw::command::Op>(command[0]) == Opcode::kCfgiCdAll;
  const bool substreams = get<hw::idr1::SSIDSIZE>(ids_.idr1) != 0;
  std::uint64_t kept = hw::cfgi_cd::Op::kMask;
  if (!all && substreams) kept |= hw::cfgi_cd::SubstreamId::kMask;
  const std::uint64_t word0 =
      with<hw::cfgi_cd::StreamId>(command[0] & kept, stream->physical.value());
  (void)batch.push_back({word0, all ? 0 : command[1] & hw::cfgi::Leaf::kMask});
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

/// Has the batch executed and moves CMDQ_CONS to `done`. False: nothing was executed and the queue
/// stands where it did, because the host is busy or has refused.
bool VirtualSmmu::flush(Batch& batch, std::uint32_t done) {
  if (!batch.empty()) {
    const Status executed = host_.forward({batch.begin(), batch.size()});
    if (!executed) {
      if (executed.error().code != Code::kBusy) fail_command(hw::cmdq_cons::kErrAbort);
      return false;
    }
    batch.clear();
  }
  consume(done);
  return true;
}

/// The queue stops at CMDQ_CONS until the guest has acknowledged the error (7.1).
void VirtualSmmu::fail_command(std::uint64_t error) {
  const std::uint64_t at = cmdq_cons_.load(std::memory_order_relaxed) & hw::cmdq_cons::RD::kMask;
  cmdq_cons_.store(static_cast<std::uint32_t>(with<hw::cmdq_cons::ERR>(at, error)),
                   std::memory_order_release);
  counters_.rejected.fetch_add(1, std::memory_order_relaxed);
  command_error_.store(true, std::memory_order_release);
  const LockGuard guard(registers_);
  raise_error(hw::gerror::CMDQ_ERR::kMask);
}

}  // namespace penstock::viommu

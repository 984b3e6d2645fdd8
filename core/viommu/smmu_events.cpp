// VirtualSmmu: what the guest is told of its devices' faults (IHI 0070, 7.2 to 7.4).
#include "core/base/bits.hpp"
#include "core/base/bytes.hpp"
#include "core/hw/smmuv3/events.hpp"
#include "core/viommu/virtual_smmu.hpp"

namespace penstock::viommu {

namespace hw = penstock::hw::smmuv3;
using hw::EventType;

namespace {

constexpr unsigned kEventWire = 0;

/// Faults of stage 1 with an address, and of its configuration without.
bool has_address(EventType type) {
  return type == EventType::kTranslation || type == EventType::kAddressSize ||
         type == EventType::kAccess || type == EventType::kPermission;
}
bool is_configuration(EventType type) {
  return type == EventType::kStreamDisabled || type == EventType::kBadSubstreamId ||
         type == EventType::kBadCd;
}

}  // namespace

void VirtualSmmu::note_reason(GuestStreamId stream, const JudgedEntry& entry) {
  for (Reason& reason : reasons_) {
    if (reason.guest == stream) reason = {stream, entry.event, entry.fetch};
  }
}

/// Whether stage 1 is to blame; `reason` is set where it is the stream-table entry.
bool VirtualSmmu::is_guests(const StreamFault& fault, Reason& reason) {
  if (fault.stage2 || fault.stalled) return false;
  const auto type = static_cast<EventType>(fault.type);
  if (has_address(type) || is_configuration(type)) return true;
  if (type != EventType::kBadSte) return false;
  for (const Reason& known : reasons_) {
    if (known.guest == fault.stream && known.event != 0) {
      reason = known;
      return true;
    }
  }
  return false;
}

bool VirtualSmmu::fault(const StreamFault& fault) {
  const LockGuard guard(registers_);
  Reason reason;
  if (!is_guests(fault, reason)) return false;
  const std::uint8_t type = reason.event != 0 ? reason.event : fault.type;
  const bool unknown_stream = type == static_cast<std::uint8_t>(EventType::kBadStreamId);
  if (unknown_stream && get<hw::cr2::RECINVSID>(value(Reg::kCr2)) == 0) return true;
  std::array<std::uint64_t, 4> event{};
  event[0] = with<hw::event0::StreamId>(type, fault.stream.value());
  if (fault.substream && get<hw::idr1::SSIDSIZE>(ids_.idr1) != 0) {
    event[0] = with<hw::event0::SSV>(event[0], 1);
    event[0] = with<hw::event0::SubstreamId>(event[0], *fault.substream);
  }
  if (has_address(static_cast<EventType>(type))) {
    event[1] = with<hw::event1::RnW>(0, fault.write ? 0 : 1);
    event[1] = with<hw::event1::PnU>(event[1], fault.privileged ? 1 : 0);
    event[1] = with<hw::event1::InD>(event[1], fault.instruction ? 1 : 0);
    event[1] = with<hw::event1::Class>(event[1], fault.cls);
    event[2] = fault.address.value();
  } else if (type == static_cast<std::uint8_t>(EventType::kSteFetch)) {
    event[3] = reason.fetch.value();
  }
  record(event);
  return true;
}

void VirtualSmmu::record(const std::array<std::uint64_t, 4>& event) {
  if (get<hw::cr0::EVENTQEN>(value(Reg::kCr0Ack)) == 0) return;
  const std::uint64_t base = value(Reg::kEventqBase);
  const std::uint64_t most = get<hw::idr1::EVENTQS>(ids_.idr1);
  const std::uint64_t asked = get<hw::queue_base::LOG2SIZE>(base);
  const auto log2 = static_cast<unsigned>(asked < most ? asked : most);
  const std::uint64_t turn = low_mask(log2 + 1);  // index and wrap bit
  std::uint64_t& prod = value(Reg::kEventqProd);
  const std::uint64_t cons = value(Reg::kEventqCons);
  if (((prod ^ cons) & turn) == std::uint64_t{1} << log2) {  // full
    counters_.lost_events.fetch_add(1, std::memory_order_relaxed);
    constexpr std::uint64_t kFlag = hw::eventq_index::Overflow::kMask;
    if (((prod ^ cons) & kFlag) == 0) prod ^= kFlag;
    return;
  }
  const bool was_empty = ((prod ^ cons) & turn) == 0;
  std::array<std::uint8_t, hw::kEventBytes> bytes{};
  for (std::size_t i = 0; i < event.size(); ++i) store_le(bytes, i * 8, 8, event[i]);
  const std::uint64_t size = std::uint64_t{hw::kEventBytes} << log2;
  const Gpa queue = Gpa(base & hw::queue_base::ADDR::kMask).align_down(size);
  if (!around_.memory->write(queue + (prod & low_mask(log2)) * hw::kEventBytes, bytes)) {
    return raise_error(hw::gerror::EVENTQ_ABT_ERR::kMask);
  }
  // The guest reads the index first, then what it announces.
  std::atomic_thread_fence(std::memory_order_release);
  prod = (prod & ~turn) | ((prod + 1) & turn);
  counters_.events.fetch_add(1, std::memory_order_relaxed);
  if (!was_empty || get<hw::irq_ctrl::EVENTQ_IRQEN>(value(Reg::kIrqCtrl)) == 0) return;
  const bool sent = signal(value(Reg::kEventqIrqCfg0),
                           static_cast<std::uint32_t>(value(Reg::kEventqIrqCfg1)), kEventWire);
  if (!sent) raise_error(hw::gerror::MSI_EVENTQ_ABT_ERR::kMask);
}

}  // namespace penstock::viommu

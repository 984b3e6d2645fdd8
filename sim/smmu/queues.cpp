// The simulated SMMU's command queue (IHI 0070, 3.5 and chapter 4) and event queue (7.2).
#include "core/base/bytes.hpp"
#include "sim/smmu/smmu.hpp"

namespace penstock::sim {

namespace {

constexpr unsigned kErrorIllegal = 1;
constexpr unsigned kErrorAbort = 2;

std::uint32_t queue_mask(std::uint64_t base) {  // index and wrap bit
  return static_cast<std::uint32_t>((std::uint64_t{2} << (base & 0x1f)) - 1);
}

}  // namespace

std::uint64_t Smmu::queue_slot(std::uint64_t base, std::uint32_t index,
                               std::uint64_t entry_bytes) const {
  const std::uint64_t entries = std::uint64_t{1} << (base & 0x1f);
  // Address bits below the queue's size are treated as zero.
  const std::uint64_t start = base & 0x00ff'ffff'ffff'ffe0u & ~(entries * entry_bytes - 1);
  return start + (index & (entries - 1)) * entry_bytes;
}

void Smmu::run_commands() {
  const std::uint32_t mask = queue_mask(cmdq_base_);
  if ((cmdq_base_ & 0x1f) > ((config_.idr1 >> 21) & 0x1f))
    misuse("CMDQ_BASE: larger than IDR1.CMDQS");
  while ((cr0_ & 8) != 0 && !commands_stopped_ && ((gerror_ ^ gerrorn_) & 1) == 0 &&
         (cmdq_cons_ & mask) != (cmdq_prod_ & mask)) {
    std::array<std::uint8_t, 16> bytes{};
    const std::uint64_t slot = queue_slot(cmdq_base_, cmdq_cons_, 16);
    if (slot != (cmdq_base_ & 0x00ff'ffff'ffff'ffe0u) + (cmdq_cons_ & (mask >> 1)) * 16) {
      misuse("CMDQ_BASE is not aligned to the queue's size");
    }
    if (aborted_fetches_ != 0 || !memory_.device_read(slot, bytes)) {
      if (aborted_fetches_ != 0) --aborted_fetches_;
      fail_command(kErrorAbort);
      return;
    }
    const Command command = {load_le(bytes, 0, 8), load_le(bytes, 8, 8)};
    if (!execute(command)) {
      fail_command(kErrorIllegal);
      return;
    }
    command_log_.push_back(command);
    cmdq_cons_ = (cmdq_cons_ & ~mask) | ((cmdq_cons_ + 1) & mask);
  }
}

void Smmu::fail_command(unsigned error) {
  cmdq_cons_ = (cmdq_cons_ & 0x80ff'ffff) | error << 24;
  raise_gerror(1);
}

void Smmu::apply_pending() {
  for (const auto& effect : pending_) effect();
  pending_.clear();
}

bool Smmu::execute(const Command& command) {
  const auto opcode = static_cast<std::uint8_t>(command[0]);
  if (rejected_opcode_ == opcode) {
    rejected_opcode_.reset();
    return false;
  }
  if (((command[0] >> 10) & 1) != 0) return false;  // SSec on the Non-secure queue
  const auto stream = static_cast<std::uint32_t>(command[0] >> 32);
  const std::uint64_t split = (strtab_base_cfg_ >> 6) & 0x1f;
  switch (opcode) {
    case 0x01:  // PREFETCH_CONFIG
    case 0x02:  // PREFETCH_ADDR
      return true;
    case 0x03:  // CFGI_STE
      pending_.push_back([this, stream, split, leaf = (command[1] & 1) != 0] {
        ste_cache_.erase(stream);
        context_cache_.erase(stream);
        if (!leaf) l1_cache_.erase(stream >> split);
      });
      return true;
    case 0x04:  // CFGI_STE_RANGE, CFGI_ALL
      pending_.push_back([this, stream, range = command[1] & 0x1f] {
        const auto within = [&](std::uint64_t id) {
          return range == 31 || id >> (range + 1) == stream >> (range + 1);
        };
        std::erase_if(ste_cache_, [&](const auto& item) { return within(item.first); });
        std::erase_if(context_cache_, [&](const auto& item) { return within(item.first); });
        l1_cache_.clear();
      });
      return true;
    case 0x05:  // CFGI_CD
    case 0x06:  // CFGI_CD_ALL
      pending_.push_back([this, stream] { context_cache_.erase(stream); });
      return true;
    case 0x46:  // CMD_SYNC
      if (before_sync_) before_sync_();
      apply_pending();
      return true;
    default: return execute_tlbi(command, opcode);
  }
}

bool Smmu::execute_tlbi(const Command& command, std::uint8_t opcode) {
  const auto vmid = static_cast<std::uint16_t>(command[0] >> 32);
  const auto asid = static_cast<std::uint32_t>(command[0] >> 48);
  const std::uint64_t page = command[1] & ~std::uint64_t{0xfff};
  const bool vmid16 = ((config_.idr0 >> 18) & 1) != 0;
  if (!vmid16 && vmid > 0xff) misuse("TLBI: VMID has 8 bits");
  // VMID, ASID and input page of what a command means; stage-2-only translations have no ASID.
  using Match = std::function<bool(std::uint16_t, std::uint32_t, std::uint64_t)>;
  Match match;
  bool stage2_too = false;
  switch (opcode) {
    case 0x10:  // TLBI_NH_ALL
      match = [=](auto v, auto a, auto) { return v == vmid && a != kNoAsid; };
      break;
    case 0x11:  // TLBI_NH_ASID
      match = [=](auto v, auto a, auto) { return v == vmid && a == asid; };
      break;
    case 0x12:  // TLBI_NH_VA
      match = [=](auto v, auto a, auto p) { return v == vmid && a == asid && p == page; };
      break;
    case 0x13:  // TLBI_NH_VAA
      match = [=](auto v, auto a, auto p) { return v == vmid && a != kNoAsid && p == page; };
      break;
    case 0x20:  // TLBI_EL2_ALL
      if (((config_.idr0 >> 9) & 1) == 0) return false;
      return true;
    case 0x28:  // TLBI_S12_VMALL
      match = [=](auto v, auto, auto) { return v == vmid; };
      stage2_too = true;
      break;
    case 0x2a:  // TLBI_S2_IPA
      invalidate_ipa(command);
      return true;
    case 0x30:  // TLBI_NSNH_ALL
      pending_.push_back([this] {
        tlb_.clear();
        pointers_.clear();
      });
      return true;
    default: return false;
  }
  pending_.push_back([this, match, vmid, stage2_too] {
    std::erase_if(tlb_, [&](const auto& item) { return std::apply(match, item.first); });
    if (!stage2_too) return;
    std::erase_if(pointers_, [&](const auto& item) { return std::get<0>(item.first) == vmid; });
  });
  return true;
}

/// TLBI_S2_IPA reaches translations of stage 2 alone; what stage 1 and 2 gave together stays
/// (4.4.3).
void Smmu::invalidate_ipa(const Command& command) {
  const auto vmid = static_cast<std::uint16_t>(command[0] >> 32);
  const std::uint64_t num = (command[0] >> 12) & 0x1f;
  const std::uint64_t scale = (command[0] >> 20) & 0x1f;
  const std::uint64_t granule = (command[1] >> 10) & 3;
  const std::uint64_t ttl = (command[1] >> 8) & 3;
  const bool ranges = ((config_.idr3 >> 10) & 1) != 0;
  const bool leaf = (command[1] & 1) != 0;
  if (!ranges && (num | scale | granule | ttl) != 0) misuse("TLBI: range without IDR3.RIL");
  if (granule == 0 && (num | scale | ttl) != 0) misuse("TLBI: range fields without TG");
  if (granule != 0 && (num | scale | ttl) == 0) misuse("TLBI: NUM, SCALE, TTL all zero with TG");
  const std::uint64_t start = command[1] & 0x00ff'ffff'ffff'f000u;
  const std::uint64_t size = (ranges && granule == 1 ? (num + 1) << scale : 1) * 4096;
  pending_.push_back([=, this] {
    std::erase_if(tlb_, [&](const auto& item) {
      const auto& [v, a, p] = item.first;
      return v == vmid && a == kNoAsid && p >= start && p - start < size;
    });
    if (leaf) return;
    std::erase_if(pointers_, [&](const auto& item) {
      const auto& [v, level, prefix] = item.first;
      // A pointer to a table of this level was used for one entry of the level above.
      const std::uint64_t covers = std::uint64_t{1} << (12 + 9 * (4 - level));
      return v == vmid && prefix < start + size && start < prefix + covers;
    });
  });
}

void Smmu::record(const Event& event) {
  if ((cr0_ & 4) == 0) return;
  const std::uint32_t mask = queue_mask(eventq_base_);
  const bool overflow_pending = ((eventq_prod_ ^ eventq_cons_) >> 31) != 0;
  const bool full = ((eventq_prod_ ^ eventq_cons_) & mask) == (mask >> 1) + 1;
  if (full) {  // and only then: an overflow that is not acknowledged yet does not stop recording
               // (7.4)
    ++events_lost_;
    if (!overflow_pending) eventq_prod_ ^= 0x8000'0000;
    return;
  }
  const bool was_empty = ((eventq_prod_ ^ eventq_cons_) & mask) == 0;
  std::array<std::uint8_t, 32> bytes{};
  for (unsigned i = 0; i < 4; ++i) store_le(bytes, i * 8, 8, event[i]);
  const std::uint64_t slot = queue_slot(eventq_base_, eventq_prod_, 32);
  if (slot != (eventq_base_ & 0x00ff'ffff'ffff'ffe0u) + (eventq_prod_ & (mask >> 1)) * 32) {
    misuse("EVENTQ_BASE is not aligned to the queue's size");
  }
  if (!memory_.device_write(slot, bytes)) {
    raise_gerror(1u << 2);  // EVENTQ_ABT_ERR
    return;
  }
  eventq_prod_ = (eventq_prod_ & ~mask) | ((eventq_prod_ + 1) & mask);
  ++events_recorded_;
  if (was_empty && (irq_ctrl_ & 4) != 0) ++event_interrupts_;
}

}  // namespace penstock::sim

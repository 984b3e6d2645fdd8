// The simulated SMMU's command queue (IHI 0070, 3.5 and chapter 4): commands that change what is
// cached of configurations, and CMD_SYNC.
#include "core/base/bytes.hpp"
#include "sim/smmu/layout.hpp"
#include "sim/smmu/smmu.hpp"

namespace penstock::sim {

using namespace layout;

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
    const unsigned error = execute(command);
    if (error != kNoError) {
      fail_command(error);
      return;
    }
    command_log_.push_back(command);
    cmdq_cons_ = (cmdq_cons_ & ~mask) | ((cmdq_cons_ + 1) & mask);
  }
}

void Smmu::fail_command(unsigned error) {
  cmdq_cons_ = (cmdq_cons_ & 0x80ff'ffff) | error << 24;
  raise_gerror(kCommandError);
}

void Smmu::apply_pending() {
  for (const auto& effect : pending_) effect();
  pending_.clear();
}

unsigned Smmu::execute(const Command& command) {
  const auto opcode = static_cast<std::uint8_t>(command[0]);
  if (rejected_opcode_ == opcode) {
    rejected_opcode_.reset();
    return kErrorIllegal;
  }
  if (bits(command[0], 10, 10) != 0) return kErrorIllegal;  // SSec on the Non-secure queue
  switch (opcode) {
    case 0x01:  // PREFETCH_CONFIG
    case 0x02:  // PREFETCH_ADDR
      return kNoError;
    case 0x03:  // CFGI_STE
    case 0x04:  // CFGI_STE_RANGE, CFGI_ALL
    case 0x05:  // CFGI_CD
    case 0x06:  // CFGI_CD_ALL
      return execute_configuration(command, opcode);
    case 0x40: return invalidate_atc(command);
    case 0x44: return resume(command);
    case 0x45: return terminate_stalls(command);
    case 0x46: return sync(command);
    default: return execute_tlbi(command, opcode);
  }
}

/// None of these touches a translation (4.3).
unsigned Smmu::execute_configuration(const Command& command, std::uint8_t opcode) {
  const auto stream = static_cast<std::uint32_t>(command[0] >> 32);
  const bool leaf = (command[1] & 1) != 0;
  // What `within` says yes to, of everything that is kept per stream.
  const auto forget_contexts = [this](const auto& within) {
    std::erase_if(context_cache_, [&](const auto& item) { return within(item.first.first); });
    std::erase_if(l1_context_cache_, [&](const auto& item) { return within(item.first.first); });
  };
  switch (opcode) {
    case 0x03:  // CFGI_STE
      pending_.push_back([=, this, split = bits(strtab_base_cfg_, 10, 6)] {
        ste_cache_.erase(stream);
        forget_contexts([&](std::uint32_t id) { return id == stream; });
        if (!leaf) l1_cache_.erase(stream >> split);
      });
      break;
    case 0x04:  // CFGI_STE_RANGE, CFGI_ALL
      pending_.push_back([=, this, range = command[1] & 0x1f] {
        const auto within = [&](std::uint64_t id) {
          return range == 31 || id >> (range + 1) == stream >> (range + 1);
        };
        std::erase_if(ste_cache_, [&](const auto& item) { return within(item.first); });
        forget_contexts(within);
        l1_cache_.clear();
      });
      break;
    case 0x05:  // CFGI_CD
      pending_.push_back([=, this, substream = bits(command[0], 31, 12)] {
        context_cache_.erase({stream, substream_bits() != 0 ? substream : 0});
        // The format of the table is the STE's, which the command does not name: all of the level.
        if (leaf) return;
        std::erase_if(l1_context_cache_,
                      [&](const auto& item) { return item.first.first == stream; });
      });
      break;
    default:  // CFGI_CD_ALL
      pending_.push_back([=] { forget_contexts([&](std::uint32_t id) { return id == stream; }); });
      break;
  }
  return kNoError;
}

unsigned Smmu::sync(const Command& command) {
  const std::uint64_t signal = bits(command[0], 13, 12);
  if (signal == 3) return kErrorIllegal;
  if (before_sync_) before_sync_();
  if (atc_timed_out_) {  // reported once; the same CMD_SYNC then runs again (7.1)
    atc_timed_out_ = false;
    return kErrorAtcTimeout;
  }
  apply_pending();
  const std::uint64_t address = command[1] & 0x000f'ffff'ffff'fffcu;
  if (signal == 1 && has(13) && address != 0) {
    if (send_message(address, static_cast<std::uint32_t>(command[0] >> 32))) {
      ++sync_messages_;
    } else {
      raise_gerror(kSyncMessageAborted);
    }
  } else if (signal == 1) {
    ++sync_interrupts_;
  } else if (signal == 2 && has(14)) {
    ++sync_wakeups_;
  }
  return kNoError;
}

bool Smmu::send_message(std::uint64_t address, std::uint32_t data) {
  std::array<std::uint8_t, 4> bytes{};
  store_le(bytes, 0, 4, data);
  return downstream_.write(config_.device_id, address, bytes);
}

}  // namespace penstock::sim

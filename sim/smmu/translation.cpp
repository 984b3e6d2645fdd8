// The simulated SMMU's way from a stream's configuration and an input address to memory (IHI 0070,
// 3.3, 3.4).
#include "core/base/bytes.hpp"
#include "sim/smmu/layout.hpp"
#include "sim/smmu/smmu.hpp"

namespace penstock::sim {

using namespace layout;

namespace {

std::uint8_t event_of(Stage2Fault fault) {
  switch (fault) {
    case Stage2Fault::kAddressSize: return kAddressSize;
    case Stage2Fault::kAccess: return kAccess;
    case Stage2Fault::kExternalAbort: return kWalkAbort;
    case Stage2Fault::kTranslation:
    case Stage2Fault::kNone: break;
  }
  return kTranslation;
}

}  // namespace

bool Smmu::read(std::uint32_t requester, std::uint64_t address, std::span<std::uint8_t> to) {
  for (std::size_t done = 0; done < to.size();) {
    const std::uint64_t at = address + done;
    const std::size_t part = std::min<std::size_t>(kPage - at % kPage, to.size() - done);
    const Outcome outcome = translate(requester, at, false);
    if (!outcome.ok || !downstream_.read(requester, outcome.pa, to.subspan(done, part)))
      return false;
    done += part;
  }
  return true;
}

bool Smmu::write(std::uint32_t requester, std::uint64_t address,
                 std::span<const std::uint8_t> from) {
  for (std::size_t done = 0; done < from.size();) {
    const std::uint64_t at = address + done;
    const std::size_t part = std::min<std::size_t>(kPage - at % kPage, from.size() - done);
    const Outcome outcome = translate(requester, at, true);
    if (!outcome.ok || !downstream_.write(requester, outcome.pa, from.subspan(done, part))) {
      return false;
    }
    done += part;
  }
  return true;
}

/// Also a nested walk leaves what it learnt of stage 2 behind, as translations of stage 2 alone.
Smmu::Expected<Stage2Outcome> Smmu::stage2(const Config& config, std::uint64_t ipa, unsigned cls) {
  const TlbKey leaf{config.vmid, kNoAsid, ipa & ~(kPage - 1)};
  const auto hit = tlb_.find(leaf);
  if (hit != tlb_.end()) {
    const Entry& entry = hit->second;
    Stage2Outcome out;
    out.level = entry.s2_level;
    out.pa = entry.pa | (ipa & (kPage - 1));
    out.readable = entry.s2_read;
    out.writable = entry.s2_write;
    out.device_memory = entry.device_memory;
    return {out, {}};
  }
  const auto read_descriptor = [this](std::uint64_t pa, std::uint64_t& descriptor) {
    std::array<std::uint8_t, 8> bytes{};
    if (!memory_.device_read(pa, bytes)) return false;
    descriptor = load_le(bytes, 0, 8);
    return true;
  };
  const auto key = [&](unsigned level, std::uint64_t address) {
    const std::uint64_t covers = std::uint64_t{1} << leaf_shift(level - 1);
    return PointerKey{config.vmid, level, address & ~(covers - 1)};
  };
  const auto cached = [&](unsigned level, std::uint64_t address, std::uint64_t& table) {
    const auto item = pointers_.find(key(level, address));
    if (item == pointers_.end()) return false;
    table = item->second;
    return true;
  };
  const auto found = [&](unsigned level, std::uint64_t address, std::uint64_t table) {
    pointers_[key(level, address)] = table;
    return table;
  };
  const Stage2Outcome out = walk_stage2(config.regime, ipa, read_descriptor, cached, found);
  if (out.fault == Stage2Fault::kNone) {
    Entry entry;
    entry.ipa = ipa & ~(kPage - 1);
    entry.pa = out.pa & ~(kPage - 1);
    entry.s2_read = out.readable;
    entry.s2_write = out.writable;
    entry.device_memory = out.device_memory;
    entry.s2_level = out.level;
    tlb_[leaf] = entry;
    return {out, {}};
  }
  return {{}, {event_of(out.fault), true, cls, ipa, 0, config.record_stage2}};
}

Smmu::Expected<std::uint64_t> Smmu::read_through_stage2(const Config& config, std::uint64_t ipa,
                                                        unsigned cls, std::span<std::uint8_t> to) {
  std::uint64_t pa = ipa;
  if (config.stage2) {
    const auto out = stage2(config, ipa, cls);
    if (!out.value) return {{}, out.failure};
    const bool walk_on_device = config.ptw && out.value->device_memory;
    if (!out.value->readable || walk_on_device) {
      return {{}, {kPermission, true, cls, ipa, 0, config.record_stage2}};
    }
    pa = out.value->pa;
  }
  if (!memory_.device_read(pa, to))
    return {{}, {cls == 0 ? kCdFetch : kWalkAbort, false, cls, 0, pa}};
  return {pa, {}};
}

/// TTBR0's half only; an address of the upper half translates through TTBR1 with its own size.
Smmu::Expected<Smmu::Entry> Smmu::stage1(const Config& config, const Context& context,
                                         std::uint64_t iova) {
  const unsigned half = (iova >> 55) & 1;
  const unsigned input = context.input_bits[half];
  const std::uint64_t top = iova >> input;
  const std::uint64_t expected = half == 0 ? 0 : (~std::uint64_t{0}) >> input;
  const Failure missing{kTranslation, false, 2, 0, 0, context.record};
  if (context.disabled[half] || input < 25 || input > 48 || top != expected) return {{}, missing};
  const std::uint64_t offset = iova & ((std::uint64_t{1} << input) - 1);
  std::uint64_t table = context.roots[half];
  Entry entry;
  for (unsigned level = input > 39 ? 0 : input > 30 ? 1 : 2; level <= 3; ++level) {
    const unsigned shift = 12 + 9 * (3 - level);
    std::array<std::uint8_t, 8> bytes{};
    const auto fetched =
        read_through_stage2(config, table + ((offset >> shift) & 0x1ff) * 8, 1, bytes);
    if (!fetched.value) return {{}, fetched.failure};
    const std::uint64_t descriptor = load_le(bytes, 0, 8);
    const bool table_bit = (descriptor & 2) != 0;
    if ((descriptor & 1) == 0 || (!table_bit && (level == 0 || level == 3))) return {{}, missing};
    const std::uint64_t address = descriptor & 0x0000'ffff'ffff'f000u;
    if ((address >> context.output_bits) != 0) {
      return {{}, {kAddressSize, false, 2, 0, 0, context.record}};
    }
    if (table_bit && level < 3) {
      table = address;
      continue;
    }
    if (bits(descriptor, 10, 10) == 0 && context.access_faults) {
      return {{}, {kAccess, false, 2, 0, 0, context.record}};
    }
    const std::uint64_t size = std::uint64_t{1} << shift;
    entry.s1_level = level;
    entry.ipa = (address & ~(size - 1)) | (offset & (size - 1));
    // Accesses of PCIe devices are unprivileged: AP[1] lets them in at all, AP[2] makes the page
    // read-only.
    entry.s1_read = bits(descriptor, 6, 6) != 0;
    entry.s1_write = entry.s1_read && bits(descriptor, 7, 7) == 0;
    break;
  }
  return {entry, {}};
}

Smmu::Expected<Smmu::Entry> Smmu::walk(const Resolved& resolved, std::uint64_t iova) {
  Entry entry;
  entry.ipa = iova;
  if (resolved.context) {
    const auto first = stage1(resolved.config, *resolved.context, iova);
    if (!first.value) return first;
    entry = *first.value;
  }
  entry.pa = entry.ipa;
  if (!resolved.config.stage2) return {entry, {}};
  const auto second = stage2(resolved.config, entry.ipa, 2);
  if (!second.value) return {{}, second.failure};
  entry.pa = second.value->pa;
  entry.s2_read = second.value->readable;
  entry.s2_write = second.value->writable;
  entry.device_memory = second.value->device_memory;
  entry.s2_level = second.value->level;
  return {entry, {}};
}

/// The translation of an access's page, from the TLB or from a walk.
Smmu::Expected<Smmu::Entry> Smmu::look_up(const Access& access, const Resolved& resolved) {
  const std::uint32_t asid = resolved.context ? resolved.context->asid : kNoAsid;
  const TlbKey key{resolved.config.vmid, asid, access.iova & ~(kPage - 1)};
  const auto hit = tlb_.find(key);
  if (hit != tlb_.end()) return {hit->second, {}};
  auto walked = walk(resolved, access.iova & ~(kPage - 1));
  if (walked.value) {
    tlb_[key] = *walked.value;
  } else if (walked.failure.stage2 && walked.failure.cls == 2) {
    walked.failure.ipa |= access.iova & (kPage - 1);
  }
  return walked;
}

Smmu::Outcome Smmu::translate(std::uint32_t stream, std::uint64_t iova, bool is_write,
                              std::optional<std::uint32_t> substream) {
  if (!enabled()) {  // GBPA rules while the SMMU is off
    const bool abort = ((gbpa_ >> 20) & 1) != 0;
    return {.ok = !abort, .pa = iova};
  }
  if (substream_bits() == 0) substream.reset();
  const Access access{stream, iova, is_write, substream};
  const auto config = configuration(stream);
  if (!config.value) return fault(access, config.failure, false);
  const bool merge = config.value->merge;
  const auto resolved = resolve(access, *config.value);
  if (!resolved.value) return fault(access, resolved.failure, merge);
  const auto& context = resolved.value->context;
  if (!context && !config.value->stage2) return {.ok = true, .pa = iova};
  const auto refuse = [&](Failure failure) {
    // What stalls are the faults of stage 1 itself (3.12.2), not those of getting at its tables.
    failure.stalls = context && context->stall && !failure.stage2 && failure.type != kWalkAbort;
    return fault(access, failure, merge);
  };
  const auto found = look_up(access, *resolved.value);
  if (!found.value) return refuse(found.failure);
  const Entry& entry = *found.value;
  if (is_write ? !entry.s1_write : !entry.s1_read) {
    return refuse({kPermission, false, 2, 0, 0, context && context->record});
  }
  if (is_write ? !entry.s2_write : !entry.s2_read) {
    return refuse({kPermission, true, 2, entry.ipa, 0, config.value->record_stage2});
  }
  return {.ok = true, .pa = entry.pa | (iova & (kPage - 1)), .device_memory = entry.device_memory};
}

}  // namespace penstock::sim

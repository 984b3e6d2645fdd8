// The simulated SMMU's way from a stream and an input address to memory (IHI
// 0070, 3.3, 3.4, 5.2, 5.4, 7.3).
#include "core/base/bytes.hpp"
#include "sim/smmu/smmu.hpp"

namespace penstock::sim {

namespace {

constexpr std::uint64_t kPage = 4096;

// Types of event records (7.3).
constexpr std::uint8_t kBadStreamId = 0x02;
constexpr std::uint8_t kSteFetch = 0x03;
constexpr std::uint8_t kBadSte = 0x04;
constexpr std::uint8_t kCdFetch = 0x09;
constexpr std::uint8_t kBadCd = 0x0a;
constexpr std::uint8_t kWalkAbort = 0x0b;
constexpr std::uint8_t kTranslation = 0x10;
constexpr std::uint8_t kAddressSize = 0x11;
constexpr std::uint8_t kAccess = 0x12;
constexpr std::uint8_t kPermission = 0x13;

std::uint64_t bits(std::uint64_t word, unsigned high, unsigned low) {
  return (word >> low) & ((std::uint64_t{2} << (high - low)) - 1);
}

unsigned output_bits_of(std::uint64_t ps) {
  constexpr unsigned kSizes[] = {32, 36, 40, 42, 44, 48, 52};
  return ps < 7 ? kSizes[ps] : 48;
}

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

Smmu::Outcome Smmu::fault(std::uint32_t stream, std::uint64_t iova, bool is_write,
                          const Failure& failure) {
  Outcome outcome;
  outcome.event = failure.type;
  if (!failure.recorded || failure.type == 0) return outcome;
  Event event{};
  event[0] = failure.type | std::uint64_t{stream} << 32;
  const std::uint64_t rnw = is_write ? 0 : 1;
  const std::uint64_t s2 = failure.stage2 ? 1 : 0;
  event[1] = rnw << 35 | s2 << 39 | std::uint64_t{failure.cls} << 40;
  event[2] = iova;
  event[3] = failure.stage2 ? failure.ipa & ~(kPage - 1) : failure.fetch;
  if (failure.type == kBadStreamId || failure.type == kBadSte || failure.type == kBadCd) {
    event[1] = event[2] = event[3] = 0;  // configuration errors carry no address
  }
  record(event);
  return outcome;
}

Smmu::Expected<Smmu::Ste> Smmu::fetch_ste(std::uint32_t stream) {
  const auto cached = ste_cache_.find(stream);
  if (cached != ste_cache_.end()) return {cached->second, {}};
  const std::uint64_t log2size = bits(strtab_base_cfg_, 5, 0);
  const std::uint64_t base = strtab_base_ & 0x000f'ffff'ffff'ffc0u;
  const bool recorded = (cr2_ & 2) != 0;  // CR2.RECINVSID
  if ((std::uint64_t{stream} >> log2size) != 0)
    return {{}, {.type = kBadStreamId, .recorded = recorded}};
  const bool linear = bits(strtab_base_cfg_, 17, 16) == 0;
  const std::uint64_t split = bits(strtab_base_cfg_, 10, 6);
  // Address bits below the table's size are treated as zero (6.3.24): a table elsewhere is not the
  // one that is used.
  const std::uint64_t level1 = log2size > split ? std::uint64_t{8} << (log2size - split) : 8;
  if (base % (linear ? std::uint64_t{64} << log2size : level1) != 0) {
    misuse("STRTAB_BASE is not aligned to the table's size");
  }
  if (linear) return fetch_ste_from(stream, base, stream);
  const std::uint64_t index = stream >> split;
  auto l1 = l1_cache_.find(index);
  if (l1 == l1_cache_.end()) {
    std::array<std::uint8_t, 8> bytes{};
    if (!memory_.device_read(base + index * 8, bytes)) return {{}, {kSteFetch}};
    l1 = l1_cache_.emplace(index, load_le(bytes, 0, 8)).first;
  }
  const std::uint64_t span = bits(l1->second, 4, 0);
  if (span > split + 1) misuse("stream table: span larger than the split");
  const std::uint64_t offset = stream & ((std::uint64_t{1} << split) - 1);
  if (span == 0 || (offset >> (span - 1)) != 0)
    return {{}, {.type = kBadStreamId, .recorded = recorded}};
  const std::uint64_t table = l1->second & 0x000f'ffff'ffff'ffc0u;
  if (table % ((std::uint64_t{1} << (span - 1)) * 64) != 0) {
    misuse("stream table: level 2 is not aligned to its size");
  }
  return fetch_ste_from(stream, table, offset);
}

Smmu::Expected<Smmu::Ste> Smmu::fetch_ste_from(std::uint32_t stream, std::uint64_t table,
                                               std::uint64_t index) {
  std::array<std::uint8_t, 64> bytes{};
  if (!memory_.device_read(table + index * 64, bytes)) return {{}, {kSteFetch}};
  Ste ste;
  for (unsigned i = 0; i < 8; ++i) ste.words[i] = load_le(bytes, i * 8, 8);
  ste_cache_[stream] = ste;
  return {ste, {}};
}

bool Smmu::decode_stage2(const Ste& ste, Config& config) {
  const std::uint64_t word2 = ste.words[2];
  config.vmid = static_cast<std::uint16_t>(bits(word2, 15, 0));
  config.regime.input_bits = static_cast<unsigned>(64 - bits(word2, 37, 32));
  const std::uint64_t sl0 = bits(word2, 39, 38);
  if (sl0 > 2) return false;
  config.regime.start_level = static_cast<unsigned>(2 - sl0);
  config.regime.output_bits = output_bits_of(bits(word2, 50, 48));
  config.regime.root = ste.words[3] & 0x000f'ffff'ffff'fff0u;
  config.record_stage2 = bits(word2, 58, 58) != 0;
  config.ptw = bits(word2, 54, 54) != 0;
  const bool aarch64 = bits(word2, 51, 51) != 0;
  const bool granule4k = bits(word2, 47, 46) == 0;
  const bool big_endian = bits(word2, 52, 52) != 0;
  const bool stalls = bits(word2, 57, 57) != 0;
  const unsigned resolved = 12 + 9 * (3 - config.regime.start_level);
  const std::uint64_t tables = config.regime.input_bits > resolved + 9
                                   ? std::uint64_t{1} << (config.regime.input_bits - resolved - 9)
                                   : 1;
  if (config.regime.root % (tables * kPage) != 0) misuse("STE.S2TTB is not aligned to its tables");
  return aarch64 && granule4k && !big_endian && !stalls && is_consistent(config.regime);
}

Smmu::Expected<Smmu::Config> Smmu::decode_ste(const Ste& ste) {
  Config config;
  const std::uint64_t word0 = ste.words[0];
  const std::uint64_t kind = bits(word0, 3, 1);
  if ((word0 & 1) == 0) return {{}, {kBadSte}};
  if ((kind & 4) == 0) return {{}, {.type = 0, .recorded = false}};  // abort: no event
  config.stage1 = (kind & 1) != 0;
  config.stage2 = (kind & 2) != 0;
  const bool has_s1 = (config_.idr0 & 2) != 0;
  const bool has_s2 = (config_.idr0 & 1) != 0;
  if ((config.stage1 && !has_s1) || (config.stage2 && !has_s2)) return {{}, {kBadSte}};
  if (config.stage1) {
    config.context = word0 & 0x000f'ffff'ffff'ffc0u;
    if (bits(word0, 63, 59) != 0) return {{}, {kBadSte}};  // substreams are not in the model
  }
  if (config.stage2 && !decode_stage2(ste, config)) return {{}, {kBadSte}};
  return {config, {}};
}

Smmu::Expected<Stage2Outcome> Smmu::stage2(const Config& config, std::uint64_t ipa, unsigned cls) {
  const auto read_descriptor = [this](std::uint64_t pa, std::uint64_t& descriptor) {
    std::array<std::uint8_t, 8> bytes{};
    if (!memory_.device_read(pa, bytes)) return false;
    descriptor = load_le(bytes, 0, 8);
    return true;
  };
  const auto key = [&](unsigned level, std::uint64_t address) {
    const std::uint64_t covers = std::uint64_t{1} << (12 + 9 * (4 - level));
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
  if (out.fault == Stage2Fault::kNone) return {out, {}};
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

Smmu::Expected<Smmu::Context> Smmu::decode_context(const std::array<std::uint64_t, 8>& words) {
  const std::uint64_t word0 = words[0];
  const bool valid = bits(word0, 31, 31) != 0;
  const bool aarch64 = bits(word0, 41, 41) != 0;
  const bool terminates = bits(word0, 46, 46) != 0;  // A: with TERM_MODEL, the only legal value
  const bool stalls = bits(word0, 44, 44) != 0;
  const bool big_endian = bits(word0, 15, 15) != 0;
  if (!valid || !aarch64 || !terminates || stalls || big_endian) return {{}, {kBadCd}};
  Context context;
  context.asid = static_cast<std::uint16_t>(bits(word0, 63, 48));
  context.roots = {words[1] & 0x000f'ffff'ffff'fff0u, words[2] & 0x000f'ffff'ffff'fff0u};
  context.input_bits = {static_cast<unsigned>(64 - bits(word0, 5, 0)),
                        static_cast<unsigned>(64 - bits(word0, 21, 16))};
  context.disabled = {bits(word0, 14, 14) != 0, bits(word0, 30, 30) != 0};
  const bool granule4k = bits(word0, 7, 6) == 0;
  if (!context.disabled[0] &&
      (!granule4k || context.input_bits[0] < 25 || context.input_bits[0] > 48)) {
    return {{}, {kBadCd}};
  }
  context.output_bits = output_bits_of(bits(word0, 34, 32));
  context.access_faults = bits(word0, 35, 35) == 0;
  context.record = bits(word0, 45, 45) != 0;
  return {context, {}};
}

Smmu::Expected<Smmu::Context> Smmu::fetch_context(std::uint32_t stream, const Config& config) {
  const auto cached = context_cache_.find(stream);
  if (cached != context_cache_.end()) return {cached->second, {}};
  std::array<std::uint8_t, 64> bytes{};
  const auto fetched = read_through_stage2(config, config.context, 0, bytes);
  if (!fetched.value) return {{}, fetched.failure};
  std::array<std::uint64_t, 8> words{};
  for (unsigned i = 0; i < 8; ++i) words[i] = load_le(bytes, i * 8, 8);
  auto context = decode_context(words);
  if (context.value) context_cache_[stream] = *context.value;
  return context;
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
    entry.ipa = (address & ~(size - 1)) | (offset & (size - 1));
    // Accesses of PCIe devices are unprivileged: AP[1] lets them in at all, AP[2] makes the page
    // read-only.
    entry.s1_read = bits(descriptor, 6, 6) != 0;
    entry.s1_write = entry.s1_read && bits(descriptor, 7, 7) == 0;
    break;
  }
  return {entry, {}};
}

Smmu::Expected<Smmu::Entry> Smmu::walk(std::uint32_t /*stream*/, const Config& config,
                                       const Context* context, std::uint64_t iova) {
  Entry entry;
  entry.ipa = iova;
  if (context != nullptr) {
    const auto first = stage1(config, *context, iova);
    if (!first.value) return first;
    entry = *first.value;
  }
  entry.pa = entry.ipa;
  if (!config.stage2) return {entry, {}};
  const auto second = stage2(config, entry.ipa, 2);
  if (!second.value) return {{}, second.failure};
  entry.pa = second.value->pa;
  entry.s2_read = second.value->readable;
  entry.s2_write = second.value->writable;
  entry.device_memory = second.value->device_memory;
  return {entry, {}};
}

Smmu::Outcome Smmu::translate(std::uint32_t stream, std::uint64_t iova, bool is_write) {
  if ((cr0_ & 1) == 0) {  // GBPA rules while the SMMU is off
    const bool abort = ((gbpa_ >> 20) & 1) != 0;
    return {!abort, iova, 0, false};
  }
  const auto ste = fetch_ste(stream);
  if (!ste.value) return fault(stream, iova, is_write, ste.failure);
  const auto config = decode_ste(*ste.value);
  if (!config.value) return fault(stream, iova, is_write, config.failure);
  if (!config.value->stage1 && !config.value->stage2) return {true, iova, 0, false};
  Expected<Context> context;
  if (config.value->stage1) {
    context = fetch_context(stream, *config.value);
    if (!context.value) return fault(stream, iova, is_write, context.failure);
  }
  const std::uint32_t asid = context.value ? context.value->asid : kNoAsid;
  const std::uint16_t vmid = config.value->stage2 ? config.value->vmid : std::uint16_t{0};
  const TlbKey key{vmid, asid, iova & ~(kPage - 1)};
  auto hit = tlb_.find(key);
  if (hit == tlb_.end()) {
    const Context* first = context.value ? &*context.value : nullptr;
    const auto walked = walk(stream, *config.value, first, iova & ~(kPage - 1));
    if (!walked.value) {
      Failure failure = walked.failure;
      if (failure.stage2 && failure.cls == 2) failure.ipa |= iova & (kPage - 1);
      return fault(stream, iova, is_write, failure);
    }
    hit = tlb_.emplace(key, *walked.value).first;
  }
  const Entry& entry = hit->second;
  if (is_write ? !entry.s1_write : !entry.s1_read) {
    return fault(stream, iova, is_write,
                 {kPermission, false, 2, 0, 0, context.value && context.value->record});
  }
  if (is_write ? !entry.s2_write : !entry.s2_read) {
    return fault(stream, iova, is_write,
                 {kPermission, true, 2, entry.ipa, 0, config.value->record_stage2});
  }
  return {true, entry.pa | (iova & (kPage - 1)), 0, entry.device_memory};
}

}  // namespace penstock::sim

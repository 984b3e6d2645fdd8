// The simulated SMMU's stream table (IHI 0070, 3.3.2, 5.1, 5.2).
#include "core/base/bytes.hpp"
#include "sim/smmu/layout.hpp"
#include "sim/smmu/smmu.hpp"

namespace penstock::sim {

using namespace layout;

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
  if (!has(18) && config.vmid > 0xff) {
    misuse("STE.S2VMID has 8 bits");
    return false;
  }
  return aarch64 && granule4k && !big_endian && !stalls && is_consistent(config.regime);
}

/// False: the fields of stage 1 are ILLEGAL (5.2).
bool Smmu::decode_stage1(const Ste& ste, Config& config) const {
  const std::uint64_t word0 = ste.words[0];
  const std::uint64_t word1 = ste.words[1];
  config.context = word0 & 0x000f'ffff'ffff'ffc0u;
  config.context_bits = static_cast<unsigned>(bits(word0, 63, 59));
  config.refuses_stall = bits(word1, 27, 27) != 0;
  if (config.refuses_stall && stall_model() != 0) return false;
  if (config.context_bits > substream_bits()) return false;
  if (config.context_bits == 0) return true;  // one descriptor: S1Fmt and S1DSS do not count
  config.context_format = static_cast<unsigned>(bits(word0, 5, 4));
  config.substreamless = static_cast<unsigned>(bits(word1, 1, 0));
  const bool two_levels = has(19);  // IDR0.CD2L
  return config.context_format != 3 && (config.context_format == 0 || two_levels) &&
         config.substreamless != 3;
}

Smmu::Expected<Smmu::Config> Smmu::decode_ste(const Ste& ste) {
  Config config;
  const std::uint64_t word0 = ste.words[0];
  const std::uint64_t word1 = ste.words[1];
  const std::uint64_t kind = bits(word0, 3, 1);
  if ((word0 & 1) == 0) return {{}, {kBadSte}};
  if ((kind & 4) == 0) return {{}, {.type = 0, .recorded = false}};  // abort: no event
  config.stage1 = (kind & 1) != 0;
  config.stage2 = (kind & 2) != 0;
  config.merge = bits(word1, 19, 19) != 0;
  if ((config.stage1 && !has(1)) || (config.stage2 && !has(0))) return {{}, {kBadSte}};
  // With stage 2 implemented, translations of stage 1 alone belong to a VMID, too.
  if (has(0)) config.vmid = static_cast<std::uint16_t>(bits(ste.words[2], 15, 0));
  if (config.stage1 && !decode_stage1(ste, config)) return {{}, {kBadSte}};
  if (config.stage2 && !decode_stage2(ste, config)) return {{}, {kBadSte}};
  if (!has(10)) return {config, {}};
  config.ats = static_cast<unsigned>(bits(word1, 29, 28));
  // Split-stage ATS hands out IPAs: it needs both stages, and IDR0.NS1ATS = 0.
  const bool split_is_illegal = !config.stage1 || !config.stage2 || has(11);
  if (config.ats == 3 || (config.ats == 2 && split_is_illegal)) return {{}, {kBadSte}};
  return {config, {}};
}

Smmu::Expected<Smmu::Config> Smmu::configuration(std::uint32_t stream) {
  const auto ste = fetch_ste(stream);
  if (!ste.value) return {{}, ste.failure};
  return decode_ste(*ste.value);
}

}  // namespace penstock::sim

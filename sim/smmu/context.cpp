// The simulated SMMU's context descriptors, one per stream and substream (IHI 0070, 3.3.3, 5.3,
// 5.4).
#include "core/base/bytes.hpp"
#include "sim/smmu/layout.hpp"
#include "sim/smmu/smmu.hpp"

namespace penstock::sim {

using namespace layout;

namespace {

constexpr unsigned kDescriptorShift = 6;  // log2 of a context descriptor's bytes

/// log2 of the descriptors in a leaf of a two-level table.
unsigned leaf_bits(unsigned format) {
  return format == 1 ? 6 : 10;  // 4 KiB, 64 KiB
}

}  // namespace

/// Which of a stream's contexts an access uses (STE.S1DSS in 5.2; 7.3.7, 7.3.9).
Smmu::Expected<Smmu::Resolved> Smmu::resolve(const Access& access, const Config& config) {
  const bool many = config.context_bits != 0;
  if (access.substream && (!config.stage1 || !many)) return {{}, {kBadSubstreamId}};
  if (!config.stage1) return {Resolved{config, {}}, {}};
  std::uint32_t index = 0;
  if (access.substream) {
    index = *access.substream;
    if ((std::uint64_t{index} >> config.context_bits) != 0) return {{}, {kBadSubstreamId}};
    // Substream 0's descriptor is taken: it serves accesses without a substream.
    if (index == 0 && config.substreamless == 2) return {{}, {kStreamDisabled}};
  } else if (many && config.substreamless == 0) {
    return {{}, {kStreamDisabled}};
  } else if (many && config.substreamless == 1) {
    return {Resolved{config, {}}, {}};  // past stage 1
  }
  const auto context = fetch_context(access.stream, index, config);
  if (!context.value) return {{}, context.failure};
  return {Resolved{config, context.value}, {}};
}

/// Address of a context descriptor; an IPA where there is a stage 2. Bits of a table's address
/// below its size are treated as zero.
Smmu::Expected<std::uint64_t> Smmu::context_address(std::uint32_t stream, std::uint32_t substream,
                                                    const Config& config) {
  const auto table_of = [&](unsigned size_log2, const char* what) {
    const std::uint64_t below = (std::uint64_t{1} << size_log2) - 1;
    if ((config.context & below) != 0) misuse(what);
    return config.context & ~below;
  };
  if (config.context_format == 0) {
    const std::uint64_t table = table_of(config.context_bits + kDescriptorShift,
                                         "STE.S1ContextPtr is not aligned to the table's size");
    return {table + (std::uint64_t{substream} << kDescriptorShift), {}};
  }
  const unsigned leaf = leaf_bits(config.context_format);
  const unsigned level1 = config.context_bits > leaf ? config.context_bits - leaf : 0;
  const std::uint64_t table =
      table_of(level1 + 3, "STE.S1ContextPtr is not aligned to the level 1 table's size");
  const std::uint64_t index = substream >> leaf;
  auto cached = l1_context_cache_.find({stream, index});
  if (cached == l1_context_cache_.end()) {
    std::array<std::uint8_t, 8> bytes{};
    const auto fetched = read_through_stage2(config, table + index * 8, 0, bytes);
    if (!fetched.value) return {{}, fetched.failure};
    cached = l1_context_cache_.emplace(ContextKey{stream, index}, load_le(bytes, 0, 8)).first;
  }
  if ((cached->second & 1) == 0) return {{}, {kBadSubstreamId}};
  const unsigned leaf_size = leaf + kDescriptorShift;
  const std::uint64_t base = bits(cached->second, 51, leaf_size) << leaf_size;
  const std::uint64_t within = substream & ((1u << leaf) - 1);
  return {base + (within << kDescriptorShift), {}};
}

/// An invalid descriptor is cached, too: it stays until CFGI_CD.
Smmu::Expected<Smmu::Context> Smmu::fetch_context(std::uint32_t stream, std::uint32_t substream,
                                                  const Config& config) {
  const auto cached = context_cache_.find({stream, substream});
  if (cached != context_cache_.end()) return decode_context(cached->second, config);
  const auto address = context_address(stream, substream, config);
  if (!address.value) return {{}, address.failure};
  std::array<std::uint8_t, 64> bytes{};
  const auto fetched = read_through_stage2(config, *address.value, 0, bytes);
  if (!fetched.value) return {{}, fetched.failure};
  ContextWords words{};
  for (unsigned i = 0; i < 8; ++i) words[i] = load_le(bytes, i * 8, 8);
  context_cache_[{stream, substream}] = words;
  return decode_context(words, config);
}

Smmu::Expected<Smmu::Context> Smmu::decode_context(const ContextWords& words,
                                                   const Config& config) const {
  const std::uint64_t word0 = words[0];
  const bool valid = bits(word0, 31, 31) != 0;
  const bool aarch64 = bits(word0, 41, 41) != 0;
  const bool terminates = bits(word0, 46, 46) != 0;  // A: with TERM_MODEL, the only legal value
  const bool stalls = bits(word0, 44, 44) != 0;
  const bool big_endian = bits(word0, 15, 15) != 0;
  if (!valid || !aarch64 || !terminates || big_endian) return {{}, {kBadCd}};
  // Stalls: not implemented, or the only way to treat a fault, or refused by the stream's entry.
  if (stalls ? stall_model() == 1 || config.refuses_stall : stall_model() == 2) {
    return {{}, {kBadCd}};
  }
  Context context;
  context.stall = stalls;
  context.asid = static_cast<std::uint16_t>(bits(word0, 63, 48));
  if (!has(12) && context.asid > 0xff) return {{}, {kBadCd}};
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

}  // namespace penstock::sim

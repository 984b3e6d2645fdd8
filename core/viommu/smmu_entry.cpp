#include "core/viommu/smmu_entry.hpp"

#include "core/base/bits.hpp"
#include "core/base/bytes.hpp"
#include "core/hw/smmuv3/events.hpp"
#include "core/viommu/smmu_registers.hpp"

namespace penstock::viommu {

namespace hw = penstock::hw::smmuv3;
using hw::EventType;
using hw::Stage1Mode;

namespace {

constexpr unsigned kOutputBits = 40;  // IDR5.OAS of the guest's SMMU

JudgedEntry invalid(EventType why, Gpa fetch = {}) {
  return {{Stage1Mode::kInvalid, 0, 0}, static_cast<std::uint8_t>(why), fetch};
}

unsigned split_of(std::uint64_t value) {
  return value == 8 || value == 10 ? static_cast<unsigned>(value) : 6;  // 6.3.25
}

Gpa aligned_to(std::uint64_t address, std::uint64_t size) {
  return Gpa(address).align_down(size < hw::kSteBytes ? hw::kSteBytes : size);
}

/// Where the stream's entry is: linear tables have it at once, others name a level-2 table.
struct Place {
  bool found = false;
  Gpa entry;
  JudgedEntry why;
};

Place look_up(port::GuestMem& memory, const StreamTableShape& shape, std::uint32_t id) {
  if (!shape.two_level) return {true, shape.base + std::uint64_t{id} * hw::kSteBytes, {}};
  const Gpa at = shape.base + std::uint64_t{id >> shape.split} * hw::kL1DescriptorBytes;
  std::array<std::uint8_t, hw::kL1DescriptorBytes> bytes{};
  if (!memory.read(at, bytes)) return {false, {}, invalid(EventType::kSteFetch, at)};
  const std::uint64_t descriptor = load_le(bytes, 0, 8);
  const std::uint64_t span = get<hw::l1std::Span>(descriptor);
  const std::uint64_t index = id & low_mask(shape.split);
  if (span == 0 || span > shape.split + 1U || index >> (span - 1) != 0) {
    return {false, {}, invalid(EventType::kBadStreamId)};
  }
  const std::uint64_t table_bytes = hw::kSteBytes << (span - 1);
  const Gpa table = aligned_to(descriptor & hw::l1std::L2Ptr::kMask, table_bytes);
  return {true, table + index * hw::kSteBytes, {}};
}

bool has_substreams(const hw::IdRegisters& ids) {
  return get<hw::idr1::SSIDSIZE>(ids.idr1) != 0;
}

/// Context descriptors of several substreams: as many as the SMMU can tell apart, in a format that
/// it has.
bool is_legal_substream_table(std::uint64_t word0, std::uint64_t word1,
                              const hw::IdRegisters& ids) {
  const std::uint64_t bits = get<hw::ste0::S1CDMax>(word0);
  if (bits == 0) return true;
  if (!has_substreams(ids) || bits > get<hw::idr1::SSIDSIZE>(ids.idr1)) return false;
  const std::uint64_t format = get<hw::ste0::S1Fmt>(word0);
  const bool two_level = get<hw::idr0::CD2L>(ids.idr0) != 0;
  if (format == 3 || (format != 0 && !two_level)) return false;
  return get<hw::ste1::S1DSS>(word1) != 3;
}

JudgedEntry judge_translation(std::uint64_t word0, std::uint64_t word1,
                              const hw::IdRegisters& ids) {
  const bool stalls_off = get<hw::ste1::S1STALLD>(word1) != 0;  // IDR0.STALL_MODEL = 1: illegal
  const std::uint64_t context = word0 & hw::ste0::S1ContextPtr::kMask;
  if (stalls_off || (context >> kOutputBits) != 0 || !is_legal_substream_table(word0, word1, ids)) {
    return invalid(EventType::kBadSte);
  }
  std::uint64_t first = word0 & hw::kStage1Word0;
  std::uint64_t second = word1 & hw::kStage1Word1;
  if (get<hw::ste0::S1CDMax>(word0) == 0) {  // these two are then ignored
    first = with<hw::ste0::S1Fmt>(first, 0);
    second = with<hw::ste1::S1DSS>(second, 0);
  }
  return {{Stage1Mode::kTranslate, first, second}, 0, {}};
}

}  // namespace

StreamTableShape stream_table_shape(std::uint64_t base, std::uint32_t config) {
  StreamTableShape shape;
  const std::uint64_t log2 = get<hw::strtab_base_cfg::LOG2SIZE>(config);
  shape.id_bits = log2 < kSmmuStreamIdBits ? static_cast<unsigned>(log2) : kSmmuStreamIdBits;
  shape.split = split_of(get<hw::strtab_base_cfg::SPLIT>(config));
  shape.two_level = get<hw::strtab_base_cfg::FMT>(config) == 1;
  const unsigned level1_bits = shape.id_bits > shape.split ? shape.id_bits - shape.split : 0;
  const std::uint64_t bytes =
      shape.two_level ? hw::kL1DescriptorBytes << level1_bits : hw::kSteBytes << shape.id_bits;
  shape.base = aligned_to(base & hw::strtab_base::ADDR::kMask, bytes);
  return shape;
}

JudgedEntry read_stream_entry(port::GuestMem& memory, const StreamTableShape& shape,
                              const hw::IdRegisters& ids, GuestStreamId stream) {
  if (stream.value() >> shape.id_bits != 0) return invalid(EventType::kBadStreamId);
  const Place place = look_up(memory, shape, stream.value());
  if (!place.found) return place.why;
  std::array<std::uint8_t, hw::kSteBytes> bytes{};
  if (!memory.read(place.entry, bytes)) return invalid(EventType::kSteFetch, place.entry);
  std::array<std::uint64_t, hw::kSteWords> words{};
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = load_le(bytes, i * 8, 8);
  return judge_entry(words, ids);
}

JudgedEntry judge_entry(const std::array<std::uint64_t, hw::kSteWords>& words,
                        const hw::IdRegisters& ids) {
  if (get<hw::ste0::V>(words[0]) == 0) return invalid(EventType::kBadSte);
  const auto config = static_cast<unsigned>(get<hw::ste0::Config>(words[0]));
  if (config < static_cast<unsigned>(hw::SteConfig::kBypass)) {
    return {{Stage1Mode::kAbort, 0, 0}, 0, {}};
  }
  if (config == static_cast<unsigned>(hw::SteConfig::kBypass)) return {};
  if (config == static_cast<unsigned>(hw::SteConfig::kStage1)) {
    return judge_translation(words[0], words[1], ids);
  }
  return invalid(EventType::kBadSte);  // there is no stage 2 to ask for
}

}  // namespace penstock::viommu

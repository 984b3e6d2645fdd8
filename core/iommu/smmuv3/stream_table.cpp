#include "core/iommu/smmuv3/stream_table.hpp"

#include <atomic>

#include "core/hw/smmuv3/registers.hpp"
#include "core/hw/smmuv3/stream_table.hpp"
#include "core/mem/stage2_format.hpp"

namespace penstock::iommu::smmuv3 {

namespace hw = penstock::hw::smmuv3;

namespace {

constexpr std::uint64_t kLevel2Streams = std::uint64_t{1} << StreamTable::kSplit;
constexpr std::uint64_t kLevel2Bytes = kLevel2Streams * hw::kSteBytes;

constexpr std::uint64_t word0(hw::SteConfig config) {
  return with<hw::ste0::Config>(with<hw::ste0::V>(0, 1), config);
}

std::uint64_t word1(const Features& features) {
  // MEV: a device that faults in a loop fills the event queue with one record, not thousands.
  const std::uint64_t word =
      with<hw::ste1::SHCFG>(with<hw::ste1::MEV>(0, 1), hw::ste1::kShareIncoming);
  // A guest's context descriptor must not stall transactions that only we could resume (5.2,
  // S1STALLD; C_BAD_CD tells the guest).
  return with<hw::ste1::S1STALLD>(word, features.stall_choice ? 1 : 0);
}

std::uint64_t word2(Vmid vmid, const Features& features) {
  std::uint64_t word = with<hw::ste2::S2VMID>(0, vmid.value());
  word = with<hw::ste2::S2T0SZ>(word, mem::stage2::kT0Sz);
  word = with<hw::ste2::S2SL0>(word, mem::stage2::kSl0);
  // Walks as coherent as the SMMU can: write-back inner shareable, else non-cacheable outer
  // shareable.
  word = with<hw::ste2::S2IR0>(word, features.coherent ? 1 : 0);
  word = with<hw::ste2::S2OR0>(word, features.coherent ? 1 : 0);
  word = with<hw::ste2::S2SH0>(word, features.coherent ? 3 : 2);
  word = with<hw::ste2::S2TG>(word, 0);  // 4 KiB
  word = with<hw::ste2::S2PS>(word, features.output_size);
  word = with<hw::ste2::S2AA64>(word, 1);
  word = with<hw::ste2::S2PTW>(word, 1);
  return with<hw::ste2::S2R>(word, 1);  // record; S2S = 0: fail the access, do not stall it
}

}  // namespace

Status StreamTable::init(port::PhysMem& memory, mem::PagePool& pool, const Features& features) {
  linear_ = !features.two_level || features.sid_bits <= kSplit;
  const unsigned limit = linear_ ? kMaxLinearBits : kMaxSidBits;
  sid_bits_ = features.sid_bits < limit ? features.sid_bits : limit;
  const std::uint64_t bytes =
      linear_ ? streams() * hw::kSteBytes : (streams() >> kSplit) * hw::kL1DescriptorBytes;
  base_ = TRY(pool.take(bytes, bytes));  // STRTAB_BASE: aligned to the table's size
  memory_ = &memory;
  pool_ = &pool;
  features_ = features;
  return {};
}

void StreamTable::program(port::Mmio& registers) const {
  const std::uint64_t base = base_.value() & hw::strtab_base::ADDR::kMask;
  registers.write64(hw::kStrtabBase, with<hw::strtab_base::RA>(base, 1));
  std::uint64_t config = with<hw::strtab_base_cfg::LOG2SIZE>(0, sid_bits_);
  config = with<hw::strtab_base_cfg::SPLIT>(config, linear_ ? 0 : kSplit);
  config = with<hw::strtab_base_cfg::FMT>(config, linear_ ? 0 : 1);
  registers.write32(hw::kStrtabBaseCfg, static_cast<std::uint32_t>(config));
}

std::uint64_t StreamTable::load(Hpa word) const {
  auto* at = reinterpret_cast<std::uint64_t*>(memory_->map(word, 8));
  return std::atomic_ref<std::uint64_t>(*at).load(std::memory_order_relaxed);
}

/// One 64-bit single-copy atomic store (IHI 0070, 3.21.3).
void StreamTable::store(Hpa word, std::uint64_t value) {
  auto* at = reinterpret_cast<std::uint64_t*>(memory_->map(word, 8));
  std::atomic_ref<std::uint64_t>(*at).store(value, std::memory_order_relaxed);
}

std::optional<Hpa> StreamTable::entry(StreamId stream) const {
  const std::uint64_t id = stream.value();
  if (base_ == Hpa() || id >= streams()) return std::nullopt;
  if (linear_) return base_ + id * hw::kSteBytes;
  const std::uint64_t descriptor = load(base_ + (id >> kSplit) * hw::kL1DescriptorBytes);
  if (get<hw::l1std::Span>(descriptor) == 0) return std::nullopt;
  return Hpa(descriptor & hw::l1std::L2Ptr::kMask) + (id % kLevel2Streams) * hw::kSteBytes;
}

Result<bool> StreamTable::provide(StreamId stream) {
  if (stream.value() >= streams()) return fail(Code::kOutOfRange, stream.value());
  if (entry(stream).has_value()) return false;
  const Hpa table = TRY(pool_->take(kLevel2Bytes, kLevel2Bytes));  // L2Ptr: aligned to its size
  const Hpa slot = base_ + (stream.value() >> kSplit) * hw::kL1DescriptorBytes;
  store(slot, with<hw::l1std::Span>(table.value() & hw::l1std::L2Ptr::kMask, kSplit + 1));
  memory_->make_observable(slot, hw::kL1DescriptorBytes);
  return true;
}

void StreamTable::write_word(StreamId stream, unsigned word, std::uint64_t value) {
  const Hpa at = entry(stream).value_or(Hpa()) + word * 8;
  store(at, value);
  memory_->make_observable(at, 8);
}

void StreamTable::write_abort(StreamId stream) {
  write_word(stream, 0, word0(hw::SteConfig::kAbort));
}

void StreamTable::write_invalid(StreamId stream) {
  write_word(stream, 0, 0);
}

void StreamTable::write_nested(StreamId stream, std::uint64_t stage1_word0) {
  write_word(stream, 0, word0(hw::SteConfig::kNested) | (stage1_word0 & hw::kStage1Word0));
}

void StreamTable::write_stage1_fields(StreamId stream, std::uint64_t stage1_word1) {
  write_word(stream, 1, word1(features_) | (stage1_word1 & hw::kStage1Word1));
}

void StreamTable::write_unused_words(StreamId stream, Vmid vmid, Hpa root) {
  const Hpa at = entry(stream).value_or(Hpa());
  store(at + 8, word1(features_));
  store(at + 16, word2(vmid, features_));
  store(at + 24, root.value() & hw::ste3::S2TTB::kMask);
  for (std::uint64_t i = 4; i < hw::kSteWords; ++i) store(at + i * 8, 0);
  memory_->make_observable(at, hw::kSteBytes);
}

void StreamTable::write_stage2(StreamId stream) {
  write_word(stream, 0, word0(hw::SteConfig::kStage2));
}

void StreamTable::clear_unused_words(StreamId stream) {
  const Hpa at = entry(stream).value_or(Hpa());
  for (std::uint64_t i = 1; i < hw::kSteWords; ++i) store(at + i * 8, 0);
  memory_->make_observable(at, hw::kSteBytes);
}

/// Bits that no field of the view shows: an entry that translates has all its words as written
/// here; of one that aborts only word 0 counts.
bool StreamTable::is_exact(Hpa entry, const SteView& view) const {
  if (!view.valid) return load(entry) == 0;
  if (view.config == static_cast<std::uint8_t>(hw::SteConfig::kAbort)) {
    return load(entry) == word0(hw::SteConfig::kAbort);
  }
  const bool nested = view.config == static_cast<std::uint8_t>(hw::SteConfig::kNested);
  const auto config = nested ? hw::SteConfig::kNested : hw::SteConfig::kStage2;
  bool same = load(entry) == (word0(config) | (nested ? view.stage1_word0 : 0)) &&
              load(entry + 8) == (word1(features_) | (nested ? view.stage1_word1 : 0)) &&
              load(entry + 16) == word2(view.vmid, features_) &&
              load(entry + 24) == (view.root.value() & hw::ste3::S2TTB::kMask);
  for (std::uint64_t i = 4; i < hw::kSteWords; ++i) same = same && load(entry + i * 8) == 0;
  return same;
}

std::optional<SteView> StreamTable::view(StreamId stream) const {
  const std::optional<Hpa> at = entry(stream);
  if (!at.has_value()) return std::nullopt;
  SteView view;
  const std::uint64_t first = load(*at);
  view.valid = get<hw::ste0::V>(first) != 0;
  view.config = static_cast<std::uint8_t>(get<hw::ste0::Config>(first));
  view.vmid = Vmid(static_cast<std::uint16_t>(get<hw::ste2::S2VMID>(load(*at + 16))));
  view.root = Hpa(load(*at + 24) & hw::ste3::S2TTB::kMask);
  view.stage1_word0 = first & hw::kStage1Word0;
  view.stage1_word1 = load(*at + 8) & hw::kStage1Word1;
  view.exact = is_exact(*at, view);
  return view;
}

std::optional<StreamId> StreamTable::next(std::uint64_t from) const {
  while (from < streams()) {
    const StreamId stream(static_cast<std::uint32_t>(from));
    if (entry(stream).has_value()) return stream;
    from = align_down(from, kLevel2Streams) + kLevel2Streams;  // a whole level-2 table is missing
  }
  return std::nullopt;
}

}  // namespace penstock::iommu::smmuv3

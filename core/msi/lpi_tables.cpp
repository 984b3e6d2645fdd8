#include "core/msi/lpi_tables.hpp"

#include "core/base/bits.hpp"
#include "core/hw/gic/gicv3_frames.hpp"
#include "core/hw/gic/lpi.hpp"

namespace penstock::msi {
namespace {

namespace gic = hw::gic;

constexpr std::uint64_t kConfigurationBytes = kLpiCount;
constexpr std::uint64_t kPendingBytes = (1U << kLpiBits) / 8;
constexpr std::uint64_t kPendingAlignment = 64 * kKiB;  // PENDBASER holds bits 51:16

constexpr std::uint8_t configuration_byte(bool enabled, std::uint8_t priority) {
  namespace config = gic::lpi_config;
  return static_cast<std::uint8_t>((priority & config::Priority::kMask) |
                                   with<config::Enable>(config::Res1::kMask, enabled ? 1 : 0));
}

}  // namespace

Status LpiTables::init(mem::PagePool& pool, port::PhysMem& memory) {
  if (pool_ != nullptr) return fail(Code::kBadState);
  configuration_ = TRY(pool.take(kConfigurationBytes));
  pool_ = &pool;
  memory_ = &memory;
  std::byte* table = memory.map(configuration_, kConfigurationBytes);
  for (std::uint64_t i = 0; i < kConfigurationBytes; ++i) {
    table[i] = std::byte{configuration_byte(false, kPriority)};
  }
  memory.make_observable(configuration_, kConfigurationBytes);
  return {};
}

Status LpiTables::prepare(CpuIndex cpu) {
  if (pool_ == nullptr) return fail(Code::kBadState);
  if (cpu.value() >= kMaxCpus) return fail(Code::kOutOfRange, cpu.value());
  if ((prepared_ >> cpu.value() & 1) != 0) return {};
  pending_[cpu.value()] = TRY(pool_->take(kPendingBytes, kPendingAlignment));
  prepared_ |= std::uint64_t{1} << cpu.value();
  return {};
}

std::uint64_t LpiTables::propbaser() const {
  namespace gicr = gic::gicr;
  std::uint64_t value = with<gicr::PropIdBits>(0, kLpiBits - 1);
  value = with<gicr::PropInnerCache>(value, gic::kWriteBackReadWriteAllocate);
  value = with<gicr::PropShareability>(value, gic::kInnerShareable);
  return with<gicr::PropAddress>(value, configuration_.value() >> 12);
}

std::uint64_t LpiTables::pendbaser(CpuIndex cpu) const {
  namespace gicr = gic::gicr;
  std::uint64_t value = with<gicr::PendInnerCache>(0, gic::kWriteBackReadWriteAllocate);
  value = with<gicr::PendShareability>(value, gic::kInnerShareable);
  value = with<gicr::PendZero>(value, 1);  // PagePool hands out zeroed pages
  return with<gicr::PendAddress>(value, pending_[cpu.value()].value() >> 16);
}

std::byte* LpiTables::byte_of(HostLpi lpi) const {
  return memory_->map(configuration_ + (lpi.value() - kFirstLpi), 1);
}

void LpiTables::configure(HostLpi lpi, bool enabled, std::uint8_t priority) {
  *byte_of(lpi) = std::byte{configuration_byte(enabled, priority)};
  memory_->make_observable(configuration_ + (lpi.value() - kFirstLpi), 1);
}

bool LpiTables::enabled(HostLpi lpi) const {
  return get<gic::lpi_config::Enable>(std::to_integer<std::uint64_t>(*byte_of(lpi))) != 0;
}

std::uint8_t LpiTables::priority(HostLpi lpi) const {
  return std::to_integer<std::uint8_t>(*byte_of(lpi)) & gic::lpi_config::Priority::kMask;
}

}  // namespace penstock::msi

#include "sim/memory.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace penstock::sim {

Memory::Memory(Hpa base, std::uint64_t size, Coherency coherency)
    : base_(base), cpu_(size), device_(coherency == Coherency::kNonCoherent ? size : 0) {}

bool Memory::inside(std::uint64_t pa, std::uint64_t size) const {
  return pa >= base_.value() && fits(pa - base_.value(), size, cpu_.size());
}

std::byte* Memory::map(Hpa pa, std::uint64_t size) {
  if (!inside(pa.value(), size)) {
    std::fprintf(stderr, "sim: map of 0x%llx bytes at 0x%llx is outside the simulated RAM\n",
                 static_cast<unsigned long long>(size),
                 static_cast<unsigned long long>(pa.value()));
    std::abort();
  }
  return reinterpret_cast<std::byte*>(cpu_.data() + (pa - base_));
}

void Memory::make_observable(Hpa pa, std::uint64_t size) {
  const std::byte* from = map(pa, size);
  ++observable_calls_;
  if (hook_) hook_(pa, size);
  if (!device_.empty() && size != 0) std::memcpy(device_.data() + (pa - base_), from, size);
}

bool Memory::device_read(std::uint64_t pa, std::span<std::uint8_t> to) const {
  if (!inside(pa, to.size())) return false;
  if (!to.empty()) {
    std::memcpy(to.data(), device_view().data() + (pa - base_.value()), to.size());
  }
  return true;
}

bool Memory::device_write(std::uint64_t pa, std::span<const std::uint8_t> from) {
  if (!inside(pa, from.size())) return false;
  if (from.empty()) return true;
  // The CPU's view follows at once: the model has no stale clean lines in the CPU's caches.
  std::memcpy(cpu_.data() + (pa - base_.value()), from.data(), from.size());
  if (!device_.empty()) {
    std::memcpy(device_.data() + (pa - base_.value()), from.data(), from.size());
  }
  return true;
}

bool Memory::read(std::uint32_t /*requester*/, std::uint64_t address, std::span<std::uint8_t> to) {
  return device_read(address, to);
}

bool Memory::write(std::uint32_t /*requester*/, std::uint64_t address,
                   std::span<const std::uint8_t> from) {
  return device_write(address, from);
}

std::span<const std::uint8_t> Memory::device_view() const {
  return device_.empty() ? cpu_ : device_;
}

}  // namespace penstock::sim

// From a physical LPI to the guest that gets it: the one look-up of an interrupt's way.
//
// Readers (any CPU, interrupt path) take one relaxed load; a route is one 64-bit word, so it is
// never seen half-written. Writers hold the owning device's lock (device.hpp). A message that
// arrives while its route changes goes the old way or the new one, as on hardware; one that arrives
// after the route is gone is counted and dropped.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "core/base/ids.hpp"

namespace penstock::assign {

inline constexpr std::uint32_t kFirstLpi = 8192;
inline constexpr std::uint32_t kRouteCount = 8192;

struct Route {
  enum class Kind : std::uint8_t {
    kNone = 0,      // nobody wants it: counted
    kGuest = 1,     // deliver `lpi` to `vcpu` of `domain`
    kUnwanted = 2,  // a vector of `device` that its guest has not mapped: dropped, as by an ITS
    kStray = 3,     // an event that `device` was never given: an attempt to forge a message
  };
  Kind kind = Kind::kNone;
  DomainId domain;
  VcpuIndex vcpu;
  std::uint8_t device = 0;  // index in the table of devices
  GuestIntId lpi;           // < 2^24
};

class LpiRoutes {
 public:
  [[nodiscard]] Route get(HostLpi lpi) const {
    const std::uint32_t index = lpi.value() - kFirstLpi;
    if (index >= kRouteCount) return {};
    return unpack(words_[index].load(std::memory_order_relaxed));
  }
  void set(HostLpi lpi, const Route& route) {
    const std::uint32_t index = lpi.value() - kFirstLpi;
    if (index < kRouteCount) words_[index].store(pack(route), std::memory_order_relaxed);
  }

 private:
  static std::uint64_t pack(const Route& r) {
    return static_cast<std::uint64_t>(r.kind) | std::uint64_t{r.domain.value()} << 8 |
           std::uint64_t{r.vcpu.value()} << 16 | std::uint64_t{r.device} << 24 |
           std::uint64_t{r.lpi.value()} << 32;
  }
  static Route unpack(std::uint64_t w) {
    return {static_cast<Route::Kind>(w & 0xff), DomainId(static_cast<std::uint8_t>(w >> 8)),
            VcpuIndex(static_cast<std::uint8_t>(w >> 16)), static_cast<std::uint8_t>(w >> 24),
            GuestIntId(static_cast<std::uint32_t>(w >> 32))};
  }
  std::array<std::atomic<std::uint64_t>, kRouteCount> words_{};
};

}  // namespace penstock::assign

// The simulated board's RAM: one flat range of machine-physical memory.
//
// Two views of it: the CPU's (map()) and the devices' (device_read, device_write, and the DmaBus).
// On a coherent board they are one. On a board whose devices do not snoop the CPU's caches
// (kNonCoherent) a device sees what the CPU wrote only after make_observable(): a forgotten one
// shows as stale data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/base/address.hpp"
#include "core/port/phys_mem.hpp"
#include "sim/dma.hpp"

namespace penstock::sim {

class Memory final : public port::PhysMem, public DmaBus {
 public:
  enum class Coherency { kCoherent, kNonCoherent };

  Memory(Hpa base, std::uint64_t size, Coherency coherency = Coherency::kCoherent);
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  // port::PhysMem. Aborts the program when the range is not wholly inside: a bug of the code under
  // test.
  std::byte* map(Hpa pa, std::uint64_t size) override;
  void make_observable(Hpa pa, std::uint64_t size) override;

  // What devices do. False, and nothing done, when the range is not wholly inside: an external
  // abort.
  [[nodiscard]] bool device_read(std::uint64_t pa, std::span<std::uint8_t> to) const;
  [[nodiscard]] bool device_write(std::uint64_t pa, std::span<const std::uint8_t> from);
  bool read(std::uint32_t requester, std::uint64_t address, std::span<std::uint8_t> to) override;
  bool write(std::uint32_t requester, std::uint64_t address,
             std::span<const std::uint8_t> from) override;

  /// Called at the start of every make_observable(), while devices still see the old contents.
  void on_observable(std::function<void(Hpa, std::uint64_t)> hook) { hook_ = std::move(hook); }

  /// The devices' and the CPU's view, for tests that compare them; the same bytes on a coherent
  /// board.
  [[nodiscard]] std::span<const std::uint8_t> device_view() const;
  [[nodiscard]] std::span<const std::uint8_t> cpu_view() const { return cpu_; }

  [[nodiscard]] Hpa base() const { return base_; }
  [[nodiscard]] std::uint64_t size() const { return cpu_.size(); }
  /// How often make_observable() was called.
  [[nodiscard]] std::uint64_t observable_calls() const { return observable_calls_; }

 private:
  [[nodiscard]] bool inside(std::uint64_t pa, std::uint64_t size) const;

  Hpa base_;
  std::vector<std::uint8_t> cpu_;
  std::vector<std::uint8_t> device_;  // empty on a coherent board
  std::function<void(Hpa, std::uint64_t)> hook_;
  std::uint64_t observable_calls_ = 0;
};

}  // namespace penstock::sim

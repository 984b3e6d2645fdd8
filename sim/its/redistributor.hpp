// The simulated GICv3 redistributor of one CPU: its wake-up, its SGIs and PPIs as plain registers,
// and LPIs in full.
//
// LPI configuration is cached from the first look until INV or INVALL, and an invalidation takes
// effect only at the SYNC that follows it: a driver that forgets either sees stale configuration.
// Pending bits really live in the pending table.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "sim/its/frame.hpp"
#include "sim/memory.hpp"

namespace penstock::sim {

class Redistributor final : public RegisterFrame {
 public:
  struct Options {
    std::uint16_t number = 0;        // GICR_TYPER.Processor_Number
    std::uint32_t affinity = 0;      // Aff3.Aff2.Aff1.Aff0
    std::uint64_t base = 0x80a0000;  // machine-physical, of RD_base
    bool last = true;
    bool has_lpis = true;
    bool has_vlpis = false;  // says GICv4: twice the frames
    bool clearable = true;   // EnableLPIs can be cleared
    bool shareable = true;   // else the shareability fields read 0
    bool never_wakes = false;
    bool keeps_tables = true;  // else PROPBASER reads what firmware left
  };

  Redistributor(Memory& memory, Options options) : memory_(memory), options_(options) {}

  /// What the ITS does.
  void set_pending(std::uint32_t lpi);
  void clear_pending(std::uint32_t lpi);
  [[nodiscard]] bool is_pending(std::uint32_t lpi) const;
  void invalidate(std::uint32_t lpi) { stale_.push_back(lpi); }
  void invalidate_all() { stale_.push_back(kAll); }
  /// Something that a SYNC completes happened to this CPU's interrupts.
  void touch() { ++touched_; }
  void sync();
  /// Moves all pending LPIs to `to`.
  void move_all(Redistributor& to);

  /// What the CPU does: takes the most urgent enabled pending LPI, if there is one; it is then not
  /// pending any more.
  [[nodiscard]] std::optional<std::uint32_t> acknowledge();
  /// Every LPI taken so far.
  [[nodiscard]] const std::vector<std::uint32_t>& taken() const { return taken_; }
  /// Messages that arrived while LPIs were off, and INTIDs beyond the tables.
  [[nodiscard]] unsigned dropped() const { return dropped_; }
  /// Commands of the ITS that concern this CPU without a SYNC behind them.
  [[nodiscard]] std::size_t unsynchronised() const { return stale_.size() + touched_; }

  [[nodiscard]] bool lpis_on() const { return (control_ & 1) != 0; }
  [[nodiscard]] bool asleep() const { return (waker_ & 2) != 0; }
  [[nodiscard]] std::uint16_t number() const { return options_.number; }
  [[nodiscard]] std::uint64_t base() const { return options_.base; }
  /// A 32-bit register of SGI_base as it was last written.
  [[nodiscard]] std::uint32_t local(std::uint64_t offset) const { return local_[offset / 4]; }
  [[nodiscard]] std::uint32_t enabled() const { return enabled_; }
  void set_enabled(std::uint32_t value) { enabled_ = value; }
  /// Firmware that left LPIs on.
  void leave_on(std::uint64_t propbaser, std::uint64_t pendbaser);

 private:
  static constexpr std::uint32_t kAll = 0;  // no LPI has that number
  std::uint64_t read(std::uint64_t offset, unsigned size) override;
  void write(std::uint64_t offset, unsigned size, std::uint64_t value) override;
  void write_control(std::uint32_t value);
  void write_table(std::uint64_t& reg, std::uint64_t value);
  void write_local(std::uint64_t offset, std::uint32_t value);
  [[nodiscard]] std::uint64_t typer() const;
  [[nodiscard]] bool in_table(std::uint32_t lpi) const;
  [[nodiscard]] std::uint8_t configuration(std::uint32_t lpi);
  [[nodiscard]] std::vector<std::uint32_t> all_pending() const;
  [[nodiscard]] std::uint8_t pending_byte(std::uint32_t lpi) const;
  void write_pending(std::uint32_t lpi, bool pending);

  Memory& memory_;
  Options options_;
  std::uint32_t control_ = 0;
  std::uint32_t waker_ = 0x6;  // asleep
  std::uint64_t propbaser_ = 0;
  std::uint64_t pendbaser_ = 0;
  std::uint32_t enabled_ = 0;
  std::array<std::uint32_t, 0x4000> local_{};
  std::map<std::uint32_t, std::uint8_t> cache_;
  std::vector<std::uint32_t> stale_;
  std::vector<std::uint32_t> taken_;
  unsigned dropped_ = 0;
  unsigned touched_ = 0;
};

}  // namespace penstock::sim

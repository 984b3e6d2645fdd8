// The simulated GICv3 distributor, with security disabled: enough state to see whether a driver
// sets it up in an order that the architecture allows.
#pragma once

#include <array>
#include <cstdint>

#include "sim/its/frame.hpp"

namespace penstock::sim {

class Distributor final : public RegisterFrame {
 public:
  struct Options {
    unsigned lines = 288;         // INTIDs 0 .. lines - 1, a multiple of 32
    unsigned intid_bits = 16;     // 14 and more for LPIs
    unsigned lpi_count_code = 0;  // GICD_TYPER.num_LPIs
    bool has_lpis = true;
    bool can_route = true;    // affinity routing
    unsigned revision = 3;    // of the architecture, in PIDR2
    unsigned busy_looks = 2;  // how often RWP reads 1 after a change
    bool stuck = false;       // RWP never clears
  };
  struct Interrupt {
    bool group1 = false;
    bool enabled = false;
    bool pending = false;
    bool active = false;
    bool edge = false;
    std::uint8_t priority = 0;
    std::uint64_t route = 0;
  };

  Distributor() : Distributor(Options{}) {}
  explicit Distributor(Options options) : options_(options) {}

  /// What firmware may have left behind; also read by tests.
  [[nodiscard]] Interrupt& interrupt(unsigned intid) { return interrupts_[intid]; }
  [[nodiscard]] std::uint32_t control() const { return control_; }
  void set_control(std::uint32_t value) { control_ = value; }

 private:
  std::uint64_t read(std::uint64_t offset, unsigned size) override;
  void write(std::uint64_t offset, unsigned size, std::uint64_t value) override;
  void write_control(std::uint32_t value);
  void write_bits(std::uint64_t array, unsigned first, std::uint32_t value);
  void write_config(unsigned first, std::uint32_t value);
  [[nodiscard]] std::uint32_t read_bits(std::uint64_t array, unsigned first) const;
  [[nodiscard]] std::uint32_t typer() const;

  Options options_;
  std::uint32_t control_ = 0x40;  // DS
  unsigned busy_ = 0;
  std::array<Interrupt, 1024> interrupts_{};
};

}  // namespace penstock::sim

// The simulated ITS: registers, command queue and tables, written from the specification (Arm IHI
// 0069 H, 5 and 12.19). Device, collection and translation tables are really kept in the simulated
// RAM that software gave for them, in a format of the model's own, so that memory taken back too
// early or given twice is noticed.
//
// It can misbehave on request: stand still, run backwards, refuse a command, stall at errors.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sim/its/frame.hpp"
#include "sim/its/redistributor.hpp"
#include "sim/memory.hpp"

namespace penstock::sim {

class Its final : public RegisterFrame {
 public:
  struct Options {
    std::uint64_t base = 0x8080000;  // machine-physical
    unsigned device_bits = 16;
    unsigned event_bits = 16;
    unsigned intid_bits = 16;  // of the distributor
    unsigned itt_entry_bytes = 12;
    unsigned device_entry_bytes = 8;
    unsigned collection_entry_bytes = 8;
    unsigned held_collections = 0;  // HCC
    unsigned collection_bits = 16;  // CIDbits + 1
    bool physical = true;
    bool pta = false;
    bool two_levels = true;
    unsigned page_sizes = 0b111;  // 4, 16, 64 KiB
    bool shareable = true;        // else shareability fields read 0
    bool has_collection_table = true;
    bool never_rests = false;        // GITS_CTLR.Quiescent stays 0
    bool stalls = false;             // at errors; else they are skipped
    unsigned commands_per_look = 0;  // done each time GITS_CREADR is read; 0: all at once
  };
  struct Refusal {
    std::uint8_t opcode;
    std::string reason;
  };

  Its(Memory& memory, std::span<Redistributor* const> cpus, Options options);

  /// A device with DeviceID `device` writes `event` to GITS_TRANSLATER. True when an LPI became
  /// pending.
  bool message(std::uint32_t device, std::uint32_t event);
  [[nodiscard]] std::uint64_t doorbell() const { return options_.base + 0x10040; }

  // Misbehaviour.
  void stop_after(unsigned commands) { stop_after_ = commands; }  // GITS_CREADR moves no more
  void refuse_after(unsigned commands) {
    refuse_after_ = commands;
  }  // refuses one, that many later
  void refuse_always() { refuse_always_ = true; }
  void claim_position(std::uint64_t creadr) { claimed_position_ = creadr; }  // reads so for ever

  /// Commands that the architecture calls errors, in order.
  [[nodiscard]] const std::vector<Refusal>& refusals() const { return refusals_; }
  [[nodiscard]] const std::vector<std::uint8_t>& opcodes() const { return opcodes_; }
  [[nodiscard]] unsigned dropped_messages() const { return dropped_; }
  [[nodiscard]] bool enabled() const { return (control_ & 1) != 0; }
  void set_enabled() { control_ = 1; }
  [[nodiscard]] std::uint64_t table_register(unsigned n) const { return basers_[n]; }

 private:
  using Command = std::array<std::uint64_t, 4>;
  struct Translation {
    std::uint32_t intid;
    std::uint32_t collection;
    Redistributor* cpu;
  };
  struct Table {
    std::uint64_t itt;
    unsigned bits;
  };

  std::uint64_t read(std::uint64_t offset, unsigned size) override;
  void write(std::uint64_t offset, unsigned size, std::uint64_t value) override;
  void write_baser(unsigned n, std::uint64_t value);
  void write_cwriter(std::uint64_t value);
  void write_cbaser(std::uint64_t value);
  [[nodiscard]] std::uint64_t typer() const;

  void run(unsigned limit);
  [[nodiscard]] bool run_one();
  // One per command; the reason when the architecture calls it an error, else empty.
  [[nodiscard]] std::string execute(const Command& command);
  [[nodiscard]] std::string map_device(const Command& command);
  [[nodiscard]] std::string map_collection(const Command& command);
  [[nodiscard]] std::string map_event(const Command& command, std::uint32_t intid);
  [[nodiscard]] std::string move_event(const Command& command);
  [[nodiscard]] std::string move_all(const Command& command);
  [[nodiscard]] std::string on_event(const Command& command);
  [[nodiscard]] std::string invalidate_all(const Command& command);
  [[nodiscard]] std::string sync(const Command& command);

  [[nodiscard]] std::optional<std::uint64_t> device_entry(std::uint32_t device) const;
  [[nodiscard]] std::optional<Table> table_of(std::uint32_t device) const;
  [[nodiscard]] std::optional<std::uint64_t> event_entry(std::uint32_t device,
                                                         std::uint32_t event) const;
  [[nodiscard]] std::optional<Translation> translate(std::uint32_t device,
                                                     std::uint32_t event) const;
  [[nodiscard]] std::optional<std::uint64_t> collection_entry(std::uint32_t icid) const;
  [[nodiscard]] Redistributor* cpu_of_collection(std::uint32_t icid) const;
  [[nodiscard]] Redistributor* cpu_of_rdbase(std::uint64_t rdbase) const;
  [[nodiscard]] std::uint64_t load(std::uint64_t at, unsigned size) const;
  void store(std::uint64_t at, unsigned size, std::uint64_t value);

  Memory& memory_;
  std::vector<Redistributor*> cpus_;
  Options options_;
  std::uint32_t control_ = 0;
  std::uint64_t cbaser_ = 0;
  std::uint64_t cwriter_ = 0;  // byte offsets
  std::uint64_t creadr_ = 0;
  bool stalled_ = false;
  std::array<std::uint64_t, 8> basers_{};
  std::vector<std::optional<std::uint64_t>> held_;  // RDbase of collections without memory

  std::optional<unsigned> stop_after_;
  std::optional<unsigned> refuse_after_;
  bool refuse_always_ = false;
  std::optional<std::uint64_t> claimed_position_;
  std::vector<Refusal> refusals_;
  std::vector<std::uint8_t> opcodes_;
  unsigned dropped_ = 0;
};

}  // namespace penstock::sim

// One PCI function of the simulated board: registers with write masks, capabilities, BARs that size
// as hardware's do, resets, messages and a DMA engine. Written from PCI Local Bus 3.0 and PCI
// Express Base; offsets are its own numbers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/dma.hpp"

namespace penstock::sim {

class PciBus;

struct PciIdentity {
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::uint32_t class_code = 0;  // class << 16 | subclass << 8 | interface
};

enum class PciPortType : std::uint8_t {
  kEndpoint = 0,
  kRootPort = 4,
  kDownstream = 6,
  kPcieToPci = 7,
};

class PciFunction {
 public:
  explicit PciFunction(const PciIdentity& identity);
  virtual ~PciFunction() = default;
  PciFunction(const PciFunction&) = delete;
  PciFunction& operator=(const PciFunction&) = delete;

  // Building. All before the function is plugged into a bus.

  struct BarKind {
    bool is64 = false;
    bool prefetchable = false;
    bool io = false;
  };
  void add_bar(unsigned index, std::uint64_t size, BarKind kind);
  void add_rom(std::uint32_t size);
  /// Offset of `bytes` of zeroes behind a header with this id, linked into the list.
  unsigned add_capability(std::uint8_t id, unsigned bytes);
  unsigned add_extended(std::uint16_t id, unsigned bytes);
  unsigned add_express(PciPortType type, bool flr);
  unsigned add_power(bool no_soft_reset);
  unsigned add_advanced_features(bool flr);
  unsigned add_msi(unsigned log2_vectors, bool address64, bool maskable);
  unsigned add_msix(unsigned vectors, unsigned table_bar, std::uint32_t table_offset,
                    unsigned pba_bar, std::uint32_t pba_offset);
  unsigned add_acs(std::uint16_t can);
  void set_multi_function();
  /// Raw bytes, also of what software cannot write: for devices that are out of their minds.
  void poke(unsigned offset, unsigned size, std::uint32_t value);
  void set_writable(unsigned offset, unsigned size, std::uint32_t mask);

  // What the bus does.

  [[nodiscard]] std::uint32_t config_read(unsigned offset, unsigned size);
  virtual void config_write(unsigned offset, unsigned size, std::uint32_t value);
  /// True when a memory BAR decodes the whole access; `bar` and `at` then name the place.
  [[nodiscard]] bool decodes(std::uint64_t address, unsigned size, unsigned& bar,
                             std::uint64_t& at) const;
  [[nodiscard]] virtual std::uint64_t bar_read(unsigned bar, std::uint64_t at, unsigned size);
  virtual void bar_write(unsigned bar, std::uint64_t at, unsigned size, std::uint64_t value);
  /// Registers as after power-on. BAR contents are gone.
  virtual void reset();
  void hold_in_reset(bool held);
  void plug(PciBus* bus, unsigned devfn);

  // What the device does by itself. False: bus mastering is off, or the access was aborted.

  bool dma_read(std::uint64_t iova, std::span<std::uint8_t> to);
  bool dma_write(std::uint64_t iova, std::span<const std::uint8_t> from);
  /// Sends the vector's message, or notes it as pending where masked. False: nothing left the
  /// device.
  bool raise(unsigned vector);

  // How it misbehaves.

  /// After a reset this many config reads answer with Configuration RRS (vendor 0001, else
  /// all-ones).
  void ready_after(unsigned reads) { not_ready_reads_ = reads; }
  /// It never answers again once it was reset.
  void die_at_reset() { dies_ = true; }
  /// InitiateFlr and D0 do nothing.
  void ignore_reset(bool ignores = true) { ignores_reset_ = ignores; }
  void set_transactions_pending(bool pending);

  // For tests.

  [[nodiscard]] std::uint32_t peek(unsigned offset, unsigned size) const;
  [[nodiscard]] unsigned resets() const { return resets_; }
  [[nodiscard]] virtual std::uint64_t bar_address(unsigned index) const;
  [[nodiscard]] std::uint64_t bar_size(unsigned index) const { return bars_[index].size; }
  [[nodiscard]] virtual bool memory_enabled() const {
    return (peek(4, 2) & 2) != 0 && !in_low_power();
  }
  [[nodiscard]] bool bus_master() const { return (peek(4, 2) & 4) != 0 && !in_low_power(); }
  [[nodiscard]] unsigned devfn() const { return devfn_; }
  [[nodiscard]] PciBus* bus() const { return bus_; }
  [[nodiscard]] bool is_express() const { return express_ != 0; }
  [[nodiscard]] unsigned express_at() const { return express_; }
  [[nodiscard]] bool is_bridge() const { return (regs_[0x0e] & 0x7f) == 1; }
  [[nodiscard]] PciPortType port_type() const;
  [[nodiscard]] std::span<std::uint8_t> bar_memory(unsigned index) { return bars_[index].bytes; }

 protected:
  [[nodiscard]] bool in_low_power() const;

 private:
  static constexpr std::size_t kBytes = 4096;
  struct BarState {
    std::uint64_t size = 0;
    BarKind kind;
    std::vector<std::uint8_t> bytes;  // of a memory BAR, at most kBarStorage of it
  };
  static constexpr std::uint64_t kBarStorage = std::uint64_t{1} << 20;

  void fix(unsigned offset, unsigned size, std::uint32_t value);  // value and reset value
  void store(std::array<std::uint8_t, kBytes>& to, unsigned offset, unsigned size,
             std::uint32_t value);
  void follow_express(unsigned offset, unsigned size, std::uint32_t value);
  void follow_power(std::uint32_t before);
  void started_reset();
  void send_pending();
  void send_pending_msi();
  bool raise_msi(unsigned vector);
  bool send(std::uint64_t address, std::uint32_t data);
  [[nodiscard]] std::uint64_t msix_place(unsigned vector) const;
  void set_pending(unsigned vector, bool pending);
  [[nodiscard]] bool is_pending(unsigned vector) const;

  std::array<std::uint8_t, kBytes> regs_{};
  std::array<std::uint8_t, kBytes> initial_{};
  std::array<std::uint8_t, kBytes> writable_{};
  std::array<std::uint8_t, kBytes> clears_{};  // write 1 to clear
  std::array<BarState, 6> bars_{};
  PciBus* bus_ = nullptr;
  unsigned devfn_ = 0;
  unsigned next_capability_ = 0x40;
  unsigned last_capability_ = 0x33;  // whose next pointer is at + 1: the header's is at 0x34
  unsigned next_extended_ = 0x100;
  unsigned last_extended_ = 0;
  unsigned express_ = 0;
  unsigned power_ = 0;
  unsigned advanced_ = 0;
  unsigned msi_ = 0;
  unsigned msix_ = 0;
  unsigned not_ready_reads_ = 0;
  unsigned not_ready_left_ = 0;
  bool dies_ = false;
  bool dead_ = false;
  bool held_ = false;
  bool ignores_reset_ = false;
  unsigned resets_ = 0;
};

}  // namespace penstock::sim

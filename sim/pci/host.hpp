// The PCI hierarchy of the simulated board: buses, bridges that forward by their own registers, and
// the host bridge with its ECAM and memory windows.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/dma.hpp"
#include "sim/its/frame.hpp"
#include "sim/pci/function.hpp"

namespace penstock::sim {

class PciBridge;
class PciHost;

class PciBus {
 public:
  /// `bridge` is null for the root bus.
  PciBus(PciHost& host, PciBridge* bridge) : host_(host), bridge_(bridge) {}
  void plug(unsigned device, unsigned function, PciFunction& what);
  void unplug(unsigned devfn) { functions_[devfn] = nullptr; }
  [[nodiscard]] PciFunction* at(unsigned devfn) const { return functions_[devfn]; }
  [[nodiscard]] unsigned number() const;
  [[nodiscard]] std::span<PciFunction* const> functions() const { return functions_; }

  bool dma_read(const PciFunction& from, std::uint64_t iova, std::span<std::uint8_t> to);
  bool dma_write(const PciFunction& from, std::uint64_t iova, std::span<const std::uint8_t> bytes);

 private:
  /// The requester ID that the root complex sees; false when a bridge on the way does not master
  /// its bus.
  [[nodiscard]] bool upstream(std::uint32_t& requester) const;

  PciHost& host_;
  PciBridge* bridge_;
  std::array<PciFunction*, 256> functions_{};
};

/// A type 1 function and the bus behind it.
class PciBridge final : public PciFunction {
 public:
  PciBridge(PciHost& host, const PciIdentity& identity);
  void config_write(unsigned offset, unsigned size, std::uint32_t value) override;
  void reset() override;
  [[nodiscard]] PciBus& secondary_bus() { return bus_; }
  [[nodiscard]] unsigned secondary() const { return peek(0x19, 1); }
  [[nodiscard]] unsigned subordinate() const { return peek(0x1a, 1); }
  /// Passes on requests to any function number on its link (PCIe 6.13).
  [[nodiscard]] bool ari_forwarding() const;
  /// True when one of its two memory windows is open for the address and it forwards memory
  /// accesses.
  [[nodiscard]] bool forwards(std::uint64_t address) const;

 private:
  void follow_bus_reset();
  PciBus bus_;
  bool resetting_ = false;
};

class PciHost final : public RegisterFrame {
 public:
  /// Everything that devices send goes to `dma`: the SMMU, or memory.
  explicit PciHost(DmaBus& dma) : dma_(dma), root_(*this, nullptr) {}

  [[nodiscard]] PciBus& root() { return root_; }
  [[nodiscard]] DmaBus& dma() { return dma_; }
  /// The function that answers this requester ID with the bridges' present bus numbers.
  [[nodiscard]] PciFunction* find(unsigned bus, unsigned devfn);
  std::uint64_t memory_read(std::uint64_t address, unsigned size);
  void memory_write(std::uint64_t address, unsigned size, std::uint64_t value);
  /// Accesses that nobody claimed: an unsupported request, which kills some hosts.
  [[nodiscard]] unsigned unclaimed() const { return unclaimed_; }
  [[nodiscard]] unsigned config_accesses() const { return config_accesses_; }
  /// Bytes of the ECAM window; an access beyond them is a violation.
  static constexpr std::uint64_t kEcamBytes = std::uint64_t{256} << 20;

 protected:
  std::uint64_t read(std::uint64_t offset, unsigned size) override;
  void write(std::uint64_t offset, unsigned size, std::uint64_t value) override;

 private:
  [[nodiscard]] PciFunction* find_below(PciBus& bus, unsigned number, unsigned devfn);
  struct Target {
    PciFunction* function = nullptr;
    unsigned bar = 0;
    std::uint64_t at = 0;
  };
  void claim(PciBus& bus, std::uint64_t address, unsigned size, Target& target);
  [[nodiscard]] Target route(std::uint64_t address, unsigned size);
  /// The function of an ECAM access; null and a violation noted where the access itself is wrong.
  [[nodiscard]] PciFunction* config_target(std::uint64_t offset, unsigned size);

  DmaBus& dma_;
  PciBus root_;
  unsigned unclaimed_ = 0;
  unsigned config_accesses_ = 0;
};

/// A CPU's window on the host bridge's memory space that begins at bus address `base`.
class PciWindow final : public RegisterFrame {
 public:
  PciWindow(PciHost& host, std::uint64_t base) : host_(host), base_(base) {}

 protected:
  std::uint64_t read(std::uint64_t offset, unsigned size) override {
    return host_.memory_read(base_ + offset, size);
  }
  void write(std::uint64_t offset, unsigned size, std::uint64_t value) override {
    host_.memory_write(base_ + offset, size, value);
  }

 private:
  PciHost& host_;
  std::uint64_t base_;
};

}  // namespace penstock::sim

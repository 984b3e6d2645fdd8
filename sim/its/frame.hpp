// A window of simulated registers: every access arrives in one place, with its width.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/port/mmio.hpp"

namespace penstock::sim {

class RegisterFrame : public port::Mmio {
 public:
  std::uint8_t read8(std::uint64_t offset) override {
    return static_cast<std::uint8_t>(read(offset, 1));
  }
  std::uint16_t read16(std::uint64_t offset) override {
    return static_cast<std::uint16_t>(read(offset, 2));
  }
  std::uint32_t read32(std::uint64_t offset) override {
    return static_cast<std::uint32_t>(read(offset, 4));
  }
  std::uint64_t read64(std::uint64_t offset) override { return read(offset, 8); }
  void write8(std::uint64_t offset, std::uint8_t value) override { write(offset, 1, value); }
  void write16(std::uint64_t offset, std::uint16_t value) override { write(offset, 2, value); }
  void write32(std::uint64_t offset, std::uint32_t value) override { write(offset, 4, value); }
  void write64(std::uint64_t offset, std::uint64_t value) override { write(offset, 8, value); }

  /// What the software did that the specification calls unpredictable. Tests expect none.
  [[nodiscard]] const std::vector<std::string>& violations() const { return violations_; }

 protected:
  ~RegisterFrame() = default;
  virtual std::uint64_t read(std::uint64_t offset, unsigned size) = 0;
  virtual void write(std::uint64_t offset, unsigned size, std::uint64_t value) = 0;
  void violation(std::string what) { violations_.push_back(std::move(what)); }

 private:
  std::vector<std::string> violations_;
};

}  // namespace penstock::sim

// An endpoint whose resets go wrong in ways that plain functions (function.hpp) do not have.
#pragma once

#include <cstdint>

#include "sim/pci/function.hpp"

namespace penstock::sim {

class ResetFaults final : public PciFunction {
 public:
  enum class Fault : std::uint8_t {
    kNone,
    kOtherIdentity,  // comes back as another device
    kWrongBars,      // its base addresses are fixed to something else afterwards
    kNoDecode,       // its command register does not take memory decoding any more
    kPending,        // goes on waiting for completions
    kOnlyWithBus,    // it ignores its own resets, and says that it has them
  };

  explicit ResetFaults(const PciIdentity& identity) : PciFunction(identity) {}
  void set_fault(Fault fault) { fault_ = fault; }

  void config_write(unsigned offset, unsigned size, std::uint32_t value) override {
    if (fault_ == Fault::kOnlyWithBus) ignore_reset();
    PciFunction::config_write(offset, size, value);
    if (fault_ == Fault::kOnlyWithBus) ignore_reset(false);
  }
  void reset() override {
    PciFunction::reset();
    switch (fault_) {
      case Fault::kNone:
      case Fault::kOnlyWithBus: break;
      case Fault::kOtherIdentity: poke(0x00, 4, 0xbeef'1234); break;
      case Fault::kWrongBars:
        set_writable(0x10, 4, 0);
        poke(0x10, 4, 0xdead'0000);
        break;
      case Fault::kNoDecode: set_writable(0x04, 2, 0x0404); break;
      case Fault::kPending: set_transactions_pending(true); break;
    }
  }

 private:
  Fault fault_ = Fault::kNone;
};

}  // namespace penstock::sim

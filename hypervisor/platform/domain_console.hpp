// A domain's virtual UART output on the board's console.
#pragma once

#include "core/vm/virtual_pl011.hpp"
#include "hypervisor/arch/aarch64/sysreg.hpp"
#include "hypervisor/platform/console.hpp"

namespace penstock::platform {

class DomainConsole final : public vm::ConsoleSink {
 public:
  void bind(Console& console, unsigned source) {
    console_ = &console;
    source_ = source;
  }
  void put(char c) override {
    console_->put(source_, c);
    if (c != '\n') arm_flush();
  }

 private:
  /// An unfinished line is shown when nothing follows for a moment (a prompt): EL2's timer of this
  /// CPU, one shot.
  static void arm_flush() {
    constexpr std::uint64_t kFlushesPerSecond = 32;
    PENSTOCK_WRITE_SYSREG(cnthp_tval_el2, PENSTOCK_READ_SYSREG(cntfrq_el0) / kFlushesPerSecond);
    PENSTOCK_WRITE_SYSREG(cnthp_ctl_el2, 1);
  }
  Console* console_ = nullptr;
  unsigned source_ = 0;
};

}  // namespace penstock::platform

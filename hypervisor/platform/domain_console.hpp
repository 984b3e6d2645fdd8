// A domain's virtual UART output on the board's console.
#pragma once

#include "core/vm/virtual_pl011.hpp"
#include "hypervisor/platform/console.hpp"

namespace penstock::platform {

class DomainConsole final : public vm::ConsoleSink {
 public:
  void bind(Console& console, unsigned source) {
    console_ = &console;
    source_ = source;
  }
  bool put(char c) override { return console_->put(source_, c); }
  bool has_room() override { return console_->has_room(source_); }

 private:
  Console* console_ = nullptr;
  unsigned source_ = 0;
};

}  // namespace penstock::platform

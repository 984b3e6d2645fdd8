// port::Stage2Tlb for the CPUs of the board.
#pragma once

#include "core/mem/stage2_table.hpp"
#include "core/port/tlb.hpp"
#include "hypervisor/arch/aarch64/world.hpp"

namespace penstock::ports {

class CpuTlb final : public port::Stage2Tlb {
 public:
  /// The table whose translations are meant, and its VMID; both before the first use.
  void bind(const mem::Stage2Table& table, Vmid vmid) {
    table_ = &table;
    vmid_ = vmid;
  }
  void invalidate(Gpa start, std::uint64_t size) override {
    arch::invalidate_stage2(table_->root(), vmid_, start, size);
  }

 private:
  const mem::Stage2Table* table_ = nullptr;
  Vmid vmid_;
};

}  // namespace penstock::ports

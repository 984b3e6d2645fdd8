// The control interface as a PCI function on its domain's bus.
#pragma once

#include "core/assign/built_in.hpp"
#include "core/control/server.hpp"
#include "core/mem/stage2_table.hpp"
#include "core/port/config_space.hpp"

namespace penstock::control {

/// The config space behind the view: an endpoint with two BARs, which the facts describe, and
/// nothing else. Writes that reach it have no effect.
class Identity final : public port::ConfigSpace {
 public:
  std::uint32_t read(unsigned offset, unsigned size) override;
  void write(unsigned /*offset*/, unsigned /*size*/, std::uint32_t /*value*/) override {}
};

class Function final : public assign::BuiltIn {
 public:
  /// `window` as the server's; `table`: the domain's CPU table. All outlive the function.
  Function(Server& server, Hpa window, mem::Stage2Table& table)
      : server_(server), window_(window), table_(table) {}
  /// `windows`: where its BARs may lie in the guest. What VirtualFunction::init answers. Boot.
  Status init(const std::array<vpci::Window, 2>& windows);

  vpci::VirtualFunction& view() override { return view_; }
  std::uint64_t bar_read(unsigned bar, std::uint64_t offset, unsigned size) override;
  void bar_write(unsigned bar, std::uint64_t offset, unsigned size, std::uint64_t value) override;
  void apply(const vpci::Effects& effects) override;
  void fill_gap() override;
  void reset() override;

  [[nodiscard]] std::optional<mem::Stage2Mapping> shared() const override;

  [[nodiscard]] bool has_work() const { return server_.has_work(); }
  void run() { server_.run(); }

 private:
  void map(Gpa at);
  void unmap();

  Server& server_;
  Hpa window_;
  mem::Stage2Table& table_;
  Identity identity_;
  vpci::VirtualFunction view_;
  bool mapped_ = false;
  Gpa gpa_;
};

}  // namespace penstock::control

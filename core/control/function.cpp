#include "core/control/function.hpp"

#include "core/hw/pci/config.hpp"

namespace penstock::control {
namespace {

using Kind = vpci::Effect::Kind;

/// Shared memory: read and written by both sides, executed by none.
constexpr mem::Stage2Attributes kWindowAttributes{true, true, false,
                                                  mem::Stage2Attributes::Memory::kNormal};

constexpr std::uint32_t word_at(unsigned offset) {
  switch (offset) {
    case 0x00: return kVendorId | std::uint32_t{kDeviceId} << 16;
    case 0x08: return kClassCode << 8;                             // revision 0
    case 0x2c: return kVendorId | std::uint32_t{kDeviceId} << 16;  // subsystem
    default: return 0;  // type 0 header, no capability, no interrupt pin
  }
}

}  // namespace

std::uint32_t Identity::read(unsigned offset, unsigned size) {
  const std::uint32_t word = word_at(offset & ~3U) >> (8 * (offset & 3));
  return size >= 4 ? word : word & ((1U << (8 * size)) - 1);
}

Status Function::init(const std::array<vpci::Window, 2>& windows) {
  vpci::FunctionFacts facts;
  facts.hw = &identity_;
  // The register page has no machine address of its own; it is never mapped.
  facts.bars[kRegisterBar] = {window_, kRegisterBytes, false, false, false, Gpa(0)};
  facts.bars[kWindowBar] = {window_, kWindowBytes, false, true, true, Gpa(0)};
  vpci::PolicyOptions options;
  options.windows = windows;
  return view_.init(facts, options);
}

std::uint64_t Function::bar_read(unsigned bar, std::uint64_t offset, unsigned size) {
  return bar == kRegisterBar ? server_.read(offset, size) : 0;
}

void Function::bar_write(unsigned bar, std::uint64_t offset, unsigned size, std::uint64_t value) {
  if (bar == kRegisterBar) server_.write(offset, size, value);
}

void Function::unmap() {
  if (mapped_) (void)table_.unmap(gpa_, kWindowBytes);
  mapped_ = false;
}

void Function::apply(const vpci::Effects& effects) {
  for (const vpci::Effect& effect : effects) {
    if (effect.bar != kWindowBar) continue;
    if (effect.kind == Kind::kUnmapBar) unmap();
    if (effect.kind == Kind::kMapBar) map(effect.gpa);
  }
}

/// Where something else lies already, the window stays away until that has gone.
void Function::map(Gpa at) {
  unmap();
  mapped_ = table_.map(at, window_, kWindowBytes, kWindowAttributes).has_value();
  gpa_ = at;
}

void Function::fill_gap() {
  const vpci::BarView view = view_.bar(kWindowBar);
  if (view.mapped && !mapped_) map(view.gpa);
}

std::optional<mem::Stage2Mapping> Function::shared() const {
  if (!mapped_) return std::nullopt;
  return mem::Stage2Mapping{gpa_, window_, kWindowBytes, kWindowAttributes};
}

void Function::reset() {
  apply(view_.reset());
  server_.reset();
}

}  // namespace penstock::control

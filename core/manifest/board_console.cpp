// Which UART is the console: the one that /chosen/stdout-path names; without one the first alias,
// then the first UART of a known kind.
#include <libfdt.h>

#include <array>

#include "core/manifest/board_reader.hpp"

namespace penstock::manifest {
namespace {

struct KnownUart {
  std::string_view compatible;
  UartKind kind;
  std::uint8_t shift = 0;  // of an 8250, where the node does not say
  std::uint8_t width = 1;
};

// clang-format off
constexpr std::array kKnown = {
    KnownUart{"arm,pl011",               UartKind::kPl011},
    KnownUart{"arm,sbsa-uart",           UartKind::kSbsa},
    KnownUart{"ns8250",                  UartKind::k8250},
    KnownUart{"ns16450",                 UartKind::k8250},
    KnownUart{"ns16550",                 UartKind::k8250},
    KnownUart{"ns16550a",                UartKind::k8250},
    KnownUart{"ns16850",                 UartKind::k8250},
    KnownUart{"snps,dw-apb-uart",        UartKind::k8250},
    KnownUart{"brcm,bcm2835-aux-uart",   UartKind::k8250, 2, 4},
    KnownUart{"mediatek,mt6577-uart",    UartKind::k8250, 2, 4},
    KnownUart{"nvidia,tegra20-uart",     UartKind::k8250, 2, 4},
    KnownUart{"ti,am654-uart",           UartKind::k8250, 2, 4},
    KnownUart{"fsl,imx21-uart",          UartKind::kImx},
    KnownUart{"fsl,imx6q-uart",          UartKind::kImx},
    KnownUart{"fsl,imx7ulp-lpuart",      UartKind::kImxLpuart},
    KnownUart{"fsl,imx8ulp-lpuart",      UartKind::kImxLpuart},
    KnownUart{"fsl,imx8qxp-lpuart",      UartKind::kImxLpuart},
    KnownUart{"qcom,geni-debug-uart",    UartKind::kGeni},
    KnownUart{"qcom,geni-uart",          UartKind::kGeni},
};
// clang-format on

/// The most specific of its names that is known.
const KnownUart* known(const DeviceTree& tree, int node) {
  const int names = fdt_stringlist_count(tree.fdt(), node, "compatible");
  for (int i = 0; i < names; ++i) {
    int length = 0;
    const char* name = fdt_stringlist_get(tree.fdt(), node, "compatible", i, &length);
    if (name == nullptr || length < 0) return nullptr;
    const std::string_view is(name, static_cast<std::size_t>(length));
    for (const KnownUart& each : kKnown) {
      if (is == each.compatible) return &each;
    }
  }
  return nullptr;
}

std::optional<NodePath> first_known(const DeviceTree& tree) {
  for (NodePath at = tree.root(); tree.next(at);) {
    if (known(tree, at.node()) != nullptr && tree.enabled(at)) return at;
  }
  return std::nullopt;
}

/// A path or an alias; options may follow a colon ("serial0:115200n8").
std::optional<NodePath> named(const DeviceTree& tree, std::string_view name) {
  const std::string_view path = name.substr(0, name.find(':'));
  if (path.empty()) return std::nullopt;
  const int node = fdt_path_offset_namelen(tree.fdt(), path.data(), static_cast<int>(path.size()));
  return node < 0 ? std::nullopt : tree.at_offset(node);
}

std::optional<NodePath> chosen(const DeviceTree& tree) {
  const int node = fdt_path_offset(tree.fdt(), "/chosen");
  for (const char* property : {"stdout-path", "linux,stdout-path"}) {
    if (node >= 0 && tree.has(node, property)) {
      if (auto path = named(tree, tree.text(node, property))) return path;
    }
  }
  const auto first = named(tree, "serial0");
  if (first && tree.enabled(*first) && known(tree, first->node()) != nullptr) return first;
  return first_known(tree);
}

/// reg-shift, reg-io-width, reg-offset; false: they make no sense, or its bytes are swapped.
bool read_8250(const DeviceTree& tree, int node, Uart& uart) {
  const Cells shift = tree.cells(node, "reg-shift");
  const Cells width = tree.cells(node, "reg-io-width");
  const std::uint32_t offset = tree.cells(node, "reg-offset").at(0);
  if (shift.count != 0) uart.shift = static_cast<std::uint8_t>(shift.at(0) & 0xff);
  if (width.count != 0) uart.width = static_cast<std::uint8_t>(width.at(0) & 0xff);
  uart.registers.base += offset;
  const bool usual = uart.width == 1 || uart.width == 2 || uart.width == 4;
  return usual && shift.at(0) <= 4 && width.at(0) <= 4 && offset < kPageSize &&
         1U << uart.shift >= uart.width && !tree.has(node, "big-endian");
}

}  // namespace

ConsoleFound console_of(const DeviceTree& tree) {
  ConsoleFound out;
  out.path = chosen(tree);
  if (!out.path) return {{}, {}, "there is no UART of a kind that Penstock drives"};
  const KnownUart* kind = known(tree, out.path->node());
  if (kind == nullptr)
    return {out.path, {}, "the console is of a kind that Penstock does not drive"};
  if (!tree.enabled(*out.path)) return {out.path, {}, "the console is switched off (status)"};
  const auto registers = tree.reg(*out.path, 0);
  if (!registers) return {out.path, {}, registers.why};
  out.uart = Uart{*registers, 0, out.path->node(), kind->kind, kind->shift, kind->width};
  if (kind->kind == UartKind::k8250 && !read_8250(tree, out.path->node(), *out.uart)) {
    return {out.path, {}, "the console's registers are of an unusual layout"};
  }
  const auto intid = tree.interrupt(*out.path, 0);
  if (intid) out.uart->intid = *intid;
  out.why = intid.why;
  return out;
}

std::optional<Uart> find_console(std::span<const std::uint8_t> blob) {
  if (fdt_check_full(blob.data(), blob.size()) != 0) return std::nullopt;
  return console_of(DeviceTree(blob.data())).uart;
}

}  // namespace penstock::manifest

// Devices that show their configuration space, or their MSI-X table, once more in a memory BAR
// (H16). What a guest does there the virtual configuration space never sees. Data with sources;
// a device that is not in the table is not known to have such a place.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/pci/function_info.hpp"

namespace penstock::pci {

enum class MirrorKind : std::uint8_t {
  kConfig,  // byte n of the range is byte n of the configuration space
  kWindow,  // an address and a data register: what they reach depends on what is written
};

struct MirrorQuirk {
  std::uint16_t vendor;
  std::uint16_t device;
  std::uint16_t device_mask;  // 0: all devices of the vendor
  std::uint8_t base_class;    // of the class code; kMirrorAnyClass: any
  std::uint8_t bar;
  MirrorKind kind;
  std::uint32_t offset;  // in the BAR, bytes
  std::uint32_t bytes;
  std::string_view source;
};
inline constexpr std::uint8_t kMirrorAnyClass = 0xff;

/// All of them, for documentation and tests.
[[nodiscard]] std::span<const MirrorQuirk> mirror_quirks();
/// True when the function has this mirror: it is named, and has the BAR as memory large enough.
[[nodiscard]] bool has_mirror(const FunctionInfo& info, const MirrorQuirk& quirk);
/// True when it has any. Its owner can then write registers that are the hypervisor's: BARs, the
/// command register, messages. Assignment needs the configuration's word for it.
[[nodiscard]] bool mirrors_config(const FunctionInfo& info);

}  // namespace penstock::pci

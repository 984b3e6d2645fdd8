// The control function of the running Linux, by its files in sysfs. Needs no driver, and root.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "tools/penstockctl/channel.hpp"

namespace penstock::ctl {

inline constexpr const char* kPciDevices = "/sys/bus/pci/devices";

/// The folder of the control function: `wanted` (an address such as 0000:00:1f.0, or a folder), or
/// the one that has its class and IDs. Throws Failure (kNoInterface, or kUsage for a `wanted` that
/// is none).
[[nodiscard]] std::filesystem::path find_function(const std::filesystem::path& devices,
                                                  const std::string& wanted);

/// Switches the function's memory on and maps its BARs. Throws Failure (kNoInterface).
[[nodiscard]] std::unique_ptr<Channel> open_function(const std::filesystem::path& folder);

}  // namespace penstock::ctl

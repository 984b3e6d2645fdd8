// Reading one function's header and capability lists: the part of enumeration that assigns nothing.
#pragma once

#include <optional>

#include "core/pci/ecam.hpp"
#include "core/pci/function_info.hpp"

namespace penstock::pci {

/// Nothing when nobody answers. BARs are sized with decoding off and hold what they held before;
/// broken capability lists (loops, bad offsets) end the walk.
[[nodiscard]] std::optional<FunctionInfo> probe(HostBdf bdf, port::ConfigSpace& config);

}  // namespace penstock::pci

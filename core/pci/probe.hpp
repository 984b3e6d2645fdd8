// Reading one function's header and capability lists: the part of enumeration that assigns nothing.
#pragma once

#include <optional>
#include <span>

#include "core/pci/ecam.hpp"
#include "core/pci/function_info.hpp"

namespace penstock::pci {

/// Nothing when nobody answers. BARs are sized with decoding off and hold what they held before;
/// broken capability lists (loops, bad offsets) end the walk.
[[nodiscard]] std::optional<FunctionInfo> probe(HostBdf bdf, port::ConfigSpace& config);

/// The same of a virtual function that answers: what PCIe 9.3.4 leaves out of its config space is
/// its PF's. BARs and group are the caller's to fill in.
[[nodiscard]] FunctionInfo probe_vf(HostBdf bdf, port::ConfigSpace& config, const FunctionInfo& pf,
                                    const SriovInfo& sriov);

/// Sizes base address registers in a row, the first at config offset `at`. They decode nothing
/// meanwhile, and hold afterwards what they held before.
void size_bars(port::ConfigSpace& config, unsigned at, std::span<Bar> bars);

}  // namespace penstock::pci

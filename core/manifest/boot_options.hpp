// What a person tells the hypervisor at boot, beside its bundle: words in the board's bootargs.
#pragma once

#include <array>
#include <string_view>

namespace penstock::manifest {

/// An option as people write it. docs/configuration.md renders this table; a test compares.
struct BootOption {
  std::string_view name;
  std::string_view values;
  std::string_view meaning;
};

inline constexpr std::array kBootOptions = {
    BootOption{"viommu", "`on` (default) or `off`",
               "Whether domains may have an IOMMU of their own; with `off`, one that is configured "
               "with an `iommu` does not start, and the boot log says why"},
    BootOption{"spectre-bhb", "`on` (default) or `off`",
               "Whether the branch history of a guest is cleared on every entry to the hypervisor, "
               "on CPUs that need it"},
};

struct BootOptions {
  bool viommu = true;        // false: domains that are to have an IOMMU of their own are refused
  bool spectre_bhb = true;   // false: the guests are trusted not to steer EL2's speculation
  std::string_view unknown;  // the first word that is none of the options, empty when there is none
};

/// Reads `NAME=on` or `NAME=off` (also 1, 0, true, false, yes, no) of each option of the table.
/// Words are separated by spaces; of an option that is given twice the last one counts. Any text
/// gives an answer.
[[nodiscard]] BootOptions boot_options(std::string_view bootargs);

}  // namespace penstock::manifest

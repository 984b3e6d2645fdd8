// The answer when isolation itself is in doubt: all DMA aborts, every CPU stops, what helps is said
// once. Nothing that may itself be broken is needed for it: no lock, no pointer to a domain.
#pragma once

#include <string_view>

namespace penstock::arch {

/// Prints the reason, this CPU, the domain whose stage 2 it has, and a back-trace of image offsets
/// (resolve them with llvm-symbolizer-19 on penstock.elf). Of several CPUs, the first one's; a
/// panic in the panic switches the board off in silence.
[[noreturn]] void panic(std::string_view reason);

/// For ever, with everything masked: a CPU that another one's panic has told to.
[[noreturn]] void stop_this_cpu();

}  // namespace penstock::arch

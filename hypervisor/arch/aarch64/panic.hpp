// The answer when isolation itself is in doubt: say everything that helps, on every CPU stop, never
// return.
#pragma once

#include <string_view>

namespace penstock::arch {

/// Prints the reason, this CPU's registers that matter, the domain it ran, and a back-trace of
/// image offsets (resolve them with llvm-symbolizer-19 on penstock.elf). Every stream is left as it
/// is set: aborting or in stage 2.
[[noreturn]] void panic(std::string_view reason);

}  // namespace penstock::arch

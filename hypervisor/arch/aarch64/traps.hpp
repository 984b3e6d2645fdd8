// Entry points of the vectors (vectors.S) that others need too.
#pragma once

namespace penstock::arch {

/// Acknowledges and handles what is pending on this CPU, a bounded number. Idle loop and interrupt
/// traps.
void take_pending_interrupts();

}  // namespace penstock::arch

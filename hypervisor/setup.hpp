// The steps of the boot after the first CPU runs on its own address space (main.cpp calls them in
// this order).
#pragma once

namespace penstock {

struct Machine;

// hardware_setup.cpp: each says what is missing and what follows from it; a board without ITS, SMMU
// or host bridge can still run domains without devices.
void stop_idle_units(Machine& m);
void start_its(Machine& m);
void start_smmu(Machine& m);
void find_devices(Machine& m);
void enable_board_interrupts(Machine& m);
/// When a CPU got an owner or lost it: the board's interrupts go where they cost no domain's time,
/// if there is such a CPU.
void place_board_interrupts(Machine& m);

// domain_setup.cpp: a domain that cannot be built is left out with a message; the others go on.
void read_manifest(Machine& m);
void create_domains(Machine& m);
void start_domains(Machine& m);

}  // namespace penstock

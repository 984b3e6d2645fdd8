// Exception vectors of EL2 (DDI 0487 D1.3).
//
// A frame on the CPU's own stack holds x0..x30 at 8 * n, then ELR_EL2 and SPSR_EL2 (struct GuestFrame, context.hpp).
// Every entry saves these two and every return loads them from its own frame: the hypervisor is never preempted, but a
// device can abort an access that it makes at any time, and that exception overwrites both registers (panic.cpp).
// An interrupt from the guest saves, of the others, only what the procedure-call standard lets C++ change.

#define FRAME_SIZE 272
#define STACK_BIT 14                   // cpu.hpp: kStackBit
#define FRAME_ELR 248                  // SPSR_EL2 beside it
#define CPU_HISTORY_BRANCHES 4         // struct Cpu, cpu.hpp

  .macro save_return_state             // x0 and x1 are saved
  mrs   x0, elr_el2
  mrs   x1, spsr_el2
  stp   x0, x1, [sp, #FRAME_ELR]
  .endm

  .macro load_return_state             // x0 and x1 are loaded afterwards
  ldp   x0, x1, [sp, #FRAME_ELR]
  msr   elr_el2, x0
  msr   spsr_el2, x1
  .endm

  .macro return_from_exception         // eret is no barrier: a CPU may try what follows, at EL2 with a guest's registers
  eret
  dsb   nsh
  isb
  .endm

  .macro slot target
  .balign 128
  b     \target
  .endm

// Stacks are STACK_SIZE bytes, aligned so that the bit of that number is set in a stack pointer that is good, and nothing is
// mapped below them. An exception whose frame would not fit is told from one whose frame does without a register to spare:
// sp and x0 are added and subtracted until each is where it was.
  .macro own_exception kind
  .balign 128
  sub   sp, sp, #FRAME_SIZE
  add   sp, sp, x0
  sub   x0, sp, x0                     // x0: the stack pointer
  tbz   x0, #STACK_BIT, stack_overflow
  sub   x0, sp, x0                     // x0: as it was
  sub   sp, sp, x0
  stp   x0, x1, [sp, #0]
  mov   x0, #\kind
  b     own_exception_common
  .endm

  .section .vectors, "ax"
  .balign 2048
  .global exception_vectors
exception_vectors:
  own_exception 0                      // current EL, SP_EL0: never used
  own_exception 1
  own_exception 2
  own_exception 3
  own_exception 4                      // current EL, SP_EL2
  own_exception 5
  own_exception 6
  own_exception 7

  slot  guest_sync                     // lower EL, AArch64

  .balign 128                          // lower EL IRQ: the hot path, all of it in this slot
guest_irq:
  stp   x0, x1, [sp, #-FRAME_SIZE]!
  stp   x2, x3, [sp, #16]
  stp   x4, x5, [sp, #32]
  stp   x6, x7, [sp, #48]
  stp   x8, x9, [sp, #64]
  stp   x10, x11, [sp, #80]
  stp   x12, x13, [sp, #96]
  stp   x14, x15, [sp, #112]
  stp   x16, x17, [sp, #128]
  stp   x18, x30, [sp, #144]
  save_return_state
  bl    handle_guest_irq
  load_return_state
  ldp   x2, x3, [sp, #16]
  ldp   x4, x5, [sp, #32]
  ldp   x6, x7, [sp, #48]
  ldp   x8, x9, [sp, #64]
  ldp   x10, x11, [sp, #80]
  ldp   x12, x13, [sp, #96]
  ldp   x14, x15, [sp, #112]
  ldp   x16, x17, [sp, #128]
  ldp   x18, x30, [sp, #144]
  ldp   x0, x1, [sp], #FRAME_SIZE
  return_from_exception

  slot  guest_fiq
  slot  guest_serror

  slot  guest_aarch32                  // lower EL, AArch32: HCR_EL2.RW makes EL1 64-bit; EL0 may be 32-bit
  slot  guest_irq_aarch32
  slot  guest_fiq
  slot  guest_serror

// The same for CPUs that predict EL2's branches by what a guest has done before (Spectre-BHB, core/vm/branch_history.hpp):
// from a lower EL, the history is cleared before anything can be predicted by it. x0 and x1 are free there.

  .macro clear_by_branches             // as many as Cpu::history_branches (cpu.hpp) says
  mrs   x0, tpidr_el2
  ldr   w0, [x0, #CPU_HISTORY_BRANCHES]
1:b     2f
2:subs  w0, w0, #1
  b.ne  1b
  dsb   nsh
  isb
  .endm

  .macro clear_by_instruction
  hint  #22                            // CLRBHB
  isb
  .endm

  .macro clear_by_firmware             // SMCCC_ARCH_WORKAROUND_3; SMCCC 1.1 lets it change x0 to x3 alone
  stp   x2, x3, [sp, #-16]!
  mov   w0, #0x3fff
  movk  w0, #0x8000, lsl #16
  smc   #0
  ldp   x2, x3, [sp], #16
  .endm

  .macro clearing_slot clear, target
  .balign 128
  stp   x0, x1, [sp, #-16]!
  \clear
  ldp   x0, x1, [sp], #16
  b     \target
  .endm

  .macro clearing_vectors name, clear
  .section .vectors, "ax"
  .balign 2048
  .global \name
\name:
  own_exception 0
  own_exception 1
  own_exception 2
  own_exception 3
  own_exception 4
  own_exception 5
  own_exception 6
  own_exception 7
  clearing_slot \clear, guest_sync
  clearing_slot \clear, guest_irq
  clearing_slot \clear, guest_fiq
  clearing_slot \clear, guest_serror
  clearing_slot \clear, guest_aarch32
  clearing_slot \clear, guest_irq_aarch32
  clearing_slot \clear, guest_fiq
  clearing_slot \clear, guest_serror
  .endm

  clearing_vectors exception_vectors_after_branches, clear_by_branches
  clearing_vectors exception_vectors_after_instruction, clear_by_instruction
  clearing_vectors exception_vectors_after_firmware, clear_by_firmware

  .text
  .macro save_all
  stp   x0, x1, [sp, #-FRAME_SIZE]!
  stp   x2, x3, [sp, #16]
  stp   x4, x5, [sp, #32]
  stp   x6, x7, [sp, #48]
  stp   x8, x9, [sp, #64]
  stp   x10, x11, [sp, #80]
  stp   x12, x13, [sp, #96]
  stp   x14, x15, [sp, #112]
  stp   x16, x17, [sp, #128]
  stp   x18, x19, [sp, #144]
  stp   x20, x21, [sp, #160]
  stp   x22, x23, [sp, #176]
  stp   x24, x25, [sp, #192]
  stp   x26, x27, [sp, #208]
  stp   x28, x29, [sp, #224]
  str   x30, [sp, #240]
  save_return_state
  .endm

guest_sync:
guest_aarch32:
  save_all
  mov   x0, sp
  bl    handle_guest_sync
restore_and_return:
  load_return_state
  ldp   x2, x3, [sp, #16]
  ldp   x4, x5, [sp, #32]
  ldp   x6, x7, [sp, #48]
  ldp   x8, x9, [sp, #64]
  ldp   x10, x11, [sp, #80]
  ldp   x12, x13, [sp, #96]
  ldp   x14, x15, [sp, #112]
  ldp   x16, x17, [sp, #128]
  ldp   x18, x19, [sp, #144]
  ldp   x20, x21, [sp, #160]
  ldp   x22, x23, [sp, #176]
  ldp   x24, x25, [sp, #192]
  ldp   x26, x27, [sp, #208]
  ldp   x28, x29, [sp, #224]
  ldr   x30, [sp, #240]
  ldp   x0, x1, [sp], #FRAME_SIZE
  return_from_exception

guest_irq_aarch32:
  save_all
  bl    handle_guest_irq
  b     restore_and_return

guest_fiq:
  save_all
  mov   x0, sp
  mov   x1, #1
  bl    handle_guest_unexpected
  b     restore_and_return

guest_serror:
  save_all
  mov   x0, sp
  mov   x1, #2
  bl    handle_guest_unexpected
  b     restore_and_return

// For the first CPU whose stack is full. No other one needs to say so.
stack_overflow:
  adrp  x0, overflow_taken
  add   x0, x0, :lo12:overflow_taken
1:ldaxr w1, [x0]
  cbnz  w1, 2f
  mov   w1, #1
  stxr  w2, w1, [x0]
  cbnz  w2, 1b
  adrp  x0, overflow_stack_top
  add   x0, x0, :lo12:overflow_stack_top
  mov   sp, x0
  mov   x29, xzr
  mov   x30, xzr
  bl    handle_stack_overflow          // panic.cpp; does not return
2:wfe
  b     2b

  .section .bss
  .balign 16
  .skip 4096
overflow_stack_top:
overflow_taken:
  .skip 16

  .text
own_exception_common:
  stp   x2, x3, [sp, #16]
  stp   x4, x5, [sp, #32]
  stp   x6, x7, [sp, #48]
  stp   x8, x9, [sp, #64]
  stp   x10, x11, [sp, #80]
  stp   x12, x13, [sp, #96]
  stp   x14, x15, [sp, #112]
  stp   x16, x17, [sp, #128]
  stp   x18, x19, [sp, #144]
  stp   x20, x21, [sp, #160]
  stp   x22, x23, [sp, #176]
  stp   x24, x25, [sp, #192]
  stp   x26, x27, [sp, #208]
  stp   x28, x29, [sp, #224]
  str   x30, [sp, #240]
  mrs   x2, elr_el2
  mrs   x3, spsr_el2
  stp   x2, x3, [sp, #FRAME_ELR]
  mov   x1, sp
  bl    handle_own_exception           // panic.cpp; returns only when a device refused an access of ours
  b     restore_and_return

// std::uint64_t read_translation_of_el1(std::uint64_t va), read_translation_of_el0(std::uint64_t va)
// PAR_EL1 of a read by the guest at that level through its own stage 1; the guest's PAR_EL1 is kept. The walk reads where
// the guest's tables are; where a device aborts it, panic.cpp makes that a failed translation.
  .macro read_translation operation, level
  .global read_translation_of_\level
read_translation_of_\level:
  mrs   x1, par_el1
  .global walk_of_\level
walk_of_\level:
  at    \operation, x0
  isb
  mrs   x0, par_el1
  msr   par_el1, x1
  ret
  .endm
  read_translation s1e1r, el1
  read_translation s1e0r, el0

// [[noreturn]] void enter_guest(const GuestFrame* registers, void* stack_top)
// The stack starts afresh so that the frames of a start do not pile up.
  .global enter_guest
enter_guest:
  mov   sp, x1
  mov   x30, x0
  ldp   x0, x1, [x30, #FRAME_ELR]
  msr   elr_el2, x0
  msr   spsr_el2, x1
  ldp   x0, x1, [x30, #0]
  ldp   x2, x3, [x30, #16]
  ldp   x4, x5, [x30, #32]
  ldp   x6, x7, [x30, #48]
  ldp   x8, x9, [x30, #64]
  ldp   x10, x11, [x30, #80]
  ldp   x12, x13, [x30, #96]
  ldp   x14, x15, [x30, #112]
  ldp   x16, x17, [x30, #128]
  ldp   x18, x19, [x30, #144]
  ldp   x20, x21, [x30, #160]
  ldp   x22, x23, [x30, #176]
  ldp   x24, x25, [x30, #192]
  ldp   x26, x27, [x30, #208]
  ldp   x28, x29, [x30, #224]
  mov   x30, xzr
  return_from_exception

// [[noreturn]] void restart_on_stack(void* stack_top, void (*function)(void*), void* argument)
  .global restart_on_stack
restart_on_stack:
  mov   sp, x0
  mov   x0, x2
  mov   x29, xzr
  mov   x30, xzr
  br    x1

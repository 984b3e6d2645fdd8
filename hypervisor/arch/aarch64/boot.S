// From the loader to C++: arm64 Image header (Linux Documentation/arch/arm64/booting), self-relocation, stacks.
// Entered at EL2 with the MMU off, x0 = physical address of the board's device tree. No memory but the image is touched.

#define STACK_SIZE 16384

  .section .head, "ax"
  .global _image_start
_image_start:
  b     boot_cpu_entry
  .word 0
  .quad 0                              // text_offset: anywhere 2 MiB aligned
  .quad _image_end - _image_start      // image_size, rewritten by `penstock build` to cover the bundle
  .quad 0xa                            // little-endian, 4 KiB pages, anywhere in memory
  .quad 0, 0, 0
  .ascii "ARM\x64"
  .word 0

boot_cpu_entry:
  mov   x19, x0
  mrs   x1, CurrentEL
  cmp   x1, #(2 << 2)
  b.ne  hang                           // nothing can be said yet: no console is known
  msr   DAIFSet, #0xf
  mov   x9, #(1 << 31)                 // HCR_EL2: not VHE, EL1 is AArch64; CPTR_EL2: nothing of FP traps here
  msr   hcr_el2, x9
  mov   x9, #0x33ff
  msr   cptr_el2, x9
  isb
  adrp  x20, _image_start              // load address: the image is linked at 0

  adrp  x0, _bss_start                 // the loader need not have cleared it
  add   x0, x0, :lo12:_bss_start
  adrp  x1, _bss_end
  add   x1, x1, :lo12:_bss_end
1:cmp   x0, x1
  b.hs  2f
  stp   xzr, xzr, [x0], #16
  b     1b

2:adrp  x0, _rela_start                // R_AARCH64_RELATIVE only: *(base + offset) = base + addend
  add   x0, x0, :lo12:_rela_start
  adrp  x1, _rela_end
  add   x1, x1, :lo12:_rela_end
3:cmp   x0, x1
  b.hs  4f
  ldp   x2, x3, [x0], #16
  ldr   x4, [x0], #8
  cmp   w3, #1027
  b.ne  3b
  add   x4, x4, x20
  str   x4, [x20, x2]
  b     3b

4:adrp  x0, boot_stack_top
  add   x0, x0, :lo12:boot_stack_top
  mov   sp, x0
  mov   x29, xzr
  mov   x30, xzr
  mov   x0, x20
  mov   x1, x19
  b     penstock_boot                  // main.cpp; does not return

// PSCI CPU_ON lands here with x0 = CpuStart*: { ttbr0, tcr, mair, sctlr, stack top, Cpu* } (cpu.hpp), MMU off.
  .global secondary_cpu_entry
secondary_cpu_entry:
  msr   DAIFSet, #0xf
  mov   x9, #(1 << 31)                 // HCR_EL2: not VHE, EL1 is AArch64; CPTR_EL2: nothing of FP traps here
  msr   hcr_el2, x9
  mov   x9, #0x33ff
  msr   cptr_el2, x9
  isb
  ldp   x1, x2, [x0, #0]
  ldp   x3, x4, [x0, #16]
  ldp   x5, x6, [x0, #32]
  msr   ttbr0_el2, x1
  msr   tcr_el2, x2
  msr   mair_el2, x3
  tlbi  alle2
  dsb   sy
  isb
  msr   sctlr_el2, x4
  isb
  mov   sp, x5
  mov   x29, xzr
  mov   x30, xzr
  mov   x0, x6
  b     penstock_secondary             // main.cpp; does not return

hang:
  wfe
  b     hang

// As every stack (cpu.hpp: kStackBit). Nothing guards it: the boot CPU goes on on one of its own as soon as there are any.
  .section .bss
  .balign 2 * STACK_SIZE
  .skip STACK_SIZE
boot_stack:
  .skip STACK_SIZE
boot_stack_top:

// Entry of a hostile guest: an arm64 Image header, a stack, cleared bss, vectors that count and
// skip. Runs at EL1 on one CPU, with the MMU off until map_everything_as_memory() says otherwise.
    .section .text.head, "ax"
    .globl _start
_start:
    b       1f
    .long   0
    .quad   0                       // text_offset
    .quad   image_bytes             // image_size
    .quad   0xa                     // flags: little endian, 4 KiB pages, anywhere
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   0
1:  adrp    x1, stack_end
    add     x1, x1, :lo12:stack_end
    mov     sp, x1
    adrp    x1, vectors
    add     x1, x1, :lo12:vectors
    msr     vbar_el1, x1
    isb
    adrp    x1, bss_start
    add     x1, x1, :lo12:bss_start
    adrp    x2, bss_end
    add     x2, x2, :lo12:bss_end
2:  cmp     x1, x2
    b.hs    3f
    str     xzr, [x1], #8
    b       2b
3:  mrs     x1, cpacr_el1           // the compiler may use vector registers for copies
    orr     x1, x1, #(3 << 20)
    msr     cpacr_el1, x1
    isb
    bl      hostile_main
    bl      power_off
4:  wfi
    b       4b

// Every vector does the same: count, remember, step over the instruction, return. After a fetch that
// failed it goes on where the caller would. A supervisor call ends run_at_el0() and does not count.
// An SError or an interrupt has nothing to step over.
    .macro  vector kind, number
    .balign 128
    stp     x0, x1, [sp, #-16]!
    mov     x0, #\kind
    mov     x1, #\number
    b       count
    .endm

    .balign 2048
vectors:
    .irp    first, 0, 4, 8, 12
    vector 0, \first                // synchronous
    vector 1, \first + 1            // IRQ
    vector 1, \first + 2            // FIQ
    vector 2, \first + 3            // SError
    .endr

count:
    stp     x2, x3, [sp, #-16]!
    mrs     x2, esr_el1
    lsr     x3, x2, #26             // the exception's class
    cmp     x3, #0x11               // SVC of AArch32, of AArch64
    ccmp    x3, #0x15, #4, ne
    ccmp    x0, #0, #0, eq
    b.eq    leave_el0
    adrp    x3, exceptions
    add     x3, x3, :lo12:exceptions
    str     x1, [x3, #56]
    str     x2, [x3, #24]
    lsr     x1, x2, #26
    ldr     x2, [x3, x0, lsl #3]
    add     x2, x2, #1
    str     x2, [x3, x0, lsl #3]
    mrs     x2, far_el1
    str     x2, [x3, #32]
    mrs     x2, spsr_el1
    str     x2, [x3, #48]
    mrs     x2, elr_el1
    str     x2, [x3, #40]
    cbnz    x0, 5f
    and     x1, x1, #0x3e
    cmp     x1, #0x20               // a fetch: from EL0, from EL1
    add     x2, x2, #4
    csel    x2, x30, x2, eq
    msr     elr_el1, x2
5:  cmp     x0, #1                  // an interrupt would come again at once: mask it
    b.ne    6f
    mrs     x2, spsr_el1
    orr     x2, x2, #0xc0
    msr     spsr_el1, x2
6:  ldp     x2, x3, [sp], #16
    ldp     x0, x1, [sp], #16
    eret

// uint64_t run_at_el0(uint64_t code, uint64_t state, uint64_t argument)
    .globl  run_at_el0
run_at_el0:
    stp     x19, x20, [sp, #-96]!
    stp     x21, x22, [sp, #16]
    stp     x23, x24, [sp, #32]
    stp     x25, x26, [sp, #48]
    stp     x27, x28, [sp, #64]
    stp     x29, x30, [sp, #80]
    msr     elr_el1, x0
    msr     spsr_el1, x1
    adrp    x30, user_call          // where EL0 finds it: RAM at 0x40000000 is at 0x80000000 there
    add     x30, x30, :lo12:user_call
    mov     x3, #0x40000000
    add     x30, x30, x3
    mov     x0, x2
    eret

leave_el0:
    ldr     x0, [sp, #16]           // of EL0
    add     sp, sp, #32
    ldp     x21, x22, [sp, #16]
    ldp     x23, x24, [sp, #32]
    ldp     x25, x26, [sp, #48]
    ldp     x27, x28, [sp, #64]
    ldp     x29, x30, [sp, #80]
    ldp     x19, x20, [sp], #96
    ret

user_call:
    svc     #0

// long smccc_hvc(long args[8]) and long smccc_smc(long args[8]): x0 is the result.
    .globl smccc_hvc
smccc_hvc:
    stp     x29, x30, [sp, #-16]!
    mov     x9, x0
    ldp     x0, x1, [x9]
    ldp     x2, x3, [x9, #16]
    ldp     x4, x5, [x9, #32]
    ldp     x6, x7, [x9, #48]
    hvc     #0
    ldp     x29, x30, [sp], #16
    ret

    .globl smccc_smc
smccc_smc:
    stp     x29, x30, [sp, #-16]!
    mov     x9, x0
    ldp     x0, x1, [x9]
    ldp     x2, x3, [x9, #16]
    ldp     x4, x5, [x9, #32]
    ldp     x6, x7, [x9, #48]
    smc     #0
    ldp     x29, x30, [sp], #16
    ret

// HVC and SMC with an immediate that is not zero.
    .globl odd_immediates
odd_immediates:
    hvc     #1
    hvc     #0xffff
    smc     #1
    smc     #0xffff
    ret

    .globl second_cpu
second_cpu:                         // where CPU_ON is told to go: does nothing, for ever
    wfi
    b       second_cpu

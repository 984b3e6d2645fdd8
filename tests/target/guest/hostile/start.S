// Entry of a hostile guest: an arm64 Image header, a stack, cleared bss, vectors that count and
// skip. Runs at EL1 on one CPU, with the MMU off until hostile_map() says otherwise.
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

// Every vector does the same: count, remember, step over the instruction, return. An SError or an
// interrupt has nothing to step over.
    .macro  vector kind
    .balign 128
    stp     x0, x1, [sp, #-16]!
    mov     x0, #\kind
    b       count
    .endm

    .balign 2048
vectors:
    .rept 4
    vector 0                        // synchronous
    vector 1                        // IRQ
    vector 1                        // FIQ
    vector 2                        // SError
    .endr

count:
    adrp    x1, exceptions
    add     x1, x1, :lo12:exceptions
    stp     x2, x3, [sp, #-16]!
    ldr     x2, [x1, x0, lsl #3]
    add     x2, x2, #1
    str     x2, [x1, x0, lsl #3]
    mrs     x2, esr_el1
    str     x2, [x1, #24]
    cbnz    x0, 5f
    mrs     x2, elr_el1
    add     x2, x2, #4
    msr     elr_el1, x2
5:  cmp     x0, #1                  // an interrupt would come again at once: mask it
    b.ne    6f
    mrs     x2, spsr_el1
    orr     x2, x2, #0xc0
    msr     spsr_el1, x2
6:  ldp     x2, x3, [sp], #16
    ldp     x0, x1, [sp], #16
    eret

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

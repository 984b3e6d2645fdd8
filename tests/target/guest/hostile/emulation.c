// Instructions that the hypervisor carries out for its guest, and exceptions that it gives to it,
// beside the same that the CPU does itself. Prints one line for each question; the bare board's
// answers are the right ones.
#include "hostile.h"

// What the last snippet ended with; start.S is not used for it. The order is known to the assembly.
struct Seen {
  uint64_t nested;  // the handler's own SVC is on its way
  uint64_t vector;  // offset of the vector that was taken
  uint64_t syndrome;
  uint64_t link;
  uint64_t saved;    // SPSR_EL1: the snippet's PSTATE
  uint64_t handler;  // the handler's PSTATE, as a nested exception saves it
  uint64_t x0, x1, x2, x3;
};
static volatile struct Seen seen __attribute__((used, aligned(16)));

// Runs the code at `entry` with that PSTATE and these registers until it takes an exception.
void run_snippet(const char* entry, uint64_t pstate, uint64_t x0, uint64_t x1, uint64_t x2,
                 uint64_t x3);
extern const char observing_vectors[] HIDDEN;

__asm__(
    ".text\n"
    ".macro observe offset\n"
    "  .balign 128\n"
    "  stp x0, x1, [sp, #-16]!\n"
    "  mov x0, #\\offset\n"
    "  b observed\n"
    ".endm\n"
    ".macro no_such_exception\n"
    "  .balign 128\n"
    "  b .\n"
    ".endm\n"
    "  .balign 2048\n"
    "  .hidden observing_vectors\n"
    "  .globl observing_vectors\n"
    "observing_vectors:\n"
    "  observe 0x000\n no_such_exception\n no_such_exception\n no_such_exception\n"
    "  observe 0x200\n no_such_exception\n no_such_exception\n no_such_exception\n"
    "  observe 0x400\n no_such_exception\n no_such_exception\n no_such_exception\n"
    "  observe 0x600\n no_such_exception\n no_such_exception\n no_such_exception\n"
    // x0: the vector's offset. The first exception ends the snippet; the handler's own SVC shows the
    // handler's PSTATE.
    "observed:\n"
    "  adrp x1, seen\n"
    "  add x1, x1, :lo12:seen\n"
    "  stp x2, x3, [sp, #-16]!\n"
    "  ldr x2, [x1]\n"
    "  cbnz x2, 1f\n"
    "  str x0, [x1, #8]\n"
    "  mrs x2, esr_el1\n"
    "  mrs x3, elr_el1\n"
    "  stp x2, x3, [x1, #16]\n"
    "  mrs x2, spsr_el1\n"
    "  str x2, [x1, #32]\n"
    "  ldp x2, x3, [sp], #16\n"
    "  stp x2, x3, [x1, #64]\n"
    "  ldp x2, x3, [sp], #16\n"
    "  stp x2, x3, [x1, #48]\n"
    "  mov x0, #1\n"
    "  str x0, [x1]\n"
    "  svc #0\n"
    "1:\n"
    "  mrs x2, spsr_el1\n"
    "  str x2, [x1, #40]\n"
    "  str xzr, [x1]\n"
    "  add sp, sp, #32\n"
    "  adrp x2, 2f\n"
    "  add x2, x2, :lo12:2f\n"
    "  msr elr_el1, x2\n"
    "  mov x2, #0x3c5\n"
    "  msr spsr_el1, x2\n"
    "  eret\n"
    "  .globl run_snippet\n"
    "run_snippet:\n"
    "  stp x29, x30, [sp, #-96]!\n"
    "  stp x19, x20, [sp, #16]\n"
    "  stp x21, x22, [sp, #32]\n"
    "  stp x23, x24, [sp, #48]\n"
    "  stp x25, x26, [sp, #64]\n"
    "  stp x27, x28, [sp, #80]\n"
    "  msr elr_el1, x0\n"
    "  msr spsr_el1, x1\n"
    "  mov x0, x2\n"
    "  mov x1, x3\n"
    "  mov x2, x4\n"
    "  mov x3, x5\n"
    "  isb\n"
    "  eret\n"
    "2:\n"
    "  ldp x19, x20, [sp, #16]\n"
    "  ldp x21, x22, [sp, #32]\n"
    "  ldp x23, x24, [sp, #48]\n"
    "  ldp x25, x26, [sp, #64]\n"
    "  ldp x27, x28, [sp, #80]\n"
    "  ldp x29, x30, [sp], #96\n"
    "  ret\n");

// What snippets do: one thing that may trap, then additions to x2 (r2) that show where the program
// went on, then a call that ends it.
#define SNIPPET(name, text)                                          \
  extern const char name[] HIDDEN;                                   \
  __asm__(".text\n.balign 4\n.hidden " #name "\n.globl " #name "\n" #name ":\n" text)
#define COUNT_AND_END "add x2, x2, #1\n add x2, x2, #1\n add x2, x2, #1\n svc #1\n"

SNIPPET(undefined_by_the_cpu, ".inst 0x00000000\n");
SNIPPET(undefined_by_a_trap, "mrs x9, S3_0_C11_C0_7\n");
SNIPPET(load_word, "ldr w0, [x1]\n" COUNT_AND_END);
SNIPPET(load_signed, "ldrsw x0, [x1]\n" COUNT_AND_END);
SNIPPET(store_word, "str w0, [x1]\n" COUNT_AND_END);
SNIPPET(read_id_register, "mrs x9, S3_0_C0_C7_0\n" COUNT_AND_END);
// Of AArch32, assembled by hand.
#define T32_COUNT_AND_END ".short 0x3201, 0x3201, 0x3201, 0xdf01\n"  // adds r2, #1; ...; svc 1
SNIPPET(t32_load_short, ".short 0x6808\n" T32_COUNT_AND_END);           // ldr r0, [r1]
SNIPPET(t32_load_long, ".short 0xf8d1, 0x0000\n" T32_COUNT_AND_END);    // ldr.w r0, [r1]
SNIPPET(t32_store_short, ".short 0x6008\n" T32_COUNT_AND_END);          // str r0, [r1]
// cmp r3, #0; itte eq; ldreq r0, [r1]; addeq r2, #1; addne r2, #16; adds r2, #2; svc 1
SNIPPET(t32_in_it_block, ".short 0x2b00, 0xbf06, 0x6808, 0x3201, 0x3210, 0x3202, 0xdf01\n");
// it eq; ldreq r0, [r1] is the last of its block, then as above
SNIPPET(t32_last_of_it_block, ".short 0x2b00, 0xbf08, 0x6808, 0x3201, 0x3210, 0x3202, 0xdf01\n");
// ldr r0, [r1]; add r2, r2, #1; svc 1
SNIPPET(a32_load, ".inst 0xe5910000, 0xe2822001, 0xef000001\n");

enum {
  kEl1h = 0x3c5,
  kEl1t = 0x3c4,
  kEl0 = 0x3c0,
  kA32 = 0x1d0,
  kT32 = 0x1f0,
};
static const uint64_t kStep = UINT64_C(1) << 21;
static const uint64_t kBigEndian = UINT64_C(1) << 9;
static const uint64_t kSctlrE0e = UINT64_C(1) << 24;
static const uint64_t kBaud = 0x24;  // PL011: sixteen bits that can be written and read

static void change_sctlr(uint64_t clear, uint64_t set) {
  uint64_t value = 0;
  __asm__ volatile("mrs %0, sctlr_el1" : "=r"(value));
  value = (value & ~clear) | set;
  __asm__ volatile("msr sctlr_el1, %0\n isb" ::"r"(value) : "memory");
}

// A question is a family and a number: no table of texts, which would need relocation.
static void ask(const char* family, uint64_t number, const char* what, uint64_t value) {
  char question[48];
  size_t at = 0;
  for (const char* c = family; *c != '\0'; ++c) question[at++] = *c;
  question[at++] = '-';
  question[at++] = (char)('0' + number / 10 % 10);
  question[at++] = (char)('0' + number % 10);
  question[at++] = '-';
  for (const char* c = what; *c != '\0'; ++c) question[at++] = *c;
  question[at] = '\0';
  say_answer(question, value);
}

// The architecture keeps NZCV and DIT when it takes an exception; QEMU clears them.
static uint64_t handler(void) {
  return seen.handler & ~(UINT64_C(0xf) << 28 | UINT64_C(1) << 24);
}

static void exceptions_given(void) {
  const uint64_t pstates[] = {
      kEl1h,
      kEl1t,
      kEl1h | UINT64_C(0xf) << 28,  // NZCV
      kEl1h | UINT64_C(1) << 22,    // PAN
      kEl1h | UINT64_C(1) << 23,    // UAO
      kEl1h | UINT64_C(1) << 24,    // DIT
      kEl1h | UINT64_C(1) << 25,    // TCO
      kEl1h | UINT64_C(1) << 12,    // SSBS
      kEl1h | UINT64_C(1) << 13,    // ALLINT
      0x5,                          // nothing masked
  };
  const uint64_t span = UINT64_C(1) << 23;
  const uint64_t dssbs = UINT64_C(1) << 44;
  const uint64_t controls[] = {0, span, dssbs, span | dssbs};
  uint64_t number = 0;
  for (size_t c = 0; c < sizeof controls / sizeof controls[0]; ++c) {
    change_sctlr(span | dssbs, controls[c]);
    for (size_t p = 0; p < sizeof pstates / sizeof pstates[0]; ++p, ++number) {
      run_snippet(undefined_by_the_cpu, pstates[p], 0, 0, 0, 0);
      ask("cpu-undefined", number, "handler", handler());
      const uint64_t by_the_cpu = handler() ^ seen.saved << 1 ^ seen.vector << 2;
      run_snippet(undefined_by_a_trap, pstates[p], 0, 0, 0, 0);
      ask("trap-undefined", number, "handler", handler());
      ask("trap-undefined", number, "saved", seen.saved);
      ask("trap-undefined", number, "vector", seen.vector);
      ask("trap-undefined", number, "syndrome", seen.syndrome);
      ask("trap-undefined", number, "as-the-cpu",
          by_the_cpu == (handler() ^ seen.saved << 1 ^ seen.vector << 2) ? 1 : 0);
    }
  }
  change_sctlr(dssbs, span);
}

// Of a software step: whether an instruction of this CPU's was stepped (ISV) and a load-exclusive (EX)
// is known to the CPU only where it has executed the instruction itself.
static uint64_t comparable(uint64_t syndrome) {
  const uint64_t ec = syndrome >> 26;
  const bool step = ec == 0x32 || ec == 0x33;
  return step ? syndrome & ~(UINT64_C(1) << 24 | UINT64_C(1) << 6) : syndrome;
}

static void ask_where_it_went_on(const char* family, uint64_t number, const char* entry) {
  ask(family, number, "x0", seen.x0);
  ask(family, number, "x2", seen.x2);
  ask(family, number, "syndrome", comparable(seen.syndrome));
  ask(family, number, "link", seen.link - (uint64_t)(uintptr_t)entry);
}

// One access of EL1 with SCTLR_EL1.EE set. All in one: whatever the compiler put between would be
// big-endian, too.
#define BIG_ENDIAN(access)                                                              \
  "mrs x9, sctlr_el1\n orr x10, x9, #(1 << 25)\n msr sctlr_el1, x10\n isb\n" access "\n" \
  "msr sctlr_el1, x9\n isb\n"

static void big_endian(void) {
  const uint64_t baud = kUart + kBaud;
  const uint64_t queue = kIts + 0x80;  // GITS_CBASER: 64 bits that can be written and read
  uint64_t value = 0;
  store(baud, 4, 0x1280);
  __asm__ volatile(BIG_ENDIAN("ldr %w0, [%1]") : "=&r"(value) : "r"(baud) : "x9", "x10", "memory");
  ask("big-endian", 0, "load4", value);
  __asm__ volatile(BIG_ENDIAN("str %w0, [%1]") ::"r"(0x34120000), "r"(baud)
                   : "x9", "x10", "memory");
  ask("big-endian", 1, "store4", load(baud, 4));
  __asm__ volatile(BIG_ENDIAN("str %0, [%1]") ::"r"(UINT64_C(0x0010004000000000)), "r"(queue)
                   : "x9", "x10", "memory");
  ask("big-endian", 2, "store8", load(queue, 8));
  __asm__ volatile(BIG_ENDIAN("ldr %0, [%1]") : "=&r"(value) : "r"(queue) : "x9", "x10", "memory");
  ask("big-endian", 3, "load8", value);
  store(queue, 8, 0);

  store(baud, 4, 0x80);
  change_sctlr(0, kSctlrE0e);
  run_snippet(load_word, kEl0, 0, baud, 0, 0);
  ask_where_it_went_on("big-endian", 4, load_word);
  run_snippet(load_signed, kEl0, 0, baud, 0, 0);
  ask_where_it_went_on("big-endian", 5, load_signed);
  run_snippet(store_word, kEl0, 0x21000000, baud, 0, 0);
  ask("big-endian", 6, "store4", load(baud, 4));
  change_sctlr(kSctlrE0e, 0);
}

static void aarch32(void) {
  uint64_t features = 0;
  __asm__ volatile("mrs %0, id_aa64pfr0_el1" : "=r"(features));
  if ((features & 15) != 2) return;
  const uint64_t baud = kUart + kBaud;
  store(baud, 4, 0x1234);
  run_snippet(t32_load_short, kT32, 0, baud, 0, 0);
  ask_where_it_went_on("aarch32", 0, t32_load_short);
  run_snippet(t32_load_long, kT32, 0, baud, 0, 0);
  ask_where_it_went_on("aarch32", 1, t32_load_long);
  run_snippet(t32_store_short, kT32, 0x4321, baud, 0, 0);
  ask_where_it_went_on("aarch32", 2, t32_store_short);
  ask("aarch32", 2, "stored", load(baud, 4));
  run_snippet(t32_in_it_block, kT32, 0, baud, 0, 0);
  ask_where_it_went_on("aarch32", 3, t32_in_it_block);
  run_snippet(t32_in_it_block, kT32, 0, baud, 0, 1);
  ask_where_it_went_on("aarch32", 4, t32_in_it_block);
  run_snippet(t32_last_of_it_block, kT32, 0, baud, 0, 0);
  ask_where_it_went_on("aarch32", 5, t32_last_of_it_block);
  run_snippet(a32_load, kA32, 0, baud, 0, 0);
  ask_where_it_went_on("aarch32", 6, a32_load);
  run_snippet(t32_load_short, kT32 | kBigEndian, 0, baud, 0, 0);
  ask_where_it_went_on("aarch32", 7, t32_load_short);
  run_snippet(a32_load, kA32 | kBigEndian, 0, baud, 0, 0);
  ask_where_it_went_on("aarch32", 8, a32_load);
}

static void software_step(void) {
  const uint64_t baud = kUart + kBaud;
  const uint64_t debug_at_el1 = kEl1h & ~UINT64_C(0x200);  // D clear
  uint64_t memory = 7;
  store(baud, 4, 0x1234);
  // OSLAR_EL1: unlocked; MDSCR_EL1: KDE, SS.
  __asm__ volatile("msr S2_0_C1_C0_4, xzr\n isb\n mrs x9, mdscr_el1\n orr x9, x9, #1\n"
                   "orr x9, x9, #(1 << 13)\n msr mdscr_el1, x9\n isb" ::: "x9");
  run_snippet(load_word, kEl0 | kStep, 0, (uint64_t)(uintptr_t)&memory, 0, 0);
  ask_where_it_went_on("step", 0, load_word);
  run_snippet(load_word, kEl0 | kStep, 0, baud, 0, 0);
  ask_where_it_went_on("step", 1, load_word);
  run_snippet(store_word, kEl0 | kStep, 5, baud, 0, 0);
  ask_where_it_went_on("step", 2, store_word);
  run_snippet(load_word, debug_at_el1 | kStep, 0, baud, 0, 0);
  ask_where_it_went_on("step", 3, load_word);
  run_snippet(read_id_register, debug_at_el1 | kStep, 0, baud, 0, 0);
  ask_where_it_went_on("step", 4, read_id_register);
  run_snippet(undefined_by_a_trap, debug_at_el1 | kStep, 0, 0, 0, 0);
  ask_where_it_went_on("step", 5, undefined_by_a_trap);
  ask("step", 5, "saved", seen.saved);
  __asm__ volatile("msr mdscr_el1, xzr\n isb");
}

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  say("hostile emulation\n");
  const char* before = NULL;
  __asm__ volatile("mrs %0, vbar_el1" : "=r"(before));
  __asm__ volatile("msr vbar_el1, %0\n isb" ::"r"(observing_vectors) : "memory");
  exceptions_given();
  big_endian();
  aarch32();
  software_step();
  __asm__ volatile("msr vbar_el1, %0\n isb" ::"r"(before) : "memory");
  say_result("emulation", answers);
}

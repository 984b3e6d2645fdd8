// What does the owner of a CPU find in its registers? This names each that is not zero, fills all
// that it can with a pattern, lets its second CPU do the same twice, with a CPU_OFF in between, and
// is then typed how it goes on: it restarts or powers off. Whoever comes next must find the same as
// the first.
#include "pci.h"

static const uint64_t kPattern = UINT64_C(0x5ec2e75ec2e75ec2);

// Names in a text, each between two spaces: nothing relocates a table of addresses.
//
// Those that the exceptions write which reading the others takes.
static const char kOfExceptions[] = " ESR_EL1 ELR_EL1 SPSR_EL1 FAR_EL1 ";
// Those that move by themselves.
static const char kMoving[] = " CNTP_TVAL_EL0 CNTV_TVAL_EL0 ";
// Not painted: what this program stands on, PSTATE, locks, and what has an effect at once.
static const char kLeftAlone[] =
    " SCTLR_EL1 VBAR_EL1 CPACR_EL1 SPSel PAN UAO ALLINT PM NZCV DAIF DIT SSBS TCO OSLAR_EL1"
    " OSDLR_EL1 MDSCR_EL1 DBGPRCR_EL1 RMR_EL1 PMCR_EL0 SVCR CNTFRQ_EL0 ICC_DIR_EL1 ICC_SGI1R_EL1"
    " ICC_ASGI1R_EL1 ICC_SGI0R_EL1 ICC_EOIR0_EL1 ICC_EOIR1_EL1 ICC_SRE_EL1 DBGCLAIMCLR_EL1"
    " PMCNTENCLR_EL0 PMINTENCLR_EL1 PMOVSCLR_EL0 ";

__attribute__((noinline)) static bool is_in(const char* list, const char* name) {
  for (; *list != '\0'; ++list) {
    if (*list != ' ') continue;
    unsigned i = 0;
    while (name[i] != '\0' && list[1 + i] == name[i]) ++i;
    if (name[i] == '\0' && list[1 + i] == ' ') return true;
  }
  return false;
}

__attribute__((noinline)) static void say_found(const char* name, uint64_t value) {
  char digits[] = "0000000000000000";
  for (unsigned i = 0; i < 16; ++i) digits[15 - i] = "0123456789abcdef"[value >> (4 * i) & 15];
  say("FOUND ");
  say(name);
  say(" ");
  say(digits);
  say("\n");
}

// Reading one that is not there, or that traps, is an exception, which start.S counts and skips.
#define READ(op0, op1, crn, crm, op2) \
  __asm__ volatile("mrs %0, S" #op0 "_" #op1 "_C" #crn "_C" #crm "_" #op2 : "+r"(value)::"memory")
#define WRITE(op0, op1, crn, crm, op2)                                                       \
  __asm__ volatile("msr S" #op0 "_" #op1 "_C" #crn "_C" #crm "_" #op2 ", %0" ::"r"(kPattern) \
                   : "memory")

// Names those that are not zero, or only counts them.
static unsigned look(bool aloud) {
  unsigned count = 0;
#define SYSTEM_REGISTER(name, op0, op1, crn, crm, op2)          \
  if (!is_in(kOfExceptions, #name) && !is_in(kMoving, #name)) { \
    uint64_t value = 0;                                         \
    READ(op0, op1, crn, crm, op2);                              \
    count += value != 0;                                        \
    if (aloud && value != 0) say_found(#name, value);           \
  }
#include "core/hw/arm/system_registers.def"
#undef SYSTEM_REGISTER
  return count;
}

static void paint(void) {
#define SYSTEM_REGISTER(name, op0, op1, crn, crm, op2) \
  if (!is_in(kLeftAlone, #name)) WRITE(op0, op1, crn, crm, op2);
#include "core/hw/arm/system_registers.def"
#undef SYSTEM_REGISTER
}

#define EACH_PAIR(op)                                                                              \
  op(0, 1, 0) op(2, 3, 32) op(4, 5, 64) op(6, 7, 96) op(8, 9, 128) op(10, 11, 160) op(12, 13, 192) \
      op(14, 15, 224) op(16, 17, 256) op(18, 19, 288) op(20, 21, 320) op(22, 23, 352)              \
          op(24, 25, 384) op(26, 27, 416) op(28, 29, 448) op(30, 31, 480)
#define STORE_PAIR(a, b, at) "stp q" #a ", q" #b ", [%0, #" #at "]\n"
#define PAINT_PAIR(a, b, at) "dup v" #a ".2d, %0\n dup v" #b ".2d, %0\n"

struct Vectors {
  uint64_t half[64];
} __attribute__((aligned(16)));
static struct Vectors vectors_of[2];

static inline __attribute__((always_inline)) void keep_vectors(struct Vectors* into) {
  __asm__ volatile(EACH_PAIR(STORE_PAIR)::"r"(into) : "memory");
}

static void look_and_paint(unsigned cpu) {
  say_number("RESULT hostile registers looks cpu=", cpu);
  say("\n");
  unsigned found = look(true);
  for (unsigned i = 0; i < 64; ++i) {
    if (vectors_of[cpu].half[i] == 0) continue;
    ++found;
    say_number("vector ", i / 2);
    say("\n");
    say_found("vector", vectors_of[cpu].half[i]);
  }
  say_number("RESULT hostile registers looked cpu=", cpu);
  say_number(" found=", found);
  paint();
  say_number(" painted=", look(false));
  say("\n");
  __asm__ volatile(EACH_PAIR(PAINT_PAIR)::"r"(kPattern) : "memory");
}

static volatile uint64_t second_is_done;

void second_main(void) {
  keep_vectors(&vectors_of[1]);
  look_and_paint(1);
  ++second_is_done;
  const uint64_t off[8] = {0x84000002};
  (void)smccc_hvc(off);
}

// PSCI AFFINITY_INFO says "off" once it is.
static void run_second(uint64_t times) {
  const uint64_t is_on[8] = {0xc4000004, 1};
  while (smccc_hvc(is_on) != 1) {
  }
  if (!start_second()) return;
  while (second_is_done != times) {
  }
}

static char key(void) {
  store(kUart + 0x30, 4, 0x301);
  while ((load(kUart + 0x18, 4) & (1U << 4)) != 0) {
  }
  return (char)load(kUart, 1);
}

void hostile_main(uint64_t device_tree) {
  keep_vectors(&vectors_of[0]);
  (void)device_tree;
  look_and_paint(0);
  run_second(1);
  run_second(2);
  say("RESULT hostile registers waits\n");
  const uint64_t reset[8] = {0x84000009};
  if (key() == 'r') (void)smccc_hvc(reset);
  say_result("registers", 1);
}

// What a CPU at EL1 is like: identification registers, which registers exist, firmware. Prints one line for each question; the bare board's answers are the right ones.
#include "hostile.h"

// One identification register. Unallocated ones of the range read as zero (DDI 0487 D23.2).
#define ID(crm, op2)                                             \
  do {                                                           \
    uint64_t value_ = UINT64_MAX;                                \
    __asm__ volatile("mrs %0, S3_0_C0_C" #crm "_" #op2 : "=r"(value_)); \
    say_answer("id" #crm #op2, value_);                              \
  } while (0)
#define ID_ROW(crm) \
  ID(crm, 0);       \
  ID(crm, 1);       \
  ID(crm, 2);       \
  ID(crm, 3);       \
  ID(crm, 4);       \
  ID(crm, 5);       \
  ID(crm, 6);       \
  ID(crm, 7)

// 1: the register can be read; 0: undefined.
#define EXISTS(name, reg)                                             \
  do {                                                                \
    uint64_t value_ = 0;                                              \
    const uint64_t before_ = exceptions.synchronous;                  \
    __asm__ volatile("mrs %0, " reg : "+r"(value_)::"memory");        \
    say_answer("exists-" name, exceptions.synchronous == before_ ? 1 : 0); \
  } while (0)

static void identification(void) {
  ID_ROW(1);
  ID_ROW(2);
  ID_ROW(3);
  ID_ROW(4);
  ID_ROW(5);
  ID_ROW(6);
  ID_ROW(7);
}

static void registers(void) {
  // CPACR_EL1: nothing of SVE or SME traps to EL1 itself.
  __asm__ volatile("mrs x9, cpacr_el1\n orr x9, x9, #(3 << 16)\n orr x9, x9, #(3 << 24)\n"
                   "msr cpacr_el1, x9\n isb" ::: "x9");
  EXISTS("LORC_EL1", "S3_0_C10_C4_3");
  EXISTS("LORID_EL1", "S3_0_C10_C4_7");
  EXISTS("SCXTNUM_EL1", "S3_0_C13_C0_7");
  EXISTS("SCXTNUM_EL0", "S3_3_C13_C0_7");
  EXISTS("ERRIDR_EL1", "S3_0_C5_C3_0");
  EXISTS("DISR_EL1", "S3_0_C12_C1_1");
  EXISTS("PMCR_EL0", "pmcr_el0");
  EXISTS("PMMIR_EL1", "S3_0_C9_C14_6");
  EXISTS("ZCR_EL1", "S3_0_C1_C2_0");
  EXISTS("SMCR_EL1", "S3_0_C1_C2_6");
  EXISTS("SMPRI_EL1", "S3_0_C1_C2_4");
  EXISTS("TPIDR2_EL0", "S3_3_C13_C0_5");
  EXISTS("TRBLIMITR_EL1", "S3_0_C9_C11_0");
  EXISTS("TRFCR_EL1", "S3_0_C1_C2_1");
  EXISTS("PMSCR_EL1", "S3_0_C9_C9_0");
  EXISTS("BRBCR_EL1", "S2_1_C9_C0_0");
  EXISTS("GCR_EL1", "S3_0_C1_C0_6");
  EXISTS("RNDR", "S3_3_C2_C4_0");
  EXISTS("TCR2_EL1", "S3_0_C2_C0_3");
  EXISTS("SCTLR2_EL1", "S3_0_C1_C0_3");
  EXISTS("PIR_EL1", "S3_0_C10_C2_3");
  EXISTS("GCSCR_EL1", "S3_0_C2_C5_0");
  EXISTS("ALLINT", "S3_0_C4_C3_0");
  EXISTS("MPAM1_EL1", "S3_0_C10_C5_0");
  EXISTS("AMCR_EL0", "S3_3_C13_C2_0");
  EXISTS("CNTPCTSS_EL0", "S3_3_C14_C0_5");
  EXISTS("APIAKeyLo_EL1", "S3_0_C2_C1_0");
  EXISTS("SSBS", "S3_3_C4_C2_6");
  EXISTS("DIT", "S3_3_C4_C2_5");
  EXISTS("PAN", "S3_0_C4_C2_3");
  EXISTS("UAO", "S3_0_C4_C2_4");
  EXISTS("TCO", "S3_3_C4_C2_7");
}

// Scalable vectors, where they are said to be there: as a CPU has them after reset, and how long.
static void scalable_vectors(void) {
  uint64_t features = 0;
  __asm__ volatile("mrs %0, id_aa64pfr0_el1" : "=r"(features));
  if ((features >> 32 & 15) == 0) return;
  static uint64_t vector[32] __attribute__((aligned(16)));
  uint64_t bytes = 0;
  uint64_t sum = 0;
  // CPACR_EL1.ZEN, ZCR_EL1.LEN
  __asm__ volatile(".arch_extension sve\n"
                   "mrs x9, cpacr_el1\n orr x9, x9, #(3 << 16)\n msr cpacr_el1, x9\n isb\n"
                   "mov x9, #15\n msr S3_0_C1_C2_0, x9\n isb\n"
                   "rdvl %0, #1\n"
                   "rdffr p0.b\n ptrue p1.b\n cntp %1, p1, p0.b\n"
                   "str z31, [%2]"
                   : "=&r"(bytes), "=&r"(sum)
                   : "r"(vector)
                   : "x9", "memory");
  for (size_t i = 0; i < bytes / 8 && i < 32; ++i) sum |= vector[i];
  say_answer("vector-bytes", bytes);
  say_answer("vector-state-at-reset", sum);
}

// Cache maintenance by set and way, over the first level of data cache, while caches are off.
static void set_and_way(void) {
  uint64_t geometry = 0;
  __asm__ volatile("msr csselr_el1, xzr\n isb\n mrs %0, ccsidr_el1" : "=r"(geometry));
  const uint64_t before = exceptions.synchronous;
  const uint64_t sets = (geometry >> 13 & 0x7fff) + 1;
  for (uint64_t set = 0; set < sets && set < 64; ++set) {
    const uint64_t operand = set << ((geometry & 7) + 4);
    __asm__ volatile("dc csw, %0\n dc cisw, %0\n dc isw, %0" ::"r"(operand) : "memory");
  }
  __asm__ volatile("dsb sy" ::: "memory");
  say_answer("set-and-way-exceptions", exceptions.synchronous - before);
}

static uint64_t firmware_call(uint64_t function, uint64_t argument) {
  const uint64_t arguments[8] = {function, argument};
  return (uint64_t)smccc_hvc(arguments);
}

static void firmware(void) {
  say_answer("smccc-version", firmware_call(0x80000000, 0));
  say_answer("smccc-features-version", firmware_call(0x80000001, 0x80000000));
  say_answer("smccc-features-features", firmware_call(0x80000001, 0x80000001));
  say_answer("smccc-features-workaround-1", firmware_call(0x80000001, 0x80008000));
  say_answer("smccc-features-workaround-2", firmware_call(0x80000001, 0x80007fff));
  say_answer("smccc-features-workaround-3", firmware_call(0x80000001, 0x80003fff));
  say_answer("psci-version", firmware_call(0x84000000, 0));
  say_answer("psci-features-suspend", firmware_call(0x8400000a, 0x84000001));
  say_answer("psci-features-suspend-64", firmware_call(0x8400000a, 0xc4000001));
  // A state that nobody has described: a cluster, powered down.
  say_answer("psci-suspend-unknown", (uint32_t)firmware_call(0xc4000001, 0x01010000));
}

static uint64_t counter(void) {
  uint64_t now = 0;
  __asm__ volatile("isb\n mrs %0, cntvct_el0" : "=r"(now)::"memory");
  return now;
}

// CPU_SUSPEND as a standby, which the virtual timer's interrupt ends. PSTATE keeps it masked, so that
// nobody takes it.
static void suspend(void) {
  const uint64_t timer = UINT64_C(1) << 27;
  store(kGicr + 0x14, 4, 0);                // GICR_WAKER: awake
  store(kGicr + 0x10080, 4, timer);         // GICR_IGROUPR0
  store(kGicr + 0x10100, 4, timer);         // GICR_ISENABLER0
  store(kGicd, 4, 0x12);                    // GICD_CTLR: ARE, group 1
  __asm__ volatile("mrs x9, S3_0_C12_C12_5\n orr x9, x9, #1\n msr S3_0_C12_C12_5, x9\n isb\n"
                   "mov x9, #0xff\n msr S3_0_C4_C6_0, x9\n"   // ICC_PMR_EL1
                   "mov x9, #1\n msr S3_0_C12_C12_7, x9\n isb"  // ICC_IGRPEN1_EL1
                   ::: "x9", "memory");
  uint64_t frequency = 0;
  __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(frequency));
  const uint64_t start = counter();
  const uint64_t wait = frequency / 10;
  __asm__ volatile("msr cntv_cval_el0, %0\n msr cntv_ctl_el0, %1\n isb" ::"r"(start + wait),
                   "r"(UINT64_C(1)));
  uint64_t calls = 0;
  uint64_t result = 0;
  uint64_t pending = 0;
  while (pending == 0 && result == 0 && calls < 1000) {
    result = firmware_call(0xc4000001, 0);
    ++calls;
    __asm__ volatile("mrs %0, isr_el1" : "=r"(pending));
  }
  __asm__ volatile("msr cntv_ctl_el0, xzr\n isb");
  say_answer("suspend-result", result);
  say_answer("suspend-interrupt-is-pending", pending);
  say_answer("suspend-until-the-timer", counter() - start >= wait ? 1 : 0);
  say_answer("suspend-sleeps", calls < 20 ? 1 : 0);  // it may wake for nothing, now and then
}

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  say("hostile architecture\n");
  identification();
  scalable_vectors();
  set_and_way();
  registers();
  firmware();
  suspend();
  say_result("architecture", answers);
}

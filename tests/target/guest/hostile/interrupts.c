// What a GICv3 has one right answer to, on two CPUs: redistributors that another CPU has set up, SGIs
// to a CPU that was off in between, deactivation by another CPU, more active interrupts than list
// registers, timers whose line falls. No harm is meant; it stands here for the runtime. Each answer is
// a line "RESULT hostile interrupts NAME right|wrong seen=…"; the bare board is the judge of them.
#include "hostile.h"

static const uint64_t kGicr1 = 0x080a0000 + 0x20000;
static const uint64_t kWaker = 0x14;
static const uint64_t kSgiFrame = 0x10000;
static const uint64_t kVirtualTimer = 27;
static const uint64_t kPhysicalTimer = 30;

static volatile uint64_t stage;  // how far the second CPU has come
static volatile uint64_t taken;  // the interrupt that it took last
static volatile uint64_t go;     // how far it may
static uint64_t stack[1024] __attribute__((aligned(16)));
static uint64_t attempts;

#define WRITE_SYSREG(name, value) \
  __asm__ volatile("msr " name ", %0\n isb" ::"r"((uint64_t)(value)) : "memory")

static uint64_t acknowledge(void) {
  uint64_t intid;
  __asm__ volatile("mrs %0, S3_0_C12_C12_0\n dsb sy" : "=r"(intid)::"memory");
  return intid & 0xffffff;
}
static void end(uint64_t intid) {
  WRITE_SYSREG("S3_0_C12_C12_1", intid);
}
static void deactivate(uint64_t intid) {
  WRITE_SYSREG("S3_0_C12_C11_1", intid);
}
static void sgi_to_1(uint64_t intid) {
  WRITE_SYSREG("S3_0_C12_C11_5", intid << 24 | 2);
}
static void set_up_cpu_interface(uint64_t eoi_mode) {
  WRITE_SYSREG("S3_0_C12_C12_5", 7);             // ICC_SRE_EL1
  WRITE_SYSREG("S3_0_C4_C6_0", 0xff);            // ICC_PMR_EL1
  WRITE_SYSREG("S3_0_C12_C12_3", 0);             // ICC_BPR1_EL1
  WRITE_SYSREG("S3_0_C12_C12_4", eoi_mode << 1);  // ICC_CTLR_EL1
  WRITE_SYSREG("S3_0_C12_C12_7", 1);             // ICC_IGRPEN1_EL1
}
/// What comes within a while; 1023: nothing. Nothing in here traps.
static uint64_t poll(void) {
  for (unsigned i = 0; i < 3000000; ++i) {
    const uint64_t intid = acknowledge();
    if (intid < 1020) return intid;
  }
  return 1023;
}
static uint64_t poll_shortly(void) {
  for (unsigned i = 0; i < 30000; ++i) {
    const uint64_t intid = acknowledge();
    if (intid < 1020) return intid;
  }
  return 1023;
}
static void wake(uint64_t redistributor) {
  store(redistributor + kWaker, 4, 0);
  for (unsigned i = 0; i < 100000 && (load(redistributor + kWaker, 4) & 4) != 0; ++i) {
  }
}

// Where the second CPU begins: vector registers on, a stack, then its life.
__asm__(
    ".globl first_entry\nfirst_entry:\n adr x9, first_life\n b 1f\n"
    ".globl second_entry\nsecond_entry:\n adr x9, second_life\n"
    "1: mrs x10, cpacr_el1\n orr x10, x10, #(3 << 20)\n msr cpacr_el1, x10\n isb\n mov sp, x0\n"
    " blr x9\n2: wfi\n b 2b\n");
__attribute__((visibility("hidden"))) void first_entry(void);
__attribute__((visibility("hidden"))) void second_entry(void);
__attribute__((visibility("hidden"))) void first_life(void);
__attribute__((visibility("hidden"))) void second_life(void);

void first_life(void) {
  stage = 1;
  while (go != 1) {
  }
  wake(kGicr1);
  store(kGicr1 + kSgiFrame + 0x80, 4, ~0u);
  store(kGicr1 + kSgiFrame + 0x100, 4, 0xffff);
  for (unsigned i = 0; i < 16; i += 4) store(kGicr1 + kSgiFrame + 0x400 + i, 4, 0xa0a0a0a0);
  set_up_cpu_interface(0);
  stage = 2;
  taken = poll();
  if (taken < 1020) end(taken);
  stage = 3;
  const uint64_t cpu_off[8] = {0x84000002};
  (void)smccc_hvc(cpu_off);
}
void second_life(void) {
  set_up_cpu_interface(0);  // registers only: nothing here traps
  stage = 4;
  taken = poll();
  stage = 5;
  if (taken < 1020) end(taken);
  while (go != 2) {
  }
  set_up_cpu_interface(1);
  deactivate(40);
  stage = 6;
}

static void cpu_on(void (*entry)(void)) {
  const uint64_t call[8] = {0xC4000003, 1, (uint64_t)(uintptr_t)entry,
                            (uint64_t)(uintptr_t)(stack + 1024)};
  for (unsigned i = 0; i < 1000000 && smccc_hvc(call) == -4; ++i) {
  }  // ALREADY_ON: it is still on its way off
}
static void await(uint64_t wanted) {
  for (unsigned i = 0; i < 30000000 && stage < wanted; ++i) {
  }
}
static void judge(const char* what, uint64_t seen, uint64_t right) {
  ++attempts;
  say("RESULT hostile interrupts ");
  say(what);
  say(seen == right ? " right" : " wrong");
  say_number(" seen=", seen);
  say_number(" right=", right);
  say("\n");
}

static void redistributor_of_a_cpu_that_is_off(void) {
  store(kGicd, 4, 0x12);
  wake(kGicr1);
  store(kGicr1 + kSgiFrame + 0x80, 4, ~0u);
  store(kGicr1 + kSgiFrame + 0x100, 4, 0x00ff);
  store(kGicr1 + kSgiFrame + 0x400, 4, 0x40404040);
  cpu_on(first_entry);
  await(1);
  judge("enables-outlive-first-cpu-on", load(kGicr1 + kSgiFrame + 0x100, 4) & 0xff, 0xff);
  judge("priorities-outlive-first-cpu-on", load(kGicr1 + kSgiFrame + 0x400, 4), 0x40404040);
}

static void sgis_in_two_lives(void) {
  go = 1;
  await(2);
  sgi_to_1(3);
  await(3);
  judge("sgi-in-first-life", taken, 3);
  cpu_on(second_entry);
  await(4);
  for (unsigned i = 0; i < 100000; ++i) __asm__ volatile("nop");
  sgi_to_1(5);
  await(5);
  judge("sgi-after-second-cpu-on", taken, 5);
}

static void pend_spi(unsigned spi) {
  store(kGicd + 0x204, 4, 1u << (spi - 32));
}
static void set_up_spis(void) {
  store(kGicd + 0x84, 4, ~0u);
  store(kGicd + 0xc08, 4, 0xaaaaaaaa);
  store(kGicd + 0xc0c, 4, 0xaaaaaaaa);
  for (unsigned i = 32; i < 64; i += 4) store(kGicd + 0x400 + i, 4, 0xa0a0a0a0);
  for (unsigned i = 32; i < 64; ++i) store(kGicd + 0x6000 + 8 * i, 8, 0);
  store(kGicd + 0x104, 4, 0x00ffff00);  // 40..55
}
static void forget_spis(void) {
  store(kGicd + 0x384, 4, ~0u);
  store(kGicd + 0x284, 4, ~0u);
}

static void deactivated_elsewhere(void) {
  set_up_cpu_interface(1);
  pend_spi(40);
  judge("spi", poll(), 40);
  end(40);
  go = 2;
  await(6);
  judge("active-after-another-cpus-deactivation", load(kGicd + 0x304, 4) >> 8 & 1, 0);
  pend_spi(40);
  const uint64_t again = poll();
  judge("spi-after-another-cpus-deactivation", again, 40);
  if (again == 40) end(again);
  forget_spis();
}

static void many_active(void) {
  unsigned count = 0;
  for (unsigned spi = 40; spi < 56; ++spi) {
    pend_spi(spi);
    if (poll() != spi) break;
    end(spi);
    ++count;
  }
  judge("active-at-once", count, 16);
  for (unsigned spi = 40; spi < 56; ++spi) deactivate(spi);
  judge("active-when-all-are-deactivated", load(kGicd + 0x304, 4), 0);
  forget_spis();
}

static void many_nested(void) {
  set_up_cpu_interface(0);
  unsigned count = 0;
  for (unsigned i = 0; i < 12; ++i) {
    store(kGicd + 0x400 + 40 + i, 1, 0xe0 - 0x10 * i);
    pend_spi(40 + i);
    if (poll() != 40 + i) break;
    ++count;
  }
  judge("nested", count, 12);
  pend_spi(52);
  judge("less-urgent-while-nested", poll_shortly(), 1023);
  for (unsigned i = count; i-- > 1;) end(40 + i);
  judge("active-but-the-first", load(kGicd + 0x304, 4), 1u << 8);
  end(40);
  const uint64_t waited = poll();
  judge("that-had-to-wait", waited, 52);
  if (waited < 1020) end(waited);
  forget_spis();

  static const uint8_t priorities[] = {0xc0, 0xa0, 0x80, 0x20, 0x20};
  for (unsigned i = 0; i < 5; ++i) store(kGicd + 0x400 + 40 + i, 1, priorities[i]);
  for (unsigned i = 0; i < 3; ++i) {
    pend_spi(40 + i);
    judge("preempting", poll(), 40 + i);
  }
  store(kGicd + 0x204, 4, 3u << 11);
  const uint64_t first = poll();
  judge("first-urgent", first, 43);
  end(first);
  const uint64_t second = poll();
  judge("second-urgent", second, 44);
  end(second);
  for (unsigned i = 3; i-- > 0;) end(40 + i);
  forget_spis();
}

static void set_timer(uint64_t intid, uint64_t control) {
  if (intid == kVirtualTimer) {
    WRITE_SYSREG("cntv_tval_el0", 0);
    WRITE_SYSREG("cntv_ctl_el0", control);
  } else {
    WRITE_SYSREG("cntp_tval_el0", 0);
    WRITE_SYSREG("cntp_ctl_el0", control);
  }
}
static void pause_a_while(void) {
  for (unsigned i = 0; i < 200000; ++i) __asm__ volatile("nop");
}

static void timer_line(uint64_t intid) {
  const uint64_t frame = kGicr + kSgiFrame;
  const uint32_t bit = 1u << intid;
  wake(kGicr);
  store(frame + 0x80, 4, ~0u);
  store(frame + 0x400 + intid, 1, 0xa0);
  store(frame + 0x180, 4, bit);
  set_timer(intid, 1);
  pause_a_while();
  judge("timer-pending-while-disabled", (load(frame + 0x200, 4) & bit) != 0, 1);
  store(frame + 0x280, 4, bit);
  judge("timer-pending-after-clear", (load(frame + 0x200, 4) & bit) != 0, 1);
  set_timer(intid, 0);
  pause_a_while();
  judge("timer-pending-when-off", (load(frame + 0x200, 4) & bit) != 0, 0);
  set_timer(intid, 1);
  pause_a_while();
  set_timer(intid, 0);
  store(frame + 0x100, 4, bit);
  const uint64_t stale = poll_shortly();
  judge("timer-that-went-off-before-enable", stale, 1023);
  if (stale < 1020) end(stale);
  set_timer(intid, 1);
  const uint64_t real = poll();
  judge("timer-that-fires", real, intid);
  set_timer(intid, 0);
  if (real < 1020) end(real);
  judge("timer-after-its-end", poll_shortly(), 1023);
  store(frame + 0x180, 4, bit);
}

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  redistributor_of_a_cpu_that_is_off();
  sgis_in_two_lives();
  set_up_spis();
  deactivated_elsewhere();
  many_active();
  many_nested();
  timer_line(kVirtualTimer);
  timer_line(kPhysicalTimer);
  say_result("interrupts", attempts);
}

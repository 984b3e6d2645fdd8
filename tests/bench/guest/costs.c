// What a CPU pays for its interrupts: a program without an operating system that runs on the bare
// board and in a domain, on as many CPUs as there are. Built with the hostile guests' start.S and
// runtime.c. It says how many nanoseconds of virtual time each operation takes, which under
// -icount shift=0 are instructions of whichever CPU runs: the CPUs that are not needed sleep.
#include "tests/target/guest/hostile/hostile.h"

enum { ROUNDS = 500, MOST_CPUS = 8, LPI = 8192, DEVICE = 3 << 3 };

static const uint64_t kSgiFrame = 0x10000;
static const uint64_t kRedistributor = 0x20000;
static const uint64_t kConfig = kEcam + (DEVICE << 12);
static const uint64_t kBar = kMmio32;
static const uint64_t kProperties = 0x41000000;
static const uint64_t kPending = 0x41010000;  // 64 KiB for each CPU
static const uint64_t kDevices = 0x41200000;
static const uint64_t kCollections = 0x41300000;
static const uint64_t kEvents = 0x41400000;
static const uint64_t kQueue = 0x41500000;

static uint64_t stacks[MOST_CPUS][256] __attribute__((aligned(16)));
static volatile uint64_t online;

#define WRITE_SYSREG(name, value) \
  __asm__ volatile("msr " name ", %0\n isb" ::"r"((uint64_t)(value)) : "memory")

static uint64_t now(void) {
  uint64_t ticks;
  __asm__ volatile("isb\n mrs %0, cntvct_el0" : "=r"(ticks)::"memory");
  return ticks;
}
static uint64_t acknowledge(void) {
  uint64_t intid;
  __asm__ volatile("mrs %0, S3_0_C12_C12_0\n dsb sy" : "=r"(intid)::"memory");
  return intid & 0xffffff;
}
static void end(uint64_t intid) {
  WRITE_SYSREG("S3_0_C12_C12_1", intid);
}
static void sgi(uint64_t cpu, uint64_t intid) {
  WRITE_SYSREG("S3_0_C12_C11_5", intid << 24 | 1u << cpu);
}
/// Takes the next interrupt, asleep until it comes.
static uint64_t take(void) {
  for (;;) {
    const uint64_t intid = acknowledge();
    if (intid < 1020 || intid >= LPI) {
      end(intid);
      return intid;
    }
    __asm__ volatile("wfi" ::: "memory");
  }
}

static void set_up_cpu(uint64_t cpu) {
  const uint64_t frame = kGicr + cpu * kRedistributor;
  store(frame + 0x14, 4, 0);
  while ((load(frame + 0x14, 4) & 4) != 0) {
  }
  store(frame + kSgiFrame + 0x80, 4, ~0u);
  for (unsigned i = 0; i < 32; i += 4) store(frame + kSgiFrame + 0x400 + i, 4, 0xa0a0a0a0);
  store(frame + kSgiFrame + 0x100, 4, 0xffff | 1u << 27);
  WRITE_SYSREG("S3_0_C12_C12_5", 7);
  WRITE_SYSREG("S3_0_C4_C6_0", 0xff);
  WRITE_SYSREG("S3_0_C12_C12_7", 1);
}

// The other CPUs send back what they get.
__asm__(
    ".globl other_entry\nother_entry:\n mrs x10, cpacr_el1\n orr x10, x10, #(3 << 20)\n"
    " msr cpacr_el1, x10\n isb\n mov sp, x0\n bl other_cpu\n");
__attribute__((visibility("hidden"))) void other_entry(void);
__attribute__((visibility("hidden"))) void other_cpu(void);
void other_cpu(void) {
  uint64_t mpidr;
  __asm__ volatile("mrs %0, mpidr_el1" : "=r"(mpidr));
  set_up_cpu(mpidr & 0xff);
  online = online + 1;
  for (;;) sgi(0, take());
}
static unsigned start_cpus(void) {
  unsigned cpus = 1;
  for (; cpus < MOST_CPUS; ++cpus) {
    const uint64_t call[8] = {0xC4000003, cpus, (uint64_t)(uintptr_t)other_entry,
                              (uint64_t)(uintptr_t)(stacks[cpus] + 256)};
    if (smccc_hvc(call) != 0) break;
    while (online < cpus) {
    }
  }
  return cpus;
}

static uint32_t queued;
static void command(uint64_t a, uint64_t b, uint64_t c) {
  const uint64_t at = kQueue + queued * 32;
  store(at, 8, a);
  store(at + 8, 8, b);
  store(at + 16, 8, c);
  store(at + 24, 8, 0);
  ++queued;
}
/// The device's message becomes LPI 8192 of CPU 0. Its BAR is in place afterwards.
static int set_up_message(void) {
  if (load(kConfig, 4) == 0xffffffff) return 0;
  store(kProperties, 1, 0xa1);
  store(kGicr + 0x70, 8, kProperties | 15);
  store(kGicr + 0x78, 8, kPending | 1ull << 62);
  store(kGicr, 4, 1);
  store(kIts + 0x100, 8, 1ull << 63 | kDevices | 0x0f);
  store(kIts + 0x108, 8, 1ull << 63 | kCollections | 0x0f);
  store(kIts + 0x80, 8, 1ull << 63 | kQueue);
  store(kIts + 0x88, 8, 0);
  store(kIts, 4, 1);
  command(0x08 | (uint64_t)DEVICE << 32, 4, 1ull << 63 | kEvents);
  command(0x09, 0, 1ull << 63);
  command(0x0a | (uint64_t)DEVICE << 32, (uint64_t)LPI << 32, 0);
  command(0x0c | (uint64_t)DEVICE << 32, 0, 0);
  command(0x05, 0, 0);
  store(kIts + 0x88, 8, queued * 32);
  while (load(kIts + 0x90, 8) != queued * 32) {
  }
  store(kConfig + 0x10, 4, kBar);
  store(kConfig + 4, 2, 6);
  unsigned at = (unsigned)load(kConfig + 0x34, 1);
  while (at != 0 && load(kConfig + at, 1) != 5) at = (unsigned)load(kConfig + at + 1, 1);
  if (at == 0) return 0;
  store(kConfig + at + 4, 4, kItsTranslation + 0x40);
  store(kConfig + at + 8, 4, 0);
  store(kConfig + at + 12, 2, 0);
  store(kConfig + at + 2, 2, 0x81);
  return 1;
}

static void hvc(void) {
  const uint64_t version[8] = {0x84000000};
  (void)smccc_hvc(version);
}
static void read_distributor(void) {
  (void)load(kGicd + 8, 4);
}
static void read_uart(void) {
  (void)load(kUart + 0x18, 4);
}
static void sgi_to_itself(void) {
  sgi(0, 1);
  (void)take();
}
static void sgi_and_back(void) {
  sgi(1, 2);
  (void)take();
}
static void message(void) {
  store(kBar + 0x60, 4, 1);
  (void)take();
  store(kBar + 0x64, 4, 1);
}
static void tick(void) {
  WRITE_SYSREG("cntv_tval_el0", 0);
  WRITE_SYSREG("cntv_ctl_el0", 1);
  while (acknowledge() != 27) {
  }
  WRITE_SYSREG("cntv_ctl_el0", 0);
  end(27);
}

static void time_of(const char* name, void (*operation)(void)) {
  operation();
  const uint64_t begin = now();
  for (unsigned i = 0; i < ROUNDS; ++i) operation();
  const uint64_t ticks = now() - begin;
  uint64_t frequency;
  __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(frequency));
  say("RESULT time ");
  say(name);
  say_number(" picoseconds=", ticks * 1000000 / ROUNDS * 1000000 / frequency);
  say("\n");
}

void hostile_main(uint64_t device_tree) {
  (void)device_tree;
  store(kGicd, 4, 0x12);
  set_up_cpu(0);
  const unsigned cpus = start_cpus();
  time_of("hvc", hvc);
  time_of("distributor", read_distributor);
  time_of("uart", read_uart);
  time_of("tick", tick);
  time_of("self", sgi_to_itself);
  if (cpus > 1) time_of("pair", sgi_and_back);
  if (set_up_message()) time_of("message", message);
  say_number("RESULT done cpus=", cpus);
  say("\n");
}

// QEMU TCG plugin: how many instructions the board executes between markers of the guest's programs.
//
// A marker is `hint #0x70` … `hint #0x7f`: no operation at any exception level, and nothing traps it. At a marker one
// line goes to the file, all numbers since the start of the board:
//
//   MARKER(hex) INSTRUCTIONS OWN SYNC IRQ WAITS TAKEN STACKS LONGEST
//
// INSTRUCTIONS  executed at all exception levels by all CPUs; a CPU that waits (WFI) executes none
// OWN           those of them in the range image=START-END, the hypervisor's
// SYNC, IRQ     entries to the hypervisor from a lower exception level, counted at its vectors (vectors=ADDRESS)
// WAITS, TAKEN  WFI, and reads of ICC_IAR1_EL1, outside the hypervisor: how often the kernel had nothing to do, and how
//               many interrupts it took
// STACKS        writes of SP_EL0, where Linux keeps the running task: more of them, more changes of task
// LONGEST       unlike the others since the last marker: most instructions of the hypervisor from one entry to the next
//
// With profile=MARKER the blocks of the hypervisor that run between that marker and the next 0x7f are counted too, and
// the end of the file has one line for each: `block ADDRESS INSTRUCTIONS EXECUTIONS`.
//
// An instruction that traps counts twice: when it traps, and when it has been answered or executes at last.
// Addresses are virtual; the hypervisor runs where it is loaded, and nothing else runs at these addresses after boot.
//
// Options: out=FILE (needed), image=START-END, vectors=ADDRESS, profile=MARKER; numbers are hexadecimal.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The few declarations of QEMU's plugin interface, version 4, that are used here: Debian packages no header of it.
typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_scoreboard;
struct qemu_info;
typedef struct {
  struct qemu_plugin_scoreboard *score;
  size_t offset;
} qemu_plugin_u64;
enum { ADD_U64 = 0, NO_REGISTERS = 0 };
typedef void (*TranslationCallback)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*ExecutionCallback)(unsigned int, void *);
typedef void (*ExitCallback)(qemu_plugin_id_t, void *);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, TranslationCallback);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, ExecutionCallback, int, void *);
void qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(struct qemu_plugin_insn *, int, qemu_plugin_u64, uint64_t);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, ExecutionCallback, int, void *);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, ExitCallback, void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *, void *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
struct qemu_plugin_scoreboard *qemu_plugin_scoreboard_new(size_t);
uint64_t qemu_plugin_u64_sum(qemu_plugin_u64);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 4;
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv);

enum { FIRST_MARKER = 0x70, END_MARKER = 0x7f };
enum { SYNC_SLOT = 0x400, IRQ_SLOT = 0x480 };  // in the vectors: from a lower exception level, AArch64

struct counts {  // one per CPU
  uint64_t all, own, sync, irq, waits, taken, stacks;
};

struct block {
  uint64_t address, instructions, executions;
  struct block *next;
};

static qemu_plugin_u64 all, own, sync_entries, irq_entries, waits, taken, stacks;
static uint64_t image_start, image_end, vectors;
static uint64_t own_at_entry, longest;
static unsigned profiled;  // marker, 0: none
static bool profiling;
static struct block *blocks;
static FILE *out;

static void at_entry(unsigned int cpu, void *data) {
  (void)cpu;
  (void)data;
  const uint64_t now = qemu_plugin_u64_sum(own);
  if (now - own_at_entry > longest) longest = now - own_at_entry;
  own_at_entry = now;
}

static void at_marker(unsigned int cpu, void *data) {
  at_entry(cpu, NULL);
  const unsigned marker = (unsigned)(uintptr_t)data;
  const qemu_plugin_u64 columns[] = {all, own, sync_entries, irq_entries, waits, taken, stacks};
  fprintf(out, "%x", marker);
  for (size_t i = 0; i < sizeof columns / sizeof columns[0]; ++i) {
    fprintf(out, " %llu", (unsigned long long)qemu_plugin_u64_sum(columns[i]));
  }
  fprintf(out, " %llu\n", (unsigned long long)longest);
  longest = 0;
  if (marker == profiled) profiling = true;
  if (marker == END_MARKER) profiling = false;
}

static void at_block(unsigned int cpu, void *data) {
  (void)cpu;
  if (profiling) ++((struct block *)data)->executions;
}

static void watch_block(struct qemu_plugin_tb *tb, uint64_t address, size_t instructions) {
  struct block *block = calloc(1, sizeof *block);
  if (block == NULL) return;
  block->address = address;
  block->instructions = instructions;
  block->next = blocks;
  blocks = block;
  qemu_plugin_register_vcpu_tb_exec_cb(tb, at_block, NO_REGISTERS, block);
}

static uint32_t word_of(const struct qemu_plugin_insn *instruction) {
  uint32_t word = 0;
  return qemu_plugin_insn_data(instruction, &word, sizeof word) == sizeof word ? word : 0;
}

static unsigned marker_of(uint32_t word) {
  if ((word & 0xfffff01fu) != 0xd503201fu) return 0;  // HINT #imm7, the immediate in bits [11:5]
  const unsigned number = word >> 5 & 0x7f;
  return number >= FIRST_MARKER ? number : 0;
}

static void count(struct qemu_plugin_insn *instruction, qemu_plugin_u64 counter) {
  qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(instruction, ADD_U64, counter, 1);
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
  (void)id;
  const size_t instructions = qemu_plugin_tb_n_insns(tb);
  for (size_t i = 0; i < instructions; ++i) {
    struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(tb, i);
    const uint64_t address = qemu_plugin_insn_vaddr(instruction);
    const bool inside = address >= image_start && address < image_end;
    const uint32_t word = word_of(instruction);
    count(instruction, all);
    if (inside) count(instruction, own);
    const bool sync = inside && vectors != 0 && address == vectors + SYNC_SLOT;
    const bool irq = inside && vectors != 0 && address == vectors + IRQ_SLOT;
    if (sync) count(instruction, sync_entries);
    if (irq) count(instruction, irq_entries);
    if (sync || irq) qemu_plugin_register_vcpu_insn_exec_cb(instruction, at_entry, NO_REGISTERS, NULL);
    if (inside && i == 0 && profiled != 0) watch_block(tb, address, instructions);
    if (!inside && word == 0xd503207fu) count(instruction, waits);                  // WFI
    if (!inside && (word & 0xffffffe0u) == 0xd538cc00u) count(instruction, taken);  // MRS Xt, ICC_IAR1_EL1
    if (!inside && (word & 0xffffffe0u) == 0xd5184100u) count(instruction, stacks);  // MSR SP_EL0, Xt
    const unsigned marker = marker_of(word);
    if (marker != 0) {
      qemu_plugin_register_vcpu_insn_exec_cb(instruction, at_marker, NO_REGISTERS, (void *)(uintptr_t)marker);
    }
  }
}

static void at_exit(qemu_plugin_id_t id, void *data) {
  (void)id;
  (void)data;
  for (const struct block *block = blocks; block != NULL; block = block->next) {
    if (block->executions == 0) continue;
    fprintf(out, "block %llx %llu %llu\n", (unsigned long long)block->address,
            (unsigned long long)block->instructions, (unsigned long long)block->executions);
  }
  fclose(out);
}

static qemu_plugin_u64 counter(struct qemu_plugin_scoreboard *score, size_t offset) {
  return (qemu_plugin_u64){.score = score, .offset = offset};
}

static bool take_option(char *option) {
  char *value = strchr(option, '=');
  if (value == NULL) return false;
  *value++ = '\0';
  if (strcmp(option, "out") == 0) {
    out = fopen(value, "w");
    return out != NULL;
  }
  char *rest = NULL;
  const uint64_t number = strtoull(value, &rest, 16);
  if (strcmp(option, "image") == 0 && *rest == '-') {
    image_start = number;
    image_end = strtoull(rest + 1, &rest, 16);
  } else if (strcmp(option, "vectors") == 0) {
    vectors = number;
  } else if (strcmp(option, "profile") == 0) {
    profiled = (unsigned)number;
  } else {
    return false;
  }
  return *rest == '\0';
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv) {
  (void)info;
  for (int i = 0; i < argc; ++i) {
    if (!take_option(argv[i])) {
      fprintf(stderr, "plugin: cannot use the option %s\n", argv[i]);
      return -1;
    }
  }
  if (out == NULL) {
    fprintf(stderr, "plugin: needs out=FILE\n");
    return -1;
  }
  struct qemu_plugin_scoreboard *score = qemu_plugin_scoreboard_new(sizeof(struct counts));
  all = counter(score, offsetof(struct counts, all));
  own = counter(score, offsetof(struct counts, own));
  sync_entries = counter(score, offsetof(struct counts, sync));
  irq_entries = counter(score, offsetof(struct counts, irq));
  waits = counter(score, offsetof(struct counts, waits));
  taken = counter(score, offsetof(struct counts, taken));
  stacks = counter(score, offsetof(struct counts, stacks));
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, at_exit, NULL);
  return 0;
}

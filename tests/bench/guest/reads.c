// Random 4 KiB reads of a drive, without the page cache, in batches with a marker around each.
//
//   reads DRIVE DEPTH BATCH BATCHES   DEPTH 1: one pread() after the other; else Linux's native asynchronous I/O
//   reads mark                        only the marker "init is reached"
//
// Markers (see plugin.c): 0x71 or 0x72 before a batch of depth 1 or more, 0x7f after it, 0x76 for `mark`.
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BLOCK = 4096, MAX_DEPTH = 64, WARM_UP = 500 };

static void begin_single(void) { __asm__ volatile("hint #0x71" ::: "memory"); }
static void begin_many(void) { __asm__ volatile("hint #0x72" ::: "memory"); }
static void init_reached(void) { __asm__ volatile("hint #0x76" ::: "memory"); }
static void end(void) { __asm__ volatile("hint #0x7f" ::: "memory"); }

static void die(const char *what) {
  fprintf(stderr, "reads: %s: %s\n", what, strerror(errno));
  exit(1);
}

struct drive {
  int file;
  uint64_t blocks;
  uint64_t random;
  char *buffers;
};

// A linear congruential generator; its upper bits choose the block.
static int64_t random_offset(struct drive *drive) {
  drive->random = drive->random * 6364136223846793005u + 1442695040888963407u;
  return (int64_t)((drive->random >> 24) % drive->blocks * BLOCK);
}

static void read_singly(struct drive *drive, unsigned long reads) {
  for (; reads > 0; --reads) {
    if (pread(drive->file, drive->buffers, BLOCK, random_offset(drive)) != BLOCK) die("pread");
  }
}

struct queue {
  aio_context_t context;
  struct iocb requests[MAX_DEPTH];
};

static void submit(struct drive *drive, struct queue *queue, unsigned slot) {
  struct iocb *request = &queue->requests[slot];
  memset(request, 0, sizeof *request);
  request->aio_data = slot;
  request->aio_lio_opcode = IOCB_CMD_PREAD;
  request->aio_fildes = (uint32_t)drive->file;
  request->aio_buf = (uintptr_t)(drive->buffers + (size_t)slot * BLOCK);
  request->aio_nbytes = BLOCK;
  request->aio_offset = random_offset(drive);
  if (syscall(SYS_io_submit, queue->context, 1, &request) != 1) die("io_submit");
}

// Waits for one completion or more; submits as many anew where `refill` says so. Returns how many there were.
static unsigned long reap(struct drive *drive, struct queue *queue, int refill) {
  struct io_event events[MAX_DEPTH];
  const long count = syscall(SYS_io_getevents, queue->context, 1, MAX_DEPTH, events, NULL);
  if (count < 0) die("io_getevents");
  for (long i = 0; i < count; ++i) {
    if (events[i].res != BLOCK) {
      fprintf(stderr, "reads: a read ended with %lld\n", (long long)events[i].res);
      exit(1);
    }
    if (refill) submit(drive, queue, (unsigned)events[i].data);
  }
  return (unsigned long)count;
}

// Completions come several at a time: what is more than `reads` counts for the next batch (`surplus`).
static void read_deep(struct drive *drive, struct queue *queue, unsigned long reads, unsigned long *surplus) {
  unsigned long done = *surplus;
  while (done < reads) done += reap(drive, queue, 1);
  *surplus = done - reads;
}

static void run_single(struct drive *drive, unsigned long batch, unsigned long batches) {
  read_singly(drive, WARM_UP);
  for (; batches > 0; --batches) {
    begin_single();
    read_singly(drive, batch);
    end();
  }
}

static void run_deep(struct drive *drive, unsigned depth, unsigned long batch, unsigned long batches) {
  static struct queue queue;
  unsigned long surplus = 0;
  if (syscall(SYS_io_setup, MAX_DEPTH, &queue.context) != 0) die("io_setup");
  for (unsigned slot = 0; slot < depth; ++slot) submit(drive, &queue, slot);
  read_deep(drive, &queue, WARM_UP, &surplus);
  for (; batches > 0; --batches) {
    begin_many();
    read_deep(drive, &queue, batch, &surplus);
    end();
  }
  for (unsigned long left = depth; left > 0;) left -= reap(drive, &queue, 0);
  syscall(SYS_io_destroy, queue.context);
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "mark") == 0) {
    init_reached();
    return 0;
  }
  if (argc != 5) {
    fprintf(stderr, "usage: reads DRIVE DEPTH BATCH BATCHES | reads mark\n");
    return 2;
  }
  const unsigned depth = (unsigned)strtoul(argv[2], NULL, 10);
  const unsigned long batch = strtoul(argv[3], NULL, 10);
  const unsigned long batches = strtoul(argv[4], NULL, 10);
  if (depth == 0 || depth > MAX_DEPTH || batch == 0) {
    fprintf(stderr, "reads: a depth of 1 to %d and a batch of 1 or more\n", MAX_DEPTH);
    return 2;
  }
  struct drive drive = {.file = open(argv[1], O_RDONLY | O_DIRECT), .random = 1};
  if (drive.file < 0) die(argv[1]);
  const off_t size = lseek(drive.file, 0, SEEK_END);
  if (size < BLOCK) die("the size of the drive");
  drive.blocks = (uint64_t)size / BLOCK;
  drive.buffers = mmap(NULL, (size_t)MAX_DEPTH * BLOCK, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (drive.buffers == MAP_FAILED) die("mmap");
  if (depth == 1) run_single(&drive, batch, batches);
  else run_deep(&drive, depth, batch, batches);
  printf("RESULT reads depth=%u reads=%lu\n", depth, batch * batches);
  return 0;
}

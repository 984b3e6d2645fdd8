// The traitor: makes QEMU's "edu" device read and write addresses that its owner has no right to,
// and tells what came of each attempt, without judging it.
//
// usage: edu_traitor ORDER…      ORDER = memory:NAME:ADDRESS | doorbell:NAME:ADDRESS
//
// First a control (edu.h):
//   RESULT edu control address=0x… wrote=yes|no read=yes|no
// For memory: writes a pattern to the address, reads the address back, and tells what it found
// (edu.h):
//   RESULT edu attack kind=memory target=NAME address=0x… transfers=done|stuck readback=…
// For a doorbell: 32-bit writes of the numbers 0 to 7, the first event numbers that another
// device's interrupts might have:
//   RESULT edu attack kind=doorbell target=NAME address=0x… transfers=done|stuck writes=8
//
// exit status: 0 all orders carried out, 1 the control failed, 2 no device or no rights.
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "edu.h"

enum {
  kForeignEvents = 8,
  kFolderBytes = 300,
  kPathBytes = 400,
};

static const char kDevices[] = "/sys/bus/pci/devices";

static uint64_t physical_address(const void* page) {
  const int file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  uint64_t entry = 0;
  const off_t where = (off_t)((uintptr_t)page / kPage * sizeof entry);
  const ssize_t got = pread(file, &entry, sizeof entry, where);
  close(file);
  const int present = (int)(entry >> 63);
  return got == sizeof entry && present ? (entry & ((UINT64_C(1) << 55) - 1)) * kPage : 0;
}

static bool read_word(const char* folder, const char* name, unsigned* value) {
  char path[kPathBytes];
  (void)snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE* file = fopen(path, "re");
  const bool good = file != NULL && fscanf(file, "%x", value) == 1;
  if (file != NULL) {
    (void)fclose(file);
  }
  return good;
}

static bool find_device(char folder[kFolderBytes]) {
  DIR* all = opendir(kDevices);
  bool found = false;
  for (struct dirent* each; all != NULL && !found && (each = readdir(all)) != NULL;) {
    unsigned vendor = 0;
    unsigned device = 0;
    (void)snprintf(folder, kFolderBytes, "%s/%s", kDevices, each->d_name);
    found = each->d_name[0] != '.' && read_word(folder, "vendor", &vendor) &&
            read_word(folder, "device", &device) && vendor == kVendor && device == kDevice;
  }
  if (all != NULL) {
    (void)closedir(all);
  }
  return found;
}

// Memory decoding through the kernel, bus mastering through the command register (bit 2).
static bool enable(const char* folder) {
  char path[kPathBytes];
  (void)snprintf(path, sizeof path, "%s/enable", folder);
  const int switch_file = open(path, O_WRONLY | O_CLOEXEC);
  const bool enabled = switch_file >= 0 && write(switch_file, "1", 1) == 1;
  close(switch_file);
  (void)snprintf(path, sizeof path, "%s/config", folder);
  const int config = open(path, O_RDWR | O_CLOEXEC);
  uint16_t command = 0;
  const bool mastering = config >= 0 && pread(config, &command, 2, 4) == 2 &&
                         (command = (uint16_t)(command | 6U), pwrite(config, &command, 2, 4) == 2);
  close(config);
  return enabled && mastering;
}

static void attack_memory(struct Edu* edu, const char* name, uint64_t address, unsigned number) {
  const char* found = probe_memory(edu, address, number);
  printf("RESULT edu attack kind=memory target=%s address=0x%llx transfers=%s readback=%s\n", name,
         (unsigned long long)address, edu->stuck ? "stuck" : "done", found);
}

static void attack_doorbell(struct Edu* edu, const char* name, uint64_t address) {
  edu->stuck = false;
  for (uint32_t event = 0; event < kForeignEvents; ++event) {
    uint8_t data[kProbeBytes] = {0};
    memcpy(data, &event, sizeof event);
    load_buffer(edu, data);
    device_writes(edu, address, sizeof event);
  }
  printf("RESULT edu attack kind=doorbell target=%s address=0x%llx transfers=%s writes=%d\n", name,
         (unsigned long long)address, edu->stuck ? "stuck" : "done", kForeignEvents);
}

static void obey(struct Edu* edu, const char* order, unsigned number) {
  char kind[16];
  char name[32];
  unsigned long long address = 0;
  if (sscanf(order, "%15[^:]:%31[^:]:%llx", kind, name, &address) != 3) {
    printf("RESULT edu bad-order %s\n", order);
  } else if (strcmp(kind, "memory") == 0) {
    attack_memory(edu, name, address, number);
  } else if (strcmp(kind, "doorbell") == 0) {
    attack_doorbell(edu, name, address);
  } else {
    printf("RESULT edu bad-order %s\n", order);
  }
  fflush(stdout);
}

static bool open_device(struct Edu* edu) {
  char folder[kFolderBytes];
  if (!find_device(folder)) {
    printf("RESULT edu no-device\n");
    return false;
  }
  if (!enable(folder)) {
    printf("RESULT edu cannot-enable\n");
    return false;
  }
  char path[kPathBytes];
  (void)snprintf(path, sizeof path, "%s/resource0", folder);
  const int file = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
  void* bar = mmap(NULL, kBarBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  void* page = mmap(NULL, kPage, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0);
  if (bar == MAP_FAILED || page == MAP_FAILED) {
    printf("RESULT edu cannot-map\n");
    return false;
  }
  *edu = (struct Edu){.bar = bar, .page = page, .page_address = physical_address(page)};
  const uint32_t id = identification(edu);
  printf("RESULT edu device=%s identification=0x%08x\n", strrchr(folder, '/') + 1, id);
  return edu->page_address != 0 && (id & 0xff) == 0xed;
}

int main(int argc, char** argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  struct Edu edu;
  if (!open_device(&edu)) {
    return 2;
  }
  if (!control(&edu)) {
    return 1;
  }
  for (int i = 1; i < argc; ++i) {
    obey(&edu, argv[i], (unsigned)i);
  }
  return 0;
}

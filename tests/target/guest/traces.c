// Tells what a function's registers hold, for who wants to know what its last owner left behind.
//
// usage: traces SLOT…      SLOT = 0000:01:00.0
//
// A function without a driver has its memory decoding switched on while it is looked at. One with a
// driver is looked at while it works, which takes iomem=relaxed on the kernel's command line.
//
//   RESULT traces slot=SLOT kind=config command=0x… driver=yes|no msix=on|off vectors=N
//   RESULT traces slot=SLOT kind=vector number=N address=0x… data=0x… control=0x…
//   RESULT traces slot=SLOT kind=nvme cc=0x… csts=0x… intms=0x… intmc=0x… aqa=0x… asq=0x… acq=0x…
//   RESULT traces slot=SLOT kind=card ctrl=0x… rdba=0x… rdlen=0x… rdh=0x… rdt=0x… rxdctl=0x… tdba=…
//
// The command register is told as it was found. exit status: 0 all told, 1 something is wrong.
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
  kPage = 4096,
  kPathBytes = 300,
  kCapabilities = 48,  // as many as fit: a longer list is a circle
  kVectors = 8,        // of a table, this many entries are told
  kNvmeClass = 0x010802,
  kEthernetClass = 0x020000,
};

// NVM Express base specification, controller properties.
enum {
  kNvmeIntms = 0x0c,
  kNvmeIntmc = 0x10,
  kNvmeCc = 0x14,
  kNvmeCsts = 0x1c,
  kNvmeAqa = 0x24,
  kNvmeAsq = 0x28,
  kNvmeAcq = 0x30,
};

// Intel 82576, the registers of a virtual function: control, and queue 0 of each direction.
enum {
  kCardBytes = 0x4000,
  kCardCtrl = 0x0,
  kCardReceive = 0x2800,
  kCardTransmit = 0x3800,
  kRingLength = 0x08,
  kRingHead = 0x10,
  kRingTail = 0x18,
  kRingControl = 0x28,
};

struct Function {
  const char* slot;
  int config;
  uint32_t class_code;
  bool driven;
};

static bool failed(const struct Function* f, const char* what) {
  printf("RESULT traces slot=%s failed=%s reason=%d\n", f->slot, what, errno);
  return false;
}

static void path_of(const struct Function* f, const char* file, char path[kPathBytes]) {
  (void)snprintf(path, kPathBytes, "/sys/bus/pci/devices/%s/%s", f->slot, file);
}

static uint32_t config_word(const struct Function* f, unsigned at, size_t bytes) {
  uint32_t value = 0;
  return pread(f->config, &value, bytes, (off_t)at) == (ssize_t)bytes ? value : UINT32_MAX;
}

static bool switch_decoding(const struct Function* f, const char* state) {
  char path[kPathBytes];
  path_of(f, "enable", path);
  const int file = open(path, O_WRONLY | O_CLOEXEC);
  const bool done = file >= 0 && write(file, state, 1) == 1;
  close(file);
  return done || failed(f, "enable");
}

static const volatile uint8_t* map_bar(const struct Function* f, unsigned bar, uint32_t offset,
                                       size_t bytes) {
  char path[kPathBytes];
  char name[16];
  (void)snprintf(name, sizeof name, "resource%u", bar);
  path_of(f, name, path);
  const int file = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
  void* mapped = mmap(NULL, bytes, PROT_READ, MAP_SHARED, file, (off_t)offset);
  close(file);
  if (mapped == MAP_FAILED) {
    (void)failed(f, name);
    return NULL;
  }
  return mapped;
}

static uint32_t read32(const volatile uint8_t* page, unsigned at) {
  return *(const volatile uint32_t*)(page + at);
}

static unsigned long long read_pair(const volatile uint8_t* page, unsigned at) {
  return read32(page, at) | (unsigned long long)read32(page, at + 4) << 32;
}

static void tell_vector(const struct Function* f, unsigned bar, uint32_t offset, unsigned number) {
  const volatile uint8_t* page = map_bar(f, bar, offset & ~(uint32_t)(kPage - 1), kPage);
  if (page == NULL) {
    return;
  }
  const unsigned at = offset & (kPage - 1);
  printf("RESULT traces slot=%s kind=vector number=%u address=0x%llx data=0x%x control=0x%x\n",
         f->slot, number, read_pair(page, at + PCI_MSIX_ENTRY_LOWER_ADDR),
         read32(page, at + PCI_MSIX_ENTRY_DATA), read32(page, at + PCI_MSIX_ENTRY_VECTOR_CTRL));
  (void)munmap((void*)(uintptr_t)page, kPage);
}

static unsigned find_capability(const struct Function* f, unsigned id) {
  unsigned at = config_word(f, PCI_CAPABILITY_LIST, 1) & 0xfc;
  for (int step = 0; at != 0 && step < kCapabilities; ++step) {
    if (config_word(f, at, 1) == id) {
      return at;
    }
    at = config_word(f, at + 1, 1) & 0xfc;
  }
  return 0;
}

// The command register is `found`: what it was before anyone switched decoding on for this program.
static void tell_config(const struct Function* f, uint32_t found) {
  const unsigned msix = find_capability(f, PCI_CAP_ID_MSIX);
  const uint32_t flags = msix != 0 ? config_word(f, msix + PCI_MSIX_FLAGS, 2) : 0;
  const unsigned vectors = msix != 0 ? (flags & PCI_MSIX_FLAGS_QSIZE) + 1 : 0;
  printf("RESULT traces slot=%s kind=config command=0x%x driver=%s msix=%s vectors=%u\n", f->slot,
         found, f->driven ? "yes" : "no", (flags & PCI_MSIX_FLAGS_ENABLE) != 0 ? "on" : "off",
         vectors);
  const uint32_t table = msix != 0 ? config_word(f, msix + PCI_MSIX_TABLE, 4) : 0;
  for (unsigned i = 0; i < vectors && i < kVectors; ++i) {
    const uint32_t offset = (table & PCI_MSIX_TABLE_OFFSET) + i * PCI_MSIX_ENTRY_SIZE;
    tell_vector(f, table & PCI_MSIX_TABLE_BIR, offset, i);
  }
}

static bool tell_nvme(const struct Function* f) {
  const volatile uint8_t* bar = map_bar(f, 0, 0, kPage);
  if (bar == NULL) {
    return false;
  }
  printf(
      "RESULT traces slot=%s kind=nvme cc=0x%x csts=0x%x intms=0x%x intmc=0x%x aqa=0x%x "
      "asq=0x%llx acq=0x%llx\n",
      f->slot, read32(bar, kNvmeCc), read32(bar, kNvmeCsts), read32(bar, kNvmeIntms),
      read32(bar, kNvmeIntmc), read32(bar, kNvmeAqa), read_pair(bar, kNvmeAsq),
      read_pair(bar, kNvmeAcq));
  (void)munmap((void*)(uintptr_t)bar, kPage);
  return true;
}

// One direction's ring: r… or t…
static void tell_ring(const volatile uint8_t* bar, char d, unsigned ring) {
  printf(" %cdba=0x%llx %cdlen=0x%x %cdh=0x%x %cdt=0x%x %cxdctl=0x%x", d, read_pair(bar, ring), d,
         read32(bar, ring + kRingLength), d, read32(bar, ring + kRingHead), d,
         read32(bar, ring + kRingTail), d, read32(bar, ring + kRingControl));
}

static bool tell_card(const struct Function* f) {
  const volatile uint8_t* bar = map_bar(f, 0, 0, kCardBytes);
  if (bar == NULL) {
    return false;
  }
  printf("RESULT traces slot=%s kind=card ctrl=0x%x", f->slot, read32(bar, kCardCtrl));
  tell_ring(bar, 'r', kCardReceive);
  tell_ring(bar, 't', kCardTransmit);
  printf("\n");
  (void)munmap((void*)(uintptr_t)bar, kCardBytes);
  return true;
}

static bool tell_registers(const struct Function* f) {
  switch (f->class_code) {
    case kNvmeClass: return tell_nvme(f);
    case kEthernetClass: return tell_card(f);
    default: errno = ENOTSUP; return failed(f, "class");
  }
}

static bool tell(const char* slot) {
  struct Function f = {.slot = slot, .config = -1};
  char path[kPathBytes];
  path_of(&f, "config", path);
  f.config = open(path, O_RDONLY | O_CLOEXEC);
  if (f.config < 0) {
    return failed(&f, "config");
  }
  path_of(&f, "driver", path);
  f.driven = access(path, F_OK) == 0;
  f.class_code = config_word(&f, PCI_CLASS_REVISION, 4) >> 8;
  const uint32_t command = config_word(&f, PCI_COMMAND, 2);
  bool good = f.driven || switch_decoding(&f, "1");
  if (good) {
    tell_config(&f, command);
    good = tell_registers(&f);
    good = (f.driven || switch_decoding(&f, "0")) && good;
  }
  close(f.config);
  return good;
}

int main(int argc, char** argv) {
  bool good = argc > 1;
  for (int i = 1; i < argc; ++i) {
    good = tell(argv[i]) && good;
  }
  return good ? 0 : 1;
}

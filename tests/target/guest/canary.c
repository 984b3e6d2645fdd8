// Holds a page with a known pattern, tells its physical address, and in the end tells whether the
// page is still as it was.
//
// usage: canary NONCE STOPFILE
//   prints  RESULT canary address=0x… bytes=4096
//   and, once STOPFILE exists,  RESULT canary intact=yes|no
// exit status: 0 intact, 1 changed, 2 could not do its work.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { kPage = 4096 };

// The physical address of a resident page, from /proc/self/pagemap; 0 when it cannot be told.
static uint64_t physical_address(const void* page) {
  const int file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  uint64_t entry = 0;
  const off_t where = (off_t)((uintptr_t)page / kPage * sizeof entry);
  const ssize_t got = pread(file, &entry, sizeof entry, where);
  close(file);
  const int present = (int)(entry >> 63);
  return got == sizeof entry && present ? (entry & ((UINT64_C(1) << 55) - 1)) * kPage : 0;
}

static void fill(char* page, const char* nonce) {
  for (size_t i = 0; i + 64 <= kPage; i += 64) {
    memset(page + i, 0, 64);
    (void)snprintf(page + i, 64, "canary %s at %zu", nonce, i);
  }
}

int main(int argc, char** argv) {
  if (argc != 3) {
    return 2;
  }
  char* page = mmap(NULL, kPage, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0);
  if (page == MAP_FAILED) {
    perror("canary: mmap");
    return 2;
  }
  char expected[kPage];
  fill(page, argv[1]);
  fill(expected, argv[1]);
  const uint64_t before = physical_address(page);
  printf("RESULT canary address=0x%llx bytes=%d\n", (unsigned long long)before, kPage);
  fflush(stdout);
  while (access(argv[2], F_OK) != 0) {
    usleep(200000);
  }
  // A page that has moved meanwhile proves nothing about the address that was told.
  const int moved = physical_address(page) != before;
  const int intact = memcmp(page, expected, kPage) == 0;
  printf("RESULT canary intact=%s moved=%s\n", intact ? "yes" : "no", moved ? "yes" : "no");
  return intact && !moved ? 0 : 1;
}

// Reads from a mapping of a file, such as a PCI resource or /dev/mem, in a way chosen by the caller:
// one plain load, a pair, a load that moves its base, a vector register.
//
//   poke FILE OFFSET plain|pair|post|vector|write    prints the value; a signal ends it otherwise
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static uint32_t access_by(const char* how, volatile unsigned char* at) {
  uint64_t a = 0;
  uint64_t b = 0;
  if (strcmp(how, "pair") == 0) {
    __asm__ volatile("ldp %w0, %w1, [%2]" : "=&r"(a), "=&r"(b) : "r"(at) : "memory");
  } else if (strcmp(how, "post") == 0) {
    __asm__ volatile("ldr %w0, [%1], #4" : "=&r"(a), "+r"(at)::"memory");
  } else if (strcmp(how, "vector") == 0) {
    uint64_t out[2];
    __asm__ volatile("ldr q0, [%0]\n str q0, [%1]" ::"r"(at), "r"(out) : "v0", "memory");
    a = out[0];
  } else if (strcmp(how, "write") == 0) {
    *(volatile uint32_t*)(uintptr_t)at = 0;
  } else {
    a = *(volatile const uint32_t*)(uintptr_t)at;
  }
  return (uint32_t)a;
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const unsigned long offset = strtoul(argv[2], NULL, 0);
  const unsigned long page = (unsigned long)sysconf(_SC_PAGESIZE);
  const int fd = open(argv[1], O_RDWR | O_SYNC);
  if (fd < 0) return 3;
  volatile unsigned char* map = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                                     (off_t)(offset & ~(page - 1)));
  if (map == MAP_FAILED) return 4;
  printf("%08x\n", access_by(argv[3], map + (offset & (page - 1))));
  return 0;
}
